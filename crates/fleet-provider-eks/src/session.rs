//! One session for each role, external id and region: its clients, its credentials, and its share of the
//! account's calls.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
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

/// How long a session that nobody asks for is kept. Clusters are observed far more often; what is older belongs to a
/// tenant that is gone, or to another controller.
const IDLE: Duration = Duration::from_secs(60 * 60);

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
    open: Mutex<HashMap<SessionKey, Open>>,
    paces: Mutex<HashMap<(String, String), Arc<Pace>>>,
    caches: Mutex<HashMap<(String, String), Arc<Cache>>>,
}

/// A session, and when it was last asked for.
#[derive(Debug)]
struct Open {
    session: Session,
    asked: Instant,
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

    /// The session for a target. Nothing is sent. Making a new one drops those that nobody has asked for in a while, so
    /// that a fleet of tenants that come and go does not gather clients.
    pub(crate) fn of(&self, target: &ClusterTarget) -> Session {
        self.of_at(target, Instant::now())
    }

    fn of_at(&self, target: &ClusterTarget, now: Instant) -> Session {
        let key = SessionKey {
            role: Role::for_tenant(&target.role_arn, Some(&target.external_id), &target.tenant),
            account: target.account.clone(),
            region: target.region.clone(),
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = open.get_mut(&key) {
            open.asked = now;
            return open.session.clone();
        }
        open.retain(|_, open| now.duration_since(open.asked) < IDLE);
        let session = self.begin(&key);
        open.insert(key, Open { session: session.clone(), asked: now });
        session
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

#[cfg(test)]
mod tests {
    use super::*;

    fn target(tenant: &str) -> ClusterTarget {
        ClusterTarget {
            account: "111122223333".to_owned(),
            region: "eu-central-1".to_owned(),
            role_arn: "arn:aws:iam::111122223333:role/fleet-manager".to_owned(),
            external_id: format!("external-id-of-{tenant}"),
            tenant: tenant.to_owned(),
            cluster_name: format!("{tenant}-0a1b2c3d"),
            owner_uid: "uid".to_owned(),
        }
    }

    #[test]
    fn sessions_of_tenants_that_are_gone_are_dropped_and_those_in_use_are_kept() {
        let ambient = SdkConfig::builder().behavior_version(aws_config::BehaviorVersion::latest()).build();
        let sessions = Sessions::new(ambient, Rate::default()).unwrap();
        let begin = Instant::now();
        sessions.of_at(&target("gone"), begin);
        sessions.of_at(&target("here"), begin);
        sessions.of_at(&target("here"), begin + IDLE);
        sessions.of_at(&target("new"), begin + IDLE);
        let open = sessions.open.lock().unwrap();
        let mut tenants: Vec<String> = open.keys().filter_map(|key| key.role.external_id.clone()).collect();
        tenants.sort();
        assert_eq!(tenants, ["external-id-of-here", "external-id-of-new"]);
    }
}
