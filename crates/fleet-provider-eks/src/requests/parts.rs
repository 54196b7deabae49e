//! Requests about add-ons, access entries and pod identities.

use aws_sdk_eks::{
    Client,
    operation::{
        create_access_entry::builders::CreateAccessEntryFluentBuilder,
        create_addon::builders::CreateAddonFluentBuilder,
        create_pod_identity_association::builders::CreatePodIdentityAssociationFluentBuilder,
        update_addon::builders::UpdateAddonFluentBuilder,
    },
    types as sdk,
};
use fleet_api::eks::{AccessEntryRequest, AddonRequest, PodIdentityRequest, PolicyAssociation};

/// Settings of an add-on that mean: none. Leaving them out would keep the old ones.
const NO_SETTINGS: &str = "{}";

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
    use std::collections::BTreeMap;

    use super::*;
    use crate::requests::test_support::eks;

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
