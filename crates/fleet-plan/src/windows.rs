//! Maintenance windows: whether one is open, how long it stays so, and when the next one opens.
//!
//! Windows are written on a wall clock, so they are laid out in the tenant's zone: one that opens at a time that
//! the clocks skip opens as much later as they skip, one that opens at a time that comes twice opens at the first,
//! and its length is always counted in real minutes.

use fleet_api::v1alpha1::{Freeze, Maintenance, Window};
use jiff::{SignedDuration, Span, Timestamp, civil::Date, tz::TimeZone};

/// How many days ahead an opening is looked for. Freezes end within a year or they are no freezes.
const HORIZON_DAYS: i32 = 400;
/// How many days ahead are looked through first.
const SOON_DAYS: i32 = 8;

/// A time zone that no IANA database knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{zone}` is not an IANA time zone such as `Europe/Berlin`")]
pub struct UnknownZone {
    /// The text.
    pub zone: String,
}

/// Whether a disruptive step may begin now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permission {
    /// It may. `until` is when the window closes, or `None` when the tenant has no windows.
    Now {
        /// When the window closes.
        until: Option<Timestamp>,
    },
    /// It may not, before the next opening that is long enough.
    Later {
        /// When that is; `None` when there is none within the horizon.
        at: Option<Timestamp>,
        /// Why not now.
        why: Closed,
    },
}

/// Why no disruptive step may begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closed {
    /// No window is open.
    OutsideWindows,
    /// A window is open and closes before the step is expected to end.
    TooLittleLeft {
        /// When it closes.
        until: Timestamp,
    },
    /// A freeze holds.
    Frozen {
        /// Why, as the spec says.
        reason: String,
        /// Its last day.
        to: fleet_api::text::Day,
    },
}

/// Tells whether a step that takes `minutes` may begin at `now`, and otherwise when.
///
/// Without windows any time will do that is not frozen.
pub fn permission(
    maintenance: Option<&Maintenance>,
    now: Timestamp,
    minutes: i64,
) -> Result<Permission, UnknownZone> {
    let Some(maintenance) = maintenance else {
        return Ok(Permission::Now { until: None });
    };
    let zone = zone_of(maintenance)?;
    let needed = SignedDuration::from_mins(minutes.max(0));
    if let Some(freeze) = freeze_at(&maintenance.freezes, &zone, now) {
        return Ok(Permission::Later {
            at: next_opening(maintenance, &zone, now, needed),
            why: Closed::Frozen { reason: freeze.reason.clone(), to: freeze.to },
        });
    }
    if maintenance.windows.is_empty() {
        return Ok(Permission::Now { until: None });
    }
    // Windows may overlap: the one that stays open longest decides.
    let open_until = openings(maintenance, &zone, now, -32, 1)
        .filter(|(from, until)| *from <= now && now < *until)
        .map(|(_, until)| until)
        .max();
    let why = match open_until {
        Some(until) if now.duration_until(until) >= needed => {
            return Ok(Permission::Now { until: Some(until) });
        }
        Some(until) => Closed::TooLittleLeft { until },
        None => Closed::OutsideWindows,
    };
    Ok(Permission::Later { at: next_opening(maintenance, &zone, now, needed), why })
}

/// True when a window is open now and no freeze holds.
pub fn is_open(maintenance: Option<&Maintenance>, now: Timestamp) -> Result<bool, UnknownZone> {
    Ok(matches!(permission(maintenance, now, 0)?, Permission::Now { .. }))
}

/// How long the open window stays open; `None` when none is open, or when the tenant has no windows.
pub fn time_left(
    maintenance: Option<&Maintenance>,
    now: Timestamp,
) -> Result<Option<SignedDuration>, UnknownZone> {
    match permission(maintenance, now, 0)? {
        Permission::Now { until: Some(until) } => Ok(Some(now.duration_until(until))),
        Permission::Now { until: None } | Permission::Later { .. } => Ok(None),
    }
}

/// The zone in which a tenant's days and windows are read; UTC for a tenant without maintenance times.
pub fn zone(maintenance: Option<&Maintenance>) -> Result<TimeZone, UnknownZone> {
    maintenance.map_or(Ok(TimeZone::UTC), zone_of)
}

fn zone_of(maintenance: &Maintenance) -> Result<TimeZone, UnknownZone> {
    // Only names of the database: a POSIX rule or an offset has no name that a person could check.
    TimeZone::get(&maintenance.time_zone).map_err(|_| UnknownZone { zone: maintenance.time_zone.clone() })
}

/// The freeze that holds at a moment, by the day that the zone has then.
fn freeze_at<'a>(freezes: &'a [Freeze], zone: &TimeZone, at: Timestamp) -> Option<&'a Freeze> {
    let day = at.to_zoned(zone.clone()).date();
    freezes.iter().filter(|freeze| freeze.from.0 <= day && day <= freeze.to.0).max_by_key(|freeze| freeze.to)
}

/// The first moment after `now` at which a step of the needed length may begin.
fn next_opening(
    maintenance: &Maintenance,
    zone: &TimeZone,
    now: Timestamp,
    needed: SignedDuration,
) -> Option<Timestamp> {
    let free = |at: Timestamp| freeze_at(&maintenance.freezes, zone, at).is_none();
    if maintenance.windows.is_empty() {
        return days(zone, now, 1, HORIZON_DAYS)
            .filter_map(|day| start_of(zone, day))
            .filter(|at| *at > now)
            .find(|at| free(*at));
    }
    // A window that a freeze covers at its opening may still be used from the first midnight after the freeze.
    let usable = |(from, until): (Timestamp, Timestamp)| {
        let begin = std::iter::once(from)
            .chain(days(zone, from, 1, 32).filter_map(|day| start_of(zone, day)))
            .take_while(|at| *at < until)
            .find(|at| *at > now && free(*at))?;
        (begin.duration_until(until) >= needed).then_some(begin)
    };
    // Nearly always one of the next days has an opening, and whatever opens on a later day opens after it.
    let soon = openings(maintenance, zone, now, -32, SOON_DAYS).filter_map(usable).min();
    let later = || days(zone, now, SOON_DAYS + 1, SOON_DAYS + 1).find_map(|day| start_of(zone, day));
    if let Some(found) = soon.filter(|found| later().is_some_and(|later| *found <= later)) {
        return Some(found);
    }
    openings(maintenance, zone, now, SOON_DAYS + 1, HORIZON_DAYS).filter_map(usable).chain(soon).min()
}

/// Every opening of every window whose day lies between two offsets from today, in no order.
fn openings<'a>(
    maintenance: &'a Maintenance,
    zone: &'a TimeZone,
    now: Timestamp,
    first: i32,
    last: i32,
) -> impl Iterator<Item = (Timestamp, Timestamp)> + 'a {
    days(zone, now, first, last)
        .flat_map(move |day| maintenance.windows.iter().filter_map(move |window| opening(window, zone, day)))
}

/// When a window opens on a day and when it closes; `None` when it does not open on that day.
fn opening(window: &Window, zone: &TimeZone, day: Date) -> Option<(Timestamp, Timestamp)> {
    if !window.days.iter().any(|weekday| weekday.to_jiff() == day.weekday()) {
        return None;
    }
    let from = zone.to_ambiguous_timestamp(day.to_datetime(window.start.to_civil())).compatible().ok()?;
    let until = from.checked_add(window.duration.to_duration()).ok()?;
    Some((from, until))
}

fn start_of(zone: &TimeZone, day: Date) -> Option<Timestamp> {
    day.to_zoned(zone.clone()).ok().map(|midnight| midnight.timestamp())
}

fn days(zone: &TimeZone, now: Timestamp, first: i32, last: i32) -> impl Iterator<Item = Date> + use<> {
    let today = now.to_zoned(zone.clone()).date();
    (first..=last).filter_map(move |offset| today.checked_add(Span::new().try_days(offset).ok()?).ok())
}
