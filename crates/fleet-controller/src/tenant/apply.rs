//! Third stage: the finalizer and the TenantCluster.

use std::{collections::BTreeMap, sync::Arc};

use fleet_api::{
    API_VERSION, labels,
    v1alpha1::{Tenant, TenantCluster, TenantClusterSpec},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{
    Api, Resource, ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use crate::{context::Context, error::ReconcileError, written::OwnWrites};

/// A kind whose own writes are remembered.
pub(crate) trait Finalized:
    Resource<DynamicType = ()> + Clone + Serialize + DeserializeOwned + std::fmt::Debug + 'static
{
    /// The kind.
    const KIND: &'static str;
    /// Where its own writes are kept.
    fn writes(context: &Context) -> &OwnWrites<Self>;
}

impl Finalized for Tenant {
    const KIND: &'static str = "Tenant";
    fn writes(context: &Context) -> &OwnWrites<Self> {
        &context.tenants_written
    }
}

impl Finalized for TenantCluster {
    const KIND: &'static str = "TenantCluster";
    fn writes(context: &Context) -> &OwnWrites<Self> {
        &context.clusters_written
    }
}

/// Sets the finalizer, before anything that it guards is made.
pub(crate) async fn ensure_finalizer<K: Finalized>(
    context: &Context,
    object: Arc<K>,
    finalizer: &str,
) -> Result<Arc<K>, ReconcileError> {
    if object.finalizers().iter().any(|one| one == finalizer) {
        return Ok(object);
    }
    let mut all = object.finalizers().to_vec();
    all.push(finalizer.to_owned());
    write_finalizers(context, &*object, all, "guard")
        .await
        .map(|written| K::writes(context).remember(written))
}

/// Takes the finalizer away, when what it guarded is gone.
pub(crate) async fn drop_finalizer<K: Finalized>(
    context: &Context,
    object: &K,
    finalizer: &str,
) -> Result<(), ReconcileError> {
    let all = object.finalizers().iter().filter(|one| *one != finalizer).cloned().collect();
    if object.finalizers().iter().any(|one| one == finalizer) {
        match write_finalizers(context, object, all, "release").await {
            Err(ReconcileError::Hub { source, .. }) if is_gone(&source) => {}
            other => drop(other?),
        }
    }
    if let Some(uid) = object.uid() {
        K::writes(context).forget(&uid);
        context.failures.forget(&uid);
    }
    Ok(())
}

fn is_gone(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// Writes the list over the version that was read, so that nobody else's entry is lost.
async fn write_finalizers<K: Finalized>(
    context: &Context,
    object: &K,
    finalizers: Vec<String>,
    action: &'static str,
) -> Result<K, ReconcileError> {
    context.fence.check()?;
    let name = object.name_any();
    let api: Api<K> = Api::all(context.client.clone());
    let metadata = json!({ "finalizers": finalizers, "resourceVersion": object.resource_version() });
    api.patch(&name, &PatchParams::default(), &Patch::Merge(json!({ "metadata": metadata })))
        .await
        .map_err(ReconcileError::hub(action, K::KIND, &name))
}

/// Brings the tenant's cluster to the composed spec. Nothing is sent when it is so already.
pub(super) async fn apply_cluster(
    context: &Context,
    tenant: &Tenant,
    spec: &TenantClusterSpec,
    existing: Option<Arc<TenantCluster>>,
) -> Result<Arc<TenantCluster>, ReconcileError> {
    if let Some(existing) = existing.filter(|existing| existing.spec == *spec) {
        return Ok(existing);
    }
    context.fence.check()?;
    let name = tenant.name_any();
    let mut cluster = TenantCluster::new(&name, spec.clone());
    cluster.metadata = ObjectMeta {
        name: Some(name.clone()),
        labels: Some(BTreeMap::from([
            (labels::MANAGED_BY.to_owned(), labels::MANAGED_BY_FLEET.to_owned()),
            (labels::TENANT.to_owned(), name.clone()),
        ])),
        owner_references: Some(vec![OwnerReference {
            api_version: API_VERSION.to_owned(),
            kind: "Tenant".to_owned(),
            name: name.clone(),
            uid: tenant.uid().unwrap_or_default(),
            controller: Some(true),
            block_owner_deletion: None,
        }]),
        ..ObjectMeta::default()
    };
    let api: Api<TenantCluster> = Api::all(context.client.clone());
    let parameters = PatchParams::apply(labels::CONTROLLER_MANAGER).force();
    let written = api
        .patch(&name, &parameters, &Patch::Apply(&cluster))
        .await
        .map_err(ReconcileError::hub("apply", "TenantCluster", &name))?;
    Ok(context.clusters_written.remember(written))
}
