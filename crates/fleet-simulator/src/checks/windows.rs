//! Windows, freezes, gaps and deferrals, read a second time.

use fleet_api::{
    KubernetesVersion,
    v1alpha1::{Maintenance, Weekday, Window},
};
use jiff::{Span, civil::Date, tz::TimeZone};

use crate::{
    hub::Cluster,
    scenario::Target,
    time::{MINUTE, Millis, millis, timestamp},
};

/// A step, as maintenance times look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A change begins with it, and it is expected to take so long.
    Begins(Millis),
    /// What was allowed to begin goes on.
    GoesOn,
}

impl Step {
    const fn takes(self) -> Millis {
        match self {
            Self::Begins(takes) => takes,
            Self::GoesOn => 0,
        }
    }
}

/// Until when the day to which changes were put off, or the minimum gap after the last one, holds a cluster. Another attempt
/// at a change that has begun is no other change, and whatever is no upgrade of the control plane keeps no gap.
pub(super) fn held_until(cluster: &Cluster, target: Target, step: Step) -> Millis {
    let Some(maintenance) = &cluster.maintenance else { return Millis::MIN };
    let versions = &cluster.versions;
    let last = versions.last_disruption.as_ref();
    let again = match target {
        Target::Kubernetes(minor) => {
            let change = KubernetesVersion::from_minor(minor).to_string();
            last.is_some_and(|last| last.change == change)
        }
        Target::Baseline | Target::Addons => false,
    };
    if again || step == Step::GoesOn {
        return Millis::MIN;
    }
    let chosen = maintenance.chosen.as_ref().and_then(|chosen| chosen.not_before.as_ref());
    let zone = TimeZone::get(&maintenance.time_zone).unwrap_or(TimeZone::UTC);
    let days = [maintenance.not_before.as_ref(), chosen].into_iter().flatten();
    let put_off = days.filter_map(|day| midnight(day.0, &zone)).max().unwrap_or(Millis::MIN);
    let disturbed = [last.map(|last| millis(&last.at)), versions.upgrade_completed_at.as_ref().map(millis)];
    let gap = match (disturbed.into_iter().flatten().max(), &maintenance.min_gap, target) {
        (Some(last), Some(gap), Target::Kubernetes(_)) => last + gap.to_duration().as_millis() as Millis,
        _ => Millis::MIN,
    };
    put_off.max(gap)
}

fn midnight(day: Date, zone: &TimeZone) -> Option<Millis> {
    Some(day.to_zoned(zone.clone()).ok()?.timestamp().as_millisecond())
}

/// Whether there is a moment from `from` to `to` at which windows and freezes let a step begin.
pub(super) fn may_begin(maintenance: Option<&Maintenance>, from: Millis, to: Millis, step: Step) -> bool {
    if from > to {
        return false;
    }
    let Some(maintenance) = maintenance else { return true };
    let Ok(zone) = TimeZone::get(&maintenance.time_zone) else { return false };
    // The range is small, so that looking at its ends and at each whole minute is enough: windows open at whole minutes, and
    // one whose latest start is its opening lets nothing begin but then.
    let mut at = from;
    while at < to {
        if is_free(maintenance, &zone, at, step) {
            return true;
        }
        at += MINUTE - at.rem_euclid(MINUTE);
    }
    is_free(maintenance, &zone, to, step)
}

fn is_free(maintenance: &Maintenance, zone: &TimeZone, at: Millis, step: Step) -> bool {
    let here = timestamp(at).to_zoned(zone.clone());
    let today = here.date();
    if maintenance.freezes.iter().any(|freeze| freeze.from.0 <= today && today <= freeze.to.0) {
        return false;
    }
    let allowed = maintenance.chosen.as_ref().map_or(&[][..], |chosen| &chosen.allowed_days);
    let is_allowed = |day: Date| allowed.is_empty() || is_one_of(day, allowed);
    if maintenance.windows.is_empty() {
        // A day that the tenant's people chose is open as a whole, and no longer.
        let ends = today.tomorrow().ok().and_then(|next| midnight(next, zone));
        return allowed.is_empty()
            || (is_allowed(today) && ends.is_some_and(|ends| at + step.takes() <= ends));
    }
    // No window of a scenario is longer than a day.
    (-2..=0)
        .filter_map(|offset| today.checked_add(Span::new().days(offset)).ok())
        .filter(|day| is_allowed(*day))
        .any(|day| maintenance.windows.iter().any(|window| is_open(window, day, zone, at, step)))
}

fn is_open(window: &Window, day: Date, zone: &TimeZone, at: Millis, step: Step) -> bool {
    if !is_one_of(day, &window.days) {
        return false;
    }
    let Ok(opens) = zone.to_ambiguous_timestamp(day.to_datetime(window.start.to_civil())).compatible() else {
        return false;
    };
    let opens = opens.as_millisecond();
    let closes = opens + window.duration.0 * MINUTE;
    let late = match step {
        Step::Begins(_) => window.latest_start.is_some_and(|latest| at > opens + latest.0 * MINUTE),
        // What was allowed to begin in time is not told a moment later that it came too late.
        Step::GoesOn => false,
    };
    opens <= at && at + step.takes() <= closes && at < closes && !late
}

fn is_one_of(day: Date, days: &[Weekday]) -> bool {
    days.iter().any(|weekday| weekday.to_jiff() == day.weekday())
}
