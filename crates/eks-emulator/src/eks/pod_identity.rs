//! Pod identity associations: a role for a service account.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Answer, Call, Input,
    cluster_version::check_active,
    clusters::{check_tags, trusts_service},
    input::{Repeated, repeated},
};
use crate::{
    clock::Epoch,
    error::ApiError,
    model::{ClusterRecord, PodIdentity, PodIdentityRecord},
};

/// Source: docs (service quotas).
const PER_CLUSTER: usize = 1000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreateRequest {
    namespace: String,
    service_account: String,
    role_arn: String,
    client_request_token: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    disable_session_tags: bool,
    target_role_arn: Option<String>,
    policy: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UpdateRequest {
    role_arn: Option<String>,
    #[serde(rename = "clientRequestToken")]
    _client_request_token: Option<String>,
    disable_session_tags: Option<bool>,
    target_role_arn: Option<String>,
    policy: Option<String>,
}

/// Source: docs (the role trusts pods.eks.amazonaws.com); the text: unverified.
pub(super) fn check_role(call: &Call<'_>, arn: &str) -> Result<(), ApiError> {
    match trusts_service(call, arn, "pods.eks.amazonaws.com") {
        true => Ok(()),
        false => Err(ApiError::invalid_parameter(format!(
            "Role provided in the request does not exist or does not trust pods.eks.amazonaws.com: {arn}"
        ))),
    }
}

/// Makes an association, without checks. An add-on's own are made so too.
pub(super) fn build(
    call: &mut Call<'_>,
    cluster: &str,
    namespace: &str,
    service_account: &str,
    role_arn: &str,
) -> PodIdentity {
    let id = format!("a-{}", &call.id().simple().to_string()[..17]);
    PodIdentity {
        cluster_name: cluster.to_owned(),
        namespace: namespace.to_owned(),
        service_account: service_account.to_owned(),
        role_arn: role_arn.to_owned(),
        association_arn: call.arn(&format!("podidentityassociation/{cluster}/{id}")),
        association_id: id,
        tags: BTreeMap::new(),
        created_at: Epoch(call.now),
        modified_at: Epoch(call.now),
        owner_arn: None,
        disable_session_tags: false,
        target_role_arn: None,
        external_id: None,
        policy: None,
    }
}

pub(super) fn create(call: &mut Call<'_>, input: &Input) -> Answer {
    let name = input.path(0).to_owned();
    let request: CreateRequest = input.body()?;
    let idempotency = input.idempotency(request.client_request_token.as_ref());
    let record = call.cluster(&name)?;
    let before = record.pod_identities.values().find(|before| {
        before.association.namespace == request.namespace
            && before.association.service_account == request.service_account
    });
    if let Some(before) = before {
        return match repeated(before.idempotency.as_ref(), idempotency.as_ref())? {
            Repeated::Same => Ok(json!({ "association": before.association })),
            // Source: docs (one association per service account); issue (text).
            Repeated::No => Err(ApiError::resource_in_use(format!(
                "Association already exists: {}",
                before.association.association_id
            ))),
        };
    }
    check_active(record)?;
    if record.pod_identities.len() >= PER_CLUSTER {
        return Err(ApiError::resource_limit(format!("At most {PER_CLUSTER} associations per cluster.")));
    }
    check_role(call, &request.role_arn)?;
    check_tags(&request.tags)?;
    let mut association = build(call, &name, &request.namespace, &request.service_account, &request.role_arn);
    association.tags = request.tags;
    association.disable_session_tags = request.disable_session_tags;
    // Source: model (the external id goes with a role of another account).
    association.external_id = request.target_role_arn.is_some().then(|| call.id().to_string());
    association.target_role_arn = request.target_role_arn;
    association.policy = request.policy;
    let answer = json!({ "association": association });
    let record = PodIdentityRecord { association, idempotency };
    call.cluster_mut(&name)?.pod_identities.insert(record.association.association_id.clone(), record);
    Ok(answer)
}

fn not_found(id: &str) -> ApiError {
    ApiError::resource_not_found(format!("Association not found for Id: {id}"))
}

fn find<'r>(record: &'r ClusterRecord, id: &str) -> Result<&'r PodIdentityRecord, ApiError> {
    record.pod_identities.get(id).ok_or_else(|| not_found(id))
}

pub(super) fn describe(call: &mut Call<'_>, input: &Input) -> Answer {
    Ok(json!({ "association": find(call.cluster(input.path(0))?, input.path(1))?.association }))
}

pub(super) fn list(call: &mut Call<'_>, input: &Input) -> Answer {
    let (namespace, account) = (input.query("namespace"), input.query("serviceAccount"));
    let found = call.cluster(input.path(0))?.pod_identities.values().map(|r| &r.association).filter(|a| {
        namespace.is_none_or(|wanted| a.namespace == wanted)
            && account.is_none_or(|wanted| a.service_account == wanted)
    });
    let items: Vec<(String, Value)> = found
        .map(|a| {
            let mut summary = json!({
                "clusterName": a.cluster_name,
                "namespace": a.namespace,
                "serviceAccount": a.service_account,
                "associationArn": a.association_arn,
                "associationId": a.association_id,
            });
            if let Some(owner) = &a.owner_arn {
                summary["ownerArn"] = owner.as_str().into();
            }
            (a.association_id.clone(), summary)
        })
        .collect();
    input.page("associations", items)
}

pub(super) fn update(call: &mut Call<'_>, input: &Input) -> Answer {
    let request: UpdateRequest = input.body()?;
    let before = find(call.cluster(input.path(0))?, input.path(1))?;
    check_owner(before)?;
    if let Some(role) = &request.role_arn {
        check_role(call, role)?;
    }
    let external_id = request.target_role_arn.is_some().then(|| call.id().to_string());
    let now = call.now;
    let record = call.cluster_mut(input.path(0))?;
    let found = record.pod_identities.get_mut(input.path(1)).ok_or_else(|| not_found(input.path(1)))?;
    let association = &mut found.association;
    if let Some(role) = request.role_arn {
        association.role_arn = role;
    }
    if let Some(disable) = request.disable_session_tags {
        association.disable_session_tags = disable;
    }
    if let Some(target) = request.target_role_arn {
        association.target_role_arn = Some(target);
        association.external_id = external_id;
    }
    if let Some(policy) = request.policy {
        association.policy = Some(policy);
    }
    association.modified_at = Epoch(now);
    Ok(json!({ "association": association }))
}

/// Source: docs (associations of an add-on are changed through the add-on).
fn check_owner(record: &PodIdentityRecord) -> Result<(), ApiError> {
    match &record.association.owner_arn {
        Some(owner) => {
            Err(ApiError::invalid_request(format!("The association belongs to the add-on {owner}.")))
        }
        None => Ok(()),
    }
}

pub(super) fn delete(call: &mut Call<'_>, input: &Input) -> Answer {
    check_owner(find(call.cluster(input.path(0))?, input.path(1))?)?;
    let record = call.cluster_mut(input.path(0))?;
    let gone = record.pod_identities.remove(input.path(1)).ok_or_else(|| not_found(input.path(1)))?;
    Ok(json!({ "association": gone.association }))
}
