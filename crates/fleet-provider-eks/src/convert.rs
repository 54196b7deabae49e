//! From the SDK's types to fleet's. A field that EKS must send and did not makes the whole part unreadable:
//! nothing is guessed.

mod insight;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_eks::types as sdk;
use fleet_api::{
    KubernetesVersion,
    eks::{
        AddonOffer, EksAccessEntry, EksAddon, EksCluster, EksClusterStatus, EksNodegroup, EksPodIdentity,
        EksUpdate, EksUpdateStatus, EksVersionOffer, HealthIssue, Part, PartStatus, PolicyAssociation,
        SupportStatus,
    },
    text::Day,
    v1alpha1::{AutoMode, EksLogType, NodeScaling, NodeTaint, SupportType, TaintEffect},
};
use jiff::Timestamp;

pub(crate) use self::insight::insight;

/// What is missing or unreadable in an answer.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer has {0}")]
pub(crate) struct Unreadable(String);

impl Unreadable {
    fn without(field: &str) -> Self {
        Self(format!("no {field}"))
    }
}

type Read<T> = Result<T, Unreadable>;

fn required<T: Clone>(field: Option<&T>, name: &str) -> Read<T> {
    field.cloned().ok_or_else(|| Unreadable::without(name))
}

fn version(text: &str) -> Read<KubernetesVersion> {
    text.parse().map_err(|_| Unreadable(format!("`{text}` where a Kubernetes minor should be")))
}

fn time(at: &aws_sdk_eks::primitives::DateTime) -> Option<Timestamp> {
    Timestamp::new(at.secs(), i32::try_from(at.subsec_nanos()).ok()?).ok()
}

fn day(at: &aws_sdk_eks::primitives::DateTime) -> Option<Day> {
    let date = time(at)?.to_zoned(jiff::tz::TimeZone::UTC).date();
    date.to_string().parse().ok()
}

fn map(tags: Option<&HashMap<String, String>>) -> BTreeMap<String, String> {
    tags.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn set(items: Option<&Vec<String>>) -> BTreeSet<String> {
    items.into_iter().flatten().cloned().collect()
}

pub(crate) fn cluster(from: &sdk::Cluster) -> Read<EksCluster> {
    let network = from.resources_vpc_config.as_ref();
    let logging = from.logging.iter().flat_map(|logging| logging.cluster_logging.iter().flatten());
    let auto_mode = from.compute_config.as_ref().filter(|compute| compute.enabled == Some(true));
    Ok(EksCluster {
        name: required(from.name.as_ref(), "name")?,
        arn: required(from.arn.as_ref(), "arn")?,
        status: cluster_status(from.status.as_ref().ok_or_else(|| Unreadable::without("status"))?),
        version: version(&required(from.version.as_ref(), "version")?)?,
        platform_version: from.platform_version.clone(),
        created_at: from.created_at.as_ref().and_then(time),
        endpoint: from.endpoint.clone(),
        certificate_authority: from
            .certificate_authority
            .as_ref()
            .and_then(|authority| authority.data.clone())
            .filter(|data| !data.is_empty()),
        role_arn: required(from.role_arn.as_ref(), "roleArn")?,
        vpc_id: network.and_then(|network| network.vpc_id.clone()),
        subnet_ids: set(network.and_then(|network| network.subnet_ids.as_ref())),
        security_group_ids: set(network.and_then(|network| network.security_group_ids.as_ref())),
        endpoint_public: network.is_some_and(|network| network.endpoint_public_access),
        endpoint_private: network.is_some_and(|network| network.endpoint_private_access),
        // EKS keeps the list while the public endpoint is off; it says nothing then.
        public_cidrs: network
            .filter(|network| network.endpoint_public_access)
            .map(|network| set(network.public_access_cidrs.as_ref()))
            .unwrap_or_default(),
        service_cidr: from
            .kubernetes_network_config
            .as_ref()
            .and_then(|network| network.service_ipv4_cidr.clone()),
        kms_key_arn: from
            .encryption_config
            .iter()
            .flatten()
            .find_map(|config| config.provider.as_ref()?.key_arn.clone()),
        logging: logging
            .filter(|setup| setup.enabled == Some(true))
            .flat_map(|setup| setup.types.iter().flatten())
            .filter_map(log_type)
            .collect(),
        support_type: from.upgrade_policy.as_ref().and_then(|policy| match policy.support_type.as_ref()? {
            sdk::SupportType::Standard => Some(SupportType::Standard),
            sdk::SupportType::Extended => Some(SupportType::Extended),
            _ => None,
        }),
        deletion_protection: from.deletion_protection.unwrap_or(false),
        authentication_mode: from
            .access_config
            .as_ref()
            .and_then(|access| access.authentication_mode.as_ref())
            .map(|mode| mode.as_str().to_owned()),
        auto_mode: auto_mode.map(|compute| AutoMode {
            node_role_arn: compute.node_role_arn.clone().unwrap_or_default(),
            node_pools: set(compute.node_pools.as_ref()).into_iter().collect(),
        }),
        tags: map(from.tags.as_ref()),
        health: from
            .health
            .iter()
            .flat_map(|health| health.issues.iter().flatten())
            .map(|issue| {
                health_issue(
                    issue.code.as_ref().map(sdk::ClusterIssueCode::as_str),
                    issue.message.as_deref(),
                    issue.resource_ids.as_ref(),
                )
            })
            .collect(),
    })
}

fn cluster_status(status: &sdk::ClusterStatus) -> EksClusterStatus {
    match status {
        sdk::ClusterStatus::Pending => EksClusterStatus::Pending,
        sdk::ClusterStatus::Creating => EksClusterStatus::Creating,
        sdk::ClusterStatus::Active => EksClusterStatus::Active,
        sdk::ClusterStatus::Updating => EksClusterStatus::Updating,
        sdk::ClusterStatus::Deleting => EksClusterStatus::Deleting,
        sdk::ClusterStatus::Failed => EksClusterStatus::Failed,
        other => EksClusterStatus::Other(other.as_str().to_owned()),
    }
}

fn log_type(kind: &sdk::LogType) -> Option<EksLogType> {
    match kind {
        sdk::LogType::Api => Some(EksLogType::Api),
        sdk::LogType::Audit => Some(EksLogType::Audit),
        sdk::LogType::Authenticator => Some(EksLogType::Authenticator),
        sdk::LogType::ControllerManager => Some(EksLogType::ControllerManager),
        sdk::LogType::Scheduler => Some(EksLogType::Scheduler),
        _ => None,
    }
}

fn health_issue(code: Option<&str>, message: Option<&str>, ids: Option<&Vec<String>>) -> HealthIssue {
    HealthIssue {
        code: code.unwrap_or("Unknown").to_owned(),
        message: message.unwrap_or_default().to_owned(),
        resource_ids: ids.cloned().unwrap_or_default(),
    }
}

pub(crate) fn update(from: &sdk::Update, part: Option<&Part>) -> Read<EksUpdate> {
    Ok(EksUpdate {
        id: required(from.id.as_ref(), "id")?,
        kind: from.r#type.as_ref().map(|kind| kind.as_str().to_owned()).unwrap_or_default(),
        part: part.map(Part::to_string),
        status: match from.status.as_ref().ok_or_else(|| Unreadable::without("status"))? {
            sdk::UpdateStatus::InProgress => EksUpdateStatus::InProgress,
            sdk::UpdateStatus::Successful => EksUpdateStatus::Successful,
            sdk::UpdateStatus::Failed => EksUpdateStatus::Failed,
            sdk::UpdateStatus::Cancelled => EksUpdateStatus::Cancelled,
            other => EksUpdateStatus::Other(other.as_str().to_owned()),
        },
        created_at: from.created_at.as_ref().and_then(time),
        errors: from
            .errors
            .iter()
            .flatten()
            .map(|error| {
                health_issue(
                    error.error_code.as_ref().map(sdk::ErrorCode::as_str),
                    error.error_message.as_deref(),
                    error.resource_ids.as_ref(),
                )
            })
            .collect(),
    })
}

fn part_status(status: &str) -> PartStatus {
    match status {
        "CREATING" => PartStatus::Creating,
        "ACTIVE" => PartStatus::Active,
        "UPDATING" => PartStatus::Updating,
        "DELETING" => PartStatus::Deleting,
        "CREATE_FAILED" => PartStatus::CreateFailed,
        "UPDATE_FAILED" => PartStatus::UpdateFailed,
        "DELETE_FAILED" => PartStatus::DeleteFailed,
        "DEGRADED" => PartStatus::Degraded,
        other => PartStatus::Other(other.to_owned()),
    }
}

pub(crate) fn nodegroup(from: &sdk::Nodegroup) -> Read<EksNodegroup> {
    let status = from.status.as_ref().ok_or_else(|| Unreadable::without("status"))?;
    let mut taints: Vec<NodeTaint> = from.taints.iter().flatten().filter_map(taint).collect();
    taints.sort_by(|a, b| (&a.key, a.effect.as_sdk().as_str()).cmp(&(&b.key, b.effect.as_sdk().as_str())));
    Ok(EksNodegroup {
        name: required(from.nodegroup_name.as_ref(), "nodegroupName")?,
        status: part_status(status.as_str()),
        version: from.version.as_deref().map(version).transpose()?,
        release_version: from.release_version.clone(),
        ami_type: from.ami_type.as_ref().map(|kind| kind.as_str().to_owned()),
        instance_types: from.instance_types.clone().unwrap_or_default(),
        scaling: from.scaling_config.as_ref().and_then(|scaling| {
            Some(NodeScaling {
                min: scaling.min_size?,
                max: scaling.max_size?,
                desired: scaling.desired_size?,
            })
        }),
        node_role_arn: from.node_role.clone(),
        subnet_ids: set(from.subnets.as_ref()),
        labels: map(from.labels.as_ref()),
        taints,
        launch_template: from
            .launch_template
            .as_ref()
            .and_then(|template| Some((template.id.clone()?, template.version.clone()?))),
        max_unavailable_percent: from
            .update_config
            .as_ref()
            .and_then(|config| config.max_unavailable_percentage),
        tags: map(from.tags.as_ref()),
        health: from
            .health
            .iter()
            .flat_map(|health| health.issues.iter().flatten())
            .map(|issue| {
                health_issue(
                    issue.code.as_ref().map(sdk::NodegroupIssueCode::as_str),
                    issue.message.as_deref(),
                    issue.resource_ids.as_ref(),
                )
            })
            .collect(),
    })
}

fn taint(from: &sdk::Taint) -> Option<NodeTaint> {
    Some(NodeTaint {
        key: from.key.clone()?,
        value: from.value.clone().filter(|value| !value.is_empty()),
        effect: match from.effect.as_ref()? {
            sdk::TaintEffect::NoSchedule => TaintEffect::NoSchedule,
            sdk::TaintEffect::PreferNoSchedule => TaintEffect::PreferNoSchedule,
            sdk::TaintEffect::NoExecute => TaintEffect::NoExecute,
            _ => return None,
        },
    })
}

/// The SDK's word for one of ours.
pub(crate) trait AsSdk {
    /// The SDK's type.
    type Sdk;
    /// The SDK's word.
    fn as_sdk(&self) -> Self::Sdk;
}

impl AsSdk for TaintEffect {
    type Sdk = sdk::TaintEffect;
    fn as_sdk(&self) -> sdk::TaintEffect {
        match self {
            Self::NoSchedule => sdk::TaintEffect::NoSchedule,
            Self::PreferNoSchedule => sdk::TaintEffect::PreferNoSchedule,
            Self::NoExecute => sdk::TaintEffect::NoExecute,
        }
    }
}

impl AsSdk for SupportType {
    type Sdk = sdk::SupportType;
    fn as_sdk(&self) -> sdk::SupportType {
        match self {
            Self::Standard => sdk::SupportType::Standard,
            Self::Extended => sdk::SupportType::Extended,
        }
    }
}

impl AsSdk for EksLogType {
    type Sdk = sdk::LogType;
    fn as_sdk(&self) -> sdk::LogType {
        sdk::LogType::from(self.as_str())
    }
}

pub(crate) fn addon(from: &sdk::Addon) -> Read<EksAddon> {
    let status = from.status.as_ref().ok_or_else(|| Unreadable::without("status"))?;
    Ok(EksAddon {
        name: required(from.addon_name.as_ref(), "addonName")?,
        status: part_status(status.as_str()),
        version: required(from.addon_version.as_ref(), "addonVersion")?,
        // An update cannot take settings away but for setting none, which reads back as an empty object.
        configuration: from.configuration_values.clone().filter(|text| !matches!(text.trim(), "" | "{}")),
        role_arn: from.service_account_role_arn.clone(),
        tags: map(from.tags.as_ref()),
        health: from
            .health
            .iter()
            .flat_map(|health| health.issues.iter().flatten())
            .map(|issue| {
                health_issue(
                    issue.code.as_ref().map(sdk::AddonIssueCode::as_str),
                    issue.message.as_deref(),
                    issue.resource_ids.as_ref(),
                )
            })
            .collect(),
    })
}

pub(crate) fn access_entry(
    from: &sdk::AccessEntry,
    policies: &[sdk::AssociatedAccessPolicy],
) -> Read<EksAccessEntry> {
    let mut policies = policies.iter().map(policy).collect::<Read<Vec<PolicyAssociation>>>()?;
    policies.sort();
    Ok(EksAccessEntry {
        principal_arn: required(from.principal_arn.as_ref(), "principalArn")?,
        kind: from.r#type.clone().unwrap_or_else(|| "STANDARD".to_owned()),
        groups: set(from.kubernetes_groups.as_ref()),
        policies,
        tags: map(from.tags.as_ref()),
    })
}

fn policy(from: &sdk::AssociatedAccessPolicy) -> Read<PolicyAssociation> {
    Ok(PolicyAssociation {
        policy_arn: required(from.policy_arn.as_ref(), "policyArn")?,
        namespaces: set(from.access_scope.as_ref().and_then(|scope| scope.namespaces.as_ref())),
    })
}

pub(crate) fn pod_identity(from: &sdk::PodIdentityAssociation) -> Read<EksPodIdentity> {
    Ok(EksPodIdentity {
        association_id: required(from.association_id.as_ref(), "associationId")?,
        namespace: required(from.namespace.as_ref(), "namespace")?,
        service_account: required(from.service_account.as_ref(), "serviceAccount")?,
        role_arn: required(from.role_arn.as_ref(), "roleArn")?,
        tags: map(from.tags.as_ref()),
    })
}

pub(crate) fn version_offer(from: &sdk::ClusterVersionInformation) -> Read<EksVersionOffer> {
    Ok(EksVersionOffer {
        version: version(&required(from.cluster_version.as_ref(), "clusterVersion")?)?,
        default: from.default_version,
        status: match from.version_status.as_ref().map(sdk::VersionStatus::as_str) {
            Some("STANDARD_SUPPORT") => SupportStatus::Standard,
            Some("EXTENDED_SUPPORT") => SupportStatus::Extended,
            Some(_) => SupportStatus::Unsupported,
            None => return Err(Unreadable::without("versionStatus")),
        },
        end_of_standard: from.end_of_standard_support_date.as_ref().and_then(day),
        end_of_extended: from.end_of_extended_support_date.as_ref().and_then(day),
    })
}

/// The offers of an add-on. Minors that are no Kubernetes minor are left out, as are versions without any.
pub(crate) fn addon_offers(from: &[sdk::AddonVersionInfo]) -> Vec<AddonOffer> {
    from.iter()
        .filter_map(|offer| {
            let runs = |wanted: &dyn Fn(&sdk::Compatibility) -> bool| -> BTreeSet<KubernetesVersion> {
                offer
                    .compatibilities
                    .iter()
                    .flatten()
                    .filter(|one| wanted(one))
                    .filter_map(|one| one.cluster_version.as_deref()?.parse().ok())
                    .collect()
            };
            let runs_on = runs(&|_| true);
            (!runs_on.is_empty()).then_some(AddonOffer {
                version: offer.addon_version.clone()?,
                runs_on,
                default_for: runs(&|one| one.default_version),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_without_a_version_is_unreadable_and_not_of_some_version() {
        let bare = sdk::Cluster::builder().name("c").arn("a").status(sdk::ClusterStatus::Active).build();
        assert_eq!(cluster(&bare), Err(Unreadable::without("version")));
    }

    #[test]
    fn unknown_statuses_keep_their_words() {
        assert_eq!(
            cluster_status(&sdk::ClusterStatus::from("PAUSED")),
            EksClusterStatus::Other("PAUSED".to_owned())
        );
        assert_eq!(part_status("SOMETHING"), PartStatus::Other("SOMETHING".to_owned()));
    }

    #[test]
    fn a_closed_public_endpoint_hides_the_list_that_eks_keeps() {
        let network = sdk::VpcConfigResponse::builder()
            .endpoint_public_access(false)
            .endpoint_private_access(true)
            .public_access_cidrs("0.0.0.0/0")
            .build();
        let from = sdk::Cluster::builder()
            .name("c")
            .arn("a")
            .role_arn("r")
            .version("1.35")
            .status(sdk::ClusterStatus::Active)
            .resources_vpc_config(network)
            .build();
        let cluster = cluster(&from).unwrap();
        assert!(cluster.public_cidrs.is_empty() && !cluster.endpoint_public && cluster.endpoint_private);
    }

    #[test]
    fn settings_that_are_empty_are_none() {
        let with = |text: &str| {
            let from = sdk::Addon::builder()
                .addon_name("coredns")
                .addon_version("v1")
                .status(sdk::AddonStatus::Active)
                .configuration_values(text)
                .build();
            addon(&from).unwrap().configuration
        };
        assert_eq!(with("{}"), None);
        assert_eq!(with(""), None);
        assert_eq!(with("{\"a\":1}"), Some("{\"a\":1}".to_owned()));
    }
}
