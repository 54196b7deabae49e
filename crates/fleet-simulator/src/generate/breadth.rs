//! What a scenario has besides: gaps, deferrals and choices of tenants' people, add-ons as a target, roles that groups have,
//! another rollout that wants the same clusters, and slots that give no more than the order.
//!
//! All of it is drawn from a stream of its own, after everything else, so that the rest of a seed does not depend on it.

use fleet_api::{
    text::{Day, Gap, Minutes},
    v1alpha1::{Chosen, Maintenance, Slots},
};
use jiff::{Span, tz::TimeZone};

use super::Theme;
use crate::{
    random::Random,
    scenario::{Act, Fault, Scenario, Target},
    time::{DAY, HOUR, MINUTE, Millis, SECOND, timestamp},
};

pub(super) fn add(random: &mut Random, theme: Theme, scenario: &mut Scenario) {
    if scenario.target == Target::Baseline && random.chance(50) {
        scenario.target = Target::Addons;
    }
    if random.chance(50) {
        for role in &mut scenario.approvers {
            role.groups = vec![format!("fleet-{}", role.name)];
        }
    }
    if matches!(theme, Theme::Fair | Theme::Late | Theme::Large | Theme::Silent) {
        return;
    }
    let start = scenario.start;
    let often = if theme == Theme::Windows { 60 } else { 15 };
    for member in &mut scenario.members {
        if random.chance(often) {
            let maintenance =
                member.maintenance.get_or_insert_with(|| Maintenance::any_time("Europe/Berlin".to_owned()));
            choose(random, maintenance, start);
        }
        if random.chance(30) {
            member.disturbed_before = Some(random.between(0, 40) * HOUR + random.between(0, 59) * MINUTE);
        }
    }
    for (_, act) in &mut scenario.acts {
        if let Act::Windows(_, Some(maintenance)) = act
            && random.chance(50)
        {
            choose(random, maintenance, start);
        }
    }
    rivals(random, scenario);
    if random.chance(15) {
        scenario.slots = Slots::Advisory;
    }
}

/// Bounds of the operators beyond windows and freezes, and what the tenant's people choose inside them.
fn choose(random: &mut Random, maintenance: &mut Maintenance, start: Millis) {
    let zone = TimeZone::get(&maintenance.time_zone).unwrap_or(TimeZone::UTC);
    let day = |random: &mut Random| {
        let today = timestamp(start).to_zoned(zone.clone()).date();
        Day(today.checked_add(Span::new().days(random.between(0, 3))).unwrap_or(today))
    };
    if random.chance(50) {
        let gap = format!("{}h", random.between(1, 60));
        maintenance.min_gap = gap.parse::<Gap>().ok();
    }
    if random.chance(20) {
        maintenance.not_before = Some(day(random));
    }
    for window in &mut maintenance.windows {
        if random.chance(30) {
            window.latest_start = Some(Minutes(random.between(0, window.duration.0)));
        }
    }
    if random.chance(40) {
        // One of the days on which a window opens stays allowed, or else nothing would ever move.
        let open = maintenance.windows.first().map_or(&super::DAYS[..], |window| &window.days);
        let mut allowed_days: Vec<_> = open.iter().copied().filter(|_| random.chance(60)).collect();
        if allowed_days.is_empty() {
            allowed_days.extend(open.first());
        }
        maintenance.chosen = Some(Chosen {
            windows: Vec::new(),
            allowed_days: if random.chance(60) { allowed_days } else { Vec::new() },
            not_before: random.chance(60).then(|| day(random)),
        });
    }
}

/// Another rollout takes clusters, most of them before ours has prepared them, and is over before everything is mended.
fn rivals(random: &mut Random, scenario: &mut Scenario) {
    for index in 0..scenario.members.len() {
        if !random.chance(6) {
            continue;
        }
        let last = if random.chance(75) { HOUR } else { scenario.mended_after };
        let at = random.between(0, last / SECOND) * SECOND;
        let length = random.between(1, 12 * 60) * MINUTE;
        let until = (at + length).min(scenario.mended_after).min(2 * DAY);
        if until > at {
            scenario.faults.push((at, Fault::Rival(index, until - at)));
        }
    }
    scenario.faults.sort_by_key(|(at, _)| *at);
}

/// Members that are stored minutes after the rollout, as when whoever starts it is slow, or has to begin again.
pub(super) fn stored_late(random: &mut Random, scenario: &mut Scenario) {
    if !random.chance(10) {
        return;
    }
    let last = (90 * MINUTE).min(scenario.mended_after / 2);
    for member in &mut scenario.members {
        if random.chance(60) {
            member.stored_after = random.between(1, last / SECOND) * SECOND;
        }
    }
}

/// Members that somebody puts off, most of them before they begin, and some twice: later, or sooner again.
pub(super) fn put_off(random: &mut Random, theme: Theme, scenario: &mut Scenario) {
    if theme == Theme::Fair {
        return;
    }
    let minutes = scenario.mended_after / MINUTE;
    for index in 0..scenario.members.len() {
        if !random.chance(8) {
            continue;
        }
        for _ in 0..random.between(1, 2) {
            let early = if random.chance(70) { 30.min(minutes) } else { minutes };
            let at = random.between(0, early) * MINUTE;
            scenario.acts.push((at, Act::PutOff(index, random.between(0, minutes) * MINUTE)));
        }
    }
    scenario.acts.sort_by_key(|(at, _)| *at);
}

/// Nodes that were held back and cannot follow when they should: a disruption budget, no addresses, a broken image.
pub(super) fn stuck_nodes(random: &mut Random, theme: Theme, scenario: &mut Scenario) {
    if theme == Theme::Fair || scenario.hold_nodes.is_none() {
        return;
    }
    for member in &mut scenario.members {
        member.nodes_stuck = random.chance(12);
    }
    // Within the time in which things go wrong, or else nobody would meet them.
    if random.chance(60) {
        scenario.hold_nodes = Some(random.between(15, (scenario.mended_after / MINUTE / 2).max(16)));
    }
}
