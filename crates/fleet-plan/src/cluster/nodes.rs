//! Node groups and their launch templates.

use std::collections::{BTreeMap, BTreeSet};

use fleet_api::{
    KubernetesVersion,
    eks::{
        EksAction, EksCluster, EksLaunchTemplate, EksNodegroup, EksObservation, LaunchTemplateRequest,
        NodegroupRequest, Part, PartStatus, durations,
    },
    step::Seen,
    v1alpha1::{EksClass, NodeGroup, NodePlatform, NodeTaint},
};

use super::{
    draft::{Draft, Proposal, Topic, eks, rounded},
    named,
    rollback::Heading,
};
use crate::{
    moves,
    report::{Code, Who, entry, entry_with_hint},
};

/// The hop limit with which no pod reaches the instance metadata service (control NET-3).
const HOP_LIMIT: i32 = 1;
/// How long the making of a node group usually takes, in minutes.
const CREATE_MINUTES: i64 = 10;

/// True when some node group is up.
pub(super) fn any_active(seen: &EksObservation) -> bool {
    seen.nodegroups.present().is_some_and(|groups| {
        groups.iter().any(|group| matches!(group.status, PartStatus::Active | PartStatus::Updating))
    })
}

/// Plans the launch templates and the node groups.
pub(super) fn plan(draft: &mut Draft<'_>, class: &EksClass, present: &EksCluster) {
    let groups = match &draft.seen.nodegroups {
        Seen::Present(groups) => groups.as_slice(),
        Seen::Absent => &[],
        Seen::Unknown { why } => {
            draft.part_unknown(Topic::BOTH, "the node groups", why);
            return;
        }
    };
    for wanted in &class.node_groups {
        let Some(template) = template(draft, class, wanted) else { continue };
        match groups.iter().find(|group| group.name == wanted.name) {
            None => create(draft, class, present, wanted, &template),
            Some(found) => existing(draft, class, present, wanted, found, &template),
        }
    }
    for group in groups.iter().filter(|g| !class.node_groups.iter().any(|wanted| wanted.name == g.name)) {
        if draft.is_ours(&group.tags) {
            delete(draft, group, true);
        } else {
            draft.note(entry_with_hint(
                Code::NodeGroupForeign,
                Who::Operator,
                format!("node group {} was not made by fleet, and is left as it is", group.name),
                "delete it, or name it in a class of its own",
            ));
        }
    }
}

/// The name of a node group's launch template.
pub(super) fn template_name(draft: &Draft<'_>, group: &str) -> String {
    format!("{}-{group}", draft.cluster.spec.cluster_name)
}

/// The launch template of a node group as it was seen, once it is as it should be.
fn template(draft: &mut Draft<'_>, class: &EksClass, wanted: &NodeGroup) -> Option<EksLaunchTemplate> {
    let templates = match &draft.seen.launch_templates {
        Seen::Present(templates) => templates.as_slice(),
        Seen::Absent => &[],
        Seen::Unknown { why } => {
            draft.part_unknown(Topic::SHAPE, "the launch templates", why);
            return None;
        }
    };
    let name = template_name(draft, &wanted.name);
    let request = LaunchTemplateRequest {
        name: name.clone(),
        disk_gib: wanted.disk_gib,
        bottlerocket: matches!(
            wanted.platform,
            NodePlatform::BottlerocketX86 | NodePlatform::BottlerocketArm
        ),
        tags: draft.tags(class),
    };
    let found = templates.iter().find(|template| template.name == name);
    let (what, summary, action) = match found {
        None => ("create", format!("Make launch template {name}"), EksAction::CreateLaunchTemplate(request)),
        Some(found) if !as_wanted(found, wanted) => (
            "version",
            format!("Make a new version of launch template {name}"),
            EksAction::CreateLaunchTemplateVersion { id: found.id.clone(), request },
        ),
        Some(found) => return Some(found.clone()),
    };
    let expects = draft.as_seen(&Part::LaunchTemplate(name.clone()))?;
    draft.propose(Proposal {
        id: format!("launch-template/{name}/{what}"),
        summary,
        action: eks(action),
        expects,
        disruptive: false,
        minutes: 1,
        topics: Topic::SHAPE,
    });
    None
}

fn as_wanted(template: &EksLaunchTemplate, wanted: &NodeGroup) -> bool {
    template.imds_v2_required
        && template.hop_limit == Some(HOP_LIMIT)
        && template.disk_gib == Some(wanted.disk_gib)
}

fn create(
    draft: &mut Draft<'_>,
    class: &EksClass,
    present: &EksCluster,
    wanted: &NodeGroup,
    template: &EksLaunchTemplate,
) {
    draft.no_longer_seen(&id(&wanted.name, "create"));
    let network = draft.seen.addons.present().is_some_and(|all| all.iter().any(|a| a.name == "vpc-cni"));
    if !network {
        draft.wait(
            Topic::SHAPE,
            entry(
                Code::WaitingForPart,
                Who::Nobody,
                format!(
                    "node group {} is made when add-on vpc-cni is there: nodes are not ready without it",
                    wanted.name
                ),
            ),
        );
        return;
    }
    let request = request(draft, class, present, wanted, template, None);
    let summary = format!("Make node group {} at {}", wanted.name, request.version);
    propose(draft, &wanted.name, "create", summary, EksAction::CreateNodegroup(Box::new(request)), None);
}

fn existing(
    draft: &mut Draft<'_>,
    class: &EksClass,
    present: &EksCluster,
    wanted: &NodeGroup,
    found: &EksNodegroup,
    template: &EksLaunchTemplate,
) {
    let name = found.name.as_str();
    match &found.status {
        PartStatus::Creating | PartStatus::Updating | PartStatus::Deleting => {
            draft.progress(
                Topic::BOTH,
                entry(Code::WaitingForPart, Who::Cloud, format!("the cloud is at work on node group {name}")),
            );
            return;
        }
        PartStatus::CreateFailed => {
            let (code, message) = issue(found);
            let seen_as = found.launch_template.as_ref().map_or(name, |(_, version)| version);
            draft.failed(&id(name, "create"), seen_as, &code, &message);
            delete(draft, found, false);
            return;
        }
        PartStatus::Other(status) => {
            draft.part_unknown(
                Topic::BOTH,
                &format!("node group {name}"),
                &format!("its status is `{status}`"),
            );
            return;
        }
        PartStatus::Degraded | PartStatus::UpdateFailed | PartStatus::DeleteFailed => {
            let (code, message) = issue(found);
            draft.block(
                Topic::SHAPE,
                entry_with_hint(
                    Code::NodeGroupDegraded,
                    Who::Operator,
                    format!("node group {name} is not well: {code}: {message}"),
                    "put right in the AWS account what the message names",
                ),
            );
        }
        PartStatus::Active => draft.succeeded(&id(name, "create")),
    }
    immutable(draft, class, wanted, found);
    let request = request(draft, class, present, wanted, template, Some(found));
    if settings_differ(wanted, found) {
        let summary = format!("Change the settings of node group {name}");
        propose(
            draft,
            name,
            "config",
            summary,
            EksAction::UpdateNodegroupConfig(Box::new(request.clone())),
            None,
        );
    }
    let to = minor_of(draft, present, Some(found));
    let goes_back = matches!(draft.heading, Heading::Back(_));
    let moves = found.version.is_some_and(|version| version < to || (goes_back && version > to));
    if let Some(until) = moves::nodes_held(draft.cluster, draft.now)
        && found.version.is_some_and(|version| version < present.version)
    {
        draft.look_within(draft.now.duration_until(until));
        let latest = if moves::has_arrived(draft.cluster) { "" } else { " at the latest" };
        let message =
            format!("node group {name} stays at {to} until {}{latest}, by the rollout", rounded(until));
        draft.note(entry(Code::NodesHeld, Who::Nobody, message));
    }
    let stale = found.launch_template.as_ref() != Some(&request.launch_template);
    if moves || stale {
        let summary = match found.version {
            Some(version) if moves => format!("Move node group {name} from {version} to {to}"),
            _ => format!("Replace the nodes of {name} by its new launch template"),
        };
        let action = EksAction::UpdateNodegroupVersion {
            name: name.to_owned(),
            to,
            launch_template: Some(request.launch_template),
        };
        propose(draft, name, "version", summary, action, Some(durations::node_group_update(wanted)));
    }
}

/// The minor that a node group should have: that of the control plane, unless a rollout holds it or takes it back.
fn minor_of(draft: &Draft<'_>, present: &EksCluster, found: Option<&EksNodegroup>) -> KubernetesVersion {
    let have = found.and_then(|found| found.version);
    match draft.heading {
        Heading::Back(target) => have.map_or(target, |have| have.min(target)),
        Heading::Stay => have.unwrap_or(present.version),
        Heading::Forward if moves::nodes_held(draft.cluster, draft.now).is_some() => {
            // A group that is made meanwhile must not be what makes going back dear.
            let reached = draft.cluster.spec.version == present.version;
            let before = present.version.previous().filter(|_| reached).unwrap_or(present.version);
            have.unwrap_or(before)
        }
        Heading::Forward => present.version,
    }
}

/// Names what a node group cannot change.
fn immutable(draft: &mut Draft<'_>, class: &EksClass, wanted: &NodeGroup, found: &EksNodegroup) {
    let mut differing = Vec::new();
    if found.ami_type.as_deref().is_some_and(|have| have != wanted.platform.ami_type()) {
        differing.push("platform");
    }
    let types = |list: &[String]| list.iter().cloned().collect::<BTreeSet<_>>();
    if !found.instance_types.is_empty() && types(&found.instance_types) != types(&wanted.instance_types) {
        differing.push("instanceTypes");
    }
    if found.node_role_arn.as_ref().is_some_and(|have| *have != wanted.node_role_arn) {
        differing.push("nodeRoleArn");
    }
    if found.subnet_ids != subnets(class, wanted) {
        differing.push("subnetIds");
    }
    for field in differing {
        draft.block(
            Topic::SHAPE,
            entry_with_hint(
                Code::Immutable,
                Who::Operator,
                format!("`{field}` of node group {} cannot be changed; nothing was sent", found.name),
                "give the class its old value, or add a node group of another name and remove this one",
            ),
        );
    }
}

/// True for what can be changed in place. The desired size is not: an autoscaler moves it.
fn settings_differ(wanted: &NodeGroup, found: &EksNodegroup) -> bool {
    let bounds =
        found.scaling.is_some_and(|have| (have.min, have.max) != (wanted.scaling.min, wanted.scaling.max));
    let taints = |list: &[NodeTaint]| list.iter().map(taint_key).collect::<BTreeSet<_>>();
    let pace = found.max_unavailable_percent.is_some_and(|have| have != wanted.max_unavailable_percent);
    bounds || pace || found.labels != wanted.labels || taints(&found.taints) != taints(&wanted.taints)
}

/// A taint in a form that has an order.
fn taint_key(taint: &NodeTaint) -> (String, String, String) {
    (taint.key.clone(), taint.value.clone().unwrap_or_default(), format!("{:?}", taint.effect))
}

fn subnets(class: &EksClass, wanted: &NodeGroup) -> BTreeSet<String> {
    let given = if wanted.subnet_ids.is_empty() { &class.network.subnet_ids } else { &wanted.subnet_ids };
    given.iter().cloned().collect()
}

fn request(
    draft: &Draft<'_>,
    class: &EksClass,
    present: &EksCluster,
    wanted: &NodeGroup,
    template: &EksLaunchTemplate,
    found: Option<&EksNodegroup>,
) -> NodegroupRequest {
    let have_labels: BTreeMap<String, String> = found.map(|f| f.labels.clone()).unwrap_or_default();
    let have_taints: &[NodeTaint] = found.map(|f| f.taints.as_slice()).unwrap_or_default();
    let mut scaling = wanted.scaling;
    if let Some(have) = found.and_then(|found| found.scaling) {
        // The size that an autoscaler chose is kept, inside the new bounds.
        scaling.desired = have.desired.clamp(wanted.scaling.min, wanted.scaling.max);
    }
    NodegroupRequest {
        name: wanted.name.clone(),
        version: minor_of(draft, present, found),
        ami_type: wanted.platform.ami_type().to_owned(),
        instance_types: wanted.instance_types.clone(),
        scaling,
        node_role_arn: wanted.node_role_arn.clone(),
        subnet_ids: subnets(class, wanted),
        labels: wanted.labels.clone(),
        taints: wanted.taints.clone(),
        remove_labels: have_labels.keys().filter(|key| !wanted.labels.contains_key(*key)).cloned().collect(),
        remove_taints: have_taints.iter().filter(|taint| !wanted.taints.contains(taint)).cloned().collect(),
        launch_template: (template.id.clone(), template.version.clone()),
        max_unavailable_percent: wanted.max_unavailable_percent,
        tags: draft.tags(class),
    }
}

/// Deletes a node group.
pub(super) fn delete(draft: &mut Draft<'_>, group: &EksNodegroup, disruptive: bool) {
    let name = group.name.as_str();
    if group.status == PartStatus::Deleting {
        draft.progress(
            Topic::SHAPE,
            entry(Code::WaitingForPart, Who::Cloud, format!("the cloud is deleting node group {name}")),
        );
        return;
    }
    let action = EksAction::DeleteNodegroup { name: name.to_owned() };
    let summary = format!("Delete node group {name}");
    propose(draft, name, "delete", summary, action, disruptive.then_some(durations::NODE_ROUND));
}

/// Proposes a step about a node group; one with a disruption says how long it lasts.
fn propose(
    draft: &mut Draft<'_>,
    name: &str,
    what: &str,
    summary: String,
    action: EksAction,
    disrupts_for: Option<i64>,
) {
    let Some(expects) = draft.as_seen(&Part::Nodegroup(name.to_owned())) else { return };
    draft.propose(Proposal {
        id: id(name, what),
        summary,
        action: eks(action),
        expects,
        disruptive: disrupts_for.is_some(),
        minutes: disrupts_for.unwrap_or(CREATE_MINUTES),
        topics: if what == "version" { Topic::VERSION } else { Topic::BOTH },
    });
}

fn id(name: &str, what: &str) -> String {
    format!("nodegroup/{name}/{what}")
}

fn issue(group: &EksNodegroup) -> (String, String) {
    group.health.first().map_or_else(
        || ("Unknown".to_owned(), "EKS gives no reason".to_owned()),
        |issue| (issue.code.clone(), format!("{}{}", issue.message, named(&issue.resource_ids))),
    )
}
