//! What a rollout's [`Move`] makes of a cluster's spec.
//!
//! The move stands beside what was composed, because another loop writes it. Whoever acts on a spec reads it through
//! [`effective`], so that a move holds from the moment at which it is stored, and not only once the tenant has been
//! composed again.

use fleet_api::{
    KubernetesVersion, labels,
    v1alpha1::{AddonChoice, Move, MoveStage, Moved, TenantCluster, TenantClusterSpec},
};

/// The spec as it is to be acted upon: with what the rollout wants in place of what was composed.
///
/// A move that only looks ([`MoveStage::Prepare`]) and one that is over change nothing. One that goes never lowers the
/// version, and one that goes back never raises it.
pub fn effective(spec: &TenantClusterSpec) -> TenantClusterSpec {
    let mut effective = spec.clone();
    let Some(wanted) = acting(spec) else { return effective };
    effective.version = wanted_version(spec);
    if let Some(baseline) = &wanted.baseline {
        effective.hardening.baseline.clone_from(baseline);
    }
    if let Some(eks) = &mut effective.eks {
        put_addons(&mut eks.addons, &wanted.addons);
    }
    effective
}

/// The move of a spec, unless it only looks or is over.
fn acting(spec: &TenantClusterSpec) -> Option<&Move> {
    spec.rollout.as_ref().filter(|wanted| wanted.stage != MoveStage::Prepare && !wanted.over)
}

/// The minor that a cluster is to be at: the composed one, or what a rollout makes of it.
pub fn wanted_version(spec: &TenantClusterSpec) -> KubernetesVersion {
    version_under(spec.version, acting(spec))
}

/// The attempt of a rollout that a cluster acts upon: the move's id and stage. What failed under one attempt says
/// nothing about another one.
pub(crate) fn attempt(spec: &TenantClusterSpec) -> Option<String> {
    acting(spec).map(|wanted| format!("{} {:?}", wanted.id, wanted.stage))
}

/// A move of which nothing further begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Halted<'a> {
    /// What the cluster's own loop found to be in the way, when it was that.
    pub(crate) stuck: Option<&'a str>,
}

/// Whether nothing further of a cluster's move begins: its member has failed, or is about to, because what was seen of
/// the cluster says that it is stuck. What was seen once holds for the whole attempt, or a cluster whose obstacle
/// vanishes would move on beside its wave, which does not count it any more.
///
/// An operator who does not want to try the member again can let the cluster go on by the annotation of [`release`].
pub(crate) fn halted(cluster: &TenantCluster) -> Option<Halted<'_>> {
    let wanted =
        acting(&cluster.spec).filter(|wanted| wanted.version.is_some() || !wanted.addons.is_empty())?;
    let annotations = cluster.metadata.annotations.as_ref();
    let told =
        annotations.and_then(|all| all.get(labels::RETRY)).and_then(|told| told.strip_prefix(&wanted.id));
    if told.is_some_and(|rest| rest.starts_with('-')) {
        return None;
    }
    let evidence = cluster.status.as_ref().and_then(|status| status.evidence.as_ref());
    let stuck = evidence
        .filter(|evidence| evidence.move_id == wanted.id && evidence.stage == wanted.stage)
        .and_then(|evidence| evidence.stuck.as_deref());
    (wanted.halted || stuck.is_some()).then_some(Halted { stuck })
}

/// How a member of a rollout is tried again; `None` when no rollout moves the cluster.
pub(crate) fn retry(cluster: &TenantCluster) -> Option<String> {
    let wanted = acting(&cluster.spec)?;
    Some(format!("`fleet rollout retry {} --rollout {}`", cluster.spec.tenant, wanted.rollout))
}

/// What lets a cluster go on that its rollout has given up.
pub(crate) fn release(cluster: &TenantCluster) -> Option<String> {
    let wanted = acting(&cluster.spec)?;
    let name = cluster.metadata.name.as_deref().unwrap_or_default();
    Some(format!(
        "`kubectl annotate --overwrite tenantcluster {name} {}={}-$(date +%s)`",
        labels::RETRY,
        wanted.id
    ))
}

/// The version under a move: a move that goes raises it, and one that goes back lowers it.
fn version_under(version: KubernetesVersion, wanted: Option<&Move>) -> KubernetesVersion {
    let Some((wanted, target)) = wanted.and_then(|wanted| Some((wanted, wanted.version?))) else {
        return version;
    };
    match wanted.stage {
        MoveStage::Prepare => version,
        MoveStage::Go => version.max(target),
        MoveStage::Back => version.min(target),
    }
}

/// The minor to which rollouts have brought a cluster: the composed one, until the control plane is seen where a move
/// wants it.
///
/// Only what was seen counts. A wish that was kept would move the cluster after its member was skipped, or while it is
/// looked at for another attempt, beside its wave and its caps. What an update that outlived its attempt brought about
/// counts under the next attempt as well, or the cluster would be called ahead of its spec.
pub(crate) fn brought_to(cluster: &TenantCluster) -> KubernetesVersion {
    let version = cluster.spec.version;
    let have = cluster.status.as_ref().and_then(|status| status.versions.control_plane);
    let wanted = cluster.spec.rollout.as_ref();
    let Some((have, wanted, target)) =
        have.zip(wanted).and_then(|(have, wanted)| Some((have, wanted, wanted.version?)))
    else {
        return version;
    };
    match wanted.stage {
        MoveStage::Prepare | MoveStage::Go if have >= target => version.max(target),
        MoveStage::Back if have <= target => version.min(target),
        MoveStage::Prepare | MoveStage::Go | MoveStage::Back => version,
    }
}

/// What rollouts have moved a cluster to so far, the present one included once it has arrived.
pub(crate) fn moved(existing: Option<&TenantCluster>) -> Moved {
    let Some(existing) = existing else { return Moved::default() };
    let mut moved = existing.spec.moved.clone().unwrap_or_default();
    moved.back_to = held_back(existing);
    let Some(wanted) = existing.spec.rollout.as_ref().filter(|_| has_arrived(existing)) else {
        return moved;
    };
    if wanted.baseline.is_some() {
        moved.baseline.clone_from(&wanted.baseline);
    }
    put_addons(&mut moved.addons, &wanted.addons);
    moved
}

/// The minor to which a rollout took a cluster back, or takes it, while it was not seen beyond.
fn held_back(cluster: &TenantCluster) -> Option<KubernetesVersion> {
    let spec = &cluster.spec;
    let target = |wanted: &Move| wanted.version.filter(|_| wanted.stage == MoveStage::Back);
    let last = spec.rollout.as_ref().and_then(target);
    let before = spec.moved.as_ref().and_then(|moved| moved.back_to);
    let have = cluster.status.as_ref().and_then(|status| status.versions.control_plane);
    let goes_back = acting(spec).and_then(target).is_some();
    last.or(before).filter(|back| goes_back || have.is_none_or(|have| have <= *back))
}

/// Whether the cluster was seen where its move wants it, nodes that are held apart: the end of their hold is not known
/// before that, only the latest one.
pub(crate) fn has_arrived(cluster: &TenantCluster) -> bool {
    let evidence = cluster.status.as_ref().and_then(|status| status.evidence.as_ref());
    let seen = cluster.spec.rollout.as_ref().zip(evidence);
    seen.is_some_and(|(wanted, seen)| seen.move_id == wanted.id && seen.stage == wanted.stage && seen.arrived)
}

/// Puts versions of add-ons over those of a list. Settings and roles that a choice leaves out stay as they are.
pub(crate) fn put_addons(addons: &mut Vec<AddonChoice>, choices: &[AddonChoice]) {
    for choice in choices {
        let AddonChoice { name, version, configuration, role_arn } = choice;
        match addons.iter_mut().find(|addon| addon.name == *name) {
            Some(addon) => {
                addon.version.clone_from(version);
                addon.configuration = configuration.clone().or(addon.configuration.take());
                addon.role_arn = role_arn.clone().or(addon.role_arn.take());
            }
            None => addons.push(choice.clone()),
        }
    }
}

/// The minor that a cluster at `have` is to go back to, by a rollout.
///
/// Once it was seen back, a cluster that is newer again was upgraded by somebody else: that is reported, and nobody
/// moves it back a second time.
pub(crate) fn back_to(cluster: &TenantCluster, have: KubernetesVersion) -> Option<KubernetesVersion> {
    let wanted = acting(&cluster.spec).filter(|wanted| wanted.stage == MoveStage::Back)?;
    let target = wanted.version.filter(|target| *target < have)?;
    (!has_arrived(cluster)).then_some(target)
}

/// Until when the nodes of a cluster stay where they are, by a rollout; `None` when they move with it.
pub(crate) fn nodes_held(cluster: &TenantCluster, now: jiff::Timestamp) -> Option<jiff::Timestamp> {
    let wanted = acting(&cluster.spec).filter(|wanted| wanted.stage == MoveStage::Go)?;
    wanted.version?;
    wanted.hold_nodes_until.as_ref().map(|until| until.0).filter(|until| now < *until)
}

/// The move of which a cluster is to be looked at for what would stand in its way.
pub fn to_prepare(spec: &TenantClusterSpec) -> Option<&Move> {
    spec.rollout.as_ref().filter(|wanted| wanted.stage == MoveStage::Prepare && !wanted.over)
}
