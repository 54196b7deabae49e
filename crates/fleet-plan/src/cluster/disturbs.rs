//! Which change a disruptive step belongs to: the minimum gap lies between changes, never inside one.

use fleet_api::{eks::EksAction, names::content_hash, step::Action};

use super::draft::Draft;
use crate::windows::Change;

/// The change that a step belongs to; `None` for one that is not counted, such as an update of an add-on: add-ons move
/// before and after the control plane, and their pods go one after the other.
pub(super) fn change_of(draft: &Draft<'_>, action: &Action) -> Option<String> {
    let Action::Eks(action) = action else { return None };
    match action {
        EksAction::UpdateVersion { from, to } if to < from => Some(format!("back to {to}")),
        EksAction::UpdateVersion { to, .. } => Some(to.to_string()),
        EksAction::UpdateNodegroupVersion { name, to, .. } if follows(draft, name, *to) => {
            Some(to.to_string())
        }
        EksAction::UpdateNodegroupVersion { .. } | EksAction::DeleteNodegroup { .. } => {
            // All node groups that one edit of the class replaces are one change.
            content_hash(&draft.cluster.spec.eks).ok().map(|hash| format!("nodes {hash}"))
        }
        _ => None,
    }
}

/// Whether a change begins with a step, or goes on.
///
/// Nodes that follow the control plane, and whatever moves back, end something that was begun; so does the next try of
/// a step, and the next node group of the same edit.
pub(super) fn part(draft: &Draft<'_>, action: &Action) -> Change {
    let Some(change) = change_of(draft, action) else { return Change::GoesOn };
    let ends = match action {
        Action::Eks(EksAction::UpdateVersion { from, to }) => to < from,
        Action::Eks(EksAction::UpdateNodegroupVersion { name, to, .. }) => follows(draft, name, *to),
        _ => false,
    };
    let same = draft.versions.last_disruption.as_ref().is_some_and(|last| last.change == change);
    if ends || same { Change::GoesOn } else { Change::Begins { last: draft.versions.last_disrupted_at() } }
}

/// True when a node group is at another minor than the one that it is to move to.
fn follows(draft: &Draft<'_>, group: &str, to: fleet_api::KubernetesVersion) -> bool {
    let groups = draft.seen.nodegroups.present();
    let group = groups.and_then(|groups| groups.iter().find(|seen| seen.name == group));
    group.is_some_and(|group| group.version.is_some_and(|version| version != to))
}
