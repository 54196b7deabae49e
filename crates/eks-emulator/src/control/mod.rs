//! The control API of tests and of the sandbox: clock, faults, what stands behind clusters. It is not signed: the
//! emulator listens on loopback.

mod webhooks;

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    control_planes::ControlPlanes,
    faults::Fault,
    holds::{HeldCall, Then},
    journal::Entry,
    model::{ClusterKey, Insight},
    state::Leftover,
    world::{World, now_of},
};

/// What the control API works on.
pub(crate) struct Control {
    pub(crate) world: Arc<World>,
    pub(crate) planes: Option<Arc<ControlPlanes>>,
}

type Shared = State<Arc<Control>>;

/// A refusal of the control API.
struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "message": self.1 }))).into_response()
    }
}

/// The routes below `/_emulator/`.
pub(crate) fn routes() -> Router<Arc<Control>> {
    Router::new()
        .route("/_emulator/health", get(health))
        .route("/_emulator/clock", get(clock).post(advance_clock))
        .route("/_emulator/faults", get(list_faults).post(plan_fault).delete(clear_faults))
        .route("/_emulator/faults/{id}", delete(drop_fault))
        .route("/_emulator/held", get(held))
        .route("/_emulator/held/{id}", post(release))
        .route("/_emulator/journal", get(journal))
        .route("/_emulator/world", get(whole))
        .route("/_emulator/leftovers", get(list_leftovers).post(leave).delete(clear_leftovers))
        .route("/_emulator/insights/{name}", post(put_insight).delete(clear_insights))
        .route("/_emulator/state", get(state))
        .route("/_emulator/stop-control-plane/{name}", post(stop_control_plane))
        .route("/_emulator/start-control-plane/{name}", post(start_control_plane))
        .route("/_emulator/clusters/{account}/{region}/{name}/token", post(webhooks::token))
        .route("/_emulator/clusters/{account}/{region}/{name}/authorize", post(webhooks::authorize))
        .route("/_emulator/{*rest}", axum::routing::any(nothing))
}

async fn nothing() -> Refusal {
    Refusal(StatusCode::NOT_FOUND, "the control API has no such path".to_owned())
}

async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// The time of the emulator's world.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Clock {
    now: Timestamp,
    offset_seconds: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Advance {
    advance_seconds: f64,
}

fn read_clock(control: &Control) -> Clock {
    control.world.with(|state, _| Clock {
        now: now_of(state),
        #[expect(clippy::cast_precision_loss, reason = "tests advance by years at most")]
        offset_seconds: state.shared().clock_offset_ms as f64 / 1000.0,
    })
}

async fn clock(State(control): Shared) -> Json<Clock> {
    Json(read_clock(&control))
}

/// Time goes forward only: what ended would otherwise be unfinished again.
async fn advance_clock(State(control): Shared, Json(by): Json<Advance>) -> Result<Json<Clock>, Refusal> {
    let duration = SignedDuration::try_from_secs_f64(by.advance_seconds)
        .ok()
        .filter(|duration| !duration.is_negative())
        .and_then(|duration| i64::try_from(duration.as_millis()).ok())
        .ok_or_else(|| Refusal(StatusCode::BAD_REQUEST, "advanceSeconds must not be negative".to_owned()))?;
    control.world.with(|state, _| {
        let shared = state.shared_mut();
        shared.clock_offset_ms = shared.clock_offset_ms.saturating_add(duration);
    });
    Ok(Json(read_clock(&control)))
}

async fn list_faults(State(control): Shared) -> Json<Vec<Fault>> {
    Json(control.world.with(|state, _| state.shared().faults.clone()))
}

async fn plan_fault(State(control): Shared, Json(mut fault): Json<Fault>) -> (StatusCode, Json<Fault>) {
    fault.id = Uuid::new_v4().to_string();
    control.world.with(|state, _| state.shared_mut().faults.push(fault.clone()));
    (StatusCode::CREATED, Json(fault))
}

async fn clear_faults(State(control): Shared) -> StatusCode {
    control.world.with(|state, _| state.shared_mut().faults.clear());
    StatusCode::NO_CONTENT
}

async fn drop_fault(State(control): Shared, Path(id): Path<String>) -> StatusCode {
    control.world.with(|state, _| {
        let faults = &mut state.shared_mut().faults;
        let before = faults.len();
        faults.retain(|fault| fault.id != id);
        if faults.len() < before { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
    })
}

async fn held(State(control): Shared) -> Json<Vec<HeldCall>> {
    Json(control.world.holds.all())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Release {
    then: Then,
}

async fn release(State(control): Shared, Path(id): Path<u64>, Json(release): Json<Release>) -> StatusCode {
    match control.world.holds.release(id, release.then) {
        true => StatusCode::NO_CONTENT,
        false => StatusCode::NOT_FOUND,
    }
}

async fn journal(State(control): Shared) -> Json<Vec<Entry>> {
    Json(control.world.journal.all())
}

/// Everything that is kept, in the shapes in which it is kept.
async fn whole(State(control): Shared) -> Json<Value> {
    Json(control.world.with_moment(|state, _| {
        let shared = state.shared();
        json!({
            "clusters": state.clusters().values().collect::<Vec<_>>(),
            "launchTemplates": shared.launch_templates.values().collect::<Vec<_>>(),
            "leftovers": shared.leftovers,
        })
    }))
}

async fn list_leftovers(State(control): Shared) -> Json<Vec<Leftover>> {
    Json(control.world.with(|state, _| state.shared().leftovers.clone()))
}

async fn leave(State(control): Shared, Json(left): Json<Leftover>) -> (StatusCode, Json<Leftover>) {
    control.world.with(|state, _| state.shared_mut().leftovers.push(left.clone()));
    (StatusCode::CREATED, Json(left))
}

async fn clear_leftovers(State(control): Shared) -> StatusCode {
    control.world.with(|state, _| state.shared_mut().leftovers.clear());
    StatusCode::NO_CONTENT
}

/// Which cluster a name means. Two accounts may have clusters of one name: then the account is asked for.
#[derive(Deserialize)]
struct Which {
    account: Option<String>,
}

fn find(control: &Control, name: &str, which: &Which) -> Result<ClusterKey, Refusal> {
    let found: Vec<ClusterKey> = control.world.with_clusters(|clusters| {
        let named = clusters.keys().filter(|key| key.name == name);
        named
            .filter(|key| which.account.as_ref().is_none_or(|account| *account == key.account))
            .cloned()
            .collect()
    });
    match found.as_slice() {
        [key] => Ok(key.clone()),
        [] => Err(Refusal(StatusCode::NOT_FOUND, format!("there is no cluster `{name}`"))),
        _ => Err(Refusal(
            StatusCode::CONFLICT,
            format!("several clusters are named `{name}`: add `?account=`"),
        )),
    }
}

async fn put_insight(
    State(control): Shared,
    Path(name): Path<String>,
    Query(which): Query<Which>,
    Json(insight): Json<Insight>,
) -> Result<(StatusCode, Json<Insight>), Refusal> {
    let key = find(&control, &name, &which)?;
    control.world.with(|state, _| {
        if let Some(record) = state.cluster_mut(&key) {
            record.insights.insert(insight.id.clone(), insight.clone());
        }
    });
    Ok((StatusCode::CREATED, Json(insight)))
}

async fn clear_insights(
    State(control): Shared,
    Path(name): Path<String>,
    Query(which): Query<Which>,
) -> Result<StatusCode, Refusal> {
    let key = find(&control, &name, &which)?;
    control.world.with(|state, _| {
        if let Some(record) = state.cluster_mut(&key) {
            record.insights.clear();
        }
    });
    Ok(StatusCode::NO_CONTENT)
}

async fn stop_control_plane(
    control: Shared,
    name: Path<String>,
    which: Query<Which>,
) -> Result<StatusCode, Refusal> {
    set_stopped(control, name, which, true)
}

async fn start_control_plane(
    control: Shared,
    name: Path<String>,
    which: Query<Which>,
) -> Result<StatusCode, Refusal> {
    set_stopped(control, name, which, false)
}

/// EKS does not notice: the cluster stays `ACTIVE`, and its endpoint does not answer. `state` shows when it is done.
fn set_stopped(
    State(control): Shared,
    Path(name): Path<String>,
    Query(which): Query<Which>,
    stopped: bool,
) -> Result<StatusCode, Refusal> {
    let key = find(&control, &name, &which)?;
    control.world.with(|state, _| {
        if let Some(record) = state.cluster_mut(&key) {
            record.server.stopped = stopped;
        }
    });
    Ok(StatusCode::ACCEPTED)
}

/// A cluster as status commands show it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ClusterState {
    account: String,
    region: String,
    name: String,
    status: String,
    version: String,
    endpoint: Option<String>,
    stopped: bool,
    /// The minor whose API server answers; absent while none does.
    serving: Option<String>,
    server: Option<local_control_plane::ControlPlaneReport>,
    rss_bytes: Option<u64>,
}

async fn state(State(control): Shared) -> Json<Value> {
    let clusters: BTreeMap<ClusterKey, ClusterState> = control.world.with_clusters(|clusters| {
        let shown = clusters.iter().map(|(key, record)| {
            let cluster = &record.cluster;
            let state = ClusterState {
                account: key.account.clone(),
                region: key.region.clone(),
                name: key.name.clone(),
                status: cluster.status.to_string(),
                version: cluster.version.to_string(),
                endpoint: cluster.endpoint.clone(),
                stopped: record.server.stopped,
                serving: record.server.seen.map(|minor| minor.to_string()),
                server: None,
                rss_bytes: None,
            };
            (key.clone(), state)
        });
        shown.collect()
    });
    let mut shown = Vec::new();
    for (key, mut cluster) in clusters {
        if let Some(planes) = &control.planes {
            cluster.server = planes.report(&key).await;
            cluster.rss_bytes = cluster.server.as_ref().map(|report| report.rss_bytes());
        }
        shown.push(cluster);
    }
    Json(json!({ "clock": read_clock(&control), "clusters": shown }))
}
