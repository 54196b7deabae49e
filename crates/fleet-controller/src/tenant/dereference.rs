//! First stage: what the tenant refers to, as it was last seen.

use std::{collections::BTreeMap, fmt::Debug, sync::Arc};

use fleet_api::v1alpha1::{Chosen, Fleet, Tenant, TenantClass, TenantCluster, VersionChannel};
use fleet_plan::compose::Sources;
use kube::{Api, Resource, ResourceExt as _, api::ListParams, runtime::reflector::ObjectRef};
use serde::de::DeserializeOwned;

use crate::{context::Context, error::ReconcileError};

/// What a tenant refers to.
pub(super) struct Seen {
    pub(super) fleet: Fleet,
    pub(super) class: Option<Arc<TenantClass>>,
    pub(super) channels: BTreeMap<String, VersionChannel>,
    pub(super) cluster: Option<Arc<TenantCluster>>,
    /// What the tenant's people chose, once it was judged.
    pub(super) chosen: Option<Chosen>,
}

impl Seen {
    /// The same, as composing takes it.
    pub(super) fn sources(&self) -> Sources<'_> {
        Sources {
            class: self.class.as_deref(),
            fleet: Some(&self.fleet),
            channels: &self.channels,
            chosen: self.chosen.as_ref(),
            existing: self.cluster.as_deref(),
        }
    }
}

/// Looks for what the stores do not have on the management cluster itself: a tenant may be seen before the class and the
/// channel that were stored before it, and would be called wrong for a moment.
///
/// # Errors
/// The management cluster could not be asked.
pub(super) async fn look_again(
    context: &Context,
    tenant: &Tenant,
    seen: &mut Seen,
) -> Result<(), ReconcileError> {
    if seen.class.is_none() {
        seen.class = find::<TenantClass>(context, "TenantClass", &tenant.spec.class).await?.map(Arc::new);
    }
    let default = seen.fleet.spec.defaults.channel.as_ref();
    let channel = tenant.spec.kubernetes.channel.as_ref().or(default);
    if let Some(name) = channel.filter(|name| !seen.channels.contains_key(*name)).cloned()
        && let Some(channel) = find::<VersionChannel>(context, "VersionChannel", &name).await?
    {
        seen.channels.insert(name, channel);
    }
    Ok(())
}

/// An object by its name, as the management cluster has it. The controller may list what operators write, and needs no
/// other right to read one.
pub(super) async fn find<K>(
    context: &Context,
    kind: &'static str,
    name: &str,
) -> Result<Option<K>, ReconcileError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    // What no object can be called would be no selector either.
    let possible = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    if name.is_empty() || !name.bytes().all(possible) {
        return Ok(None);
    }
    let of_the_name = ListParams::default().fields(&format!("metadata.name={name}"));
    let api: Api<K> = Api::all(context.client.clone());
    let found = api.list(&of_the_name).await.map_err(ReconcileError::hub("read", kind, name))?;
    Ok(found.items.into_iter().next())
}

/// Looks up what the tenant refers to. A cluster of an earlier tenant of the same name is not this one's.
pub(super) fn dereference(context: &Context, tenant: &Tenant) -> Seen {
    let stores = &context.stores;
    let cluster = stores
        .clusters
        .get(&ObjectRef::new(&tenant.name_any()))
        .map(|cluster| context.clusters_written.freshest(cluster))
        .filter(|cluster| tenant.metadata.uid.as_ref() == Some(&cluster.spec.tenant_uid));
    Seen {
        fleet: stores.fleet(),
        class: stores.classes.get(&ObjectRef::new(&tenant.spec.class)),
        channels: stores.channels.state().iter().map(|one| (one.name_any(), (**one).clone())).collect(),
        cluster,
        chosen: None,
    }
}
