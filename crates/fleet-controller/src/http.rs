//! The controller's own endpoints: `/healthz`, `/readyz` and `/metrics`.

use std::{io, net::SocketAddr, sync::Arc};

use axum::{Router, extract::State, http::StatusCode, http::header, response::IntoResponse, routing::get};
use fleet_api::conditions;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{clock::Clock, metrics::Metrics, rollout::of_rollouts, tenant_cluster::failing, watch::Stores};

/// What the endpoints speak of.
#[derive(Clone)]
pub(crate) struct Endpoints {
    /// The metrics.
    pub(crate) metrics: Arc<Metrics>,
    /// The stores: this replica is ready when every one has been filled, whether it leads or stands by.
    pub(crate) stores: Stores,
    /// The time of day, for ages.
    pub(crate) clock: Arc<dyn Clock>,
}

/// Binds the address, so that a taken port fails the start and not a task in the background.
pub(crate) async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Answers until `stop`.
pub(crate) async fn serve(
    listener: TcpListener,
    endpoints: Endpoints,
    stop: CancellationToken,
) -> io::Result<()> {
    axum::serve(listener, router(endpoints)).with_graceful_shutdown(stop.cancelled_owned()).await
}

fn router(endpoints: Endpoints) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(endpoints)
}

async fn ready(State(endpoints): State<Endpoints>) -> (StatusCode, String) {
    let waiting = endpoints.stores.waiting_for();
    if waiting.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for the first list of {}\n", waiting.join(", ")))
    }
}

async fn metrics(State(endpoints): State<Endpoints>) -> impl IntoResponse {
    let tenants = endpoints.stores.tenants.state();
    let ready = tenants.iter().filter(|tenant| {
        tenant.status.as_ref().is_some_and(|status| {
            conditions::is_true(&status.conditions, conditions::READY, tenant.metadata.generation)
        })
    });
    endpoints.metrics.tenants(tenants.len(), ready.count());
    endpoints.metrics.failing(&failing(&endpoints.stores.clusters.state()));
    let rollouts = endpoints.stores.rollouts.state();
    let members = endpoints.stores.members.state();
    let (phases, facts) = of_rollouts(&rollouts, &members, endpoints.clock.now());
    endpoints.metrics.rollouts(&phases, &facts);
    match endpoints.metrics.encode() {
        Ok(body) => (
            StatusCode::OK,
            [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")],
            body,
        ),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
            error.to_string(),
        ),
    }
}
