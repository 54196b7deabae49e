//! DescribeAddonVersions and DescribeAddonConfiguration: the catalogue as EKS answers it.

use serde_json::{Value, json};

use super::{
    Answer, Call, Input,
    addon_catalogue::{ADDONS, AddonOffer, addon},
    catalogue::VERSIONS,
    input::paged,
};
use crate::{error::ApiError, model::Minor};

pub(super) fn describe_versions(_: &mut Call<'_>, input: &Input) -> Answer {
    let name = input.query("addonName");
    let minor = match input.query("kubernetesVersion") {
        None => None,
        Some(text) => Some(
            Minor::parse(text)
                .filter(|minor| VERSIONS.iter().any(|offer| offer.minor == *minor))
                .ok_or_else(|| {
                    ApiError::invalid_parameter(format!("The Kubernetes version {text} is not valid."))
                })?,
        ),
    };
    // Source: docs; what the live service answers for an unknown name: unverified.
    if name.is_some_and(|name| addon(name).is_none()) {
        return Err(ApiError::resource_not_found("No addon found for the given name."));
    }
    let (kinds, owners, publishers) =
        (input.query_list("types"), input.query_list("owners"), input.query_list("publishers"));
    let wanted = ADDONS.iter().filter(|offer| {
        name.is_none_or(|name| offer.name == name)
            && (kinds.is_empty() || kinds.contains(&offer.kind))
            && (owners.is_empty() || owners.contains(&"aws"))
            && (publishers.is_empty() || publishers.contains(&"eks"))
    });
    let mut items: Vec<(String, Value)> =
        wanted.filter_map(|offer| Some((offer.name.to_owned(), info(offer, minor)?))).collect();
    items.sort_by(|(a, _), (b, _)| a.cmp(b));
    paged("addons", items, input.query("maxResults"), input.query("nextToken"), 100)
}

/// An add-on with the versions for a minor, newest first; none when there is no such version.
fn info(offer: &AddonOffer, minor: Option<Minor>) -> Option<Value> {
    let versions: Vec<Value> = offer
        .versions
        .iter()
        .filter(|version| minor.is_none_or(|minor| version.runs_on(minor)))
        .map(|version| {
            let runs_on = VERSIONS.iter().filter(|offered| version.runs_on(offered.minor));
            let compatibilities: Vec<Value> = runs_on
                .filter(|offered| minor.is_none_or(|minor| offered.minor == minor))
                .map(|offered| {
                    json!({
                        "clusterVersion": offered.minor.to_string(),
                        "platformVersions": ["*"],
                        "defaultVersion": version.default_for(offered.minor),
                    })
                })
                .collect();
            json!({
                "addonVersion": version.version,
                "architecture": ["amd64", "arm64"],
                "computeTypes": if offer.deployment { json!(["ec2", "fargate", "hybrid"]) } else { json!(["ec2", "hybrid"]) },
                "compatibilities": compatibilities,
                "requiresConfiguration": false,
                "requiresIamPermissions": offer.iam,
            })
        })
        .collect();
    (!versions.is_empty()).then(|| {
        json!({
            "addonName": offer.name,
            "type": offer.kind,
            "addonVersions": versions,
            "publisher": "eks",
            "owner": "aws",
            "defaultNamespace": offer.namespace,
        })
    })
}

pub(super) fn describe_configuration(_: &mut Call<'_>, input: &Input) -> Answer {
    // Source: model (both are required).
    let (Some(name), Some(version)) = (input.query("addonName"), input.query("addonVersion")) else {
        return Err(ApiError::invalid_parameter("addonName and addonVersion are required."));
    };
    let offer = addon(name).filter(|offer| offer.version(version).is_some()).ok_or_else(|| {
        ApiError::resource_not_found(format!("No version {version} of addon {name} found."))
            .with("addonName", name)
    })?;
    let properties: serde_json::Map<String, Value> =
        offer.settings.iter().map(|key| ((*key).to_owned(), json!({}))).collect();
    let schema = json!({
        "$schema": "http://json-schema.org/draft-06/schema#",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    let mut answer = json!({
        "addonName": name,
        "addonVersion": version,
        "configurationSchema": schema.to_string(),
    });
    if let Some((account, policy)) = offer.identity {
        answer["podIdentityConfiguration"] =
            json!([{ "serviceAccount": account, "recommendedManagedPolicies": [policy] }]);
    }
    Ok(answer)
}
