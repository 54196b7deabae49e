//! The way back: who is to be rolled back, who can be, and what stands in the way of the others.
//!
//! A Kubernetes minor goes back by one, to where the member was when the rollout was planned, within 7 days of the end of
//! the upgrade and never below the version that the cluster was made with: EKS refuses anything else. A baseline and
//! add-ons go back at any time. A rollback waits for no window, because what stands was judged to be bad; that is a
//! decision of a person, or of the plan that a person approved.

use fleet_api::v1alpha1::{MemberState, ReportEntry, RolloutMemberStatus, Run};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    scene::{Member, Scene, Target, after, minute},
    twist::Mutant,
};
use crate::report::{Code, Who, entry, entry_with_hint};

/// For how long after an upgrade EKS takes it back.
const TAKES_BACK_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Whether a member goes back.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Back {
    /// Nobody wants it to, or there is nothing to go back from.
    No,
    /// Something stands in the way.
    Obstacle(ReportEntry),
    /// As soon as there is room.
    Ready,
}

/// Whether a person asked for this member to be rolled back, alone or with all others.
pub(super) fn is_asked_for(scene: &Scene<'_>, member: &Member<'_>) -> bool {
    member.spec().rollback || scene.run() == Run::RollingBack
}

/// Whether the member's cluster was moved by the rollout and stands where it was moved to.
pub(super) fn has_moved(scene: &Scene<'_>, member: &Member<'_>) -> bool {
    let was = member.was();
    // One that waits has moved when an attempt before did.
    let attempted = match was.state {
        MemberState::Pending | MemberState::Preflight => was.attempt > 1,
        _ => was.started_at.is_some() || was.attempt > 1,
    };
    let there = match scene.target {
        Target::Kubernetes(target) => {
            let have = member.cluster().and_then(|cluster| cluster.versions.control_plane);
            member.spec().from != target && have == Some(target)
        }
        Target::Baseline(_) | Target::Addons(_) => true,
    };
    attempted && there
}

/// Whether a member goes back. `wave_goes_back` says that its wave does, because it has more failures than it may have.
pub(super) fn judge(scene: &Scene<'_>, member: &Member<'_>, wave_goes_back: bool) -> Back {
    let was = member.was();
    let may = match was.state {
        MemberState::Verifying | MemberState::Soaking | MemberState::Succeeded => true,
        // A way back that failed is tried again when somebody says so, by another `retry`.
        MemberState::Failed => was.back_started_at.is_none(),
        MemberState::Pending | MemberState::Preflight => was.attempt > 1,
        // What runs is left to finish: the cloud does not take back what has not ended.
        MemberState::Upgrading
        | MemberState::Skipped
        | MemberState::RollingBack
        | MemberState::RolledBack => false,
    };
    if member.flaw.is_some() || !may || !(wave_goes_back || is_asked_for(scene, member)) {
        return Back::No;
    }
    if let Some(obstacle) = obstacle(scene, member) {
        return Back::Obstacle(obstacle);
    }
    if has_moved(scene, member) { Back::Ready } else { Back::No }
}

fn obstacle(scene: &Scene<'_>, member: &Member<'_>) -> Option<ReportEntry> {
    let Some(cluster) = member.cluster() else {
        return Some(entry(Code::RollbackUnclear, Who::Nobody, format!("{} has no cluster", member.name)));
    };
    if cluster.paused {
        let message = format!("{} waits to be rolled back: its tenant is paused", member.name);
        return Some(entry_with_hint(Code::Paused, Who::Operator, message, "take the pause off the tenant"));
    }
    if let Some(other) = cluster.taken_by {
        let message = format!("{} is moved by rollout `{other}`", member.name);
        return Some(entry_with_hint(Code::OtherRollout, Who::Operator, message, "end that rollout"));
    }
    let Target::Kubernetes(target) = scene.target else { return None };
    let from = member.spec().from;
    let have = cluster.versions.control_plane;
    if have == Some(from) {
        return None;
    }
    if from.next() != target || have != Some(target) {
        let seen = have.map_or_else(|| "of unknown version".to_owned(), |have| format!("at {have}"));
        let message = format!("{} was to go from {target} back to {from}, and is {seen}", member.name);
        return Some(entry(Code::RollbackUnclear, Who::Operator, message));
    }
    // Of a cluster whose first version is not known, the rollout itself saw that it was upgraded in place.
    let born = cluster.versions.created_at;
    if born.is_some_and(|born| born >= target) && !scene.twist.is(Mutant::RollsBackBelowBirth) {
        let message = format!("{} was made with {target}: there is nothing to go back to", member.name);
        return Some(entry(Code::RollbackBelowBirth, Who::Operator, message));
    }
    match limit(scene, member) {
        Some(until) if scene.now < until.0 || scene.twist.is(Mutant::RollsBackTooLate) => None,
        Some(until) => {
            let message = format!("{} could be rolled back until {}", member.name, minute(until.0));
            Some(entry(Code::RollbackTooLate, Who::Operator, message))
        }
        None if scene.twist.is(Mutant::RollsBackBelowBirth) => None,
        None => {
            let message = format!("it is not known when {} was upgraded", member.name);
            Some(entry(Code::RollbackUnclear, Who::Operator, message))
        }
    }
}

/// The last moment at which a rollback of the member can begin; `None` when it has not moved, when it has no limit, and when
/// nothing shows when its cluster was upgraded.
///
/// It is counted from the end of the upgrade as it was observed. Until that was observed it is counted from the moment at
/// which a member that was seen at its old minor first began: that is earlier, and so on the safe side.
fn limit(scene: &Scene<'_>, member: &Member<'_>) -> Option<Time> {
    let Target::Kubernetes(target) = scene.target else { return None };
    let cluster = member.cluster().filter(|cluster| cluster.versions.control_plane == Some(target))?;
    if member.spec().from == target {
        return None;
    }
    match &cluster.versions.upgrade_completed_at {
        Some(ended) => Some(Time(after(ended.0, TAKES_BACK_FOR))),
        None => member.was().rollback_until.clone(),
    }
}

/// The last moment at which a rollback can begin of a member that begins now, whatever its upgrade takes; `None` when its
/// cluster was upgraded before, nobody knows when.
pub(super) fn limit_from_now(scene: &Scene<'_>, member: &Member<'_>) -> Option<Time> {
    let Target::Kubernetes(target) = scene.target else { return None };
    let from = member.spec().from;
    let have = member.cluster().and_then(|cluster| cluster.versions.control_plane);
    (from != target && have == Some(from)).then(|| Time(after(scene.now, TAKES_BACK_FOR)))
}

/// Notes the last moment in a member's status, so that people can read it.
pub(super) fn note_limit(scene: &Scene<'_>, member: &Member<'_>, status: &mut RolloutMemberStatus) {
    if status.state == MemberState::Pending || stays_where_it_is(status) {
        return;
    }
    if let Some(limit) = limit(scene, member) {
        status.rollback_until = Some(limit);
    }
}

/// Whether a member is back, or has left for good: the rollout never moves it again, whatever becomes of its cluster, and so
/// promises no rollback of it.
pub(super) const fn stays_where_it_is(status: &RolloutMemberStatus) -> bool {
    match status.state {
        MemberState::RolledBack => true,
        MemberState::Skipped => status.offline_since.is_none(),
        _ => false,
    }
}
