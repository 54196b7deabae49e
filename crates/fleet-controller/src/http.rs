//! The controller's own endpoints: `/healthz`, `/readyz` and `/metrics`.

use std::{io, net::SocketAddr, sync::Arc};

use axum::{Router, extract::State, http::StatusCode, http::header, response::IntoResponse, routing::get};
use fleet_api::{
    conditions,
    v1alpha1::{Rollout, RolloutPhase},
};
use jiff::Timestamp;
use kube::ResourceExt as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    metrics::{Metrics, RolloutFacts},
    watch::Stores,
};

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

/// How many rollouts are in which phase, and what is told of those that are not over.
fn of_rollouts(rollouts: &[Arc<Rollout>], now: Timestamp) -> (Vec<(&'static str, usize)>, Vec<RolloutFacts>) {
    let phase_of = |rollout: &Rollout| rollout.status.as_ref().map(|status| status.phase).unwrap_or_default();
    let phases = PHASES
        .into_iter()
        .map(|(phase, word)| (word, rollouts.iter().filter(|rollout| phase_of(rollout) == phase).count()))
        .collect();
    let facts = rollouts
        .iter()
        .filter(|rollout| !phase_of(rollout).is_over())
        .filter_map(|rollout| {
            let status = rollout.status.as_ref()?;
            let counts = status.counts;
            let wave = status.waves.iter().find(|wave| Some(&wave.name) == status.wave.as_ref());
            let began = wave.and_then(|wave| wave.began_at.as_ref());
            Some(RolloutFacts {
                name: rollout.name_any(),
                members: [
                    ("waiting", counts.waiting),
                    ("moving", counts.moving),
                    ("soaking", counts.soaking),
                    ("succeeded", counts.succeeded),
                    ("failed", counts.failed),
                    ("left_out", counts.left_out),
                    ("rolled_back", counts.rolled_back),
                ],
                wave_age: began.map(|began| began.0.duration_until(now).as_secs().max(0)),
            })
        })
        .collect();
    (phases, facts)
}

const PHASES: [(RolloutPhase, &str); 9] = [
    (RolloutPhase::Planned, "Planned"),
    (RolloutPhase::Running, "Running"),
    (RolloutPhase::WaitingForGate, "WaitingForGate"),
    (RolloutPhase::Paused, "Paused"),
    (RolloutPhase::Stopped, "Stopped"),
    (RolloutPhase::RollingBack, "RollingBack"),
    (RolloutPhase::Completed, "Completed"),
    (RolloutPhase::Aborted, "Aborted"),
    (RolloutPhase::RolledBack, "RolledBack"),
];

async fn metrics(State(endpoints): State<Endpoints>) -> impl IntoResponse {
    let tenants = endpoints.stores.tenants.state();
    let ready = tenants.iter().filter(|tenant| {
        tenant.status.as_ref().is_some_and(|status| {
            conditions::is_true(&status.conditions, conditions::READY, tenant.metadata.generation)
        })
    });
    endpoints.metrics.tenants(tenants.len(), ready.count());
    let rollouts = endpoints.stores.rollouts.state();
    let (phases, facts) = of_rollouts(&rollouts, endpoints.clock.now());
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
