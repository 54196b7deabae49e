//! What commands print for programs: versioned types, from which the tables for people are made as well.

pub(crate) mod calendar;
pub(crate) mod fleet_status;
pub(crate) mod ics;
pub(crate) mod plan;
pub(crate) mod rollout;
pub(crate) mod tenant;
pub(crate) mod versions;

use serde::Serialize;

/// The version of what commands print. Fields are added within it, and never renamed or taken away.
pub(crate) const API_VERSION: &str = "cli.tenantfleet.dev/v1";

/// A value with its version and kind.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Document<T> {
    api_version: &'static str,
    kind: &'static str,
    #[serde(flatten)]
    body: T,
}

impl<T> Document<T> {
    pub(crate) const fn new(kind: &'static str, body: T) -> Self {
        Self { api_version: API_VERSION, kind, body }
    }

    pub(crate) const fn body(&self) -> &T {
        &self.body
    }
}

/// A list with its version and kind.
#[derive(Debug, Serialize)]
pub(crate) struct Items<T> {
    pub(crate) items: Vec<T>,
}

/// Text cut to a width, with a mark that something is missing.
pub(crate) fn cut(text: &str, width: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= width && line.len() == text.len() {
        return line.to_owned();
    }
    let kept: String = line.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_text_says_that_it_was_cut() {
        assert_eq!(cut("short", 10), "short");
        assert_eq!(cut("exactly10c", 10), "exactly10c");
        assert_eq!(cut("longer than that", 10), "longer th…");
        assert_eq!(cut("two\nlines", 10), "two…");
    }
}
