//! The one object with fleet-wide settings.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ApproverRole, Freeze, Maintenance};

/// Settings for the whole fleet. There is one, and its name is `fleet`.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "tenantfleet.dev",
    version = "v1alpha1",
    kind = "Fleet",
    category = "fleet",
    derive = "PartialEq",
    doc = "Settings for the whole fleet. There is one, and its name is `fleet`.",
    validation = Rule::new("self.metadata.name == 'fleet'").message("there is one Fleet, and its name is `fleet`")
)]
pub struct FleetSpec {
    /// What holds for tenants that do not say otherwise.
    #[serde(default)]
    pub defaults: FleetDefaults,
    /// Days on which nothing disruptive begins for any tenant, in each tenant's own zone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub freezes: Vec<Freeze>,
    /// How much may change or vanish before a person has to say so again.
    #[serde(default)]
    pub brakes: Brakes,
    /// What clusters cost, for reports.
    #[serde(default)]
    pub costs: Costs,
    /// Who may vote on the gates of rollouts, by role.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub approvers: Vec<ApproverRole>,
}

/// What holds for tenants that do not say otherwise.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FleetDefaults {
    /// The VersionChannel of tenants that name neither channel nor version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The maintenance times of tenants that have none of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
}

/// How much may change or vanish before a person has to say so again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Brakes {
    /// How many tenants may be deleted in one hour. Default 3.
    #[serde(default = "default_deletions")]
    #[schemars(range(min = 0, max = 10_000))]
    pub max_deletions_per_hour: i32,
}

const fn default_deletions() -> i32 {
    3
}

impl Default for Brakes {
    fn default() -> Self {
        Self { max_deletions_per_hour: default_deletions() }
    }
}

/// What clusters cost, for reports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Costs {
    /// USD for one hour of a cluster in standard support. Default 0.10.
    #[serde(default = "default_standard")]
    pub standard_per_hour: f64,
    /// USD for one hour of a cluster in extended support. Default 0.60.
    #[serde(default = "default_extended")]
    pub extended_per_hour: f64,
}

const fn default_standard() -> f64 {
    0.10
}

const fn default_extended() -> f64 {
    0.60
}

impl Default for Costs {
    fn default() -> Self {
        Self { standard_per_hour: default_standard(), extended_per_hour: default_extended() }
    }
}
