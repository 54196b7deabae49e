//! Plain questions to servers on this machine: is it ready, which version is it.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, body::Bytes, client::conn::http1};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};

use crate::{certificates::Certified, error::Error};

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_LIMIT: usize = 1024 * 1024;

/// A client of one API server, with a client certificate.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    base: String,
}

impl Ask {
    pub(crate) fn new(base: &str, ca: &str, user: &Certified) -> Result<Self, Error> {
        let tls = tls_config(ca, user).map_err(|source| Error::Ask { url: base.to_owned(), source })?;
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().build();
        // No idle connections: a server that is asked to stop would wait for them, and the pool would tie this
        // client to one runtime.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self { client, base: base.to_owned() })
    }

    /// Status and body of a GET.
    pub(crate) async fn get(&self, path: &str) -> Result<(u16, String), Error> {
        let url = format!("{}{path}", self.base);
        let request = Request::get(&url).body(Empty::new()).map_err(|e| Error::ask(&url, e))?;
        within(&url, async {
            let response = self.client.request(request).await.map_err(|e| Error::ask(&url, e))?;
            read(&url, response).await
        })
        .await
    }

    /// The body of a GET that must be answered with 200.
    pub(crate) async fn get_ok(&self, path: &str) -> Result<String, Error> {
        match self.get(path).await? {
            (200, body) => Ok(body),
            (status, body) => {
                let body = body.chars().take(500).collect();
                Err(Error::Answer { url: format!("{}{path}", self.base), status, body })
            }
        }
    }
}

/// Status and body of a GET over a Unix socket.
pub(crate) async fn get_over_socket(socket: &Path, path: &str) -> Result<(u16, String), Error> {
    let url = format!("{}{path}", socket.display());
    let connect = UnixStream::connect(socket);
    within(&url, async { get_on(connect.await.map_err(|e| Error::ask(&url, e))?, &url, path).await }).await
}

/// Status and body of a plain HTTP GET to a server on this machine.
///
/// # Errors
/// When nothing is answered within ten seconds, or more than a mebibyte is.
pub async fn get_over_http(address: SocketAddr, path: &str) -> Result<(u16, String), Error> {
    let url = format!("http://{address}{path}");
    let connect = TcpStream::connect(address);
    within(&url, async { get_on(connect.await.map_err(|e| Error::ask(&url, e))?, &url, path).await }).await
}

async fn within<T>(url: &str, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(ANSWER_TIMEOUT, answer).await.map_err(|e| Error::ask(url, e))?
}

async fn get_on(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    url: &str,
    path: &str,
) -> Result<(u16, String), Error> {
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|e| Error::ask(url, e))?;
    let request = Request::get(path)
        .header("host", "localhost")
        .body(Empty::<Bytes>::new())
        .map_err(|e| Error::ask(url, e))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|e| Error::ask(url, e))?;
        read(url, response).await
    };
    tokio::pin!(exchange, connection);
    // The connection is driven beside the exchange, and ends with it.
    tokio::select! {
        answer = &mut exchange => answer,
        ended = &mut connection => {
            ended.map_err(|e| Error::ask(url, e))?;
            exchange.await
        }
    }
}

async fn read(url: &str, response: hyper::Response<hyper::body::Incoming>) -> Result<(u16, String), Error> {
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), ANSWER_LIMIT);
    let bytes = body.collect().await.map_err(|source| Error::Ask { url: url.to_owned(), source })?.to_bytes();
    Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
}

fn tls_config(ca: &str, user: &Certified) -> Result<ClientConfig, Box<dyn std::error::Error + Send + Sync>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes())?)?;
    let chain = vec![CertificateDer::from_pem_slice(user.certificate.as_bytes())?];
    let key = PrivateKeyDer::from_pem_slice(user.key.as_bytes())?;
    Ok(ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)?)
}
