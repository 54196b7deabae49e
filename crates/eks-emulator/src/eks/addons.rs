//! Add-ons of a cluster.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Answer, Call, Input,
    addon_catalogue::{AddonOffer, addon},
    cluster_version::check_active,
    clusters::{check_tags, trusts_service},
    input::{Repeated, repeated},
    pod_identity,
    updates::{self, Begin},
};
use crate::{
    clock::Epoch,
    durations::Work,
    error::ApiError,
    faults::Effect,
    model::{
        Addon, AddonPodIdentity, AddonRecord, Change, ClusterRecord, Health, Issue, Minor, NamespaceConfig,
        Part, PartStatus, PodIdentityRecord,
    },
};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreateRequest {
    addon_name: String,
    addon_version: Option<String>,
    service_account_role_arn: Option<String>,
    resolve_conflicts: Option<ResolveConflicts>,
    client_request_token: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    configuration_values: Option<String>,
    #[serde(default)]
    pod_identity_associations: Vec<AddonPodIdentity>,
    namespace_config: Option<NamespaceConfig>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UpdateRequest {
    addon_version: Option<String>,
    service_account_role_arn: Option<String>,
    resolve_conflicts: Option<ResolveConflicts>,
    client_request_token: Option<String>,
    configuration_values: Option<String>,
    pod_identity_associations: Option<Vec<AddonPodIdentity>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum ResolveConflicts {
    Overwrite,
    None,
    Preserve,
}

impl ResolveConflicts {
    const fn text(self) -> &'static str {
        match self {
            Self::Overwrite => "OVERWRITE",
            Self::None => "NONE",
            Self::Preserve => "PRESERVE",
        }
    }
}

pub(super) fn create(call: &mut Call<'_>, input: &Input) -> Answer {
    let name = input.path(0).to_owned();
    let request: CreateRequest = input.body()?;
    let idempotency = input.idempotency(request.client_request_token.as_ref());
    let place = |error: ApiError| {
        error.with("clusterName", name.as_str()).with("addonName", request.addon_name.as_str())
    };
    let record = call.cluster(&name)?;
    if let Some(before) = record.addons.get(&request.addon_name) {
        return match repeated(before.idempotency.as_ref(), idempotency.as_ref())? {
            Repeated::Same => Ok(json!({ "addon": before.addon })),
            // Source: issue (text).
            Repeated::No => Err(place(ApiError::resource_in_use("Addon already exists."))),
        };
    }
    check_active(record)?;
    // Source: issue (text).
    let offer = addon(&request.addon_name).ok_or_else(|| {
        place(ApiError::invalid_parameter(format!("Addon {} specified is not supported", request.addon_name)))
    })?;
    let version =
        pick_version(offer, request.addon_version.as_deref(), record.cluster.version).map_err(place)?;
    // Source: model (PRESERVE is for updates).
    if request.resolve_conflicts == Some(ResolveConflicts::Preserve) {
        return Err(place(ApiError::invalid_parameter("PRESERVE can only be given with an update.")));
    }
    check_settings(
        call,
        offer,
        request.configuration_values.as_deref(),
        request.service_account_role_arn.as_deref(),
    )
    .map_err(place)?;
    for identity in &request.pod_identity_associations {
        pod_identity::check_role(call, &identity.role_arn).map_err(place)?;
    }
    check_tags(&request.tags).map_err(place)?;
    let id = call.id();
    let addon_arn = call.arn(&format!("addon/{name}/{}/{id}", request.addon_name));
    let namespace =
        request.namespace_config.as_ref().map_or(offer.namespace, |config| &config.namespace).to_owned();
    let identities = add_identities(call, &name, &namespace, &addon_arn, &request.pod_identity_associations)?;
    let addon = Addon {
        cluster_name: name.clone(),
        status: PartStatus::Creating,
        addon_version: version.to_owned(),
        health: Health::default(),
        addon_arn,
        created_at: Epoch(call.now),
        modified_at: Epoch(call.now),
        service_account_role_arn: request.service_account_role_arn,
        tags: request.tags,
        publisher: "eks".to_owned(),
        owner: "aws".to_owned(),
        configuration_values: request.configuration_values,
        pod_identity_associations: identities,
        namespace_config: Some(NamespaceConfig { namespace }),
        addon_name: request.addon_name,
    };
    let answer = json!({ "addon": addon });
    let due = Some(call.due(Work::AddonCreate));
    let record = AddonRecord { addon, idempotency, due, ailing: planned_issue(call) };
    call.cluster_mut(&name)?.addons.insert(record.addon.addon_name.clone(), record);
    Ok(answer)
}

fn planned_issue(call: &Call<'_>) -> Option<Issue> {
    call.struck.effects().find_map(|effect| match effect {
        Effect::DegradedAddon { issue } => Some(issue.clone()),
        _ => None,
    })
}

/// The version asked for, or the default of the cluster's minor.
///
/// Source: issue (text; a version for the next minor is refused before the control plane is there).
fn pick_version<'o>(offer: &'o AddonOffer, wanted: Option<&str>, minor: Minor) -> Result<&'o str, ApiError> {
    let found = match wanted {
        Some(version) => offer.version(version).filter(|version| version.runs_on(minor)),
        None => offer.default_version(minor),
    };
    found.map(|version| version.version).ok_or_else(|| {
        ApiError::invalid_parameter(
            "Addon version specified is not supported for the cluster's Kubernetes version",
        )
    })
}

/// Source: docs (settings must fit the add-on's schema); issue (text).
fn check_settings(
    call: &Call<'_>,
    offer: &AddonOffer,
    configuration: Option<&str>,
    role_arn: Option<&str>,
) -> Result<(), ApiError> {
    if let Some(text) = configuration.filter(|text| !text.trim().is_empty()) {
        let Ok(Value::Object(settings)) = serde_json::from_str(text) else {
            return Err(ApiError::invalid_parameter(
                "ConfigurationValue is not in valid JSON (the emulator reads JSON, not YAML)",
            ));
        };
        if let Some(key) = settings.keys().find(|key| !offer.settings.contains(&key.as_str())) {
            return Err(ApiError::invalid_parameter(format!(
                "ConfigurationValue provided in request is not supported: Json schema validation failed with error: \
                 [$.{key}: is not defined in the schema and the schema does not allow additional properties]"
            )));
        }
    }
    match role_arn {
        // The role is one of the account; what it trusts (the cluster's OIDC issuer) is not modelled.
        Some(arn)
            if call.seed.role(arn).is_none() && !trusts_service(call, arn, "pods.eks.amazonaws.com") =>
        {
            Err(ApiError::invalid_parameter(format!("The role {arn} does not exist.")))
        }
        _ => Ok(()),
    }
}

/// Makes the associations that an add-on owns, and answers their ARNs.
fn add_identities(
    call: &mut Call<'_>,
    cluster: &str,
    namespace: &str,
    addon_arn: &str,
    wanted: &[AddonPodIdentity],
) -> Result<Vec<String>, ApiError> {
    let mut arns = Vec::new();
    for identity in wanted {
        let mut association =
            pod_identity::build(call, cluster, namespace, &identity.service_account, &identity.role_arn);
        association.owner_arn = Some(addon_arn.to_owned());
        arns.push(association.association_arn.clone());
        let record = PodIdentityRecord { association, idempotency: None };
        call.cluster_mut(cluster)?.pod_identities.insert(record.association.association_id.clone(), record);
    }
    Ok(arns)
}

fn find<'r>(record: &'r ClusterRecord, name: &str) -> Result<&'r AddonRecord, ApiError> {
    // Source: issue (text).
    record.addons.get(name).ok_or_else(|| {
        ApiError::resource_not_found(format!("No addon: {name} found in cluster: {}", record.cluster.name))
            .with("clusterName", record.cluster.name.as_str())
            .with("addonName", name)
    })
}

pub(super) fn describe(call: &mut Call<'_>, input: &Input) -> Answer {
    Ok(json!({ "addon": find(call.cluster(input.path(0))?, input.path(1))?.addon }))
}

pub(super) fn list(call: &mut Call<'_>, input: &Input) -> Answer {
    let names = call.cluster(input.path(0))?.addons.keys();
    input.page("addons", names.map(|name| (name.clone(), name.clone())).collect())
}

pub(super) fn update(call: &mut Call<'_>, input: &Input) -> Answer {
    let (cluster, name) = (input.path(0).to_owned(), input.path(1).to_owned());
    let request: UpdateRequest = input.body()?;
    let idempotency = input.idempotency(request.client_request_token.as_ref());
    let record = call.cluster(&cluster)?;
    if let Some(answer) = updates::begun_before(record, idempotency.as_ref())? {
        return Ok(answer);
    }
    let place =
        |error: ApiError| error.with("clusterName", cluster.as_str()).with("addonName", name.as_str());
    let before = find(record, &name)?.addon.clone();
    let part = Part::Addon(name.clone());
    updates::check_idle(record, &part, "AddonUpdate")?;
    // Source: docs (an add-on that is being made or removed cannot be changed); the text: unverified.
    if matches!(before.status, PartStatus::Creating | PartStatus::Deleting) {
        return Err(place(ApiError::resource_in_use(format!("Addon {name} is being created or deleted"))));
    }
    let offer = addon(&name).ok_or_else(|| {
        place(ApiError::invalid_parameter(format!("Addon {name} specified is not supported")))
    })?;
    let wanted = request.addon_version.as_deref().unwrap_or(&before.addon_version);
    let version = pick_version(offer, Some(wanted), record.cluster.version).map_err(place)?.to_owned();
    check_settings(
        call,
        offer,
        request.configuration_values.as_deref(),
        request.service_account_role_arn.as_deref(),
    )
    .map_err(place)?;
    for identity in request.pod_identity_associations.iter().flatten() {
        pod_identity::check_role(call, &identity.role_arn).map_err(place)?;
    }
    // Source: docs (absent keeps the associations, an empty list removes them).
    if let Some(wanted) = &request.pod_identity_associations {
        let namespace =
            before.namespace_config.as_ref().map_or(offer.namespace, |config| &config.namespace).to_owned();
        let owner = before.addon_arn.clone();
        call.cluster_mut(&cluster)?
            .pod_identities
            .retain(|_, identity| identity.association.owner_arn.as_ref() != Some(&owner));
        let arns = add_identities(call, &cluster, &namespace, &owner, wanted)?;
        if let Some(addon) = call.cluster_mut(&cluster)?.addons.get_mut(&name) {
            addon.addon.pod_identity_associations = arns;
        }
    }
    let mut params = vec![("AddonVersion", version.clone())];
    params.extend(request.resolve_conflicts.map(|resolve| ("ResolveConflicts", resolve.text().to_owned())));
    params.extend(request.configuration_values.clone().map(|values| ("ConfigurationValues", values)));
    params.extend(request.service_account_role_arn.clone().map(|arn| ("ServiceAccountRoleArn", arn)));
    let ailing = planned_issue(call);
    if let Some(addon) = call.cluster_mut(&cluster)?.addons.get_mut(&name) {
        addon.addon.status = PartStatus::Updating;
        addon.ailing = ailing;
    }
    let change = Change::Addon {
        name: name.clone(),
        version,
        configuration: request.configuration_values.or(before.configuration_values),
        role_arn: request.service_account_role_arn.or(before.service_account_role_arn),
    };
    let begin = Begin {
        kind: "AddonUpdate",
        part,
        change,
        params,
        work: Work::AddonUpdate,
        before: None,
        idempotency,
    };
    updates::begin(call, &cluster, begin)
}

pub(super) fn delete(call: &mut Call<'_>, input: &Input) -> Answer {
    let (cluster, name) = (input.path(0), input.path(1));
    let record = call.cluster(cluster)?;
    find(record, name)?;
    updates::check_idle(record, &Part::Addon(name.to_owned()), "delete")?;
    let due = call.due(Work::AddonDelete);
    let record = call.cluster_mut(cluster)?;
    let Some(state) = record.addons.get_mut(name) else { return Ok(json!({})) };
    // `preserve` keeps a workload that does not run here.
    if state.addon.status != PartStatus::Deleting {
        state.addon.status = PartStatus::Deleting;
        state.due = Some(due);
    }
    Ok(json!({ "addon": state.addon }))
}
