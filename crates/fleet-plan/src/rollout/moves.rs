//! What is written into clusters: the move that a member's record stands for.
//!
//! A move is derived from the record as it was read, never from what is about to be written, so that every move that
//! stands in a cluster stands for a record that was stored. It carries the record's `seq`: the management cluster refuses
//! one that is older than what stands, so that a stale reader cannot take a decision back.

use fleet_api::{
    KubernetesVersion,
    v1alpha1::{AddonChoice, MemberState, Move, MoveStage},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    ClusterView,
    scene::{Member, Scene, Target, after},
    twist::Mutant,
};

/// The move to be set on a member's cluster, when it differs from what stands there.
pub(super) fn due(scene: &Scene<'_>, member: &Member<'_>) -> Option<Move> {
    if member.flaw.is_some() {
        return None;
    }
    let cluster = member.cluster()?;
    let ours = cluster.current.filter(|current| current.rollout_uid == scene.world.rollout.uid);
    let over = is_over(scene, member, &cluster);
    let wanted = match wanted(scene, member) {
        Some(wanted) => wanted,
        // A record that stands for no move (its member was skipped, or was to be tried again and never was) leaves the
        // rollout with the move that it had.
        None => ours.filter(|_| over)?.clone(),
    };
    let wanted = Move { over, ..wanted };
    match ours {
        // A newer record stands behind what is there: this one was read too early.
        Some(current) if current.seq > wanted.seq => None,
        Some(current) => {
            let same = Move { seq: wanted.seq, ..current.clone() } == wanted;
            (!same).then_some(wanted)
        }
        // Another rollout's move is in the way only while that rollout lasts. A member that has settled wants nothing any
        // more, and takes nothing from a rollout that came after.
        None => (is_free(scene, &cluster) && !member.state().is_settled()).then_some(wanted),
    }
}

/// Whether a member's move is history: somebody skipped it, or nothing more of the rollout happens to it.
///
/// Nodes that were held back are still to follow when their rollout has completed, and until then its move stands.
fn is_over(scene: &Scene<'_>, member: &Member<'_>, cluster: &ClusterView<'_>) -> bool {
    if scene.twist.is(Mutant::MovesOutliveTheirRollout) {
        return false;
    }
    let was = member.was();
    match was.state {
        MemberState::Skipped if was.offline_since.is_none() => true,
        MemberState::Upgrading | MemberState::Verifying | MemberState::Soaking | MemberState::RollingBack => {
            false
        }
        MemberState::Succeeded => scene.was().phase.is_over() && !has_nodes_behind(scene, cluster),
        MemberState::Pending
        | MemberState::Preflight
        | MemberState::Failed
        | MemberState::Skipped
        | MemberState::RolledBack => scene.was().phase.is_over(),
    }
}

fn has_nodes_behind(scene: &Scene<'_>, cluster: &ClusterView<'_>) -> bool {
    let Target::Kubernetes(target) = scene.target else { return false };
    let behind = |version: &str| version.parse::<KubernetesVersion>().is_ok_and(|version| version < target);
    scene.spec().hold_nodes.is_some() && cluster.versions.nodes.iter().any(|group| behind(&group.version))
}

fn is_free(scene: &Scene<'_>, cluster: &ClusterView<'_>) -> bool {
    cluster.taken_by.is_none() || scene.twist.is(Mutant::IgnoresOtherRollouts)
}

/// The move that a member's record stands for. A record that is settled stands for the last one.
fn wanted(scene: &Scene<'_>, member: &Member<'_>) -> Option<Move> {
    let was = member.was();
    let stage = match was.state {
        MemberState::Pending => return None,
        MemberState::Preflight => MoveStage::Prepare,
        MemberState::Upgrading | MemberState::Verifying | MemberState::Soaking | MemberState::Succeeded => {
            MoveStage::Go
        }
        MemberState::Skipped => was.offline_since.as_ref().map(|_| MoveStage::Go)?,
        MemberState::Failed => match (&was.back_started_at, &was.started_at) {
            (Some(_), _) => MoveStage::Back,
            (None, Some(_)) => MoveStage::Go,
            (None, None) => return None,
        },
        MemberState::RollingBack | MemberState::RolledBack => MoveStage::Back,
    };
    let mut wanted = Move {
        rollout: scene.world.rollout.name.to_owned(),
        rollout_uid: scene.world.rollout.uid.to_owned(),
        seq: was.seq,
        id: scene.move_id(was.attempt),
        stage,
        version: None,
        baseline: None,
        addons: Vec::new(),
        hold_nodes_until: None,
        halted: was.state == MemberState::Failed,
        over: false,
    };
    match (scene.target, stage) {
        (Target::Kubernetes(_), MoveStage::Back) => wanted.version = Some(member.spec().from),
        (Target::Kubernetes(target), _) => wanted.version = Some(target),
        (Target::Baseline(_), MoveStage::Back) => wanted.baseline.clone_from(&was.from_baseline),
        (Target::Baseline(target), _) => wanted.baseline = Some(target.to_owned()),
        (Target::Addons(_), MoveStage::Back) => {
            wanted.addons = was.from_addons.iter().map(|addon| at(&addon.name, &addon.version)).collect();
        }
        (Target::Addons(target), _) => wanted.addons = target.to_vec(),
    }
    if stage == MoveStage::Go && !scene.twist.is(Mutant::NodesFollowAtOnce) {
        wanted.hold_nodes_until = hold_nodes(scene, member);
    }
    Some(wanted)
}

fn at(name: &str, version: &str) -> AddonChoice {
    AddonChoice {
        name: name.to_owned(),
        version: Some(version.to_owned()),
        configuration: None,
        role_arn: None,
    }
}

/// Until when nodes stay at the old minor: counted from the arrival of the rest. Until that was seen they stay for as long as
/// it may take, and for the hold after it: a move over several windows may take longer than the hold. Another attempt of a
/// member whose control plane had moved before it holds them no longer than the first.
fn hold_nodes(scene: &Scene<'_>, member: &Member<'_>) -> Option<Time> {
    let hold = scene.spec().hold_nodes?;
    let Target::Kubernetes(target) = scene.target else { return None };
    let was = member.was();
    let started = was.started_at.as_ref()?.0;
    let moved_before = member.cluster().filter(|_| was.attempt > 1).and_then(|cluster| {
        let there = cluster.versions.control_plane == Some(target);
        let moved = cluster.versions.upgrade_completed_at.as_ref().filter(|_| there)?.0;
        (moved <= started).then_some(moved)
    });
    let arrived = was.arrived_at.as_ref().map(|at| at.0);
    let latest = || after(started, scene.spec().step_deadline.to_duration());
    let from = moved_before.or(arrived).unwrap_or_else(latest);
    Some(Time(after(from, hold.to_duration())))
}
