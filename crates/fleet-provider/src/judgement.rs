//! Compares the state that a step expects with the state that was read: pure, and the same for every provider.

use fleet_api::{
    eks::{ClusterTarget, EksAction, EksCluster, EksObservation, Part},
    labels,
    step::{Expectation, Seen, Step},
};

use crate::{ErrorClass, ProviderError};

/// What to do about a step whose expectation was compared with the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// The world is as expected.
    GoAhead,
    /// The step deletes something that is not there.
    AlreadyDone,
}

/// What a provider has to read before it may carry out a step. The rest of the observation stays unread.
///
/// Launch templates live outside the cluster, so the cluster is not read for them.
pub fn reads_for(action: &EksAction, expects: &Expectation) -> (bool, Option<Part>) {
    let part = action.part();
    let outside = matches!(part, Part::LaunchTemplate(_));
    let expected = match expects {
        Expectation::PartAbsent { part } | Expectation::Part { part, .. } => part.parse().ok(),
        Expectation::ClusterAbsent | Expectation::Cluster { .. } | Expectation::Nothing => None,
    };
    let to_read = expected.or_else(|| (action.deletes() || outside).then_some(part));
    (!outside, to_read.filter(|part| *part != Part::Cluster))
}

/// Judges a step by what was read of the cluster and of the part that [`reads_for`] names.
///
/// Errors are of the class `NotOurs` when the cluster carries another owner's tag, `WorldMoved` when the state
/// differs, and `Unknown` when what the step depends on could not be read.
pub fn judge(
    step: &Step,
    action: &EksAction,
    seen: &EksObservation,
    target: &ClusterTarget,
) -> Result<Judgement, ProviderError> {
    let fail = |class, message: String| {
        Err(ProviderError {
            class,
            operation: action.operation().to_owned(),
            cluster: target.cluster_name.clone(),
            code: None,
            message: Some(message),
            source: None,
        })
    };
    let moved = |message: String| fail(ErrorClass::WorldMoved, message);
    let (needs_cluster, part) = reads_for(action, &step.expects);
    if needs_cluster {
        match &seen.cluster {
            Seen::Present(cluster) if !is_ours(cluster, target) => {
                return fail(
                    ErrorClass::NotOurs,
                    format!(
                        "the cluster's tag {} is {}, and not {}",
                        labels::TAG_OWNER,
                        cluster.tags.get(labels::TAG_OWNER).map_or("not set", String::as_str),
                        target.owner_uid
                    ),
                );
            }
            Seen::Present(_) => {}
            Seen::Absent if action.deletes() => return Ok(Judgement::AlreadyDone),
            Seen::Absent if step.expects == Expectation::ClusterAbsent => return Ok(Judgement::GoAhead),
            Seen::Absent => return moved("the cluster is not there".to_owned()),
            Seen::Unknown { why } => {
                return fail(ErrorClass::Unknown, format!("the cluster could not be read: {why}"));
            }
        }
    }
    if action.deletes()
        && let Some(part) = &part
        && seen.part_fingerprint(part) == Seen::Absent
    {
        return Ok(Judgement::AlreadyDone);
    }
    match &step.expects {
        Expectation::Nothing => Ok(Judgement::GoAhead),
        Expectation::ClusterAbsent => moved("expected no cluster, and it is there".to_owned()),
        Expectation::Cluster { status, version } => match seen.cluster.present() {
            Some(cluster) if cluster.status == *status && cluster.version == *version => {
                Ok(Judgement::GoAhead)
            }
            Some(cluster) => moved(format!(
                "expected the cluster {status:?} at {version}, and it is {:?} at {}",
                cluster.status, cluster.version
            )),
            None => moved(format!("expected the cluster {status:?} at {version}, and it was not read")),
        },
        Expectation::PartAbsent { part } => match fingerprint(part, seen) {
            Seen::Absent => Ok(Judgement::GoAhead),
            Seen::Present(_) => moved(format!("expected no {part}, and it is there")),
            Seen::Unknown { why } => fail(ErrorClass::Unknown, format!("{part} could not be read: {why}")),
        },
        Expectation::Part { part, fingerprint: expected } => match fingerprint(part, seen) {
            Seen::Present(found) if found == *expected => Ok(Judgement::GoAhead),
            Seen::Present(found) => moved(format!("expected {part} as {expected}, and it is {found}")),
            Seen::Absent => moved(format!("expected {part}, and it is not there")),
            Seen::Unknown { why } => fail(ErrorClass::Unknown, format!("{part} could not be read: {why}")),
        },
    }
}

/// Whether the cluster carries the target's ownership tag: the only ground for adopting or deleting one.
pub fn is_ours(cluster: &EksCluster, target: &ClusterTarget) -> bool {
    cluster.tags.get(labels::TAG_OWNER) == Some(&target.owner_uid)
}

fn fingerprint(part: &str, seen: &EksObservation) -> Seen<String> {
    match part.parse::<Part>() {
        Ok(part) => seen.part_fingerprint(&part),
        Err(error) => Seen::Unknown { why: error.to_string() },
    }
}
