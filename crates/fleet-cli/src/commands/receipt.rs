//! `fleet receipt [TENANT]`: what was deleted with a tenant, and what remains.

use fleet_api::receipt::DeletionReceipt;
use fleet_exec::hub::read_receipts;

use crate::{
    cli::Format,
    error::{CliError, Exit, Result},
    hub::{Hub, hub_failed},
    output::{Document, Items},
    printer::table,
    session::Session,
};

pub(crate) async fn run(session: &Session, tenant: Option<&str>, format: Format) -> Result<Exit> {
    let hub = session.hub().await?;
    let receipts = read(&hub, tenant).await?;
    match tenant {
        Some(name) => match receipts.into_iter().next_back() {
            Some(receipt) => print(session, &receipt, format)?,
            None => {
                return Err(CliError::no(format!("there is no receipt for tenant `{name}`"))
                    .hint("list them with `fleet receipt`; one is written when a deletion has ended"));
            }
        },
        None => {
            let document = Document::new("DeletionReceiptList", Items { items: receipts });
            session.printer.value(
                format,
                &document,
                |_| list(&document.body().items),
                || document.body().items.iter().map(|receipt| receipt.tenant.clone()).collect(),
            )?;
        }
    }
    Ok(Exit::Done)
}

/// The receipts of a tenant or of all, newest last.
pub(crate) async fn read(hub: &Hub, tenant: Option<&str>) -> Result<Vec<DeletionReceipt>> {
    if let Some(name) = tenant.filter(|name| name.parse::<fleet_api::TenantName>().is_err()) {
        return Err(CliError::usage(format!("`{name}` is not the name of a tenant")));
    }
    read_receipts(&hub.client, tenant).await.map_err(hub_failed)
}

/// Prints one receipt.
pub(crate) fn print(session: &Session, receipt: &DeletionReceipt, format: Format) -> Result<()> {
    let document = Document::new("DeletionReceipt", receipt);
    session.printer.value(format, &document, |_| receipt.to_text(), || vec![receipt.cluster_name.clone()])
}

fn list(receipts: &[DeletionReceipt]) -> String {
    if receipts.is_empty() {
        return "no receipts".to_owned();
    }
    let rows = receipts.iter().map(|receipt| {
        vec![
            receipt.tenant.clone(),
            receipt.cluster_name.clone(),
            receipt.account.clone(),
            receipt.finished_at.map_or_else(|| "not finished".to_owned(), |at| format!("{at:.0}")),
            receipt.deleted.len().to_string(),
            receipt.remaining.len().to_string(),
        ]
    });
    table(&["tenant", "cluster", "account", "finished", "deleted", "remaining"], rows.collect())
}
