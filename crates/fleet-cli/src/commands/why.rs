//! `fleet why TENANT`: where it stands, why, and who can act.

use serde::Serialize;

use super::rollout::{self, why::InRollout};
use crate::{
    cli::Format,
    error::{Exit, Result},
    output::{Document, fleet_status::State, tenant::Why},
    session::Session,
};

/// Why a tenant is where it is, and its place in rollouts that are not over.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    #[serde(flatten)]
    why: Why,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rollouts: Vec<InRollout>,
}

pub(crate) async fn run(session: &Session, name: &str, format: Format) -> Result<Exit> {
    let hub = session.hub().await?;
    let (tenant, cluster) = hub.tenant_or_cluster(name).await?;
    let rollouts = rollout::why::of(&hub, name).await?;
    let body = Answer { why: Why::of(name, tenant.as_ref(), cluster.as_ref()), rollouts };
    let document = Document::new("Why", body);
    let Answer { why, rollouts } = document.body();
    let now = session.now();
    session.printer.value(
        format,
        &document,
        |_| {
            let places = rollouts.iter().map(InRollout::to_text);
            std::iter::once(why.to_text(now, true)).chain(places).collect::<Vec<_>>().join("\n\n")
        },
        || why.reasons.iter().map(|entry| entry.code.clone()).collect(),
    )?;
    Ok(if why.state == State::Ready { Exit::Done } else { Exit::No })
}
