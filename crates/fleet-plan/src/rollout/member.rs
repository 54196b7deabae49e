//! What becomes of a member by itself: by what was seen of its cluster, by what a person wants of it, and by time.
//!
//! Three kinds of change are told apart. Progress (it arrives, soaks, succeeds, leaves) takes no room, spends no budget and
//! settles the wave further: it is written at once, because whoever reads an older record only waits longer. Whatever
//! takes room, spends the budget or unsettles a wave (it fails, falls back, returns, is tried again) is a wish: it
//! is announced in the rollout's ledger before it is written, so that a reader who does not see it knows that he does not.
//! And beginning, to move or to move back, needs the wave's consent; that is no matter of this file.

use fleet_api::v1alpha1::{Evidence, MemberState, MoveStage, RolloutMemberStatus, Run};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    back, evidence,
    scene::{Member, Scene, after},
    twist::Mutant,
};
use crate::report::{Code, Who, entry};

/// How long before its slot a member is looked at for what would stand in its way.
const LOOK_AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// For how long a member has to be known to be offline before it may leave its wave. After an outage, or a step of the
/// clock, everything looks as if nobody had been heard of for hours; in this time whoever is there is heard.
const OFFLINE_GRACE: SignedDuration = SignedDuration::from_mins(10);

/// What becomes of a member.
#[derive(Debug, Clone)]
pub(super) struct Next {
    /// What may be written at once.
    pub(super) status: RolloutMemberStatus,
    /// What may be written once it was announced, in place of `status`.
    pub(super) wish: Option<Wish>,
    /// When time alone changes it.
    pub(super) wake: Option<Timestamp>,
}

/// A change that has to be announced.
#[derive(Debug, Clone)]
pub(super) enum Wish {
    /// In any case.
    Always(RolloutMemberStatus),
    /// When the failure budget of the wave has room: a member that is offline leaves.
    WithinBudget(RolloutMemberStatus),
}

impl Next {
    fn stay(status: RolloutMemberStatus) -> Self {
        Self { status, wish: None, wake: None }
    }

    /// The state that the member is about to have, announced changes included.
    pub(super) fn state(&self) -> MemberState {
        match &self.wish {
            Some(Wish::Always(status)) => status.state,
            Some(Wish::WithinBudget(_)) | None => self.status.state,
        }
    }
}

/// Puts a member into a state.
pub(super) fn enter(
    scene: &Scene<'_>,
    status: &mut RolloutMemberStatus,
    state: MemberState,
    message: impl Into<String>,
) {
    if status.state != state {
        status.state = state;
        status.seq = status.seq.saturating_add(1);
        status.since = Some(scene.time());
        status.not_before = None;
        status.blockers.clear();
    }
    if back::stays_where_it_is(status) {
        status.rollback_until = None;
    }
    status.message = message.into();
}

/// Tells what becomes of a member by itself. `current` is the index of the first wave that has not passed.
pub(super) fn next(scene: &Scene<'_>, member: &Member<'_>, current: usize) -> Next {
    let mut status = member.was().clone();
    if let Some(why) = leaves(member) {
        status.offline_since = None;
        enter(scene, &mut status, MemberState::Skipped, why);
        return Next::stay(status);
    }
    if member.flaw.is_some() {
        return Next::stay(status);
    }
    back::note_limit(scene, member, &mut status);
    match status.state {
        MemberState::Pending => pending(scene, member, current, status),
        MemberState::Upgrading | MemberState::Verifying | MemberState::Soaking => {
            going(scene, member, status)
        }
        MemberState::RollingBack => going_back(scene, member, status),
        MemberState::Failed => failed(scene, member, status),
        MemberState::Skipped if status.offline_since.is_some() => returning(scene, member, status),
        MemberState::Succeeded => succeeded(scene, member, status),
        MemberState::Preflight | MemberState::Skipped | MemberState::RolledBack => Next::stay(status),
    }
}

/// Why a member leaves its rollout for good.
///
/// Its cluster is gone, or is going, or another cluster has its name; or a person says so, and it is not moving. Whoever
/// has succeeded stays that, and whoever is back where it was, unless a person says so.
fn leaves(member: &Member<'_>) -> Option<String> {
    let was = member.was();
    let left = match was.state {
        MemberState::Succeeded => return None,
        MemberState::Skipped if was.offline_since.is_none() => return None,
        state => state,
    };
    let gone = match member.view.cluster {
        None => Some("its cluster is gone"),
        Some(cluster) if cluster.uid != member.spec().cluster_uid => {
            Some("its cluster is gone, and another one has its name")
        }
        Some(cluster) if cluster.deleting => Some("its cluster is being deleted"),
        Some(_) => None,
    };
    if let Some(gone) = gone.filter(|_| left != MemberState::RolledBack) {
        return Some(gone.to_owned());
    }
    (member.spec().skip && !left.is_moving()).then(|| "a person skipped it".to_owned())
}

fn pending(scene: &Scene<'_>, member: &Member<'_>, current: usize, mut status: RolloutMemberStatus) -> Next {
    let slot = member.bound(scene);
    let looked_at = slot.map(|slot| slot.checked_sub(LOOK_AHEAD).unwrap_or(Timestamp::MIN));
    // A member of a later wave whose slot has passed is not looked at over and over while its wave is not even next.
    let near = member.wave <= current.saturating_add(1) || slot.is_some_and(|slot| scene.now < slot);
    if scene.run() != Run::Running || looked_at.is_some_and(|at| scene.now < at) || !near {
        return Next { wake: looked_at, ..Next::stay(status) };
    }
    if status.attempt == 0 {
        status.attempt = 1;
        status.retry.clone_from(&member.spec().retry);
    }
    enter(scene, &mut status, MemberState::Preflight, "is being looked at for what would stand in its way");
    Next::stay(status)
}

/// A member that has begun to move.
fn going(scene: &Scene<'_>, member: &Member<'_>, mut status: RolloutMemberStatus) -> Next {
    for written in [&mut status.started_at, &mut status.since].into_iter().flatten() {
        *written = Time(scene.not_ahead(written));
    }
    let seen = evidence::of(scene, member, MoveStage::Go);
    let silence = scene.spec().offline_after.to_duration();
    match seen.filter(|seen| evidence::is_fresh(scene, seen, silence)) {
        Some(seen) => {
            status.offline_since = None;
            judged(scene, member, status, seen)
        }
        None => silent(scene, member, status, evidence::last_heard(scene, member.was(), seen)),
    }
}

/// A member of which fresh evidence was seen: the evidence alone says where it is.
fn judged(scene: &Scene<'_>, member: &Member<'_>, mut status: RolloutMemberStatus, seen: &Evidence) -> Next {
    let was = status.state;
    let arrived = evidence::has_arrived(scene, member, seen, MoveStage::Go);
    if arrived && status.arrived_at.is_none() {
        status.arrived_at = Some(seen.observed_at.clone());
    }
    if let Some(why) = nodes_stay_behind(seen).filter(|_| arrived) {
        return fails(scene, member, status, why);
    }
    let overlooks = was == MemberState::Soaking && scene.twist.is(Mutant::SoaksThroughRegress);
    if arrived && (seen.healthy || overlooks) {
        let soak = scene.spec().waves.get(member.wave).and_then(|wave| wave.soak);
        let soak = soak.map_or(0, |soak| soak.0.saturating_mul(60));
        let lasts =
            |from: &Option<Time>| from.as_ref().map_or(0, |at| at.0.duration_until(scene.now).as_secs());
        let soaked = if scene.twist.is(Mutant::SoaksByTheClock) {
            lasts(&status.arrived_at)
        } else if overlooks {
            lasts(&status.since)
        } else {
            seen.healthy_seconds
        };
        if soaked >= soak {
            enter(scene, &mut status, MemberState::Succeeded, "is healthy on the target");
            return Next::stay(status);
        }
        enter(
            scene,
            &mut status,
            MemberState::Soaking,
            "is healthy on the target, and has to stay so for a while",
        );
        let left = SignedDuration::from_secs(soak.saturating_sub(soaked));
        return Next { wake: Some(after(seen.observed_at.0, left)), ..Next::stay(status) };
    }
    if was == MemberState::Soaking {
        // Its soak begins again: the observer counts from nothing at the next healthy observation.
        let mut fallen = status.clone();
        enter(scene, &mut fallen, MemberState::Verifying, said("is not healthy any more", seen));
        return Next { wish: Some(Wish::Always(fallen)), ..Next::stay(status) };
    }
    if let Some(stuck) = &seen.stuck {
        return fails(scene, member, status, format!("cannot go on without somebody: {stuck}"));
    }
    if let Some(late) = overdue(scene, &status) {
        return fails(scene, member, status, late);
    }
    if arrived || was == MemberState::Verifying {
        enter(
            scene,
            &mut status,
            MemberState::Verifying,
            said("has arrived, and was not yet seen healthy", seen),
        );
    } else {
        status.blockers.clear();
        status.message = said("is moving", seen);
    }
    let silence = scene.spec().offline_after.to_duration();
    Next {
        wake: deadline(scene, &status).into_iter().chain([evidence::stale_at(seen, silence)]).min(),
        ..Next::stay(status)
    }
}

/// A member that is moving and of which nobody has heard lately: nothing is known of it, so nothing is concluded, except
/// that its time runs out, and that it is offline.
fn silent(scene: &Scene<'_>, member: &Member<'_>, mut status: RolloutMemberStatus, heard: Timestamp) -> Next {
    if let Some(late) = overdue(scene, &status) {
        return fails(scene, member, status, late);
    }
    let silence = scene.spec().offline_after.to_duration();
    if scene.distance(heard) <= silence {
        status.offline_since = None;
        let wake = deadline(scene, &status).into_iter().chain([after(heard, silence)]).min();
        return Next { wake, ..Next::stay(status) };
    }
    let since = status.offline_since.as_ref().map_or(scene.now, |since| since.0.min(scene.now));
    status.offline_since = Some(Time(since));
    let lost = format!("was last heard of at {}", super::scene::minute(heard));
    status.blockers = vec![entry(Code::MemberOffline, Who::Cloud, lost.clone())];
    status.message = format!("is offline: {lost}");
    let patience = after(since, OFFLINE_GRACE);
    if scene.now < patience {
        return Next { wake: Some(patience), ..Next::stay(status) };
    }
    let mut left = status.clone();
    enter(
        scene,
        &mut left,
        MemberState::Skipped,
        format!("is offline, and its wave goes on without it: {lost}"),
    );
    Next { wish: Some(Wish::WithinBudget(left)), wake: deadline(scene, &status), status }
}

/// A member that was left out because it was offline: it takes part again as soon as it is heard of.
fn returning(scene: &Scene<'_>, member: &Member<'_>, status: RolloutMemberStatus) -> Next {
    let seen = evidence::of(scene, member, MoveStage::Go);
    let silence = scene.spec().offline_after.to_duration();
    let fresh = seen.filter(|seen| evidence::is_fresh(scene, seen, silence));
    let Some(seen) = fresh.filter(|_| !scene.was().phase.is_over()) else {
        return Next::stay(status);
    };
    let mut back = status.clone();
    back.offline_since = None;
    enter(scene, &mut back, MemberState::Upgrading, said("is heard of again", seen));
    // Its time ran on while nobody heard of it: one that has not arrived by its deadline returns as failed.
    let judged = judged(scene, member, back, seen);
    let returned = match judged.wish {
        Some(Wish::Always(status)) => status,
        Some(Wish::WithinBudget(_)) | None => judged.status,
    };
    Next { wish: Some(Wish::Always(returned)), ..Next::stay(status) }
}

/// A member that has succeeded stays that, unless nodes that were held back cannot follow: what its wave was believed to
/// have shown is then not so, and later waves would meet the same.
fn succeeded(scene: &Scene<'_>, member: &Member<'_>, status: RolloutMemberStatus) -> Next {
    let silence = scene.spec().offline_after.to_duration();
    let seen = evidence::of(scene, member, MoveStage::Go);
    let seen = seen.filter(|seen| evidence::is_fresh(scene, seen, silence));
    match seen.and_then(nodes_stay_behind).filter(|_| !scene.was().phase.is_over()) {
        Some(why) => fails(scene, member, status, why),
        None => Next::stay(status),
    }
}

/// Why nodes that were held back do not follow a control plane that has arrived, when somebody has to act.
fn nodes_stay_behind(seen: &Evidence) -> Option<String> {
    let stuck = seen.stuck.as_ref().filter(|_| seen.arrived)?;
    Some(format!("its nodes cannot follow without somebody: {stuck}"))
}

fn going_back(scene: &Scene<'_>, member: &Member<'_>, mut status: RolloutMemberStatus) -> Next {
    for written in [&mut status.back_started_at, &mut status.since].into_iter().flatten() {
        *written = Time(scene.not_ahead(written));
    }
    let silence = scene.spec().offline_after.to_duration();
    let seen =
        evidence::of(scene, member, MoveStage::Back).filter(|seen| evidence::is_fresh(scene, seen, silence));
    if let Some(seen) = seen {
        if evidence::has_arrived(scene, member, seen, MoveStage::Back) && seen.healthy {
            enter(scene, &mut status, MemberState::RolledBack, "is healthy where it was before");
            return Next::stay(status);
        }
        // It counts as a failure before and after, and as moving no longer: nothing has to be announced.
        if let Some(stuck) = &seen.stuck {
            let message = format!("cannot go back without somebody: {stuck}");
            enter(scene, &mut status, MemberState::Failed, message);
            status.retry.clone_from(&member.spec().retry);
            return Next::stay(status);
        }
        status.message = said("is moving back", seen);
    }
    if let Some(late) = overdue(scene, &status) {
        enter(scene, &mut status, MemberState::Failed, late);
        status.retry.clone_from(&member.spec().retry);
        return Next::stay(status);
    }
    Next { wake: deadline(scene, &status), ..Next::stay(status) }
}

fn failed(scene: &Scene<'_>, member: &Member<'_>, mut status: RolloutMemberStatus) -> Next {
    let retry = &member.spec().retry;
    let again = retry.is_some() && *retry != status.retry;
    // After an abort nothing begins any more, but what somebody takes back goes back all the same.
    let goes_on = matches!(scene.run(), Run::Running | Run::Paused) || back::is_asked_for(scene, member);
    if !again || !goes_on {
        return Next::stay(status);
    }
    status.retry.clone_from(retry);
    status.attempt = status.attempt.saturating_add(1);
    // The new attempt has not begun: until an entry allows it to, its record stands for no move at all.
    status.back_started_at = None;
    status.started_at = None;
    status.arrived_at = None;
    if back::is_asked_for(scene, member) {
        // It is tried to roll it back again. It is a failure all the while.
        return Next::stay(status);
    }
    let stays = member.was().clone();
    enter(scene, &mut status, MemberState::Pending, "is to be tried again");
    Next { wish: Some(Wish::Always(status)), ..Next::stay(stays) }
}

fn fails(scene: &Scene<'_>, member: &Member<'_>, status: RolloutMemberStatus, why: String) -> Next {
    let mut failed = status.clone();
    failed.offline_since = None;
    enter(scene, &mut failed, MemberState::Failed, why);
    // Only a value that is given after the failure asks for another attempt.
    failed.retry.clone_from(&member.spec().retry);
    Next { wish: Some(Wish::Always(failed)), ..Next::stay(status) }
}

/// When a member's time runs out: to arrive, to become healthy, or to get back.
fn deadline(scene: &Scene<'_>, status: &RolloutMemberStatus) -> Option<Timestamp> {
    let began = match status.state {
        MemberState::Upgrading => &status.started_at,
        MemberState::Verifying => &status.since,
        MemberState::RollingBack => &status.back_started_at,
        _ => return None,
    };
    began.as_ref().map(|began| after(began.0, scene.spec().step_deadline.to_duration()))
}

fn overdue(scene: &Scene<'_>, status: &RolloutMemberStatus) -> Option<String> {
    let until = deadline(scene, status).filter(|until| *until < scene.now)?;
    let what = match status.state {
        MemberState::Verifying => "has not been seen healthy",
        MemberState::RollingBack => "has not come back",
        _ => "has not arrived",
    };
    Some(format!("{what} up to {}, its deadline", super::scene::minute(until)))
}

fn said(what: &str, seen: &Evidence) -> String {
    if seen.message.is_empty() { what.to_owned() } else { format!("{what}: {}", seen.message) }
}
