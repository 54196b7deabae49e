//! The provider itself.

use async_trait::async_trait;
use aws_config::SdkConfig;
use fleet_api::{
    eks::{ClusterTarget, EksObservation, EksVersionOffer, Focus},
    step::{Action, Outcome, Step},
};
use fleet_provider::{ClusterProvider, ClusterToken, ErrorClass, ProviderError};
use jiff::Timestamp;

use crate::{
    bucket::Rate, carry_out::carry_out, credentials::ambient_config, observe::observe, read,
    session::Sessions, token::mint_token,
};

/// Makes and changes EKS clusters, each as the role of its class.
#[derive(Debug)]
pub struct EksProvider {
    sessions: Sessions,
}

impl EksProvider {
    /// A provider whose roles are assumed with the credentials of `ambient`, which also says where the services
    /// are (`AWS_ENDPOINT_URL`). `rate` is the pace for each account and region. Fails when the system has no
    /// certificate authorities.
    pub fn new(ambient: SdkConfig, rate: Rate) -> std::io::Result<Self> {
        Ok(Self { sessions: Sessions::new(ambient, rate)? })
    }

    /// A provider with the credentials and endpoints that the environment gives.
    pub async fn from_environment() -> std::io::Result<Self> {
        Self::new(ambient_config(None).await, Rate::default())
    }
}

#[async_trait]
impl ClusterProvider for EksProvider {
    async fn observe(&self, target: &ClusterTarget, focus: &Focus) -> Result<EksObservation, ProviderError> {
        let session = self.sessions.of(target);
        observe(&session, target, focus).await.map_err(|error| error.on(&target.cluster_name))
    }

    async fn carry_out(&self, target: &ClusterTarget, step: &Step) -> Result<Outcome, ProviderError> {
        match &step.action {
            Action::Eks(action) => carry_out(&self.sessions.of(target), target, step, action).await,
            Action::DrainWorkloads => Err(ProviderError {
                class: ErrorClass::Invalid,
                operation: "DrainWorkloads".to_owned(),
                cluster: target.cluster_name.clone(),
                code: None,
                message: Some("workloads are drained through the tenant's API server".to_owned()),
                source: None,
            }),
        }
    }

    async fn calendar(&self, target: &ClusterTarget) -> Result<Vec<EksVersionOffer>, ProviderError> {
        let session = self.sessions.of(target);
        read::calendar(&session).await.map_err(|error| error.on(&target.cluster_name))
    }

    async fn token(&self, target: &ClusterTarget) -> Result<ClusterToken, ProviderError> {
        let session = self.sessions.of(target);
        let credentials = session.credentials().await.map_err(|error| error.on(&target.cluster_name))?;
        mint_token(&credentials, &session.endpoints, &target.cluster_name, Timestamp::now()).map_err(
            |error| ProviderError {
                class: ErrorClass::Transient,
                operation: "GetCallerIdentity".to_owned(),
                cluster: target.cluster_name.clone(),
                code: None,
                message: Some("no token could be made".to_owned()),
                source: Some(Box::new(error)),
            },
        )
    }
}
