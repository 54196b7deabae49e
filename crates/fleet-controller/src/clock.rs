//! The clock as an argument, so that tests own the time.

use std::sync::Arc;

use fleet_api::text::Day;
use jiff::{Timestamp, tz::TimeZone};

/// Tells the time of day. How long something takes is measured elsewhere, by the monotonic clock.
pub trait Clock: Send + Sync + 'static {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// The clock of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }
}

/// The day that exceptions and channels go by: the one in UTC.
pub(crate) fn day_of(now: Timestamp) -> Day {
    Day(now.to_zoned(TimeZone::UTC).date())
}

/// How long until the next day begins in UTC.
pub(crate) fn until_tomorrow(now: Timestamp) -> std::time::Duration {
    let second_of_day = now.as_second().rem_euclid(24 * 60 * 60);
    std::time::Duration::from_secs(u64::try_from(24 * 60 * 60 - second_of_day).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_turns_at_midnight_in_utc() {
        let late: Timestamp = "2026-11-24T23:59:58Z".parse().unwrap();
        assert_eq!(day_of(late).to_string(), "2026-11-24");
        assert_eq!(until_tomorrow(late).as_secs(), 2);
        let midnight: Timestamp = "2026-11-25T00:00:00Z".parse().unwrap();
        assert_eq!(day_of(midnight).to_string(), "2026-11-25");
        assert_eq!(until_tomorrow(midnight).as_secs(), 24 * 60 * 60);
    }
}
