//! What may be believed of what was seen of a member's cluster.
//!
//! Evidence counts when it carries the id and the stage of the member's own move, because its writer copies them from the
//! spec that it acted on: whatever is older than the move, or belongs to another attempt, another rollout or another
//! stage, cannot carry them. That holds however stale the cluster was read and whatever clocks did meanwhile. Times are
//! looked at on top of it: nothing that was observed before the attempt began counts, and nothing that was observed too
//! long ago, or at a time that has not come yet.

use fleet_api::v1alpha1::{Evidence, MoveStage, RolloutMemberStatus};
use jiff::{SignedDuration, Timestamp};

use super::{
    scene::{Member, Scene, Target, after},
    twist::Mutant,
};

/// How old the look at what stands in the way may be when a member begins.
pub(super) const PREFLIGHT_LIFE: SignedDuration = SignedDuration::from_mins(15);

/// The evidence of a stage of the member's present attempt; `None` when there is none that counts.
pub(super) fn of<'a>(scene: &Scene<'a>, member: &Member<'a>, stage: MoveStage) -> Option<&'a Evidence> {
    let evidence = member.cluster()?.evidence?;
    if scene.twist.is(Mutant::TrustsAnyEvidence) {
        return Some(evidence);
    }
    let status = member.was();
    let began = match stage {
        MoveStage::Prepare => None,
        MoveStage::Go => Some(scene.not_ahead(status.started_at.as_ref()?)),
        MoveStage::Back => Some(scene.not_ahead(status.back_started_at.as_ref()?)),
    };
    let counts = evidence.move_id == scene.move_id(status.attempt)
        && evidence.stage == stage
        && began.is_none_or(|began| began <= evidence.observed_at.0);
    counts.then_some(evidence)
}

/// Whether evidence is from so near a time that it speaks of the present.
pub(super) fn is_fresh(scene: &Scene<'_>, evidence: &Evidence, life: SignedDuration) -> bool {
    scene.distance(evidence.observed_at.0) <= life
}

/// When evidence stops being fresh.
pub(super) fn stale_at(evidence: &Evidence, life: SignedDuration) -> Timestamp {
    after(evidence.observed_at.0, life)
}

/// Whether the cluster is where the stage leads. For a Kubernetes minor the observed control plane has to agree: it is in
/// the same status as the evidence, so the two were read together.
pub(super) fn has_arrived(
    scene: &Scene<'_>,
    member: &Member<'_>,
    evidence: &Evidence,
    stage: MoveStage,
) -> bool {
    let at_version = match (scene.target, stage) {
        (Target::Kubernetes(target), MoveStage::Go) => Some(target),
        (Target::Kubernetes(_), MoveStage::Back) => Some(member.spec().from),
        _ => None,
    };
    let seen = member.cluster().and_then(|cluster| cluster.versions.control_plane);
    let agrees = at_version.is_none() || seen == at_version || scene.twist.is(Mutant::BelievesArrival);
    evidence.arrived && agrees
}

/// When the member was last heard of in its present stage: by its last evidence, or else when the stage began.
pub(super) fn last_heard(
    scene: &Scene<'_>,
    status: &RolloutMemberStatus,
    evidence: Option<&Evidence>,
) -> Timestamp {
    let began = status.started_at.as_ref().map_or(scene.now, |began| scene.not_ahead(began));
    evidence.map_or(began, |evidence| evidence.observed_at.0)
}
