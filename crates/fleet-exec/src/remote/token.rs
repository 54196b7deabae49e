//! Bearer tokens that renew themselves in the process, before they end.

use std::{error::Error, sync::Arc, time::Duration};

use async_trait::async_trait;
use fleet_api::eks::ClusterTarget;
use fleet_provider::{ClusterProvider, ClusterToken};
use jiff::SignedDuration;
use tokio::sync::Mutex;

use super::fault::{Fault, shorten};
use crate::clock::Clock;

/// How long before its end a token is replaced. EKS tokens live 15 minutes and clients count 14.
const RENEW_BEFORE: SignedDuration = SignedDuration::from_secs(90);
/// How long making a token may take.
const MAKING: Duration = Duration::from_secs(30);

/// Makes tokens for one cluster.
#[async_trait]
pub trait TokenSource: Send + Sync {
    /// A fresh token.
    ///
    /// # Errors
    /// No token can be made, for example because the role cannot be assumed.
    async fn token(&self) -> Result<ClusterToken, Box<dyn Error + Send + Sync>>;
}

/// Tokens from a provider, for one of its clusters.
pub struct ProviderTokens {
    /// The provider.
    pub provider: Arc<dyn ClusterProvider>,
    /// The cluster.
    pub target: ClusterTarget,
}

#[async_trait]
impl TokenSource for ProviderTokens {
    async fn token(&self) -> Result<ClusterToken, Box<dyn Error + Send + Sync>> {
        Ok(self.provider.token(&self.target).await?)
    }
}

/// Holds the current token of one cluster.
pub(crate) struct TokenCache {
    source: Arc<dyn TokenSource>,
    clock: Clock,
    current: Mutex<Option<ClusterToken>>,
}

impl TokenCache {
    pub(crate) fn new(source: Arc<dyn TokenSource>, clock: Clock) -> Self {
        Self { source, clock, current: Mutex::new(None) }
    }

    /// The current token, made anew when there is none or it is about to end. Callers that come together wait
    /// for one making.
    pub(crate) async fn get(&self) -> Result<ClusterToken, Fault> {
        let mut current = self.current.lock().await;
        let now = (self.clock)();
        if let Some(token) = current.as_ref()
            && token.expires_at.duration_since(now) > RENEW_BEFORE
        {
            return Ok(token.clone());
        }
        let made = tokio::time::timeout(MAKING, self.source.token())
            .await
            .map_err(|_| Fault::Unauthorized { detail: "making a token took too long".to_owned() })?;
        let token = made.map_err(|error| Fault::Unauthorized {
            detail: format!("no token could be made: {}", shorten(&chain(error.as_ref()))),
        })?;
        *current = Some(token.clone());
        Ok(token)
    }

    /// Forgets a token that the API server did not accept, unless it has been replaced already.
    pub(crate) async fn forget(&self, refused: &ClusterToken) {
        let mut current = self.current.lock().await;
        if current.as_ref().is_some_and(|token| token.secret == refused.secret) {
            *current = None;
        }
    }
}

/// An error with everything below it, on one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex as StdMutex,
        atomic::{AtomicI64, AtomicU32, Ordering},
    };

    use jiff::Timestamp;

    use super::*;

    struct Counting {
        made: AtomicU32,
        ends: StdMutex<Timestamp>,
    }

    #[async_trait]
    impl TokenSource for Counting {
        async fn token(&self) -> Result<ClusterToken, Box<dyn Error + Send + Sync>> {
            let made = self.made.fetch_add(1, Ordering::SeqCst);
            Ok(ClusterToken { secret: format!("token-{made}"), expires_at: *self.ends.lock().unwrap() })
        }
    }

    #[tokio::test]
    async fn a_token_is_made_once_and_again_before_it_ends_or_when_it_was_refused() {
        let start = Timestamp::from_second(1_000_000).unwrap();
        let passed = Arc::new(AtomicI64::new(0));
        let clock: Clock = {
            let passed = Arc::clone(&passed);
            Arc::new(move || start + SignedDuration::from_secs(passed.load(Ordering::SeqCst)))
        };
        let end = start + SignedDuration::from_mins(14);
        let source = Arc::new(Counting { made: AtomicU32::new(0), ends: StdMutex::new(end) });
        let cache = TokenCache::new(source.clone(), clock);

        let (first, second) = tokio::join!(cache.get(), cache.get());
        assert_eq!(first.unwrap().secret, "token-0");
        assert_eq!(second.unwrap().secret, "token-0");

        passed.store(13 * 60, Ordering::SeqCst);
        *source.ends.lock().unwrap() = end + SignedDuration::from_mins(14);
        let renewed = cache.get().await.unwrap();
        assert_eq!(renewed.secret, "token-1");

        cache.forget(&renewed).await;
        cache.forget(&renewed).await;
        assert_eq!(cache.get().await.unwrap().secret, "token-2");
        assert!(!format!("{renewed:?}").contains("token-1"), "a token never shows in Debug");
    }
}
