//! Marks to places and snippets.

use crate::{
    field_path::FieldPath,
    finding::{Code, Finding, Place, Severity, Snippet, SnippetLine},
    input::Source,
    node::Mark,
    text,
};

/// The widest line that a snippet shows.
const WIDTH: usize = 110;

/// A finding at a mark of a source.
pub(crate) fn finding(
    source: &Source,
    at: Mark,
    severity: Severity,
    code: Code,
    path: FieldPath,
    message: String,
) -> Finding {
    Finding {
        severity,
        code,
        place: (at.line > 0).then(|| Place {
            file: text::escaped(source.name.clone()),
            line: at.line as usize,
            column: at.column as usize,
        }),
        object: None,
        path,
        message,
        hint: None,
        snippet: snippet(source, at),
    }
}

/// The line of a mark with the one before it, cut to a width around the mark.
fn snippet(source: &Source, at: Mark) -> Option<Snippet> {
    let line = at.line as usize;
    let column = (at.column as usize).max(1);
    if line == 0 {
        return None;
    }
    let meant = source.line(line)?;
    let before = source.line(line - 1).filter(|text| !text.trim().is_empty());
    // A long line begins a little before the mark; a short one at its beginning.
    let characters = meant.chars().count();
    let skip = if characters <= WIDTH { 0 } else { (column - 1).saturating_sub(WIDTH / 2) };
    let rest = meant.trim_end().chars().count().saturating_sub(column - 1).max(1);
    let length = (at.length as usize).clamp(1, rest);
    let indent = column - 1 - skip;
    let lines = before
        .map(|text| (line - 1, text))
        .into_iter()
        .chain([(line, meant)])
        .map(|(number, text)| SnippetLine { number, text: cut(text, skip) })
        .collect();
    Some(Snippet { lines, indent, length: length.min(WIDTH.saturating_sub(indent).max(1)) })
}

/// One character of the text is one of the result, so that columns still hold.
fn cut(line: &str, skip: usize) -> String {
    line.chars()
        .skip(skip)
        .take(WIDTH)
        .map(|c| match c {
            '\t' => ' ',
            c if text::is_unsafe(c) => '\u{fffd}',
            c => c,
        })
        .collect()
}
