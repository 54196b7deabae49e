//! `fleet validate`: every finding of a spec at once.

use fleet_spec::{Checked, Finding, any_error, render};
use serde::Serialize;

use crate::{
    cli::{Format, Spec},
    error::{Exit, Result},
    output::Document,
    session::Session,
    spec,
};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Findings {
    /// How many objects were read, when there is no error.
    #[serde(skip_serializing_if = "Option::is_none")]
    objects: Option<usize>,
    findings: Vec<Finding>,
}

pub(crate) fn run(session: &Session, arguments: &Spec, format: Format) -> Result<Exit> {
    let judged = spec::judge(&arguments.files, session.day(arguments.on), None)?;
    let (objects, findings) = match judged {
        Ok(Checked { fleet, findings }) => (Some(fleet.len()), findings),
        Err(findings) => (None, findings),
    };
    let bad = any_error(&findings);
    let document = Document::new("Findings", Findings { objects, findings });
    session.printer.value(
        format,
        &document,
        |_| text(&document),
        || {
            let places = document.body().findings.iter().map(|finding| match &finding.place {
                Some(place) => format!("{}:{}:{}", place.file, place.line, place.column),
                None => finding.code.as_str().to_owned(),
            });
            places.collect()
        },
    )?;
    Ok(if bad { Exit::No } else { Exit::Done })
}

fn text(document: &Document<Findings>) -> String {
    let Findings { objects, findings } = document.body();
    let summary = match objects {
        Some(1) => format!("1 object, {}", render::summary(findings)),
        Some(objects) => format!("{objects} objects, {}", render::summary(findings)),
        None => render::summary(findings),
    };
    if findings.is_empty() { summary } else { format!("{}\n\n{summary}", spec::texts(findings)) }
}
