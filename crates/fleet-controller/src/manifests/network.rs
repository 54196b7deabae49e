//! What may reach the controller, and whom it may reach.

use k8s_openapi::{
    api::networking::v1::{
        NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
        NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use super::{Documents, NAME, PORT, in_system, selector};

/// A namespace with this label set to `allowed` may read the metrics.
const METRICS_LABEL: &str = "tenantfleet.dev/metrics";
/// What runs in a namespace with this label set to `allowed` may be asked by the gates of rollouts.
const PROMETHEUS_LABEL: &str = "tenantfleet.dev/prometheus";

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
pub(super) fn policies() -> Documents {
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
    use super::{super::tests::documents, *};

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
}
