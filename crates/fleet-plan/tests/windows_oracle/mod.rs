//! Maintenance times judged in another way than the crate does it: from the moment to the windows, by arithmetic on
//! offsets, with every pair of windows looked at.

use fleet_api::v1alpha1::{Maintenance, Weekday, Window};
use jiff::{SignedDuration, Timestamp, ToSpan as _, civil, tz::TimeZone};

pub(crate) struct Oracle<'a> {
    maintenance: &'a Maintenance,
    zone: TimeZone,
    last: Option<Timestamp>,
}

type Span = (Timestamp, Timestamp, Timestamp);

impl<'a> Oracle<'a> {
    pub(crate) fn new(maintenance: &'a Maintenance) -> Self {
        Self { maintenance, zone: TimeZone::get(&maintenance.time_zone).unwrap(), last: None }
    }

    pub(crate) fn after(self, last: Option<Timestamp>) -> Self {
        Self { last, ..self }
    }

    /// The moment that a wall clock shows, by the offset before the change where the clock lies.
    fn moment(&self, clock: civil::DateTime) -> Timestamp {
        let as_if_utc = clock.to_zoned(TimeZone::UTC).unwrap().timestamp();
        let read = |offset: i32| as_if_utc - SignedDuration::from_secs(i64::from(offset));
        let offset_at = |at: Timestamp| self.zone.to_offset(at).seconds();
        // No zone is further than 15 hours from UTC, and no two changes lie within four days.
        let before = read(offset_at(as_if_utc - SignedDuration::from_hours(40)));
        let after = read(offset_at(as_if_utc + SignedDuration::from_hours(40)));
        let shows = |at: Timestamp| self.zone.to_datetime(at) == clock;
        if shows(before) || !shows(after) { before } else { after }
    }

    fn openings(&self, windows: &[Window], around: Timestamp, days: &[Weekday]) -> Vec<Span> {
        let today = self.zone.to_datetime(around).date();
        let mut spans = Vec::new();
        for offset in -4_i64..=4 {
            let day = today.checked_add(offset.days()).unwrap();
            let named = |days: &[Weekday]| days.iter().any(|one| one.to_jiff() == day.weekday());
            if !days.is_empty() && !named(days) {
                continue;
            }
            for window in windows.iter().filter(|window| named(&window.days)) {
                let from = self.moment(day.to_datetime(window.start.to_civil()));
                let after = |minutes: i64| from + SignedDuration::from_mins(minutes);
                let until = after(window.duration.0);
                spans.push((from, until, window.latest_start.map_or(until, |latest| after(latest.0))));
            }
        }
        spans
    }

    /// Every stretch around a moment that both sides leave open.
    fn open(&self, around: Timestamp) -> Vec<Span> {
        let everything = vec![(Timestamp::MIN, Timestamp::MAX, Timestamp::MAX)];
        let chosen = self.maintenance.chosen.clone().unwrap_or_default();
        let days = &chosen.allowed_days;
        if self.maintenance.windows.is_empty() && chosen.windows.is_empty() && !days.is_empty() {
            let whole: Window = serde_json::from_value(serde_json::json!({
                "days": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], "start": "00:00", "duration": "24h",
            }))
            .unwrap();
            // Whole days end where the next one begins, however long they are.
            let next = |from: Timestamp| {
                let tomorrow = self.zone.to_datetime(from).date().tomorrow().unwrap();
                self.moment(tomorrow.to_datetime(civil::Time::midnight()))
            };
            let whole = self.openings(&[whole], around, days);
            return whole.iter().map(|(from, ..)| (*from, next(*from), next(*from))).collect();
        }
        let (operators, own) = if self.maintenance.windows.is_empty() {
            (everything.clone(), self.openings(&chosen.windows, around, days))
        } else {
            (
                self.openings(&self.maintenance.windows, around, days),
                self.openings(&chosen.windows, around, &[]),
            )
        };
        let own = if chosen.windows.is_empty() { everything } else { own };
        let both = operators
            .iter()
            .flat_map(|one| own.iter().map(|two| (one.0.max(two.0), one.1.min(two.1), one.2.min(two.2))));
        both.filter(|(from, until, by)| from < until && from <= by).collect()
    }

    fn held(&self, at: Timestamp) -> bool {
        let day = self.zone.to_datetime(at).date();
        let frozen = self.maintenance.freezes.iter().any(|freeze| freeze.from.0 <= day && day <= freeze.to.0);
        let chosen = self.maintenance.chosen.as_ref().and_then(|chosen| chosen.not_before);
        let early = [self.maintenance.not_before, chosen].into_iter().flatten().any(|first| day < first.0);
        let gap = self.maintenance.min_gap.zip(self.last);
        let soon = gap.is_some_and(|(gap, last)| at.duration_since(last) < gap.to_duration());
        frozen || early || soon
    }

    fn fits((from, until, by): &Span, at: Timestamp, minutes: i64) -> bool {
        let ends = at + SignedDuration::from_mins(minutes);
        *from <= at && at < *until && at <= *by && ends <= *until
    }

    pub(crate) fn allows(&self, at: Timestamp, minutes: i64) -> bool {
        !self.held(at) && self.open(at).iter().any(|span| Self::fits(span, at, minutes))
    }

    pub(crate) fn open_until(&self, at: Timestamp, minutes: i64) -> Option<Timestamp> {
        let until =
            self.open(at).iter().filter(|span| Self::fits(span, at, minutes)).map(|span| span.1).max();
        until.filter(|until| *until < Timestamp::MAX)
    }

    /// The first moment from `now` on that is allowed, without holds.
    pub(crate) fn next(&self, now: Timestamp, minutes: i64) -> Option<Timestamp> {
        let mut begins: Vec<Timestamp> = self.open(now).iter().map(|span| span.0.max(now)).collect();
        begins.sort_unstable();
        begins.into_iter().find(|at| self.allows(*at, minutes))
    }
}
