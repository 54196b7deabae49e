//! Reads of networks: what the seed says.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    fault,
    filter::{Filtered, passes},
    tag_set,
};
use crate::{
    eks::Call,
    error::ApiError,
    seed::Region,
    state::LeftoverKind,
    wire::{
        query::Params,
        xml::{Element, items, text},
    },
};

fn region<'a>(call: &'a Call<'_>) -> Option<&'a Region> {
    call.seed.region(&call.caller.account, call.region)
}

/// Refuses ids that do not exist. Source: docs (error codes of EC2).
fn check_ids<'i>(
    wanted: &[String],
    there: impl Iterator<Item = &'i String>,
    code: &'static str,
    what: &str,
) -> Result<(), ApiError> {
    let there: BTreeSet<&String> = there.collect();
    match wanted.iter().find(|id| !there.contains(id)) {
        Some(id) => Err(fault(code, format!("The {what} ID '{id}' does not exist"))),
        None => Ok(()),
    }
}

pub(super) fn vpcs(call: &mut Call<'_>, params: &Params) -> Result<Vec<Element>, ApiError> {
    let ids = params.list("VpcId");
    let vpcs = region(call).map(|region| &region.vpcs);
    check_ids(&ids, vpcs.into_iter().flat_map(BTreeMap::keys), "InvalidVpcID.NotFound", "vpc")?;
    let no_tags = BTreeMap::new();
    let mut found = Vec::new();
    for (id, vpc) in vpcs.into_iter().flatten() {
        let filtered =
            Filtered { fields: vec![("vpc-id", id.clone()), ("cidr", vpc.cidr.clone())], tags: &no_tags };
        if (ids.is_empty() || ids.contains(id)) && passes(params, &["vpc-id", "cidr"], &filtered)? {
            found.push(vec![
                text("vpcId", id),
                text("ownerId", &call.caller.account),
                text("state", "available"),
                text("cidrBlock", &vpc.cidr),
                text("isDefault", false),
                tag_set(&no_tags),
            ]);
        }
    }
    Ok(vec![items("vpcSet", found)])
}

pub(super) fn subnets(call: &mut Call<'_>, params: &Params) -> Result<Vec<Element>, ApiError> {
    let ids = params.list("SubnetId");
    let vpcs = region(call).map(|region| &region.vpcs);
    let all: Vec<_> = vpcs
        .into_iter()
        .flatten()
        .flat_map(|(vpc_id, vpc)| vpc.subnets.iter().map(move |(id, subnet)| (vpc_id, id, subnet)))
        .collect();
    check_ids(&ids, all.iter().map(|(_, id, _)| *id), "InvalidSubnetID.NotFound", "subnet")?;
    let no_tags = BTreeMap::new();
    let mut found = Vec::new();
    for (vpc_id, id, subnet) in all {
        let fields = vec![
            ("vpc-id", vpc_id.clone()),
            ("subnet-id", id.clone()),
            ("availability-zone", subnet.zone.clone()),
        ];
        let passed = passes(
            params,
            &["vpc-id", "subnet-id", "availability-zone"],
            &Filtered { fields, tags: &no_tags },
        )?;
        if (ids.is_empty() || ids.contains(id)) && passed {
            found.push(vec![
                text("subnetId", id),
                text("subnetArn", format!("arn:aws:ec2:{}:{}:subnet/{id}", call.region, call.caller.account)),
                text("state", "available"),
                text("vpcId", vpc_id),
                text("ownerId", &call.caller.account),
                text("cidrBlock", &subnet.cidr),
                text("availableIpAddressCount", subnet.free_addresses),
                text("availabilityZone", &subnet.zone),
                text("defaultForAz", false),
                text("mapPublicIpOnLaunch", false),
                tag_set(&no_tags),
            ]);
        }
    }
    Ok(vec![items("subnetSet", found)])
}

/// A security group, of the seed, of a cluster or left behind.
struct Group<'g> {
    id: &'g str,
    name: String,
    vpc_id: &'g str,
    tags: BTreeMap<String, String>,
}

pub(super) fn security_groups(call: &mut Call<'_>, params: &Params) -> Result<Vec<Element>, ApiError> {
    let ids = params.list("GroupId");
    let names = params.list("GroupName");
    let groups = all_groups(call);
    let there: Vec<String> = groups.iter().map(|group| group.id.to_owned()).collect();
    check_ids(&ids, there.iter(), "InvalidGroup.NotFound", "security group")?;
    let mut found = Vec::new();
    for group in &groups {
        let fields = vec![
            ("vpc-id", group.vpc_id.to_owned()),
            ("group-id", group.id.to_owned()),
            ("group-name", group.name.clone()),
        ];
        let passed =
            passes(params, &["vpc-id", "group-id", "group-name"], &Filtered { fields, tags: &group.tags })?;
        let named = (ids.is_empty() || ids.iter().any(|id| id == group.id))
            && (names.is_empty() || names.contains(&group.name));
        if named && passed {
            found.push(vec![
                text("ownerId", &call.caller.account),
                text("groupId", group.id),
                text("groupName", &group.name),
                text("groupDescription", &group.name),
                text("vpcId", group.vpc_id),
                items("ipPermissions", Vec::new()),
                items("ipPermissionsEgress", Vec::new()),
                tag_set(&group.tags),
            ]);
        }
    }
    Ok(vec![items("securityGroupInfo", found)])
}

fn all_groups<'a>(call: &'a Call<'_>) -> Vec<Group<'a>> {
    let mut groups = Vec::new();
    for (vpc_id, vpc) in region(call).map(|region| &region.vpcs).into_iter().flatten() {
        groups.extend(vpc.security_groups.iter().map(|(id, name)| Group {
            id,
            name: name.clone(),
            vpc_id,
            tags: BTreeMap::new(),
        }));
    }
    // The group that EKS makes with a cluster goes with it (source: docs).
    for (key, record) in call.state.clusters() {
        if key.account == call.caller.account && key.region == call.region {
            let config = &record.cluster.resources_vpc_config;
            groups.push(Group {
                id: &config.cluster_security_group_id,
                name: format!("eks-cluster-sg-{}", key.name),
                vpc_id: &config.vpc_id,
                tags: BTreeMap::from([
                    ("aws:eks:cluster-name".to_owned(), key.name.clone()),
                    (format!("kubernetes.io/cluster/{}", key.name), "owned".to_owned()),
                ]),
            });
        }
    }
    for left in super::remains::here(call, LeftoverKind::SecurityGroup) {
        groups.push(Group { id: &left.id, name: left.id.clone(), vpc_id: "", tags: left.tags.clone() });
    }
    groups
}

pub(super) fn zones(call: &mut Call<'_>, _: &Params) -> Result<Vec<Element>, ApiError> {
    let vpcs = region(call).map(|region| &region.vpcs).into_iter().flatten();
    let zones: BTreeSet<&str> =
        vpcs.flat_map(|(_, vpc)| vpc.subnets.values().map(|subnet| subnet.zone.as_str())).collect();
    let zones = zones.into_iter().map(|zone| {
        vec![text("zoneName", zone), text("zoneState", "available"), text("regionName", call.region)]
    });
    Ok(vec![items("availabilityZoneInfo", zones.collect())])
}
