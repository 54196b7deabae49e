//! CreateNodegroup, DescribeNodegroup, ListNodegroups, DeleteNodegroup.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::{
    Answer, Call, Input,
    cluster_version::check_active,
    clusters::{check_tags, is_name, trusts_service},
    input::{Repeated, repeated},
    nodegroup_rules::{
        check_labels, check_launch_template, check_release, check_scaling, check_update_config, release,
    },
    updates,
};
use crate::{
    clock::Epoch,
    durations::Work,
    error::ApiError,
    model::{
        CapacityType, ClusterRecord, Health, LaunchTemplateSpec, Minor, NodeRepairConfig, NodeScalingConfig,
        NodeUpdateConfig, Nodegroup, NodegroupRecord, Part, PartStatus, RemoteAccess, Taint,
    },
};

/// Source: docs (service quotas).
const PER_CLUSTER: usize = 30;

/// Source: model. Accelerated and Windows types are offered as in the model.
const AMI_TYPES: [&str; 23] = [
    "AL2_x86_64",
    "AL2_x86_64_GPU",
    "AL2_ARM_64",
    "CUSTOM",
    "BOTTLEROCKET_ARM_64",
    "BOTTLEROCKET_x86_64",
    "BOTTLEROCKET_ARM_64_FIPS",
    "BOTTLEROCKET_x86_64_FIPS",
    "BOTTLEROCKET_ARM_64_NVIDIA",
    "BOTTLEROCKET_x86_64_NVIDIA",
    "BOTTLEROCKET_ARM_64_NVIDIA_FIPS",
    "BOTTLEROCKET_x86_64_NVIDIA_FIPS",
    "WINDOWS_CORE_2019_x86_64",
    "WINDOWS_FULL_2019_x86_64",
    "WINDOWS_CORE_2022_x86_64",
    "WINDOWS_FULL_2022_x86_64",
    "WINDOWS_CORE_2025_x86_64",
    "WINDOWS_FULL_2025_x86_64",
    "AL2023_x86_64_STANDARD",
    "AL2023_ARM_64_STANDARD",
    "AL2023_x86_64_NEURON",
    "AL2023_x86_64_NVIDIA",
    "AL2023_ARM_64_NVIDIA",
];

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreateRequest {
    nodegroup_name: String,
    scaling_config: Option<NodeScalingConfig>,
    disk_size: Option<i32>,
    subnets: Vec<String>,
    instance_types: Option<Vec<String>>,
    ami_type: Option<String>,
    remote_access: Option<RemoteAccess>,
    node_role: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    taints: Vec<Taint>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    client_request_token: Option<String>,
    launch_template: Option<LaunchTemplateSpec>,
    update_config: Option<NodeUpdateConfig>,
    node_repair_config: Option<NodeRepairConfig>,
    capacity_type: Option<CapacityType>,
    version: Option<String>,
    release_version: Option<String>,
}

pub(super) fn create(call: &mut Call<'_>, input: &Input) -> Answer {
    let name = input.path(0).to_owned();
    let request: CreateRequest = input.body()?;
    let idempotency = input.idempotency(request.client_request_token.as_ref());
    let place = |error: ApiError| {
        error.with("clusterName", name.as_str()).with("nodegroupName", request.nodegroup_name.as_str())
    };
    let record = call.cluster(&name)?;
    if let Some(before) = record.nodegroups.get(&request.nodegroup_name) {
        return match repeated(before.idempotency.as_ref(), idempotency.as_ref())? {
            Repeated::Same => Ok(json!({ "nodegroup": before.nodegroup })),
            // Source: issue (text).
            Repeated::No => Err(place(ApiError::resource_in_use(format!(
                "NodeGroup already exists with name {} and cluster name {name}",
                request.nodegroup_name
            )))),
        };
    }
    check_active(record)?;
    let checked = check_create(call, record, &request).map_err(place)?;
    let nodegroup = build(call, &name, request, checked);
    let answer = json!({ "nodegroup": nodegroup });
    let record = NodegroupRecord {
        nodegroup,
        idempotency,
        due: Some(call.due(Work::NodegroupCreate)),
        fails_with: call.planned_create_issue(),
    };
    call.cluster_mut(&name)?.nodegroups.insert(record.nodegroup.nodegroup_name.clone(), record);
    Ok(answer)
}

/// What the checks of a creation found out.
struct Checked {
    version: Minor,
    ami_type: String,
    scaling: NodeScalingConfig,
    launch_template: Option<LaunchTemplateSpec>,
}

fn check_create(
    call: &Call<'_>,
    record: &ClusterRecord,
    request: &CreateRequest,
) -> Result<Checked, ApiError> {
    let refuse = |message: String| Err(ApiError::invalid_parameter(message));
    // Source: docs (63 characters).
    if !is_name(&request.nodegroup_name, 63) {
        return refuse(format!("The node group name `{}` is not valid.", request.nodegroup_name));
    }
    if record.nodegroups.len() >= PER_CLUSTER {
        return Err(ApiError::resource_limit(format!("At most {PER_CLUSTER} node groups per cluster.")));
    }
    // Source: docs; the text: unverified.
    if !trusts_service(call, &request.node_role, "ec2.amazonaws.com") {
        return refuse(format!(
            "The role {} does not exist or does not trust ec2.amazonaws.com.",
            request.node_role
        ));
    }
    if request.subnets.is_empty() {
        return refuse("subnets must not be empty.".to_owned());
    }
    let region = call.seed.region(&call.caller.account, call.region);
    for subnet in &request.subnets {
        match region.and_then(|region| region.subnet(subnet)) {
            // Source: issue (text).
            None => return refuse(format!("The subnet ID '{subnet}' does not exist")),
            Some((vpc, _)) if vpc != record.cluster.resources_vpc_config.vpc_id => {
                return refuse(format!("Subnet {subnet} is not in the VPC of the cluster"));
            }
            Some(_) => {}
        }
    }
    let launch_template = match &request.launch_template {
        Some(spec) => Some(check_launch_template(call, spec)?),
        None => None,
    };
    // Source: docs (what a launch template replaces).
    if launch_template.is_some() && (request.disk_size.is_some() || request.remote_access.is_some()) {
        return refuse("diskSize and remoteAccess cannot be given with a launch template.".to_owned());
    }
    let ami_type = request.ami_type.clone().unwrap_or_else(|| "AL2023_x86_64_STANDARD".to_owned());
    if !AMI_TYPES.contains(&ami_type.as_str()) {
        return refuse(format!("`{ami_type}` is not an AMI type."));
    }
    let version =
        check_release(record, request.version.as_deref(), request.release_version.as_deref(), &ami_type)?;
    let scaling = request.scaling_config.unwrap_or(NodeScalingConfig {
        min_size: Some(1),
        max_size: Some(2),
        desired_size: Some(2),
    });
    check_scaling(&scaling)?;
    check_update_config(request.update_config.as_ref())?;
    check_labels(&request.labels)?;
    check_tags(&request.tags)?;
    Ok(Checked { version, ami_type, scaling, launch_template })
}

fn build(call: &mut Call<'_>, cluster: &str, request: CreateRequest, checked: Checked) -> Nodegroup {
    let id = call.id();
    let with_template = checked.launch_template.is_some();
    Nodegroup {
        nodegroup_arn: call.arn(&format!("nodegroup/{cluster}/{}/{id}", request.nodegroup_name)),
        nodegroup_name: request.nodegroup_name,
        cluster_name: cluster.to_owned(),
        version: checked.version,
        release_version: request
            .release_version
            .unwrap_or_else(|| release(checked.version, &checked.ami_type)),
        created_at: Epoch(call.now),
        modified_at: Epoch(call.now),
        status: PartStatus::Creating,
        capacity_type: request.capacity_type.unwrap_or_default(),
        scaling_config: checked.scaling,
        // Source: docs (t3.medium unless the template or the request says otherwise).
        instance_types: match request.instance_types {
            None if with_template => None,
            None => Some(vec!["t3.medium".to_owned()]),
            given => given,
        },
        subnets: request.subnets,
        remote_access: request.remote_access,
        ami_type: checked.ami_type,
        node_role: request.node_role,
        labels: request.labels,
        taints: request.taints,
        resources: None,
        disk_size: (!with_template).then(|| request.disk_size.unwrap_or(20)),
        health: Health::default(),
        update_config: request
            .update_config
            .unwrap_or_else(|| NodeUpdateConfig { max_unavailable: Some(1), ..NodeUpdateConfig::default() }),
        node_repair_config: request.node_repair_config,
        launch_template: checked.launch_template,
        tags: request.tags,
    }
}

/// A node group of a cluster.
pub(super) fn find<'r>(record: &'r ClusterRecord, name: &str) -> Result<&'r NodegroupRecord, ApiError> {
    // Source: issue (text).
    record.nodegroups.get(name).ok_or_else(|| {
        ApiError::resource_not_found(format!("No node group found for name: {name}."))
            .with("clusterName", record.cluster.name.as_str())
            .with("nodegroupName", name)
    })
}

pub(super) fn describe(call: &mut Call<'_>, input: &Input) -> Answer {
    Ok(json!({ "nodegroup": find(call.cluster(input.path(0))?, input.path(1))?.nodegroup }))
}

pub(super) fn list(call: &mut Call<'_>, input: &Input) -> Answer {
    let names = call.cluster(input.path(0))?.nodegroups.keys();
    input.page("nodegroups", names.map(|name| (name.clone(), name.clone())).collect())
}

pub(super) fn delete(call: &mut Call<'_>, input: &Input) -> Answer {
    let (cluster, name) = (input.path(0), input.path(1));
    let record = call.cluster(cluster)?;
    find(record, name)?;
    updates::check_idle(record, &Part::Nodegroup(name.to_owned()), "delete")?;
    let due = call.due(Work::NodegroupDelete);
    let record = call.cluster_mut(cluster)?;
    let Some(state) = record.nodegroups.get_mut(name) else { return Ok(json!({})) };
    if state.nodegroup.status != PartStatus::Deleting {
        state.nodegroup.status = PartStatus::Deleting;
        state.due = Some(due);
    }
    Ok(json!({ "nodegroup": state.nodegroup }))
}
