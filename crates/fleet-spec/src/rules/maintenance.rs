//! Windows, freezes and zones.

use fleet_api::{
    eks::durations,
    text::Day,
    v1alpha1::{EksClass, Freeze, Maintenance},
};
use jiff::{ToSpan as _, civil::Date, tz};

use super::Problem;
use crate::{
    field_path::FieldPath,
    finding::Code,
    text::{nearest, shown},
};

/// How far ahead a window is looked for.
const HORIZON_DAYS: i32 = 366;

/// What the longest step of an upgrade needs of a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Need {
    /// In minutes.
    minutes: i64,
    /// What takes so long, such as `node group general`.
    step: String,
}

impl Need {
    /// The need of clusters of a class; that of a control plane when the class is not known.
    pub(super) fn of(class: Option<&EksClass>) -> Self {
        let control_plane =
            Self { minutes: durations::CONTROL_PLANE_UPDATE, step: "the control plane".to_owned() };
        let groups = class.into_iter().flat_map(|class| &class.node_groups).map(|group| Self {
            minutes: durations::node_group_update(group),
            step: format!("node group `{}`", shown(&group.name)),
        });
        groups
            .fold(control_plane, |longest, need| if need.minutes > longest.minutes { need } else { longest })
    }
}

/// The problems of maintenance times at `path`; `fleet_freezes` hold beside its own.
pub(super) fn maintenance(
    maintenance: &Maintenance,
    path: &FieldPath,
    need: &Need,
    fleet_freezes: &[Freeze],
    today: Day,
) -> Vec<Problem> {
    let Maintenance {
        time_zone,
        windows,
        freezes: own_freezes,
        min_gap: _,
        not_before: _,
        deferral: _,
        chosen,
    } = maintenance;
    let mut problems = Vec::new();
    problems.extend(zone(time_zone, path.field("timeZone")));
    for (index, window) in windows.iter().enumerate() {
        let here = path.field("windows").index(index);
        let mut days = window.days.clone();
        days.sort_unstable();
        days.dedup();
        if days.len() < window.days.len() {
            problems.push(Problem::error(
                Code::DuplicateItem,
                here.field("days"),
                "a day stands twice in the window",
            ));
        }
        if let Some(latest) = window.latest_start.filter(|latest| *latest > window.duration) {
            problems.push(
                Problem::error(
                    Code::OutOfRange,
                    here.field("latestStart"),
                    format!(
                        "a step may begin up to {latest} after the opening of a window that closes after {}",
                        window.duration
                    ),
                )
                .hint("leave out `latestStart`, or shorten it: it is counted from the opening"),
            );
        }
        if window.duration.0 < need.minutes {
            problems.push(
                Problem::error(
                    Code::WindowTooShort,
                    here.field("duration"),
                    format!(
                        "the window stays open for {}, and no upgrade would begin in it",
                        window.duration
                    ),
                )
                .hint(format!("give it at least {}m: that is what {} takes", need.minutes, need.step)),
            );
        }
    }
    if chosen.is_some() {
        problems.push(
            Problem::error(
                Code::MadeByController,
                path.field("chosen"),
                "what the tenant's people chose is written by the controller",
            )
            .hint("take `chosen` away: they choose with an UpgradePreference"),
        );
    }
    problems.extend(freezes(own_freezes, &path.field("freezes")));
    let sound = own_freezes.iter().chain(fleet_freezes).all(|freeze| freeze.from <= freeze.to);
    if sound && !windows.is_empty() && !opens(maintenance, fleet_freezes, today.0) {
        problems.push(
            Problem::error(
                Code::WindowNeverOpens,
                path.field("windows"),
                format!("no window opens within a year of {today}: freezes, or `notBefore`, cover every one"),
            )
            .hint("shorten the freezes, or add a window on a day that they leave free"),
        );
    }
    problems
}

/// The problems of a list of freezes at `path`.
pub(super) fn freezes(freezes: &[Freeze], path: &FieldPath) -> Vec<Problem> {
    let backwards = freezes.iter().enumerate().filter(|(_, freeze)| freeze.to < freeze.from);
    backwards
        .map(|(index, freeze)| {
            Problem::error(
                Code::SpanBackwards,
                path.index(index).field("to"),
                format!("the freeze ends on {}, before it begins on {}", freeze.to, freeze.from),
            )
            .hint("exchange `from` and `to`, or mend the year")
        })
        .collect()
}

fn zone(name: &str, path: FieldPath) -> Option<Problem> {
    if name.len() <= 64 && tz::db().get(name).is_ok() {
        return None;
    }
    let problem =
        Problem::error(Code::UnknownTimeZone, path, format!("there is no time zone `{}`", shown(name)));
    let names: Vec<String> = tz::db().available().map(|name| name.as_str().to_owned()).collect();
    // People write the city alone; the zones of cities have it behind the continent.
    let city = |zone: &str| zone.rsplit('/').next().unwrap_or(zone).replace('_', " ");
    let by_city = names.iter().find(|zone| city(zone).eq_ignore_ascii_case(&name.replace('_', " ")));
    let meant = by_city.map(String::as_str).or_else(|| nearest(name, names.iter().map(String::as_str)));
    Some(match meant {
        Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
        None => problem.hint("name an IANA time zone such as `Europe/Berlin` or `UTC`"),
    })
}

/// Whether any window opens on a day of the next year that no freeze covers, and on which changes may begin.
fn opens(maintenance: &Maintenance, fleet_freezes: &[Freeze], today: Date) -> bool {
    let frozen = |day: Date| {
        maintenance
            .freezes
            .iter()
            .chain(fleet_freezes)
            .any(|freeze| (freeze.from.0..=freeze.to.0).contains(&day))
    };
    (0..HORIZON_DAYS)
        .filter_map(|ahead| today.checked_add(ahead.days()).ok())
        .filter(|day| {
            maintenance
                .windows
                .iter()
                .any(|window| window.days.iter().any(|name| name.to_jiff() == day.weekday()))
        })
        .any(|day| !frozen(day) && maintenance.not_before.is_none_or(|first| first.0 <= day))
}

#[cfg(test)]
mod tests {
    use fleet_api::v1alpha1::{Chosen, Weekday, Window};

    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    fn make_maintenance(days: &[Weekday], duration: &str, freezes: &[(&str, &str)]) -> Maintenance {
        Maintenance {
            windows: vec![Window {
                days: days.to_vec(),
                start: "22:00".parse().unwrap(),
                duration: duration.parse().unwrap(),
                latest_start: None,
            }],
            freezes: freezes
                .iter()
                .map(|(from, to)| Freeze { from: day(from), to: day(to), reason: "r".to_owned() })
                .collect(),
            ..Maintenance::any_time("Europe/Berlin".to_owned())
        }
    }

    fn codes(of: &Maintenance, fleet_freezes: &[Freeze]) -> Vec<Code> {
        maintenance(of, &FieldPath::spec(), &Need::of(None), fleet_freezes, day("2026-11-01"))
            .into_iter()
            .map(|problem| problem.code)
            .collect()
    }

    #[test]
    fn a_window_as_long_as_the_longest_step_is_long_enough() {
        let enough = format!("{}m", durations::CONTROL_PLANE_UPDATE);
        let short = format!("{}m", durations::CONTROL_PLANE_UPDATE - 1);
        assert_eq!(codes(&make_maintenance(&[Weekday::Tue], &enough, &[]), &[]), []);
        assert_eq!(codes(&make_maintenance(&[Weekday::Tue], &short, &[]), &[]), [Code::WindowTooShort]);
    }

    #[test]
    fn a_window_that_freezes_cover_for_a_year_never_opens() {
        let year = [("2026-01-01", "2027-12-31")];
        assert_eq!(codes(&make_maintenance(&[Weekday::Tue], "4h", &year), &[]), [Code::WindowNeverOpens]);
        let half = make_maintenance(&[Weekday::Tue], "4h", &[("2026-01-01", "2027-06-30")]);
        assert_eq!(codes(&half, &[]), []);
        let rest = Freeze { from: day("2027-07-01"), to: day("2028-01-01"), reason: "r".to_owned() };
        assert_eq!(codes(&half, &[rest]), [Code::WindowNeverOpens]);
    }

    #[test]
    fn the_latest_start_lies_inside_its_window_and_nobody_writes_for_the_tenants_people() {
        let mut night = make_maintenance(&[Weekday::Tue], "4h", &[]);
        night.windows[0].latest_start = Some("4h".parse().unwrap());
        assert_eq!(codes(&night, &[]), []);
        night.windows[0].latest_start = Some("4h1m".parse().unwrap());
        assert_eq!(codes(&night, &[]), [Code::OutOfRange]);
        night.windows[0].latest_start = None;
        night.chosen = Some(Chosen::default());
        assert_eq!(codes(&night, &[]), [Code::MadeByController]);
    }

    #[test]
    fn a_day_before_which_nothing_begins_may_leave_no_window() {
        let mut night = make_maintenance(&[Weekday::Tue], "4h", &[]);
        night.not_before = Some(day("2027-10-01"));
        assert_eq!(codes(&night, &[]), []);
        night.not_before = Some(day("2027-12-01"));
        assert_eq!(codes(&night, &[]), [Code::WindowNeverOpens]);
    }

    #[test]
    fn a_city_finds_its_zone() {
        let problem = zone("Berlin", FieldPath::spec()).unwrap();
        assert_eq!(problem.hint.as_deref(), Some("did you mean `Europe/Berlin`?"));
        assert_eq!(zone("UTC", FieldPath::spec()), None);
        assert!(zone("Mars/Olympus_Mons", FieldPath::spec()).unwrap().hint.unwrap().contains("IANA"));
    }
}
