//! A waiver.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::Day;

/// A waiver: one control, one tenant, with a reason, an owner, an approver and an end.
#[derive(CustomResource, Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "tenantfleet.dev",
    version = "v1alpha1",
    kind = "ControlException",
    shortname = "cex",
    category = "fleet",
    derive = "PartialEq",
    doc = "A waiver: one control, one tenant, with a reason, an owner, an approver and an end.",
    selectable = ".spec.tenant",
    printcolumn(name = "Control", type_ = "string", json_path = ".spec.control"),
    printcolumn(name = "Tenant", type_ = "string", json_path = ".spec.tenant"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".spec.expires")
)]
#[x_kube(
    validation = Rule::new("self.owner != self.approver").message("nobody approves their own exception")
)]
pub struct ControlExceptionSpec {
    /// The control's id in the catalogue, such as `POD-7`.
    #[schemars(regex(pattern = "^[A-Z]{2,4}-[0-9]{1,2}$"))]
    pub control: String,
    /// The tenant.
    #[schemars(length(min = 1, max = 50))]
    pub tenant: String,
    /// What of the tenant's the waiver covers; everything when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<ControlExceptionScope>,
    /// Why the control cannot hold.
    #[schemars(length(min = 10, max = 1024))]
    pub reason: String,
    /// Who asked for it and works on its end.
    #[schemars(length(min = 1, max = 256))]
    pub owner: String,
    /// Who accepted the risk. Somebody other than the owner.
    #[schemars(length(min = 1, max = 256))]
    pub approver: String,
    /// The last day on which the waiver holds.
    pub expires: Day,
}

/// What a waiver covers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ControlExceptionScope {
    /// The namespaces; all of the tenant's when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub namespaces: Vec<String>,
}
