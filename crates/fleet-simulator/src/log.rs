//! The readable log of a run.

use crate::time::{Millis, since};

/// The lines of a run, when somebody wants them.
#[derive(Debug)]
pub(crate) struct Log {
    start: Millis,
    lines: Option<Vec<String>>,
}

impl Log {
    pub(crate) const fn silent() -> Self {
        Self { start: 0, lines: None }
    }

    pub(crate) const fn from(start: Millis) -> Self {
        Self { start, lines: Some(Vec::new()) }
    }

    /// Adds a line, which is made only when somebody wants it.
    pub(crate) fn say(&mut self, now: Millis, who: &str, what: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{}  {who:<12} {}", since(self.start, now), what()));
        }
    }

    pub(crate) fn into_text(self) -> String {
        let mut text = self.lines.unwrap_or_default().join("\n");
        text.push('\n');
        text
    }
}
