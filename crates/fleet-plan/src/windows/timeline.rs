//! Maintenance times that are asked over and over, as when a rollout is planned: each day is laid out once.

use std::cell::{Ref, RefCell};

use fleet_api::v1alpha1::Maintenance;
use jiff::{SignedDuration, Timestamp, civil::Date};

use super::{
    Change, UnknownZone,
    layout::{HORIZON_DAYS, Layout, Opening},
};

/// When a step may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    /// At once; with when the window closes, or `None` for a tenant without windows.
    Now(Option<Timestamp>),
    /// At this moment at the earliest, or never within the horizon.
    Later(Option<Timestamp>),
}

/// Maintenance times from a moment on. It answers as [`permission_for`](super::permission_for) does, for every moment
/// that is not before.
#[derive(Debug)]
pub(crate) struct Timeline<'a> {
    maintenance: &'a Maintenance,
    /// Without gap and without what was put off: those come with each question.
    layout: Layout<'a>,
    /// Until when changes were put off.
    put_off: Option<Timestamp>,
    always_open: bool,
    /// How many days an opening may reach.
    reach: usize,
    days: RefCell<Days>,
}

/// The days that were laid out, one after the other.
#[derive(Debug)]
struct Days {
    next: Option<Date>,
    starts: Vec<Timestamp>,
    openings: Vec<Vec<Opening>>,
}

impl<'a> Timeline<'a> {
    pub(crate) fn of(maintenance: &'a Maintenance, from: Timestamp) -> Result<Self, UnknownZone> {
        let layout = Layout::of(maintenance, Change::GoesOn)?;
        let put_off = Layout::of(maintenance, Change::Begins { last: None })?.put_off_until();
        let reach = layout.longest_days();
        let first = layout.days(from, -reach - 1, 0).next();
        Ok(Self {
            maintenance,
            put_off,
            always_open: layout.always_open(),
            reach: usize::try_from(reach).unwrap_or_default(),
            layout,
            days: RefCell::new(Days { next: first, starts: Vec::new(), openings: Vec::new() }),
        })
    }

    /// The times that it answers for.
    pub(crate) const fn maintenance(&self) -> &'a Maintenance {
        self.maintenance
    }

    /// When a step that takes `minutes` may begin, at `at` or later.
    pub(crate) fn ask(&self, change: Change, at: Timestamp, minutes: i64) -> Begin {
        let needed = SignedDuration::from_mins(minutes.max(0));
        let held = match change {
            Change::GoesOn => None,
            Change::Begins { last } => {
                let gap = last.zip(self.maintenance.min_gap);
                let ends =
                    gap.map(|(last, gap)| last.checked_add(gap.to_duration()).unwrap_or(Timestamp::MAX));
                self.put_off.max(ends)
            }
        };
        let earliest = self.layout.free_from(held.map_or(at, |held| held.max(at)));
        if self.always_open {
            let ahead = SignedDuration::from_hours(24 * i64::from(HORIZON_DAYS));
            return match earliest == at {
                true => Begin::Now(None),
                false => Begin::Later((at.duration_until(earliest) <= ahead).then_some(earliest)),
            };
        }
        match self.next(earliest, needed) {
            Some(next) if next == at => Begin::Now(self.open_until(at, needed)),
            next => Begin::Later(next),
        }
    }

    /// The first moment from `earliest` on at which a step of the needed length may begin.
    fn next(&self, earliest: Timestamp, needed: SignedDuration) -> Option<Timestamp> {
        let today = self.day_of(earliest);
        let last = today.saturating_add(usize::try_from(HORIZON_DAYS).unwrap_or_default());
        let mut best: Option<Timestamp> = None;
        for day in today.saturating_sub(self.reach)..=last {
            let days = self.laid(day);
            let (Some(start), Some(openings)) = (days.starts.get(day), days.openings.get(day)) else { break };
            // Nothing that opens on this day or later is sooner.
            if best.is_some_and(|best| best <= *start) {
                break;
            }
            for opening in openings {
                let begin = self.layout.free_from(opening.from.max(earliest));
                if opening.fits(begin, needed) {
                    best = Some(best.map_or(begin, |best| best.min(begin)));
                }
            }
        }
        best
    }

    /// When the window closes that stays open longest and lets a step of the needed length begin.
    fn open_until(&self, at: Timestamp, needed: SignedDuration) -> Option<Timestamp> {
        let today = self.day_of(at);
        let days = self.laid(today.saturating_add(1));
        let around = days.openings.get(today.saturating_sub(self.reach)..=today.saturating_add(1))?;
        around.iter().flatten().filter(|opening| opening.fits(at, needed)).map(|opening| opening.until).max()
    }

    /// The index of the day on which a moment lies.
    fn day_of(&self, at: Timestamp) -> usize {
        let mut last = 0;
        loop {
            let days = self.laid(last);
            if days.starts.last().is_none_or(|start| *start > at) || days.next.is_none() {
                return days.starts.partition_point(|start| *start <= at).saturating_sub(1);
            }
            last = days.starts.len();
        }
    }

    /// The days, with those up to an index laid out.
    fn laid(&self, day: usize) -> Ref<'_, Days> {
        if self.days.borrow().starts.len() <= day {
            let mut days = self.days.borrow_mut();
            while days.starts.len() <= day {
                let Some(date) = days.next else { break };
                days.starts.push(self.layout.start_of(date));
                days.openings.push(self.layout.openings_on(date));
                days.next = date.tomorrow().ok();
            }
        }
        self.days.borrow()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::windows::{Permission, permission_for};

    fn times() -> impl Strategy<Value = Maintenance> {
        let zone = prop_oneof![
            Just("UTC"),
            Just("Europe/Berlin"),
            Just("America/St_Johns"),
            Just("Pacific/Apia"),
            Just("Australia/Lord_Howe"),
        ];
        let days = prop::sample::subsequence(vec!["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], 1..4);
        let window = (days, 0_u32..24, 1_u32..60).prop_map(|(days, start, hours)| {
            json!({"days": days, "start": format!("{start:02}:30"), "duration": format!("{hours}h")})
        });
        let freeze = (1_u32..12, 1_u32..28, 1_u32..28).prop_map(|(month, from, to)| {
            json!({"from": format!("2027-{month:02}-{:02}", from.min(to)),
                   "to": format!("2027-{month:02}-{:02}", from.max(to)), "reason": "r"})
        });
        let windows = prop::collection::vec(window, 0..3);
        (zone, windows.clone(), windows, prop::collection::vec(freeze, 0..3), any::<bool>()).prop_map(
            |(zone, windows, chosen, freezes, put_off)| {
                let mut times =
                    json!({"timeZone": zone, "windows": windows, "freezes": freezes, "minGap": "48h"});
                if !chosen.is_empty() {
                    times["chosen"] = json!({"windows": chosen});
                }
                if put_off {
                    times["notBefore"] = json!("2027-03-01");
                }
                serde_json::from_value(times).unwrap()
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn it_answers_as_whoever_lays_everything_out_anew(
            maintenance in times(),
            asked in prop::collection::vec((0_i64..500 * 24 * 60, 0_i64..600, prop::option::of(0_i64..500 * 24)), 1..12),
        ) {
            let start: Timestamp = "2026-12-24T14:00:00Z".parse().unwrap();
            let timeline = Timeline::of(&maintenance, start).unwrap();
            for (after, minutes, last) in asked {
                let at = start + SignedDuration::from_mins(after);
                let change = match last {
                    Some(hours) => Change::Begins { last: Some(start + SignedDuration::from_hours(hours)) },
                    None => Change::GoesOn,
                };
                let expected = match permission_for(Some(&maintenance), change, at, minutes).unwrap() {
                    Permission::Now { until } => Begin::Now(until),
                    Permission::Later { at, .. } => Begin::Later(at),
                };
                prop_assert_eq!(timeline.ask(change, at, minutes), expected, "{} {}", at, minutes);
            }
        }
    }
}
