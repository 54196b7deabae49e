//! What was measured, and how it is told.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

/// One figure.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Figure {
    /// The same in every version, for programs.
    id: &'static str,
    /// What was measured.
    what: String,
    /// The figure for people.
    text: String,
    /// The figure for programs; the names end in their units.
    values: BTreeMap<&'static str, f64>,
}

/// All figures, in the order in which they were taken.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Figures(Vec<Figure>);

impl Figures {
    /// Adds a figure, and tells whoever waits.
    pub(crate) fn add<const N: usize>(
        &mut self,
        id: &'static str,
        what: impl Into<String>,
        text: impl Into<String>,
        values: [(&'static str, f64); N],
    ) {
        let figure = Figure { id, what: what.into(), text: text.into(), values: values.into() };
        crate::say(&format!("  {}: {}", figure.what, figure.text));
        self.0.push(figure);
    }

    /// The figures as a table for a terminal.
    pub(crate) fn table(&self) -> String {
        let width = self.0.iter().map(|one| one.what.chars().count()).max().unwrap_or_default();
        let rows = self.0.iter().map(|one| format!("{:<width$}  {}\n", one.what, one.text));
        rows.collect()
    }

    /// The figures as a Markdown table.
    pub(crate) fn markdown(&self) -> String {
        let rows = self.0.iter().map(|one| format!("| {} | {} |\n", one.what, one.text));
        format!("| What | Figure |\n|---|---|\n{}", rows.collect::<String>())
    }
}

/// Durations in order.
#[derive(Debug, Clone)]
pub(crate) struct Spread(Vec<Duration>);

impl Spread {
    pub(crate) fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        Self(durations)
    }

    /// The value at or below which the given share of the values lies, by the nearest rank.
    pub(crate) fn at(&self, share: f64) -> Duration {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a rank in a short list"
        )]
        let rank = (self.0.len() as f64 * share).ceil() as usize;
        self.0.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }

    /// The middle value; of an even number, the mean of the two in the middle.
    pub(crate) fn median(&self) -> Duration {
        let half = self.0.len() / 2;
        let upper = self.0.get(half).copied().unwrap_or_default();
        match half.checked_sub(1).and_then(|lower| self.0.get(lower)) {
            Some(lower) if self.0.len().is_multiple_of(2) => (*lower + upper) / 2,
            _ => upper,
        }
    }

    pub(crate) fn min(&self) -> Duration {
        self.at(0.0)
    }

    pub(crate) fn max(&self) -> Duration {
        self.at(1.0)
    }
}

/// A duration in milliseconds, for programs.
pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_nearest_rank() {
        let spread = Spread::of((1..=200).rev().map(Duration::from_millis).collect());
        assert_eq!(spread.at(0.5), Duration::from_millis(100));
        assert_eq!(spread.at(0.99), Duration::from_millis(198));
        assert_eq!(spread.max(), Duration::from_millis(200));
        assert_eq!(Spread::of(Vec::new()).max(), Duration::ZERO);
    }

    #[test]
    fn the_median_lies_in_the_middle() {
        let of = |numbers: &[u64]| {
            Spread::of(numbers.iter().copied().map(Duration::from_millis).collect()).median()
        };
        assert_eq!(of(&[9, 1, 4]), Duration::from_millis(4));
        assert_eq!(of(&[9, 1, 4, 6]), Duration::from_millis(5));
        assert_eq!(of(&[]), Duration::ZERO);
    }
}
