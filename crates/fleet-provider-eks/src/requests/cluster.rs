//! Requests about the control plane.

use aws_sdk_eks::{
    Client,
    operation::{
        create_cluster::builders::CreateClusterFluentBuilder,
        update_cluster_config::builders::UpdateClusterConfigFluentBuilder,
    },
    types as sdk,
};
use fleet_api::{
    eks::{ConfigChange, CreateClusterRequest},
    v1alpha1::{AutoMode, EksLogType},
};

use crate::convert::AsSdk;

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

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use fleet_api::{KubernetesVersion, v1alpha1::SupportType};

    use super::*;
    use crate::requests::test_support::{eks, words};

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
}
