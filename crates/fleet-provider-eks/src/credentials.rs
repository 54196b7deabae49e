//! As whom calls are made: the ambient credentials, and the roles that are assumed with them.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_config::{BehaviorVersion, Region, SdkConfig, timeout::TimeoutConfig};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future},
};
use aws_sdk_sts::config::retry::{RetryConfig, RetryPartition};
use fleet_provider::ErrorClass;
use tokio::sync::Mutex;

use crate::error::{CallError, from_sdk};

/// How often the SDK tries a call. Five throttles in a row were seen to pass with it and to fail with three.
pub(crate) const ATTEMPTS: u32 = 6;

/// The limits of every call: to connect, for one try, and with all tries.
pub(crate) fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .operation_attempt_timeout(Duration::from_secs(20))
        .operation_timeout(Duration::from_secs(90))
        .build()
}

/// Reads region, credentials and `AWS_ENDPOINT_URL` from where the AWS tools find them: environment, profile,
/// web identity, container, instance.
pub async fn ambient_config(region: Option<&str>) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(timeouts());
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    loader.load().await
}

/// A role to assume.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Role {
    /// The role's ARN.
    pub arn: String,
    /// What its trust policy demands against confused deputies.
    pub external_id: Option<String>,
    /// The name of the session, which CloudTrail shows.
    pub session_name: String,
}

impl Role {
    /// A role with a session name from a tenant's name: `fleet-TENANT`, cut to the 64 characters of STS.
    pub fn for_tenant(arn: &str, external_id: Option<&str>, tenant: &str) -> Self {
        let session_name = format!("fleet-{tenant}").chars().take(64).collect();
        Self { arn: arn.to_owned(), external_id: external_id.map(str::to_owned), session_name }
    }
}

/// Credentials could not be had.
#[derive(Debug, thiserror::Error)]
#[error("getting credentials{} failed", .role.as_deref().map(|role| format!(" for {role}")).unwrap_or_default())]
pub struct CredentialsUnavailable {
    /// What to do about it.
    pub class: ErrorClass,
    /// The role that was to be assumed.
    pub role: Option<String>,
    /// Why.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// The ambient credentials, or those of a role assumed with them: what `fleet token` signs with.
pub async fn ambient(region: &str, role: Option<&Role>) -> Result<Credentials, CredentialsUnavailable> {
    let config = ambient_config(Some(region)).await;
    match role {
        Some(role) => {
            let assumed = AssumedRole::new(&config, role.clone(), format!("sts-cli-{region}"));
            assumed.assume().await.map_err(|error| CredentialsUnavailable {
                class: error.class,
                role: Some(role.arn.clone()),
                source: Box::new(error),
            })
        }
        None => {
            let unavailable =
                |source| CredentialsUnavailable { class: ErrorClass::Denied, role: None, source };
            let provider = config
                .credentials_provider()
                .ok_or_else(|| unavailable("no source of credentials is configured".into()))?;
            provider.provide_credentials().await.map_err(|error| unavailable(Box::new(error)))
        }
    }
}

/// Assumes one role, keeps the credentials, and renews them a while before they end.
///
/// The SDK's own provider keeps nothing, and all its clients of a region share one bucket of retries: a tenant
/// whose role is throttled would starve every other.
#[derive(Clone)]
pub(crate) struct AssumedRole {
    inner: Arc<Inner>,
}

struct Inner {
    role: Role,
    ambient: Option<SharedCredentialsProvider>,
    sts: aws_sdk_sts::Client,
    kept: Mutex<Option<Credentials>>,
}

/// Renew when less than this is left.
const RENEW_BEFORE: Duration = Duration::from_secs(5 * 60);

impl AssumedRole {
    /// Assumes the role with the credentials of `config`; retries count in a partition of this name.
    pub(crate) fn new(config: &SdkConfig, role: Role, partition: String) -> Self {
        let sts = aws_sdk_sts::config::Builder::from(config)
            .retry_partition(RetryPartition::new(partition))
            .build();
        let sts = aws_sdk_sts::Client::from_conf(sts);
        let ambient = config.credentials_provider();
        Self { inner: Arc::new(Inner { role, ambient, sts, kept: Mutex::new(None) }) }
    }

    /// The credentials, fresh enough to sign with.
    pub(crate) async fn credentials(&self, now: SystemTime) -> Result<Credentials, CallError> {
        let mut kept = self.inner.kept.lock().await;
        if let Some(credentials) = kept.as_ref()
            && credentials.expiry().is_none_or(|end| end > now + RENEW_BEFORE)
        {
            return Ok(credentials.clone());
        }
        let credentials = self.assume().await?;
        *kept = Some(credentials.clone());
        Ok(credentials)
    }

    /// Forgets the credentials, as after an answer that they are no good.
    pub(crate) async fn forget(&self) {
        *self.inner.kept.lock().await = None;
    }

    async fn assume(&self) -> Result<Credentials, CallError> {
        let Inner { role, ambient, sts, kept: _ } = self.inner.as_ref();
        // The SDK would report these as a service that could not be reached.
        if let Some(provider) = ambient {
            provider.provide_credentials().await.map_err(no_credentials)?;
        }
        let answer = sts
            .assume_role()
            .role_arn(&role.arn)
            .set_external_id(role.external_id.clone())
            .role_session_name(&role.session_name)
            .send()
            .await
            .map_err(|error| from_sdk("AssumeRole", error))?;
        let keys = answer.credentials.ok_or_else(|| CallError {
            class: ErrorClass::Unknown,
            operation: "AssumeRole",
            code: None,
            message: Some("the answer holds no credentials".to_owned()),
            source: None,
        })?;
        Ok(Credentials::new(
            keys.access_key_id,
            keys.secret_access_key,
            Some(keys.session_token),
            SystemTime::try_from(keys.expiration).ok(),
            "fleet-assumed-role",
        ))
    }
}

/// The process has no credentials of its own to assume a role with.
fn no_credentials(error: CredentialsError) -> CallError {
    let passes = matches!(error, CredentialsError::ProviderTimedOut(_));
    CallError {
        class: if passes { ErrorClass::Transient } else { ErrorClass::Denied },
        operation: "AssumeRole",
        code: None,
        message: Some("no credentials were found to assume the role with".to_owned()),
        source: Some(Box::new(error)),
    }
}

impl std::fmt::Debug for AssumedRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AssumedRole").field("role", &self.inner.role).finish_non_exhaustive()
    }
}

impl ProvideCredentials for AssumedRole {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            self.credentials(SystemTime::now()).await.map_err(CredentialsError::provider_error)
        })
    }
}
