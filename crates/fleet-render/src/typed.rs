//! Rendered documents held against the types of Kubernetes.

use k8s_openapi::api::{
    admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
    core::v1::{ConfigMap, LimitRange, Namespace, ResourceQuota, ServiceAccount},
    networking::v1::NetworkPolicy,
    rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
    scheduling::v1::PriorityClass,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::normalise;

/// Whether objects of a kind live in a namespace, for the kinds whose types are known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Cluster,
    Namespaced,
}

/// Holds a document against its kind's type: a field that the type does not have, or one of the wrong type, is
/// refused with its path. Kinds that are not known here pass as they are, without a scope.
pub(crate) fn check(value: &Value) -> Result<Option<Scope>, String> {
    let api_version = value.pointer("/apiVersion").and_then(Value::as_str).unwrap_or_default();
    let kind = value.pointer("/kind").and_then(Value::as_str).unwrap_or_default();
    let scope = match (api_version, kind) {
        ("v1", "Namespace") => known::<Namespace>(value, Scope::Cluster),
        ("v1", "ServiceAccount") => known::<ServiceAccount>(value, Scope::Namespaced),
        ("v1", "ConfigMap") => known::<ConfigMap>(value, Scope::Namespaced),
        ("v1", "ResourceQuota") => known::<ResourceQuota>(value, Scope::Namespaced),
        ("v1", "LimitRange") => known::<LimitRange>(value, Scope::Namespaced),
        ("networking.k8s.io/v1", "NetworkPolicy") => known::<NetworkPolicy>(value, Scope::Namespaced),
        ("rbac.authorization.k8s.io/v1", "Role") => known::<Role>(value, Scope::Namespaced),
        ("rbac.authorization.k8s.io/v1", "RoleBinding") => known::<RoleBinding>(value, Scope::Namespaced),
        ("rbac.authorization.k8s.io/v1", "ClusterRole") => known::<ClusterRole>(value, Scope::Cluster),
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding") => {
            known::<ClusterRoleBinding>(value, Scope::Cluster)
        }
        ("scheduling.k8s.io/v1", "PriorityClass") => known::<PriorityClass>(value, Scope::Cluster),
        ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy") => {
            known::<ValidatingAdmissionPolicy>(value, Scope::Cluster)
        }
        ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding") => {
            known::<ValidatingAdmissionPolicyBinding>(value, Scope::Cluster)
        }
        _ => return Ok(None),
    };
    scope.map(Some)
}

fn known<T: DeserializeOwned + Serialize>(value: &Value, scope: Scope) -> Result<Scope, String> {
    let typed: T = serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
    let again = serde_json::to_value(typed).map_err(|error| error.to_string())?;
    match lost(value, &normalise::object(again), String::new()) {
        Some(path) => Err(format!("there is no field `{path}`")),
        None => Ok(scope),
    }
}

/// The path of the first field of a normalised object that its type has not kept.
fn lost(given: &Value, kept: &Value, path: String) -> Option<String> {
    match (given, kept) {
        (Value::Object(given), Value::Object(kept)) => given.iter().find_map(|(key, value)| {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            match kept.get(key) {
                Some(kept) => lost(value, kept, path),
                None => Some(path),
            }
        }),
        (Value::Array(given), Value::Array(kept)) => given
            .iter()
            .enumerate()
            .find_map(|(index, value)| lost(value, kept.get(index)?, format!("{path}[{index}]"))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_that_the_type_does_not_have_is_refused_with_its_path() {
        let policy = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": { "name": "a" },
            "spec": { "podSelector": {}, "egress": [{ "to": [{ "ipBlok": { "cidr": "::/0" } }] }] },
        });
        let error = check(&policy).err().unwrap();
        assert_eq!(error, "there is no field `spec.egress[0].to[0].ipBlok`");
    }

    #[test]
    fn a_field_of_the_wrong_type_is_refused() {
        let quota = json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "a" }, "spec": { "hard": ["pods"] },
        });
        assert!(check(&quota).is_err());
    }

    #[test]
    fn a_kind_that_is_not_known_here_passes() {
        assert!(check(&json!({ "apiVersion": "example.com/v1", "kind": "Thing", "any": 1 })).is_ok());
    }
}
