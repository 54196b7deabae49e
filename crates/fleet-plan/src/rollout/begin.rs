//! Whether a member that waits may begin, and otherwise what it waits for.

use std::collections::BTreeMap;

use fleet_api::v1alpha1::{
    Maintenance, MemberState, MoveStage, ReportEntry, RolloutMemberStatus, Run, VersionStatus,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    evidence,
    scene::{Member, Scene, Target, expected_minutes, minute},
    twist::Mutant,
    waves::WaveFacts,
};
use crate::{
    report::{self, Code, Who, entry, entry_with_hint},
    windows::{self, Change, Closed, Permission},
};

/// What a member waits for: the first thing that holds it, in the order in which people can do something about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hold {
    /// The rollout does not run.
    NotRunning,
    /// It is not looked at yet: its slot is too far away.
    NotYetLookedAt,
    /// Something stands in its way, named in its status.
    Blocked,
    /// It is being looked at.
    Unseen,
    /// A wave before its own has not passed.
    EarlierWave,
    /// A wave has more failures than it may have.
    Stopped,
    /// Its slot.
    Slot(Timestamp),
    /// A gate, by name.
    Gate(String),
    /// Its maintenance times, which let it go on then, if that is known.
    Window(Option<Timestamp>, Shut),
}

/// Which part of a cluster's maintenance times holds a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shut {
    /// No window is open, or not for long enough.
    Window,
    /// A freeze.
    Freeze,
    /// Changes were put off, by the operators or by the tenant's people.
    PutOff,
    /// The minimum gap since the last change.
    TooSoon,
}

impl Shut {
    const fn of(why: &Closed) -> Self {
        match why {
            Closed::Frozen { .. } => Self::Freeze,
            Closed::PutOff { .. } => Self::PutOff,
            Closed::TooSoon { .. } => Self::TooSoon,
            Closed::OutsideWindows
            | Closed::NotChosen
            | Closed::TooLittleLeft { .. }
            | Closed::PastLatestStart { .. } => Self::Window,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Window => "its maintenance window",
            Self::Freeze => "the end of a freeze",
            Self::PutOff => "the day until which changes were put off",
            Self::TooSoon => "the minimum gap since its last change",
        }
    }
}

/// What the windows of each tenant said: many tenants have the same.
#[derive(Default)]
pub(super) struct Windows(BTreeMap<String, Result<Permission, String>>);

impl Windows {
    fn ask(
        &mut self,
        scene: &Scene<'_>,
        maintenance: &Maintenance,
        change: Change,
    ) -> Result<Permission, String> {
        let minutes =
            if scene.twist.is(Mutant::StartsTooLate) { 0 } else { expected_minutes(&scene.spec().target) };
        // Without a minimum gap nothing depends on when a cluster was last disturbed.
        let change = match change {
            Change::Begins { .. } if maintenance.min_gap.is_none() => Change::Begins { last: None },
            other => other,
        };
        let key = serde_json::to_string(maintenance).map_or_else(
            |_| String::new(),
            |maintenance| match change {
                Change::Begins { last } => format!("{last:?} {maintenance}"),
                Change::GoesOn => format!("goes on {maintenance}"),
            },
        );
        let ask = || {
            windows::permission_for(Some(maintenance), change, scene.now, minutes)
                .map_err(|unknown| unknown.to_string())
        };
        if key.is_empty() {
            return ask();
        }
        self.0.entry(key).or_insert_with(ask).clone()
    }
}

/// Why nobody of the rollout ever begins again, whatever they wait for.
const fn ended(run: Run) -> Option<&'static str> {
    match run {
        Run::Aborted => Some("does not begin any more: the rollout was aborted"),
        Run::RollingBack => Some("does not begin any more: the rollout is rolled back"),
        Run::Planned | Run::Running | Run::Paused => None,
    }
}

/// Says in the record of a member that waits that it waits for nothing any more, when that is so.
pub(super) fn tell_the_end(scene: &Scene<'_>, status: &mut RolloutMemberStatus) -> bool {
    let Some(why) = ended(scene.run()) else { return false };
    status.not_before = None;
    status.blockers.clear();
    why.clone_into(&mut status.message);
    true
}

/// Judges a member that waits, and writes into `status` what people should know. `Ok` when nothing but the number of
/// members that may move at once stands between it and its move.
pub(super) fn judge(
    scene: &Scene<'_>,
    member: &Member<'_>,
    waves: &[WaveFacts<'_>],
    windows: &mut Windows,
    status: &mut RolloutMemberStatus,
) -> Result<(), Hold> {
    let blockers = blockers(scene, member);
    let held = hold(scene, member, waves, windows, &blockers);
    if held == Err(Hold::NotRunning) && tell_the_end(scene, status) {
        return held;
    }
    status.not_before = match &held {
        Err(Hold::Window(Some(opening), _)) => Some(Time(*opening)),
        _ => member.bound(scene).filter(|slot| scene.now < *slot).map(Time),
    };
    if held == Err(Hold::NotRunning) && status.blockers == blockers {
        // It says what it said before: no record of the fleet is written because somebody paused.
        return held;
    }
    status.message = match &held {
        Ok(()) => "may move, and waits for its turn".to_owned(),
        Err(hold) => hold.message(scene, member, &blockers),
    };
    status.blockers = blockers;
    held
}

fn hold(
    scene: &Scene<'_>,
    member: &Member<'_>,
    waves: &[WaveFacts<'_>],
    windows: &mut Windows,
    blockers: &[ReportEntry],
) -> Result<(), Hold> {
    let runs = scene.run() == Run::Running || scene.twist.is(Mutant::IgnoresPause);
    if !runs || scene.world.rollout.deleting {
        return Err(Hold::NotRunning);
    }
    if member.state() != MemberState::Preflight {
        return Err(Hold::NotYetLookedAt);
    }
    let skips = scene.twist.is(Mutant::SkipsPreflight);
    if !blockers.is_empty() && !skips {
        return Err(Hold::Blocked);
    }
    let seen = evidence::of(scene, member, MoveStage::Prepare)
        .is_some_and(|seen| seen.looked && evidence::is_fresh(scene, seen, evidence::PREFLIGHT_LIFE));
    if !seen && !skips {
        return Err(Hold::Unseen);
    }
    let earlier_passed = waves.iter().take(member.wave).all(|wave| wave.passed_at.is_some());
    if !earlier_passed && !scene.twist.is(Mutant::WavesDoNotWait) {
        return Err(Hold::EarlierWave);
    }
    if waves.iter().any(WaveFacts::is_over_budget) && !scene.twist.is(Mutant::FailuresDoNotStop) {
        return Err(Hold::Stopped);
    }
    let early = member.bound(scene).filter(|slot| scene.now < *slot);
    if let Some(slot) = early.filter(|_| !scene.twist.is(Mutant::IgnoresSlots)) {
        return Err(Hold::Slot(slot));
    }
    if let Some(gate) = waves.get(member.wave).and_then(|wave| wave.closed_before.clone()) {
        return Err(Hold::Gate(gate));
    }
    let cluster = member.cluster();
    let asked = cluster
        .and_then(|cluster| Some(windows.ask(scene, cluster.maintenance?, change(scene, cluster.versions))));
    match asked {
        None | Some(Ok(Permission::Now { .. })) => Ok(()),
        Some(_) if scene.twist.is(Mutant::StartsOutsideWindows) => Ok(()),
        Some(Ok(Permission::Later { at, why })) => Err(Hold::Window(at, Shut::of(&why))),
        // Nothing is known of a zone that does not exist, so it is never the right time in it.
        Some(Err(_)) => Err(Hold::Window(None, Shut::Window)),
    }
}

/// What the move is to the last change of the cluster: the same one, when an attempt at it has begun before, so that no
/// minimum gap holds the next attempt.
fn change(scene: &Scene<'_>, versions: &VersionStatus) -> Change {
    let Target::Kubernetes(target) = scene.target else { return Change::Begins { last: None } };
    let begun = versions.last_disruption.as_ref().is_some_and(|last| last.change == target.to_string());
    if begun { Change::GoesOn } else { Change::Begins { last: versions.last_disrupted_at() } }
}

/// What stands in a member's way: what was seen of its cluster, and what the rollout itself knows.
fn blockers(scene: &Scene<'_>, member: &Member<'_>) -> Vec<ReportEntry> {
    let mut blockers = Vec::new();
    if member.state() != MemberState::Preflight {
        return blockers;
    }
    let Some(cluster) = member.cluster() else { return blockers };
    if cluster.paused {
        let hint = "take the pause off the tenant, or skip the member";
        blockers.push(entry_with_hint(Code::Paused, Who::Operator, "its tenant is paused", hint));
    }
    if let Some(other) = cluster.taken_by.filter(|_| !scene.twist.is(Mutant::IgnoresOtherRollouts)) {
        let message = format!("rollout `{other}` moves the cluster, and is not over");
        blockers.push(entry_with_hint(
            Code::OtherRollout,
            Who::Operator,
            message,
            "end that rollout, or skip the member",
        ));
    }
    if member.spec().rollback {
        let message = "it is to be rolled back, and has not moved";
        let hint = "skip the member, or take the rollback back";
        blockers.push(entry_with_hint(Code::RollbackUnmoved, Who::Operator, message, hint));
    }
    blockers.extend(unexpected_version(scene, member));
    if let Some(seen) = evidence::of(scene, member, MoveStage::Prepare) {
        // Whoever looked at the cluster saw the pause as well: it is one thing that stands in the way, and said once.
        let known = |entry: &&ReportEntry| cluster.paused && entry.code == Code::Paused.as_str();
        blockers.extend(seen.blockers.iter().filter(|entry| !known(entry)).cloned());
    }
    report::settle(blockers)
}

/// A member moves from the minor at which it was planned, by one. One that somebody brought to the target meanwhile is
/// moved all the same: what else belongs to the move is still to be done, and to be seen.
fn unexpected_version(scene: &Scene<'_>, member: &Member<'_>) -> Option<ReportEntry> {
    let Target::Kubernetes(target) = scene.target else { return None };
    if scene.twist.is(Mutant::SkipsMinors) {
        return None;
    }
    let from = member.spec().from;
    let have = member.cluster().and_then(|cluster| cluster.versions.control_plane);
    let Some(have) = have else {
        let message = "the version of its control plane is not known";
        return Some(entry(Code::VersionUnexpected, Who::Nobody, message));
    };
    if have == target || (have == from && from.next() == target) {
        return None;
    }
    let message =
        format!("it is at {have}: the rollout moves it from {from} to {target}, one minor at a time");
    Some(entry_with_hint(
        Code::VersionUnexpected,
        Who::Operator,
        message,
        "skip the member, and plan another rollout for it",
    ))
}

impl Hold {
    fn message(&self, scene: &Scene<'_>, member: &Member<'_>, blockers: &[ReportEntry]) -> String {
        match self {
            Self::NotRunning => "the rollout does not run".to_owned(),
            Self::NotYetLookedAt | Self::Slot(_) => match member.bound(scene) {
                Some(slot) => format!("waits for its slot at {}", minute(slot)),
                None => "waits to be looked at".to_owned(),
            },
            Self::Blocked => match blockers {
                [only] => only.message.clone(),
                [first, rest @ ..] => format!("{}, and {} more", first.message, rest.len()),
                [] => "something stands in its way".to_owned(),
            },
            Self::Unseen => "is being looked at for what would stand in its way".to_owned(),
            Self::EarlierWave => "waits for the waves before its own".to_owned(),
            Self::Stopped => "waits: a wave has more failures than it may have".to_owned(),
            Self::Gate(gate) => format!("waits for gate `{gate}`"),
            Self::Window(Some(opening), shut) => {
                format!("waits for {}, and goes on at {}", shut.words(), minute(*opening))
            }
            Self::Window(None, _) => self.never(scene, member),
        }
    }

    /// Why no window will ever do.
    fn never(&self, scene: &Scene<'_>, member: &Member<'_>) -> String {
        let maintenance = member.cluster().and_then(|cluster| cluster.maintenance);
        match windows::zone(maintenance) {
            Err(unknown) => unknown.to_string(),
            Ok(_) => format!(
                "no maintenance window is long enough for its {} minutes, or none opens",
                expected_minutes(&scene.spec().target)
            ),
        }
    }
}
