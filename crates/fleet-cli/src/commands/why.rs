//! `fleet why TENANT`: where it stands, why, and who can act.

use crate::{
    cli::Format,
    error::{Exit, Result},
    output::{Document, fleet_status::State, tenant::Why},
    session::Session,
};

pub(crate) async fn run(session: &Session, name: &str, format: Format) -> Result<Exit> {
    let hub = session.hub().await?;
    let (tenant, cluster) = hub.tenant_or_cluster(name).await?;
    let document = Document::new("Why", Why::of(name, tenant.as_ref(), cluster.as_ref()));
    let why = document.body();
    let now = session.now();
    session.printer.value(
        format,
        &document,
        |_| why.to_text(now, true),
        || why.reasons.iter().map(|entry| entry.code.clone()).collect(),
    )?;
    Ok(if why.state == State::Ready { Exit::Done } else { Exit::No })
}
