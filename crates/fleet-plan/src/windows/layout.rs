//! Maintenance times laid out on the time line: from wall clocks and days to moments.

use fleet_api::{
    text::{Day, Minutes},
    v1alpha1::{Freeze, Maintenance, Weekday, Window},
};
use jiff::{SignedDuration, Span, Timestamp, civil::Date, tz::TimeZone};

use super::{Change, Closed, UnknownZone};

/// How many days ahead an opening is looked for. Freezes end within a year or they are no freezes.
pub(super) const HORIZON_DAYS: i32 = 400;

/// A stretch of time in which windows let a step begin, whatever else holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Opening {
    pub(super) from: Timestamp,
    /// It is closed at this moment.
    pub(super) until: Timestamp,
    /// The last moment at which a step may begin.
    pub(super) start_by: Timestamp,
}

impl Opening {
    /// True when a step of the needed length may begin at the moment.
    pub(super) fn fits(&self, at: Timestamp, needed: SignedDuration) -> bool {
        self.from <= at && at < self.until && at <= self.start_by && at.duration_until(self.until) >= needed
    }

    fn has(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.until
    }

    /// What both leave open.
    fn and(self, other: Self) -> Option<Self> {
        let both = Self {
            from: self.from.max(other.from),
            until: self.until.min(other.until),
            start_by: self.start_by.min(other.start_by),
        };
        (both.from < both.until && both.from <= both.start_by).then_some(both)
    }
}

/// What keeps a step from beginning although a window may be open.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Hold<'a> {
    Frozen(&'a Freeze),
    PutOff(Day),
    TooSoon(Timestamp),
}

/// Maintenance times in their zone, for one kind of step.
#[derive(Debug)]
pub(super) struct Layout<'a> {
    maintenance: &'a Maintenance,
    zone: TimeZone,
    /// From its first moment up to the first moment after it.
    freezes: Vec<(Timestamp, Timestamp, &'a Freeze)>,
    put_off: Option<(Timestamp, Day)>,
    gap_ends: Option<Timestamp>,
}

pub(super) fn zone_of(maintenance: &Maintenance) -> Result<TimeZone, UnknownZone> {
    // Only names of the database: a POSIX rule or an offset has no name that a person could check.
    TimeZone::get(&maintenance.time_zone).map_err(|_| UnknownZone { zone: maintenance.time_zone.clone() })
}

impl<'a> Layout<'a> {
    pub(super) fn of(maintenance: &'a Maintenance, change: Change) -> Result<Self, UnknownZone> {
        let zone = zone_of(maintenance)?;
        let freezes = maintenance
            .freezes
            .iter()
            .filter(|freeze| freeze.from <= freeze.to)
            .map(|freeze| (start_of(&zone, freeze.from.0), end_of(&zone, freeze.to.0), freeze))
            .collect();
        let (put_off, gap_ends) = match change {
            Change::GoesOn => (None, None),
            Change::Begins { last } => {
                let chosen = maintenance.chosen.as_ref().and_then(|chosen| chosen.not_before);
                let day = maintenance.not_before.max(chosen);
                let gap = last.zip(maintenance.min_gap);
                let ends =
                    gap.map(|(last, gap)| last.checked_add(gap.to_duration()).unwrap_or(Timestamp::MAX));
                (day.map(|day| (start_of(&zone, day.0), day)), ends)
            }
        };
        Ok(Self { maintenance, zone, freezes, put_off, gap_ends })
    }

    /// When the days are over up to which changes were put off.
    pub(super) fn put_off_until(&self) -> Option<Timestamp> {
        self.put_off.map(|(ends, _)| ends)
    }

    /// What holds a step at a moment, windows apart.
    pub(super) fn hold_at(&self, at: Timestamp) -> Option<Hold<'a>> {
        let frozen = self.freezes.iter().filter(|(from, end, _)| *from <= at && at < *end);
        if let Some((_, _, freeze)) = frozen.max_by_key(|(_, end, _)| *end) {
            return Some(Hold::Frozen(freeze));
        }
        if let Some((_, day)) = self.put_off.filter(|(ends, _)| at < *ends) {
            return Some(Hold::PutOff(day));
        }
        self.gap_ends.filter(|ends| at < *ends).map(Hold::TooSoon)
    }

    /// The first moment from `at` on at which nothing but windows may hold a step.
    pub(super) fn free_from(&self, at: Timestamp) -> Timestamp {
        let held = [self.put_off.map(|(ends, _)| ends), self.gap_ends];
        let mut free = held.into_iter().flatten().fold(at, Timestamp::max);
        // Each round passes at least one freeze for good.
        while let Some(end) = self
            .freezes
            .iter()
            .filter(|(from, end, _)| *from <= free && free < *end)
            .map(|(_, end, _)| *end)
            .max()
        {
            free = end;
        }
        free
    }

    /// The first moment from `now` on at which a step of the needed length may begin.
    pub(super) fn next(&self, now: Timestamp, needed: SignedDuration) -> Option<Timestamp> {
        let earliest = self.free_from(now);
        if self.always_open() {
            let ahead = SignedDuration::from_hours(24 * i64::from(HORIZON_DAYS));
            return (now.duration_until(earliest) <= ahead).then_some(earliest);
        }
        let mut best: Option<Timestamp> = None;
        for day in self.days(earliest, -self.longest_days(), HORIZON_DAYS) {
            // Nothing that opens on this day or later is sooner.
            if best.is_some_and(|best| best <= self.start_of(day)) {
                break;
            }
            for opening in self.openings_on(day) {
                let begin = self.free_from(opening.from.max(earliest));
                if opening.fits(begin, needed) {
                    best = Some(best.map_or(begin, |best| best.min(begin)));
                }
            }
        }
        best
    }

    /// When the window closes that stays open longest and lets a step of the needed length begin.
    pub(super) fn open_until(&self, now: Timestamp, needed: SignedDuration) -> Option<Timestamp> {
        if self.always_open() {
            return None;
        }
        self.around(now).filter(|opening| opening.fits(now, needed)).map(|opening| opening.until).max()
    }

    /// Why no window lets a step begin.
    pub(super) fn why_no_window(&self, now: Timestamp) -> Closed {
        let open: Vec<Opening> = self.around(now).filter(|opening| opening.has(now)).collect();
        let latest = |late: bool| {
            open.iter().filter(|opening| (now > opening.start_by) == late).map(|opening| opening.until).max()
        };
        if let Some(until) = latest(false) {
            return Closed::TooLittleLeft { until };
        }
        if let Some(until) = latest(true) {
            return Closed::PastLatestStart { until };
        }
        let operators = self.days(now, -self.longest_days(), 1).flat_map(|day| self.operators_on(day));
        if self.maintenance.windows.is_empty() || operators.into_iter().any(|opening| opening.has(now)) {
            return Closed::NotChosen;
        }
        Closed::OutsideWindows
    }

    /// True when no window bounds anything.
    pub(super) fn always_open(&self) -> bool {
        let chosen = self.maintenance.chosen.as_ref();
        self.maintenance.windows.is_empty()
            && chosen.is_none_or(|chosen| chosen.windows.is_empty() && chosen.allowed_days.is_empty())
    }

    /// Every opening that may hold a moment, and some around it.
    fn around(&self, at: Timestamp) -> impl Iterator<Item = Opening> {
        self.days(at, -self.longest_days(), 1).flat_map(|day| self.openings_on(day))
    }

    /// The days around a moment, in their order.
    pub(super) fn days(&self, at: Timestamp, first: i32, last: i32) -> impl Iterator<Item = Date> + use<> {
        let today = at.to_zoned(self.zone.clone()).date();
        (first..=last).filter_map(move |offset| today.checked_add(Span::new().try_days(offset).ok()?).ok())
    }

    /// The first moment of a day.
    pub(super) fn start_of(&self, day: Date) -> Timestamp {
        start_of(&self.zone, day)
    }

    /// How many days an opening may reach, from the day on which it opens.
    pub(super) fn longest_days(&self) -> i32 {
        let chosen = self.chosen_windows().iter();
        let longest = self.maintenance.windows.iter().chain(chosen).map(|window| window.duration.0).max();
        // One more, because a day can have 25 hours.
        i32::try_from(longest.unwrap_or(0) / (24 * 60)).unwrap_or(32) + 2
    }

    /// What opens on a day, as far as operators and tenant both leave it open. What the tenant chose may open later.
    pub(super) fn openings_on(&self, day: Date) -> Vec<Opening> {
        let allowed = self.maintenance.chosen.as_ref().map_or(&[][..], |chosen| &chosen.allowed_days);
        if !allowed.is_empty() && !is_one_of(day, allowed) {
            return Vec::new();
        }
        let chosen = self.chosen_windows();
        match (self.maintenance.windows.is_empty(), chosen.is_empty()) {
            (true, true) => {
                let (from, until) = (start_of(&self.zone, day), end_of(&self.zone, day));
                // A day that a zone skipped has no moment.
                let whole = Opening { from, until, start_by: until };
                if from < until { vec![whole] } else { Vec::new() }
            }
            (true, false) => opening_on(chosen, &self.zone, day).collect(),
            (false, true) => self.operators_on(day),
            (false, false) => {
                let mut both = Vec::new();
                for operators in self.operators_on(day) {
                    let length = operators.from.duration_until(operators.until).as_hours() / 24;
                    let ahead = i32::try_from(length).unwrap_or(32) + 2;
                    for other in self.days(operators.from, -self.longest_days(), ahead) {
                        both.extend(
                            opening_on(chosen, &self.zone, other).filter_map(|chosen| operators.and(chosen)),
                        );
                    }
                }
                both
            }
        }
    }

    /// What the operators' windows open on a day, whatever the tenant chose.
    fn operators_on(&self, day: Date) -> Vec<Opening> {
        opening_on(&self.maintenance.windows, &self.zone, day).collect()
    }

    fn chosen_windows(&self) -> &'a [Window] {
        self.maintenance.chosen.as_ref().map_or(&[], |chosen| &chosen.windows)
    }
}

fn is_one_of(day: Date, days: &[Weekday]) -> bool {
    days.iter().any(|weekday| weekday.to_jiff() == day.weekday())
}

/// What opens on a day.
fn opening_on(windows: &[Window], zone: &TimeZone, day: Date) -> impl Iterator<Item = Opening> {
    windows.iter().filter(move |window| is_one_of(day, &window.days)).filter_map(move |window| {
        let from = zone.to_ambiguous_timestamp(day.to_datetime(window.start.to_civil())).compatible().ok()?;
        let after = |length: Minutes| from.checked_add(length.to_duration()).ok();
        let until = after(window.duration)?;
        let start_by = window.latest_start.map_or(Some(until), after)?;
        Some(Opening { from, until, start_by })
    })
}

/// The first moment of a day.
fn start_of(zone: &TimeZone, day: Date) -> Timestamp {
    day.to_zoned(zone.clone()).map_or(Timestamp::MAX, |midnight| midnight.timestamp())
}

/// The first moment after a day.
fn end_of(zone: &TimeZone, day: Date) -> Timestamp {
    day.tomorrow().map_or(Timestamp::MAX, |next| start_of(zone, next))
}
