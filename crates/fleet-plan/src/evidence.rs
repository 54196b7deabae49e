//! What was seen of a cluster under a move: the only thing by which a rollout judges a member.
//!
//! It is made from one look, live and of the present spec, and from the evidence before it. A look that could not see
//! the cluster makes none: the evidence grows old, and whoever reads it sees that.

use fleet_api::{
    KubernetesVersion, conditions,
    v1alpha1::{ComponentVersion, Evidence, Move, MoveStage, TenantCluster, TenantClusterStatus},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::{cluster::preflight::Preflight, moves};

/// One look at a cluster.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// The cluster with the status that this look led to, `Ready` included.
    pub cluster: &'a TenantCluster,
    /// Whether this process has seen the cloud's part and the API server's part of it by itself.
    pub live: bool,
    /// What stands in the way, for a move that is prepared.
    pub preflight: Option<&'a Preflight>,
    /// How often the cluster is looked at under a move.
    pub every: SignedDuration,
    /// When.
    pub now: Timestamp,
}

/// The evidence after a look; what stands stays when the look has nothing new to say.
///
/// - Arrived means that every part runs what the move wants, by conditions of this generation. Nodes that were held back
///   when it arrived are no part of that: the end of their hold falls into the soak, or long after it, and they follow in
///   windows of their own. When they cannot follow, that is told as what the move is stuck on.
/// - Healthy means that the cluster is Ready at a look after the one that saw it arrive: the first look may still rest on
///   what was known before the API server was another one.
/// - `healthySeconds` grows by the time since the look before, at most twice [`Look::every`], and begins again when a look
///   finds the cluster not healthy. A clock that was set, and time in which nobody looked, therefore add nothing.
pub fn evidence(look: &Look<'_>) -> Option<Evidence> {
    let status = look.cluster.status.as_ref()?;
    let before = status.evidence.as_ref();
    let Some(wanted) = look.cluster.spec.rollout.as_ref().filter(|_| look.live) else {
        return before.cloned();
    };
    let before = before.filter(|before| before.move_id == wanted.id && before.stage == wanted.stage);
    let after = match wanted.stage {
        MoveStage::Prepare => prepared(wanted, look, before)?,
        MoveStage::Go | MoveStage::Back => moved(wanted, look, status, before),
    };
    match before {
        Some(before) if !worth_writing(before, &after, look) => Some(before.clone()),
        _ => Some(after),
    }
}

/// What is known without any look: nothing.
fn blank(wanted: &Move, now: Timestamp) -> Evidence {
    Evidence {
        move_id: wanted.id.clone(),
        stage: wanted.stage,
        observed_at: Time(now),
        blockers: Vec::new(),
        looked: false,
        arrived: false,
        healthy: false,
        healthy_seconds: 0,
        stuck: None,
        message: String::new(),
    }
}

fn prepared(wanted: &Move, look: &Look<'_>, before: Option<&Evidence>) -> Option<Evidence> {
    let Some(found) = look.preflight else { return before.cloned() };
    let message = match found.blockers.as_slice() {
        [] if found.looked => "nothing stands in the way".to_owned(),
        [] => "not everything could be looked at".to_owned(),
        [first] => first.message.clone(),
        [first, rest @ ..] => format!("{}, and {} more", first.message, rest.len()),
    };
    Some(Evidence {
        blockers: found.blockers.clone(),
        looked: found.looked,
        message,
        ..blank(wanted, look.now)
    })
}

fn moved(
    wanted: &Move,
    look: &Look<'_>,
    status: &TenantClusterStatus,
    before: Option<&Evidence>,
) -> Evidence {
    let generation = look.cluster.metadata.generation;
    let holds = |type_| conditions::is_true(&status.conditions, type_, generation);
    let follow = before.is_some_and(|before| before.arrived) && nodes_follow(look.cluster, look.now);
    let lacking = lacking(wanted, look, status, follow);
    // Once it was back, a cluster that is newer again was moved by somebody else, and is not moved back again.
    let was_back = wanted.stage == MoveStage::Back && before.is_some_and(|before| before.arrived);
    let is_there = lacking.is_none();
    let healthy = is_there && before.is_some_and(|before| before.arrived) && holds(conditions::READY);
    let healthy_seconds = match before {
        Some(before) if healthy && before.healthy => {
            before.healthy_seconds.saturating_add(elapsed(before, look))
        }
        _ => 0,
    };
    let ready = conditions::get(&status.conditions, conditions::READY);
    let message = match (lacking, healthy) {
        (Some(lacking), _) => lacking,
        (None, true) => "it is there, and healthy".to_owned(),
        (None, false) => match ready.filter(|ready| ready.status != "True") {
            Some(ready) => format!("it is there, and not ready: {}", ready.message),
            None => "it is there, and looked at once more before it counts as healthy".to_owned(),
        },
    };
    Evidence {
        arrived: is_there || was_back,
        healthy,
        healthy_seconds,
        stuck: before
            .and_then(|before| before.stuck.clone())
            .or_else(|| stuck(status, generation))
            .filter(|_| !is_there || follow),
        message,
        ..blank(wanted, look.now)
    }
}

/// Seconds that count since the look before.
fn elapsed(before: &Evidence, look: &Look<'_>) -> i64 {
    let since = before.observed_at.0.duration_until(look.now);
    let most = look.every.checked_mul(2).unwrap_or(look.every);
    since.clamp(SignedDuration::ZERO, most.max(SignedDuration::ZERO)).as_secs()
}

/// The first node group that is not at the version of a move.
fn nodes_behind<'a>(wanted: &Move, status: &'a TenantClusterStatus) -> Option<&'a ComponentVersion> {
    let version = wanted.version?;
    let nodes = &mut status.versions.nodes.iter();
    nodes.find(|group| group.version.parse::<KubernetesVersion>() != Ok(version))
}

/// Whether the nodes of a cluster have yet to follow a control plane that has moved, now that nothing holds them back.
pub fn nodes_follow(cluster: &TenantCluster, now: Timestamp) -> bool {
    let wanted = cluster.spec.rollout.as_ref().filter(|wanted| wanted.stage == MoveStage::Go);
    let (Some(wanted), Some(status)) = (wanted, &cluster.status) else { return false };
    wanted.hold_nodes_until.is_some()
        && moves::nodes_held(cluster, now).is_none()
        && nodes_behind(wanted, status).is_some()
}

/// What does not run yet as the move wants it; `None` when everything does. What follows later is not waited for.
fn lacking(wanted: &Move, look: &Look<'_>, status: &TenantClusterStatus, follow: bool) -> Option<String> {
    let Move {
        rollout: _,
        rollout_uid: _,
        seq: _,
        id: _,
        stage: _,
        version,
        baseline,
        addons,
        hold_nodes_until: _,
        halted: _,
        over: _,
    } = wanted;
    let generation = look.cluster.metadata.generation;
    let why = |type_: &str| {
        let found = conditions::get(&status.conditions, type_);
        found
            .filter(|one| one.observed_generation == generation)
            .map_or_else(|| format!("{type_} is not known for the present spec"), |one| one.message.clone())
    };
    if let Some(version) = version {
        match status.versions.control_plane {
            Some(have) if have == *version => {}
            Some(have) => return Some(format!("the control plane is at {have}, on the way to {version}")),
            None => return Some("the control plane's version is not known".to_owned()),
        }
        let held = follow || moves::nodes_held(look.cluster, look.now).is_some();
        if let Some(group) = nodes_behind(wanted, status).filter(|_| !held) {
            return Some(format!("node group {} is at {}", group.name, group.version));
        }
    }
    for choice in addons {
        let have = status.versions.addons.iter().find(|addon| addon.name == choice.name);
        if have.is_none_or(|have| choice.version.as_ref().is_some_and(|version| *version != have.version)) {
            let at = have.map_or("not installed", |have| have.version.as_str());
            return Some(format!("add-on {} is at {at}", choice.name));
        }
    }
    if !follow && !conditions::is_true(&status.conditions, conditions::UP_TO_DATE, generation) {
        return Some(why(conditions::UP_TO_DATE));
    }
    let bundle = &status.baseline;
    let applied = bundle.revision.is_some() && bundle.revision == bundle.applied_revision;
    let hardened = applied && conditions::is_true(&status.conditions, conditions::HARDENED, generation);
    if baseline.is_some() && !hardened {
        return Some(why(conditions::HARDENED));
    }
    None
}

/// What keeps the versions from going on until somebody acts, with who that is. Once it was seen it holds until the cluster
/// has arrived, however it comes to that: its rollout counts it as failed, and nothing further is begun
/// ([`moves::halted`]).
fn stuck(status: &TenantClusterStatus, generation: Option<i64>) -> Option<String> {
    let blocked = [
        (conditions::UP_TO_DATE, conditions::reason::BLOCKED),
        (conditions::HARDENED, conditions::reason::REFERENCE_MISSING),
        (conditions::HARDENED, conditions::reason::INVALID_SPEC),
    ];
    blocked.iter().find_map(|(type_, reason)| {
        conditions::get(&status.conditions, type_)
            .filter(|one| {
                one.observed_generation == generation && one.status == "False" && one.reason == *reason
            })
            .map(|one| {
                let told = status.report.iter().find(|told| told.message == one.message);
                match told.and_then(|told| Some((told, told.hint.as_ref()?))) {
                    Some((told, hint)) => {
                        format!("{} (who can act: {}; what to do: {hint})", one.message, told.who)
                    }
                    None => one.message.clone(),
                }
            })
    })
}

/// Whether evidence says more than what stands. Looks that come close behind each other, because a baseline is busy, are
/// taken together: what they saw is counted with the next one.
fn worth_writing(before: &Evidence, after: &Evidence, look: &Look<'_>) -> bool {
    let as_before = Evidence {
        observed_at: before.observed_at.clone(),
        healthy_seconds: before.healthy_seconds,
        ..after.clone()
    };
    let since = before.observed_at.0.duration_until(look.now);
    as_before != *before
        || since >= look.every.checked_mul(3).map_or(look.every, |three| three / 4)
        // The clock was set back: what stands would be taken for newer than it is.
        || since.is_negative()
}
