//! One session for each role, external id and region: its clients, its credentials, and its share of the
//! account's calls.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use aws_config::{Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_eks::config::{IdentityCache, SharedCredentialsProvider, retry::RetryPartition};
use fleet_api::eks::ClusterTarget;
use fleet_provider::ErrorClass;
use futures::future::BoxFuture;

use crate::{
    bucket::{Pace, Rate},
    cache::Cache,
    credentials::{AssumedRole, Role},
    endpoint::Endpoints,
    error::CallError,
    signed::{Call, SignedClient},
};

/// Clients and credentials for the calls to one account and region as one role.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) eks: aws_sdk_eks::Client,
    pub(crate) endpoints: Endpoints,
    pub(crate) cache: Arc<Cache>,
    role: AssumedRole,
    pace: Arc<Pace>,
    signed: SignedClient,
}

impl Session {
    /// The credentials of the role.
    pub(crate) async fn credentials(&self) -> Result<Credentials, CallError> {
        self.role.credentials(SystemTime::now()).await
    }

    /// Makes a call of the EKS client when it is this session's turn, and tells everybody when it was throttled.
    ///
    /// The call comes in a box: the SDK's futures are large, and many of them in one would not fit a thread's
    /// stack.
    pub(crate) async fn call<T>(&self, call: BoxFuture<'_, Result<T, CallError>>) -> Result<T, CallError> {
        // The SDK reports credentials that cannot be had as a request that could not be sent. Asked for here,
        // their absence keeps its own reason.
        self.credentials().await?;
        self.pace.turn().await;
        self.heed(call.await).await
    }

    /// Makes a call of one of the small services.
    pub(crate) async fn send(&self, call: &Call) -> Result<String, CallError> {
        let credentials = self.credentials().await?;
        self.pace.turn().await;
        let answer = Box::pin(self.signed.send(call, &self.endpoints, &credentials)).await;
        self.heed(answer).await
    }

    async fn heed<T>(&self, answer: Result<T, CallError>) -> Result<T, CallError> {
        if let Err(error) = &answer {
            if error.class == ErrorClass::Throttled {
                self.pace.throttled();
            }
            if error.is_about_credentials() {
                self.role.forget().await;
            }
        }
        answer
    }
}

/// All sessions, made when they are first asked for.
#[derive(Debug)]
pub(crate) struct Sessions {
    ambient: SdkConfig,
    rate: Rate,
    signed: SignedClient,
    open: Mutex<HashMap<SessionKey, Session>>,
    paces: Mutex<HashMap<(String, String), Arc<Pace>>>,
    caches: Mutex<HashMap<(String, String), Arc<Cache>>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct SessionKey {
    role: Role,
    account: String,
    region: String,
}

impl Sessions {
    pub(crate) fn new(ambient: SdkConfig, rate: Rate) -> std::io::Result<Self> {
        Ok(Self {
            signed: SignedClient::new(ambient.retry_config())?,
            ambient,
            rate,
            open: Mutex::default(),
            paces: Mutex::default(),
            caches: Mutex::default(),
        })
    }

    /// The session for a target. Nothing is sent.
    pub(crate) fn of(&self, target: &ClusterTarget) -> Session {
        let key = SessionKey {
            role: Role::for_tenant(&target.role_arn, Some(&target.external_id), &target.tenant),
            account: target.account.clone(),
            region: target.region.clone(),
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.entry(key).or_insert_with_key(|key| self.begin(key)).clone()
    }

    fn begin(&self, key: &SessionKey) -> Session {
        let SessionKey { role, account, region } = key;
        // Retries of one tenant must not use up those of another, nor those of another account or region.
        let partition =
            format!("{account}-{region}-{}", role.external_id.as_deref().unwrap_or(&role.session_name));
        let config = self.ambient.to_builder().region(Region::new(region.clone())).build();
        let assumed = AssumedRole::new(&config, role.clone(), format!("sts-{partition}"));
        let eks = aws_sdk_eks::config::Builder::from(&config)
            .credentials_provider(SharedCredentialsProvider::new(assumed.clone()))
            .identity_cache(IdentityCache::no_cache())
            .retry_partition(RetryPartition::new(format!("eks-{partition}")))
            .build();
        let place = (account.clone(), region.clone());
        let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        let mut caches = self.caches.lock().unwrap_or_else(PoisonError::into_inner);
        Session {
            eks: aws_sdk_eks::Client::from_conf(eks),
            endpoints: Endpoints::new(region, self.ambient.endpoint_url()),
            cache: Arc::clone(caches.entry(place.clone()).or_default()),
            role: assumed,
            pace: Arc::clone(paces.entry(place).or_insert_with(|| Arc::new(Pace::new(self.rate)))),
            signed: self.signed.clone(),
        }
    }
}
