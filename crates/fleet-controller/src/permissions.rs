//! Every permission that the controller has on the management cluster, one line per reason.
//!
//! The Roles of the manifests are made from this table. A test records what a whole life of a tenant asks of the
//! API server and compares it with the table, in both directions.

use fleet_api::labels;

/// Where a permission holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    /// Everywhere, for kinds that have no namespace.
    Cluster,
    /// In the controller's own namespace.
    System,
    /// In the namespace `default`, where events about objects without a namespace are kept.
    Events,
}

/// One permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Permission {
    /// Where.
    pub(crate) scope: Scope,
    /// The API group.
    pub(crate) group: &'static str,
    /// The resources, with their subresources.
    pub(crate) resources: &'static [&'static str],
    /// The verbs. No wildcard.
    pub(crate) verbs: &'static [&'static str],
    /// The names that it is limited to; empty for all.
    pub(crate) names: &'static [&'static str],
}

/// The table.
pub(crate) const PERMISSIONS: &[Permission] = &[
    // What operators write, and the controller only reads.
    Permission {
        scope: Scope::Cluster,
        group: fleet_api::GROUP,
        resources: &[
            "fleets",
            "tenantclasses",
            "baselines",
            "versionchannels",
            "controlexceptions",
            "rollouts",
            "rolloutmembers",
            "approvals",
        ],
        verbs: &["list", "watch"],
        names: &[],
    },
    // What tenants' people write, in namespaces of their own: it is read, and judged in its status.
    Permission {
        scope: Scope::Cluster,
        group: fleet_api::GROUP,
        resources: &["upgradepreferences"],
        verbs: &["list", "watch"],
        names: &[],
    },
    Permission {
        scope: Scope::Cluster,
        group: fleet_api::GROUP,
        resources: &["upgradepreferences/status"],
        verbs: &["update"],
        names: &[],
    },
    // The calendars of the regions, which are applied.
    Permission {
        scope: Scope::Cluster,
        group: fleet_api::GROUP,
        resources: &["versioncalendars"],
        verbs: &["create", "list", "patch", "watch"],
        names: &[],
    },
    // A tenant gets a finalizer and loses it: `patch`. Its status is written when somebody else wrote the object
    // in the meantime, after a fresh look: `get`.
    Permission {
        scope: Scope::Cluster,
        group: fleet_api::GROUP,
        resources: &["tenants"],
        verbs: &["get", "list", "patch", "watch"],
        names: &[],
    },
    Permission {
        scope: Scope::Cluster,
        group: fleet_api::GROUP,
        resources: &["tenants/status", "tenantclusters/status", "rollouts/status", "rolloutmembers/status"],
        verbs: &["update"],
        names: &[],
    },
    // Server-side apply of a new object asks for `create` and `patch`.
    Permission {
        scope: Scope::Cluster,
        group: fleet_api::GROUP,
        resources: &["tenantclusters"],
        verbs: &["create", "delete", "get", "list", "patch", "watch"],
        names: &[],
    },
    // The receipts of deletions, which are applied, and read before a tenant is let go.
    Permission {
        scope: Scope::System,
        group: "",
        resources: &["configmaps"],
        verbs: &["create", "list", "patch", "watch"],
        names: &[],
    },
    // The tokens of the Prometheus servers that gates may ask. Of the namespace's other Secrets nothing can be read,
    // whatever a Fleet or a rollout says: the name is fixed, and RBAC holds `get` to it.
    Permission {
        scope: Scope::System,
        group: "",
        resources: &["secrets"],
        verbs: &["get"],
        names: &[labels::PROMETHEUS_SECRET],
    },
    // The lease. RBAC cannot limit `create` to a name.
    Permission {
        scope: Scope::System,
        group: "coordination.k8s.io",
        resources: &["leases"],
        verbs: &["create"],
        names: &[],
    },
    Permission {
        scope: Scope::System,
        group: "coordination.k8s.io",
        resources: &["leases"],
        verbs: &["get", "update"],
        names: &[crate::args::LEASE_NAME],
    },
    Permission {
        scope: Scope::Events,
        group: "events.k8s.io",
        resources: &["events"],
        verbs: &["create", "patch"],
        names: &[],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_granted_by_wildcard_and_no_secret_can_be_read_but_the_tokens_of_prometheus_servers() {
        for permission in PERMISSIONS {
            for word in permission.resources.iter().chain(permission.verbs).chain([&permission.group]) {
                assert!(!word.contains('*'), "{permission:?}");
            }
            if permission.resources.contains(&"secrets") {
                assert_eq!(
                    (permission.scope, permission.verbs),
                    (Scope::System, &["get"][..]),
                    "{permission:?}"
                );
                assert_eq!(permission.names, [labels::PROMETHEUS_SECRET], "{permission:?}");
            }
            assert!(permission.verbs.is_sorted(), "{permission:?}");
        }
    }
}
