//! An API server in this process, just real enough for the engine, that can be made to misbehave.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use fleet_exec::{
    clock::system_clock,
    remote::{Addresses, Endpoint, Identity, Limits, Remote, TokenSource, connect},
};
use fleet_provider::ClusterToken;
use http::{Method, Request, Response, Version};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::broadcast, task::JoinSet};

pub(crate) type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;
/// Decides about a request before it is carried out: `None` lets it through.
pub(crate) type Misbehaviour = Arc<dyn Fn(&Method, &str, u64) -> Option<Answer> + Send + Sync>;

/// A running server; it ends with this value.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    pub(crate) ca: Vec<u8>,
    pub(crate) inner: Arc<Inner>,
    task: tokio::task::JoinHandle<()>,
}

pub(crate) struct Inner {
    objects: Mutex<BTreeMap<String, Value>>,
    changes: broadcast::Sender<(String, &'static str, Value)>,
    deleted: Mutex<Vec<(String, Value)>>,
    version: AtomicU64,
    requests: AtomicU64,
    pub(crate) connections: AtomicU64,
    misbehaviour: Mutex<Option<Misbehaviour>>,
    tokens: Mutex<Vec<String>>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn answer(status: u16, body: impl Into<Bytes>) -> Answer {
    let body = Full::new(body.into()).map_err(|never| match never {}).boxed_unsync();
    Response::builder().status(status).body(body).unwrap()
}

/// A body that goes on for ever: the same bytes, again and again.
pub(crate) fn endless(piece: &'static [u8], pause: Duration) -> Answer {
    let stream = futures::stream::unfold((), move |()| async move {
        tokio::time::sleep(pause).await;
        Some((Ok(Frame::data(Bytes::from_static(piece))), ()))
    });
    Response::new(StreamBody::new(stream).boxed_unsync())
}

fn status(code: u16, reason: &str, message: &str) -> Answer {
    let body = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message });
    answer(code, body.to_string())
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate =
            rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner {
            objects: Mutex::default(),
            changes: broadcast::channel(4096).0,
            deleted: Mutex::default(),
            version: AtomicU64::new(1),
            requests: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            misbehaviour: Mutex::default(),
            tokens: Mutex::default(),
        });
        let serving = Arc::clone(&inner);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, inner) = (acceptor.clone(), Arc::clone(&serving));
                inner.connections.fetch_add(1, Ordering::SeqCst);
                connections.spawn(async move {
                    let Ok(stream) = acceptor.accept(tcp).await else { return };
                    let service = hyper::service::service_fn(move |request| {
                        let inner = Arc::clone(&inner);
                        async move { Ok::<_, Infallible>(inner.serve(request).await) }
                    });
                    // A client that goes away is no failure of the server's.
                    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { address, ca: certificate.pem().into_bytes(), inner, task }
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::parse(&format!("https://{}", self.address), Addresses::LOCAL).unwrap()
    }

    pub(crate) fn remote(&self, limits: Limits) -> Remote {
        let tokens = Arc::new(Numbered(AtomicU64::new(0)));
        connect(self.endpoint(), &self.ca, Identity::Tokens(tokens), limits, system_clock()).unwrap()
    }

    /// From now on every request goes through `decide` first. Its last argument counts requests from zero.
    pub(crate) fn misbehave(
        &self,
        decide: impl Fn(&Method, &str, u64) -> Option<Answer> + Send + Sync + 'static,
    ) {
        self.inner.requests.store(0, Ordering::SeqCst);
        *self.inner.misbehaviour.lock().unwrap() = Some(Arc::new(decide));
    }

    pub(crate) fn behave(&self) {
        *self.inner.misbehaviour.lock().unwrap() = None;
    }

    /// The tokens that requests came with, in order.
    pub(crate) fn tokens(&self) -> Vec<String> {
        self.inner.tokens.lock().unwrap().clone()
    }
}

/// Tokens that count themselves.
struct Numbered(AtomicU64);

#[async_trait::async_trait]
impl TokenSource for Numbered {
    async fn token(&self) -> Result<ClusterToken, Box<dyn std::error::Error + Send + Sync>> {
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        let expires_at = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(14);
        Ok(ClusterToken { secret: format!("secret-{number}"), expires_at })
    }
}

impl Inner {
    async fn serve(&self, request: Request<Incoming>) -> Answer {
        assert_eq!(request.version(), Version::HTTP_2);
        let (parts, body) = request.into_parts();
        let token =
            parts.headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        self.tokens.lock().unwrap().push(token.to_owned());
        let target = parts.uri.path_and_query().map(|target| target.to_string()).unwrap_or_default();
        let number = self.requests.fetch_add(1, Ordering::SeqCst);
        let misbehaviour = self.misbehaviour.lock().unwrap().clone();
        if let Some(answer) = misbehaviour.and_then(|decide| decide(&parts.method, &target, number)) {
            return answer;
        }
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let path = parts.uri.path();
        if !path.starts_with("/api") {
            return status(404, "NotFound", "there is nothing here but objects");
        }
        let query = parts.uri.query().unwrap_or_default();
        let dry = query.contains("dryRun=All");
        match parts.method {
            Method::GET if query.contains("watch=true") => self.watch(path, query),
            Method::GET => self.read(path),
            Method::PATCH | Method::PUT => self.write(path, serde_json::from_slice(&body).unwrap(), dry),
            Method::POST => answer(201, body),
            Method::DELETE => self.delete(path),
            _ => status(405, "MethodNotAllowed", "no"),
        }
    }

    /// The collection that a path is in, without its namespace, and whether the path is an object's.
    fn collection(path: &str) -> (String, bool) {
        let mut parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let root = if parts[0] == "api" { 2 } else { 3 };
        let is_namespace = parts.get(root) == Some(&"namespaces");
        if is_namespace && parts.len() > root + 2 {
            parts.drain(root..root + 2);
        }
        (parts[..=root].join("/"), parts.len() > root + 1)
    }

    fn read(&self, path: &str) -> Answer {
        let (collection, single) = Self::collection(path);
        let objects = self.objects.lock().unwrap();
        if single {
            return match objects.get(path) {
                Some(object) => answer(200, object.to_string()),
                None => status(404, "NotFound", "not found"),
            };
        }
        let items: Vec<&Value> =
            objects.iter().filter(|(key, _)| Self::collection(key).0 == collection).map(|(_, o)| o).collect();
        let version = self.version.load(Ordering::SeqCst).to_string();
        answer(
            200,
            json!({ "kind": "List", "metadata": { "resourceVersion": version }, "items": items }).to_string(),
        )
    }

    fn write(&self, path: &str, mut object: Value, dry: bool) -> Answer {
        let mut objects = self.objects.lock().unwrap();
        let before = objects.get(path).cloned();
        let version = self.version.fetch_add(1, Ordering::SeqCst) + 1;
        let uid = before
            .as_ref()
            .map_or(json!(format!("uid-{version}")), |before| before["metadata"]["uid"].clone());
        object["metadata"]["uid"] = uid;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        object["metadata"]["managedFields"] =
            json!([{ "manager": "fleet-baseline", "operation": "Apply", "time": "1", "fieldsV1": {} }]);
        if object["kind"] == "ResourceQuota" {
            object["status"]["hard"] = object["spec"]["hard"].clone();
        }
        if !dry {
            objects.insert(path.to_owned(), object.clone());
            let what = if before.is_some() { "MODIFIED" } else { "ADDED" };
            let _ = self.changes.send((Self::collection(path).0, what, object.clone()));
        }
        answer(200, object.to_string())
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        let Some(mut object) = self.objects.lock().unwrap().remove(path) else {
            return status(404, "NotFound", "not found");
        };
        let version = self.version.fetch_add(1, Ordering::SeqCst) + 1;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        self.deleted.lock().unwrap().push((Self::collection(path).0, object.clone()));
        let _ = self.changes.send((Self::collection(path).0, "DELETED", object.clone()));
        answer(200, object.to_string())
    }

    fn watch(&self, path: &str, query: &str) -> Answer {
        let (collection, _) = Self::collection(path);
        let from: u64 = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("resourceVersion="))
            .and_then(|version| version.parse().ok())
            .unwrap_or(0);
        let changes = self.changes.subscribe();
        let newer = |object: &Value| {
            let version = object["metadata"]["resourceVersion"].as_str().and_then(|v| v.parse::<u64>().ok());
            version.is_some_and(|version| version > from)
        };
        let mut missed: Vec<(&str, Value)> = {
            let deleted = self.deleted.lock().unwrap();
            let gone = deleted.iter().filter(|(of, object)| *of == collection && newer(object));
            gone.map(|(_, object)| ("DELETED", object.clone())).collect()
        };
        {
            let objects = self.objects.lock().unwrap();
            let of_kind =
                objects.iter().filter(|(key, object)| Self::collection(key).0 == collection && newer(object));
            missed.extend(of_kind.map(|(_, object)| ("MODIFIED", object.clone())));
        }
        let line = |what: &str, object: &Value| {
            let object = json!({ "kind": "PartialObjectMetadata", "metadata": object["metadata"] });
            Bytes::from(format!("{}\n", json!({ "type": what, "object": object })))
        };
        let first: Vec<Bytes> = missed.iter().map(|(what, object)| line(what, object)).collect();
        let stream =
            futures::stream::unfold((first.into_iter(), changes), move |(mut first, mut changes)| {
                let collection = collection.clone();
                async move {
                    if let Some(line) = first.next() {
                        return Some((Ok(Frame::data(line)), (first, changes)));
                    }
                    loop {
                        let (of, what, object) = changes.recv().await.ok()?;
                        if of == collection {
                            return Some((Ok(Frame::data(line(what, &object))), (first, changes)));
                        }
                    }
                }
            });
        Response::new(StreamBody::new(stream).boxed_unsync())
    }
}
