//! Small values that people write as text: days, times of day, durations.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Gives a newtype over a parsed value its text form in serde and its pattern in the CRD's schema.
macro_rules! text_value {
    ($name:ident, $schema:literal, $pattern:literal, $example:literal) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                $schema.into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                // A rule that compares such values is affordable only with a bound on their length.
                json_schema!({ "type": "string", "pattern": $pattern, "maxLength": 16, "example": $example })
            }
        }
    };
}

pub(crate) use text_value;

/// A text that is not a day, a time of day or a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {wanted}")]
pub struct TextError {
    text: String,
    wanted: &'static str,
}

/// A day of the calendar, written `2026-12-15`. It has no zone: the tenant's zone gives it one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(pub jiff::civil::Date);

impl FromStr for Day {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        let wrong = || TextError { text: text.to_owned(), wanted: "a day such as `2026-12-15`" };
        if text.len() != 10 {
            return Err(wrong());
        }
        text.parse().map(Self).map_err(|_| wrong())
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

text_value!(Day, "Day", "^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "2026-12-15");

/// A time of day on a wall clock, written `22:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay {
    /// 0 to 23.
    pub hour: i8,
    /// 0 to 59.
    pub minute: i8,
}

impl TimeOfDay {
    /// The same time as jiff's civil time.
    pub fn to_civil(self) -> jiff::civil::Time {
        jiff::civil::time(self.hour, self.minute, 0, 0)
    }
}

impl FromStr for TimeOfDay {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        let wrong =
            || TextError { text: text.to_owned(), wanted: "a time of day such as `22:00` (00:00 to 23:59)" };
        let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
        if hour.len() != 2 || minute.len() != 2 {
            return Err(wrong());
        }
        let hour: i8 = hour.parse().map_err(|_| wrong())?;
        let minute: i8 = minute.parse().map_err(|_| wrong())?;
        if !(0..24).contains(&hour) || !(0..60).contains(&minute) {
            return Err(wrong());
        }
        Ok(Self { hour, minute })
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.hour, self.minute)
    }
}

text_value!(TimeOfDay, "TimeOfDay", "^([01][0-9]|2[0-3]):[0-5][0-9]$", "22:00");

/// A length of time in whole minutes, written `4h`, `90m` or `1h30m`; from `1m` to `744h`, which are 31 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Minutes(pub i64);

impl Minutes {
    /// The same length as jiff's exact duration.
    pub fn to_duration(self) -> jiff::SignedDuration {
        jiff::SignedDuration::from_mins(self.0)
    }
}

impl FromStr for Minutes {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        const MOST: i64 = 31 * 24 * 60;
        let wrong =
            || TextError { text: text.to_owned(), wanted: "a duration such as `4h`, `90m` or `1h30m`" };
        let number = |digits: &str| {
            let plain = (1..=5).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse::<i64>().ok().filter(|_| plain).ok_or_else(wrong)
        };
        let leading = |digits: &str| if digits.starts_with('0') { Err(wrong()) } else { number(digits) };
        let total = match text.split_once('h') {
            Some((hours, "")) => leading(hours)? * 60,
            Some((hours, rest)) => {
                let minutes = rest.strip_suffix('m').filter(|digits| digits.len() <= 2).ok_or_else(wrong)?;
                let minutes = number(minutes)?;
                let total = leading(hours)? * 60 + minutes;
                if minutes > 59 || total >= MOST {
                    return Err(wrong());
                }
                total
            }
            None => leading(text.strip_suffix('m').ok_or_else(wrong)?)?,
        };
        if (1..=MOST).contains(&total) { Ok(Self(total)) } else { Err(wrong()) }
    }
}

impl fmt::Display for Minutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 60, self.0 % 60) {
            (0, minutes) => write!(f, "{minutes}m"),
            (hours, 0) => write!(f, "{hours}h"),
            (hours, minutes) => write!(f, "{hours}h{minutes}m"),
        }
    }
}

// The pattern takes what the parser takes, so that nothing is stored which the controller cannot read.
text_value!(
    Minutes,
    "Minutes",
    "^(([1-9][0-9]{0,3}|[1-3][0-9]{4}|4[0-3][0-9]{3}|44[0-5][0-9]{2}|446[0-3][0-9]|44640)m|([1-9][0-9]?|[1-6][0-9]{2}|7[0-3][0-9]|74[0-3])h([0-5]?[0-9]m)?|744h)$",
    "4h"
);

/// A length of time in whole hours, or in days of 24 hours, written `72h` or `14d`; at most 366 days.
///
/// Unlike [`Minutes`] it is for spans between events, which no window bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    hours: i64,
}

impl Gap {
    /// The same length as jiff's exact duration.
    pub const fn to_duration(self) -> jiff::SignedDuration {
        jiff::SignedDuration::from_hours(self.hours)
    }
}

impl FromStr for Gap {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        let wrong = || TextError {
            text: text.to_owned(),
            wanted: "a length such as `72h` or `14d` (at most 366 days)",
        };
        let (number, unit) = match (text.strip_suffix('h'), text.strip_suffix('d')) {
            (Some(hours), _) => (hours, 1),
            (None, Some(days)) => (days, 24),
            (None, None) => return Err(wrong()),
        };
        let plain = (1..=4).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
        let hours = number.parse::<i64>().ok().filter(|_| plain).ok_or_else(wrong)? * unit;
        if hours == 0 || hours > 366 * 24 {
            return Err(wrong());
        }
        Ok(Self { hours })
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.hours / 24, self.hours % 24) {
            (days, 0) => write!(f, "{days}d"),
            _ => write!(f, "{}h", self.hours),
        }
    }
}

text_value!(Gap, "Gap", "^[0-9]{1,4}[hd]$", "72h");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_back_as_they_are_written() {
        for text in ["4h", "90m", "1h30m", "744h"] {
            let minutes: Minutes = text.parse().unwrap();
            let again: Minutes = minutes.to_string().parse().unwrap();
            assert_eq!(minutes, again, "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_an_example() {
        for text in ["", "0m", "4", "h", "-4h", "745h", "1h 30m", "4h30"] {
            let error = text.parse::<Minutes>().unwrap_err();
            assert!(error.to_string().contains("such as `4h`"), "{text}: {error}");
        }
    }

    #[test]
    fn gaps_read_back_as_they_are_written_and_have_one_unit() {
        for (text, written) in [("72h", "3d"), ("14d", "14d"), ("25h", "25h"), ("366d", "366d")] {
            let gap: Gap = text.parse().unwrap();
            assert_eq!(gap.to_string(), written);
            assert_eq!(written.parse::<Gap>().unwrap(), gap);
        }
        for text in ["", "0h", "0d", "3", "-3h", "+3h", "367d", "8785h", "90m", "1d12h", "00001h"] {
            assert!(text.parse::<Gap>().is_err(), "{text}");
        }
    }

    #[test]
    fn midnight_is_a_time_and_twenty_four_is_not() {
        assert_eq!("00:00".parse::<TimeOfDay>().unwrap().to_string(), "00:00");
        for text in ["24:00", "7:00", "07:60", "noon", "07:00:00"] {
            assert!(text.parse::<TimeOfDay>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_day_that_no_calendar_has_is_refused() {
        assert!("2028-02-29".parse::<Day>().is_ok());
        for text in ["2026-02-29", "2026-2-3", "tomorrow", "2026-12-15T00:00"] {
            assert!(text.parse::<Day>().is_err(), "{text}");
        }
    }
}
