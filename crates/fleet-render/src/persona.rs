//! As whom probes are sent.
//!
//! A tenant gets its bindings only after the probes have passed, so the probes cannot be sent as the tenant's own
//! groups. They are sent as groups that nobody is a member of and that hold the very roles that the tenant's groups
//! will hold. Becoming one of them takes the right to impersonate, or to write access entries: whoever has either
//! is the cluster's administrator already.

use serde::{Deserialize, Serialize};

use crate::Persona;

/// The groups that probes are sent as. Tenants' grants cannot name them: the prefix is reserved.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Groups {
    pub(crate) tenant_admin: &'static str,
    pub(crate) tenant_edit: &'static str,
    pub(crate) tenant_view: &'static str,
    /// Somebody with rights to write namespaces, roles and quotas, and without the right to bypass the baseline:
    /// it meets the admission policies that a tenant's admin never reaches, because RBAC stops them before.
    pub(crate) operator: &'static str,
}

pub(crate) const GROUPS: Groups = Groups {
    tenant_admin: "tenantfleet.dev:probe-tenant-admin",
    tenant_edit: "tenantfleet.dev:probe-tenant-edit",
    tenant_view: "tenantfleet.dev:probe-tenant-view",
    operator: "tenantfleet.dev:probe-operator",
};

/// A persona by the name that probes give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Name {
    TenantAdmin,
    TenantEdit,
    TenantView,
    Operator,
    /// Fleet itself, for what it reads.
    Platform,
}

impl Name {
    pub(crate) fn persona(self) -> Persona {
        let (user, group) = match self {
            Self::TenantAdmin => ("tenantfleet.dev:probe:tenant-admin", GROUPS.tenant_admin),
            Self::TenantEdit => ("tenantfleet.dev:probe:tenant-edit", GROUPS.tenant_edit),
            Self::TenantView => ("tenantfleet.dev:probe:tenant-view", GROUPS.tenant_view),
            Self::Operator => ("tenantfleet.dev:probe:operator", GROUPS.operator),
            Self::Platform => return Persona { user: String::new(), groups: Vec::new() },
        };
        Persona { user: user.to_owned(), groups: vec![group.to_owned()] }
    }
}
