//! Nodes that have not followed the control plane of a member yet: they are held back, or they cannot follow.

use fleet_api::{
    KubernetesVersion,
    v1alpha1::{ComponentVersion, MoveStage, ReportEntry, TenantCluster},
};
use jiff::Timestamp;
use serde::Serialize;

use super::moment;

/// The nodes of a member that are behind its control plane.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodesBehind {
    pub(crate) groups: Vec<ComponentVersion>,
    /// Until when the rollout holds them back, so that the control plane can still go back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) held_until: Option<Timestamp>,
    /// Why they do not follow, when somebody has to act.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) needs: Option<ReportEntry>,
}

impl NodesBehind {
    /// The nodes that a rollout's move has left behind: `None` while the control plane is not there itself, and while the
    /// hold has no end yet, because the rest has not `arrived` from which it is counted.
    pub(super) fn of(
        cluster: &TenantCluster,
        rollout_uid: &str,
        arrived: bool,
        now: Timestamp,
    ) -> Option<Self> {
        let wanted = cluster.spec.rollout.as_ref()?;
        let version = wanted.version.filter(|_| wanted.stage == MoveStage::Go)?;
        let status = cluster.status.as_ref()?;
        if wanted.rollout_uid != rollout_uid || status.versions.control_plane != Some(version) {
            return None;
        }
        let is_behind = |group: &&ComponentVersion| {
            group.version.parse::<KubernetesVersion>().map_or(true, |at| at < version)
        };
        let groups: Vec<_> = status.versions.nodes.iter().filter(is_behind).cloned().collect();
        let held_until = wanted.hold_nodes_until.as_ref().map(|until| until.0).filter(|until| now < *until);
        if held_until.is_some() && !arrived {
            return None;
        }
        let needs = status.report.iter().find(|entry| entry.hint.is_some() && held_until.is_none()).cloned();
        (!groups.is_empty()).then_some(Self { groups, held_until, needs })
    }

    /// In a few words, for people.
    pub(super) fn text(&self) -> String {
        let groups: Vec<String> =
            self.groups.iter().map(|group| format!("{} at {}", group.name, group.version)).collect();
        let groups = groups.join(", ");
        match (&self.held_until, &self.needs) {
            (Some(until), _) => format!("nodes held until {}: {groups}", moment(*until)),
            (None, Some(_)) => format!("nodes cannot follow: {groups}"),
            (None, None) => format!("nodes follow: {groups}"),
        }
    }
}
