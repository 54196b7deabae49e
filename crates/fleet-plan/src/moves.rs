//! What a rollout's [`Move`] makes of a cluster's spec.
//!
//! The move stands beside what was composed, because another loop writes it. Whoever acts on a spec reads it through
//! [`effective`], so that a move holds from the moment at which it is stored, and not only once the tenant has been
//! composed again.

use fleet_api::{
    KubernetesVersion,
    v1alpha1::{AddonChoice, Move, MoveStage, Moved, TenantCluster, TenantClusterSpec},
};

/// The spec as it is to be acted upon: with what the rollout wants in place of what was composed.
///
/// A move that only looks ([`MoveStage::Prepare`]) changes nothing. One that goes never lowers the version, and one
/// that goes back never raises it.
pub fn effective(spec: &TenantClusterSpec) -> TenantClusterSpec {
    let mut effective = spec.clone();
    let Some(wanted) = acting(spec) else { return effective };
    effective.version = version_under(spec.version, Some(wanted));
    if let Some(baseline) = &wanted.baseline {
        effective.hardening.baseline.clone_from(baseline);
    }
    if let Some(eks) = &mut effective.eks {
        put_addons(&mut eks.addons, &wanted.addons);
    }
    effective
}

/// The move of a spec, unless it only looks.
fn acting(spec: &TenantClusterSpec) -> Option<&Move> {
    spec.rollout.as_ref().filter(|wanted| wanted.stage != MoveStage::Prepare)
}

/// The version under a move: a move that goes raises it, and one that goes back lowers it.
pub(crate) fn version_under(version: KubernetesVersion, wanted: Option<&Move>) -> KubernetesVersion {
    let Some((wanted, target)) = wanted.and_then(|wanted| Some((wanted, wanted.version?))) else {
        return version;
    };
    match wanted.stage {
        MoveStage::Prepare => version,
        MoveStage::Go => version.max(target),
        MoveStage::Back => version.min(target),
    }
}

/// What rollouts have moved a cluster to so far, the present one included.
pub(crate) fn moved(existing: Option<&TenantClusterSpec>) -> Moved {
    let Some(existing) = existing else { return Moved::default() };
    let mut moved = existing.moved.clone().unwrap_or_default();
    if let Some(wanted) = acting(existing) {
        if wanted.baseline.is_some() {
            moved.baseline.clone_from(&wanted.baseline);
        }
        put_addons(&mut moved.addons, &wanted.addons);
    }
    moved
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
    let evidence = cluster.status.as_ref().and_then(|status| status.evidence.as_ref());
    let was_back = evidence.is_some_and(|evidence| {
        evidence.move_id == wanted.id && evidence.stage == MoveStage::Back && evidence.arrived
    });
    (!was_back).then_some(target)
}

/// Until when the nodes of a cluster stay where they are, by a rollout; `None` when they move with it.
pub(crate) fn nodes_held(cluster: &TenantCluster, now: jiff::Timestamp) -> Option<jiff::Timestamp> {
    let wanted = acting(&cluster.spec).filter(|wanted| wanted.stage == MoveStage::Go)?;
    wanted.version?;
    wanted.hold_nodes_until.as_ref().map(|until| until.0).filter(|until| now < *until)
}

/// The move of which a cluster is to be looked at for what would stand in its way.
pub fn to_prepare(spec: &TenantClusterSpec) -> Option<&Move> {
    spec.rollout.as_ref().filter(|wanted| wanted.stage == MoveStage::Prepare)
}
