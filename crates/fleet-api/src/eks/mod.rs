//! EKS in fleet's words: what is observed, and what can be done. No SDK type appears here.

mod action;
pub mod durations;
mod focus;
mod observation;
mod part;
mod target;

pub use action::{
    AccessEntryRequest, AddonRequest, ConfigChange, CreateClusterRequest, EksAction, LaunchTemplateRequest,
    NodegroupRequest, PodIdentityRequest,
};
pub use focus::Focus;
pub use observation::{
    AddonOffer, DeprecatedUse, EksAccessEntry, EksAddon, EksCluster, EksClusterStatus, EksInsight,
    EksLaunchTemplate, EksNodegroup, EksObservation, EksPodIdentity, EksSubnet, EksUpdate, EksUpdateStatus,
    EksVersionOffer, HealthIssue, Leftover, PartStatus, PolicyAssociation, SupportStatus,
};
pub use part::{Part, PartError};
pub use target::ClusterTarget;
