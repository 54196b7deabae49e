//! The access policies of EKS, and what they allow in Kubernetes.
//!
//! On EKS they are not RBAC objects: an authorizer of the API server's own grants them. Source: docs (access policy
//! permissions); the resources are summarised from the tables there.

/// The policy that allows everything.
pub(crate) const CLUSTER_ADMIN: &str = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy";

/// An access policy.
#[derive(Debug)]
pub(crate) struct AccessPolicy {
    pub(crate) name: &'static str,
    grants: Grants,
}

#[derive(Debug, Clone, Copy)]
enum Grants {
    /// Every verb on everything.
    Everything,
    /// What Kubernetes' ClusterRole `admin` grants.
    Admin,
    /// What Kubernetes' ClusterRole `edit` grants.
    Edit,
    /// What Kubernetes' ClusterRole `view` grants.
    View,
    /// Reading everything, Secrets too.
    AdminView,
    /// Nothing that a person uses: a policy for a part of AWS.
    Service,
}

const fn policy(name: &'static str, grants: Grants) -> AccessPolicy {
    AccessPolicy { name, grants }
}

/// All of them, by name.
pub(crate) const ALL: [AccessPolicy; 9] = [
    policy("AmazonEKSAdminPolicy", Grants::Admin),
    policy("AmazonEKSAdminViewPolicy", Grants::AdminView),
    policy("AmazonEKSAutoNodePolicy", Grants::Service),
    policy("AmazonEKSBlockStoragePolicy", Grants::Service),
    policy("AmazonEKSClusterAdminPolicy", Grants::Everything),
    policy("AmazonEKSComputePolicy", Grants::Service),
    policy("AmazonEKSEditPolicy", Grants::Edit),
    policy("AmazonEKSNetworkingPolicy", Grants::Service),
    policy("AmazonEKSViewPolicy", Grants::View),
];

/// A policy by its ARN.
pub(crate) fn find(arn: &str) -> Option<&'static AccessPolicy> {
    let name = arn.strip_prefix("arn:aws:eks::aws:cluster-access-policy/")?;
    ALL.iter().find(|policy| policy.name == name)
}

/// What a request to an API server wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish<'w> {
    /// Something with a resource.
    Resource { verb: &'w str, group: &'w str, resource: &'w str, subresource: &'w str },
    /// Something with another path.
    Path { verb: &'w str },
}

const READ: [&str; 3] = ["get", "list", "watch"];
const WRITE: [&str; 8] = ["get", "list", "watch", "create", "delete", "deletecollection", "patch", "update"];

/// Groups and resources that `view` reads and `edit` writes.
const WORKLOADS: [(&str, &[&str]); 6] = [
    (
        "",
        &[
            "configmaps",
            "endpoints",
            "persistentvolumeclaims",
            "pods",
            "replicationcontrollers",
            "serviceaccounts",
            "services",
        ],
    ),
    ("apps", &["controllerrevisions", "daemonsets", "deployments", "replicasets", "statefulsets"]),
    ("autoscaling", &["horizontalpodautoscalers"]),
    ("batch", &["cronjobs", "jobs"]),
    ("networking.k8s.io", &["ingresses", "networkpolicies"]),
    ("policy", &["poddisruptionbudgets"]),
];

/// What `view` reads and nobody below the cluster's administrators writes.
const READ_ONLY: [(&str, &[&str]); 2] = [
    ("", &["bindings", "events", "limitranges", "namespaces", "resourcequotas"]),
    ("discovery.k8s.io", &["endpointslices"]),
];

fn among(table: &[(&str, &[&str])], group: &str, resource: &str) -> bool {
    table.iter().any(|(g, resources)| *g == group && resources.contains(&resource))
}

impl AccessPolicy {
    /// The ARN.
    pub(crate) fn arn(&self) -> String {
        format!("arn:aws:eks::aws:cluster-access-policy/{}", self.name)
    }

    /// Whether it allows a wish, in a place where it holds.
    pub(crate) fn allows(&self, wish: Wish<'_>) -> bool {
        let Wish::Resource { verb, group, resource, subresource } = wish else {
            let Wish::Path { verb } = wish else { return false };
            return match self.grants {
                Grants::Everything => true,
                Grants::AdminView => verb == "get",
                _ => false,
            };
        };
        match self.grants {
            Grants::Everything => true,
            Grants::AdminView => READ.contains(&verb),
            Grants::Service => false,
            Grants::View => view(verb, group, resource, subresource),
            Grants::Edit => {
                view(verb, group, resource, subresource) || edit(verb, group, resource, subresource)
            }
            Grants::Admin => {
                view(verb, group, resource, subresource)
                    || edit(verb, group, resource, subresource)
                    || admin(verb, group, resource)
            }
        }
    }
}

fn view(verb: &str, group: &str, resource: &str, subresource: &str) -> bool {
    READ.contains(&verb)
        && (among(&WORKLOADS, group, resource) || among(&READ_ONLY, group, resource))
        && !matches!(subresource, "exec" | "attach" | "portforward" | "proxy")
}

fn edit(verb: &str, group: &str, resource: &str, subresource: &str) -> bool {
    let secrets = group.is_empty() && resource == "secrets";
    let impersonates = verb == "impersonate" && group.is_empty() && resource == "serviceaccounts";
    let token = resource == "serviceaccounts" && subresource == "token" && verb == "create";
    let leases = group == "coordination.k8s.io" && resource == "leases";
    impersonates
        || token
        || (WRITE.contains(&verb)
            && (secrets || leases || among(&WORKLOADS, group, resource))
            && subresource != "status")
}

fn admin(verb: &str, group: &str, resource: &str) -> bool {
    let roles = group == "rbac.authorization.k8s.io" && ["roles", "rolebindings"].contains(&resource);
    let reviews = group == "authorization.k8s.io" && resource == "localsubjectaccessreviews";
    (roles && WRITE.contains(&verb)) || (reviews && verb == "create")
}

/// Whether a namespace is in a scope's list, in which `*` stands for anything at the end (source: docs).
pub(crate) fn in_scope(namespaces: &[String], namespace: &str) -> bool {
    !namespace.is_empty()
        && namespaces.iter().any(|wanted| match wanted.strip_suffix('*') {
            Some(start) => namespace.starts_with(start),
            None => wanted == namespace,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(policy: &str, verb: &str, group: &str, resource: &str, subresource: &str) -> bool {
        let policy = ALL.iter().find(|p| p.name == policy).unwrap();
        policy.allows(Wish::Resource { verb, group, resource, subresource })
    }

    #[test]
    fn each_policy_allows_what_the_documentation_says() {
        for (policy, verb, group, resource, subresource, allowed) in [
            (
                "AmazonEKSClusterAdminPolicy",
                "delete",
                "admissionregistration.k8s.io",
                "validatingadmissionpolicies",
                "",
                true,
            ),
            ("AmazonEKSAdminPolicy", "create", "rbac.authorization.k8s.io", "rolebindings", "", true),
            ("AmazonEKSAdminPolicy", "create", "rbac.authorization.k8s.io", "clusterrolebindings", "", false),
            ("AmazonEKSAdminPolicy", "update", "", "resourcequotas", "", false),
            ("AmazonEKSAdminPolicy", "update", "", "namespaces", "", false),
            ("AmazonEKSEditPolicy", "create", "apps", "deployments", "", true),
            ("AmazonEKSEditPolicy", "get", "", "secrets", "", true),
            ("AmazonEKSEditPolicy", "create", "", "pods", "exec", true),
            ("AmazonEKSEditPolicy", "create", "rbac.authorization.k8s.io", "rolebindings", "", false),
            ("AmazonEKSViewPolicy", "list", "", "pods", "", true),
            ("AmazonEKSViewPolicy", "get", "", "pods", "log", true),
            ("AmazonEKSViewPolicy", "get", "", "pods", "exec", false),
            ("AmazonEKSViewPolicy", "get", "", "secrets", "", false),
            ("AmazonEKSViewPolicy", "delete", "", "pods", "", false),
            ("AmazonEKSAdminViewPolicy", "get", "", "secrets", "", true),
            ("AmazonEKSAdminViewPolicy", "delete", "", "pods", "", false),
            ("AmazonEKSComputePolicy", "get", "", "pods", "", false),
        ] {
            assert_eq!(
                allows(policy, verb, group, resource, subresource),
                allowed,
                "{policy} {verb} {group}/{resource}/{subresource}"
            );
        }
    }

    #[test]
    fn a_scope_names_namespaces_or_how_they_begin() {
        let scope = ["payments".to_owned(), "dev-*".to_owned()];
        for (namespace, inside) in
            [("payments", true), ("dev-1", true), ("dev", false), ("payments-2", false), ("", false)]
        {
            assert_eq!(in_scope(&scope, namespace), inside, "{namespace}");
        }
    }
}
