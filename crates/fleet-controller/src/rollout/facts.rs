//! What metrics tell of rollouts: from their objects and the time alone, so that a restart of the controller changes none
//! of it, and every replica tells the same.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use fleet_api::{
    conditions::{self, PROGRESSING},
    v1alpha1::{MemberState, Rollout, RolloutMember, RolloutPhase, RolloutStatus, Run, Slots},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;

/// What is told of a rollout that is not over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RolloutFacts {
    /// Its name.
    pub(crate) name: String,
    /// How many members are in which state, by the words of `status.counts`.
    pub(crate) members: [(&'static str, i32); 7],
    /// For how many seconds its present wave has been under way; `None` before it began.
    pub(crate) wave_age: Option<i64>,
    /// For how many seconds it should have got further and has not; `None` while nobody wants it to.
    pub(crate) overdue: Option<i64>,
    /// How many members something stands in the way of, by the code of the first thing that does.
    pub(crate) blocked: BTreeMap<String, i64>,
    /// How many records of its members are missing.
    pub(crate) missing: i64,
}

const PHASES: [(RolloutPhase, &str); 9] = [
    (RolloutPhase::Planned, "Planned"),
    (RolloutPhase::Running, "Running"),
    (RolloutPhase::WaitingForGate, "WaitingForGate"),
    (RolloutPhase::Paused, "Paused"),
    (RolloutPhase::Stopped, "Stopped"),
    (RolloutPhase::RollingBack, "RollingBack"),
    (RolloutPhase::Completed, "Completed"),
    (RolloutPhase::Aborted, "Aborted"),
    (RolloutPhase::RolledBack, "RolledBack"),
];

/// How many rollouts are in which phase, and what is told of those that are not over.
pub(crate) fn of_rollouts(
    rollouts: &[Arc<Rollout>],
    members: &[Arc<RolloutMember>],
    now: Timestamp,
) -> (Vec<(&'static str, usize)>, Vec<RolloutFacts>) {
    let phase_of = |rollout: &Rollout| rollout.status.as_ref().map(|status| status.phase).unwrap_or_default();
    let phases = PHASES
        .into_iter()
        .map(|(phase, word)| (word, rollouts.iter().filter(|rollout| phase_of(rollout) == phase).count()))
        .collect();
    let mut by_rollout: HashMap<&str, Vec<&RolloutMember>> = HashMap::new();
    for member in members {
        by_rollout.entry(&member.spec.rollout).or_default().push(member);
    }
    let facts = rollouts
        .iter()
        .filter(|rollout| !phase_of(rollout).is_over())
        .filter_map(|rollout| {
            let members = by_rollout.remove(rollout.metadata.name.as_deref()?).unwrap_or_default();
            Some(of_one(rollout, rollout.status.as_ref()?, &members, now))
        })
        .collect();
    (phases, facts)
}

fn of_one(
    rollout: &Rollout,
    status: &RolloutStatus,
    members: &[&RolloutMember],
    now: Timestamp,
) -> RolloutFacts {
    let counts = status.counts;
    let wave = status.waves.iter().find(|wave| Some(&wave.name) == status.wave.as_ref());
    let began = wave.and_then(|wave| wave.began_at.as_ref());
    let mut blocked = BTreeMap::new();
    for member in members.iter().filter(|member| state(member) == MemberState::Preflight) {
        if let Some(first) = member.status.iter().flat_map(|status| &status.blockers).next() {
            *blocked.entry(first.code.clone()).or_insert(0) += 1;
        }
    }
    // The records are stored before anybody starts the rollout, and until then it misses none.
    let seen = i64::try_from(members.len()).unwrap_or(i64::MAX);
    let missing = rollout.spec.planned_members.saturating_sub(seen).max(0);
    RolloutFacts {
        name: rollout.name_any(),
        members: [
            ("waiting", counts.waiting),
            ("moving", counts.moving),
            ("soaking", counts.soaking),
            ("succeeded", counts.succeeded),
            ("failed", counts.failed),
            ("left_out", counts.left_out),
            ("rolled_back", counts.rolled_back),
        ],
        wave_age: began.map(|began| seconds(began.0, now)),
        overdue: overdue(rollout, status, members, now),
        blocked,
        missing: if rollout.spec.run == Run::Planned { 0 } else { missing },
    }
}

/// For how long a rollout should have got further and has not: since it last did, or since the moment at which something
/// was due, whichever is later. 0 while it waits for a gate, a slot, a window or a soak as it should. `None` in a phase in
/// which nobody expects anything of it: those have reports and alerts of their own.
fn overdue(
    rollout: &Rollout,
    status: &RolloutStatus,
    members: &[&RolloutMember],
    now: Timestamp,
) -> Option<i64> {
    if !matches!(
        status.phase,
        RolloutPhase::Running | RolloutPhase::WaitingForGate | RolloutPhase::RollingBack
    ) {
        return None;
    }
    let waits_for_gate =
        status.waves.iter().filter(|wave| wave.passed_at.is_none()).any(|wave| {
            wave.gates.iter().any(|gate| gate.openable_since.is_some() && gate.opened_at.is_none())
        });
    let present = members_up_to_the_present_wave(rollout, status, members);
    let moving: Vec<&RolloutMember> =
        members.iter().copied().filter(|member| state(member).is_moving()).collect();
    if waits_for_gate && moving.is_empty() {
        return Some(0);
    }
    let last = last_progress(rollout, status, &present, &moving);
    // Half of the deadline is more than a move takes, and early enough to look at one that hangs: when the deadline is
    // over, its member fails, and that is told otherwise. Whoever waits while others move waits for a turn.
    let patience = rollout.spec.step_deadline.to_duration() / 2;
    let due = if moving.is_empty() {
        present.iter().filter_map(|member| due(rollout, member, last)).min()
    } else {
        moving.iter().filter_map(|member| since(member)).min().map(|since| after(since, patience))
    };
    // Where nothing is due that a record would show, such as a member without a record, everything is.
    Some(seconds(due.map_or(last, |due| due.max(last)), now))
}

/// The members whose turn it is, or was: those of the present wave and of the waves before.
fn members_up_to_the_present_wave<'a>(
    rollout: &Rollout,
    status: &RolloutStatus,
    members: &[&'a RolloutMember],
) -> Vec<&'a RolloutMember> {
    let waves = &rollout.spec.waves;
    let index = |name: &str| waves.iter().position(|wave| wave.name == name);
    let present = status.wave.as_deref().and_then(index).unwrap_or(waves.len());
    let reached = |member: &&RolloutMember| index(&member.spec.wave).is_some_and(|wave| wave <= present);
    members.iter().copied().filter(reached).collect()
}

/// When the rollout last got further: somebody started it or let it go on, a gate opened, a wave began or passed, or a
/// member came into another state. That a member is being looked at moves nothing.
fn last_progress(
    rollout: &Rollout,
    status: &RolloutStatus,
    present: &[&RolloutMember],
    moving: &[&RolloutMember],
) -> Timestamp {
    let runs =
        conditions::get(&status.conditions, PROGRESSING).filter(|condition| condition.status == "True");
    let waves = status.waves.iter().flat_map(|wave| {
        let gates = wave.gates.iter().filter_map(|gate| gate.opened_at.as_ref());
        wave.began_at.iter().chain(&wave.passed_at).chain(gates)
    });
    let settled = present.iter().filter(|member| !waits(member));
    waves
        .chain(runs.map(|condition| &condition.last_transition_time))
        .chain(&status.started_at)
        .chain(&rollout.metadata.creation_timestamp)
        .map(|time| time.0)
        .chain(settled.chain(moving).filter_map(|member| since(member)))
        .max()
        .unwrap_or(Timestamp::MIN)
}

/// When something is due of a member that does not move: it begins, or its soak ends. `last` is when the rollout last got
/// further, before which it could not.
fn due(rollout: &Rollout, member: &RolloutMember, last: Timestamp) -> Option<Timestamp> {
    if waits(member) {
        let slot = (rollout.spec.slots == Slots::Binding).then_some(member.spec.slot.0);
        let not_before = member.status.as_ref().and_then(|status| status.not_before.as_ref()).map(|at| at.0);
        return slot.into_iter().chain(not_before).chain([last]).max();
    }
    if state(member) != MemberState::Soaking {
        return None;
    }
    let wave = rollout.spec.waves.iter().find(|wave| wave.name == member.spec.wave)?;
    let soak = wave.soak.map(|soak| soak.to_duration()).unwrap_or_default();
    Some(after(since(member)?, soak))
}

fn state(member: &RolloutMember) -> MemberState {
    member.status.as_ref().map(|status| status.state).unwrap_or_default()
}

fn waits(member: &RolloutMember) -> bool {
    matches!(state(member), MemberState::Pending | MemberState::Preflight)
}

fn since(member: &RolloutMember) -> Option<Timestamp> {
    let Time(since) = member.status.as_ref()?.since.as_ref()?;
    Some(*since)
}

fn after(at: Timestamp, length: SignedDuration) -> Timestamp {
    at.checked_add(length).unwrap_or(Timestamp::MAX)
}

/// The whole seconds from a moment until now; 0 when it lies ahead.
fn seconds(from: Timestamp, now: Timestamp) -> i64 {
    from.duration_until(now).as_secs().max(0)
}
