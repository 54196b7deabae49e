//! What was measured, and how it is told.

use std::time::Duration;

/// One figure with what it was measured under.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    pub(crate) what: String,
    pub(crate) value: String,
}

/// All figures, in the order in which they were taken.
#[derive(Debug, Default)]
pub(crate) struct Figures(Vec<Figure>);

impl Figures {
    pub(crate) fn add(&mut self, what: impl Into<String>, value: impl Into<String>) {
        let figure = Figure { what: what.into(), value: value.into() };
        crate::say(&format!("  {}: {}", figure.what, figure.value));
        self.0.push(figure);
    }

    /// The figures as a Markdown table.
    pub(crate) fn table(&self) -> String {
        let rows: Vec<String> =
            self.0.iter().map(|one| format!("| {} | {} |", one.what, one.value)).collect();
        format!("| What | Figure |\n|---|---|\n{}\n", rows.join("\n"))
    }
}

/// The value below which the given share of the values lies.
pub(crate) fn percentile(sorted: &[Duration], share: f64) -> Duration {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rank in a short list"
    )]
    let rank = ((sorted.len() as f64 - 1.0) * share).round() as usize;
    sorted.get(rank).copied().unwrap_or_default()
}

/// Mebibytes of a number of bytes.
pub(crate) fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes / 1024 / 1024)
}

/// Milliseconds or seconds.
pub(crate) fn time(duration: Duration) -> String {
    if duration < Duration::from_secs(2) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}
