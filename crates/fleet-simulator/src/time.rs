//! Virtual time, in milliseconds since the Unix epoch.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Milliseconds: a moment since the Unix epoch, or a length.
pub type Millis = i64;

/// One second.
pub(crate) const SECOND: Millis = 1000;
/// One minute.
pub(crate) const MINUTE: Millis = 60 * SECOND;
/// One hour.
pub(crate) const HOUR: Millis = 60 * MINUTE;
/// One day.
pub(crate) const DAY: Millis = 24 * HOUR;

/// The moment as jiff has it.
pub(crate) fn timestamp(at: Millis) -> Timestamp {
    Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The moment as objects carry it: seconds, as the wire has them.
pub(crate) fn time(at: Millis) -> Time {
    Time(timestamp(at - at.rem_euclid(SECOND)))
}

/// The moment that an object carries.
pub(crate) fn millis(time: &Time) -> Millis {
    time.0.as_millisecond()
}

/// The time since a start, as logs show it: `+1d 02:03:04`.
pub(crate) fn since(start: Millis, at: Millis) -> String {
    let seconds = (at - start).max(0) / SECOND;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    format!("+{days}d {:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60)
}

/// A length, as logs show it: `2d`, `3h`, `40m`, `12s`, the two greatest units.
pub(crate) fn length(of: Millis) -> String {
    let sign = if of < 0 { "-" } else { "" };
    let seconds = of.abs() / SECOND;
    let parts = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let mut rest = seconds;
    let mut words = Vec::new();
    for (unit, name) in parts {
        if rest >= unit {
            words.push(format!("{}{name}", rest / unit));
            rest %= unit;
        }
    }
    words.truncate(2);
    if words.is_empty() { format!("{sign}0s") } else { format!("{sign}{}", words.join(" ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_moments_read_well() {
        assert_eq!(since(1000, 1000 + DAY + 2 * HOUR + 3 * MINUTE + 4 * SECOND), "+1d 02:03:04");
        assert_eq!(length(90 * MINUTE), "1h 30m");
        assert_eq!(length(-12 * SECOND), "-12s");
        assert_eq!(length(0), "0s");
    }
}
