//! What this process wrote itself, so that a cache that lags behind is never believed over it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use fleet_api::v1alpha1::{Rollout, RolloutMember, Tenant, TenantCluster};
use kube::Resource;
use serde::{Serialize, de::DeserializeOwned};

use crate::context::Context;

/// A kind that the controller writes to the management cluster.
pub(crate) trait Ours:
    Resource<DynamicType = ()> + Clone + Serialize + DeserializeOwned + std::fmt::Debug + 'static
{
    /// The kind.
    const KIND: &'static str;

    /// Where what was written is remembered.
    fn writes(context: &Context) -> &OwnWrites<Self>;
}

impl Ours for Tenant {
    const KIND: &'static str = "Tenant";

    fn writes(context: &Context) -> &OwnWrites<Self> {
        &context.tenants_written
    }
}

impl Ours for TenantCluster {
    const KIND: &'static str = "TenantCluster";

    fn writes(context: &Context) -> &OwnWrites<Self> {
        &context.clusters_written
    }
}

impl Ours for Rollout {
    const KIND: &'static str = "Rollout";

    fn writes(context: &Context) -> &OwnWrites<Self> {
        &context.rollouts_written
    }
}

impl Ours for RolloutMember {
    const KIND: &'static str = "RolloutMember";

    fn writes(context: &Context) -> &OwnWrites<Self> {
        &context.members_written
    }
}

/// The objects that this process wrote, as the API server answered, until the watch has shown them.
///
/// A store that is filled by a watch trails behind. Acting on a status without the step that was begun a moment
/// ago would begin it twice, so a reconcile goes by the newer of the two.
pub(crate) struct OwnWrites<K> {
    by_uid: Mutex<HashMap<String, Arc<K>>>,
}

impl<K> Default for OwnWrites<K> {
    fn default() -> Self {
        Self { by_uid: Mutex::default() }
    }
}

impl<K: Resource> OwnWrites<K> {
    /// The newer of what the store has and what was written.
    pub(crate) fn freshest(&self, seen: Arc<K>) -> Arc<K> {
        let Some(uid) = seen.meta().uid.as_deref() else { return seen };
        let mut by_uid = self.by_uid.lock().unwrap_or_else(PoisonError::into_inner);
        match by_uid.get(uid) {
            Some(written) if version(&**written) > version(&*seen) => Arc::clone(written),
            Some(_) => {
                by_uid.remove(uid);
                seen
            }
            None => seen,
        }
    }

    /// Keeps what the API server answered to a write.
    pub(crate) fn remember(&self, written: K) -> Arc<K> {
        let written = Arc::new(written);
        if let Some(uid) = written.meta().uid.clone() {
            let mut by_uid = self.by_uid.lock().unwrap_or_else(PoisonError::into_inner);
            by_uid.insert(uid, Arc::clone(&written));
        }
        written
    }

    /// Forgets an object that is gone.
    pub(crate) fn forget(&self, uid: &str) {
        self.by_uid.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

/// The resource version as a number, which Kubernetes lets clients compare since 1.35 (KEP-5504). What is no
/// number counts as older than everything.
fn version<K: Resource>(object: &K) -> u64 {
    object.meta().resource_version.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};

    use super::*;

    fn make_map(resource_version: &str) -> ConfigMap {
        let metadata = ObjectMeta {
            uid: Some("u".to_owned()),
            resource_version: Some(resource_version.to_owned()),
            ..ObjectMeta::default()
        };
        ConfigMap { metadata, ..ConfigMap::default() }
    }

    fn seen(writes: &OwnWrites<ConfigMap>, resource_version: &str) -> String {
        let freshest = writes.freshest(Arc::new(make_map(resource_version)));
        freshest.metadata.resource_version.clone().unwrap()
    }

    #[test]
    fn a_cache_that_lags_behind_an_own_write_is_not_believed() {
        let writes = OwnWrites::default();
        assert_eq!(seen(&writes, "9"), "9");
        writes.remember(make_map("10"));
        assert_eq!(seen(&writes, "9"), "10", "9 is older than 10, although the text sorts behind it");
        assert_eq!(seen(&writes, "11"), "11");
        assert_eq!(seen(&writes, "9"), "9", "what the watch has overtaken is forgotten");
    }
}
