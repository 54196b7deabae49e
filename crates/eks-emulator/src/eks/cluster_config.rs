//! UpdateClusterConfig: one kind of change per call, and never none.

use serde::Deserialize;

use super::{
    Answer, Call, Input,
    cluster_version::check_active,
    clusters::{check_tier, whole_logging},
    network::{self, VpcRequest, check_endpoint, check_security_groups, check_subnets},
    updates::{self, Begin},
};
use crate::{
    durations::Work,
    error::ApiError,
    model::{
        AuthenticationMode, Change, Cluster, ComputeConfig, Logging, Minor, NetworkConfig, Part,
        RemoteNetworkConfig, ScalingConfig, StorageConfig, SupportType, UpgradePolicy, ZonalShiftConfig,
    },
};

/// The members of `UpdateClusterConfigRequest` that the emulator carries.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ConfigRequest {
    resources_vpc_config: Option<VpcRequest>,
    logging: Option<Logging>,
    client_request_token: Option<String>,
    access_config: Option<UpdateAccess>,
    upgrade_policy: Option<UpgradePolicy>,
    zonal_shift_config: Option<ZonalShiftConfig>,
    compute_config: Option<ComputeConfig>,
    kubernetes_network_config: Option<NetworkConfig>,
    storage_config: Option<StorageConfig>,
    remote_network_config: Option<RemoteNetworkConfig>,
    deletion_protection: Option<bool>,
    control_plane_scaling_config: Option<ScalingConfig>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UpdateAccess {
    authentication_mode: Option<AuthenticationMode>,
}

/// One kind of change, as the live service names it.
struct Kind {
    name: &'static str,
    change: Change,
    params: Vec<(&'static str, String)>,
}

pub(super) fn update(call: &mut Call<'_>, input: &Input) -> Answer {
    let name = input.path(0).to_owned();
    let request: ConfigRequest = input.body()?;
    let idempotency = input.idempotency(request.client_request_token.as_ref());
    let record = call.cluster(&name)?;
    if let Some(answer) = updates::begun_before(record, idempotency.as_ref())? {
        return Ok(answer);
    }
    let kind =
        the_kind(call, &record.cluster, request).map_err(|error| error.with("clusterName", name.as_str()))?;
    updates::check_idle(record, &Part::Cluster, kind.name)?;
    check_active(record)?;
    updates::begin(
        call,
        &name,
        Begin {
            kind: kind.name,
            part: Part::Cluster,
            change: kind.change,
            params: kind.params,
            work: Work::ClusterConfig,
            before: None,
            idempotency,
        },
    )
}

/// The one kind of change that a request asks for. Source: issue ("Only one type of update can be allowed").
fn the_kind(call: &Call<'_>, cluster: &Cluster, request: ConfigRequest) -> Result<Kind, ApiError> {
    let auto_mode = request.compute_config.is_some()
        || request.storage_config.is_some()
        || request.kubernetes_network_config.is_some();
    let vpc = request.resources_vpc_config.unwrap_or_default();
    let mut kinds = Vec::new();
    if vpc.changes_endpoint() {
        kinds.push(endpoint(cluster, &vpc));
    }
    if vpc.changes_network() {
        kinds.push(subnets(call, cluster, &vpc));
    }
    if let Some(logging) = request.logging {
        kinds.push(logs(cluster, &logging));
    }
    if let Some(access) = request.access_config {
        kinds.push(authentication(cluster, access.authentication_mode));
    }
    if let Some(policy) = request.upgrade_policy {
        kinds.push(support(call, cluster, policy));
    }
    if let Some(config) = request.zonal_shift_config {
        kinds.push(zonal_shift(cluster, config));
    }
    if auto_mode {
        let load_balancing = request.kubernetes_network_config.unwrap_or_default();
        kinds.push(auto(call, cluster, request.compute_config, request.storage_config, &load_balancing));
    }
    if let Some(config) = request.remote_network_config {
        kinds.push(remote_network(cluster, config));
    }
    if let Some(on) = request.deletion_protection {
        kinds.push(deletion_protection(cluster, on));
    }
    if let Some(config) = request.control_plane_scaling_config {
        kinds.push(scaling(cluster, config));
    }
    if kinds.len() > 1 {
        return Err(ApiError::invalid_parameter("Only one type of update can be allowed."));
    }
    // Source: unverified (text).
    kinds.pop().unwrap_or_else(|| Err(ApiError::invalid_parameter("No changes were given.")))
}

/// Source of refusing what changes nothing: issue. Its text differs by kind; where none is quoted, this one is used.
fn same<T: PartialEq>(before: &T, after: &T) -> Result<(), ApiError> {
    match before == after {
        true => Err(ApiError::invalid_parameter("Cluster is already at the desired configuration")),
        false => Ok(()),
    }
}

fn endpoint(cluster: &Cluster, request: &VpcRequest) -> Result<Kind, ApiError> {
    let before = &cluster.resources_vpc_config;
    let mut after = before.clone();
    after.endpoint_public_access = request.endpoint_public_access.unwrap_or(before.endpoint_public_access);
    after.endpoint_private_access = request.endpoint_private_access.unwrap_or(before.endpoint_private_access);
    if let Some(cidrs) = &request.public_access_cidrs {
        after.public_access_cidrs.clone_from(cidrs);
    }
    if !after.endpoint_public_access {
        after.public_access_cidrs.clear();
    } else if after.public_access_cidrs.is_empty() {
        after.public_access_cidrs = vec!["0.0.0.0/0".to_owned()];
    }
    check_endpoint(&after)?;
    if *before == after {
        // Source: issue (text).
        return Err(ApiError::invalid_parameter(format!(
            "Cluster is already at the desired configuration with endpointPrivateAccess: {} , endpointPublicAccess: \
             {}, and Public Endpoint Restrictions: [{}]",
            after.endpoint_private_access,
            after.endpoint_public_access,
            after.public_access_cidrs.join(", ")
        )));
    }
    let params = vec![
        ("EndpointPublicAccess", after.endpoint_public_access.to_string()),
        ("EndpointPrivateAccess", after.endpoint_private_access.to_string()),
        ("PublicAccessCidrs", json_text(&after.public_access_cidrs)),
    ];
    Ok(Kind { name: "EndpointAccessUpdate", change: Change::Vpc(after), params })
}

fn subnets(call: &Call<'_>, cluster: &Cluster, request: &VpcRequest) -> Result<Kind, ApiError> {
    let before = &cluster.resources_vpc_config;
    let mut after = before.clone();
    if let Some(subnets) = &request.subnet_ids {
        after.subnet_ids.clone_from(subnets);
    }
    if let Some(groups) = &request.security_group_ids {
        after.security_group_ids.clone_from(groups);
    }
    // Source: docs ("You can't change which VPC the subnets are from").
    if check_subnets(call, &after.subnet_ids)? != before.vpc_id {
        return Err(ApiError::invalid_parameter(format!("Subnets must be in the VPC {}.", before.vpc_id)));
    }
    check_security_groups(call, &after.security_group_ids, &before.vpc_id)?;
    same(before, &after)?;
    let params = vec![
        ("Subnets", json_text(&after.subnet_ids)),
        ("SecurityGroups", json_text(&after.security_group_ids)),
    ];
    Ok(Kind { name: "VpcConfigUpdate", change: Change::Vpc(after), params })
}

fn logs(cluster: &Cluster, request: &Logging) -> Result<Kind, ApiError> {
    let after = whole_logging(Some(request), Some(&cluster.logging));
    if after == cluster.logging {
        // Source: issue (text).
        return Err(ApiError::invalid_parameter("No changes needed for the logging config provided"));
    }
    let params = vec![("ClusterLogging", json_text(&after))];
    Ok(Kind { name: "LoggingUpdate", change: Change::Logging(after), params })
}

fn authentication(cluster: &Cluster, mode: Option<AuthenticationMode>) -> Result<Kind, ApiError> {
    let before = cluster.access_config.authentication_mode;
    let after = mode.unwrap_or(before);
    same(&before, &after)?;
    // Source: docs (the way to access entries goes one way).
    if after < before {
        return Err(ApiError::invalid_parameter("The authentication mode cannot go back."));
    }
    let params = vec![("AuthenticationMode", json_text(&after).trim_matches('"').to_owned())];
    Ok(Kind { name: "AccessConfigUpdate", change: Change::Access(after), params })
}

fn support(call: &Call<'_>, cluster: &Cluster, policy: UpgradePolicy) -> Result<Kind, ApiError> {
    same(&cluster.upgrade_policy, &policy)?;
    let version: Minor = cluster.version;
    let state = super::catalogue::version(version).map(|offer| offer.support(call.now));
    // Source: unverified.
    if policy.support_type == SupportType::Standard && state == Some(super::catalogue::Support::Extended) {
        return Err(ApiError::invalid_parameter(format!(
            "Version {version} is in extended support: the support type cannot be STANDARD."
        )));
    }
    let params = vec![("UpgradePolicy", json_text(&policy))];
    Ok(Kind { name: "UpgradePolicyUpdate", change: Change::Upgrade(policy), params })
}

fn zonal_shift(cluster: &Cluster, config: ZonalShiftConfig) -> Result<Kind, ApiError> {
    same(&cluster.zonal_shift_config.unwrap_or(ZonalShiftConfig { enabled: false }), &config)?;
    let params = vec![("ZonalShiftConfig", json_text(&config))];
    Ok(Kind { name: "ZonalShiftConfigUpdate", change: Change::ZonalShift(config), params })
}

fn auto(
    call: &Call<'_>,
    cluster: &Cluster,
    compute: Option<ComputeConfig>,
    storage: Option<StorageConfig>,
    network: &NetworkConfig,
) -> Result<Kind, ApiError> {
    // Source: docs (the range of Services and the IP family are for life).
    if network.service_ipv4_cidr.is_some() || network.ip_family.is_some() {
        return Err(ApiError::invalid_parameter("serviceIpv4Cidr and ipFamily cannot be changed."));
    }
    let load_balancing = network.elastic_load_balancing;
    network::auto_mode_switch(compute.as_ref(), storage.as_ref(), load_balancing.as_ref())?;
    network::check_auto_mode_nodes(call, compute.as_ref())?;
    let compute = compute.unwrap_or_default();
    let before = cluster.compute_config.clone().unwrap_or_default();
    // Source: docs (the role of the nodes is for as long as Auto Mode is on).
    if cluster.auto_mode()
        && compute.enabled == Some(true)
        && before.node_role_arn.is_some()
        && compute.node_role_arn.is_some()
        && compute.node_role_arn != before.node_role_arn
    {
        return Err(ApiError::invalid_parameter(
            "nodeRoleArn cannot be changed while EKS Auto Mode is enabled.",
        ));
    }
    let after = ComputeConfig {
        enabled: compute.enabled,
        node_pools: compute.node_pools.or_else(|| before.node_pools.clone()),
        node_role_arn: compute.node_role_arn.or_else(|| before.node_role_arn.clone()),
    };
    let off = |config: &ComputeConfig| config.enabled != Some(true);
    if off(&before) && off(&after) {
        return Err(ApiError::invalid_parameter("Cluster is already at the desired configuration"));
    }
    same(&before, &after)?;
    let storage = storage.unwrap_or_default();
    let params = vec![
        ("ComputeConfig", json_text(&after)),
        ("StorageConfig", json_text(&storage)),
        ("KubernetesNetworkConfig", json_text(network)),
    ];
    let change =
        Change::AutoMode { compute: after, storage, load_balancing: load_balancing.unwrap_or_default() };
    Ok(Kind { name: "AutoModeUpdate", change, params })
}

fn remote_network(cluster: &Cluster, config: RemoteNetworkConfig) -> Result<Kind, ApiError> {
    same(&cluster.remote_network_config.as_ref(), &Some(&config))?;
    let params = vec![("RemoteNetworkConfig", json_text(&config))];
    Ok(Kind { name: "RemoteNetworkConfigUpdate", change: Change::RemoteNetwork(config), params })
}

fn deletion_protection(cluster: &Cluster, on: bool) -> Result<Kind, ApiError> {
    same(&cluster.deletion_protection, &on)?;
    let params = vec![("DeletionProtection", on.to_string())];
    Ok(Kind { name: "DeletionProtectionUpdate", change: Change::DeletionProtection(on), params })
}

fn scaling(cluster: &Cluster, config: ScalingConfig) -> Result<Kind, ApiError> {
    check_tier(Some(&config))?;
    same(&cluster.control_plane_scaling_config.as_ref(), &Some(&config))?;
    let before = cluster.control_plane_scaling_config.as_ref().map_or("standard", |config| &config.tier);
    let params = vec![("PreviousTier", before.to_owned()), ("UpdatedTier", config.tier.clone())];
    Ok(Kind { name: "ControlPlaneScalingConfigUpdate", change: Change::Scaling(config), params })
}

/// The value of a parameter: JSON text, as the live service answers.
fn json_text<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
