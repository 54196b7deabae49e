//! What a tenant's people choose about their upgrades, judged against the bounds that the operators set.
//!
//! Windows and days that reach outside are refused as a whole, and the operators' own hold. A deferral is granted or not
//! by itself; one that was granted before stays when another is refused.

use fleet_api::{
    KubernetesVersion,
    conditions::{ACCEPTED, Verdict, reason},
    text::Day,
    v1alpha1::{Chosen, DeferralStatus, Maintenance, UpgradePreferenceSpec, UpgradePreferenceStatus, Window},
};
use jiff::{Span, Timestamp, tz::TimeZone};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::windows::{self, Permission};

/// The name of a tenant's UpgradePreference.
pub const NAME: &str = "upgrades";

/// The namespace of the management cluster in which a tenant's people write.
pub fn namespace_of(tenant: &str) -> String {
    format!("tenant-{tenant}")
}

/// When standard support of a minor ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SupportEnd {
    /// The calendar has not been read, or does not name the minor.
    Unknown,
    /// The cloud names no day.
    Unnamed,
    /// The higher price begins with this day, in UTC.
    On(Day),
}

/// What a preference is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Bounds<'a> {
    /// The operators' maintenance times for the tenant, freezes of the fleet included.
    pub maintenance: Option<&'a Maintenance>,
    /// The minor that the tenant's control plane is at.
    pub at: Option<KubernetesVersion>,
    /// When standard support of the minor that it is at ends.
    pub support_ends: SupportEnd,
    /// How long the longest step of an upgrade takes.
    pub minutes: i64,
}

/// What became of a preference.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// What is in force of it.
    pub chosen: Option<Chosen>,
    /// How the deferrals are used up.
    pub deferral: Option<DeferralStatus>,
    /// Whether everything of it was accepted, and why not.
    pub verdict: Verdict,
}

/// Judges a preference. `stored` is its status, in which granted deferrals are counted.
pub fn judge(
    spec: &UpgradePreferenceSpec,
    stored: Option<&UpgradePreferenceStatus>,
    bounds: &Bounds<'_>,
    now: Timestamp,
) -> Judged {
    let any_time = Maintenance::any_time("UTC".to_owned());
    let operators = bounds.maintenance.unwrap_or(&any_time);
    let zone = windows::zone(Some(operators)).unwrap_or(TimeZone::UTC);
    let today = Day(now.to_zoned(zone).date());
    let mut refusals = windows_refused(spec, operators, bounds.minutes);
    let mut chosen =
        Chosen { windows: spec.windows.clone(), allowed_days: spec.allowed_days.clone(), not_before: None };
    if refusals.is_empty() && opens_from(operators, &chosen, bounds.minutes, now).is_none() {
        refusals
            .push("no window is left that opens within a year and is long enough for an upgrade".to_owned());
    }
    if !refusals.is_empty() {
        chosen = Chosen::default();
    }
    let before = stored.and_then(|status| status.deferral.clone()).filter(|it| Some(it.at) == bounds.at);
    let asked = spec.defer_until.filter(|day| *day > today);
    let deferral = Deferring { operators, chosen: &chosen, bounds, today, now };
    let (deferral, unknown) = match deferral.grant(asked, before.clone()) {
        Ok(granted) => (granted, None),
        Err(Denied::Refused(why)) => {
            refusals.push(why);
            (before, None)
        }
        Err(Denied::Ended(why)) => {
            refusals.push(why);
            (before.map(|it| DeferralStatus { until: it.until.min(today), ..it }), None)
        }
        Err(Denied::Unknown(why)) => (before, Some(why)),
    };
    let next = bounds.at.map(KubernetesVersion::next);
    let ready = spec.acknowledgements.iter().any(|one| Some(one.version) == next);
    let in_force = deferral.as_ref().filter(|it| it.until > today && asked.is_some() && !ready);
    chosen.not_before = in_force.map(|it| it.until);
    let verdict = if !refusals.is_empty() {
        Verdict::fails(ACCEPTED, reason::OUTSIDE_BOUNDS, refusals.join("; "))
    } else if let Some(why) = unknown {
        Verdict::unknown(ACCEPTED, reason::NOT_OBSERVED, why)
    } else {
        Verdict::holds(
            ACCEPTED,
            reason::AS_WANTED,
            told(in_force, operators, ready.then_some(next).flatten()),
        )
    };
    let chosen = Some(chosen).filter(|chosen| *chosen != Chosen::default());
    Judged { chosen, deferral, verdict }
}

fn told(
    in_force: Option<&DeferralStatus>,
    operators: &Maintenance,
    ready_for: Option<KubernetesVersion>,
) -> String {
    if let Some(minor) = ready_for {
        return format!("the tenant is ready for {minor}, which no deferral holds");
    }
    match (in_force, operators.deferral) {
        (Some(it), Some(bound)) => {
            format!("upgrades are put off until {} (deferral {} of {})", it.until, it.used, bound.times)
        }
        (Some(it), None) => format!("upgrades are put off until {}", it.until),
        (None, _) => "what was chosen is in force".to_owned(),
    }
}

/// Why the windows and days cannot be taken; empty when they can.
fn windows_refused(spec: &UpgradePreferenceSpec, operators: &Maintenance, minutes: i64) -> Vec<String> {
    let mut refusals = Vec::new();
    for (index, window) in spec.windows.iter().enumerate() {
        let name = format!("spec.windows[{index}]");
        if window.duration.0 < minutes {
            refusals.push(format!(
                "{name} stays open for {}, and the longest step of an upgrade takes {minutes}m",
                window.duration
            ));
        }
        if window.latest_start.is_some_and(|latest| latest > window.duration) {
            refusals.push(format!("{name}.latestStart is longer than the window stays open"));
        }
        if !operators.windows.is_empty() && !inside(window, &operators.windows) {
            refusals.push(format!(
                "{name} reaches outside the operators' windows ({})",
                written(&operators.windows)
            ));
        }
    }
    let opens_on_one = |windows: &[Window]| {
        windows.iter().any(|window| window.days.iter().any(|day| spec.allowed_days.contains(day)))
    };
    if !spec.allowed_days.is_empty() && !operators.windows.is_empty() && !opens_on_one(&operators.windows) {
        refusals.push(format!(
            "on none of spec.allowedDays a window of the operators opens ({})",
            written(&operators.windows)
        ));
    }
    refusals
}

/// Windows as they are spoken of: `Tue, Thu 22:00 for 4h`.
pub fn written(windows: &[Window]) -> String {
    let one = |window: &Window| {
        let days: Vec<String> = window.days.iter().map(|day| format!("{day:?}")).collect();
        let latest = window.latest_start.map(|latest| format!(", begun within {latest}")).unwrap_or_default();
        format!("{} {} for {}{latest}", days.join(", "), window.start, window.duration)
    };
    windows.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// The minutes of a week.
const WEEK: i64 = 7 * 24 * 60;

/// Whether every opening of a window lies, on the wall clock, inside what the bounds leave open together, and begins
/// where a step may begin. Where a change of the clocks moves the two against each other, both have to be open.
fn inside(window: &Window, bounds: &[Window]) -> bool {
    let starts = |window: &Window| {
        let clock = i64::from(window.start.hour) * 60 + i64::from(window.start.minute);
        let days = window.days.iter().map(|day| i64::from(day.to_jiff().to_monday_zero_offset()));
        days.map(|day| day * 24 * 60 + clock).collect::<Vec<_>>()
    };
    // A window is at most 31 days long, so one that opened five weeks ago is over.
    let mut open: Vec<(i64, i64, i64)> = (-5..=1)
        .flat_map(|week| {
            bounds
                .iter()
                .flat_map(move |bound| starts(bound).into_iter().map(move |start| (week, bound, start)))
        })
        .map(|(week, bound, start)| {
            let from = week * WEEK + start;
            let latest = bound.latest_start.unwrap_or(bound.duration);
            (from, from + bound.duration.0, from + latest.0)
        })
        .collect();
    open.sort_unstable();
    starts(window).into_iter().all(|start| {
        let mut reached = start;
        for (from, until, _) in &open {
            if *from <= reached && *until > reached {
                reached = *until;
            }
        }
        let may_begin = open.iter().any(|(from, _, latest)| *from <= start && start <= *latest);
        reached >= start + window.duration.0 && may_begin
    })
}

/// The first moment from `from` on at which an upgrade may begin by the windows.
fn opens_from(operators: &Maintenance, chosen: &Chosen, minutes: i64, from: Timestamp) -> Option<Timestamp> {
    let both = Maintenance { chosen: Some(chosen.clone()), ..operators.clone() };
    match windows::permission(Some(&both), from, minutes) {
        Ok(Permission::Now { .. }) => Some(from),
        Ok(Permission::Later { at, .. }) => at,
        Err(_) => None,
    }
}

/// Why a deferral is not granted.
enum Denied {
    /// It is outside the bounds.
    Refused(String),
    /// It was granted, and holds no longer.
    Ended(String),
    /// It cannot be told whether it is.
    Unknown(String),
}

struct Deferring<'a> {
    operators: &'a Maintenance,
    chosen: &'a Chosen,
    bounds: &'a Bounds<'a>,
    today: Day,
    now: Timestamp,
}

impl Deferring<'_> {
    /// What holds after a deferral was asked for, or was not.
    fn grant(
        &self,
        asked: Option<Day>,
        before: Option<DeferralStatus>,
    ) -> Result<Option<DeferralStatus>, Denied> {
        let Some(asked) = asked else {
            // Taken back: asking again counts again.
            return Ok(before.map(|it| DeferralStatus { until: it.until.min(self.today), ..it }));
        };
        let refused = |why: String| Err(Denied::Refused(format!("spec.deferUntil: {why}")));
        let stands = before.as_ref().filter(|it| it.until > self.today && asked <= it.until);
        if let Some(stands) = stands {
            if let Some(ends) = self.ends_before_opening(asked) {
                return Err(Denied::Ended(format!(
                    "spec.deferUntil: no upgrade would begin before standard support ends on {ends}, so it holds no \
                     longer"
                )));
            }
            // It may be shortened for nothing.
            return Ok(Some(DeferralStatus { until: asked, ..stands.clone() }));
        }
        let Some(bound) = self.operators.deferral else {
            return refused("the operators allow no deferral".to_owned());
        };
        let Some(at) = self.bounds.at else {
            return Err(Denied::Unknown("spec.deferUntil: the cluster has not been seen yet".to_owned()));
        };
        let used = before.as_ref().map_or(0, |it| it.used);
        if used >= bound.times {
            return refused(format!("all {} deferrals of {at} are used up", bound.times));
        }
        let farthest = self.today.0.checked_add(Span::new().days(bound.days)).map_or(self.today, Day);
        if asked > farthest {
            return refused(format!(
                "a deferral may reach {} days ahead, which is {farthest}, and {asked} is later",
                bound.days
            ));
        }
        if self.bounds.support_ends == SupportEnd::Unknown {
            return Err(Denied::Unknown(format!(
                "spec.deferUntil: when support of {at} ends has not been read yet"
            )));
        }
        if let Some(ends) = self.ends_before_opening(asked) {
            return refused(format!(
                "no upgrade would begin from {asked} on before standard support of {at} ends on {ends}"
            ));
        }
        Ok(Some(DeferralStatus { at, used: used + 1, until: asked, granted_at: Time(self.now) }))
    }

    /// The end of standard support, when nothing put off until a day can begin before it.
    fn ends_before_opening(&self, day: Day) -> Option<Day> {
        let SupportEnd::On(ends) = self.bounds.support_ends else { return None };
        let put_off = Chosen { not_before: Some(day), ..self.chosen.clone() };
        let begins = opens_from(self.operators, &put_off, self.bounds.minutes, self.now);
        let over = ends.0.to_zoned(TimeZone::UTC).ok()?.timestamp();
        (begins.is_none_or(|begins| begins >= over)).then_some(ends)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn operators() -> Maintenance {
        serde_json::from_value(json!({
            "timeZone": "Europe/Berlin",
            "windows": [{"days": ["Mon", "Tue", "Wed", "Thu"], "start": "20:00", "duration": "8h"}],
            "deferral": {"times": 2, "days": 14},
        }))
        .unwrap()
    }

    fn ask(spec: Value, stored: Option<&Judged>, ends: SupportEnd, now: &str) -> Judged {
        let operators = operators();
        let bounds = Bounds {
            maintenance: Some(&operators),
            at: Some(KubernetesVersion::from_minor(35)),
            support_ends: ends,
            minutes: 45,
        };
        let stored = stored.map(|judged| UpgradePreferenceStatus {
            deferral: judged.deferral.clone(),
            ..UpgradePreferenceStatus::default()
        });
        judge(&serde_json::from_value(spec).unwrap(), stored.as_ref(), &bounds, now.parse().unwrap())
    }

    fn ends(day: &str) -> SupportEnd {
        SupportEnd::On(day.parse().unwrap())
    }

    const TUESDAY: &str = "2026-11-24T12:00:00Z";
    const FAR: &str = "2027-03-27";

    #[test]
    fn windows_inside_the_operators_are_taken_and_others_refused_with_theirs() {
        let inside = json!({"windows": [{"days": ["Wed"], "start": "01:00", "duration": "3h"}]});
        let judged = ask(inside, None, ends(FAR), TUESDAY);
        assert_eq!(judged.verdict.status, Some(true), "{}", judged.verdict.message);
        assert_eq!(judged.chosen.unwrap().windows.len(), 1);
        let outside = json!({"windows": [{"days": ["Mon"], "start": "01:00", "duration": "3h"}]});
        let judged = ask(outside, None, ends(FAR), TUESDAY);
        assert_eq!(judged.verdict.reason, reason::OUTSIDE_BOUNDS);
        assert_eq!(
            judged.verdict.message,
            "spec.windows[0] reaches outside the operators' windows (Mon, Tue, Wed, Thu 20:00 for 8h)"
        );
        assert_eq!(judged.chosen, None, "nothing of it is acted upon");
    }

    #[test]
    fn a_window_over_the_end_of_the_week_is_inside_one_that_is_open_then() {
        let window = |day: &str, start: &str, duration: &str| -> Window {
            serde_json::from_value(json!({"days": [day], "start": start, "duration": duration})).unwrap()
        };
        let weekend = [window("Sun", "22:00", "6h")];
        assert!(inside(&window("Mon", "01:00", "3h"), &weekend));
        assert!(!inside(&window("Mon", "01:00", "3h1m"), &weekend));
        assert!(inside(&window("Sun", "23:30", "1h"), &weekend));
        let month = [window("Wed", "00:00", "744h")];
        assert!(inside(&window("Tue", "05:00", "100h"), &month), "four of them are open at any time");
        let meeting = [window("Sun", "22:00", "2h"), window("Mon", "00:00", "2h")];
        assert!(inside(&window("Sun", "23:00", "2h"), &meeting));
        let mut early = window("Sun", "22:00", "6h");
        early.latest_start = Some("1h".parse().unwrap());
        assert!(!inside(&window("Mon", "01:00", "2h"), &[early]), "nothing may begin so late in it");
    }

    #[test]
    fn days_and_lengths_that_leave_no_upgrade_are_refused() {
        for (spec, told) in [
            (json!({"allowedDays": ["Sat"]}), "on none of spec.allowedDays"),
            (json!({"windows": [{"days": ["Tue"], "start": "21:00", "duration": "30m"}]}), "takes 45m"),
            (
                json!({"allowedDays": ["Mon"], "windows": [{"days": ["Thu"], "start": "21:00", "duration": "2h"}]}),
                "no window is left",
            ),
        ] {
            let judged = ask(spec, None, ends(FAR), TUESDAY);
            assert!(judged.verdict.message.contains(told), "{}", judged.verdict.message);
            assert_eq!((judged.verdict.status, judged.chosen), (Some(false), None));
        }
    }

    #[test]
    fn deferrals_are_counted_shortened_for_nothing_and_run_out() {
        let until = |day: &str| json!({"deferUntil": day});
        let first = ask(until("2026-12-05"), None, ends(FAR), TUESDAY);
        assert_eq!(first.verdict.message, "upgrades are put off until 2026-12-05 (deferral 1 of 2)");
        assert_eq!(first.chosen.as_ref().unwrap().not_before, Some("2026-12-05".parse().unwrap()));
        let again = ask(until("2026-12-05"), Some(&first), ends(FAR), "2026-11-26T12:00:00Z");
        assert_eq!(again.deferral, first.deferral, "the same wish counts once");
        let shorter = ask(until("2026-12-01"), Some(&again), ends(FAR), "2026-11-26T12:00:00Z");
        assert_eq!(shorter.deferral.as_ref().unwrap().used, 1);
        let second = ask(until("2026-12-09"), Some(&shorter), ends(FAR), "2026-11-30T12:00:00Z");
        assert_eq!(second.deferral.as_ref().unwrap().used, 2);
        let third = ask(until("2026-12-11"), Some(&second), ends(FAR), "2026-12-01T12:00:00Z");
        assert_eq!(third.verdict.message, "spec.deferUntil: all 2 deferrals of 1.35 are used up");
        assert_eq!(third.chosen.unwrap().not_before, Some("2026-12-09".parse().unwrap()), "the second holds");
    }

    #[test]
    fn a_deferral_that_was_taken_back_counts_when_it_is_asked_for_again() {
        let first = ask(json!({"deferUntil": "2026-12-05"}), None, ends(FAR), TUESDAY);
        let back = ask(json!({}), Some(&first), ends(FAR), TUESDAY);
        assert_eq!(back.chosen, None);
        let again = ask(json!({"deferUntil": "2026-12-05"}), Some(&back), ends(FAR), TUESDAY);
        assert_eq!(again.deferral.unwrap().used, 2);
    }

    #[test]
    fn a_deferral_reaches_neither_too_far_nor_past_the_end_of_standard_support() {
        let judged = ask(json!({"deferUntil": "2026-12-09"}), None, ends(FAR), TUESDAY);
        assert!(
            judged.verdict.message.contains("14 days ahead, which is 2026-12-08"),
            "{}",
            judged.verdict.message
        );
        // Monday the 7th at 20:00 in Berlin is the first opening; the higher price begins on the 8th at 00:00 UTC.
        let fits = ask(json!({"deferUntil": "2026-12-05"}), None, ends("2026-12-08"), TUESDAY);
        assert_eq!(fits.verdict.status, Some(true), "{}", fits.verdict.message);
        let late = ask(json!({"deferUntil": "2026-12-05"}), None, ends("2026-12-07"), TUESDAY);
        assert_eq!(
            late.verdict.message,
            "spec.deferUntil: no upgrade would begin from 2026-12-05 on before standard support of 1.35 ends on \
             2026-12-07"
        );
        assert_eq!((late.chosen, late.deferral), (None, None));
    }

    #[test]
    fn a_deferral_that_was_granted_ends_when_the_cloud_moves_the_end_of_support() {
        let first = ask(json!({"deferUntil": "2026-12-05"}), None, ends(FAR), TUESDAY);
        let moved = ask(json!({"deferUntil": "2026-12-05"}), Some(&first), ends("2026-12-02"), TUESDAY);
        assert_eq!(moved.verdict.status, Some(false), "{}", moved.verdict.message);
        assert_eq!(moved.chosen, None, "nothing is put off past the end of support");
    }

    #[test]
    fn without_a_calendar_no_deferral_is_granted_and_none_is_lost() {
        let asked = json!({"deferUntil": "2026-12-05"});
        let unknown = ask(asked.clone(), None, SupportEnd::Unknown, TUESDAY);
        assert_eq!((unknown.verdict.status, unknown.chosen), (None, None));
        let granted = ask(asked.clone(), None, ends(FAR), TUESDAY);
        let later = ask(asked, Some(&granted), SupportEnd::Unknown, TUESDAY);
        assert_eq!(later.chosen, granted.chosen);
    }

    #[test]
    fn no_deferral_holds_a_minor_that_the_tenant_is_ready_for() {
        let spec =
            |minor: &str| json!({"deferUntil": "2026-12-05", "acknowledgements": [{"version": minor}]});
        assert_eq!(ask(spec("1.36"), None, ends(FAR), TUESDAY).chosen, None);
        let other = ask(spec("1.37"), None, ends(FAR), TUESDAY);
        assert_eq!(other.chosen.unwrap().not_before, Some("2026-12-05".parse().unwrap()));
    }
}
