//! The control plane's version: one minor at a time, inside a window, and only when nothing stands in the way.

use fleet_api::{
    KubernetesVersion, conditions,
    eks::{EksAction, EksCluster, EksInsight, EksUpdateStatus, PartStatus, SupportStatus, durations},
    labels,
    step::{Expectation, Seen},
    v1alpha1::{EksClass, StepStatus, TenantCluster},
};
use jiff::{SignedDuration, tz::TimeZone};

use super::{
    addons,
    draft::{Draft, Proposal, Standing, Topic, eks, rounded},
    insight, rollback,
};
use crate::{
    moves,
    report::{Code, Who, entry, entry_with_hint},
};

/// The id of the step that moves the control plane.
pub(super) const UPDATE: &str = "update-version";
/// EKS needs up to five free addresses in the cluster's subnets (user guide, "Update existing cluster").
const FREE_ADDRESSES: i64 = 5;
/// Insights are refreshed once a day; twice that old, they speak of another cluster.
pub(super) const STALE_INSIGHT: SignedDuration = SignedDuration::from_hours(48);
/// Nodes may be three minors behind the control plane (Kubernetes version skew policy, from kubelet 1.25).
const NODE_SKEW: i32 = 3;
/// How long before its end the end of standard support is spoken of, in days.
const SUPPORT_WARNING_DAYS: i64 = 60;

/// The version that the cluster should have, and whether that is an observed one that was adopted.
pub(super) fn wanted(cluster: &TenantCluster, have: KubernetesVersion) -> (KubernetesVersion, bool) {
    let spec = cluster.spec.version;
    let annotation = cluster.metadata.annotations.as_ref().and_then(|all| all.get(labels::ADOPT_VERSION));
    let adopted = have > spec && annotation.is_some_and(|text| *text == have.to_string());
    if adopted { (have, true) } else { (spec, false) }
}

/// Whether insights and subnets matter: before an upgrade, also one that a rollout only prepares, and on the way back.
pub(super) fn needs_readiness(cluster: &TenantCluster, have: KubernetesVersion) -> bool {
    let prepared = moves::to_prepare(&cluster.spec).and_then(|wanted| wanted.version);
    wanted(cluster, have).0 > have
        || prepared.is_some_and(|target| target > have)
        || moves::back_to(cluster, have).is_some()
}

/// True when the cloud offers a version; otherwise the report says why nothing happens.
pub(super) fn offered(draft: &mut Draft<'_>, version: KubernetesVersion) -> bool {
    if draft.seen.versions.is_empty() {
        draft.unknown(
            Topic::BOTH,
            entry(Code::ReadinessUnknown, Who::Nobody, "the versions that EKS offers could not be read"),
        );
        return false;
    }
    let offer = draft.seen.versions.iter().find(|offer| offer.version == version);
    if offer.is_some_and(|offer| offer.status != SupportStatus::Unsupported) {
        return true;
    }
    let on_offer = draft.seen.versions.iter().filter(|offer| offer.status != SupportStatus::Unsupported);
    let list = on_offer.map(|offer| offer.version.to_string()).collect::<Vec<_>>().join(", ");
    draft.block(
        Topic::BOTH,
        entry_with_hint(
            Code::VersionNotOffered,
            Who::Operator,
            format!("EKS does not offer {version} (it offers {list})"),
            "name a version on offer in the tenant or in its channel",
        ),
    );
    false
}

/// Reports how the observed version is supported.
pub(super) fn support(draft: &mut Draft<'_>, have: KubernetesVersion) {
    let Some(offer) = draft.seen.versions.iter().find(|offer| offer.version == have) else { return };
    let ends = |day: Option<fleet_api::text::Day>| {
        day.map_or_else(|| "a day that EKS does not name".to_owned(), |day| day.to_string())
    };
    match offer.status {
        SupportStatus::Standard => {
            let Some(end) = offer.end_of_standard else { return };
            let today = draft.now.to_zoned(TimeZone::UTC).date();
            let left = today.until(end.0).map_or(i64::MAX, |span| i64::from(span.get_days()));
            if left <= SUPPORT_WARNING_DAYS {
                draft.note(entry(
                    Code::SupportEnds,
                    Who::Operator,
                    format!("standard support of {have} ends on {end}, in {left} days"),
                ));
            }
        }
        SupportStatus::Extended => draft.note(entry(
            Code::ExtendedSupport,
            Who::Operator,
            format!("{have} is in extended support, which costs more, until {}", ends(offer.end_of_extended)),
        )),
        SupportStatus::Unsupported => draft.note(entry_with_hint(
            Code::Unsupported,
            Who::Operator,
            format!("{have} is no longer supported"),
            "move the tenant to a version on offer",
        )),
    }
}

/// Reports a cluster that runs a newer version than its spec wants. It is never moved back for that.
pub(super) fn ahead(draft: &mut Draft<'_>, have: KubernetesVersion) {
    let spec = draft.cluster.spec.version;
    if have <= spec || moves::back_to(draft.cluster, have).is_some() {
        return;
    }
    if wanted(draft.cluster, have).1 {
        draft.note(entry(
            Code::VersionAdopted,
            Who::Operator,
            format!("{have} was adopted as the wanted version; the spec still says {spec}"),
        ));
        return;
    }
    let name = draft.cluster.metadata.name.as_deref().unwrap_or_default();
    let found = entry_with_hint(
        Code::AheadOfSpec,
        Who::Operator,
        format!("the cluster runs {have} and its spec wants {spec}: somebody, or EKS itself, upgraded it"),
        format!(
            "set the tenant's version to {have}, or `kubectl annotate tenantcluster {name} {}={have}`",
            labels::ADOPT_VERSION
        ),
    );
    draft.say(Topic::VERSION, Standing::Ahead, found);
}

/// Plans the next minor of the control plane.
pub(super) fn plan(draft: &mut Draft<'_>, class: &EksClass, present: &EksCluster) {
    let have = present.version;
    let (want, _) = wanted(draft.cluster, have);
    if want <= have || awaiting_read(draft) {
        return;
    }
    let next = have.next();
    draft.focus.readiness = true;
    if !offered(draft, next) || !settled(draft) {
        return;
    }
    if !gates(draft, class, (have, next), When::Now) {
        return;
    }
    draft.propose(Proposal {
        id: UPDATE.to_owned(),
        summary: format!("Upgrade the control plane from {have} to {next}"),
        action: eks(EksAction::UpdateVersion { from: have, to: next }),
        expects: Expectation::Cluster { status: present.status.clone(), version: have },
        disruptive: true,
        minutes: durations::CONTROL_PLANE_UPDATE,
        topics: Topic::VERSION,
    });
}

/// True when the cluster was seen at a newer minor after a step had begun.
pub(super) fn moved_since(draft: &Draft<'_>, step: &StepStatus) -> bool {
    draft.versions.upgrade_completed_at.as_ref().is_some_and(|at| at.0 >= step.started_at.0)
}

/// For when the gates are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// For the step itself.
    Now,
    /// For a move that is prepared: add-ons that have to move first will have moved when the control plane's turn comes.
    Later,
}

/// True when nothing that belongs to the cluster stands in the way of its next minor; otherwise the report says what.
pub(super) fn gates(
    draft: &mut Draft<'_>,
    class: &EksClass,
    (have, next): (KubernetesVersion, KubernetesVersion),
    when: When,
) -> bool {
    let clear = [
        insights_allow(draft, class, (have, next), when),
        addresses_allow(draft),
        addons_allow(draft, class, have, next),
        nodes_allow(draft, next),
    ];
    !clear.contains(&false)
}

/// True when an upgrade ended well and the cluster still shows the minor from before it.
pub(super) fn awaiting_read(draft: &mut Draft<'_>) -> bool {
    let Some(step) = draft.stored_step().filter(|step| step.id == UPDATE) else { return false };
    let ended = draft.seen.update.present().is_some_and(|update| {
        step.update_id.as_ref() == Some(&update.id) && update.status == EksUpdateStatus::Successful
    });
    let before = draft.cluster.status.as_ref().and_then(|status| status.versions.control_plane);
    // The cluster may have shown the new minor before the update said that it had ended.
    if !ended || before != draft.versions.control_plane || moved_since(draft, step) {
        return false;
    }
    draft.in_flight = Some(step.clone());
    draft.wait(
        Topic::VERSION,
        entry(
            Code::WaitingForRead,
            Who::Cloud,
            "the upgrade ended well, and EKS does not show the new version yet",
        ),
    );
    true
}

/// True when nothing else of the cluster is in motion and its hardening is proven.
fn settled(draft: &mut Draft<'_>) -> bool {
    let mut moving = Vec::new();
    let groups = draft.seen.nodegroups.present().into_iter().flatten();
    moving
        .extend(groups.filter(|g| g.status != PartStatus::Active).map(|g| format!("node group {}", g.name)));
    let all = draft.seen.addons.present().into_iter().flatten();
    moving.extend(all.filter(|a| a.status != PartStatus::Active).map(|a| format!("add-on {}", a.name)));
    if draft.has_update() || !draft.holds(Topic::Shape) {
        moving.push("what is reported beside this".to_owned());
    }
    let status = draft.cluster.status.as_ref();
    let proven = status.and_then(|s| conditions::get(&s.conditions, conditions::PROVEN));
    // A baseline of which nothing is known is not proven.
    if proven.is_none_or(|condition| condition.status != "True") {
        moving.push("the proof of the baseline".to_owned());
    }
    if moving.is_empty() {
        return true;
    }
    draft.wait(
        Topic::VERSION,
        entry(Code::PartsUnsettled, Who::Nobody, format!("the upgrade waits for {}", moving.join(", "))),
    );
    false
}

/// Our own gate on the insights of EKS, which does not enforce them reliably.
///
/// What EKS finds of add-ons is nobody's to mend where the plan moves them first by itself.
fn insights_allow(
    draft: &mut Draft<'_>,
    class: &EksClass,
    (have, next): (KubernetesVersion, KubernetesVersion),
    when: When,
) -> bool {
    let moving_first = addons::moving_first(draft.seen, class, have, next);
    let about_addons = |insight: &EksInsight| insight.name.to_lowercase().contains("add-on");
    let mended = |insight: &EksInsight| about_addons(insight) && !moving_first.is_empty();
    let fits = moving_first.is_empty() && addons::blocking(draft.seen, class, have, next).is_empty();
    let insights = match &draft.seen.insights {
        Seen::Present(insights) => insights,
        Seen::Absent => return true,
        Seen::Unknown { why } => {
            let message = format!("the upgrade insights could not be read: {why}");
            draft.unknown(Topic::VERSION, entry(Code::ReadinessUnknown, Who::Nobody, message));
            return false;
        }
    };
    let about = |insight: &&EksInsight| {
        insight.category == "UPGRADE_READINESS"
            && insight.kubernetes_version.is_none_or(|version| version == next)
    };
    let now = draft.now;
    let is_old = |insight: &EksInsight| {
        insight.refreshed_at.is_none_or(|at| at.duration_until(now) > rollback::FRESH_INSIGHT)
    };
    let mut clear = true;
    for insight in insights.iter().filter(about) {
        let stale = insight.refreshed_at.is_none_or(|at| at.duration_until(draft.now) > STALE_INSIGHT);
        match insight.status.as_str() {
            "ERROR" if mended(insight) && when == When::Later => {}
            // Every add-on fits by what EKS offers: the finding may be from before they moved.
            "ERROR" if about_addons(insight) && fits && when == When::Now && is_old(insight) => {
                clear = false;
                let message = format!("EKS insight `{}` is from before the add-ons moved", insight.name);
                let waits = entry(Code::ReadinessUnknown, Who::Cloud, message);
                rollback::look_again(draft, waits, "the upgrade");
            }
            "ERROR" => {
                clear = false;
                // Looked at in advance, nothing was given up yet.
                let retry = moves::retry(draft.cluster).filter(|_| when == When::Now);
                let (told, remedy) = (insight::told(insight), insight::remedy(insight, retry));
                draft.block(Topic::VERSION, entry_with_hint(Code::UpgradeInsight, Who::Tenant, told, remedy));
            }
            "PASSING" | "WARNING" if !stale => {}
            _ => {
                clear = false;
                let looked = insight
                    .refreshed_at
                    .map_or_else(|| "never".to_owned(), |at| format!("last at {}", rounded(at)));
                draft.wait(
                    Topic::VERSION,
                    entry(
                        Code::ReadinessUnknown,
                        Who::Cloud,
                        format!(
                            "EKS insight `{}` is {}, and EKS looked {looked}: it does not count as passed",
                            insight.name, insight.status
                        ),
                    ),
                );
            }
        }
    }
    clear
}

fn addresses_allow(draft: &mut Draft<'_>) -> bool {
    let subnets = match &draft.seen.subnets {
        Seen::Present(subnets) => subnets,
        Seen::Absent => return true,
        Seen::Unknown { why } => {
            let message = format!("the cluster's subnets could not be read: {why}");
            draft.unknown(Topic::VERSION, entry(Code::ReadinessUnknown, Who::Nobody, message));
            return false;
        }
    };
    let own = draft.seen.cluster.present().map(|cluster| cluster.subnet_ids.clone()).unwrap_or_default();
    let free: i64 = subnets.iter().filter(|s| own.contains(&s.id)).map(|s| s.free_addresses).sum();
    if free >= FREE_ADDRESSES {
        return true;
    }
    draft.block(
        Topic::VERSION,
        entry_with_hint(
            Code::FreeAddresses,
            Who::Operator,
            format!(
                "the cluster's subnets have {free} free addresses; an upgrade needs up to {FREE_ADDRESSES}"
            ),
            "free addresses in the subnets, or add a subnet to the class",
        ),
    );
    false
}

fn addons_allow(
    draft: &mut Draft<'_>,
    class: &EksClass,
    have: KubernetesVersion,
    next: KubernetesVersion,
) -> bool {
    let mut clear = true;
    for blocked in addons::blocking(draft.seen, class, have, next) {
        clear = false;
        draft.block(
            Topic::VERSION,
            entry_with_hint(
                Code::AddonBlocksUpgrade,
                Who::Operator,
                format!("add-on {blocked} has no version that runs on {have} and on {next}"),
                "unpin the add-on in the class, or take it away",
            ),
        );
    }
    clear
}

fn nodes_allow(draft: &mut Draft<'_>, next: KubernetesVersion) -> bool {
    let Some(groups) = draft.seen.nodegroups.present() else { return true };
    let old: Vec<String> = groups
        .iter()
        .filter_map(|group| group.version.map(|version| (group, version)))
        .filter(|(_, version)| next.ahead_of(*version) > NODE_SKEW)
        .map(|(group, version)| format!("{} ({version})", group.name))
        .collect();
    if old.is_empty() {
        return true;
    }
    draft.block(
        Topic::VERSION,
        entry_with_hint(
            Code::NodesBeyondSkew,
            Who::Operator,
            format!("node groups {} are too old for a control plane at {next}", old.join(", ")),
            "move the node groups first",
        ),
    );
    false
}
