//! Subnets, security groups, endpoint and Auto Mode: the rules that creating and updating a cluster share.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{Call, clusters::trusts_service};
use crate::{
    error::ApiError,
    model::{ComputeConfig, ElasticLoadBalancing, StorageConfig, VpcConfig},
};

/// The model's `VpcConfigRequest`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct VpcRequest {
    pub(super) subnet_ids: Option<Vec<String>>,
    pub(super) security_group_ids: Option<Vec<String>>,
    pub(super) endpoint_public_access: Option<bool>,
    pub(super) endpoint_private_access: Option<bool>,
    pub(super) public_access_cidrs: Option<Vec<String>>,
}

impl VpcRequest {
    /// Whether it names subnets or security groups.
    pub(super) fn changes_network(&self) -> bool {
        self.subnet_ids.is_some() || self.security_group_ids.is_some()
    }

    /// Whether it says who reaches the endpoint.
    pub(super) fn changes_endpoint(&self) -> bool {
        self.endpoint_public_access.is_some()
            || self.endpoint_private_access.is_some()
            || self.public_access_cidrs.is_some()
    }
}

/// Checks the network of a new cluster and fills in what EKS fills in. The cluster's own security group is left empty.
pub(super) fn check_network(call: &Call<'_>, request: &VpcRequest) -> Result<VpcConfig, ApiError> {
    let subnets = request.subnet_ids.clone().unwrap_or_default();
    let groups = request.security_group_ids.clone().unwrap_or_default();
    let vpc_id = check_subnets(call, &subnets)?;
    check_security_groups(call, &groups, &vpc_id)?;
    let public = request.endpoint_public_access.unwrap_or(true);
    Ok(VpcConfig {
        subnet_ids: subnets,
        security_group_ids: groups,
        cluster_security_group_id: String::new(),
        vpc_id,
        endpoint_public_access: public,
        endpoint_private_access: request.endpoint_private_access.unwrap_or(false),
        public_access_cidrs: match &request.public_access_cidrs {
            Some(cidrs) => cidrs.clone(),
            None if public => vec!["0.0.0.0/0".to_owned()],
            None => Vec::new(),
        },
    })
}

/// Checks subnets, and answers their network.
pub(super) fn check_subnets(call: &Call<'_>, subnets: &[String]) -> Result<String, ApiError> {
    let region = call.seed.region(&call.caller.account, call.region);
    let mut zones = BTreeSet::new();
    let mut vpcs = BTreeSet::new();
    for id in subnets {
        // Source: issue (text).
        let (vpc, subnet) = region.and_then(|region| region.subnet(id)).ok_or_else(|| {
            ApiError::invalid_parameter(format!(
                "The subnet ID '{id}' does not exist (Service: AmazonEC2; Status Code: 400; Error Code: \
                 InvalidSubnetID.NotFound)"
            ))
        })?;
        zones.insert(subnet.zone.as_str());
        vpcs.insert(vpc);
    }
    // Source: docs (two subnets in different zones); issue (text).
    if zones.len() < 2 {
        return Err(ApiError::invalid_parameter("Subnets specified must be in at least two different AZs"));
    }
    match (vpcs.first(), vpcs.len()) {
        (Some(vpc), 1) => Ok((*vpc).to_owned()),
        // Source: docs (one network); the text: unverified.
        _ => Err(ApiError::invalid_parameter("Subnets specified must belong to the same VPC")),
    }
}

/// Checks security groups against a network.
pub(super) fn check_security_groups(
    call: &Call<'_>,
    groups: &[String],
    vpc_id: &str,
) -> Result<(), ApiError> {
    // Source: docs (at most five).
    if groups.len() > 5 {
        return Err(ApiError::invalid_parameter("At most 5 security groups can be given."));
    }
    let region = call.seed.region(&call.caller.account, call.region);
    for id in groups {
        match region.and_then(|region| region.vpc_of_security_group(id)) {
            None => {
                // Source: issue (text).
                return Err(ApiError::invalid_parameter(format!(
                    "The security group '{id}' does not exist (Service: AmazonEC2; Status Code: 400; Error Code: \
                     InvalidGroup.NotFound)"
                )));
            }
            Some(vpc) if vpc != vpc_id => {
                return Err(ApiError::invalid_parameter(format!(
                    "Security group {id} is not in the VPC {vpc_id} of the subnets"
                )));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Checks who reaches the endpoint.
pub(super) fn check_endpoint(config: &VpcConfig) -> Result<(), ApiError> {
    // Source: issue (text).
    if !config.endpoint_public_access && !config.endpoint_private_access {
        return Err(ApiError::invalid_parameter(
            "Private and public endpoint access cannot be false. At least one of them must be true.",
        ));
    }
    // Source: docs (service quotas: 40).
    if config.public_access_cidrs.len() > 40 {
        return Err(ApiError::invalid_parameter("At most 40 public access CIDRs can be given."));
    }
    for cidr in &config.public_access_cidrs {
        if parse_cidr(cidr).is_none() {
            return Err(ApiError::invalid_parameter(format!("The CIDR '{cidr}' is not valid.")));
        }
    }
    Ok(())
}

/// Checks the range of Services. Source: model (private, /12 to /24).
pub(super) fn check_service_cidr(cidr: &str) -> Result<(), ApiError> {
    let good = parse_cidr(cidr).is_some_and(|(address, length)| {
        (12..=24).contains(&length) && std::net::Ipv4Addr::from(address).is_private()
    });
    match good {
        true => Ok(()),
        false => Err(ApiError::invalid_parameter(format!(
            "The service CIDR {cidr} must be a private range between /12 and /24."
        ))),
    }
}

fn parse_cidr(text: &str) -> Option<(u32, u8)> {
    let (address, length) = text.split_once('/')?;
    let address: std::net::Ipv4Addr = address.parse().ok()?;
    let length: u8 = length.parse().ok().filter(|length| *length <= 32)?;
    Some((address.into(), length))
}

/// Whether the three switches of Auto Mode are on, off, or not named. Source: issue (text).
pub(super) fn auto_mode_switch(
    compute: Option<&ComputeConfig>,
    storage: Option<&StorageConfig>,
    load_balancing: Option<&ElasticLoadBalancing>,
) -> Result<Option<bool>, ApiError> {
    let switches = [
        compute.and_then(|config| config.enabled),
        storage.and_then(|config| config.block_storage).and_then(|config| config.enabled),
        load_balancing.and_then(|config| config.enabled),
    ];
    match switches {
        [first, second, third] if first == second && second == third => Ok(first),
        // Naming load balancing alone as off is what a cluster without Auto Mode has anyway.
        [None, None, Some(false)] => Ok(None),
        _ => Err(ApiError::invalid_parameter(
            "For EKS Auto Mode, please ensure that all required configs, including computeConfig, \
             kubernetesNetworkConfig, and blockStorage are all either fully enabled or fully disabled.",
        )),
    }
}

/// Checks pools and role of Auto Mode. Source: docs (pools `general-purpose` and `system`; the role goes with pools).
pub(super) fn check_auto_mode_nodes(
    call: &Call<'_>,
    compute: Option<&ComputeConfig>,
) -> Result<(), ApiError> {
    let Some(compute) = compute else { return Ok(()) };
    let pools = compute.node_pools.as_deref().unwrap_or_default();
    if let Some(pool) = pools.iter().find(|pool| !["general-purpose", "system"].contains(&pool.as_str())) {
        return Err(ApiError::invalid_parameter(format!("The node pool `{pool}` is not built in.")));
    }
    match &compute.node_role_arn {
        None if !pools.is_empty() => Err(ApiError::invalid_parameter(
            "When Compute Config nodeRoleArn is not null or empty, nodePool value(s) must be provided, and the \
             other way round.",
        )),
        Some(role) if !trusts_service(call, role, "ec2.amazonaws.com") => Err(ApiError::invalid_parameter(
            format!("The role with name {role} cannot be found or does not trust ec2.amazonaws.com."),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BlockStorage;

    #[test]
    fn the_three_switches_of_auto_mode_move_together() {
        let compute = |enabled| ComputeConfig { enabled, ..ComputeConfig::default() };
        let storage = |enabled| StorageConfig { block_storage: Some(BlockStorage { enabled }) };
        let balancing = |enabled| ElasticLoadBalancing { enabled };
        for (a, b, c, switch) in [
            (None, None, None, Ok(None)),
            (Some(true), Some(true), Some(true), Ok(Some(true))),
            (Some(false), Some(false), Some(false), Ok(Some(false))),
            (None, None, Some(false), Ok(None)),
            (Some(true), Some(true), None, Err(())),
            (Some(true), Some(false), Some(true), Err(())),
            (None, Some(true), Some(true), Err(())),
        ] {
            let found = auto_mode_switch(Some(&compute(a)), Some(&storage(b)), Some(&balancing(c)));
            assert_eq!(found.map_err(|_| ()), switch, "{a:?} {b:?} {c:?}");
        }
    }

    #[test]
    fn service_ranges_are_private_and_neither_too_small_nor_too_large() {
        for (cidr, good) in [
            ("10.100.0.0/16", true),
            ("172.20.0.0/16", true),
            ("192.168.0.0/24", true),
            ("10.0.0.0/8", false),
            ("10.0.0.0/25", false),
            ("8.8.0.0/16", false),
            ("10.0.0.0", false),
        ] {
            assert_eq!(check_service_cidr(cidr).is_ok(), good, "{cidr}");
        }
    }
}
