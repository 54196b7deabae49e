//! A Tenant.

use fleet_api::{
    NameError, TenantName,
    names::TENANT_NAME_MAX,
    v1alpha1::{
        AccessGrant, Capacity, EksClass, KubernetesChoice, LimitDefaults, Tenant, TenantClass, TenantSpec,
    },
};

use super::{
    Problem, References,
    maintenance::{self, Need},
    network, quantity,
    unique::unique,
};
use crate::{
    field_path::FieldPath,
    finding::Code,
    metadata::dns_label,
    text::{nearest, one_of, shown},
};

/// Namespaces that belong to Kubernetes, to AWS or to fleet; names that begin with `kube-` do as well.
const SYSTEM_NAMESPACES: [&str; 5] =
    ["default", "fleet-system", "amazon-cloudwatch", "amazon-guardduty", "aws-observability"];
/// Beginnings of group names that Kubernetes, EKS (access entries refuse them) or fleet keep for themselves.
const RESERVED_GROUPS: [&str; 6] = ["system:", "tenantfleet.dev:", "eks:", "aws:", "amazon:", "iam:"];

/// The problems of a tenant.
pub fn tenant(tenant: &Tenant, references: &References<'_>) -> Vec<Problem> {
    let TenantSpec {
        owner: _,
        class: class_name,
        compliance,
        kubernetes,
        maintenance: times,
        namespaces: _,
        capacity,
        network: traffic,
        images,
        access,
    } = &tenant.spec;
    let path = FieldPath::spec();
    let class = references.classes.get(class_name.as_str()).copied().flatten();
    let eks = class.and_then(|class| class.spec.eks.as_ref());
    let baseline = class
        .and_then(|class| references.baselines.get(class.spec.baseline.as_str()).copied().flatten())
        .map(|baseline| &baseline.spec.parameters);

    let mut problems = name(tenant, references);
    problems.extend(references.dangling("TenantClass", class_name, &references.classes, path.field("class")));
    for (index, regime) in compliance.iter().enumerate() {
        let here = path.field("compliance").index(index);
        if compliance.iter().take(index).any(|before| before == regime) {
            let message = format!("`{}` stands twice in the list", regime.as_str());
            problems.push(Problem::error(Code::DuplicateItem, here, message));
        } else if class.is_some_and(|class| !class.spec.carries.contains(regime)) {
            let message = format!("class `{}` cannot carry `{}`", shown(class_name), regime.as_str());
            let able = references
                .classes
                .iter()
                .filter(|(_, class)| carries(**class, *regime))
                .map(|(name, _)| *name);
            let able = one_of(able);
            let hint = if able.is_empty() {
                format!("add a TenantClass whose `carries` names `{}`", regime.as_str())
            } else {
                format!("choose a class that does: {able}")
            };
            problems.push(Problem::error(Code::ComplianceNotCarried, here, message).hint(hint));
        }
    }
    problems.extend(choice(kubernetes, &path.field("kubernetes"), references));
    if let Some(times) = times {
        let here = path.field("maintenance");
        let freezes = &references.fleet.freezes;
        problems.extend(maintenance::maintenance(times, &here, &Need::of(eks), freezes, references.today));
    } else if let Some(times) = &references.fleet.defaults.maintenance {
        problems.extend(inherited_windows(times, eks));
    }
    let exempt = baseline.map(|parameters| parameters.exempt_namespaces.as_slice()).unwrap_or_default();
    problems.extend(namespaces(tenant, exempt.iter().map(|exempt| exempt.name.as_str())));
    problems.extend(room(
        capacity,
        baseline.map(|parameters| &parameters.container_limits),
        &path.field("capacity"),
    ));

    for (index, rule) in traffic.egress.iter().enumerate() {
        let here = path.field("network").field("egress").index(index);
        match network::cidr(&rule.cidr, here.field("cidr")) {
            Err(problem) => problems.push(problem),
            Ok(net) if net.to_string() == "169.254.169.254/32" || net.to_string() == "fd00:ec2::254/128" => {
                problems.push(
                    Problem::error(
                        Code::Cidr,
                        here.field("cidr"),
                        "no pod may connect to the instance metadata address",
                    )
                    .hint("take the rule away; pods get their roles by `podIdentities` of the class"),
                )
            }
            Ok(_) => {}
        }
        let mut ports = rule.ports.clone();
        ports.sort_unstable();
        ports.dedup();
        if ports.len() < rule.ports.len() {
            problems.push(Problem::error(
                Code::DuplicateItem,
                here.field("ports"),
                "a port stands twice in the list",
            ));
        }
    }
    let here = path.field("images").field("registries");
    problems.extend(unique(&images.registries, &here, "the registry", String::as_str));
    for (index, prefix) in images.registries.iter().enumerate() {
        problems.extend(network::registry(prefix, here.index(index)));
    }
    problems.extend(grants(access, eks, &path.field("access")));
    problems
}

/// The namespaces of a tenant, with the one that it has when it names none.
pub(super) fn namespaces_of(tenant: &Tenant) -> Vec<&str> {
    if tenant.spec.namespaces.is_empty() {
        tenant.metadata.name.iter().map(String::as_str).collect()
    } else {
        tenant.spec.namespaces.iter().map(String::as_str).collect()
    }
}

fn carries(class: Option<&TenantClass>, regime: fleet_api::v1alpha1::Compliance) -> bool {
    class.is_some_and(|class| class.spec.carries.contains(&regime))
}

fn name(tenant: &Tenant, references: &References<'_>) -> Vec<Problem> {
    let name = tenant.metadata.name.as_deref().unwrap_or_default();
    let mut problems = Vec::new();
    if let Err(error) = name.parse::<TenantName>() {
        // The error repeats the name as it is; a message shows it without what a terminal would obey.
        let message = match error {
            NameError::Empty => error.to_string(),
            NameError::TooLong { length, .. } => {
                format!("`{}` has {length} characters, and {TENANT_NAME_MAX} is the most", shown(name))
            }
            NameError::NotADnsLabel { .. } => {
                format!("`{}` is not a DNS label that begins with a letter", shown(name))
            }
        };
        problems.push(Problem::error(Code::InvalidName, FieldPath::name(), message).hint(
            "use lower-case letters, digits and `-`: namespaces, labels and cloud names derive from it",
        ));
    }
    // Of two names that collide, one is longer than the limit: the others need not be compared.
    let cut: String = name.chars().take(TENANT_NAME_MAX).collect();
    let twin = Some(())
        .filter(|()| cut.len() < name.len())
        .and_then(|()| references.tenants.keys().find(|other| **other != name && other.starts_with(&cut)));
    if let Some(twin) = twin {
        problems.push(
            Problem::error(
                Code::NamesCollide,
                FieldPath::name(),
                format!(
                    "`{}` and `{}` are the same in their first {TENANT_NAME_MAX} characters",
                    shown(name),
                    shown(twin)
                ),
            )
            .hint("let the names differ earlier: names in the cloud derive from that part"),
        );
    }
    problems
}

fn choice(choice: &KubernetesChoice, path: &FieldPath, references: &References<'_>) -> Vec<Problem> {
    let KubernetesChoice { channel, version, until } = choice;
    let mut problems = Vec::new();
    if channel.is_some() && version.is_some() {
        problems.push(
            Problem::error(
                Code::ChannelAndVersion,
                path.field("version"),
                "follow a channel or stay on a version, not both",
            )
            .hint("take away `channel` to stay on the version, or `version` to follow the channel"),
        );
    }
    if let Some(channel) = channel {
        problems.extend(references.dangling(
            "VersionChannel",
            channel,
            &references.channels,
            path.field("channel"),
        ));
    }
    let default = references.fleet.defaults.channel.as_deref();
    if channel.is_none() && version.is_none() && default.is_none() && references.complete {
        problems.push(
            Problem::error(
                Code::NoVersion,
                path.clone(),
                "nothing says which Kubernetes version the tenant runs",
            )
            .hint("give `channel` or `version`, or a default channel in the Fleet (`spec.defaults.channel`)"),
        );
    }
    if let Some(until) = until {
        if *until < references.today {
            problems.push(
                Problem::error(
                    Code::PastDate,
                    path.field("until"),
                    format!("the version was held until {until}, which has passed"),
                )
                .hint("move the day, or take `version` and `until` away"),
            );
        }
        if version.is_none() {
            problems.push(
                Problem::error(
                    Code::NoVersion,
                    path.field("until"),
                    "`until` says how long `version` holds, and there is none",
                )
                .hint("give `version`, or take `until` away"),
            );
        } else if default.is_none() {
            problems.push(
                Problem::warning(
                    Code::NoVersion,
                    path.field("until"),
                    format!("after {until} nothing says which version the tenant runs"),
                )
                .hint("give the Fleet a default channel (`spec.defaults.channel`)"),
            );
        }
    }
    problems.extend(pin(choice, path, references));
    problems
}

/// A pinned version has to be on offer, for as long as it is pinned.
fn pin(choice: &KubernetesChoice, path: &FieldPath, references: &References<'_>) -> Option<Problem> {
    let version = choice.version?;
    // A channel that exists and could not be read may offer anything.
    if references.channels.values().any(Option::is_none) || !references.complete {
        return None;
    }
    let offers: Vec<_> =
        references.channels.values().flatten().flat_map(|channel| &channel.spec.versions).collect();
    let of_version: Vec<_> = offers.iter().filter(|offer| offer.version == version).collect();
    if of_version.is_empty() {
        let mut known: Vec<_> = offers.iter().map(|offer| offer.version).collect();
        known.sort_unstable();
        known.dedup();
        let known: Vec<String> = known.iter().map(ToString::to_string).collect();
        let problem = Problem::error(
            Code::VersionNotOffered,
            path.field("version"),
            format!("no channel offers {version}"),
        );
        return Some(if known.is_empty() {
            problem.hint("add a VersionChannel that offers it")
        } else {
            problem
                .hint(format!("choose {}, or add it to a channel", one_of(known.iter().map(String::as_str))))
        });
    }
    let last = choice.until.unwrap_or(references.today).max(references.today);
    if of_version.iter().any(|offer| offer.until.is_none_or(|until| until >= last)) {
        return None;
    }
    let until = of_version.iter().filter_map(|offer| offer.until).max()?;
    Some(
        Problem::error(
            Code::VersionNotOffered,
            path.field("version"),
            format!("{version} may be kept until {until} at the latest"),
        )
        .hint("choose a newer version, or follow a channel"),
    )
}

/// The windows of the fleet's default may be too short for this tenant's class.
fn inherited_windows(times: &fleet_api::v1alpha1::Maintenance, eks: Option<&EksClass>) -> Vec<Problem> {
    let path = FieldPath::spec().field("class");
    let today = fleet_api::text::Day(jiff::civil::Date::constant(2000, 1, 1));
    maintenance::maintenance(times, &path, &Need::of(eks), &[], today)
        .into_iter()
        .filter(|problem| problem.code == Code::WindowTooShort)
        .take(1)
        .map(|problem| {
            let message = format!("with the fleet's default windows, {}", problem.message);
            Problem { path: path.clone(), message, ..problem }
        })
        .collect()
}

fn namespaces<'a>(tenant: &Tenant, exempt: impl Iterator<Item = &'a str>) -> Vec<Problem> {
    let path = FieldPath::spec().field("namespaces");
    let given = &tenant.spec.namespaces;
    let exempt: Vec<&str> = exempt.collect();
    let mut problems = unique(given, &path, "the namespace", String::as_str);
    for (index, namespace) in namespaces_of(tenant).into_iter().enumerate() {
        let here = if given.is_empty() { FieldPath::name() } else { path.index(index) };
        if !dns_label(namespace) {
            // Without namespaces of its own, the tenant's name has been judged already.
            if !given.is_empty() {
                let message = format!("`{}` is not the name of a namespace", shown(namespace));
                problems.push(Problem::error(Code::Namespace, here, message).hint(
                    "use at most 63 lower-case letters, digits and `-`, with a letter or digit at both ends",
                ));
            }
        } else if SYSTEM_NAMESPACES.contains(&namespace) || namespace.starts_with("kube-") {
            let hint = if given.is_empty() {
                "name the tenant's namespaces in `spec.namespaces`"
            } else {
                "choose another name"
            };
            problems.push(
                Problem::error(
                    Code::Namespace,
                    here,
                    format!("`{namespace}` belongs to the system, not to a tenant"),
                )
                .hint(hint),
            );
        } else if exempt.contains(&namespace) {
            problems.push(
                Problem::error(
                    Code::Namespace,
                    here,
                    format!("`{namespace}` is exempt from the baseline of the tenant's class, so it cannot be a tenant's"),
                )
                .hint("choose another name, or take it from `exemptNamespaces` of the Baseline"),
            );
        }
    }
    problems
}

/// A quota that one container would break.
fn room(capacity: &Capacity, limits: Option<&LimitDefaults>, path: &FieldPath) -> Vec<Problem> {
    let Capacity { cpu, memory, ephemeral_storage, storage, pods: _, load_balancers: _ } = capacity;
    let mut problems = Vec::new();
    quantity::given(ephemeral_storage.as_ref(), path.field("ephemeralStorage"), &mut problems);
    quantity::given(storage.as_ref(), path.field("storage"), &mut problems);
    let cpu_value = quantity::given(cpu.as_ref(), path.field("cpu"), &mut problems);
    let memory_value = quantity::given(memory.as_ref(), path.field("memory"), &mut problems);
    let Some(limits) = limits else { return problems };
    // The defaults stand in the fields' documentation in fleet-api.
    for (field, value, default, maximum, default_text, max_text) in [
        ("cpu", cpu_value, &limits.cpu, &limits.max_cpu, "500m", "8"),
        ("memory", memory_value, &limits.memory, &limits.max_memory, "512Mi", "32Gi"),
    ] {
        let Some(value) = value else { continue };
        let text = default.as_ref().map_or(default_text, |quantity| &quantity.0);
        let most = maximum.as_ref().map_or(max_text, |quantity| &quantity.0);
        if quantity::parse_quantity(text).is_some_and(|least| value < least) {
            problems.push(
                Problem::error(
                    Code::CapacityTooSmall,
                    path.field(field),
                    format!("no pod would fit: a container that says nothing gets {text} of {field}"),
                )
                .hint(format!("give at least {text}, or lower `containerLimits.{field}` of the Baseline")),
            );
        } else if quantity::parse_quantity(most).is_some_and(|most| value < most) {
            problems.push(
                Problem::warning(
                    Code::CapacityTooSmall,
                    path.field(field),
                    format!("one container may ask for {most} of {field}, more than the tenant has in all"),
                )
                .hint(format!("give at least {most}, unless the tenant's containers are known to be small")),
            );
        }
    }
    problems
}

fn grants(access: &[AccessGrant], eks: Option<&EksClass>, path: &FieldPath) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, grant) in access.iter().enumerate() {
        let AccessGrant { group, principal_arn, role } = grant;
        let here = path.index(index);
        if let Some(prefix) = RESERVED_GROUPS.iter().find(|prefix| group.starts_with(**prefix)) {
            problems.push(
                Problem::error(
                    Code::ReservedGroup,
                    here.field("group"),
                    format!(
                        "`{}` is not a tenant's group: names that begin with `{prefix}` are reserved",
                        shown(group)
                    ),
                )
                .hint("choose a name of your own, such as `TENANT-admins`"),
            );
        } else if group.chars().any(|c| c.is_whitespace() || crate::text::is_unsafe(c)) {
            let message = format!("`{}` holds a blank or control character", shown(group));
            problems.push(
                Problem::error(Code::InvalidName, here.field("group"), message).hint("use plain characters"),
            );
        }
        let before = access.iter().take(index);
        if before.clone().any(|other| other == grant) {
            let message = format!("`{}` has this role already", shown(group));
            problems
                .push(Problem::error(Code::DuplicateItem, here.clone(), message).hint("take the entry away"));
            continue;
        }
        let Some(arn) = principal_arn else { continue };
        let here = here.field("principalArn");
        if let Some(eks) = eks {
            problems.extend(same_account(arn, &eks.account, "the tenant's class", here.clone()));
            if eks.platform_access.iter().any(|platform| platform.principal_arn == *arn) {
                problems.push(
                    Problem::error(
                        Code::PrincipalTwice,
                        here.clone(),
                        "the class already lets this principal in for the platform, with more than a tenant may have",
                    )
                    .hint("give the tenant a role of its own"),
                );
            }
        }
        // EKS knows one access entry for each principal: its groups would add up.
        if before.clone().any(|other| other.principal_arn.as_ref() == Some(arn) && other.role != *role) {
            problems.push(
                Problem::error(Code::PrincipalTwice, here, "this principal gets two different roles")
                    .hint("keep the stronger of the two"),
            );
        }
    }
    problems
}

/// The problem of an ARN of another account.
pub(super) fn same_account(arn: &str, account: &str, whose: &str, path: FieldPath) -> Option<Problem> {
    let other = arn.split(':').nth(4).filter(|other| *other != account)?;
    let problem = Problem::error(
        Code::ForeignAccount,
        path,
        format!(
            "the principal is of account {}, and the account of {whose} is {}",
            shown(other),
            shown(account)
        ),
    );
    Some(match nearest(other, [account]) {
        Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
        None => problem.hint(format!("name one of account {}", shown(account))),
    })
}
