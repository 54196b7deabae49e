//! Whom a Prometheus gate asks: what the Fleet's list allows, and the token that the server asks for.

use fleet_api::{
    labels::{PROMETHEUS_SECRET, SYSTEM_NAMESPACE},
    v1alpha1::PrometheusServer,
};
use fleet_exec::{
    gates::{BearerToken, QueryError, TokenError, query},
    remote::Addresses,
};
use fleet_spec::prometheus::{ServerUrl, listed};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};

/// A server as it may be asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Server {
    url: String,
    /// Which addresses may be behind the URL.
    addresses: Addresses,
    /// The key of the token.
    token_key: Option<String>,
}

/// A check that could not be made. It opens no gate, and fails none.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// The Secret cannot be read.
    #[error("the Secret {SYSTEM_NAMESPACE}/{PROMETHEUS_SECRET} with the server's token cannot be read")]
    Secret(#[source] Box<kube::Error>),
    /// The Secret does not have the key.
    #[error("the Secret {SYSTEM_NAMESPACE}/{PROMETHEUS_SECRET} has no key `{0}`")]
    NoKey(String),
    /// What it has is no token.
    #[error("what the Secret {SYSTEM_NAMESPACE}/{PROMETHEUS_SECRET} has under `{key}` is no token")]
    NoToken {
        /// The key.
        key: String,
        /// Why not.
        #[source]
        source: TokenError,
    },
    /// Somebody else could read it.
    #[error("the server's token is not sent, as anybody on the way could read it: its URL has to be https")]
    Exposed,
    /// The query could not be made.
    #[error(transparent)]
    Query(#[from] QueryError),
}

impl Server {
    /// The server behind a gate's URL. One of the Fleet's list may have a private address, and gets its token; any other
    /// is asked at public addresses and without one. The machine's own addresses are for the sandbox and for tests, whose
    /// controller says so in `own`.
    pub(super) fn of(url: &str, servers: &[PrometheusServer], own: Addresses) -> Self {
        let known = listed(servers, url);
        Self {
            url: url.to_owned(),
            addresses: Addresses { private: known.is_some(), loopback: own.loopback },
            token_key: known.and_then(|server| server.token_key.clone()),
        }
    }

    /// Asks a query.
    ///
    /// # Errors
    /// The token cannot be had, or the query could not be made.
    pub(super) async fn ask(&self, client: &Client, asked: &str) -> Result<(bool, usize), AskError> {
        let token = match &self.token_key {
            // A Fleet that nobody has validated may say so.
            Some(_) if ServerUrl::parse(&self.url).is_ok_and(|url| url.exposes_tokens()) => {
                return Err(AskError::Exposed);
            }
            Some(key) => Some(token(client, key).await?),
            None => None,
        };
        Ok(query(&self.url, asked, self.addresses, token).await?)
    }
}

/// The token under a key. It is read anew for each query, so that one that was replaced is used at once, and none is kept.
async fn token(client: &Client, key: &str) -> Result<BearerToken, AskError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), SYSTEM_NAMESPACE);
    let secret = api.get(PROMETHEUS_SECRET).await.map_err(|error| AskError::Secret(Box::new(error)))?;
    let found = secret.data.as_ref().and_then(|data| data.get(key));
    let found = found.ok_or_else(|| AskError::NoKey(key.to_owned()))?;
    BearerToken::new(&found.0).map_err(|source| AskError::NoToken { key: key.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_of_the_list_is_asked_at_private_addresses_and_gets_a_token() {
        let listed = [PrometheusServer {
            url: "http://10.0.0.5:9090/prometheus".to_owned(),
            token_key: Some("platform".to_owned()),
        }];
        let of = |url: &str, own| Server::of(url, &listed, own);
        let known = of("http://10.0.0.5:9090/prometheus/eu", Addresses::PROVIDER);
        assert_eq!(known.addresses, Addresses { private: true, loopback: false });
        assert_eq!(known.token_key.as_deref(), Some("platform"));
        for other in
            ["http://10.0.0.6:9090/prometheus", "http://10.0.0.5:9090", "https://10.0.0.5:9090/prometheus"]
        {
            let other = of(other, Addresses::PROVIDER);
            assert_eq!((other.addresses, &other.token_key), (Addresses::PUBLIC, &None), "{other:?}");
        }
        let sandbox = of("http://127.0.0.1:9090", Addresses::LOCAL);
        assert_eq!(sandbox.addresses, Addresses { private: false, loopback: true });
    }

    #[tokio::test]
    async fn what_may_not_be_asked_or_sent_is_refused_before_anything_is_asked() {
        // Where a token is read, the client without a server fails.
        let config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        let client = Client::try_from(config).unwrap();
        let listed = ["http://10.0.0.5", "http://mimir.example.com"]
            .map(|url| PrometheusServer { url: url.to_owned(), token_key: Some("t".to_owned()) });
        let ask = async |url: &str| Server::of(url, &listed, Addresses::LOCAL).ask(&client, "up").await;
        let other = ask("http://10.0.0.6").await;
        assert!(matches!(other, Err(AskError::Query(QueryError::Address(_)))), "{other:?}");
        let exposed = ask("http://mimir.example.com").await;
        assert!(matches!(exposed, Err(AskError::Exposed)), "{exposed:?}");
        let no_token = ask("http://10.0.0.5").await;
        assert!(matches!(no_token, Err(AskError::Secret(_))), "{no_token:?}");
    }
}
