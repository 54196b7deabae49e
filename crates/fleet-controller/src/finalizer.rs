//! Finalizers: set before what they guard is made, and taken away when it is gone.

use std::sync::Arc;

use kube::{
    Api, ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde_json::json;

use crate::{context::Context, error::ReconcileError, written::Ours};

/// Sets the finalizer, before anything that it guards is made.
pub(crate) async fn ensure<K: Ours>(
    context: &Context,
    object: Arc<K>,
    finalizer: &str,
) -> Result<Arc<K>, ReconcileError> {
    if object.finalizers().iter().any(|one| one == finalizer) {
        return Ok(object);
    }
    let mut all = object.finalizers().to_vec();
    all.push(finalizer.to_owned());
    write_finalizers(context, &*object, all, "guard")
        .await
        .map(|written| K::writes(context).remember(written))
}

/// Takes the finalizer away, when what it guarded is gone.
pub(crate) async fn release<K: Ours>(
    context: &Context,
    object: &K,
    finalizer: &str,
) -> Result<(), ReconcileError> {
    let all = object.finalizers().iter().filter(|one| *one != finalizer).cloned().collect();
    if object.finalizers().iter().any(|one| one == finalizer) {
        match write_finalizers(context, object, all, "release").await {
            Err(ReconcileError::Hub { source, .. }) if is_gone(&source) => {}
            other => drop(other?),
        }
    }
    context.forget(&object.uid().unwrap_or_default());
    Ok(())
}

fn is_gone(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// Writes the list over the version that was read, so that nobody else's entry is lost.
async fn write_finalizers<K: Ours>(
    context: &Context,
    object: &K,
    finalizers: Vec<String>,
    action: &'static str,
) -> Result<K, ReconcileError> {
    context.fence.check()?;
    let name = object.name_any();
    let api: Api<K> = Api::all(context.client.clone());
    let metadata = json!({ "finalizers": finalizers, "resourceVersion": object.resource_version() });
    api.patch(&name, &PatchParams::default(), &Patch::Merge(json!({ "metadata": metadata })))
        .await
        .map_err(ReconcileError::hub(action, K::KIND, &name))
}
