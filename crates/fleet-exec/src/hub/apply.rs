//! Writes spec objects to the management cluster by server-side apply.

use kube::{
    Client,
    api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions},
    core::ApiResource,
};
use serde_json::Value;

use super::{HubError, resource};

/// How objects are applied.
#[derive(Debug, Clone)]
pub struct ApplyOptions {
    /// The field manager, such as [`fleet_api::labels::CLI_MANAGER`].
    pub manager: String,
    /// Whether to take fields from other managers.
    pub force: bool,
    /// Whether the server only says what would happen.
    pub dry_run: bool,
}

impl ApplyOptions {
    /// Applies in a manager's name, and stops where another manager holds a field.
    pub fn new(manager: &str) -> Self {
        Self { manager: manager.to_owned(), force: false, dry_run: false }
    }
}

/// What an apply did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The kind.
    pub kind: String,
    /// The name.
    pub name: String,
    /// What changed.
    pub change: Change,
}

/// What an apply changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The object was made.
    Created,
    /// The object was changed.
    Changed,
    /// The object was as wanted.
    Unchanged,
}

/// Applies one object: JSON with `apiVersion`, `kind` and `metadata.name`. Status is left out.
///
/// # Errors
/// It is no object, or the server refuses it.
pub async fn apply(client: &Client, object: &Value, options: &ApplyOptions) -> Result<Applied, HubError> {
    let target = Target::of(client, object)?;
    let failed = |source| HubError::Apply { kind: target.kind.clone(), name: target.name.clone(), source };
    let before = target.api.get_opt(&target.name).await.map_err(failed)?;
    let mut wanted = object.clone();
    if let Some(fields) = wanted.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = wanted.get_mut("metadata").and_then(Value::as_object_mut) {
        // What the server gives must not come back from a file that was once read from it.
        for given in ["managedFields", "resourceVersion", "uid", "creationTimestamp", "generation"] {
            metadata.remove(given);
        }
    }
    let mut params = PatchParams::apply(&options.manager);
    params.force = options.force;
    params.dry_run = options.dry_run;
    let after = target.api.patch(&target.name, &params, &Patch::Apply(&wanted)).await.map_err(failed)?;
    let change = match before {
        None => Change::Created,
        // Not by the version: a dry run keeps it even where something would change.
        Some(before) if says_the_same(&before, &after) => Change::Unchanged,
        Some(_) => Change::Changed,
    };
    Ok(Applied { kind: target.kind, name: target.name, change })
}

/// Applies objects in the order in which they refer to each other: settings and what tenants name first, tenants
/// last. Each has its own result, in the order of the input; one that fails does not hold up the others.
pub async fn apply_all(
    client: &Client,
    objects: &[Value],
    options: &ApplyOptions,
) -> Vec<Result<Applied, HubError>> {
    let mut order: Vec<usize> = (0..objects.len()).collect();
    order.sort_by_key(|at| objects.get(*at).map(rank));
    let mut results: Vec<Option<Result<Applied, HubError>>> = objects.iter().map(|_| None).collect();
    for at in order {
        if let (Some(object), Some(result)) = (objects.get(at), results.get_mut(at)) {
            *result = Some(apply(client, object, options).await);
        }
    }
    results.into_iter().flatten().collect()
}

fn says_the_same(before: &DynamicObject, after: &DynamicObject) -> bool {
    let said = |object: &DynamicObject| {
        let mut data = object.data.clone();
        // A controller may write the status between our read and our write.
        data.as_object_mut().map(|fields| fields.remove("status"));
        data
    };
    said(before) == said(after)
        && before.metadata.labels == after.metadata.labels
        && before.metadata.annotations == after.metadata.annotations
        && before.metadata.finalizers == after.metadata.finalizers
}

fn rank(object: &Value) -> usize {
    const ORDER: [&str; 6] =
        ["Fleet", "VersionChannel", "Baseline", "TenantClass", "ControlException", "Tenant"];
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    ORDER.iter().position(|known| *known == kind).unwrap_or(ORDER.len())
}

/// Deletes one object of the group of fleet, if it still has the UID when one is given. One that is gone already
/// is no error.
///
/// # Errors
/// The server refuses.
pub async fn delete(client: &Client, kind: &str, name: &str, uid: Option<&str>) -> Result<(), HubError> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource(fleet_api::API_VERSION, kind));
    let mut params = DeleteParams::background();
    if let Some(uid) = uid {
        params = params.preconditions(Preconditions { uid: Some(uid.to_owned()), resource_version: None });
    }
    match api.delete(name, &params).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(source) => Err(HubError::Delete { kind: kind.to_owned(), name: name.to_owned(), source }),
    }
}

struct Target {
    api: Api<DynamicObject>,
    kind: String,
    name: String,
}

impl Target {
    fn of(client: &Client, object: &Value) -> Result<Self, HubError> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let lacks = |missing| HubError::NoObject {
            what: text("/metadata/name").or(text("/kind")).unwrap_or("a value").to_owned(),
            missing,
        };
        let api_version = text("/apiVersion").ok_or_else(|| lacks("apiVersion"))?;
        let kind = text("/kind").ok_or_else(|| lacks("kind"))?;
        let name = text("/metadata/name").ok_or_else(|| lacks("name"))?;
        let resource: ApiResource = resource(api_version, kind);
        let api = match text("/metadata/namespace") {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        Ok(Self { api, kind: kind.to_owned(), name: name.to_owned() })
    }
}
