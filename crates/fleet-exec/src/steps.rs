//! Carries out one step of a plan. No choices are made here: what the step says is done, or nothing.

use fleet_api::{
    eks::ClusterTarget,
    step::{Action, Outcome, Step},
};
use fleet_provider::{ClusterProvider, ErrorClass, ProviderError};

use crate::{
    drain::{self, DrainLimits},
    remote::{Fault, Remote},
};

/// A step that was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The provider failed, or found another world than the step expects.
    #[error("step {step} failed")]
    Provider {
        /// The step's id.
        step: String,
        /// What happened.
        #[source]
        source: ProviderError,
    },
    /// The tenant's API server failed.
    #[error("step {step} failed at the tenant's API server")]
    Tenant {
        /// The step's id.
        step: String,
        /// What happened.
        #[source]
        source: Fault,
    },
    /// The step needs the tenant's API server, and there is no way to it yet.
    #[error("step {step} needs the tenant's API server, whose endpoint is not known")]
    NoWay {
        /// The step's id.
        step: String,
    },
}

impl StepError {
    /// What to do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Provider { source, .. } => source.class,
            Self::Tenant { source, .. } => match source {
                Fault::Throttled { .. } => ErrorClass::Throttled,
                Fault::Unauthorized { .. } => ErrorClass::Denied,
                Fault::Refused(status) if status.code == 403 => ErrorClass::Denied,
                Fault::Refused(_) | Fault::Garbage { .. } => ErrorClass::Unknown,
                Fault::Unreachable { .. } | Fault::Server { .. } => ErrorClass::Transient,
            },
            Self::NoWay { .. } => ErrorClass::Transient,
        }
    }
}

/// Carries out one step: through the tenant's API server where the step is about its objects, through the provider
/// otherwise. A drain that is not done when its patience ends is no error: its outcome names what is still there.
///
/// # Errors
/// The step was not carried out; [`StepError::class`] says what to do about it.
pub async fn carry_out(
    provider: &dyn ClusterProvider,
    tenant: Option<&Remote>,
    target: &ClusterTarget,
    step: &Step,
) -> Result<Outcome, StepError> {
    let id = || step.id.clone();
    match &step.action {
        Action::Eks(_) => provider
            .carry_out(target, step)
            .await
            .map_err(|source| StepError::Provider { step: id(), source }),
        Action::DrainWorkloads => {
            let tenant = tenant.ok_or_else(|| StepError::NoWay { step: id() })?;
            let remaining = drain::drain(tenant, &DrainLimits::default())
                .await
                .map_err(|source| StepError::Tenant { step: id(), source })?;
            let still_draining = remaining.iter().map(ToString::to_string).collect();
            Ok(Outcome { still_draining: Some(still_draining), ..Outcome::default() })
        }
    }
}
