//! First stage: what the tenant refers to, as it was last seen.

use std::{collections::BTreeMap, sync::Arc};

use fleet_api::v1alpha1::{Chosen, Fleet, Tenant, TenantClass, TenantCluster, VersionChannel};
use fleet_plan::compose::Sources;
use kube::{ResourceExt as _, runtime::reflector::ObjectRef};

use crate::context::Context;

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
