//! Add-ons: which, in which order, at which version.
//!
//! The network and the proxy come before nodes, which are not ready without them; DNS and the rest come after, since
//! their pods need somewhere to run.

use std::{cmp::Ordering, collections::BTreeSet};

use fleet_api::{
    KubernetesVersion,
    eks::{
        AddonOffer, AddonRequest, EksAction, EksAddon, EksCluster, EksObservation, Part, PartStatus,
        durations,
    },
    step::Seen,
    v1alpha1::{AddonChoice, EksClass},
};

use super::{
    draft::{Draft, Proposal, Topic, eks},
    named, nodes,
    rollback::{self, Heading},
    version,
};
use crate::report::{Code, Who, entry, entry_with_hint};

const VPC_CNI: &str = "vpc-cni";
const COREDNS: &str = "coredns";
const KUBE_PROXY: &str = "kube-proxy";
const POD_IDENTITY_AGENT: &str = "eks-pod-identity-agent";
/// What nodes need before they can be ready.
const BEFORE_NODES: [&str; 3] = [VPC_CNI, KUBE_PROXY, POD_IDENTITY_AGENT];
/// How long the first installation of an add-on usually takes, in minutes.
const INSTALL_MINUTES: i64 = 5;

/// The names of the add-ons that a cluster of the class has.
pub(super) fn wanted_names(class: &EksClass) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = class.addons.iter().map(|choice| choice.name.clone()).collect();
    if class.auto_mode.is_none() {
        names.extend([VPC_CNI, KUBE_PROXY, COREDNS].map(str::to_owned));
        if !class.pod_identities.is_empty() {
            names.insert(POD_IDENTITY_AGENT.to_owned());
        }
    }
    names
}

/// Those of the wanted add-ons for which no version runs on both minors, so that the hop would break them.
pub(super) fn blocking(
    seen: &EksObservation,
    class: &EksClass,
    have: KubernetesVersion,
    next: KubernetesVersion,
) -> Vec<String> {
    let installed = seen.addons.present().into_iter().flatten();
    installed
        .filter(|addon| {
            let offers = offers(seen, &addon.name);
            let runs = |version: &str, minor| {
                offers.iter().any(|o| o.version == version && o.runs_on.contains(&minor))
            };
            if offers.is_empty() || follows_the_control_plane(&addon.name) || runs(&addon.version, next) {
                return false;
            }
            match pin(class, &addon.name) {
                Some(pinned) => !(runs(pinned, have) && runs(pinned, next)),
                None => !offers.iter().any(|o| o.runs_on.contains(&have) && o.runs_on.contains(&next)),
            }
        })
        .map(|addon| addon.name.clone())
        .collect()
}

/// Those of the wanted add-ons that have to move before the control plane does, to a version that runs on both minors.
pub(super) fn moving_first(
    seen: &EksObservation,
    class: &EksClass,
    have: KubernetesVersion,
    next: KubernetesVersion,
) -> Vec<String> {
    let stuck = blocking(seen, class, have, next);
    let installed = seen.addons.present().into_iter().flatten();
    installed
        .filter(|addon| {
            let offers = offers(seen, &addon.name);
            let runs = offers.iter().any(|o| o.version == addon.version && o.runs_on.contains(&next));
            !offers.is_empty()
                && !runs
                && !follows_the_control_plane(&addon.name)
                && !stuck.contains(&addon.name)
        })
        .map(|addon| addon.name.clone())
        .collect()
}

/// Those of the installed add-ons whose version EKS does not offer for an older minor, so that the control plane cannot
/// go back to it yet. One of which no version is offered at all is not known to be in the way.
pub(super) fn ahead_of(seen: &EksObservation, target: KubernetesVersion) -> Vec<String> {
    let installed = seen.addons.present().into_iter().flatten();
    installed
        .filter(|addon| {
            let offers = offers(seen, &addon.name);
            !offers.is_empty()
                && !offers.iter().any(|o| o.version == addon.version && o.runs_on.contains(&target))
        })
        .map(|addon| addon.name.clone())
        .collect()
}

/// The version of an add-on with which a control plane can go back: the one that it has, if that runs on the minor
/// before as well, else the newest that runs on both.
fn version_back(
    draft: &mut Draft<'_>,
    addon: &EksAddon,
    minor: KubernetesVersion,
    target: KubernetesVersion,
) -> Option<String> {
    let offers = offers(draft.seen, &addon.name);
    let runs = |version: &str, on| offers.iter().any(|o| o.version == version && o.runs_on.contains(&on));
    if offers.is_empty() || runs(&addon.version, target) || !rollback::nodes_are_back(draft, target) {
        return Some(addon.version.clone());
    }
    let both = offers.iter().filter(|o| o.runs_on.contains(&minor) && o.runs_on.contains(&target));
    if let Some(found) = both.map(|o| o.version.clone()).max_by(|a, b| compare(a, b)) {
        return Some(found);
    }
    draft.block(
        Topic::VERSION,
        entry_with_hint(
            Code::AddonBlocksUpgrade,
            Who::Operator,
            format!("add-on {} has no version that runs on {minor} and on {target}", addon.name),
            "take the add-on away, or roll back by hand",
        ),
    );
    None
}

/// Plans the add-ons.
pub(super) fn plan(draft: &mut Draft<'_>, class: &EksClass, present: &EksCluster) {
    let installed = match &draft.seen.addons {
        Seen::Present(installed) => installed.as_slice(),
        Seen::Absent => &[],
        Seen::Unknown { why } => {
            draft.part_unknown(Topic::BOTH, "the add-ons", why);
            return;
        }
    };
    let names = wanted_names(class);
    // Those that nodes need come first, and DNS before what resolves names.
    let mut ordered: Vec<&String> = names.iter().collect();
    ordered.sort_by_key(|name| {
        (!BEFORE_NODES.contains(&name.as_str()), name.as_str() != COREDNS, name.as_str())
    });
    for name in ordered {
        let choice = class.addons.iter().find(|choice| choice.name == *name);
        match installed.iter().find(|addon| addon.name == *name) {
            Some(addon) => existing(draft, class, present, choice, addon),
            None => missing(draft, class, present, choice, name),
        }
    }
    for addon in installed.iter().filter(|addon| !names.contains(&addon.name)) {
        if draft.is_ours(&addon.tags) {
            delete(draft, addon);
        }
    }
}

/// True for the add-on that always moves after the control plane: it may be up to three minors older than the API
/// server, and never newer (Kubernetes version skew policy, kube-proxy), whatever minors EKS lists for its versions.
fn follows_the_control_plane(name: &str) -> bool {
    name == KUBE_PROXY
}

fn offers<'a>(seen: &'a EksObservation, name: &str) -> &'a [AddonOffer] {
    seen.addon_offers.get(name).map(Vec::as_slice).unwrap_or_default()
}

fn pin<'a>(class: &'a EksClass, name: &str) -> Option<&'a str> {
    class.addons.iter().find(|choice| choice.name == name).and_then(|choice| choice.version.as_deref())
}

/// True when add-ons with pods of their own have somewhere to run.
fn has_nodes(draft: &Draft<'_>, class: &EksClass) -> bool {
    class.auto_mode.is_some() || nodes::any_active(draft.seen)
}

/// An add-on that is not installed.
fn missing(
    draft: &mut Draft<'_>,
    class: &EksClass,
    present: &EksCluster,
    choice: Option<&AddonChoice>,
    name: &str,
) {
    draft.no_longer_seen(&id(name, "create"));
    if !BEFORE_NODES.contains(&name) && !has_nodes(draft, class) {
        draft.wait(
            Topic::SHAPE,
            entry(
                Code::WaitingForNodes,
                Who::Nobody,
                format!("add-on {name} is installed when nodes are up"),
            ),
        );
        return;
    }
    let Some(version) = first_version(draft, choice, name, present.version) else { return };
    let request = request(draft, class, choice, name, version);
    propose(
        draft,
        Change {
            name,
            what: "create",
            summary: format!("Install add-on {name} {}", request.version),
            action: EksAction::CreateAddon(request),
            disruptive: false,
            topics: Topic::BOTH,
        },
    );
}

/// An add-on that is installed.
fn existing(
    draft: &mut Draft<'_>,
    class: &EksClass,
    present: &EksCluster,
    choice: Option<&AddonChoice>,
    addon: &EksAddon,
) {
    let name = addon.name.as_str();
    match &addon.status {
        PartStatus::Creating | PartStatus::Updating | PartStatus::Deleting => {
            draft.progress(
                Topic::BOTH,
                entry(Code::WaitingForPart, Who::Cloud, format!("the cloud is at work on add-on {name}")),
            );
            return;
        }
        PartStatus::CreateFailed => {
            let (code, message) = issue(addon);
            draft.failed(&id(name, "create"), &addon.version, &code, &message);
            delete(draft, addon);
            return;
        }
        PartStatus::Degraded if !has_nodes(draft, class) => {
            draft.wait(
                Topic::SHAPE,
                entry(Code::WaitingForNodes, Who::Nobody, format!("add-on {name} waits for nodes")),
            );
            return;
        }
        PartStatus::Degraded | PartStatus::UpdateFailed | PartStatus::DeleteFailed => {
            let (code, message) = issue(addon);
            draft.block(
                Topic::SHAPE,
                entry_with_hint(
                    Code::AddonDegraded,
                    Who::Operator,
                    format!("add-on {name} is not well: {code}: {message}"),
                    "look at the add-on's pods in kube-system, and put right what the message names",
                ),
            );
        }
        PartStatus::Other(status) => {
            draft.part_unknown(Topic::BOTH, &format!("add-on {name}"), &format!("its status is `{status}`"));
            return;
        }
        PartStatus::Active => draft.succeeded(&id(name, "create")),
    }
    let version = match draft.heading {
        Heading::Forward => next_version(draft, choice, addon, present.version),
        Heading::Back(target) => version_back(draft, addon, present.version, target),
        Heading::Stay => Some(addon.version.clone()),
    };
    let Some(version) = version else { return };
    let request = request(draft, class, choice, name, version);
    let moves = request.version != addon.version;
    let differs = !same_settings(request.configuration.as_deref(), addon.configuration.as_deref())
        || request.role_arn != addon.role_arn;
    if !moves && !differs {
        return;
    }
    let summary = if moves {
        format!("Update add-on {name} from {} to {}", addon.version, request.version)
    } else {
        format!("Change the settings of add-on {name}")
    };
    propose(
        draft,
        Change {
            name,
            what: "update",
            summary,
            action: EksAction::UpdateAddon(request),
            disruptive: true,
            topics: if differs { Topic::BOTH } else { Topic::VERSION },
        },
    );
}

/// Removes an add-on.
pub(super) fn delete(draft: &mut Draft<'_>, addon: &EksAddon) {
    let name = addon.name.as_str();
    if addon.status == PartStatus::Deleting {
        draft.progress(
            Topic::SHAPE,
            entry(Code::WaitingForPart, Who::Cloud, format!("the cloud is deleting add-on {name}")),
        );
        return;
    }
    propose(
        draft,
        Change {
            name,
            what: "delete",
            summary: format!("Delete add-on {name}"),
            action: EksAction::DeleteAddon { name: name.to_owned() },
            disruptive: false,
            topics: Topic::SHAPE,
        },
    );
}

/// A step about an add-on, before it is proposed.
struct Change<'a> {
    name: &'a str,
    what: &'a str,
    summary: String,
    action: EksAction,
    disruptive: bool,
    topics: &'static [Topic],
}

fn propose(draft: &mut Draft<'_>, change: Change<'_>) {
    let Change { name, what, summary, action, disruptive, topics } = change;
    let Some(expects) = draft.as_seen(&Part::Addon(name.to_owned())) else { return };
    let minutes = if disruptive { durations::ADDON_UPDATE } else { INSTALL_MINUTES };
    draft.propose(Proposal {
        id: id(name, what),
        summary,
        action: eks(action),
        expects,
        disruptive,
        minutes,
        topics,
    });
}

fn id(name: &str, what: &str) -> String {
    format!("addon/{name}/{what}")
}

fn issue(addon: &EksAddon) -> (String, String) {
    addon.health.first().map_or_else(
        || ("Unknown".to_owned(), "EKS gives no reason".to_owned()),
        |issue| (issue.code.clone(), format!("{}{}", issue.message, named(&issue.resource_ids))),
    )
}

fn request(
    draft: &Draft<'_>,
    class: &EksClass,
    choice: Option<&AddonChoice>,
    name: &str,
    version: String,
) -> AddonRequest {
    AddonRequest {
        name: name.to_owned(),
        version,
        configuration: choice.and_then(|choice| choice.configuration.clone()),
        role_arn: choice.and_then(|choice| choice.role_arn.clone()),
        tags: draft.tags(class),
    }
}

/// Two settings are the same when they say the same, however they are written.
fn same_settings(a: Option<&str>, b: Option<&str>) -> bool {
    let parsed = |text: Option<&str>| {
        text.filter(|text| !text.trim().is_empty())
            .map(|text| serde_json::from_str::<serde_json::Value>(text).map_err(|_| text.to_owned()))
    };
    parsed(a) == parsed(b)
}

/// The version to install: the pinned one, or the default for the minor.
fn first_version(
    draft: &mut Draft<'_>,
    choice: Option<&AddonChoice>,
    name: &str,
    minor: KubernetesVersion,
) -> Option<String> {
    let offers = offers(draft.seen, name);
    if offers.is_empty() {
        draft.unknown(
            Topic::BOTH,
            entry(Code::AddonVersionUnknown, Who::Nobody, format!("EKS named no version of add-on {name}")),
        );
        return None;
    }
    let pinned = choice.and_then(|choice| choice.version.as_deref());
    let found = offers.iter().find(|offer| match pinned {
        Some(pinned) => offer.version == pinned && offer.runs_on.contains(&minor),
        None => offer.default_for.contains(&minor),
    });
    if let Some(found) = found {
        return Some(found.version.clone());
    }
    let message = match pinned {
        Some(pinned) => format!("add-on {name} is pinned to {pinned}, which EKS does not offer for {minor}"),
        None => format!("EKS names no default version of add-on {name} for {minor}"),
    };
    draft.block(
        Topic::BOTH,
        entry_with_hint(
            Code::AddonVersionUnknown,
            Who::Operator,
            message,
            "pin a version in the class that EKS offers for the minor",
        ),
    );
    None
}

/// The version that an installed add-on should have now: never older than it is, and for the network add-on one
/// minor at a time (its own upgrade rule).
fn next_version(
    draft: &mut Draft<'_>,
    choice: Option<&AddonChoice>,
    addon: &EksAddon,
    minor: KubernetesVersion,
) -> Option<String> {
    let offers = offers(draft.seen, &addon.name);
    if offers.is_empty() {
        // What is offered could not be read: the add-on stays as it is.
        return Some(addon.version.clone());
    }
    let (want, _) = version::wanted(draft.cluster, minor);
    let runs = |version: &str, on| offers.iter().any(|o| o.version == version && o.runs_on.contains(&on));
    let pinned = choice.and_then(|choice| choice.version.as_deref());
    let target = if let Some(pinned) = pinned.filter(|pinned| runs(pinned, minor)) {
        pinned.to_owned()
    } else if want > minor && !follows_the_control_plane(&addon.name) && !runs(&addon.version, minor.next()) {
        // It has to move before the control plane does: to the newest that runs on both sides of the hop.
        let both = offers.iter().filter(|o| o.runs_on.contains(&minor) && o.runs_on.contains(&minor.next()));
        both.map(|o| o.version.clone()).max_by(|a, b| compare(a, b)).unwrap_or_else(|| addon.version.clone())
    } else {
        let default = offers.iter().find(|offer| offer.default_for.contains(&minor));
        match default {
            Some(default) if compare(&default.version, &addon.version) == Ordering::Greater => {
                default.version.clone()
            }
            _ if runs(&addon.version, minor) => addon.version.clone(),
            Some(default) => default.version.clone(),
            None => return first_version(draft, choice, &addon.name, minor),
        }
    };
    if addon.name != VPC_CNI {
        return Some(target);
    }
    let (have, goal) = (numbers(&addon.version), numbers(&target));
    let step = |version: &[u64]| {
        version.first() == have.first() && version.get(1) == have.get(1).map(|m| m + 1).as_ref()
    };
    let too_far = goal.first() == have.first() && goal.get(1) > have.get(1).map(|m| m + 1).as_ref();
    if !too_far {
        return Some(target);
    }
    let between = offers.iter().filter(|o| o.runs_on.contains(&minor) && step(&numbers(&o.version)));
    Some(between.map(|o| o.version.clone()).max_by(|a, b| compare(a, b)).unwrap_or(target))
}

/// The numbers of a version such as `v1.20.1-eksbuild.3`, in their order.
fn numbers(version: &str) -> Vec<u64> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

/// Orders versions by their numbers.
fn compare(a: &str, b: &str) -> Ordering {
    numbers(a).cmp(&numbers(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_number_and_not_by_text() {
        assert_eq!(compare("v1.9.3-eksbuild.1", "v1.11.0-eksbuild.1"), Ordering::Less);
        assert_eq!(compare("v1.20.1-eksbuild.3", "v1.20.1-eksbuild.10"), Ordering::Less);
    }

    #[test]
    fn settings_are_compared_by_what_they_say() {
        assert!(same_settings(Some(r#"{"a":1,"b":2}"#), Some("{ \"b\": 2, \"a\": 1 }")));
        assert!(same_settings(None, Some("  ")));
        assert!(!same_settings(Some(r#"{"a":1}"#), None));
    }
}
