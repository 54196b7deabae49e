//! `fleet rollout history`: every rollout that the management cluster still knows, the newest first.

use fleet_api::v1alpha1::{MemberCounts, Rollout, RolloutPhase};
use jiff::Timestamp;
use serde::Serialize;

use super::{pick, world::list};
use crate::{
    cli::Format,
    error::{Exit, Result},
    output::{
        Document, Items,
        rollout::{
            moment,
            plan::to,
            status::{phase, tone},
        },
    },
    printer::{plain, table, toned},
    session::Session,
};

/// One rollout.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Past {
    name: String,
    target: String,
    phase: RolloutPhase,
    author: String,
    plan_hash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    counts: MemberCounts,
}

pub(crate) async fn run(session: &Session, format: Format) -> Result<Exit> {
    let hub = session.hub().await?;
    let mut all: Vec<Past> = list::<Rollout>(&hub, "rollouts").await?.iter().map(Past::of).collect();
    all.sort_by(|a, b| b.created_at.cmp(&a.created_at).then_with(|| a.name.cmp(&b.name)));
    let document = Document::new("RolloutHistory", Items { items: all });
    let all = &document.body().items;
    session.printer.value(
        format,
        &document,
        |wide| text(all, wide),
        || all.iter().map(|past| format!("rollout/{}", past.name)).collect(),
    )?;
    Ok(Exit::Done)
}

fn text(all: &[Past], wide: bool) -> String {
    if all.is_empty() {
        return "no rollouts".to_owned();
    }
    let mut heading = vec![
        "rollout", "target", "phase", "members", "done", "failed", "back", "left out", "started", "ended",
    ];
    if wide {
        heading.extend(["author", "plan"]);
    }
    table(&heading, all.iter().map(|past| past.row(wide)).collect())
}

impl Past {
    fn of(rollout: &Rollout) -> Self {
        let status = rollout.status.clone().unwrap_or_default();
        Self {
            name: pick::name_of(rollout).to_owned(),
            target: to(&rollout.spec.target),
            phase: status.phase,
            author: rollout.spec.author.clone(),
            plan_hash: rollout.spec.plan_hash.clone(),
            created_at: rollout.metadata.creation_timestamp.as_ref().map(|at| at.0),
            started_at: status.started_at.map(|at| at.0),
            ended_at: status.ended_at.map(|at| at.0),
            counts: status.counts,
        }
    }

    fn row(&self, wide: bool) -> Vec<String> {
        let or_dash = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), moment);
        let MemberCounts { members, succeeded, failed, rolled_back, left_out, .. } = self.counts;
        let mut row =
            vec![plain(&self.name), self.target.clone(), toned(phase(self.phase), tone(self.phase))];
        row.extend([members, succeeded, failed, rolled_back, left_out].map(|number| number.to_string()));
        row.extend([or_dash(self.started_at), or_dash(self.ended_at)]);
        if wide {
            row.extend([plain(&self.author), self.plan_hash.clone()]);
        }
        row
    }
}
