//! Which Kubernetes minors tenants are offered.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{KubernetesVersion, text::Day};

/// Which Kubernetes minors tenants that follow the channel are offered, and when.
#[derive(CustomResource, Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "tenantfleet.dev",
    version = "v1alpha1",
    kind = "VersionChannel",
    shortname = "vc",
    category = "fleet",
    derive = "PartialEq",
    doc = "Which Kubernetes minors tenants that follow the channel are offered, and when.",
    printcolumn(name = "Newest", type_ = "string", json_path = ".spec.versions[-1:].version")
)]
pub struct VersionChannelSpec {
    /// The minors, oldest first. A tenant that follows the channel runs the newest one whose day has come.
    #[schemars(length(min = 1, max = 16))]
    pub versions: Vec<OfferedVersion>,
    /// How tenants of the channel come to a newer minor. Default `Automatic`.
    #[serde(default, skip_serializing_if = "ChannelUpgrades::is_default")]
    pub upgrades: ChannelUpgrades,
}

/// How tenants of a channel come to a newer minor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ChannelUpgrades {
    /// Each tenant moves by itself, in its own window, once the minor's day has come.
    #[default]
    Automatic,
    /// A tenant that has a cluster stays at its minor until a Rollout moves it. New clusters begin at the newest.
    Rollout,
}

impl ChannelUpgrades {
    /// Whether it is the default, which is left out when written.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A minor of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OfferedVersion {
    /// The minor.
    pub version: KubernetesVersion,
    /// The day from which tenants of the channel move to it; at once when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Day>,
    /// The last day on which a tenant may be pinned to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Day>,
}
