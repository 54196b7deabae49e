//! The controller's manifests for a management cluster, made from the code that they have to fit.

use std::collections::BTreeMap;

use fleet_api::labels;
use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
        core::v1::{
            Capabilities, Container, ContainerPort, EnvVar, EnvVarSource, HTTPGetAction, Namespace,
            ObjectFieldSelector, PodSecurityContext, PodSpec, PodTemplateSpec, Probe, ResourceRequirements,
            SeccompProfile, SecurityContext, Service, ServiceAccount, ServicePort, ServiceSpec,
            TopologySpreadConstraint,
        },
        networking::v1::{
            NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
            NetworkPolicyPort, NetworkPolicySpec,
        },
        policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
        rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject},
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};
use serde::Serialize;

use crate::{
    admission,
    permissions::{PERMISSIONS, Permission, Scope},
};

/// The name of everything that belongs to the controller.
pub const NAME: &str = "fleet-controller";
/// The role for tenants' people, to be bound in the namespaces of their tenants.
pub const TENANT_PEOPLE: &str = "fleet-tenant-people";
/// The port of `/healthz`, `/readyz` and `/metrics`.
const PORT: i32 = 9440;
/// A namespace with this label set to `allowed` may read the metrics.
const METRICS_LABEL: &str = "tenantfleet.dev/metrics";
/// What runs in a namespace with this label set to `allowed` may be asked by the gates of rollouts.
const PROMETHEUS_LABEL: &str = "tenantfleet.dev/prometheus";
/// The namespace of events about objects that have none.
const EVENTS_NAMESPACE: &str = "default";

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
    files.push(("3-deployment.yaml", workload().write("3-deployment.yaml")?));
    files.push(("4-network.yaml", network().write("4-network.yaml")?));
    Ok(files)
}

/// The namespace, the admission policies, the ServiceAccount and its permissions, and those of tenants' people: file name
/// and YAML.
pub fn access() -> Result<Vec<(&'static str, String)>, ManifestError> {
    let mut namespace = Documents::default();
    namespace.add("v1", "Namespace", &system_namespace());
    Ok(vec![
        ("1-namespace.yaml", namespace.write("1-namespace.yaml")?),
        ("2-admission.yaml", policies().write("2-admission.yaml")?),
        ("2-rbac.yaml", rbac().write("2-rbac.yaml")?),
        ("2-tenant-people.yaml", tenant_people().write("2-tenant-people.yaml")?),
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

fn system_namespace() -> Namespace {
    let mut namespace =
        Namespace { metadata: metadata(labels::SYSTEM_NAMESPACE, None), ..Namespace::default() };
    let levels = ["enforce", "audit", "warn"]
        .map(|mode| (format!("pod-security.kubernetes.io/{mode}"), "restricted".to_owned()));
    namespace.metadata.labels.get_or_insert_default().extend(levels);
    namespace
}

/// Who may say what about rollouts.
fn policies() -> Documents {
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

fn rbac() -> Documents {
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
fn tenant_people() -> Documents {
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

fn probe(path: &str) -> Option<Probe> {
    Some(Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String("http".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(10),
        timeout_seconds: Some(3),
        ..Probe::default()
    })
}

fn container() -> Container {
    let quantities = |pairs: &[(&str, &str)]| {
        Some(pairs.iter().map(|(key, value)| ((*key).to_owned(), Quantity((*value).to_owned()))).collect())
    };
    Container {
        name: "controller".to_owned(),
        image: Some(format!("{NAME}:{}", env!("CARGO_PKG_VERSION"))),
        args: Some(vec![format!("--listen=0.0.0.0:{PORT}"), "--log-format=json".to_owned()]),
        env: Some(vec![EnvVar {
            name: "POD_NAME".to_owned(),
            value_from: Some(EnvVarSource {
                field_ref: Some(ObjectFieldSelector {
                    field_path: "metadata.name".to_owned(),
                    ..ObjectFieldSelector::default()
                }),
                ..EnvVarSource::default()
            }),
            ..EnvVar::default()
        }]),
        ports: Some(vec![ContainerPort {
            name: Some("http".to_owned()),
            container_port: PORT,
            ..ContainerPort::default()
        }]),
        liveness_probe: probe("/healthz"),
        readiness_probe: probe("/readyz"),
        resources: Some(ResourceRequirements {
            requests: quantities(&[("cpu", "100m"), ("memory", "128Mi")]),
            limits: quantities(&[("memory", "1Gi")]),
            ..ResourceRequirements::default()
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            read_only_root_filesystem: Some(true),
            run_as_non_root: Some(true),
            ..SecurityContext::default()
        }),
        ..Container::default()
    }
}

/// The Deployment with its budget, and the Service of the metrics.
fn workload() -> Documents {
    let pod = PodSpec {
        service_account_name: Some(NAME.to_owned()),
        automount_service_account_token: Some(true),
        // Longer than the grace that the controller gives running steps.
        termination_grace_period_seconds: Some(40),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(65_532),
            run_as_group: Some(65_532),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                ..SeccompProfile::default()
            }),
            ..PodSecurityContext::default()
        }),
        topology_spread_constraints: Some(vec![TopologySpreadConstraint {
            max_skew: 1,
            topology_key: "kubernetes.io/hostname".to_owned(),
            when_unsatisfiable: "ScheduleAnyway".to_owned(),
            label_selector: Some(selector()),
            ..TopologySpreadConstraint::default()
        }]),
        containers: vec![container()],
        ..PodSpec::default()
    };
    let mut documents = Documents::default();
    documents.add(
        "apps/v1",
        "Deployment",
        &Deployment {
            metadata: in_system(NAME),
            spec: Some(DeploymentSpec {
                // One leads, one stands by with warm stores.
                replicas: Some(2),
                selector: selector(),
                strategy: Some(DeploymentStrategy {
                    type_: Some("RollingUpdate".to_owned()),
                    rolling_update: Some(RollingUpdateDeployment {
                        max_unavailable: Some(IntOrString::Int(1)),
                        max_surge: Some(IntOrString::Int(1)),
                    }),
                }),
                template: PodTemplateSpec {
                    metadata: Some(ObjectMeta { labels: Some(own_labels()), ..ObjectMeta::default() }),
                    spec: Some(pod),
                },
                ..DeploymentSpec::default()
            }),
            status: None,
        },
    );
    documents.add(
        "policy/v1",
        "PodDisruptionBudget",
        &PodDisruptionBudget {
            metadata: in_system(NAME),
            spec: Some(PodDisruptionBudgetSpec {
                max_unavailable: Some(IntOrString::Int(1)),
                selector: Some(selector()),
                ..PodDisruptionBudgetSpec::default()
            }),
            status: None,
        },
    );
    documents.add(
        "v1",
        "Service",
        &Service {
            metadata: in_system(NAME),
            spec: Some(ServiceSpec {
                selector: selector().match_labels,
                ports: Some(vec![ServicePort {
                    name: Some("http".to_owned()),
                    port: PORT,
                    target_port: Some(IntOrString::String("http".to_owned())),
                    ..ServicePort::default()
                }]),
                ..ServiceSpec::default()
            }),
            status: None,
        },
    );
    documents
}

fn port(protocol: &str, port: i32) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: Some(protocol.to_owned()),
        port: Some(IntOrString::Int(port)),
        end_port: None,
    }
}

fn namespaces_with(label: &str, value: &str) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector {
            match_labels: Some([(label.to_owned(), value.to_owned())].into()),
            ..LabelSelector::default()
        }),
        ..NetworkPolicyPeer::default()
    }
}

/// Nothing goes in or out of the namespace, but for what the controller needs.
fn network() -> Documents {
    let both = || Some(vec!["Ingress".to_owned(), "Egress".to_owned()]);
    let mut documents = Documents::default();
    documents.add(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        &NetworkPolicy {
            metadata: in_system("default-deny"),
            spec: Some(NetworkPolicySpec {
                pod_selector: Some(LabelSelector::default()),
                policy_types: both(),
                ..NetworkPolicySpec::default()
            }),
        },
    );
    documents.add(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        &NetworkPolicy {
            metadata: in_system(NAME),
            spec: Some(NetworkPolicySpec {
                pod_selector: Some(selector()),
                policy_types: both(),
                ingress: Some(vec![NetworkPolicyIngressRule {
                    from: Some(vec![namespaces_with(METRICS_LABEL, "allowed")]),
                    ports: Some(vec![port("TCP", PORT)]),
                }]),
                egress: Some(vec![
                    // Names.
                    NetworkPolicyEgressRule {
                        to: Some(vec![namespaces_with("kubernetes.io/metadata.name", "kube-system")]),
                        ports: Some(vec![port("UDP", 53), port("TCP", 53)]),
                    },
                    // The management cluster, AWS, and the tenants' API servers, whose addresses nobody can list.
                    NetworkPolicyEgressRule {
                        to: None,
                        ports: Some(vec![port("TCP", 443), port("TCP", 6443)]),
                    },
                    // Prometheus inside the management cluster. The ports that count are those of its pods, which differ
                    // from product to product; the Fleet's list says which of them are asked.
                    NetworkPolicyEgressRule {
                        to: Some(vec![namespaces_with(PROMETHEUS_LABEL, "allowed")]),
                        ports: None,
                    },
                ]),
            }),
        },
    );
    documents
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents() -> Vec<serde_yaml::Value> {
        let texts = manifests().unwrap();
        texts
            .iter()
            .flat_map(|(_, text)| text.split("---\n"))
            .map(|text| serde_yaml::from_str(text).unwrap())
            .collect()
    }

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

    #[test]
    fn the_pod_runs_without_any_privilege() {
        let deployment = documents().into_iter().find(|d| d["kind"] == "Deployment").unwrap();
        let pod = &deployment["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        let container = &pod["containers"][0]["securityContext"];
        assert_eq!(container["readOnlyRootFilesystem"], true);
        assert_eq!(container["allowPrivilegeEscalation"], false);
        assert_eq!(container["capabilities"]["drop"][0], "ALL");
    }

    #[test]
    fn prometheus_is_reached_in_namespaces_that_an_operator_has_labelled_and_nowhere_else() {
        let own = |d: &serde_yaml::Value| d["kind"] == "NetworkPolicy" && d["metadata"]["name"] == NAME;
        let policy = documents().into_iter().find(own).unwrap();
        let policy: NetworkPolicy = serde_yaml::from_value(policy).unwrap();
        for rule in policy.spec.unwrap().egress.unwrap() {
            let ports: Vec<_> = rule.ports.into_iter().flatten().filter_map(|port| port.port).collect();
            let to = rule.to.unwrap_or_default();
            if ports.is_empty() {
                assert_eq!(to, [namespaces_with("tenantfleet.dev/prometheus", "allowed")]);
            } else {
                let known = [53, 443, 6443].map(IntOrString::Int);
                assert!(ports.iter().all(|port| known.contains(port)), "{ports:?}");
            }
        }
    }

    #[test]
    fn files_apply_in_the_order_of_their_names() {
        let files = manifests().unwrap();
        assert!(files.is_sorted_by_key(|(name, _)| *name));
        assert!(files[0].1.contains("kind: Namespace"));
    }
}
