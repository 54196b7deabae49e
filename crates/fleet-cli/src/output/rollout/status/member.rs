//! One member of a rollout: where it is, since when, and until when it can go back.

use std::collections::BTreeSet;

use fleet_api::{
    KubernetesVersion,
    v1alpha1::{
        ComponentVersion, Evidence, MemberState, MoveStage, ReportEntry, RolloutMember, TenantCluster, Wave,
    },
};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::super::{moment, nodes::NodesBehind};
use crate::{
    output::cut,
    printer::{Tone, plain, short_duration, toned},
};

/// A member.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MemberLine {
    pub(crate) tenant: String,
    pub(crate) wave: String,
    pub(crate) state: MemberState,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<Timestamp>,
    pub(crate) slot: Timestamp,
    pub(crate) attempt: i32,
    /// The minor at which it was planned, and to which it goes back.
    pub(crate) from: KubernetesVersion,
    /// The minor at which its control plane was last seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) control_plane: Option<KubernetesVersion>,
    /// Its node groups; none with Auto Mode, whose nodes follow by themselves.
    pub(crate) nodes: Vec<ComponentVersion>,
    /// How long it has been seen healthy, in seconds, and for how long it has to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) soak: Option<SoakClock>,
    /// The last moment at which it can go back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rollback_until: Option<Timestamp>,
    pub(crate) message: String,
    pub(crate) blockers: Vec<ReportEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nodes_behind: Option<NodesBehind>,
}

/// A clock that runs while a member is seen healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SoakClock {
    pub(crate) seconds: i64,
    pub(crate) of: i64,
}

/// The columns of members, those of `-o wide` included when `whole`.
pub(super) fn heading(whole: bool) -> Vec<&'static str> {
    let mut heading = vec!["tenant", "wave", "state", "since", "soak", "slot"];
    if whole {
        heading.extend(["attempt", "from", "at", "nodes", "roll back until"]);
    }
    heading.push("what");
    heading
}

impl MemberLine {
    pub(super) fn of(
        member: &RolloutMember,
        wave: Option<&Wave>,
        cluster: Option<&TenantCluster>,
        rollout_uid: &str,
        now: Timestamp,
    ) -> Self {
        let status = member.status.clone().unwrap_or_default();
        let soak = wave.and_then(|wave| wave.soak).filter(|_| status.state == MemberState::Soaking);
        let evidence = cluster.and_then(|cluster| evidence_of(cluster, rollout_uid));
        let versions = cluster.and_then(|cluster| cluster.status.as_ref()).map(|status| &status.versions);
        Self {
            tenant: member.spec.tenant.clone(),
            wave: member.spec.wave.clone(),
            state: status.state,
            since: status.since.map(|at| at.0),
            slot: member.spec.slot.0,
            attempt: status.attempt,
            from: member.spec.from,
            control_plane: versions.and_then(|versions| versions.control_plane),
            nodes: versions.map(|versions| versions.nodes.clone()).unwrap_or_default(),
            soak: soak.map(|soak| SoakClock {
                seconds: evidence.map_or(0, |evidence| evidence.healthy_seconds),
                of: soak.0 * 60,
            }),
            rollback_until: status.rollback_until.map(|at| at.0),
            message: status.message,
            blockers: status.blockers,
            nodes_behind: cluster
                .and_then(|cluster| NodesBehind::of(cluster, rollout_uid, status.arrived_at.is_some(), now)),
        }
    }

    /// Why its nodes do not follow its control plane, when somebody has to act.
    pub(super) fn needs(&self) -> Option<&ReportEntry> {
        self.nodes_behind.as_ref().and_then(|nodes| nodes.needs.as_ref())
    }

    pub(super) fn row(&self, whole: bool, now: Timestamp) -> Vec<String> {
        let tone = match self.state {
            MemberState::Succeeded | MemberState::Soaking => Tone::Good,
            MemberState::Preflight | MemberState::Upgrading | MemberState::Verifying => Tone::Busy,
            MemberState::Failed | MemberState::RollingBack | MemberState::RolledBack => Tone::Bad,
            MemberState::Pending | MemberState::Skipped => Tone::Plain,
        };
        let soak = self.soak.map(|clock| {
            let told = |seconds| short_duration(SignedDuration::from_secs(seconds));
            format!("{} of {}", told(clock.seconds), told(clock.of))
        });
        let nodes = self.nodes_behind.as_ref().map(NodesBehind::text);
        let message =
            [Some(self.message.clone()), nodes].into_iter().flatten().filter(|part| !part.is_empty());
        let message = plain(&message.collect::<Vec<_>>().join("; "));
        let mut row = vec![
            plain(&self.tenant),
            plain(&self.wave),
            toned(format!("{:?}", self.state), tone),
            self.since.map_or_else(|| "-".to_owned(), |since| short_duration(since.duration_until(now))),
            soak.unwrap_or_else(|| "-".to_owned()),
            moment(self.slot),
        ];
        if whole {
            row.push(self.attempt.to_string());
            row.push(self.from.to_string());
            row.push(self.control_plane.map_or_else(|| "-".to_owned(), |at| at.to_string()));
            row.push(self.minors_of_nodes());
            row.push(self.rollback_until.map_or_else(|| "-".to_owned(), moment));
        }
        row.push(if whole { message } else { cut(&message, 72) });
        row
    }

    /// The minors of its node groups, each once.
    fn minors_of_nodes(&self) -> String {
        let minors: BTreeSet<&str> = self.nodes.iter().map(|group| group.version.as_str()).collect();
        match (minors.is_empty(), self.control_plane) {
            (false, _) => plain(&minors.into_iter().collect::<Vec<_>>().join(", ")),
            (true, Some(_)) => "auto".to_owned(),
            (true, None) => "-".to_owned(),
        }
    }
}

/// What was seen of a cluster under the rollout's present move.
fn evidence_of<'a>(cluster: &'a TenantCluster, rollout_uid: &str) -> Option<&'a Evidence> {
    let wanted = cluster.spec.rollout.as_ref().filter(|wanted| wanted.rollout_uid == rollout_uid)?;
    let evidence = cluster.status.as_ref()?.evidence.as_ref()?;
    (evidence.move_id == wanted.id && evidence.stage == MoveStage::Go).then_some(evidence)
}
