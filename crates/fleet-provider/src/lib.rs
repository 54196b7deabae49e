//! The seam to whatever makes tenant clusters: one trait, its error classes, a fake that injects faults.

mod error;
#[cfg(feature = "fake")]
pub mod fake;
mod judgement;

pub use judgement::{Judgement, is_ours, judge, reads_for};

pub use error::{ErrorClass, ProviderError};
pub use fleet_api::eks::Focus;

use async_trait::async_trait;
use fleet_api::{
    eks::{ClusterTarget, EksObservation, EksVersionOffer},
    step::{Outcome, Step},
};

/// Makes and changes clusters. An implementation makes no choice: it reads, or it carries out one step.
#[async_trait]
pub trait ClusterProvider: Send + Sync {
    /// Reads what there is. What cannot be read is `Unknown` in the observation; an error means that not even the
    /// cluster could be asked for.
    async fn observe(&self, target: &ClusterTarget, focus: &Focus) -> Result<EksObservation, ProviderError>;

    /// Carries out one step if the world is as the step expects, and changes nothing if it is not
    /// ([`ErrorClass::WorldMoved`]).
    async fn carry_out(&self, target: &ClusterTarget, step: &Step) -> Result<Outcome, ProviderError>;

    /// Every minor that the cloud of the target's region offers or ever offered, oldest first.
    async fn calendar(&self, target: &ClusterTarget) -> Result<Vec<EksVersionOffer>, ProviderError>;

    /// A bearer token for the cluster's API server, and when it ends. Nothing is sent to make one.
    async fn token(&self, target: &ClusterTarget) -> Result<ClusterToken, ProviderError>;
}

/// A short-lived bearer token. It is never logged: `Debug` hides it.
#[derive(Clone)]
pub struct ClusterToken {
    /// The token.
    pub secret: String,
    /// When it stops working.
    pub expires_at: jiff::Timestamp,
}

impl std::fmt::Debug for ClusterToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterToken").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}
