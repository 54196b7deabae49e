//! The namespace, and who may do what: the admission policies, the controller's own permissions, and those of tenants'
//! people.

use fleet_api::labels;
use k8s_openapi::api::{
    core::v1::{Namespace, ServiceAccount},
    rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject},
};

use super::{Documents, NAME, TENANT_PEOPLE, in_system, metadata, own_labels};
use crate::{
    admission,
    permissions::{PERMISSIONS, Permission, Scope},
};

/// The namespace of events about objects that have none.
const EVENTS_NAMESPACE: &str = "default";

/// The controller's namespace.
pub(super) fn system_namespace() -> Namespace {
    let mut namespace =
        Namespace { metadata: metadata(labels::SYSTEM_NAMESPACE, None), ..Namespace::default() };
    let levels = ["enforce", "audit", "warn"]
        .map(|mode| (format!("pod-security.kubernetes.io/{mode}"), "restricted".to_owned()));
    namespace.metadata.labels.get_or_insert_default().extend(levels);
    namespace
}

/// Who may say what about rollouts.
pub(super) fn policies() -> Documents {
    let mut documents = Documents::default();
    for rule in admission::rules() {
        let (policy, binding) = admission::objects(rule, &own_labels());
        documents.add("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", &policy);
        documents.add("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding", &binding);
    }
    documents
}

fn rules(scope: Scope) -> Vec<PolicyRule> {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    PERMISSIONS
        .iter()
        .filter(|permission| permission.scope == scope)
        .map(|Permission { scope: _, group, resources, verbs, names }| PolicyRule {
            api_groups: Some(owned(&[group])),
            resources: Some(owned(resources)),
            verbs: owned(verbs),
            resource_names: if names.is_empty() { None } else { Some(owned(names)) },
            non_resource_urls: None,
        })
        .collect()
}

/// The controller's ServiceAccount with its roles.
pub(super) fn rbac() -> Documents {
    let subject = || {
        Some(vec![Subject {
            kind: "ServiceAccount".to_owned(),
            name: NAME.to_owned(),
            namespace: Some(labels::SYSTEM_NAMESPACE.to_owned()),
            api_group: None,
        }])
    };
    let role_ref = |kind: &str| RoleRef {
        api_group: "rbac.authorization.k8s.io".to_owned(),
        kind: kind.to_owned(),
        name: NAME.to_owned(),
    };
    let rbac_version = "rbac.authorization.k8s.io/v1";
    let mut documents = Documents::default();
    documents.add(
        "v1",
        "ServiceAccount",
        &ServiceAccount {
            metadata: in_system(NAME),
            automount_service_account_token: Some(false),
            ..ServiceAccount::default()
        },
    );
    documents.add(
        rbac_version,
        "ClusterRole",
        &ClusterRole {
            metadata: metadata(NAME, None),
            rules: Some(rules(Scope::Cluster)),
            ..ClusterRole::default()
        },
    );
    documents.add(
        rbac_version,
        "ClusterRoleBinding",
        &ClusterRoleBinding {
            metadata: metadata(NAME, None),
            role_ref: role_ref("ClusterRole"),
            subjects: subject(),
        },
    );
    for (scope, namespace) in [(Scope::System, labels::SYSTEM_NAMESPACE), (Scope::Events, EVENTS_NAMESPACE)] {
        let metadata = || metadata(NAME, Some(namespace));
        documents.add(rbac_version, "Role", &Role { metadata: metadata(), rules: Some(rules(scope)) });
        documents.add(
            rbac_version,
            "RoleBinding",
            &RoleBinding { metadata: metadata(), role_ref: role_ref("Role"), subjects: subject() },
        );
    }
    documents
}

/// What tenants' people may do, once an operator binds the role in the namespace of their tenant: choose inside the
/// bounds, and see what became of it.
///
/// They may not delete what they wrote: with the object the count of their deferrals would go. The controller binds
/// nobody, and so needs no right to hand out rights.
pub(super) fn tenant_people() -> Documents {
    let owned = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    let rule = |verbs: &[&str], names: Option<Vec<String>>| PolicyRule {
        api_groups: owned(&[fleet_api::GROUP]),
        resources: owned(&["upgradepreferences"]),
        verbs: owned(verbs).unwrap_or_default(),
        resource_names: names,
        non_resource_urls: None,
    };
    let name = owned(&[fleet_plan::preference::NAME]);
    let mut documents = Documents::default();
    documents.add(
        "rbac.authorization.k8s.io/v1",
        "ClusterRole",
        &ClusterRole {
            metadata: metadata(TENANT_PEOPLE, None),
            // RBAC cannot limit `create`, `list` and `watch` to a name; the definition takes no other name.
            rules: Some(vec![
                rule(&["create", "list", "watch"], None),
                rule(&["get", "patch", "update"], name),
            ]),
            ..ClusterRole::default()
        },
    );
    documents
}

#[cfg(test)]
mod tests {
    use super::{super::tests::documents, *};

    #[test]
    fn the_roles_grant_the_table_and_nothing_else() {
        let mut granted = Vec::new();
        for document in documents() {
            if document["kind"].as_str().unwrap().ends_with("Role") && document["metadata"]["name"] == NAME {
                let namespace = document["metadata"]["namespace"].as_str().map(str::to_owned);
                let rules: Vec<PolicyRule> = serde_yaml::from_value(document["rules"].clone()).unwrap();
                granted.extend(rules.into_iter().map(|rule| (namespace.clone(), rule)));
            }
        }
        assert_eq!(granted.len(), PERMISSIONS.len());
        for permission in PERMISSIONS {
            let namespace = match permission.scope {
                Scope::Cluster => None,
                Scope::System => Some("fleet-system".to_owned()),
                Scope::Events => Some("default".to_owned()),
            };
            let found = granted.iter().any(|(at, rule)| {
                *at == namespace
                    && rule.verbs == permission.verbs
                    && rule.resources.as_deref().unwrap() == permission.resources
                    && rule.api_groups.as_deref().unwrap() == [permission.group]
                    && rule.resource_names.clone().unwrap_or_default() == permission.names
            });
            assert!(found, "{permission:?}");
        }
    }
}
