//! The listener: the AWS wire at every path, the control API below `/_emulator/`.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::Body,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_service::Service as _;
use tracing::{debug, warn};

use crate::{
    control::{self, Control},
    faults::When,
    holds::Then,
    reply::Reply,
    world::{AwsRequest, Pass},
};

/// The longest body that is read.
const LONGEST_BODY: usize = 8 * 1024 * 1024;
/// How long open calls may take to end when the emulator stops.
const LAST_CALLS: Duration = Duration::from_secs(2);

/// Resets the connection that a request came over.
#[derive(Clone)]
struct Reset(CancellationToken);

/// Accepts connections until told to stop.
pub(crate) async fn serve(listener: TcpListener, control: Arc<Control>, stop: CancellationToken) {
    let router = control::routes().fallback(aws).with_state(control);
    let connections = TaskTracker::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = stop.cancelled() => break,
        };
        connections.spawn(connection(stream, router.clone(), stop.clone()));
    }
    connections.close();
    connections.wait().await;
}

async fn connection(stream: TcpStream, router: Router, stop: CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "cannot switch delays off");
    }
    let reset = CancellationToken::new();
    let handle = Reset(reset.clone());
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let mut router = router.clone().layer(Extension(handle.clone()));
        async move { Ok::<_, Infallible>(router.call(request.map(Body::new)).await.into_response()) }
    });
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        ended = &mut connection => {
            if let Err(error) = ended {
                debug!(%error, "a connection ended");
            }
        }
        () = reset.cancelled() => {
            // Closing without lingering sends RST instead of FIN: the caller sees a reset, not an empty answer.
            let stream = connection.into_parts().io.into_inner();
            if let Err(error) = stream.set_zero_linger() {
                debug!(%error, "cannot reset a connection");
            }
        }
        () = stop.cancelled() => {
            std::pin::Pin::new(&mut connection).graceful_shutdown();
            if tokio::time::timeout(LAST_CALLS, connection).await.is_err() {
                debug!("a connection was still open");
            }
        }
    }
}

async fn aws(
    State(control): State<Arc<Control>>,
    Extension(reset): Extension<Reset>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let body = match Limited::new(body, LONGEST_BODY).collect().await {
        Ok(body) => body.to_bytes().to_vec(),
        Err(error) => return (StatusCode::PAYLOAD_TOO_LARGE, error.to_string()).into_response(),
    };
    let request = AwsRequest {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body,
    };
    // In a task of its own: a call that is held may take effect when its caller is long gone.
    match tokio::spawn(answer(control, request)).await {
        Ok(Some(response)) => response.map(Body::from),
        Ok(None) => {
            reset.0.cancel();
            std::future::pending().await
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// The answer to a call, when nothing holds it any more; `None` when its connection is to be reset.
async fn answer(control: Arc<Control>, request: AwsRequest) -> Option<http::Response<Bytes>> {
    let mut reply = control.world.aws(&request, Pass::First);
    loop {
        reply = match reply {
            Reply::Answer(response) => return Some(response),
            Reply::Reset => return None,
            Reply::Held(question, answer) => {
                let when = if answer.is_some() { When::After } else { When::Before };
                match (control.world.holds.hold(when, question).await, answer) {
                    (Then::Drop, _) => return None,
                    (Then::Go, Some(answer)) => return Some(answer),
                    (Then::Go, None) => control.world.aws(&request, Pass::Released),
                }
            }
        };
    }
}
