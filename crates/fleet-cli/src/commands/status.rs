//! `fleet status`: the fleet at a glance, once or again whenever something changes.

use std::time::Duration;

use fleet_api::v1alpha1::{Tenant, TenantCluster};
use futures::{StreamExt as _, stream};
use kube::{
    api::{Api, ListParams},
    runtime::watcher,
};

use crate::{
    cli::Format,
    error::{CliError, Exit, Result},
    hub::{Hub, failed},
    output::{
        Document,
        fleet_status::{FleetStatus, State, TenantLine},
    },
    session::Session,
};

/// Changes come in bursts: what follows within this time is shown with the first.
const SETTLE: Duration = Duration::from_millis(300);

pub(crate) async fn run(
    session: &Session,
    tenants: &[String],
    watch: bool,
    not_ready: bool,
    format: Format,
) -> Result<Exit> {
    let hub = session.hub().await?;
    let shown = |line: &TenantLine| {
        (tenants.is_empty() || tenants.contains(&line.name)) && !(not_ready && line.state == State::Ready)
    };
    let status = read(&hub, shown).await?;
    let missing = tenants.iter().find(|name| !status.tenants.iter().any(|line| line.name == **name));
    if let Some(name) = missing.filter(|_| !not_ready) {
        // The error names the nearest one.
        hub.tenant(name).await?;
    }
    print(session, &status, format)?;
    if watch {
        return follow(session, &hub, shown, status, format).await;
    }
    let all_ready = status.tenants.iter().all(|line| line.state == State::Ready);
    // Named tenants are a question: are these ready?
    Ok(if tenants.is_empty() || all_ready { Exit::Done } else { Exit::No })
}

/// Reads the status of the fleet.
pub(crate) async fn read(hub: &Hub, shown: impl Fn(&TenantLine) -> bool) -> Result<FleetStatus> {
    let tenants: Api<Tenant> = Api::all(hub.client.clone());
    let clusters: Api<TenantCluster> = Api::all(hub.client.clone());
    let everything = ListParams::default();
    let (tenants, clusters) = futures::try_join!(tenants.list(&everything), clusters.list(&everything))
        .map_err(|error| failed("the tenants cannot be listed", &error))?;
    Ok(FleetStatus::of(&tenants.items, &clusters.items, shown))
}

fn print(session: &Session, status: &FleetStatus, format: Format) -> Result<()> {
    let now = session.now();
    session.printer.value(
        format,
        &Document::new("FleetStatus", status),
        |wide| status.to_text(wide, now),
        || status.tenants.iter().map(|line| format!("tenant/{}", line.name)).collect(),
    )
}

/// Prints the status again whenever it changed, until interrupted.
async fn follow(
    session: &Session,
    hub: &Hub,
    shown: impl Fn(&TenantLine) -> bool,
    mut last: FleetStatus,
    format: Format,
) -> Result<Exit> {
    let tenants: Api<Tenant> = Api::all(hub.client.clone());
    let clusters: Api<TenantCluster> = Api::all(hub.client.clone());
    let config = watcher::Config::default;
    let changes = stream::select(
        watcher(tenants, config()).map(|event| event.map(drop)),
        watcher(clusters, config()).map(|event| event.map(drop)),
    );
    let mut changes = std::pin::pin!(changes);
    // One listener for the whole time: a new one would miss what is pressed in between.
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        tokio::select! {
            interrupt = &mut interrupt => {
                interrupt.map_err(|error| CliError::remote("the keyboard cannot be listened to").because(error))?;
                return Ok(Exit::Done);
            }
            change = changes.next() => match change {
                // A watch that broke off is begun again by the stream itself.
                Some(Ok(()) | Err(_)) => {}
                None => return Ok(Exit::Done),
            },
        }
        tokio::time::sleep(SETTLE).await;
        let status = read(hub, &shown).await?;
        if status != last {
            session.printer.data("")?;
            print(session, &status, format)?;
            last = status;
        }
    }
}
