//! Requests about node groups.

use aws_sdk_eks::{
    Client,
    operation::{
        create_nodegroup::builders::CreateNodegroupFluentBuilder,
        update_nodegroup_config::builders::UpdateNodegroupConfigFluentBuilder,
        update_nodegroup_version::builders::UpdateNodegroupVersionFluentBuilder,
    },
    types as sdk,
};
use fleet_api::{KubernetesVersion, eks::NodegroupRequest, v1alpha1::NodeTaint};

use crate::convert::AsSdk;

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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use fleet_api::v1alpha1::NodeScaling;

    use super::*;
    use crate::requests::test_support::{eks, words};

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
}
