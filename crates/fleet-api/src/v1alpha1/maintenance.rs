//! When a tenant may be disturbed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::{Day, Gap, Minutes, TimeOfDay};

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
    /// The least time between two changes that disturb workloads, such as `72h` or `14d`. A change is an upgrade of the
    /// control plane with the nodes that follow it, or a replacement of nodes; what has begun is ended without a pause,
    /// and add-ons are not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_gap: Option<Gap>,
    /// No change begins before this day. What has begun is ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Day>,
    /// How the tenant's people may put an upgrade off; not at all when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deferral: Option<Deferral>,
    /// What the tenant's people chose inside these bounds. The controller writes it, from their UpgradePreference; it is
    /// refused in a spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<Chosen>,
}

impl Maintenance {
    /// Any time of a zone will do.
    pub const fn any_time(time_zone: String) -> Self {
        Self {
            time_zone,
            windows: Vec::new(),
            freezes: Vec::new(),
            min_gap: None,
            not_before: None,
            deferral: None,
            chosen: None,
        }
    }
}

/// How a tenant's people may put an upgrade off. Whatever it says, no deferral reaches past the end of standard support.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Deferral {
    /// How often they may do so for each minor that they leave.
    #[schemars(range(min = 1, max = 100))]
    pub times: i32,
    /// How many days each of them may reach ahead of the day on which it is asked for. Default 14.
    #[serde(default = "default_deferral_days")]
    #[schemars(range(min = 1, max = 366))]
    pub days: i32,
}

const fn default_deferral_days() -> i32 {
    14
}

/// What a tenant's people chose inside the operators' bounds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Chosen {
    /// Windows of their own: a change begins only where one of them and one of the operators' are open.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub windows: Vec<Window>,
    /// The days on which the operators' windows may be used; every day when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7))]
    pub allowed_days: Vec<Weekday>,
    /// No change begins before this day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Day>,
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
    /// For how long after its opening a disruptive step may still begin, such as `2h`; up to its end when left out. A step
    /// that has begun runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_start: Option<Minutes>,
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
