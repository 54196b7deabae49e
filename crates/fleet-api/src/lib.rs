//! The vocabulary of fleet: custom resources, newtypes, conditions, and what plans are made of.
//!
//! Everything else in the workspace speaks in these words. The crate holds no client, no async code and no
//! clock, so that the functional core, the command line and tools that only read specs can share it.

pub mod addresses;
pub mod conditions;
pub mod eks;
pub mod images;
pub mod inside;
pub mod labels;
pub mod names;
pub mod prometheus;
pub mod receipt;
pub mod selector;
pub mod step;
pub mod text;
pub mod v1alpha1;
pub mod versions;

pub use names::{ClusterName, NameError, TenantName};
pub use versions::{KubernetesVersion, VersionError};

/// The API group of every custom resource of fleet.
pub const GROUP: &str = "tenantfleet.dev";
/// The one API version that is served and stored.
pub const VERSION: &str = "v1alpha1";
/// Group and version, as manifests write them.
pub const API_VERSION: &str = "tenantfleet.dev/v1alpha1";
