//! Version `v1alpha1` of the API. The field docs are the user manual: `fleet explain` prints them.
#![expect(
    unreachable_pub,
    reason = "the schema derive emits helper structs with the visibility of their originals"
)]
#![expect(clippy::duplicated_attributes, reason = "each printer column names its own type")]

mod access;
mod approval;
mod baseline;
mod control_exception;
mod fleet;
mod maintenance;
mod rollout;
mod rollout_member;
mod rollout_strategy;
mod tenant;
mod tenant_class;
mod tenant_cluster;
mod tenant_cluster_status;
mod upgrade_preference;
mod version_calendar;
mod version_channel;

pub use access::{AccessGrant, AccessRole};
pub use approval::{Approval, ApprovalSpec, ApproverRole};
pub use baseline::{
    Baseline, BaselineParameters, BaselineSpec, ExemptNamespace, ExtraTemplate, LimitDefaults, Profile,
};
pub use control_exception::{ControlException, ControlExceptionScope, ControlExceptionSpec};
pub use fleet::{Brakes, Costs, Fleet, FleetDefaults, FleetSpec, PrometheusServer};
pub use maintenance::{Chosen, Deferral, Freeze, Maintenance, Weekday, Window};
pub use rollout::{
    ApprovalGate, Gate, GateStatus, JobGate, Ledger, MemberCounts, MemberSelector, OnFailure, PrometheusGate,
    Rollout, RolloutPhase, RolloutSpec, RolloutStatus, RolloutTarget, Run, Slots, Wave, WaveStatus,
};
pub use rollout_member::{
    Evidence, MemberState, Move, MoveStage, RolloutMember, RolloutMemberSpec, RolloutMemberStatus,
};
pub use rollout_strategy::{DRIVEN_FIELDS, RolloutStrategy};
pub use tenant::{
    Capacity, Compliance, EgressRule, Images, KubernetesChoice, Network, Owner, Tenant, TenantSpec,
    TenantStatus,
};
pub use tenant_class::{
    AddonChoice, AutoMode, EksClass, EksLogType, EksNetwork, Endpoint, NodeGroup, NodePlatform, NodeScaling,
    NodeTaint, PlatformAccess, PodIdentity, SupportType, TaintEffect, TenantClass, TenantClassSpec,
};
pub use tenant_cluster::{Hardening, Moved, TenantCluster, TenantClusterSpec};
pub use tenant_cluster_status::{
    BaselineStatus, ComponentVersion, DeletionStatus, Disruption, DrainStatus, FightStatus, ProbeCounts,
    ReportEntry, StepFailure, StepStatus, TenantClusterStatus, VersionStatus,
};
pub use upgrade_preference::{
    Acknowledgement, DeferralStatus, UpgradePreference, UpgradePreferenceSpec, UpgradePreferenceStatus,
};
pub use version_calendar::{VersionCalendar, VersionCalendarSpec};
pub use version_channel::{ChannelUpgrades, OfferedVersion, VersionChannel, VersionChannelSpec};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

/// The definitions of every kind, in the order in which a reader meets them.
pub fn definitions() -> Vec<CustomResourceDefinition> {
    vec![
        Fleet::crd(),
        Tenant::crd(),
        TenantClass::crd(),
        TenantCluster::crd(),
        Baseline::crd(),
        VersionChannel::crd(),
        ControlException::crd(),
        Rollout::crd(),
        RolloutMember::crd(),
        Approval::crd(),
        UpgradePreference::crd(),
        VersionCalendar::crd(),
    ]
}
