//! The way back to the minor before: nodes first, then add-ons, the control plane last, while EKS still allows it.

use fleet_api::{
    KubernetesVersion,
    eks::{EksAction, EksCluster, EksInsight, PartStatus, SupportStatus, durations},
    step::{Expectation, Seen},
    v1alpha1::{ReportEntry, SupportType},
};
use jiff::{SignedDuration, Timestamp};

use super::{
    addons,
    draft::{Draft, Proposal, Topic, eks, rounded},
    insight, version,
};
use crate::{
    moves,
    report::{Code, Who, entry, entry_with_hint},
};

/// For how long after the end of an upgrade EKS rolls it back (user guide, version rollback).
const ROLLBACK_TIME: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The id of the step that has EKS look again.
const REFRESH: &str = "insights/refresh";
/// How old an insight may be that keeps a control plane from going back: nodes and add-ons have gone back since it was
/// found, and by itself EKS looks once a day.
pub(super) const FRESH_INSIGHT: SignedDuration = SignedDuration::from_mins(10);

/// Which way the versions of a cluster go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heading {
    /// To what the spec wants.
    Forward,
    /// Back to this minor.
    Back(KubernetesVersion),
    /// Nowhere: they are to go back, and cannot. Nothing is moved either way until somebody has decided.
    Stay,
}

/// The last moment at which a rollback can begin of an upgrade that ended at a moment.
pub(super) fn rollback_until(upgraded_at: Timestamp) -> Timestamp {
    upgraded_at.checked_add(ROLLBACK_TIME).unwrap_or(Timestamp::MAX)
}

/// Which way the versions go. A way back that EKS would refuse is not begun, because nodes that have gone back ahead of
/// a control plane that cannot follow are of no use.
pub(super) fn heading(draft: &mut Draft<'_>, present: &EksCluster) -> Heading {
    let have = present.version;
    let Some(target) = moves::back_to(draft.cluster, have) else { return Heading::Forward };
    let Some(why) = impossible(draft, present, target) else { return Heading::Back(target) };
    draft.block(
        Topic::VERSION,
        entry_with_hint(
            Code::RollbackImpossible,
            Who::Operator,
            format!("the cluster cannot go back from {have} to {target}: {why}"),
            "mend the cluster at its present minor, and take its member out of the rollout",
        ),
    );
    Heading::Stay
}

/// Why EKS would not roll a control plane back, of what does not change by waiting.
fn impossible(draft: &Draft<'_>, present: &EksCluster, target: KubernetesVersion) -> Option<String> {
    let have = present.version;
    if have.ahead_of(target) != 1 {
        return Some("EKS goes back by one minor".to_owned());
    }
    match draft.versions.created_at {
        Some(made_at) if made_at <= target => {}
        Some(made_at) => return Some(format!("it was made at {made_at}")),
        None => return Some("at which minor it was made is not known".to_owned()),
    }
    let Some(upgraded_at) = draft.versions.upgrade_completed_at.as_ref().map(|at| at.0) else {
        return Some("nobody saw when it was upgraded".to_owned());
    };
    let until = rollback_until(upgraded_at);
    if draft.now > until {
        return Some(format!("that was possible until {}, 7 days after the upgrade", rounded(until)));
    }
    let offer = draft.seen.versions.iter().find(|offer| offer.version == target);
    match offer.map(|offer| offer.status) {
        Some(SupportStatus::Unsupported) => Some(format!("{target} is no longer supported")),
        Some(SupportStatus::Extended) if present.support_type != Some(SupportType::Extended) => {
            Some(format!("{target} is in extended support, and the class's `supportType` is not `EXTENDED`"))
        }
        // What could not be read is EKS's own to refuse.
        _ => None,
    }
}

/// Plans the control plane's step, once nodes and add-ons are back.
pub(super) fn plan(draft: &mut Draft<'_>, present: &EksCluster, target: KubernetesVersion) {
    draft.focus.readiness = true;
    if version::awaiting_read(draft) || !parts_are_back(draft, target) || !insights_allow(draft, target) {
        return;
    }
    let have = present.version;
    draft.propose(Proposal {
        id: version::UPDATE.to_owned(),
        summary: format!("Roll the control plane back from {have} to {target}"),
        action: eks(EksAction::UpdateVersion { from: have, to: target }),
        expects: Expectation::Cluster { status: present.status.clone(), version: have },
        disruptive: true,
        minutes: durations::CONTROL_PLANE_UPDATE,
        topics: Topic::VERSION,
    });
}

/// True when every node group is at the minor before, or older, and nothing is at work on one.
pub(super) fn nodes_are_back(draft: &Draft<'_>, target: KubernetesVersion) -> bool {
    match &draft.seen.nodegroups {
        Seen::Present(groups) => groups.iter().all(|group| {
            group.version.is_some_and(|version| version <= target)
                && !matches!(group.status, PartStatus::Creating | PartStatus::Updating | PartStatus::Deleting)
        }),
        Seen::Absent => true,
        Seen::Unknown { .. } => false,
    }
}

/// True when nothing but the control plane has to go back any more. The cluster need not be well: that may be why it
/// goes back.
fn parts_are_back(draft: &mut Draft<'_>, target: KubernetesVersion) -> bool {
    let mut waiting = Vec::new();
    if !nodes_are_back(draft, target) {
        waiting.push("the node groups".to_owned());
    }
    waiting.extend(addons::ahead_of(draft.seen, target).into_iter().map(|name| format!("add-on {name}")));
    let at_work = |status: &PartStatus| {
        matches!(status, PartStatus::Creating | PartStatus::Updating | PartStatus::Deleting)
    };
    let moving = draft.seen.addons.present().into_iter().flatten().filter(|addon| at_work(&addon.status));
    waiting.extend(moving.map(|addon| format!("add-on {}", addon.name)));
    if draft.seen.addons.present().is_none() {
        waiting.push("a look at the add-ons".to_owned());
    }
    if draft.has_update() {
        waiting.push("the update that begins now".to_owned());
    }
    waiting.dedup();
    if waiting.is_empty() {
        return true;
    }
    draft.wait(
        Topic::VERSION,
        entry(
            Code::PartsUnsettled,
            Who::Nobody,
            format!("the control plane goes back to {target} after {}", waiting.join(", ")),
        ),
    );
    false
}

/// EKS refuses a rollback while an insight about it is at ERROR or UNKNOWN; `force` would skip that, and is never used.
fn insights_allow(draft: &mut Draft<'_>, target: KubernetesVersion) -> bool {
    let insights = match &draft.seen.insights {
        Seen::Present(insights) => insights.as_slice(),
        Seen::Absent => &[],
        Seen::Unknown { why } => {
            let message = format!("the rollback insights could not be read: {why}");
            draft.unknown(Topic::VERSION, entry(Code::ReadinessUnknown, Who::Nobody, message));
            return false;
        }
    };
    let about = |insight: &&EksInsight| {
        insight.category == "ROLLBACK_READINESS"
            && insight.kubernetes_version.is_none_or(|version| version == target)
    };
    let in_the_way: Vec<&EksInsight> = insights
        .iter()
        .filter(about)
        .filter(|insight| !matches!(insight.status.as_str(), "PASSING" | "WARNING"))
        .collect();
    let is_old = |insight: &&&EksInsight| {
        insight.refreshed_at.is_none_or(|at| at.duration_until(draft.now) > FRESH_INSIGHT)
    };
    if let Some(old) = in_the_way.iter().find(is_old) {
        let message =
            format!("EKS insight `{}` is {}, from before nodes and add-ons went back", old.name, old.status);
        look_again(draft, entry(Code::RollbackInsight, Who::Cloud, message), "the rollback");
        return false;
    }
    for insight in &in_the_way {
        let told = format!("{} ({})", insight::told(insight), insight.status);
        let hint = "put right what the insight names; EKS does not roll back before it passes";
        draft.block(Topic::VERSION, entry_with_hint(Code::RollbackInsight, Who::Operator, told, hint));
    }
    in_the_way.is_empty()
}

/// Has EKS look again at what stands in the way of something, unless it was asked a moment ago.
pub(super) fn look_again(draft: &mut Draft<'_>, waits: ReportEntry, of: &str) {
    let asked = draft.stored_step().is_some_and(|step| {
        step.id == REFRESH && step.started_at.0.duration_until(draft.now) < FRESH_INSIGHT
    });
    draft.wait(Topic::VERSION, waits);
    if asked {
        return;
    }
    draft.propose(Proposal {
        id: REFRESH.to_owned(),
        summary: format!("Have EKS look again at what stands in the way of {of}"),
        action: eks(EksAction::RefreshInsights),
        expects: Expectation::Nothing,
        disruptive: false,
        minutes: 1,
        topics: Topic::VERSION,
    });
}
