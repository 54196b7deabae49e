//! What the loops share, built in one place.

use std::{sync::Arc, time::Duration};

use fleet_api::v1alpha1::{Rollout, RolloutMember, Tenant, TenantCluster};
use fleet_exec::remote::Addresses;
use fleet_provider::ClusterProvider;
use fleet_render::Catalogue;
use jiff::Timestamp;
use kube::Client;
use tokio_util::sync::CancellationToken;

use crate::{
    brake::Brake,
    clock::Clock,
    engines::Engines,
    events::Events,
    lease::Fence,
    metrics::Metrics,
    pace::Failures,
    rollout::Checks,
    tenant_cluster::Looks,
    watch::{Queues, Stores},
    written::OwnWrites,
};

/// What the loops share.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) stores: Stores,
    pub(crate) queues: Arc<Queues>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) fence: Fence,
    pub(crate) provider: Arc<dyn ClusterProvider>,
    pub(crate) catalogue: Catalogue,
    pub(crate) engines: Engines,
    pub(crate) looks: Looks,
    pub(crate) brake: Brake,
    pub(crate) failures: Failures,
    pub(crate) tenants_written: OwnWrites<Tenant>,
    pub(crate) clusters_written: OwnWrites<TenantCluster>,
    pub(crate) rollouts_written: OwnWrites<Rollout>,
    pub(crate) members_written: OwnWrites<RolloutMember>,
    pub(crate) checks: Arc<Checks>,
    pub(crate) events: Events,
    /// Which addresses a tenant's API server may have.
    pub(crate) addresses: Addresses,
    /// The longest pause between two looks while the cloud is at work.
    pub(crate) pace: Duration,
    /// The pause between two looks at an object at rest.
    pub(crate) resync: Duration,
    /// Cancelled when the process is to end: no further step begins.
    pub(crate) stop: CancellationToken,
}

impl Context {
    /// The present moment.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Forgets an object that is gone.
    pub(crate) fn forget(&self, uid: &str) {
        self.engines.remove(self, uid);
        self.looks.forget(uid);
        self.failures.forget(uid);
        self.tenants_written.forget(uid);
        self.clusters_written.forget(uid);
        self.rollouts_written.forget(uid);
        self.members_written.forget(uid);
        self.checks.forget(uid);
    }
}
