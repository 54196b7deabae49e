//! What a drawing of a plan shows over time, whatever it is drawn with.

use fleet_api::v1alpha1::Maintenance;
use fleet_plan::{
    rollout::plan::RolloutPlan,
    windows::{self, Change},
};
use jiff::{SignedDuration, Timestamp};

/// How many openings of a member's windows are drawn at most.
const OPENINGS: usize = 200;
const HOUR: i64 = 3_600;
/// How far apart marks on an axis may be, in seconds.
const STEPS: [i64; 12] = [
    HOUR / 4,
    HOUR / 2,
    HOUR,
    2 * HOUR,
    6 * HOUR,
    12 * HOUR,
    24 * HOUR,
    48 * HOUR,
    168 * HOUR,
    336 * HOUR,
    672 * HOUR,
    2_688 * HOUR,
];

/// A stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
}

impl Span {
    /// Where a moment lies in the span, from 0 at its beginning to 1 at its end. Outside of it is outside of these.
    pub(crate) fn share(&self, at: Timestamp) -> f64 {
        let whole = self.from.duration_until(self.until).as_secs_f64();
        if whole > 0.0 { self.from.duration_until(at).as_secs_f64() / whole } else { 0.0 }
    }

    /// What two spans have in common.
    pub(crate) fn and(&self, other: Self) -> Option<Self> {
        let both = Self { from: self.from.max(other.from), until: self.until.min(other.until) };
        (both.from < both.until).then_some(both)
    }
}

/// The time that a drawing of a plan covers: from when it was made to a little after it ends.
pub(crate) fn span(plan: &RolloutPlan) -> Span {
    let nodes = plan.members.iter().filter_map(|member| member.nodes_from);
    let until = nodes.fold(plan.ends_at, Ord::max);
    let margin = (plan.made_at.duration_until(until) / 30).max(SignedDuration::from_mins(10));
    Span { from: plan.made_at, until: until.checked_add(margin).unwrap_or(until) }
}

/// When a member's windows are open.
pub(crate) fn open(maintenance: Option<&Maintenance>, span: Span) -> Vec<Span> {
    let slots = windows::slots(maintenance, Change::GoesOn, span.from, span.until, 0, OPENINGS);
    let openings =
        slots.unwrap_or_default().into_iter().map(|slot| Span { from: slot.opens, until: slot.closes });
    openings.filter_map(|opening| span.and(opening)).collect()
}

/// When a member is frozen, and why.
pub(crate) fn frozen(maintenance: Option<&Maintenance>, span: Span) -> Vec<(Span, String)> {
    let Ok(zone) = windows::zone(maintenance) else { return Vec::new() };
    let freezes = maintenance.map(|maintenance| maintenance.freezes.as_slice()).unwrap_or_default();
    let spans = freezes.iter().filter_map(|freeze| {
        let from = freeze.from.0.to_zoned(zone.clone()).ok()?.timestamp();
        let until = freeze.to.0.tomorrow().ok()?.to_zoned(zone.clone()).ok()?.timestamp();
        Some((span.and(Span { from, until })?, freeze.reason.clone()))
    });
    spans.collect()
}

/// Moments to mark on the axis of a drawing, and how to write them: whole hours, days or weeks, at most `most` of them.
pub(crate) fn ticks(span: Span, most: usize) -> Vec<(Timestamp, String)> {
    let length = span.from.duration_until(span.until).as_secs().max(1);
    let most = i64::try_from(most.max(1)).unwrap_or(1);
    let step = STEPS.into_iter().find(|step| length / step < most).unwrap_or(2_688 * HOUR);
    // Weeks begin on a Monday: 1970-01-05 was one.
    let anchor = if step >= 168 * HOUR { 4 * 24 * HOUR } else { 0 };
    let first = (span.from.as_second() - anchor).div_euclid(step) * step + anchor;
    let format = if step < 24 * HOUR { "%d %b %H:%M" } else { "%a %d %b" };
    (0..=most + 1)
        .filter_map(|index| Timestamp::from_second(first + index * step).ok())
        .filter(|at| *at >= span.from && *at < span.until)
        .map(|at| (at, at.strftime(format).to_string()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn an_axis_has_whole_hours_or_days_and_no_more_than_asked_for() {
        let day = Span { from: at("2026-11-24T14:10:00Z"), until: at("2026-11-25T14:10:00Z") };
        let texts: Vec<String> = ticks(day, 5).into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, ["24 Nov 18:00", "25 Nov 00:00", "25 Nov 06:00", "25 Nov 12:00"]);
        let month = Span { from: at("2026-11-24T14:10:00Z"), until: at("2026-12-24T14:10:00Z") };
        let texts: Vec<String> = ticks(month, 5).into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, ["Mon 30 Nov", "Mon 07 Dec", "Mon 14 Dec", "Mon 21 Dec"]);
    }

    #[test]
    fn a_share_is_where_a_moment_lies() {
        let span = Span { from: at("2026-11-24T00:00:00Z"), until: at("2026-11-24T10:00:00Z") };
        assert!((span.share(at("2026-11-24T02:30:00Z")) - 0.25).abs() < 1e-9);
    }
}
