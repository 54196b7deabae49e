//! What a tenant's people choose about their upgrades, inside the operators' bounds.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Weekday, Window};
use crate::{KubernetesVersion, text::Day};

/// What a tenant's people choose about their upgrades. It lies in the namespace `tenant-NAME` of the management cluster,
/// and its name is `upgrades`; whoever may write there speaks for the tenant, and for no other. What is outside the
/// bounds that the operators set is refused, and nothing of it is acted upon.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "tenantfleet.dev",
    version = "v1alpha1",
    kind = "UpgradePreference",
    shortname = "upref",
    category = "fleet",
    namespaced,
    status = "UpgradePreferenceStatus",
    derive = "PartialEq",
    doc = "What a tenant's people choose about their upgrades, inside the operators' bounds.",
    printcolumn(name = "Defer", type_ = "string", json_path = ".spec.deferUntil"),
    printcolumn(name = "Used", type_ = "integer", json_path = ".status.deferral.used"),
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Accepted')].status"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Accepted')].message"
    ),
    validation = Rule::new("self.metadata.name == 'upgrades'")
        .message("a tenant has one UpgradePreference, and its name is `upgrades`")
)]
pub struct UpgradePreferenceSpec {
    /// Windows of the tenant's own, in the time zone of its maintenance times. Each must lie inside the operators'
    /// windows; the operators' own hold when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub windows: Vec<Window>,
    /// The days on which the operators' windows may be used, by the day on which a window opens; every day when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7))]
    pub allowed_days: Vec<Weekday>,
    /// Puts the next upgrade off: none begins before this day. How often and how far is bounded by the operators, and it
    /// never reaches past the end of standard support.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defer_until: Option<Day>,
    /// Minors that the tenant's people are ready for. No deferral holds them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub acknowledgements: Vec<Acknowledgement>,
}

/// A tenant's people are ready for a minor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Acknowledgement {
    /// The minor.
    pub version: KubernetesVersion,
    /// Who says so, or what was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub note: Option<String>,
}

/// What became of a preference.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpgradePreferenceStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How the deferrals are used up, for the minor that the tenant is at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deferral: Option<DeferralStatus>,
    /// Accepted, and why not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// How deferrals are used up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeferralStatus {
    /// The minor that the tenant is at. At another one the count begins again.
    pub at: KubernetesVersion,
    /// How many deferrals were granted.
    #[schemars(range(min = 0))]
    pub used: i32,
    /// Until when the last of them holds.
    pub until: Day,
    /// When the last of them was granted.
    pub granted_at: Time,
}
