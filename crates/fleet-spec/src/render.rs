//! Findings as text, in the shape that rustc made familiar.

use crate::finding::{Finding, Severity};

/// How the parts of a rendered finding are dressed. The command line colours them; [`Plain`] does not.
pub trait Style {
    /// `error[unknown-field]`.
    fn severity(&self, severity: Severity, text: &str) -> String;
    /// The message behind it.
    fn message(&self, text: &str) -> String;
    /// Line numbers, bars and arrows.
    fn frame(&self, text: &str) -> String;
    /// The marks below the YAML.
    fn mark(&self, severity: Severity, text: &str) -> String;
    /// The word `hint`.
    fn hint(&self, text: &str) -> String;
}

/// No dress at all.
pub struct Plain;

impl Style for Plain {
    fn severity(&self, _: Severity, text: &str) -> String {
        text.to_owned()
    }
    fn message(&self, text: &str) -> String {
        text.to_owned()
    }
    fn frame(&self, text: &str) -> String {
        text.to_owned()
    }
    fn mark(&self, _: Severity, text: &str) -> String {
        text.to_owned()
    }
    fn hint(&self, text: &str) -> String {
        text.to_owned()
    }
}

/// One finding, in several lines, without a final line break.
pub fn finding(finding: &Finding, style: &dyn Style) -> String {
    let Finding { severity, code, place, object, path, message, hint, snippet } = finding;
    let head = style.severity(*severity, &format!("{}[{}]", severity.as_str(), code.as_str()));
    let mut lines = vec![format!("{head}: {}", style.message(message))];
    let width = snippet
        .as_ref()
        .and_then(|snippet| snippet.lines.last())
        .map_or(1, |line| line.number.to_string().len());
    let margin = " ".repeat(width);
    if let Some(place) = place {
        let arrow = style.frame(&format!("{margin}-->"));
        lines.push(format!("{arrow} {}:{}:{}", place.file, place.line, place.column));
    }
    if let Some(snippet) = snippet {
        lines.push(style.frame(&format!("{margin} |")));
        for line in &snippet.lines {
            let gutter = style.frame(&format!("{:>width$} |", line.number));
            lines.push(format!("{gutter} {}", line.text).trim_end().to_owned());
        }
        let marks = style.mark(*severity, &"^".repeat(snippet.length.max(1)));
        let gutter = style.frame(&format!("{margin} |"));
        lines.push(format!("{gutter} {}{marks}", " ".repeat(snippet.indent)));
    }
    let note = |text: String| format!("{} {text}", style.frame(&format!("{margin} =")));
    match (object, path.segments().is_empty()) {
        (Some(object), true) => lines.push(note(format!("in {object}"))),
        (Some(object), false) => lines.push(note(format!("in {object}, {path}"))),
        (None, _) => {}
    }
    if let Some(hint) = hint {
        lines.push(note(format!("{} {hint}", style.hint("hint:"))));
    }
    lines.join("\n")
}

/// `2 errors and 1 warning`, or `no findings`.
pub fn summary(findings: &[Finding]) -> String {
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let part = |number: usize, word: &str| match number {
        0 => None,
        1 => Some(format!("1 {word}")),
        _ => Some(format!("{number} {word}s")),
    };
    let parts: Vec<String> = [
        part(count(Severity::Error), "error"),
        part(count(Severity::Warning), "warning"),
        part(count(Severity::Info), "note"),
    ]
    .into_iter()
    .flatten()
    .collect();
    match parts.as_slice() {
        [] => "no findings".to_owned(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
