//! When a tenant may be disturbed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::{Day, Minutes, TimeOfDay};

/// When disruptive changes may begin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Maintenance {
    /// The IANA time zone of the windows and of the freezes, such as `Europe/Berlin`.
    pub time_zone: String,
    /// The weekly windows. A disruptive change begins only inside one, and only if it is expected to end in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub windows: Vec<Window>,
    /// Spans of days in which nothing disruptive begins, whatever the windows say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub freezes: Vec<Freeze>,
}

/// One weekly window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// The days on which the window opens.
    #[schemars(length(min = 1, max = 7))]
    pub days: Vec<Weekday>,
    /// The wall-clock time at which it opens, such as `22:00`.
    pub start: TimeOfDay,
    /// How long it stays open, such as `4h`. It may pass midnight.
    pub duration: Minutes,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Weekday {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

impl Weekday {
    /// The same day as jiff's weekday.
    pub const fn to_jiff(self) -> jiff::civil::Weekday {
        match self {
            Self::Mon => jiff::civil::Weekday::Monday,
            Self::Tue => jiff::civil::Weekday::Tuesday,
            Self::Wed => jiff::civil::Weekday::Wednesday,
            Self::Thu => jiff::civil::Weekday::Thursday,
            Self::Fri => jiff::civil::Weekday::Friday,
            Self::Sat => jiff::civil::Weekday::Saturday,
            Self::Sun => jiff::civil::Weekday::Sunday,
        }
    }
}

/// A span of days in which nothing disruptive begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Freeze {
    /// The first day of the freeze.
    pub from: Day,
    /// The last day of the freeze, which still belongs to it.
    pub to: Day,
    /// Why, for whoever asks what is holding an upgrade.
    #[schemars(length(min = 1, max = 256))]
    pub reason: String,
}
