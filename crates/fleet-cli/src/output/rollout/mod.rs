//! Rollouts for people: plans as tables, over time and as a page, and how far they are.

pub(crate) mod chart;
pub(crate) mod conflict;
pub(crate) mod html;
mod nodes;
pub(crate) mod plan;
pub(crate) mod status;
mod svg;
pub(crate) mod timeline;

use jiff::Timestamp;

/// A moment to the minute, in UTC.
pub(crate) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%MZ").to_string()
}

/// A length of time from one moment to another, in its two largest units.
pub(crate) fn between(from: Timestamp, until: Timestamp) -> String {
    let minutes = from.duration_until(until).as_secs().max(0) / 60;
    match minutes {
        0..60 => format!("{minutes}m"),
        60..1_440 => format!("{}h{:02}m", minutes / 60, minutes % 60),
        _ => format!("{}d{:02}h", minutes / 1_440, minutes % 1_440 / 60),
    }
}

/// An amount of USD.
pub(crate) fn dollars(amount: f64) -> String {
    format!("{amount:.2} USD")
}

/// `1 member`, `2 members`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
