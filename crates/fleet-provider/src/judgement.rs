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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use fleet_api::eks::{EksAddon, PartStatus};
    use jiff::Timestamp;

    use super::*;

    fn target() -> ClusterTarget {
        ClusterTarget {
            owner_uid: "uid".to_owned(),
            tenant: "acme".to_owned(),
            cluster_name: "acme-1".to_owned(),
            account: "111122223333".to_owned(),
            region: "eu-central-1".to_owned(),
            role_arn: "role".to_owned(),
            external_id: "x".to_owned(),
        }
    }

    fn cluster(owner: &str) -> Seen<EksCluster> {
        let json = serde_json::json!({
            "name": "acme-1", "arn": "arn", "status": "Active", "version": "1.35", "roleArn": "role",
            "subnetIds": [], "securityGroupIds": [], "endpointPublic": false, "endpointPrivate": true,
            "publicCidrs": [], "logging": [], "deletionProtection": false,
            "tags": {(labels::TAG_OWNER): owner}, "health": [],
        });
        Seen::Present(serde_json::from_value(json).unwrap())
    }

    fn addon() -> EksAddon {
        EksAddon {
            name: "vpc-cni".to_owned(),
            status: PartStatus::Active,
            version: "v1".to_owned(),
            configuration: None,
            role_arn: None,
            tags: BTreeMap::new(),
            health: Vec::new(),
        }
    }

    fn verdict(
        action: EksAction,
        expects: Expectation,
        cluster: Seen<EksCluster>,
        addons: Seen<Vec<EksAddon>>,
    ) -> Result<Judgement, ErrorClass> {
        let seen = EksObservation { cluster, addons, ..EksObservation::nothing_seen(Timestamp::UNIX_EPOCH) };
        let step = Step {
            id: String::new(),
            summary: String::new(),
            action: fleet_api::step::Action::Eks(action.clone()),
            expects,
            token: String::new(),
            disruptive: false,
            expected_minutes: 1,
            attempt: 1,
        };
        judge(&step, &action, &seen, &target()).map_err(|error| error.class)
    }

    fn delete_addon() -> EksAction {
        EksAction::DeleteAddon { name: "vpc-cni".to_owned() }
    }

    fn as_seen() -> Expectation {
        let addons = Seen::Present(vec![addon()]);
        let seen = EksObservation { addons, ..EksObservation::nothing_seen(Timestamp::UNIX_EPOCH) };
        let part = Part::Addon("vpc-cni".to_owned());
        let Seen::Present(fingerprint) = seen.part_fingerprint(&part) else { panic!("no fingerprint") };
        Expectation::Part { part: part.to_string(), fingerprint }
    }

    #[test]
    fn a_step_goes_ahead_only_in_the_world_it_expects() {
        let present = || Seen::Present(vec![addon()]);
        let none = || Seen::Present(Vec::new());
        let changed = || Seen::Present(vec![EksAddon { version: "v2".to_owned(), ..addon() }]);
        let part_absent = || Expectation::PartAbsent { part: "addon vpc-cni".to_owned() };
        for (expects, cluster, addons, judged) in [
            (as_seen(), cluster("uid"), present(), Ok(Judgement::GoAhead)),
            (as_seen(), cluster("uid"), changed(), Err(ErrorClass::WorldMoved)),
            (as_seen(), cluster("uid"), none(), Ok(Judgement::AlreadyDone)),
            (as_seen(), cluster("other"), present(), Err(ErrorClass::NotOurs)),
            (as_seen(), Seen::Absent, Seen::not_looked_at(), Ok(Judgement::AlreadyDone)),
            (as_seen(), Seen::not_looked_at(), present(), Err(ErrorClass::Unknown)),
            (as_seen(), cluster("uid"), Seen::not_looked_at(), Err(ErrorClass::Unknown)),
            (part_absent(), cluster("uid"), present(), Err(ErrorClass::WorldMoved)),
            (Expectation::ClusterAbsent, cluster("uid"), present(), Err(ErrorClass::WorldMoved)),
            (Expectation::Nothing, cluster("uid"), present(), Ok(Judgement::GoAhead)),
        ] {
            let told = format!("{expects:?} {cluster:?} {addons:?}");
            assert_eq!(verdict(delete_addon(), expects, cluster, addons), judged, "{told}");
        }
    }

    #[test]
    fn a_change_in_a_cluster_that_is_gone_asks_for_a_new_plan() {
        let change =
            EksAction::DisassociateAccessPolicy { principal_arn: "a".to_owned(), policy_arn: "p".to_owned() };
        let gone = verdict(change, Expectation::Nothing, Seen::Absent, Seen::not_looked_at());
        assert_eq!(gone, Ok(Judgement::AlreadyDone));
        let tag = EksAction::TagCluster { arn: "arn".to_owned(), tags: BTreeMap::new() };
        let gone = verdict(tag, Expectation::Nothing, Seen::Absent, Seen::not_looked_at());
        assert_eq!(gone, Err(ErrorClass::WorldMoved));
    }

    #[test]
    fn launch_templates_are_read_without_their_cluster() {
        let delete = EksAction::DeleteLaunchTemplate { id: "lt-1".to_owned(), name: "workers".to_owned() };
        let part = Part::LaunchTemplate("workers".to_owned());
        assert_eq!(reads_for(&delete, &Expectation::Nothing), (false, Some(part)));
        assert_eq!(reads_for(&delete_addon(), &as_seen()), (true, Some(Part::Addon("vpc-cni".to_owned()))));
        assert_eq!(reads_for(&EksAction::DeleteCluster, &Expectation::Nothing), (true, None));
    }
}
