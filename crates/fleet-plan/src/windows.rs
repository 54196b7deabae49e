//! Maintenance windows: whether one is open, how long it stays so, and when the next one opens.
//!
//! Windows are written on a wall clock, so they are laid out in the tenant's zone: one that opens at a time that
//! the clocks skip opens as much later as they skip, one that opens at a time that comes twice opens at the first,
//! and its length is always counted in real minutes. Where the tenant's people chose windows of their own, a step
//! begins only while one of theirs and one of the operators' are open.
//!
//! Everything here is a function of its arguments: whoever asks again with an earlier `now`, because a clock was set
//! back, gets the answer that belongs to that moment.

mod layout;
mod slots;
mod timeline;

use std::fmt;

use fleet_api::{text::Day, v1alpha1::Maintenance};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use layout::{Hold, Layout};
pub use slots::{Slot, slots};
pub(crate) use timeline::{Begin, Timeline};

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
    /// A window of the operators is open, and none that the tenant's people chose.
    NotChosen,
    /// A window is open and closes before the step is expected to end.
    TooLittleLeft {
        /// When it closes.
        until: Timestamp,
    },
    /// A window is open, and it is too late in it for a step to begin.
    PastLatestStart {
        /// When it closes.
        until: Timestamp,
    },
    /// A freeze holds.
    Frozen {
        /// Why, as the spec says.
        reason: String,
        /// Its last day.
        to: Day,
    },
    /// Changes were put off, by the operators or by the tenant's people.
    PutOff {
        /// The first day on which one may begin.
        until: Day,
    },
    /// The last change is not long enough ago.
    TooSoon {
        /// When it will be.
        until: Timestamp,
    },
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let to_the_minute = |at: &Timestamp| at.strftime("%Y-%m-%dT%H:%MZ").to_string();
        match self {
            Self::OutsideWindows => f.write_str("no maintenance window is open"),
            Self::NotChosen => f.write_str("no maintenance window that the tenant's people chose is open"),
            Self::TooLittleLeft { until } => {
                write!(f, "the open window closes at {}, too soon for the step", to_the_minute(until))
            }
            Self::PastLatestStart { until } => {
                write!(f, "it is too late to begin in the window that closes at {}", to_the_minute(until))
            }
            Self::Frozen { reason, to } => write!(f, "a freeze holds up to and with {to} ({reason})"),
            Self::PutOff { until } => write!(f, "changes were put off until {until}"),
            Self::TooSoon { until } => {
                write!(f, "the last change is too short a time ago, until {}", to_the_minute(until))
            }
        }
    }
}

/// What a disruptive step is to the change that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// With it a change begins: the minimum gap is kept from the last one, and what was put off waits.
    Begins {
        /// When workloads were last disturbed by a change, if that is known.
        last: Option<Timestamp>,
    },
    /// It goes on with a change that has begun. Windows and freezes hold it; a half-finished change is otherwise ended.
    GoesOn,
}

/// Tells whether a change that takes `minutes` may begin at `now`, and otherwise when; without a minimum gap.
///
/// Without windows any time will do that is not frozen.
pub fn permission(
    maintenance: Option<&Maintenance>,
    now: Timestamp,
    minutes: i64,
) -> Result<Permission, UnknownZone> {
    permission_for(maintenance, Change::Begins { last: None }, now, minutes)
}

/// Tells whether a step that takes `minutes` may begin at `now`, and otherwise when.
pub fn permission_for(
    maintenance: Option<&Maintenance>,
    change: Change,
    now: Timestamp,
    minutes: i64,
) -> Result<Permission, UnknownZone> {
    let Some(maintenance) = maintenance else {
        return Ok(Permission::Now { until: None });
    };
    let layout = Layout::of(maintenance, change)?;
    let needed = SignedDuration::from_mins(minutes.max(0));
    let next = layout.next(now, needed);
    if next == Some(now) {
        return Ok(Permission::Now { until: layout.open_until(now, needed) });
    }
    let why = match layout.hold_at(now) {
        Some(hold) => hold.into(),
        None => layout.why_no_window(now),
    };
    Ok(Permission::Later { at: next, why })
}

impl From<Hold<'_>> for Closed {
    fn from(hold: Hold<'_>) -> Self {
        match hold {
            Hold::Frozen(freeze) => Self::Frozen { reason: freeze.reason.clone(), to: freeze.to },
            Hold::PutOff(until) => Self::PutOff { until },
            Hold::TooSoon(until) => Self::TooSoon { until },
        }
    }
}

/// The zone in which a tenant's days and windows are read; UTC for a tenant without maintenance times.
pub fn zone(maintenance: Option<&Maintenance>) -> Result<TimeZone, UnknownZone> {
    maintenance.map_or(Ok(TimeZone::UTC), layout::zone_of)
}
