//! TagResource, UntagResource, ListTagsForResource: for everything of EKS that has an ARN.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::{Answer, Call, Input};
use crate::{error::ApiError, model::ClusterRecord};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TagRequest {
    tags: BTreeMap<String, String>,
}

/// The tags of an ARN, wherever they are kept.
fn find<'r>(record: &'r mut ClusterRecord, arn: &str) -> Option<&'r mut BTreeMap<String, String>> {
    if record.cluster.arn == arn {
        return Some(&mut record.cluster.tags);
    }
    let nodegroup = record.nodegroups.values_mut().map(|r| &mut r.nodegroup).find(|g| g.nodegroup_arn == arn);
    if let Some(group) = nodegroup {
        return Some(&mut group.tags);
    }
    if let Some(addon) = record.addons.values_mut().map(|r| &mut r.addon).find(|a| a.addon_arn == arn) {
        return Some(&mut addon.tags);
    }
    let entry = record.access_entries.values_mut().map(|r| &mut r.entry).find(|e| e.access_entry_arn == arn);
    if let Some(entry) = entry {
        return Some(&mut entry.tags);
    }
    let identities = record.pod_identities.values_mut().map(|r| &mut r.association);
    identities.into_iter().find(|identity| identity.association_arn == arn).map(|identity| &mut identity.tags)
}

/// The cluster that an ARN belongs to: `arn:aws:eks:REGION:ACCOUNT:KIND/CLUSTER...`.
///
/// Source: model (the two codes of the tag operations).
fn cluster_of(call: &Call<'_>, arn: &str) -> Result<String, ApiError> {
    let prefix = format!("arn:aws:eks:{}:{}:", call.region, call.caller.account);
    let rest = arn.strip_prefix(&prefix).ok_or_else(|| {
        ApiError::bad_request(format!("The ARN {arn} is not one of EKS in this account and region."))
    })?;
    let name = rest.split('/').nth(1).unwrap_or_default();
    Ok(name.to_owned())
}

fn with_tags(
    call: &mut Call<'_>,
    arn: &str,
    act: impl FnOnce(&mut BTreeMap<String, String>) -> Result<(), ApiError>,
) -> Result<BTreeMap<String, String>, ApiError> {
    let missing = || ApiError::not_found(format!("No resource found for ARN: {arn}."));
    let cluster = cluster_of(call, arn)?;
    let key = call.key(&cluster);
    let record = call.state.cluster_mut(&key).ok_or_else(missing)?;
    let tags = find(record, arn).ok_or_else(missing)?;
    act(tags)?;
    Ok(tags.clone())
}

pub(super) fn list(call: &mut Call<'_>, input: &Input) -> Answer {
    let tags = with_tags(call, input.path(0), |_| Ok(()))?;
    Ok(json!({ "tags": tags }))
}

pub(super) fn tag(call: &mut Call<'_>, input: &Input) -> Answer {
    let request: TagRequest = input.body()?;
    with_tags(call, input.path(0), |tags| {
        let mut after = tags.clone();
        after.extend(request.tags);
        super::clusters::check_tags(&after).map_err(|error| ApiError::bad_request(error.message))?;
        *tags = after;
        Ok(())
    })?;
    Ok(json!({}))
}

pub(super) fn untag(call: &mut Call<'_>, input: &Input) -> Answer {
    let keys = input.query_list("tagKeys");
    with_tags(call, input.path(0), |tags| {
        tags.retain(|key, _| !keys.contains(&key.as_str()));
        Ok(())
    })?;
    Ok(json!({}))
}
