//! Labels, annotations, finalizers, field managers and cloud tags that fleet writes.
//!
//! They are contracts with everything already written to clusters and to AWS: a changed value orphans objects.

/// Marks every object that fleet wrote, in the management cluster and in tenants' clusters.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`].
pub const MANAGED_BY_FLEET: &str = "fleet";
/// The tenant that an object belongs to.
pub const TENANT: &str = "tenantfleet.dev/tenant";
/// The Rollout that a RolloutMember belongs to.
pub const ROLLOUT: &str = "tenantfleet.dev/rollout";
/// The control of the catalogue that an object carries out, such as `NET-1`.
pub const CONTROL: &str = "tenantfleet.dev/control";
/// The revision of the bundle that wrote an object.
pub const REVISION: &str = "tenantfleet.dev/revision";
/// The phase of the bundle in which an object is applied.
pub const PHASE: &str = "tenantfleet.dev/phase";
/// On every object of a baseline: the hash of what fleet wants of it. A restart compares it, and writes nothing
/// to a cluster where all are as wanted.
pub const INTENT: &str = "tenantfleet.dev/intent-hash";

/// On a Tenant: repeats the tenant's name to confirm that its cluster and data may be deleted although
/// deletion protection is on.
pub const CONFIRM_DELETION: &str = "tenantfleet.dev/confirm-deletion";
/// On a Tenant: `true` keeps fleet from changing anything of the tenant's, while it still watches.
pub const PAUSED: &str = "tenantfleet.dev/paused";
/// On a TenantCluster: adopts the observed version as the wanted one when the cluster is ahead of its spec.
pub const ADOPT_VERSION: &str = "tenantfleet.dev/adopt-version";

/// On a TenantCluster: any new value lets a step that failed too often be tried again.
pub const RETRY: &str = "tenantfleet.dev/retry";
/// On a TenantCluster that is being deleted: `true` deletes it without draining its load balancers and volumes first.
pub const SKIP_DRAIN: &str = "tenantfleet.dev/skip-drain";
/// On a TenantCluster whose cluster vanished from the cloud: `true` lets an empty one be made in its place.
pub const RECREATE: &str = "tenantfleet.dev/recreate";

/// Keeps a Tenant until its clusters are gone and the receipt is written.
pub const TENANT_FINALIZER: &str = "tenantfleet.dev/tenant";
/// Keeps a TenantCluster until everything it stands for in the cloud is gone or named in the receipt.
pub const CLUSTER_FINALIZER: &str = "tenantfleet.dev/cluster";

/// Field manager of the controller on the management cluster.
pub const CONTROLLER_MANAGER: &str = "fleet-controller";
/// Field manager of the rollouts' loop on the management cluster: it owns `spec.rollout` of a TenantCluster, and nothing
/// else of it.
pub const ROLLOUT_MANAGER: &str = "fleet-rollout";
/// Field manager of the baseline in tenants' clusters.
pub const BASELINE_MANAGER: &str = "fleet-baseline";
/// Field manager of the command line on the management cluster.
pub const CLI_MANAGER: &str = "fleet-cli";

/// Cloud tag: the UID of the TenantCluster that owns a cloud object. Adoption and deletion go by this alone.
pub const TAG_OWNER: &str = "tenantfleet.dev/cluster-uid";
/// Cloud tag: the tenant's name, for people who read a bill.
pub const TAG_TENANT: &str = "tenantfleet.dev/tenant";

/// The namespace of the controller and of its receipts on the management cluster.
pub const SYSTEM_NAMESPACE: &str = "fleet-system";
/// The Secret of [`SYSTEM_NAMESPACE`] with the bearer tokens of Prometheus servers, by the keys that the Fleet names. It is
/// the only Secret that the controller may read.
pub const PROMETHEUS_SECRET: &str = "fleet-prometheus";
/// On a ConfigMap of [`SYSTEM_NAMESPACE`]: says that it holds a deletion receipt.
pub const RECEIPT: &str = "tenantfleet.dev/receipt";
/// The Kubernetes group that the controller itself has in a tenant's cluster, through its access entry.
pub const CONTROLLER_GROUP: &str = "tenantfleet.dev:controllers";
