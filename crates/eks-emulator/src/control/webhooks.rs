//! What the API servers behind clusters ask: who a token speaks for, and what access policies allow.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tracing::{debug, info};

use super::{Control, Shared};
use crate::{
    clock::machine_now,
    eks::access_policies::{self, Wish, in_scope},
    identity::{Caller, CallerKind},
    model::{AccessEntryRecord, ClusterKey, ClusterRecord, ScopeType},
    token,
};

const API_SERVER_CANONICAL: &str = "canonicalArn";

#[derive(Deserialize)]
pub(super) struct TokenReview {
    spec: TokenSpec,
}

#[derive(Deserialize)]
struct TokenSpec {
    token: String,
}

/// TokenReview: the token's signature, then the principal's access entry.
pub(super) async fn token(
    State(control): Shared,
    Path((account, region, name)): Path<(String, String, String)>,
    Json(review): Json<TokenReview>,
) -> Json<Value> {
    let key = ClusterKey { account, region, name };
    let status = review_token(&control, &key, &review.spec.token);
    Json(json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "status": status,
    }))
}

fn review_token(control: &Arc<Control>, key: &ClusterKey, token: &str) -> Value {
    let world = &control.world;
    let found = world.with_moment(|state, now| {
        let machine_now = machine_now();
        let verified =
            token::verify(token, &key.name, world.own_hosts(), &world.seed, state.shared(), machine_now);
        verified.map(|caller| {
            let entry =
                state.cluster(key).and_then(|record| effective_entry(record, &caller.principal_arn(), now));
            (caller, entry.cloned())
        })
    });
    match found {
        Err(fault) => {
            let why = std::error::Error::source(&fault).map(ToString::to_string).unwrap_or_default();
            info!(cluster = %key, %fault, why, "refused a token");
            json!({ "authenticated": false, "error": fault.to_string() })
        }
        Ok((caller, None)) => {
            info!(cluster = %key, principal = %caller.principal_arn(), "refused a token: no access entry");
            json!({ "authenticated": false, "error": "the principal has no access entry" })
        }
        Ok((caller, Some(entry))) => {
            debug!(cluster = %key, principal = %caller.principal_arn(), "accepted a token");
            json!({ "authenticated": true, "user": user(&caller, &entry) })
        }
    }
}

/// The entry of a principal, once the API server has heard of it.
fn effective_entry<'r>(
    record: &'r ClusterRecord,
    principal_arn: &str,
    now: Timestamp,
) -> Option<&'r AccessEntryRecord> {
    record.access_entries.get(principal_arn).filter(|entry| entry.effective_at <= now)
}

/// The user as EKS names it. Source: docs (user names of access entries; `extra` of the authenticator).
fn user(caller: &Caller, entry: &AccessEntryRecord) -> Value {
    let session = match &caller.kind {
        // A colon separates parts of Kubernetes user names: the authenticator writes a dash for it.
        CallerKind::Role { session, .. } => session.replace(['@', ':'], "-"),
        CallerKind::User { .. } => String::new(),
    };
    let username = entry
        .entry
        .username
        .replace("{{SessionName}}", &session)
        .replace("{{SessionNameRaw}}", &session)
        .replace("{{AccountID}}", &caller.account);
    let principal_id = caller.user_id();
    let uid = principal_id.split(':').next().unwrap_or(&principal_id);
    json!({
        "username": username,
        "uid": format!("aws-iam-authenticator:{}:{uid}", caller.account),
        "groups": entry.entry.kubernetes_groups,
        "extra": {
            "accessKeyId": [caller.access_key_id],
            "arn": [caller.arn()],
            API_SERVER_CANONICAL: [caller.principal_arn()],
            "principalId": [principal_id],
            "sessionName": [session],
        },
    })
}

#[derive(Deserialize)]
pub(super) struct SubjectAccessReview {
    spec: AccessSpec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccessSpec {
    #[serde(default)]
    extra: Map<String, Value>,
    resource_attributes: Option<ResourceAttributes>,
    non_resource_attributes: Option<NonResourceAttributes>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ResourceAttributes {
    verb: String,
    group: String,
    resource: String,
    subresource: String,
    namespace: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct NonResourceAttributes {
    verb: String,
}

/// SubjectAccessReview: what the access policies of the principal allow. It only ever allows: RBAC has been asked
/// before, and nobody denies.
pub(super) async fn authorize(
    State(control): Shared,
    Path((account, region, name)): Path<(String, String, String)>,
    Json(review): Json<SubjectAccessReview>,
) -> Json<Value> {
    let key = ClusterKey { account, region, name };
    // An impersonated user has no principal, so policies give it nothing: only Kubernetes groups count for it.
    let principal = canonical_arn(&review.spec.extra).map(str::to_owned);
    let allowed = principal.and_then(|principal| {
        control.world.with_moment(|state, now| {
            let entry = effective_entry(state.cluster(&key)?, &principal, now)?;
            granted_by(entry, &review.spec)
        })
    });
    let status = match allowed {
        Some(policy) => json!({ "allowed": true, "reason": format!("EKS access policy {policy}") }),
        None => json!({ "allowed": false, "reason": "no EKS access policy allows it" }),
    };
    Json(json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "status": status,
    }))
}

/// API servers write the keys of `extra` in lower case.
fn canonical_arn(extra: &Map<String, Value>) -> Option<&str> {
    let (_, values) = extra.iter().find(|(key, _)| key.eq_ignore_ascii_case(API_SERVER_CANONICAL))?;
    values.get(0)?.as_str()
}

/// The name of a policy of an entry that allows what is asked.
fn granted_by(entry: &AccessEntryRecord, spec: &AccessSpec) -> Option<String> {
    let (wish, namespace) = match (&spec.resource_attributes, &spec.non_resource_attributes) {
        (Some(asked), _) => (
            Wish::Resource {
                verb: &asked.verb,
                group: &asked.group,
                resource: &asked.resource,
                subresource: &asked.subresource,
            },
            asked.namespace.as_str(),
        ),
        (None, Some(asked)) => (Wish::Path { verb: &asked.verb }, ""),
        (None, None) => return None,
    };
    entry.policies.values().find_map(|associated| {
        let scope = &associated.access_scope;
        let holds = scope.kind == ScopeType::Cluster || in_scope(&scope.namespaces, namespace);
        let policy = access_policies::find(&associated.policy_arn)?;
        (holds && policy.allows(wish)).then(|| policy.name.to_owned())
    })
}
