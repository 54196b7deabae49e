//! The stored step: the record of an intent, kept until what it was to bring about has been seen, and no longer.

use fleet_api::{
    eks::{EksClusterStatus, EksObservation, EksUpdateStatus, Part, PartStatus},
    step::Seen,
    v1alpha1::StepStatus,
};

use super::{create, delete, draft::Draft, flight, version};

/// What a step does to a part, by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Make,
    Change,
    Take,
}

/// The stored step, as long as it is not known to have ended.
pub(super) fn still_open(draft: &Draft<'_>) -> Option<StepStatus> {
    let step = draft.stored_step().filter(|_| !draft.deleted)?;
    let ended = match &step.update_id {
        Some(id) => update_ended(draft.seen, id) && !not_shown_yet(draft, step),
        None => effect_seen(draft, step),
    };
    (!ended).then(|| step.clone())
}

/// True when an update is known to have ended. Whatever could not be read has not ended.
fn update_ended(seen: &EksObservation, id: &str) -> bool {
    let cluster_goes = match &seen.cluster {
        Seen::Present(cluster) => cluster.status == EksClusterStatus::Deleting,
        Seen::Absent => true,
        Seen::Unknown { .. } => return false,
    };
    cluster_goes
        || match &seen.update {
            Seen::Present(update) => {
                update.id == id
                    && !matches!(update.status, EksUpdateStatus::InProgress | EksUpdateStatus::Other(_))
            }
            // The cloud knows no update of this id.
            Seen::Absent => true,
            Seen::Unknown { .. } => false,
        }
}

/// True for an update that was accepted a moment ago, and that a look did not find.
fn not_shown_yet(draft: &Draft<'_>, step: &StepStatus) -> bool {
    let there = draft.seen.cluster.present().is_some_and(|one| one.status != EksClusterStatus::Deleting);
    there && draft.seen.update == Seen::Absent && flight::is_young(step, draft.now)
}

/// True when what a step was to bring about was seen, and is not in motion any more.
///
/// A change leaves nothing behind that its id could be compared with. Its effect counts as seen when everything was
/// planned and nobody wants the same change again.
fn effect_seen(draft: &Draft<'_>, step: &StepStatus) -> bool {
    let seen = draft.seen;
    let cluster = match &seen.cluster {
        Seen::Present(cluster) => cluster,
        Seen::Absent => return ended_with_the_cluster(seen, &step.id),
        Seen::Unknown { .. } => return false,
    };
    let wanted_again = !draft.planned_through || draft.proposed(&step.id);
    match step.id.as_str() {
        create::CREATE => !matches!(cluster.status, EksClusterStatus::Pending | EksClusterStatus::Creating),
        create::DELETE_FAILED | delete::DELETE => false,
        delete::DRAIN => draft
            .deletion
            .as_ref()
            .is_none_or(|deletion| deletion.drain.finished_at.is_some() || deletion.drain.skipped.is_some()),
        version::UPDATE => {
            let (want, _) = version::wanted(draft.cluster, cluster.version);
            !wanted_again && (want <= cluster.version || version::moved_since(draft, step))
        }
        id if id.starts_with("config/") => cluster.status != EksClusterStatus::Updating && !wanted_again,
        id => part_and_deed(id).is_some_and(|(part, deed)| match (deed, seen.part_fingerprint(&part)) {
            (_, Seen::Unknown { .. }) | (Deed::Make, Seen::Absent) | (Deed::Take, Seen::Present(_)) => false,
            (Deed::Make, Seen::Present(_)) => !in_motion(seen, &part),
            (Deed::Change, Seen::Present(_)) => !in_motion(seen, &part) && !wanted_again,
            (Deed::Change | Deed::Take, Seen::Absent) => true,
        }),
    }
}

/// True for a step that has nothing left to do when there is no cluster. Launch templates outlive it.
fn ended_with_the_cluster(seen: &EksObservation, id: &str) -> bool {
    match part_and_deed(id) {
        Some((part @ Part::LaunchTemplate(_), Deed::Take)) => seen.part_fingerprint(&part) == Seen::Absent,
        _ => id != create::CREATE,
    }
}

/// True while the cloud is at work on a part.
fn in_motion(seen: &EksObservation, part: &Part) -> bool {
    let status = match part {
        Part::Nodegroup(name) => {
            let groups = seen.nodegroups.present();
            groups.and_then(|all| all.iter().find(|one| one.name == *name)).map(|one| &one.status)
        }
        Part::Addon(name) => {
            let addons = seen.addons.present();
            addons.and_then(|all| all.iter().find(|one| one.name == *name)).map(|one| &one.status)
        }
        Part::Cluster | Part::AccessEntry(_) | Part::PodIdentity { .. } | Part::LaunchTemplate(_) => None,
    };
    matches!(status, Some(PartStatus::Creating | PartStatus::Updating | PartStatus::Deleting))
}

/// The part that a step is about, and what it does to it: `KIND/NAME/DEED`, where a name may have slashes of its own
/// and the policy of an access entry follows its deed.
fn part_and_deed(id: &str) -> Option<(Part, Deed)> {
    let (kind, rest) = id.split_once('/')?;
    let (name, deed) = rest.rsplit_once('/')?;
    let policy_of = name.strip_suffix("/associate").or_else(|| name.strip_suffix("/disassociate"));
    let (name, deed) = match (policy_of, deed) {
        (Some(name), _) => (name, Deed::Change),
        (None, "create") => (name, Deed::Make),
        (None, "delete") => (name, Deed::Take),
        (None, _) => (name, Deed::Change),
    };
    Some((format!("{kind} {name}").parse().ok()?, deed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_read_back_into_its_part_and_its_deed() {
        let entry = || Part::AccessEntry("arn:aws:iam::444455556666:role/ops/acme".to_owned());
        for (id, part, deed) in [
            ("addon/coredns/create", Part::Addon("coredns".to_owned()), Deed::Make),
            ("addon/coredns/update", Part::Addon("coredns".to_owned()), Deed::Change),
            ("nodegroup/workers/delete", Part::Nodegroup("workers".to_owned()), Deed::Take),
            ("nodegroup/workers/version", Part::Nodegroup("workers".to_owned()), Deed::Change),
            (
                "launch-template/acme-workers/version",
                Part::LaunchTemplate("acme-workers".to_owned()),
                Deed::Change,
            ),
            ("access-entry/arn:aws:iam::444455556666:role/ops/acme/create", entry(), Deed::Make),
            ("access-entry/arn:aws:iam::444455556666:role/ops/acme/groups", entry(), Deed::Change),
            (
                "access-entry/arn:aws:iam::444455556666:role/ops/acme/associate/AmazonEKSViewPolicy",
                entry(),
                Deed::Change,
            ),
            (
                "pod-identity/kube-system/ebs/create",
                Part::PodIdentity { namespace: "kube-system".to_owned(), service_account: "ebs".to_owned() },
                Deed::Make,
            ),
        ] {
            assert_eq!(part_and_deed(id), Some((part, deed)), "{id}");
        }
        for id in ["create-cluster", "config/logging", "volume/v/delete"] {
            assert_eq!(part_and_deed(id), None, "{id}");
        }
    }
}
