//! `fleet rollout status`: how far it is, once or again whenever something changes.

use std::time::Duration;

use fleet_api::v1alpha1::{Rollout, RolloutMember, RolloutPhase, TenantCluster};
use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use kube::{api::Api, runtime::watcher};

use super::{pick, world::list};
use crate::{
    cli::Format,
    error::{CliError, Exit, Result},
    hub::Hub,
    output::{Document, rollout::status::RolloutView},
    session::Session,
};

/// Changes come in bursts: what follows within this time is shown with the first.
const SETTLE: Duration = Duration::from_millis(300);
/// Soak clocks run and nodes follow without any change of the rollout or its members.
const REFRESH: Duration = Duration::from_secs(30);

pub(crate) async fn run(session: &Session, name: Option<&str>, watch: bool, format: Format) -> Result<Exit> {
    let hub = session.hub().await?;
    let rollout = pick::rollout_or_last(&hub, name).await?;
    if name.is_none() && pick::is_over(&rollout) {
        session.printer.note("no rollout is under way; this one ended last\n");
    }
    let name = pick::name_of(&rollout).to_owned();
    let view = read(&hub, &rollout, session.now()).await?;
    print(session, &view, format)?;
    if watch {
        return follow(session, &hub, &name, view, format).await;
    }
    Ok(exit(&view))
}

/// The answer is no when it stands still and somebody has to act, or when it did not end as it was meant to.
fn exit(view: &RolloutView) -> Exit {
    match view.phase {
        RolloutPhase::Stopped
        | RolloutPhase::RollingBack
        | RolloutPhase::RolledBack
        | RolloutPhase::Aborted => Exit::No,
        _ => Exit::Done,
    }
}

async fn read(hub: &Hub, rollout: &Rollout, now: Timestamp) -> Result<RolloutView> {
    let (members, clusters) = futures::try_join!(
        pick::members(hub, pick::name_of(rollout)),
        list::<TenantCluster>(hub, "clusters of tenants"),
    )?;
    Ok(RolloutView::of(rollout, &members, &clusters, now))
}

fn print(session: &Session, view: &RolloutView, format: Format) -> Result<()> {
    let now = session.now();
    session.printer.value(
        format,
        &Document::new("RolloutStatus", view),
        |wide| view.to_text(wide, now),
        || view.members.iter().map(|member| format!("tenant/{}", member.tenant)).collect(),
    )
}

/// Prints the status again whenever it changed, until it is over or interrupted.
async fn follow(
    session: &Session,
    hub: &Hub,
    name: &str,
    mut last: RolloutView,
    format: Format,
) -> Result<Exit> {
    let rollouts: Api<Rollout> = Api::all(hub.client.clone());
    let members: Api<RolloutMember> = Api::all(hub.client.clone());
    let own = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let of_it = watcher::Config::default().fields(&format!("spec.rollout={name}"));
    let changes = stream::select(
        watcher(rollouts, own).map(|event| event.map(drop)),
        watcher(members, of_it).map(|event| event.map(drop)),
    );
    let mut changes = std::pin::pin!(changes);
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    let mut refresh = tokio::time::interval(REFRESH);
    refresh.reset();
    while !last.phase.is_over() {
        tokio::select! {
            interrupt = &mut interrupt => {
                interrupt.map_err(|error| CliError::remote("the keyboard cannot be listened to").because(error))?;
                return Ok(Exit::Done);
            }
            _ = refresh.tick() => {}
            change = changes.next() => match change {
                // A watch that broke off is begun again by the stream itself.
                Some(Ok(()) | Err(_)) => {}
                None => return Ok(Exit::Done),
            },
        }
        tokio::time::sleep(SETTLE).await;
        let rollout = pick::rollout(hub, Some(name)).await?;
        let view = read(hub, &rollout, session.now()).await?;
        // Whoever reads a log wants what happened, and no copy of it for every second that a clock went on.
        let news =
            if session.printer.is_watched() { view != last } else { !view.is_same_but_for_clocks(&last) };
        if news {
            session.printer.data("")?;
            print(session, &view, format)?;
            last = view;
        }
    }
    Ok(exit(&last))
}
