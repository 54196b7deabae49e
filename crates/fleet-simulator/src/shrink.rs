//! Makes a scenario that breaks a rule smaller, as long as it breaks the same rule.

use fleet_api::v1alpha1::{OnFailure, Slots, Wave};

use crate::{Act, Ends, Engine, Fault, Rule, Scenario, run, time::SECOND};

/// A smaller scenario that breaks the same rule.
#[derive(Debug)]
pub struct Shrunk {
    /// The scenario.
    pub scenario: Scenario,
    /// How many scenarios were tried.
    pub tried: u32,
}

/// More than this is not tried, and less of scenarios with many members, which take long.
const TRIES: usize = 600;
/// How many members may be run in all.
const MEMBERS: usize = 60_000;

/// Leaves out faults, acts, members and everything else that a broken rule does not need.
pub fn shrink(scenario: &Scenario, engine: &Engine<'_>, rule: Rule) -> Shrunk {
    let mut best = scenario.clone();
    let mut tried = 0;
    let tries = u32::try_from((MEMBERS / scenario.members.len().max(1)).clamp(3, TRIES)).unwrap_or(u32::MAX);
    loop {
        let mut smaller = None;
        for edit in edits(&best) {
            let mut candidate = best.clone();
            edit(&mut candidate);
            if format!("{candidate:?}") == format!("{best:?}") {
                continue;
            }
            tried += 1;
            if run(&candidate, engine).violation.is_some_and(|violation| violation.rule == rule) {
                smaller = Some(candidate);
                break;
            }
            if tried >= tries {
                break;
            }
        }
        match smaller {
            Some(candidate) if tried < tries => best = candidate,
            Some(candidate) => return Shrunk { scenario: candidate, tried },
            None => return Shrunk { scenario: best, tried },
        }
    }
}

/// A step that makes a scenario smaller.
type Edit = Box<dyn Fn(&mut Scenario)>;

fn step(edit: impl Fn(&mut Scenario) + 'static) -> Edit {
    Box::new(edit)
}

/// The steps that may make a scenario smaller, the greatest first.
fn edits(of: &Scenario) -> Vec<Edit> {
    let mut all: Vec<Edit> = Vec::new();
    all.push(step(move |scenario| scenario.faults.clear()));
    all.push(step(move |scenario| scenario.acts.retain(|(_, act)| *act == Act::Run)));
    for half in halves(of.faults.len()) {
        all.push(step(move |scenario| drop(scenario.faults.drain(half.clone()))));
    }
    for half in halves(of.acts.len()) {
        all.push(step(move |scenario| drop(scenario.acts.drain(half.clone()))));
    }
    for half in halves(of.members.len()) {
        all.push(step(move |scenario| half.clone().rev().for_each(|index| without_member(scenario, index))));
    }
    for index in 0..of.waves.len() {
        all.push(step(move |scenario| {
            if let Some(wave) = scenario.waves.get_mut(index) {
                *wave = Wave { before: Vec::new(), after: Vec::new(), soak: None, ..wave.clone() };
            }
        }));
        all.push(step(move |scenario| {
            if let Some(wave) = scenario.waves.get_mut(index) {
                wave.min_successes = None;
            }
        }));
    }
    for index in 0..of.members.len() {
        all.push(step(move |scenario| {
            if let Some(member) = scenario.members.get_mut(index) {
                member.maintenance = None;
                member.disturbed_before = None;
                member.moved_before = false;
                member.blocked_until = 0;
                member.dark_until = 0;
                member.slot = 0;
                member.stored_after = 0;
                member.nodes_stuck = false;
            }
        }));
        all.push(step(move |scenario| {
            if let Some(member) = scenario.members.get_mut(index) {
                member.upgrade.ends = Ends::Well;
                member.upgrade.flaps.clear();
                member.upgrade.settles = 0;
                member.back.ends = Ends::Well;
                member.back.flaps.clear();
                member.back.settles = 0;
            }
        }));
    }
    all.push(step(move |scenario| scenario.on_failure = OnFailure::Pause));
    all.push(step(move |scenario| scenario.slots = Slots::Binding));
    all.push(step(move |scenario| scenario.hold_nodes = None));
    all.push(step(move |scenario| {
        scenario.pace.lag = [SECOND; 4];
        scenario.pace.latency = SECOND / 10;
        scenario.pace.rest = SECOND;
    }));
    all
}

/// Ranges to leave out: first the halves, then the quarters, and so on down to each one alone.
fn halves(length: usize) -> Vec<std::ops::Range<usize>> {
    let mut ranges = Vec::new();
    let mut size = length / 2;
    while size >= 1 {
        ranges.extend((0..length).step_by(size).map(|from| from..(from + size).min(length)));
        size /= 2;
    }
    if length == 1 {
        ranges.push(0..1);
    }
    ranges
}

/// Leaves out a member, with what happens to it, and its wave when that becomes empty.
fn without_member(scenario: &mut Scenario, index: usize) {
    if scenario.members.len() <= 1 || index >= scenario.members.len() {
        return;
    }
    scenario.members.remove(index);
    let moved = |other: usize| match other.cmp(&index) {
        std::cmp::Ordering::Less => Some(other),
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Greater => Some(other - 1),
    };
    scenario.acts.retain_mut(|(_, act)| match act {
        Act::Skip(other, _)
        | Act::Retry(other)
        | Act::RollBackMember(other)
        | Act::PutOff(other, _)
        | Act::PauseTenant(other, _)
        | Act::Windows(other, _)
        | Act::DeleteCluster(other, _)
        | Act::UpgradeByHand(other) => moved(*other).map(|now| *other = now).is_some(),
        Act::Run
        | Act::Pause
        | Act::Abort
        | Act::RollBack
        | Act::Acknowledge
        | Act::Vote { .. }
        | Act::Unvote { .. } => true,
    });
    scenario.faults.retain_mut(|(_, fault)| match fault {
        Fault::Offline(other, _) | Fault::Sick(other, _) | Fault::Rival(other, _) => {
            moved(*other).map(|now| *other = now).is_some()
        }
        _ => true,
    });
    let empty =
        (0..scenario.waves.len()).find(|wave| scenario.members.iter().all(|member| member.wave != *wave));
    if let Some(empty) = empty {
        scenario.waves.remove(empty);
        for member in &mut scenario.members {
            if member.wave > empty {
                member.wave -= 1;
            }
        }
    }
}
