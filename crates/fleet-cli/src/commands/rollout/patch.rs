//! Edits of rollouts and members: only the fields that people drive them by.

use std::fmt::Debug;

use fleet_api::{
    labels,
    v1alpha1::{Rollout, RolloutMember, Run},
};
use kube::{
    Resource,
    api::{Api, Patch, PatchParams},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{
    error::Result,
    hub::{Hub, failed},
};

/// Says what a rollout should be doing. With `version` only if it is still the one that was looked at.
pub(crate) async fn set_run(hub: &Hub, name: &str, run: Run, version: Option<&str>) -> Result<Rollout> {
    spec(hub, name, json!({ "run": run }), version).await
}

/// Edits a rollout's spec. With `version` only if it is still the one that was looked at.
pub(crate) async fn spec(hub: &Hub, name: &str, spec: Value, version: Option<&str>) -> Result<Rollout> {
    merge(hub, "rollout", name, spec, version).await
}

/// Edits a member's spec, if it is still the one that was looked at.
pub(crate) async fn member(hub: &Hub, member: &RolloutMember, spec: Value) -> Result<RolloutMember> {
    let name = member.metadata.name.as_deref().unwrap_or_default();
    merge(hub, "member", name, spec, member.metadata.resource_version.as_deref()).await
}

async fn merge<K>(hub: &Hub, what: &str, name: &str, spec: Value, version: Option<&str>) -> Result<K>
where
    K: Resource<DynamicType = (), Scope = kube::core::ClusterResourceScope>
        + Clone
        + Debug
        + DeserializeOwned,
{
    let api: Api<K> = Api::all(hub.client.clone());
    let mut patch = json!({ "spec": spec });
    if let Some(version) = version {
        patch["metadata"] = json!({ "resourceVersion": version });
    }
    let params =
        PatchParams { field_manager: Some(labels::CLI_MANAGER.to_owned()), ..PatchParams::default() };
    api.patch(name, &params, &Patch::Merge(&patch))
        .await
        .map_err(|error| failed(&format!("{what} `{name}` cannot be changed"), &error))
}
