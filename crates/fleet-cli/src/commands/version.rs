//! `fleet version`.

use serde::Serialize;

use crate::{
    cli::Format,
    error::{Exit, Result},
    output::Document,
    session::Session,
};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    version: &'static str,
    /// The API that this version reads and writes.
    served_api: &'static str,
}

pub(crate) fn run(session: &Session, format: Format) -> Result<Exit> {
    let version = Version { version: env!("CARGO_PKG_VERSION"), served_api: fleet_api::API_VERSION };
    let text = format!("fleet {}", version.version);
    session.printer.value(
        format,
        &Document::new("Version", version),
        |_| text.clone(),
        || vec![text.clone()],
    )?;
    Ok(Exit::Done)
}
