//! `fleet describe TENANT`: everything that is known of it.

use crate::{
    cli::Format,
    error::{Exit, Result},
    output::{
        Document,
        tenant::{Description, Why},
    },
    session::Session,
};

pub(crate) async fn run(session: &Session, name: &str, format: Format) -> Result<Exit> {
    let hub = session.hub().await?;
    let (tenant, cluster) = hub.tenant_or_cluster(name).await?;
    let now = session.now();
    let names = || vec![format!("tenant/{name}")];
    match tenant {
        Some(tenant) => {
            let document = Document::new("TenantDescription", Description::of(&tenant, cluster.as_ref()));
            session.printer.value(format, &document, |_| document.body().to_text(now), names)?;
        }
        None => {
            let document = Document::new("Why", Why::of(name, None, cluster.as_ref()));
            session.printer.value(format, &document, |_| document.body().to_text(now, true), names)?;
        }
    }
    Ok(Exit::Done)
}
