//! The controller's manifests for a management cluster, made from the code that they have to fit.

mod access;
mod network;
mod workload;

use std::collections::BTreeMap;

use fleet_api::labels;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde::Serialize;

/// The name of everything that belongs to the controller.
pub const NAME: &str = "fleet-controller";
/// The role for tenants' people, to be bound in the namespaces of their tenants.
pub const TENANT_PEOPLE: &str = "fleet-tenant-people";
/// The port of `/healthz`, `/readyz` and `/metrics`.
const PORT: i32 = 9440;

/// A manifest that cannot be written as YAML.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {file} as YAML")]
pub struct ManifestError {
    /// The file.
    file: &'static str,
    /// What happened.
    #[source]
    source: serde_yaml::Error,
}

/// Every manifest: file name and YAML, in an order in which they can be applied.
///
/// The namespace and the permissions come first ([`access`]); the sandbox, which starts the process itself, needs
/// no more than those.
pub fn manifests() -> Result<Vec<(&'static str, String)>, ManifestError> {
    let mut files = access()?;
    files.push(("3-deployment.yaml", workload::objects().write("3-deployment.yaml")?));
    files.push(("4-network.yaml", network::policies().write("4-network.yaml")?));
    Ok(files)
}

/// The namespace, the admission policies, the ServiceAccount and its permissions, and those of tenants' people: file name
/// and YAML.
pub fn access() -> Result<Vec<(&'static str, String)>, ManifestError> {
    let mut namespace = Documents::default();
    namespace.add("v1", "Namespace", &access::system_namespace());
    Ok(vec![
        ("1-namespace.yaml", namespace.write("1-namespace.yaml")?),
        ("2-admission.yaml", access::policies().write("2-admission.yaml")?),
        ("2-rbac.yaml", access::rbac().write("2-rbac.yaml")?),
        ("2-tenant-people.yaml", access::tenant_people().write("2-tenant-people.yaml")?),
    ])
}

/// Objects that go into one file.
#[derive(Default)]
struct Documents(Vec<Result<serde_yaml::Value, serde_yaml::Error>>);

impl Documents {
    fn add<K: Serialize>(&mut self, api_version: &str, kind: &str, object: &K) {
        let document = serde_yaml::to_value(object).map(|mut value| {
            if let serde_yaml::Value::Mapping(fields) = &mut value {
                fields.insert("apiVersion".into(), api_version.into());
                fields.insert("kind".into(), kind.into());
            }
            value
        });
        self.0.push(document);
    }

    fn write(self, file: &'static str) -> Result<String, ManifestError> {
        let failed = |source| ManifestError { file, source };
        let mut texts = Vec::new();
        for document in self.0 {
            texts.push(serde_yaml::to_string(&document.map_err(failed)?).map_err(failed)?);
        }
        Ok(texts.join("---\n"))
    }
}

fn own_labels() -> BTreeMap<String, String> {
    [("app.kubernetes.io/name", NAME), ("app.kubernetes.io/part-of", "fleet")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

fn selector() -> LabelSelector {
    LabelSelector {
        match_labels: Some([("app.kubernetes.io/name".to_owned(), NAME.to_owned())].into()),
        ..LabelSelector::default()
    }
}

fn metadata(name: &str, namespace: Option<&str>) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: namespace.map(str::to_owned),
        labels: Some(own_labels()),
        ..ObjectMeta::default()
    }
}

fn in_system(name: &str) -> ObjectMeta {
    metadata(name, Some(labels::SYSTEM_NAMESPACE))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every object of every manifest.
    pub(super) fn documents() -> Vec<serde_yaml::Value> {
        let texts = manifests().unwrap();
        texts
            .iter()
            .flat_map(|(_, text)| text.split("---\n"))
            .map(|text| serde_yaml::from_str(text).unwrap())
            .collect()
    }

    #[test]
    fn files_apply_in_the_order_of_their_names() {
        let files = manifests().unwrap();
        assert!(files.is_sorted_by_key(|(name, _)| *name));
        assert!(files[0].1.contains("kind: Namespace"));
    }
}
