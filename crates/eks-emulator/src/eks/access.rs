//! Access entries and their policies.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Answer, Call, Input, access_policies,
    cluster_version::check_active,
    clusters::check_tags,
    input::{Repeated, repeated},
};
use crate::{
    clock::Epoch,
    durations::Work,
    error::ApiError,
    faults::Effect,
    model::{
        AccessEntry, AccessEntryRecord, AccessScope, AssociatedAccessPolicy, AuthenticationMode,
        ClusterRecord, Idempotency, ScopeType,
    },
};

/// Source: model.
const KINDS: [&str; 7] =
    ["STANDARD", "EC2", "EC2_LINUX", "EC2_WINDOWS", "FARGATE_LINUX", "HYBRID_LINUX", "HYPERPOD_LINUX"];

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreateRequest {
    principal_arn: String,
    #[serde(default)]
    kubernetes_groups: Vec<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    client_request_token: Option<String>,
    username: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UpdateRequest {
    kubernetes_groups: Option<Vec<String>>,
    #[serde(rename = "clientRequestToken")]
    _client_request_token: Option<String>,
    username: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AssociateRequest {
    policy_arn: String,
    access_scope: AccessScope,
}

pub(super) fn create(call: &mut Call<'_>, input: &Input) -> Answer {
    let name = input.path(0).to_owned();
    let request: CreateRequest = input.body()?;
    let idempotency = input.idempotency(request.client_request_token.as_ref());
    let record = call.cluster(&name)?;
    check_mode(record)?;
    if let Some(before) = record.access_entries.get(&request.principal_arn) {
        return match repeated(before.idempotency.as_ref(), idempotency.as_ref())? {
            Repeated::Same => Ok(json!({ "accessEntry": before.entry })),
            // Source: issue (text).
            Repeated::No => Err(ApiError::resource_in_use(
                "The specified access entry resource is already in use on this cluster.",
            )),
        };
    }
    check_active(record)?;
    let kind = request.kind.clone().unwrap_or_else(|| "STANDARD".to_owned());
    check_entry(call, &request, &kind)?;
    let entry = AccessEntry {
        username: match (&request.username, kind.as_str()) {
            (Some(username), _) => username.clone(),
            (None, "STANDARD") => default_username(&request.principal_arn),
            // Source: docs (the names of nodes).
            (None, _) => "system:node:{{EC2PrivateDNSName}}".to_owned(),
        },
        access_entry_arn: entry_arn(call, &name, &request.principal_arn),
        cluster_name: name.clone(),
        principal_arn: request.principal_arn,
        kubernetes_groups: match kind.as_str() {
            "STANDARD" => request.kubernetes_groups,
            _ => vec!["system:nodes".to_owned()],
        },
        created_at: Epoch(call.now),
        modified_at: Epoch(call.now),
        tags: request.tags,
        kind,
    };
    let answer = json!({ "accessEntry": entry });
    let record =
        AccessEntryRecord { effective_at: effective(call), policies: BTreeMap::new(), idempotency, entry };
    call.cluster_mut(&name)?.access_entries.insert(record.entry.principal_arn.clone(), record);
    Ok(answer)
}

/// Source: docs and issue (text).
fn check_mode(record: &ClusterRecord) -> Result<(), ApiError> {
    match record.cluster.access_config.authentication_mode {
        AuthenticationMode::ConfigMap => Err(ApiError::invalid_request(
            "The cluster's authentication mode must be set to one of [API, API_AND_CONFIG_MAP] to perform this \
             operation.",
        )),
        _ => Ok(()),
    }
}

fn check_entry(call: &Call<'_>, request: &CreateRequest, kind: &str) -> Result<(), ApiError> {
    if !KINDS.contains(&kind) {
        return Err(ApiError::invalid_parameter(format!("`{kind}` is not one of {}.", KINDS.join(", "))));
    }
    // Source: issue (text). An assumed role, a session or a wildcard is no principal.
    if call.seed.principal(&request.principal_arn).is_none() {
        return Err(ApiError::invalid_parameter("The specified principalArn is invalid: invalid principal."));
    }
    // Source: docs (types of nodes have neither name nor groups of their own).
    if kind != "STANDARD" && (request.username.is_some() || !request.kubernetes_groups.is_empty()) {
        return Err(ApiError::invalid_parameter(format!(
            "The username and kubernetesGroups cannot be given for type {kind}."
        )));
    }
    check_username(request.username.as_deref())?;
    check_groups(&request.kubernetes_groups)?;
    check_tags(&request.tags)
}

/// Source: docs (prefixes that a user cannot have).
fn check_username(username: Option<&str>) -> Result<(), ApiError> {
    const KEPT: [&str; 5] = ["system:", "eks:", "aws:", "amazon:", "iam:"];
    match username {
        Some(name) if KEPT.iter().any(|prefix| name.starts_with(prefix)) => Err(ApiError::invalid_parameter(
            format!("The username {name} is invalid: it cannot start with one of {}.", KEPT.join(", ")),
        )),
        _ => Ok(()),
    }
}

/// Source: issue (text).
fn check_groups(groups: &[String]) -> Result<(), ApiError> {
    match groups.iter().find(|group| group.starts_with("system:") || group.starts_with("eks:")) {
        Some(group) => Err(ApiError::invalid_parameter(format!(
            "The kubernetes group name {group} is invalid, it cannot start with system:"
        ))),
        None => Ok(()),
    }
}

/// Source: docs (the name of a standard entry that names none).
fn default_username(principal_arn: &str) -> String {
    match principal_arn.strip_prefix("arn:aws:iam::").and_then(|rest| rest.split_once(":role/")) {
        Some((account, role)) => {
            let name = role.rsplit('/').next().unwrap_or(role);
            format!("arn:aws:sts::{account}:assumed-role/{name}/{{{{SessionName}}}}")
        }
        None => principal_arn.to_owned(),
    }
}

fn entry_arn(call: &mut Call<'_>, cluster: &str, principal_arn: &str) -> String {
    let id = call.id();
    let (account, path) = principal_arn
        .strip_prefix("arn:aws:iam::")
        .and_then(|rest| rest.split_once(':'))
        .unwrap_or(("", principal_arn));
    let (kind, name) = path.split_once('/').unwrap_or(("", path));
    call.arn(&format!("access-entry/{cluster}/{kind}/{account}/{name}/{id}"))
}

/// When the API server hears of it. Source: issue (it takes seconds).
fn effective(call: &Call<'_>) -> Timestamp {
    let slow = call.struck.effects().find_map(|effect| match effect {
        Effect::SlowAccess { seconds } => Some(SignedDuration::from_secs((*seconds).into())),
        _ => None,
    });
    call.after(slow.unwrap_or_default() + call.durations.of(Work::Access))
}

/// The entry of the creator of a cluster with `bootstrapClusterCreatorAdminPermissions`. Source: docs.
pub(super) fn add_creator(call: &mut Call<'_>, record: &mut ClusterRecord) {
    let principal_arn = call.caller.principal_arn();
    let entry = AccessEntry {
        cluster_name: record.cluster.name.clone(),
        kubernetes_groups: Vec::new(),
        access_entry_arn: entry_arn(call, &record.cluster.name, &principal_arn),
        created_at: Epoch(call.now),
        modified_at: Epoch(call.now),
        tags: BTreeMap::new(),
        username: default_username(&principal_arn),
        kind: "STANDARD".to_owned(),
        principal_arn: principal_arn.clone(),
    };
    let policy = AssociatedAccessPolicy {
        policy_arn: access_policies::CLUSTER_ADMIN.to_owned(),
        access_scope: AccessScope { kind: ScopeType::Cluster, namespaces: Vec::new() },
        associated_at: Epoch(call.now),
        modified_at: Epoch(call.now),
    };
    let policies = BTreeMap::from([(policy.policy_arn.clone(), policy)]);
    let entry =
        AccessEntryRecord { entry, policies, idempotency: None::<Idempotency>, effective_at: call.now };
    record.access_entries.insert(principal_arn, entry);
}

/// Source: issue (text).
fn no_entry(principal_arn: &str) -> ApiError {
    ApiError::resource_not_found(format!(
        "The specified principalArn could not be found. You can view your available access entries with \
         'list-access-entries'. ({principal_arn})"
    ))
}

fn entry<'c>(call: &'c Call<'_>, input: &Input) -> Result<&'c AccessEntryRecord, ApiError> {
    let record = call.cluster(input.path(0))?;
    check_mode(record)?;
    record.access_entries.get(input.path(1)).ok_or_else(|| no_entry(input.path(1)))
}

fn entry_mut<'c>(call: &'c mut Call<'_>, input: &Input) -> Result<&'c mut AccessEntryRecord, ApiError> {
    let record = call.cluster_mut(input.path(0))?;
    record.access_entries.get_mut(input.path(1)).ok_or_else(|| no_entry(input.path(1)))
}

pub(super) fn describe(call: &mut Call<'_>, input: &Input) -> Answer {
    Ok(json!({ "accessEntry": entry(call, input)?.entry }))
}

pub(super) fn list(call: &mut Call<'_>, input: &Input) -> Answer {
    let record = call.cluster(input.path(0))?;
    check_mode(record)?;
    let policy = input.query("associatedPolicyArn");
    let with =
        record.access_entries.iter().filter(|(_, e)| policy.is_none_or(|arn| e.policies.contains_key(arn)));
    input.page("accessEntries", with.map(|(arn, _)| (arn.clone(), arn.clone())).collect())
}

pub(super) fn update(call: &mut Call<'_>, input: &Input) -> Answer {
    let request: UpdateRequest = input.body()?;
    let before = entry(call, input)?;
    if before.entry.kind != "STANDARD" {
        return Err(ApiError::invalid_request(format!(
            "Entries of type {} cannot be changed.",
            before.entry.kind
        )));
    }
    check_username(request.username.as_deref())?;
    check_groups(request.kubernetes_groups.as_deref().unwrap_or_default())?;
    let (now, effective_at) = (call.now, effective(call));
    let record = entry_mut(call, input)?;
    if let Some(groups) = request.kubernetes_groups {
        record.entry.kubernetes_groups = groups;
    }
    if let Some(username) = request.username {
        record.entry.username = username;
    }
    record.entry.modified_at = Epoch(now);
    record.effective_at = effective_at;
    Ok(json!({ "accessEntry": record.entry }))
}

pub(super) fn delete(call: &mut Call<'_>, input: &Input) -> Answer {
    entry(call, input)?;
    call.cluster_mut(input.path(0))?.access_entries.remove(input.path(1));
    Ok(json!({}))
}

pub(super) fn associate(call: &mut Call<'_>, input: &Input) -> Answer {
    let request: AssociateRequest = input.body()?;
    let before = entry(call, input)?;
    // Source: docs (policies only for standard entries).
    if before.entry.kind != "STANDARD" {
        return Err(ApiError::invalid_request(format!(
            "Access policies cannot be associated with an entry of type {}.",
            before.entry.kind
        )));
    }
    if access_policies::find(&request.policy_arn).is_none() {
        return Err(ApiError::invalid_parameter(format!(
            "The policyArn {} is not valid.",
            request.policy_arn
        )));
    }
    // Source: docs (namespaces go with the scope `namespace`).
    match (request.access_scope.kind, request.access_scope.namespaces.is_empty()) {
        (ScopeType::Namespace, true) => {
            return Err(ApiError::invalid_parameter("The scope `namespace` needs namespaces."));
        }
        (ScopeType::Cluster, false) => {
            return Err(ApiError::invalid_parameter("The scope `cluster` has no namespaces."));
        }
        _ => {}
    }
    let associated_at = before.policies.get(&request.policy_arn).map_or(Epoch(call.now), |p| p.associated_at);
    let policy = AssociatedAccessPolicy {
        policy_arn: request.policy_arn.clone(),
        access_scope: request.access_scope,
        associated_at,
        modified_at: Epoch(call.now),
    };
    let effective_at = effective(call);
    let record = entry_mut(call, input)?;
    record.effective_at = effective_at;
    record.policies.insert(request.policy_arn, policy.clone());
    Ok(json!({
        "clusterName": input.path(0),
        "principalArn": input.path(1),
        "associatedAccessPolicy": policy,
    }))
}

pub(super) fn disassociate(call: &mut Call<'_>, input: &Input) -> Answer {
    let policy_arn = input.path(2);
    if !entry(call, input)?.policies.contains_key(policy_arn) {
        return Err(ApiError::resource_not_found(format!(
            "The policy {policy_arn} is not associated with the entry."
        )));
    }
    entry_mut(call, input)?.policies.remove(policy_arn);
    Ok(json!({}))
}

pub(super) fn list_associated(call: &mut Call<'_>, input: &Input) -> Answer {
    let policies = entry(call, input)?.policies.iter();
    let mut page = input.page(
        "associatedAccessPolicies",
        policies.map(|(arn, policy)| (arn.clone(), json!(policy))).collect::<Vec<(String, Value)>>(),
    )?;
    page["clusterName"] = input.path(0).into();
    page["principalArn"] = input.path(1).into();
    Ok(page)
}

pub(super) fn list_policies(_: &mut Call<'_>, input: &Input) -> Answer {
    let policies = access_policies::ALL
        .iter()
        .map(|policy| (policy.name.to_owned(), json!({ "name": policy.name, "arn": policy.arn() })));
    input.page("accessPolicies", policies.collect::<Vec<(String, Value)>>())
}
