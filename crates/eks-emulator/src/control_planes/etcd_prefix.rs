//! Removes everything below a prefix from etcd, through its JSON gateway.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};

/// etcd did not remove a prefix.
#[derive(Debug, thiserror::Error)]
pub(super) enum PurgeError {
    /// The endpoint is of no kind that the emulator speaks to.
    #[error("cannot remove a prefix from etcd at `{0}`: it is neither `unix://` nor `http://`")]
    Endpoint(String),
    /// Nothing was answered.
    #[error("etcd does not answer")]
    Connect(#[source] std::io::Error),
    /// The exchange broke off.
    #[error("the exchange with etcd broke off")]
    Exchange(#[source] hyper::Error),
    /// etcd refused.
    #[error("etcd answered {status}: {body}")]
    Refused { status: StatusCode, body: String },
}

/// Removes everything below a prefix.
pub(super) async fn remove(endpoint: &str, prefix: &str) -> Result<(), PurgeError> {
    if let Some(path) = endpoint.strip_prefix("unix://") {
        let stream = UnixStream::connect(path).await.map_err(PurgeError::Connect)?;
        return delete_range(stream, prefix).await;
    }
    match endpoint.strip_prefix("http://") {
        Some(address) => {
            let stream =
                TcpStream::connect(address.trim_end_matches('/')).await.map_err(PurgeError::Connect)?;
            delete_range(stream, prefix).await
        }
        None => Err(PurgeError::Endpoint(endpoint.to_owned())),
    }
}

async fn delete_range(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    prefix: &str,
) -> Result<(), PurgeError> {
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(PurgeError::Exchange)?;
    let driven = tokio::spawn(connection);
    let body = json!({ "key": STANDARD.encode(prefix), "range_end": STANDARD.encode(end_of(prefix)) });
    let mut request = Request::new(Full::new(Bytes::from(body.to_string())));
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = http::Uri::from_static("/v3/kv/deleterange");
    request.headers_mut().insert("host", http::HeaderValue::from_static("localhost"));
    let response = sender.send_request(request).await.map_err(PurgeError::Exchange)?;
    let status = response.status();
    let body = match Limited::new(response.into_body(), 64 * 1024).collect().await {
        Ok(body) => String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        Err(error) => error.to_string(),
    };
    driven.abort();
    match status.is_success() {
        true => Ok(()),
        false => Err(PurgeError::Refused { status, body }),
    }
}

/// The first key that does not begin with a prefix. Prefixes are ASCII, so the last byte can always be raised.
fn end_of(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last = last.saturating_add(1);
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_just_after_all_that_begin_with_it() {
        let end = end_of("/eks/1/r/a/");
        assert!(b"/eks/1/r/a/zzz".as_slice() < end.as_slice());
        assert!(b"/eks/1/r/ab/".as_slice() > end.as_slice());
    }
}
