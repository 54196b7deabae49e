//! One instant query to a Prometheus server.
//!
//! The URL comes from a rollout's spec. Whoever may write one must not make the controller ask addresses that only the
//! controller reaches: the addresses behind the URL are judged at every connect, no redirect is followed, and of the
//! answer only whether its samples are 0 is ever told. A token is sent with the one request to that URL, and with no other.

use std::{fmt, time::Duration};

use bytes::Bytes;
use fleet_api::prometheus::{Server, UrlError};
use http::{HeaderValue, Request, Uri, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::remote::{AddressError, Addresses, GuardedResolver, crypto_provider};

/// How long a query may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// The longest answer in bytes.
const ANSWER: usize = 1024 * 1024;

/// A query that could not be made. It opens no gate, and fails none.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The URL is none that may be asked.
    #[error("the URL cannot be asked: {0}")]
    Url(&'static str),
    /// The address is one that may not be asked.
    #[error("the URL cannot be asked")]
    Address(#[source] AddressError),
    /// The system's certificate authorities cannot be read.
    #[error("TLS cannot be set up")]
    Tls(#[source] std::io::Error),
    /// Nobody answered.
    #[error("Prometheus does not answer")]
    Transport(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No answer in time.
    #[error("Prometheus does not answer within {} s", PATIENCE.as_secs())]
    Timeout,
    /// The answer is an error.
    #[error("Prometheus answers with {status}")]
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// The answer is none that Prometheus gives to an instant query.
    #[error("the answer is none of an instant query: {0}")]
    Garbage(&'static str),
}

/// A token that a server asks for. It is never shown, not even to whoever debugs.
#[derive(Clone)]
pub struct BearerToken(HeaderValue);

/// What stands in the place of a token is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is empty, or has characters that no header can carry")]
pub struct TokenError;

impl BearerToken {
    /// Takes a token as files and Secrets hold it, with or without a line's end.
    ///
    /// # Errors
    /// It is empty, or no header can carry it.
    pub fn new(token: &[u8]) -> Result<Self, TokenError> {
        let token = token.trim_ascii();
        if token.is_empty() {
            return Err(TokenError);
        }
        let mut value = HeaderValue::from_bytes(&[b"Bearer ", token].concat()).map_err(|_| TokenError)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(…)")
    }
}

/// Asks a query, and tells whether there is a result of which every sample is not 0, and how many samples there are.
///
/// # Errors
/// The query could not be made.
pub async fn query(
    url: &str,
    query: &str,
    addresses: Addresses,
    token: Option<BearerToken>,
) -> Result<(bool, usize), QueryError> {
    let uri = uri_of(url, query, addresses)?;
    let mut tcp = HttpConnector::new_with_resolver(GuardedResolver { addresses });
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(PATIENCE));
    let builder = hyper_rustls::HttpsConnectorBuilder::new();
    let builder = if uri.scheme() == Some(&http::uri::Scheme::HTTPS) {
        builder.with_provider_and_native_roots(crypto_provider()).map_err(QueryError::Tls)?
    } else {
        // Without TLS nobody has to be trusted, and the machine need not have any authorities.
        builder.with_tls_config(without_roots()?)
    };
    let https = builder.https_or_http().enable_http1().wrap_connector(tcp);
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build(https);
    let mut request = Request::get(uri)
        .header(header::ACCEPT, "application/json")
        .body(Empty::new())
        .map_err(|error| QueryError::Transport(Box::new(error)))?;
    if let Some(BearerToken(value)) = token {
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    let ask = async {
        let response =
            client.request(request).await.map_err(|error| QueryError::Transport(Box::new(error)))?;
        let status = response.status();
        if !status.is_success() {
            return Err(QueryError::Refused { status: status.as_u16() });
        }
        let body = Limited::new(response.into_body(), ANSWER).collect().await;
        Ok(body.map_err(QueryError::Transport)?.to_bytes())
    };
    let body = tokio::time::timeout(PATIENCE, ask).await.map_err(|_| QueryError::Timeout)??;
    let answer = serde_json::from_slice(&body).map_err(|_| QueryError::Garbage("it is no JSON"))?;
    judge(&answer)
}

fn without_roots() -> Result<rustls::ClientConfig, QueryError> {
    Ok(rustls::ClientConfig::builder_with_provider(crypto_provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| QueryError::Tls(std::io::Error::other(error)))?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth())
}

/// The address of the query API behind a server's URL, which may have a path of its own.
fn uri_of(url: &str, query: &str, addresses: Addresses) -> Result<Uri, QueryError> {
    let server = Server::parse(url, addresses).map_err(|error| match error {
        UrlError::Text(why) => QueryError::Url(why),
        UrlError::Address(error) => QueryError::Address(error),
    })?;
    let query = utf8_percent_encode(query, NON_ALPHANUMERIC);
    server.url(&format!("/api/v1/query?query={query}")).parse().map_err(|_| QueryError::Url("it is no URL"))
}

fn judge(answer: &Value) -> Result<(bool, usize), QueryError> {
    if answer.get("status").and_then(Value::as_str) != Some("success") {
        return Err(QueryError::Garbage("its status is not `success`"));
    }
    let result = answer.pointer("/data/result").and_then(Value::as_array);
    let result = result.ok_or(QueryError::Garbage("it has no result"))?;
    let samples: Vec<&Value> = match answer.pointer("/data/resultType").and_then(Value::as_str) {
        Some("scalar") => result.get(1).into_iter().collect(),
        Some("vector") => result.iter().filter_map(|series| series.pointer("/value/1")).collect(),
        _ => return Err(QueryError::Garbage("it is neither a scalar nor a vector")),
    };
    let number = |sample: &&Value| sample.as_str().and_then(|text| text.parse::<f64>().ok());
    let passes =
        samples.iter().all(|sample| number(sample).is_some_and(|value| value != 0.0 && !value.is_nan()));
    Ok((passes && !samples.is_empty(), samples.len()))
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_result_passes_when_it_is_there_and_nothing_in_it_is_zero() {
        let vector = |values: &[&str]| {
            let result: Vec<Value> =
                values.iter().map(|value| json!({ "metric": {}, "value": [1.0, value] })).collect();
            json!({ "status": "success", "data": { "resultType": "vector", "result": result } })
        };
        let table = [
            (vector(&["1"]), Some((true, 1))),
            (vector(&["1", "0"]), Some((false, 2))),
            (vector(&["NaN"]), Some((false, 1))),
            (vector(&[]), Some((false, 0))),
            (
                json!({ "status": "success", "data": { "resultType": "scalar", "result": [1.0, "3"] } }),
                Some((true, 1)),
            ),
            (json!({ "status": "success", "data": { "resultType": "matrix", "result": [] } }), None),
            (json!({ "status": "error" }), None),
            (json!([]), None),
        ];
        for (answer, passes) in table {
            assert_eq!(judge(&answer).ok(), passes, "{answer}");
        }
    }

    #[test]
    fn only_addresses_that_everybody_reaches_are_asked() {
        let uri = |url: &str| uri_of(url, "a < bool 1", Addresses::PUBLIC);
        assert_eq!(
            uri("https://prometheus.example.com/mimir/").unwrap().to_string(),
            "https://prometheus.example.com/mimir/api/v1/query?query=a%20%3C%20bool%201"
        );
        for url in [
            "http://169.254.169.254",
            "http://[fd00:ec2::254]/",
            "http://127.0.0.1:9090",
            "https://10.0.0.1",
            "https://user:secret@example.com",
            "https://example.com/?a=b",
            "file:///etc/passwd",
            "example.com",
        ] {
            assert!(uri(url).is_err(), "{url}");
        }
    }

    /// A server that gives one answer, and the head of the request that it was asked with.
    async fn serve(answer: &str) -> (String, tokio::task::JoinHandle<String>) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answer = answer.to_owned();
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = String::new();
            while !asked.ends_with("\r\n\r\n") {
                let mut some = vec![0; 4096];
                let read = stream.read(&mut some).await.unwrap();
                asked.push_str(std::str::from_utf8(&some[..read]).unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            asked
        });
        (url, served)
    }

    fn answer_of_one() -> String {
        let body =
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"1"]}]}}"#;
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    }

    #[tokio::test]
    async fn a_query_is_one_request() {
        let (url, served) = serve(&answer_of_one()).await;
        assert_eq!(query(&url, "up == 1", Addresses::LOCAL, None).await.unwrap(), (true, 1));
        let asked = served.await.unwrap();
        assert!(asked.starts_with("GET /api/v1/query?query=up%20%3D%3D%201 HTTP/1.1\r\n"), "{asked}");
        assert!(!asked.to_lowercase().contains("authorization"), "{asked}");
    }

    #[tokio::test]
    async fn the_name_of_this_machine_is_refused_as_a_url_and_again_when_it_is_resolved() {
        let own = query("http://localhost:1", "up", Addresses::PUBLIC, None).await.unwrap_err();
        assert!(matches!(own, QueryError::Url(_)), "{own}");
        let name = "localhost".parse().unwrap();
        let mut resolver = GuardedResolver { addresses: Addresses::PUBLIC };
        let refused = tower::Service::call(&mut resolver, name).await.unwrap_err();
        assert!(refused.to_string().contains("the machine's own address"), "{refused}");
    }

    #[tokio::test]
    async fn a_token_goes_to_the_server_that_is_asked_and_along_no_redirect() {
        let token = || Some(BearerToken::new(b"s3cret\n").unwrap());
        let (url, served) = serve(&answer_of_one()).await;
        assert_eq!(query(&url, "up", Addresses::LOCAL, token()).await.unwrap(), (true, 1));
        let asked = served.await.unwrap();
        assert!(asked.contains("authorization: Bearer s3cret\r\n"), "{asked}");

        let elsewhere = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let away = format!(
            "HTTP/1.1 302 Found\r\nLocation: http://{}/\r\nContent-Length: 0\r\n\r\n",
            elsewhere.local_addr().unwrap()
        );
        let (url, served) = serve(&away).await;
        let refused = query(&url, "up", Addresses::LOCAL, token()).await.unwrap_err();
        assert!(matches!(refused, QueryError::Refused { status: 302 }), "{refused}");
        served.await.unwrap();
        assert!(elsewhere.accept().now_or_never().is_none(), "nobody went where the redirect points");
    }

    #[test]
    fn a_token_is_never_shown_and_what_is_none_is_refused() {
        let token = BearerToken::new(b"s3cret").unwrap();
        assert!(!format!("{token:?} {:?}", token.0).contains("s3cret"));
        for none in [&b""[..], b" \n", b"two\r\nX-Lines: 1"] {
            assert_eq!(BearerToken::new(none).unwrap_err(), TokenError);
        }
    }
}
