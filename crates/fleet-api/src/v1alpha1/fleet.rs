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
    /// The Prometheus servers that the gates of rollouts may ask at addresses that are not public. A gate whose URL is
    /// one of these, or lies below it, is asked wherever the server stands; any other gate is asked only at public
    /// addresses. Link-local and metadata addresses are never asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub prometheus: Vec<PrometheusServer>,
}

/// A Prometheus server that the gates of rollouts may ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PrometheusServer {
    /// Its URL, such as `http://prometheus.monitoring.svc:9090` or `https://mimir.example.com/prometheus`: scheme, host,
    /// port and path. A gate's URL has to have the same scheme, host and port, and a path that is this one or lies below.
    #[schemars(length(min = 1, max = 512))]
    pub url: String,
    /// A key of the Secret `fleet-prometheus` in the namespace `fleet-system`, under which the bearer token stands that
    /// the server asks for. The token is sent to this URL alone. No token when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[-._a-zA-Z0-9]+$"))]
    pub token_key: Option<String>,
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
