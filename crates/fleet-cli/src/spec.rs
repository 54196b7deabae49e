//! Reading a spec for a command, with its findings where people look.

use std::{collections::BTreeSet, path::PathBuf};

use fleet_api::text::Day;
use fleet_render::Catalogue;
use fleet_spec::{Checked, Context, Finding, Input, Severity, ValidatedFleet, check, load, render};
use owo_colors::OwoColorize as _;

use crate::{
    error::{CliError, Result},
    printer::Printer,
};

/// The catalogue of controls that is built in.
pub(crate) fn catalogue() -> Result<Catalogue> {
    Catalogue::builtin()
        .map_err(|error| CliError::remote("the built-in catalogue cannot be read").because(error))
}

/// The ids of the controls of a catalogue.
pub(crate) fn control_ids(catalogue: &Catalogue) -> BTreeSet<String> {
    catalogue.controls().iter().map(|control| control.id.clone()).collect()
}

/// The paths of `-f` as inputs.
pub(crate) fn inputs(files: &[PathBuf]) -> Vec<Input> {
    files.iter().map(|path| Input::from_argument(&path.to_string_lossy())).collect()
}

/// Reads and judges a spec.
///
/// # Errors
/// Every finding, when one of them is an error.
pub(crate) fn judge(
    files: &[PathBuf],
    today: Day,
    beside: Option<&ValidatedFleet>,
) -> Result<std::result::Result<Checked, Vec<Finding>>> {
    let controls = control_ids(&catalogue()?);
    let context = Context { today, controls: Some(&controls), beside };
    Ok(check(&load(&inputs(files)), &context))
}

/// Reads a spec that a command goes on with: findings go to stderr, and an error among them ends the command.
pub(crate) fn read(
    printer: &Printer,
    files: &[PathBuf],
    today: Day,
    beside: Option<&ValidatedFleet>,
) -> Result<ValidatedFleet> {
    match judge(files, today, beside)? {
        Ok(Checked { fleet, findings }) => {
            note(printer, &findings);
            Ok(fleet)
        }
        Err(findings) => {
            refuse(printer, &findings);
            Err(CliError::usage(format!("the spec cannot be used: {}", render::summary(&findings)))
                .hint("mend it and try again; `fleet validate` checks it without changing anything"))
        }
    }
}

/// Tells findings that keep nobody from going on.
pub(crate) fn note(printer: &Printer, findings: &[Finding]) {
    if !findings.is_empty() {
        printer.note(&format!("{}\n", texts(findings)));
    }
}

/// Tells findings for which something is refused.
pub(crate) fn refuse(printer: &Printer, findings: &[Finding]) {
    printer.refusal(&format!("{}\n", texts(findings)));
}

/// Findings for people, coloured; the printer takes the colours out where nobody sees them.
pub(crate) fn texts(findings: &[Finding]) -> String {
    findings.iter().map(|finding| render::finding(finding, &Dressed)).collect::<Vec<_>>().join("\n\n")
}

struct Dressed;

impl render::Style for Dressed {
    fn severity(&self, severity: Severity, text: &str) -> String {
        match severity {
            Severity::Error => text.red().bold().to_string(),
            Severity::Warning => text.yellow().bold().to_string(),
            Severity::Info => text.cyan().bold().to_string(),
        }
    }
    fn message(&self, text: &str) -> String {
        text.bold().to_string()
    }
    fn frame(&self, text: &str) -> String {
        text.blue().to_string()
    }
    fn mark(&self, severity: Severity, text: &str) -> String {
        self.severity(severity, text)
    }
    fn hint(&self, text: &str) -> String {
        text.cyan().to_string()
    }
}
