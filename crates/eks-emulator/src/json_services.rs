//! The services of the JSON 1.1 protocol, of which one call each is needed: KMS, the Resource Groups Tagging API,
//! CloudWatch Logs.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    eks::{Answer, Call},
    error::ApiError,
    state::{LeftoverKind, log_group},
};

/// Carries out an operation, named as `X-Amz-Target` names it.
pub(crate) fn run(call: &mut Call<'_>, target: &str, body: &[u8]) -> Answer {
    match target {
        "TrentService.DescribeKey" => describe_key(call, body),
        "ResourceGroupsTaggingAPI_20170126.GetResources" => get_resources(call, body),
        "Logs_20140328.DescribeLogGroups" => describe_log_groups(call, body),
        _ => Err(ApiError::new(StatusCode::BAD_REQUEST, "UnknownOperationException", "")),
    }
}

fn read<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::serialization(error.to_string()))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeKey {
    key_id: String,
}

/// By key id or ARN. Source: model.
fn describe_key(call: &mut Call<'_>, body: &[u8]) -> Answer {
    let DescribeKey { key_id } = read(body)?;
    let prefix = format!("arn:aws:kms:{}:{}:key/", call.region, call.caller.account);
    let id = key_id.strip_prefix(&prefix).unwrap_or(&key_id);
    let key = call.seed.region(&call.caller.account, call.region).and_then(|region| region.keys.get(id));
    let Some(key) = key else {
        return Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "NotFoundException",
            format!("Key '{prefix}{id}' does not exist"),
        ));
    };
    Ok(json!({
        "KeyMetadata": {
            "AWSAccountId": call.caller.account,
            "KeyId": id,
            "Arn": format!("{prefix}{id}"),
            "Enabled": key.state == "Enabled",
            "KeyState": key.state,
            "KeyUsage": "ENCRYPT_DECRYPT",
            "KeySpec": "SYMMETRIC_DEFAULT",
            "KeyManager": "CUSTOMER",
            "Origin": "AWS_KMS",
            "MultiRegion": false,
        }
    }))
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct GetResources {
    tag_filters: Vec<TagFilter>,
    resource_type_filters: Vec<String>,
    resources_per_page: Option<usize>,
    pagination_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TagFilter {
    key: String,
    #[serde(default)]
    values: Vec<String>,
}

/// Everything tagged in the account and region: what EKS keeps, launch templates, and what was left behind.
fn tagged(call: &Call<'_>) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    for (key, record) in call.state.clusters() {
        if key.account != call.caller.account || key.region != call.region {
            continue;
        }
        all.insert(record.cluster.arn.clone(), record.cluster.tags.clone());
        for group in record.nodegroups.values() {
            all.insert(group.nodegroup.nodegroup_arn.clone(), group.nodegroup.tags.clone());
        }
        for addon in record.addons.values() {
            all.insert(addon.addon.addon_arn.clone(), addon.addon.tags.clone());
        }
        for entry in record.access_entries.values() {
            all.insert(entry.entry.access_entry_arn.clone(), entry.entry.tags.clone());
        }
        for identity in record.pod_identities.values() {
            all.insert(identity.association.association_arn.clone(), identity.association.tags.clone());
        }
    }
    let shared = call.state.shared();
    for template in shared.launch_templates.values() {
        if template.account == call.caller.account && template.region == call.region {
            let arn = format!(
                "arn:aws:ec2:{}:{}:launch-template/{}",
                template.region, template.account, template.id
            );
            all.insert(arn, template.tags.clone());
        }
    }
    for left in &shared.leftovers {
        if left.account == call.caller.account && left.region == call.region {
            all.insert(left.arn(), left.tags.clone());
        }
    }
    all.retain(|_, tags| !tags.is_empty());
    all
}

/// Source: docs (a filter without values asks for the key alone; filters are joined by AND, values by OR).
fn get_resources(call: &mut Call<'_>, body: &[u8]) -> Answer {
    let request: GetResources = read(body)?;
    let passes = |tags: &BTreeMap<String, String>| {
        request.tag_filters.iter().all(|filter| match tags.get(&filter.key) {
            Some(value) => filter.values.is_empty() || filter.values.contains(value),
            None => false,
        })
    };
    let of_type = |arn: &str| {
        request.resource_type_filters.is_empty()
            || request.resource_type_filters.iter().any(|wanted| is_of_type(arn, wanted))
    };
    let after = request.pagination_token.unwrap_or_default();
    let size = request.resources_per_page.unwrap_or(50).clamp(1, 100);
    let mut rest =
        tagged(call).into_iter().filter(|(arn, tags)| passes(tags) && of_type(arn) && *arn > after);
    let mut page = Vec::new();
    let mut last = String::new();
    for (arn, tags) in rest.by_ref().take(size) {
        let tags: Vec<Value> =
            tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
        page.push(json!({ "ResourceARN": arn, "Tags": tags }));
        last = arn;
    }
    let token = if rest.next().is_some() { last } else { String::new() };
    Ok(json!({ "PaginationToken": token, "ResourceTagMappingList": page }))
}

/// Whether an ARN is of a type such as `ec2:volume` or `eks`.
fn is_of_type(arn: &str, wanted: &str) -> bool {
    let mut parts = arn.splitn(6, ':').skip(2);
    let service = parts.next().unwrap_or_default();
    let resource = parts.nth(2).unwrap_or_default();
    match wanted.split_once(':') {
        None => service == wanted,
        Some((wanted_service, kind)) => {
            service == wanted_service && resource.split(['/', ':']).next() == kind.split('/').next()
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct DescribeLogGroups {
    log_group_name_prefix: Option<String>,
    log_group_name_pattern: Option<String>,
}

/// The log groups of clusters that send logs, and of those that did.
fn describe_log_groups(call: &mut Call<'_>, body: &[u8]) -> Answer {
    let request: DescribeLogGroups = read(body)?;
    let here = |account: &str, region: &str| account == call.caller.account && region == call.region;
    let mut names: Vec<String> = call
        .state
        .clusters()
        .iter()
        .filter(|(key, record)| here(&key.account, &key.region) && record.sends_logs())
        .map(|(key, _)| log_group(&key.name))
        .collect();
    let left = call.state.shared().leftovers.iter();
    names.extend(
        left.filter(|left| left.kind == LeftoverKind::LogGroup && here(&left.account, &left.region))
            .map(|left| left.id.clone()),
    );
    names.sort();
    names.dedup();
    let groups: Vec<Value> = names
        .iter()
        .filter(|name| {
            request.log_group_name_prefix.as_ref().is_none_or(|prefix| name.starts_with(prefix.as_str()))
        })
        .filter(|name| {
            request.log_group_name_pattern.as_ref().is_none_or(|part| name.contains(part.as_str()))
        })
        .map(|name| {
            let arn = format!("arn:aws:logs:{}:{}:log-group:{name}", call.region, call.caller.account);
            json!({
                "logGroupName": name,
                "creationTime": 1_767_225_600_000_i64,
                "metricFilterCount": 0,
                "arn": format!("{arn}:*"),
                "storedBytes": 0,
                "logGroupClass": "STANDARD",
                "logGroupArn": arn,
            })
        })
        .collect();
    Ok(json!({ "logGroups": groups }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_from_arns() {
        for (arn, wanted, is) in [
            ("arn:aws:ec2:r:1:volume/vol-1", "ec2:volume", true),
            ("arn:aws:ec2:r:1:volume/vol-1", "ec2", true),
            ("arn:aws:ec2:r:1:volume/vol-1", "ec2:instance", false),
            ("arn:aws:eks:r:1:cluster/a", "eks:cluster", true),
            (
                "arn:aws:elasticloadbalancing:r:1:loadbalancer/net/a",
                "elasticloadbalancing:loadbalancer",
                true,
            ),
            ("arn:aws:eks:r:1:cluster/a", "ec2", false),
        ] {
            assert_eq!(is_of_type(arn, wanted), is, "{arn} {wanted}");
        }
    }
}
