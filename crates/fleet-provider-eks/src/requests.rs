//! From steps to requests of the SDK: pure, one function for each action that takes more than a name.

use aws_sdk_eks::{
    Client,
    operation::{
        create_access_entry::builders::CreateAccessEntryFluentBuilder,
        create_addon::builders::CreateAddonFluentBuilder,
        create_cluster::builders::CreateClusterFluentBuilder,
        create_nodegroup::builders::CreateNodegroupFluentBuilder,
        create_pod_identity_association::builders::CreatePodIdentityAssociationFluentBuilder,
        update_addon::builders::UpdateAddonFluentBuilder,
        update_cluster_config::builders::UpdateClusterConfigFluentBuilder,
        update_nodegroup_config::builders::UpdateNodegroupConfigFluentBuilder,
        update_nodegroup_version::builders::UpdateNodegroupVersionFluentBuilder,
    },
    types as sdk,
};
use fleet_api::{
    KubernetesVersion,
    eks::{
        AccessEntryRequest, AddonRequest, ConfigChange, CreateClusterRequest, NodegroupRequest,
        PodIdentityRequest, PolicyAssociation,
    },
    v1alpha1::{AutoMode, EksLogType, NodeTaint},
};

use crate::convert::AsSdk;

/// Settings of an add-on that mean: none. Leaving them out would keep the old ones.
const NO_SETTINGS: &str = "{}";

pub(crate) fn create_cluster(
    eks: &Client,
    name: &str,
    request: &CreateClusterRequest,
    token: &str,
) -> CreateClusterFluentBuilder {
    let CreateClusterRequest {
        version,
        role_arn,
        subnet_ids,
        security_group_ids,
        public_cidrs,
        service_cidr,
        kms_key_arn,
        logging,
        support_type,
        deletion_protection,
        auto_mode,
        tags,
    } = request;
    let network = endpoint(public_cidrs.iter())
        .set_subnet_ids(Some(subnet_ids.iter().cloned().collect()))
        .set_security_group_ids(Some(security_group_ids.iter().cloned().collect()))
        .build();
    let mut call = eks
        .create_cluster()
        .name(name)
        .version(version.to_string())
        .role_arn(role_arn)
        .resources_vpc_config(network)
        .client_request_token(token)
        .set_tags(Some(tags.clone().into_iter().collect()))
        // Access goes by access entries alone, and whoever creates the cluster is nobody in it: the entries of
        // the plan say who is.
        .access_config(
            sdk::CreateAccessConfigRequest::builder()
                .authentication_mode(sdk::AuthenticationMode::Api)
                .bootstrap_cluster_creator_admin_permissions(false)
                .build(),
        )
        // Add-ons are EKS add-ons from the start, so that their versions can be managed.
        .bootstrap_self_managed_addons(false)
        .upgrade_policy(sdk::UpgradePolicyRequest::builder().support_type(support_type.as_sdk()).build())
        .deletion_protection(*deletion_protection)
        .logging(logs(logging.iter()));
    if let Some(key) = kms_key_arn {
        call = call.encryption_config(secrets_under(key));
    }
    let mut kubernetes = sdk::KubernetesNetworkConfigRequest::builder();
    if let Some(cidr) = service_cidr {
        kubernetes = kubernetes.service_ipv4_cidr(cidr);
    }
    match auto_mode {
        Some(auto_mode) => call
            .compute_config(compute(Some(auto_mode)))
            .storage_config(storage(true))
            .kubernetes_network_config(kubernetes.elastic_load_balancing(balancing(true)).build()),
        None if service_cidr.is_some() => call.kubernetes_network_config(kubernetes.build()),
        None => call,
    }
}

pub(crate) fn update_config(
    eks: &Client,
    name: &str,
    change: &ConfigChange,
    token: &str,
) -> UpdateClusterConfigFluentBuilder {
    let call = eks.update_cluster_config().name(name).client_request_token(token);
    match change {
        ConfigChange::Endpoint { public_cidrs } => {
            call.resources_vpc_config(endpoint(public_cidrs.iter()).build())
        }
        ConfigChange::Network { subnet_ids, security_group_ids } => call.resources_vpc_config(
            sdk::VpcConfigRequest::builder()
                .set_subnet_ids(Some(subnet_ids.iter().cloned().collect()))
                .set_security_group_ids(Some(security_group_ids.iter().cloned().collect()))
                .build(),
        ),
        ConfigChange::Logging(kinds) => call.logging(logs(kinds.iter())),
        ConfigChange::SupportType(support) => {
            call.upgrade_policy(sdk::UpgradePolicyRequest::builder().support_type(support.as_sdk()).build())
        }
        ConfigChange::DeletionProtection(on) => call.deletion_protection(*on),
        // EKS takes the three together or refuses.
        ConfigChange::AutoMode(auto_mode) => call
            .compute_config(compute(auto_mode.as_ref()))
            .storage_config(storage(auto_mode.is_some()))
            .kubernetes_network_config(
                sdk::KubernetesNetworkConfigRequest::builder()
                    .elastic_load_balancing(balancing(auto_mode.is_some()))
                    .build(),
            ),
    }
}

#[expect(deprecated, reason = "EKS encrypts everything by now, and still demands the word of old")]
fn secrets_under(key_arn: &str) -> sdk::EncryptionConfig {
    let provider = sdk::Provider::builder().key_arn(key_arn).build();
    sdk::EncryptionConfig::builder().resources("secrets").provider(provider).build()
}

/// The private endpoint is always on; the public one only for named networks.
fn endpoint<'a>(public_cidrs: impl Iterator<Item = &'a String>) -> sdk::builders::VpcConfigRequestBuilder {
    let cidrs: Vec<String> = public_cidrs.cloned().collect();
    let network = sdk::VpcConfigRequest::builder()
        .endpoint_private_access(true)
        .endpoint_public_access(!cidrs.is_empty());
    if cidrs.is_empty() { network } else { network.set_public_access_cidrs(Some(cidrs)) }
}

/// These kinds of logs on, and all others off.
fn logs<'a>(wanted: impl Iterator<Item = &'a EksLogType>) -> sdk::Logging {
    let wanted: Vec<EksLogType> = wanted.copied().collect();
    let (on, off): (Vec<_>, Vec<_>) = EksLogType::all().into_iter().partition(|kind| wanted.contains(kind));
    let setup = |kinds: Vec<EksLogType>, enabled: bool| {
        (!kinds.is_empty()).then(|| {
            sdk::LogSetup::builder()
                .set_types(Some(kinds.iter().map(AsSdk::as_sdk).collect()))
                .enabled(enabled)
                .build()
        })
    };
    let setups = [setup(on, true), setup(off, false)].into_iter().flatten().collect();
    sdk::Logging::builder().set_cluster_logging(Some(setups)).build()
}

fn compute(auto_mode: Option<&AutoMode>) -> sdk::ComputeConfigRequest {
    let compute = sdk::ComputeConfigRequest::builder().enabled(auto_mode.is_some());
    match auto_mode {
        Some(AutoMode { node_role_arn, node_pools }) => {
            compute.node_role_arn(node_role_arn).set_node_pools(Some(node_pools.clone())).build()
        }
        None => compute.build(),
    }
}

fn storage(enabled: bool) -> sdk::StorageConfigRequest {
    let block = sdk::BlockStorage::builder().enabled(enabled).build();
    sdk::StorageConfigRequest::builder().block_storage(block).build()
}

fn balancing(enabled: bool) -> sdk::ElasticLoadBalancing {
    sdk::ElasticLoadBalancing::builder().enabled(enabled).build()
}

pub(crate) fn create_nodegroup(
    eks: &Client,
    cluster: &str,
    request: &NodegroupRequest,
    token: &str,
) -> CreateNodegroupFluentBuilder {
    let NodegroupRequest {
        name,
        version,
        ami_type,
        instance_types,
        scaling: _,
        node_role_arn,
        subnet_ids,
        labels,
        taints,
        remove_labels: _,
        remove_taints: _,
        launch_template,
        max_unavailable_percent: _,
        tags,
    } = request;
    eks.create_nodegroup()
        .cluster_name(cluster)
        .nodegroup_name(name)
        .version(version.to_string())
        .ami_type(sdk::AmiTypes::from(ami_type.as_str()))
        .set_instance_types(Some(instance_types.clone()))
        .scaling_config(scaling(request))
        .node_role(node_role_arn)
        .set_subnets(Some(subnet_ids.iter().cloned().collect()))
        .set_labels(Some(labels.clone().into_iter().collect()))
        .set_taints((!taints.is_empty()).then(|| taints.iter().map(taint).collect()))
        .launch_template(template(launch_template))
        .update_config(pace(request))
        .set_tags(Some(tags.clone().into_iter().collect()))
        .client_request_token(token)
}

pub(crate) fn update_nodegroup_config(
    eks: &Client,
    cluster: &str,
    request: &NodegroupRequest,
    token: &str,
) -> UpdateNodegroupConfigFluentBuilder {
    let mut call = eks
        .update_nodegroup_config()
        .cluster_name(cluster)
        .nodegroup_name(&request.name)
        .scaling_config(scaling(request))
        .update_config(pace(request))
        .client_request_token(token);
    if !request.labels.is_empty() || !request.remove_labels.is_empty() {
        let labels = sdk::UpdateLabelsPayload::builder()
            .set_add_or_update_labels(
                (!request.labels.is_empty()).then(|| request.labels.clone().into_iter().collect()),
            )
            .set_remove_labels(
                (!request.remove_labels.is_empty()).then(|| request.remove_labels.iter().cloned().collect()),
            );
        call = call.labels(labels.build());
    }
    if !request.taints.is_empty() || !request.remove_taints.is_empty() {
        let taints = sdk::UpdateTaintsPayload::builder()
            .set_add_or_update_taints(
                (!request.taints.is_empty()).then(|| request.taints.iter().map(taint).collect()),
            )
            .set_remove_taints(
                (!request.remove_taints.is_empty())
                    .then(|| request.remove_taints.iter().map(taint).collect()),
            );
        call = call.taints(taints.build());
    }
    call
}

pub(crate) fn update_nodegroup_version(
    eks: &Client,
    cluster: &str,
    name: &str,
    to: KubernetesVersion,
    launch_template: Option<&(String, String)>,
    token: &str,
) -> UpdateNodegroupVersionFluentBuilder {
    // Never forced: a budget that stops a drain is the tenant's word, and is reported.
    eks.update_nodegroup_version()
        .cluster_name(cluster)
        .nodegroup_name(name)
        .version(to.to_string())
        .set_launch_template(launch_template.map(template))
        .client_request_token(token)
}

fn scaling(request: &NodegroupRequest) -> sdk::NodegroupScalingConfig {
    sdk::NodegroupScalingConfig::builder()
        .min_size(request.scaling.min)
        .max_size(request.scaling.max)
        .desired_size(request.scaling.desired)
        .build()
}

fn pace(request: &NodegroupRequest) -> sdk::NodegroupUpdateConfig {
    sdk::NodegroupUpdateConfig::builder().max_unavailable_percentage(request.max_unavailable_percent).build()
}

fn template((id, version): &(String, String)) -> sdk::LaunchTemplateSpecification {
    sdk::LaunchTemplateSpecification::builder().id(id).version(version).build()
}

fn taint(from: &NodeTaint) -> sdk::Taint {
    sdk::Taint::builder().key(&from.key).set_value(from.value.clone()).effect(from.effect.as_sdk()).build()
}

pub(crate) fn create_addon(
    eks: &Client,
    cluster: &str,
    request: &AddonRequest,
    token: &str,
) -> CreateAddonFluentBuilder {
    let AddonRequest { name, version, configuration, role_arn, tags } = request;
    eks.create_addon()
        .cluster_name(cluster)
        .addon_name(name)
        .addon_version(version)
        .set_configuration_values(configuration.clone())
        .set_service_account_role_arn(role_arn.clone())
        .resolve_conflicts(sdk::ResolveConflicts::Overwrite)
        .set_tags(Some(tags.clone().into_iter().collect()))
        .client_request_token(token)
}

pub(crate) fn update_addon(
    eks: &Client,
    cluster: &str,
    request: &AddonRequest,
    token: &str,
) -> UpdateAddonFluentBuilder {
    let AddonRequest { name, version, configuration, role_arn, tags: _ } = request;
    eks.update_addon()
        .cluster_name(cluster)
        .addon_name(name)
        .addon_version(version)
        .configuration_values(configuration.as_deref().unwrap_or(NO_SETTINGS))
        .set_service_account_role_arn(role_arn.clone())
        .resolve_conflicts(sdk::ResolveConflicts::Overwrite)
        .client_request_token(token)
}

pub(crate) fn create_access_entry(
    eks: &Client,
    cluster: &str,
    request: &AccessEntryRequest,
    token: &str,
) -> CreateAccessEntryFluentBuilder {
    let AccessEntryRequest { principal_arn, groups, policies: _, tags } = request;
    eks.create_access_entry()
        .cluster_name(cluster)
        .principal_arn(principal_arn)
        .r#type("STANDARD")
        .set_kubernetes_groups(Some(groups.iter().cloned().collect()))
        .set_tags(Some(tags.clone().into_iter().collect()))
        .client_request_token(token)
}

pub(crate) fn access_scope(policy: &PolicyAssociation) -> sdk::AccessScope {
    if policy.namespaces.is_empty() {
        return sdk::AccessScope::builder().r#type(sdk::AccessScopeType::Cluster).build();
    }
    sdk::AccessScope::builder()
        .r#type(sdk::AccessScopeType::Namespace)
        .set_namespaces(Some(policy.namespaces.iter().cloned().collect()))
        .build()
}

pub(crate) fn create_pod_identity(
    eks: &Client,
    cluster: &str,
    request: &PodIdentityRequest,
    token: &str,
) -> CreatePodIdentityAssociationFluentBuilder {
    let PodIdentityRequest { namespace, service_account, role_arn, tags } = request;
    eks.create_pod_identity_association()
        .cluster_name(cluster)
        .namespace(namespace)
        .service_account(service_account)
        .role_arn(role_arn)
        .set_tags(Some(tags.clone().into_iter().collect()))
        .client_request_token(token)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use aws_sdk_eks::config::BehaviorVersion;
    use fleet_api::v1alpha1::{NodeScaling, SupportType};

    use super::*;

    fn eks() -> Client {
        Client::from_conf(aws_sdk_eks::Config::builder().behavior_version(BehaviorVersion::latest()).build())
    }

    fn words(items: &[&str]) -> BTreeSet<String> {
        items.iter().map(|item| (*item).to_owned()).collect()
    }

    fn cluster(auto_mode: Option<AutoMode>) -> CreateClusterRequest {
        CreateClusterRequest {
            version: KubernetesVersion::from_minor(35),
            role_arn: "role".to_owned(),
            subnet_ids: words(&["subnet-a", "subnet-b"]),
            security_group_ids: words(&["sg"]),
            public_cidrs: BTreeSet::new(),
            service_cidr: None,
            kms_key_arn: Some("key".to_owned()),
            logging: [EksLogType::Audit].into(),
            support_type: SupportType::Extended,
            deletion_protection: true,
            auto_mode,
            tags: BTreeMap::from([("owner".to_owned(), "uid".to_owned())]),
        }
    }

    #[test]
    fn a_cluster_is_private_and_nobodys_until_entries_say_otherwise() {
        let call = create_cluster(&eks(), "acme", &cluster(None), "token");
        let input = call.as_input().clone().build().unwrap();
        assert_eq!((input.name(), input.version()), (Some("acme"), Some("1.35")));
        assert_eq!(input.client_request_token(), Some("token"));
        assert_eq!(input.bootstrap_self_managed_addons(), Some(false));
        assert_eq!(input.deletion_protection(), Some(true));
        let access = input.access_config().unwrap();
        assert_eq!(access.authentication_mode(), Some(&sdk::AuthenticationMode::Api));
        assert_eq!(access.bootstrap_cluster_creator_admin_permissions(), Some(false));
        let network = input.resources_vpc_config().unwrap();
        assert_eq!(network.endpoint_private_access(), Some(true));
        assert_eq!(network.endpoint_public_access(), Some(false));
        assert_eq!(network.public_access_cidrs(), [] as [String; 0]);
        let provider = input.encryption_config()[0].provider().unwrap();
        assert_eq!(provider.key_arn(), Some("key"));
        assert!(input.compute_config().is_none() && input.kubernetes_network_config().is_none());
        let logs = input.logging().unwrap().cluster_logging();
        assert_eq!((logs[0].enabled(), logs[0].types()), (Some(true), &[sdk::LogType::Audit][..]));
        assert_eq!((logs[1].enabled(), logs[1].types().len()), (Some(false), 4));
    }

    #[test]
    fn auto_mode_is_switched_in_three_places_at_once() {
        let auto_mode =
            AutoMode { node_role_arn: "node".to_owned(), node_pools: vec!["general-purpose".to_owned()] };
        let call = create_cluster(&eks(), "acme", &cluster(Some(auto_mode)), "token");
        let input = call.as_input().clone().build().unwrap();
        let switches = |compute: Option<&sdk::ComputeConfigRequest>,
                        storage: Option<&sdk::StorageConfigRequest>,
                        network: Option<&sdk::KubernetesNetworkConfigRequest>| {
            [
                compute.and_then(|compute| compute.enabled()),
                storage.and_then(|storage| storage.block_storage()?.enabled()),
                network.and_then(|network| network.elastic_load_balancing()?.enabled()),
            ]
        };
        assert_eq!(
            switches(input.compute_config(), input.storage_config(), input.kubernetes_network_config()),
            [Some(true); 3]
        );
        let off = update_config(&eks(), "acme", &ConfigChange::AutoMode(None), "token");
        let input = off.as_input().clone().build().unwrap();
        assert_eq!(
            switches(input.compute_config(), input.storage_config(), input.kubernetes_network_config()),
            [Some(false); 3]
        );
    }

    #[test]
    fn a_change_of_settings_carries_one_kind_alone() {
        let changes = [
            ConfigChange::Endpoint { public_cidrs: words(&["203.0.113.0/24"]) },
            ConfigChange::Network { subnet_ids: words(&["a", "b"]), security_group_ids: BTreeSet::new() },
            ConfigChange::Logging(BTreeSet::new()),
            ConfigChange::SupportType(SupportType::Standard),
            ConfigChange::DeletionProtection(false),
            ConfigChange::AutoMode(None),
        ];
        for change in changes {
            let input = update_config(&eks(), "acme", &change, "token").as_input().clone().build().unwrap();
            let kinds = [
                input.resources_vpc_config().is_some(),
                input.logging().is_some(),
                input.upgrade_policy().is_some(),
                input.deletion_protection().is_some(),
                input.compute_config().is_some(),
            ];
            assert_eq!(kinds.iter().filter(|kind| **kind).count(), 1, "{change:?}");
        }
    }

    #[test]
    fn a_node_group_takes_its_disk_from_the_template_and_loses_labels_by_name() {
        let request = NodegroupRequest {
            name: "workers".to_owned(),
            version: KubernetesVersion::from_minor(35),
            ami_type: "BOTTLEROCKET_x86_64".to_owned(),
            instance_types: vec!["m7i.large".to_owned()],
            scaling: NodeScaling { min: 1, max: 3, desired: 2 },
            node_role_arn: "node".to_owned(),
            subnet_ids: words(&["subnet-a"]),
            labels: BTreeMap::new(),
            taints: Vec::new(),
            remove_labels: words(&["old"]),
            remove_taints: Vec::new(),
            launch_template: ("lt-1".to_owned(), "2".to_owned()),
            max_unavailable_percent: 33,
            tags: BTreeMap::new(),
        };
        let call = create_nodegroup(&eks(), "acme", &request, "token");
        let input = call.as_input().clone().build().unwrap();
        assert_eq!(
            (input.disk_size(), input.remote_access()),
            (None, None),
            "EKS refuses them beside a template"
        );
        let template = input.launch_template().unwrap();
        assert_eq!((template.id(), template.version()), (Some("lt-1"), Some("2")));
        let call = update_nodegroup_config(&eks(), "acme", &request, "token");
        let input = call.as_input().clone().build().unwrap();
        assert_eq!(input.labels().unwrap().remove_labels(), ["old"]);
        assert!(input.taints().is_none());
    }

    #[test]
    fn settings_that_an_add_on_should_lose_are_sent_as_none() {
        let request = AddonRequest {
            name: "coredns".to_owned(),
            version: "v1".to_owned(),
            configuration: None,
            role_arn: None,
            tags: BTreeMap::new(),
        };
        let update = update_addon(&eks(), "acme", &request, "token").as_input().clone().build().unwrap();
        assert_eq!(update.configuration_values(), Some("{}"));
        let create = create_addon(&eks(), "acme", &request, "token").as_input().clone().build().unwrap();
        assert_eq!(create.configuration_values(), None);
    }
}
