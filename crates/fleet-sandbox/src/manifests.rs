//! Brings manifests to the management cluster, and waits until its custom resources are served.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams},
    core::GroupVersionKind,
    discovery::{Scope, pinned_kind},
    runtime::wait::{await_condition, conditions::is_crd_established},
};
use serde::Deserialize;

use crate::{error::Error, up::Manifest};

const FIELD_MANAGER: &str = "fleet-sandbox";
const ESTABLISHED_WITHIN: Duration = Duration::from_secs(60);
const CRD: &str = "CustomResourceDefinition";

/// Applies manifests in their order. Says how many objects they held.
pub(crate) async fn apply(client: &Client, manifests: &[Manifest]) -> Result<usize, Error> {
    let mut applied = 0;
    let mut definitions = Vec::new();
    for manifest in manifests {
        for object in parse(manifest)? {
            let (kind, name) = apply_one(client, &manifest.name, &object).await?;
            applied += 1;
            if kind == CRD {
                definitions.push(name);
            }
        }
    }
    let api = Api::<CustomResourceDefinition>::all(client.clone());
    for name in definitions {
        let action = format!("waiting until {name} is established");
        let established = await_condition(api.clone(), &name, is_crd_established());
        match tokio::time::timeout(ESTABLISHED_WITHIN, established).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(Error::Management { action, source: Box::new(error) }),
            Err(late) => return Err(Error::Management { action, source: Box::new(late) }),
        }
    }
    Ok(applied)
}

/// The objects of a manifest, which may hold several documents. Empty documents are left out.
fn parse(manifest: &Manifest) -> Result<Vec<DynamicObject>, Error> {
    let wrong = |why: String| Error::Manifest { name: manifest.name.clone(), why };
    let mut objects = Vec::new();
    for document in serde_yaml::Deserializer::from_str(&manifest.yaml) {
        let value = serde_yaml::Value::deserialize(document).map_err(|error| wrong(error.to_string()))?;
        if value.is_null() {
            continue;
        }
        let object: DynamicObject =
            serde_yaml::from_value(value).map_err(|error| wrong(error.to_string()))?;
        if object.types.is_none() || object.metadata.name.is_none() {
            return Err(wrong("an object has no apiVersion, kind or name".to_owned()));
        }
        objects.push(object);
    }
    Ok(objects)
}

async fn apply_one(
    client: &Client,
    manifest: &str,
    object: &DynamicObject,
) -> Result<(String, String), Error> {
    let wrong = |why: &str| Error::Manifest { name: manifest.to_owned(), why: why.to_owned() };
    let types = object.types.as_ref().ok_or_else(|| wrong("an object has no kind"))?;
    let name = object.metadata.name.clone().ok_or_else(|| wrong("an object has no name"))?;
    let action = format!("applying {} {name} of {manifest}", types.kind);
    let kind =
        GroupVersionKind::try_from(types).map_err(|_| wrong("an object has a malformed apiVersion"))?;
    let (resource, capabilities) =
        pinned_kind(client, &kind).await.map_err(Error::management(action.clone()))?;
    let api: Api<DynamicObject> = match (&capabilities.scope, &object.metadata.namespace) {
        (Scope::Namespaced, namespace) => {
            let namespace = namespace.as_deref().unwrap_or("default");
            Api::namespaced_with(client.clone(), namespace, &resource)
        }
        (Scope::Cluster, _) => Api::all_with(client.clone(), &resource),
    };
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    api.patch(&name, &parameters, &Patch::Apply(object)).await.map_err(Error::management(action))?;
    Ok((types.kind.clone(), name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(yaml: &str) -> Manifest {
        Manifest { name: "some.yaml".to_owned(), yaml: yaml.to_owned() }
    }

    #[test]
    fn several_documents_are_several_objects_and_empty_ones_are_none() {
        let text = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: one}\n---\n---\napiVersion: v1\nkind: \
                    Namespace\nmetadata: {name: two}\n";
        let objects = parse(&manifest(text)).unwrap();
        let names: Vec<_> = objects.iter().map(|object| object.metadata.name.as_deref().unwrap()).collect();
        assert_eq!(names, ["one", "two"]);
    }

    #[test]
    fn what_is_no_object_is_refused_by_the_name_of_its_manifest() {
        for text in ["kind: Namespace", "a: [", "apiVersion: v1\nkind: Namespace\nmetadata: {}\n"] {
            let error = parse(&manifest(text)).unwrap_err();
            assert!(error.to_string().contains("some.yaml"), "{error}");
        }
    }
}
