//! The way to a tenant's API server: HTTP/2, one connection for watches and one for everything else, a token per
//! request that renews itself, and bounds on whatever comes back.
//!
//! kube's own client speaks HTTP/1.1 only, where every watch is a socket and a handshake of its own. Nothing here
//! is shared between tenants: no retry bucket, no connection, no limit. A tenant whose API server hangs, floods or
//! lies costs itself, and nobody else.

mod address;
mod body;
mod fault;
mod pace;
mod rest;
mod tls;
mod token;

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::time::Instant;

pub use address::{Endpoint, EndpointError};
pub use body::BoundedBody;
pub use fault::{Fault, Unreachable};
pub use fleet_api::addresses::{AddressError, Addresses};
pub use rest::{ListPage, Resource};

pub(crate) use rest::{Place, Writing};
pub use tls::{ConnectError, Identity, pem_from_base64};
pub use token::{ProviderTokens, TokenSource};

pub(crate) use address::GuardedResolver;
pub(crate) use fault::shorten;
pub(crate) use tls::provider as crypto_provider;

use crate::clock::{Clock, jittered};
use body::Bound;
use pace::Pacer;
use token::TokenCache;

/// What one tenant's API server may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How long a connection may take to come up.
    pub connect: Duration,
    /// How long one attempt of a request other than a watch may take, its answer included.
    pub attempt: Duration,
    /// How long a request may take with all of its attempts.
    pub request: Duration,
    /// How often a request is sent at most when the server asks to slow down.
    pub attempts: u32,
    /// How many requests are in flight at once, at most.
    pub in_flight: u32,
    /// The longest answer in bytes.
    pub answer: usize,
    /// The longest event of a watch in bytes.
    pub event: usize,
    /// For how long a watch may be quiet. An API server sends a bookmark about every minute.
    pub quiet: Duration,
    /// How long a watch is asked to last, before jitter.
    pub watch: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            attempt: Duration::from_secs(30),
            request: Duration::from_secs(60),
            attempts: 8,
            in_flight: 16,
            answer: 8 * 1024 * 1024,
            // Longer than any object that etcd takes, so that no single object can break a watch for good.
            event: 4 * 1024 * 1024,
            quiet: Duration::from_secs(5 * 60),
            watch: Duration::from_secs(45 * 60),
        }
    }
}

/// What has been sent to one tenant's API server, and what came back. Counters only grow.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Reads: GET requests other than watches.
    pub reads: AtomicU64,
    /// Writes that were meant.
    pub writes: AtomicU64,
    /// Writes with `dryRun=All`, and access reviews: nothing is stored.
    pub rehearsals: AtomicU64,
    /// Watches that were begun.
    pub watches: AtomicU64,
    /// Attempts beyond the first.
    pub retries: AtomicU64,
    /// Answers that asked to slow down.
    pub throttled: AtomicU64,
    /// Bytes of answers.
    pub bytes_in: AtomicU64,
}

impl Traffic {
    /// Everything that was sent but watches.
    pub fn requests(&self) -> u64 {
        [&self.reads, &self.writes, &self.rehearsals].iter().map(|c| c.load(Ordering::Relaxed)).sum()
    }

    fn count(&self, request: &Request<Bytes>, watch: bool) {
        let query = request.uri().query().unwrap_or_default();
        let counter = if watch {
            &self.watches
        } else if request.method() == Method::GET {
            &self.reads
        } else if query.contains("dryRun=All") || request.uri().path().ends_with("accessreviews") {
            &self.rehearsals
        } else {
            &self.writes
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

type Http = Client<HttpsConnector<HttpConnector<GuardedResolver>>, Full<Bytes>>;

/// The way to one tenant's API server. Cheap to clone; clones share connections, limits and counters.
#[derive(Clone)]
pub struct Remote(Arc<Inner>);

struct Inner {
    endpoint: Endpoint,
    requests: Http,
    watches: Http,
    tokens: Option<TokenCache>,
    limits: Limits,
    pacer: Pacer,
    traffic: Arc<Traffic>,
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote").field("endpoint", &self.0.endpoint).finish_non_exhaustive()
    }
}

/// Prepares the way to an API server. Nothing is sent before the first request.
///
/// `ca` holds one or more certificates in PEM; the server must present one that they vouch for.
///
/// # Errors
/// The certificates or the key cannot be read.
pub fn connect(
    endpoint: Endpoint,
    ca: &[u8],
    identity: Identity,
    limits: Limits,
    clock: Clock,
) -> Result<Remote, ConnectError> {
    let (config, tokens) = tls::client_config(ca, identity)?;
    let connector = || {
        let mut tcp = HttpConnector::new_with_resolver(GuardedResolver { addresses: endpoint.addresses });
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(limits.connect));
        hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(config.clone())
            .https_only()
            .enable_http2()
            .wrap_connector(tcp)
    };
    let client = |while_idle: bool, idle: Option<Duration>| {
        Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .http2_only(true)
            // What a server may push at us before anybody reads is bounded by these windows.
            .http2_initial_stream_window_size(256 * 1024)
            .http2_initial_connection_window_size(1024 * 1024)
            .http2_max_header_list_size(64 * 1024)
            .http2_keep_alive_interval(Some(Duration::from_secs(30)))
            .http2_keep_alive_timeout(Duration::from_secs(15))
            .http2_keep_alive_while_idle(while_idle)
            .pool_idle_timeout(idle)
            .build(connector())
    };
    Ok(Remote(Arc::new(Inner {
        // The connection of requests may close when nobody asks anything: an idle cluster then costs one socket.
        requests: client(false, Some(Duration::from_secs(60))),
        watches: client(true, Some(Duration::from_secs(60))),
        tokens: tokens.map(|source| TokenCache::new(source, clock)),
        pacer: Pacer::new(limits.in_flight),
        traffic: Arc::new(Traffic::default()),
        endpoint,
        limits,
    })))
}

impl Remote {
    /// A client of kube over this way, for code that speaks in typed objects.
    ///
    /// Must be called inside a tokio runtime: kube's client has a task of its own.
    pub fn client(&self) -> kube::Client {
        kube::Client::new(self.clone(), "default")
    }

    /// The counters.
    pub fn traffic(&self) -> &Traffic {
        &self.0.traffic
    }

    /// The URL.
    pub fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Sends one request, whose URI is a path and a query, and gives back the answer whatever its status.
    ///
    /// A request other than a watch is sent again while the server asks to slow down, within the limits.
    ///
    /// # Errors
    /// Nobody answered, or no token could be made.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<BoundedBody>, Fault> {
        let watch = is_watch(request.uri());
        self.0.traffic.count(&request, watch);
        if watch { self.send_watch(request).await } else { self.send_request(request).await }
    }

    async fn send_watch(&self, request: Request<Bytes>) -> Result<Response<BoundedBody>, Fault> {
        let Inner { watches, limits, .. } = &*self.0;
        let until = Instant::now() + limits.attempt;
        let response = self.authorized(watches, &request, until).await?;
        let bound = if response.status().is_success() {
            Bound::Lines { bytes: limits.event, idle: limits.quiet }
        } else {
            Bound::Whole { bytes: limits.answer, until }
        };
        Ok(self.bounded(response, bound))
    }

    async fn send_request(&self, request: Request<Bytes>) -> Result<Response<BoundedBody>, Fault> {
        let Inner { requests, limits, pacer, traffic, .. } = &*self.0;
        let last = Instant::now() + limits.request;
        let mut attempt: u32 = 1;
        loop {
            let place = pacer.enter().await;
            let until = (Instant::now() + limits.attempt).min(last);
            let sent = self.authorized(requests, &request, until).await;
            drop(place);
            let wait = match sent {
                Ok(response) if asks_to_slow_down(response.status()) => {
                    pacer.slow_down(std::time::Instant::now());
                    traffic.throttled.fetch_add(1, Ordering::Relaxed);
                    let own = Duration::from_millis(50) * 2_u32.pow(attempt.min(8));
                    let own = jittered(own, request.uri().path(), attempt.into());
                    let wait = own.max(retry_after(response.headers()).unwrap_or_default());
                    if attempt >= limits.attempts || Instant::now() + wait >= last {
                        return Ok(self.bounded(response, Bound::Whole { bytes: limits.answer, until }));
                    }
                    wait
                }
                Ok(response) => {
                    pacer.speed_up();
                    return Ok(self.bounded(response, Bound::Whole { bytes: limits.answer, until }));
                }
                // A connection that the server closed while the request was on its way: once more, on a new one.
                Err(Fault::Unreachable { why: Unreachable::Broken, .. }) if attempt == 1 => Duration::ZERO,
                Err(fault) => return Err(fault),
            };
            tokio::time::sleep(wait).await;
            traffic.retries.fetch_add(1, Ordering::Relaxed);
            attempt += 1;
        }
    }

    fn bounded(&self, response: Response<Incoming>, bound: Bound) -> Response<BoundedBody> {
        response.map(|body| BoundedBody::new(body, bound, Arc::clone(&self.0.traffic)))
    }

    /// Sends one attempt with the current token; with a new token once more when the server does not accept it.
    async fn authorized(
        &self,
        http: &Http,
        request: &Request<Bytes>,
        until: Instant,
    ) -> Result<Response<Incoming>, Fault> {
        let Some(tokens) = &self.0.tokens else {
            return self.attempt(http, request, None, until).await;
        };
        let token = tokens.get().await?;
        let response = self.attempt(http, request, Some(&token.secret), until).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        tokens.forget(&token).await;
        let token = tokens.get().await?;
        self.attempt(http, request, Some(&token.secret), until).await
    }

    async fn attempt(
        &self,
        http: &Http,
        request: &Request<Bytes>,
        token: Option<&str>,
        until: Instant,
    ) -> Result<Response<Incoming>, Fault> {
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let uri = Uri::builder()
            .scheme("https")
            .authority(self.0.endpoint.authority())
            .path_and_query(target)
            .build()
            .map_err(Fault::garbage)?;
        let mut copy = Request::new(Full::new(request.body().clone()));
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = uri;
        *copy.headers_mut() = request.headers().clone();
        copy.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        // What a caller set is never sent on: the only credentials are this way's own.
        copy.headers_mut().remove(header::AUTHORIZATION);
        if let Some(token) = token {
            let mut value = HeaderValue::try_from(format!("Bearer {token}"))
                .map_err(|_| Fault::Unauthorized { detail: "the token cannot be a header".to_owned() })?;
            value.set_sensitive(true);
            copy.headers_mut().insert(header::AUTHORIZATION, value);
        }
        match tokio::time::timeout_at(until, http.request(copy)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(Fault::transport(&error)),
            Err(_) => Err(Fault::timeout("the request was not answered")),
        }
    }
}

const USER_AGENT: &str = concat!("fleet/", env!("CARGO_PKG_VERSION"));

/// The longest wait that a server can ask for. One that asks for more is asked again too early, and says so again.
const LONGEST_WAIT: u64 = 60;

fn asks_to_slow_down(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
    )
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds.min(LONGEST_WAIT)))
}

fn is_watch(uri: &Uri) -> bool {
    uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "watch=true" || pair == "watch=1"))
}

impl tower::Service<Request<kube::client::Body>> for Remote {
    type Response = Response<BoundedBody>;
    type Error = Fault;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Fault>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<kube::client::Body>) -> Self::Future {
        let remote = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(Fault::garbage)?.to_bytes();
            remote.send(Request::from_parts(parts, body)).await
        })
    }
}
