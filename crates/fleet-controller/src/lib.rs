//! The kube-rs loops of fleet: tenants to clusters, clusters to steps, steps to status.
//!
//! Each loop is a list of stages, one file each: what was seen is gathered, judged, planned, carried out, and told.
//! What is decided, is decided in `fleet-plan`; what is done, is done by `fleet-exec` and the providers.

mod admission;
pub mod args;
mod brake;
mod calendar;
pub mod clock;
mod context;
mod engines;
mod error;
mod events;
mod finalizer;
mod http;
pub mod lease;
pub mod manifests;
pub mod metrics;
mod pace;
mod permissions;
mod rollout;
pub mod run;
mod status;
pub mod telemetry;
mod tenant;
mod tenant_cluster;
mod triggers;
mod watch;
mod written;

pub use manifests::{access, manifests};
