//! A TenantClass.

use std::collections::BTreeMap;

use fleet_api::{
    GROUP,
    v1alpha1::{AddonChoice, EksClass, EksLogType, EksNetwork, NodeGroup, NodePlatform, TenantClass},
};

use super::{Problem, References, channel::object_name, network, tenant::same_account, unique::unique};
use crate::{
    field_path::FieldPath,
    finding::Code,
    metadata::{dns_label, dns_subdomain, label_value, qualified_name},
    text::{nearest, one_of, shown},
};

/// The node pools that Auto Mode has built in.
const NODE_POOLS: [&str; 2] = ["general-purpose", "system"];
/// Add-ons whose work Auto Mode does itself.
const AUTO_MODE_HAS: [&str; 5] =
    ["vpc-cni", "kube-proxy", "coredns", "aws-ebs-csi-driver", "eks-pod-identity-agent"];
/// AWS takes 50 tags; fleet writes some of its own.
const TAGS_MAX: usize = 40;
/// Private space in which EKS takes a service CIDR (CreateCluster, `serviceIpv4Cidr`).
const SERVICE_SPACE: [&str; 3] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"];

/// The problems of a class.
pub fn class(class: &TenantClass, references: &References<'_>) -> Vec<Problem> {
    let mut problems = object_name(class.metadata.name.as_deref().unwrap_or_default());
    let path = FieldPath::spec();
    let here = path.field("baseline");
    problems.extend(references.dangling("Baseline", &class.spec.baseline, &references.baselines, here));
    let regimes: Vec<&str> = class.spec.carries.iter().map(|regime| regime.as_str()).collect();
    problems.extend(unique(&regimes, &path.field("carries"), "the regime", |regime| regime));
    let Some(eks) = &class.spec.eks else {
        problems.push(
            Problem::error(
                Code::MissingField,
                path.field("eks"),
                "a class names one provider, and this one names none",
            )
            .hint("add `eks` with account, region, roles, network and nodes"),
        );
        return problems;
    };
    let here = path.field("eks");
    problems.extend(strength(eks, &regimes, &here));
    problems.extend(accounts(eks, &here));
    problems.extend(subnets(&eks.network, &here.field("network")));
    problems.extend(nodes(eks, &here));
    problems.extend(addons(&eks.addons, eks.auto_mode.is_some(), &here.field("addons")));
    problems.extend(people_and_pods(eks, &here));
    problems.extend(tags(&eks.tags, &here.field("tags")));
    problems
}

/// What a class that carries a regime should have.
fn strength(eks: &EksClass, regimes: &[&str], path: &FieldPath) -> Vec<Problem> {
    let Some(regime) = regimes.first() else { return Vec::new() };
    let mut problems = Vec::new();
    let mut weak = |field: &str, lacks: &str, hint: &str| {
        let message = format!("the class carries `{regime}` without {lacks}");
        problems.push(Problem::warning(Code::ClassTooWeak, path.field(field), message).hint(hint));
    };
    if eks.kms_key_arn.is_none() {
        weak(
            "kmsKeyArn",
            "a KMS key of its own",
            "add `kmsKeyArn`: it cannot be added to a cluster without care later",
        );
    }
    if !eks.logging.contains(&EksLogType::Audit) {
        weak("logging", "the audit log", "add `audit`, or leave `logging` out to send every log");
    }
    if !eks.deletion_protection {
        weak(
            "deletionProtection",
            "deletion protection",
            "leave `deletionProtection` out: it is on by default",
        );
    }
    problems
}

/// Every ARN belongs to the class's account.
fn accounts(eks: &EksClass, path: &FieldPath) -> Vec<Problem> {
    let mut arns =
        vec![(path.field("roleArn"), &eks.role_arn), (path.field("clusterRoleArn"), &eks.cluster_role_arn)];
    arns.extend(
        eks.auto_mode.iter().map(|auto| (path.field("autoMode").field("nodeRoleArn"), &auto.node_role_arn)),
    );
    for (index, group) in eks.node_groups.iter().enumerate() {
        arns.push((path.field("nodeGroups").index(index).field("nodeRoleArn"), &group.node_role_arn));
    }
    for (index, addon) in eks.addons.iter().enumerate() {
        arns.extend(
            addon.role_arn.iter().map(|arn| (path.field("addons").index(index).field("roleArn"), arn)),
        );
    }
    for (index, identity) in eks.pod_identities.iter().enumerate() {
        arns.push((path.field("podIdentities").index(index).field("roleArn"), &identity.role_arn));
    }
    let mut problems: Vec<Problem> = arns
        .into_iter()
        .filter_map(|(here, arn)| same_account(arn, &eks.account, "the class", here))
        .collect();
    if let Some(arn) = &eks.kms_key_arn {
        // A key of another account is possible with a grant; one of another region never is.
        if let Some(region) = arn.split(':').nth(3).filter(|region| *region != eks.region) {
            problems.push(
                Problem::error(
                    Code::ForeignAccount,
                    path.field("kmsKeyArn"),
                    format!(
                        "the key is of region {}, and the class's region is {}",
                        shown(region),
                        eks.region
                    ),
                )
                .hint("name a key of the class's region"),
            );
        }
    }
    problems
}

fn subnets(networks: &EksNetwork, path: &FieldPath) -> Vec<Problem> {
    let EksNetwork { subnet_ids, security_group_ids, endpoint, service_cidr } = networks;
    let mut problems = subnet_ids_of(subnet_ids, &path.field("subnetIds"));
    let here = path.field("securityGroupIds");
    problems.extend(unique(security_group_ids, &here, "the security group", String::as_str));
    for (index, id) in security_group_ids.iter().enumerate() {
        problems.extend(network::aws_id(id, "sg-", "security group", here.index(index)));
    }
    let here = path.field("endpoint").field("publicCidrs");
    problems.extend(unique(&endpoint.public_cidrs, &here, "the network", String::as_str));
    for (index, text) in endpoint.public_cidrs.iter().enumerate() {
        let here = here.index(index);
        match network::cidr(text, here.clone()) {
            Err(problem) => problems.push(problem),
            Ok(net) if net.prefix_len() == 0 => problems.push(
                Problem::error(Code::Cidr, here, "an endpoint that is open to the whole internet is refused")
                    .hint(
                        "name the networks that need it, or leave `publicCidrs` out for a private endpoint",
                    ),
            ),
            Ok(net) if network::is_private(&net) => problems.push(
                Problem::error(
                    Code::Cidr,
                    here,
                    format!("`{net}` is private space, from which nobody reaches a public endpoint"),
                )
                .hint("take it away: private networks use the private endpoint"),
            ),
            Ok(_) => {}
        }
    }
    if let Some(text) = service_cidr {
        let here = path.field("serviceCidr");
        match network::cidr(text, here.clone()) {
            Err(problem) => problems.push(problem),
            Ok(net) => {
                let inside = SERVICE_SPACE
                    .iter()
                    .filter_map(|space| space.parse::<ipnet::IpNet>().ok())
                    .any(|space| space.contains(&net));
                if !inside || !(12..=24).contains(&net.prefix_len()) {
                    problems.push(
                        Problem::error(Code::Cidr, here, format!("EKS takes no Services in `{net}`"))
                            .hint("choose a private network from /24 to /12, such as `172.20.0.0/16`"),
                    );
                }
            }
        }
    }
    problems
}

fn subnet_ids_of(ids: &[String], path: &FieldPath) -> Vec<Problem> {
    let mut problems = unique(ids, path, "the subnet", String::as_str);
    for (index, id) in ids.iter().enumerate() {
        problems.extend(network::aws_id(id, "subnet-", "subnet", path.index(index)));
    }
    problems
}

fn nodes(eks: &EksClass, path: &FieldPath) -> Vec<Problem> {
    let mut problems = Vec::new();
    match (&eks.auto_mode, eks.node_groups.is_empty()) {
        (Some(_), false) => problems.push(
            Problem::error(Code::NodesOnce, path.field("nodeGroups"), "Auto Mode makes its own nodes")
                .hint("take away `nodeGroups` or `autoMode`"),
        ),
        (None, true) => problems.push(
            Problem::error(Code::NodesOnce, path.clone(), "a cluster of this class would have no nodes")
                .hint("add `autoMode`, or at least one of `nodeGroups`"),
        ),
        _ => {}
    }
    if let Some(auto) = &eks.auto_mode {
        let here = path.field("autoMode").field("nodePools");
        problems.extend(unique(&auto.node_pools, &here, "the node pool", String::as_str));
        for (index, pool) in
            auto.node_pools.iter().enumerate().filter(|(_, pool)| !NODE_POOLS.contains(&pool.as_str()))
        {
            let message = format!("Auto Mode has no built-in node pool `{}`", shown(pool));
            let problem = Problem::error(Code::InvalidValue, here.index(index), message);
            problems.push(match nearest(pool, NODE_POOLS) {
                Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
                None => problem.hint(format!("it has {}", one_of(NODE_POOLS))),
            });
        }
    }
    let here = path.field("nodeGroups");
    problems.extend(unique(&eks.node_groups, &here, "the node group", |group| group.name.as_str()));
    for (index, group) in eks.node_groups.iter().enumerate() {
        problems.extend(node_group(group, &eks.network.subnet_ids, &here.index(index)));
    }
    problems
}

fn node_group(group: &NodeGroup, cluster_subnets: &[String], path: &FieldPath) -> Vec<Problem> {
    let mut problems = Vec::new();
    let scaling = group.scaling;
    if !(scaling.min <= scaling.desired && scaling.desired <= scaling.max) {
        problems.push(
            Problem::error(
                Code::Scaling,
                path.field("scaling"),
                format!(
                    "{} nodes are desired, with at least {} and at most {}",
                    scaling.desired, scaling.min, scaling.max
                ),
            )
            .hint("let it hold that min <= desired <= max"),
        );
    }
    let here = path.field("instanceTypes");
    problems.extend(unique(&group.instance_types, &here, "the instance type", String::as_str));
    let wants_arm = matches!(group.platform, NodePlatform::BottlerocketArm | NodePlatform::Al2023Arm);
    for (index, instance) in group.instance_types.iter().enumerate() {
        match is_arm(instance) {
            None => problems.push(
                Problem::error(
                    Code::InvalidValue,
                    here.index(index),
                    format!("`{}` is not an instance type", shown(instance)),
                )
                .hint("write one such as `m7i.large`"),
            ),
            Some(arm) if arm != wants_arm => {
                let (has, wants) = if arm { ("Arm", "x86-64") } else { ("x86-64", "Arm") };
                problems.push(
                    Problem::error(
                        Code::Architecture,
                        here.index(index),
                        format!("`{instance}` is {has}, and the platform of the node group is {wants}"),
                    )
                    .hint("choose another instance type or `platform`"),
                );
            }
            Some(_) => {}
        }
    }
    let here = path.field("subnetIds");
    problems.extend(subnet_ids_of(&group.subnet_ids, &here));
    // Nodes outside the cluster's subnets are possible in the same VPC, and mostly a slip.
    for (index, id) in group.subnet_ids.iter().enumerate().filter(|(_, id)| !cluster_subnets.contains(id)) {
        if let Some(meant) = nearest(id, cluster_subnets.iter().map(String::as_str)) {
            problems.push(
                Problem::warning(
                    Code::InvalidValue,
                    here.index(index),
                    format!("`{}` is not one of the cluster's subnets", shown(id)),
                )
                .hint(format!("did you mean `{meant}`?")),
            );
        }
    }
    for (key, value) in &group.labels {
        let here = path.field("labels").field(key);
        let verdict = qualified_name(key).and_then(|()| label_value(value));
        if let Err(why) = verdict {
            let message = format!("nodes cannot have the label `{}: {}`: {why}", shown(key), shown(value));
            problems.push(Problem::error(Code::LabelValue, here, message));
        }
    }
    for (index, taint) in group.taints.iter().enumerate() {
        let verdict =
            qualified_name(&taint.key).and_then(|()| label_value(taint.value.as_deref().unwrap_or_default()));
        if let Err(why) = verdict {
            let message = format!("nodes cannot have the taint `{}`: {why}", shown(&taint.key));
            problems.push(Problem::error(Code::LabelValue, path.field("taints").index(index), message));
        }
    }
    problems
}

/// Whether an instance type is Arm; `None` for what is no instance type.
///
/// AWS writes `g` among the attributes behind the generation for Graviton (`m7gd.large`), and `a1` was the first.
fn is_arm(instance: &str) -> Option<bool> {
    let (family, size) = instance.split_once('.')?;
    let digit = family.find(|c: char| c.is_ascii_digit())?;
    let plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if digit == 0 || !plain(family) || !plain(size) {
        return None;
    }
    let attributes = family.get(digit..)?.trim_start_matches(|c: char| c.is_ascii_digit());
    let attributes = attributes.split('-').next().unwrap_or(attributes);
    Some(family == "a1" || attributes.contains('g'))
}

/// The problem of a text that is no version of an add-on.
pub(super) fn addon_version(version: &str, path: FieldPath) -> Option<Problem> {
    let plain =
        version.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    if plain && version.starts_with('v') && version.contains("-eksbuild.") {
        return None;
    }
    let message = if version.is_empty() {
        "the version of an add-on is empty".to_owned()
    } else {
        format!("`{}` is not an add-on's version", shown(version))
    };
    Some(
        Problem::error(Code::Addon, path, message)
            .hint("write it as EKS does, such as `v1.20.4-eksbuild.2`, or leave it out for the default"),
    )
}

fn addons(addons: &[AddonChoice], auto_mode: bool, path: &FieldPath) -> Vec<Problem> {
    let mut problems = unique(addons, path, "the add-on", |addon| addon.name.as_str());
    for (index, addon) in addons.iter().enumerate() {
        let here = path.index(index);
        let AddonChoice { name, version, configuration, role_arn: _ } = addon;
        if auto_mode && AUTO_MODE_HAS.contains(&name.as_str()) {
            problems.push(
                Problem::warning(
                    Code::Addon,
                    here.field("name"),
                    format!("Auto Mode does the work of `{name}` itself"),
                )
                .hint("take the add-on away"),
            );
        }
        problems.extend(version.as_deref().and_then(|one| addon_version(one, here.field("version"))));
        let Some(text) = configuration else { continue };
        let here = here.field("configuration");
        match serde_json::from_str::<serde_json::Value>(text) {
            Ok(serde_json::Value::Object(_)) => {}
            Ok(_) => problems.push(
                Problem::error(Code::Addon, here, "the settings of an add-on are a JSON object")
                    .hint("write `{\"name\": value}` in single quotes"),
            ),
            Err(error) => problems.push(
                Problem::error(
                    Code::Addon,
                    here,
                    format!("the settings are not JSON: {}", shown(&error.to_string())),
                )
                .hint("write a JSON object in single quotes, such as '{\"replicaCount\": 2}'"),
            ),
        }
    }
    problems
}

fn people_and_pods(eks: &EksClass, path: &FieldPath) -> Vec<Problem> {
    let here = path.field("platformAccess");
    let mut problems: Vec<Problem> = Vec::new();
    for (index, access) in eks.platform_access.iter().enumerate() {
        if eks.platform_access.iter().take(index).any(|before| before == access) {
            let message = "this principal has this policy already";
            problems.push(
                Problem::error(Code::DuplicateItem, here.index(index), message).hint("take the entry away"),
            );
        }
    }
    let here = path.field("podIdentities");
    for (index, identity) in eks.pod_identities.iter().enumerate() {
        let here = here.index(index);
        let account = (&identity.namespace, &identity.service_account);
        if eks
            .pod_identities
            .iter()
            .take(index)
            .any(|before| (&before.namespace, &before.service_account) == account)
        {
            problems.push(
                Problem::error(Code::DuplicateItem, here.clone(), "this service account has a role already")
                    .hint("keep one: EKS gives a service account one role"),
            );
        }
        if !dns_label(&identity.namespace) {
            let message = format!("`{}` is not the name of a namespace", shown(&identity.namespace));
            problems.push(Problem::error(Code::Namespace, here.field("namespace"), message));
        }
        if !dns_subdomain(&identity.service_account) {
            let message =
                format!("`{}` is not the name of a service account", shown(&identity.service_account));
            problems.push(Problem::error(Code::InvalidName, here.field("serviceAccount"), message));
        }
    }
    problems
}

fn tags(tags: &BTreeMap<String, String>, path: &FieldPath) -> Vec<Problem> {
    let mut problems = Vec::new();
    if tags.len() > TAGS_MAX {
        let message = format!("{} tags are too many: {TAGS_MAX} leave room for fleet's own", tags.len());
        problems.push(Problem::error(Code::OutOfRange, path.clone(), message));
    }
    for (key, value) in tags {
        let here = path.field(key);
        let lower = key.to_ascii_lowercase();
        if lower.starts_with("aws:")
            || lower.starts_with(GROUP)
            || lower.starts_with("kubernetes.io/cluster/")
        {
            let message = format!("the tag `{}` belongs to AWS or fleet", shown(key));
            problems
                .push(Problem::error(Code::ReservedTag, here, message).hint("choose a prefix of your own"));
        } else if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            let message = "AWS takes tag keys of 1 to 128 and values of at most 256 characters";
            problems.push(Problem::error(Code::OutOfRange, here, message));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_architecture_is_read_from_the_attributes_and_not_from_the_family() {
        for (instance, arm) in [
            ("m7i.large", Some(false)),
            ("m7g.large", Some(true)),
            ("c6gn.16xlarge", Some(true)),
            ("g5.xlarge", Some(false)),
            ("g5g.xlarge", Some(true)),
            ("a1.medium", Some(true)),
            ("im4gn.large", Some(true)),
            ("m7i-flex.large", Some(false)),
            ("u-6tb1.metal", Some(false)),
            ("large", None),
            ("M7i.large", None),
            ("7.large", None),
        ] {
            assert_eq!(is_arm(instance), arm, "{instance}");
        }
    }
}
