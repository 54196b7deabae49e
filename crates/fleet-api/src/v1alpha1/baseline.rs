//! A hardening bundle.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A hardening bundle: which controls, and with what values.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "tenantfleet.dev",
    version = "v1alpha1",
    kind = "Baseline",
    shortname = "bl",
    category = "fleet",
    derive = "PartialEq",
    doc = "A hardening bundle: which controls, and with what values.",
    printcolumn(name = "Profile", type_ = "string", json_path = ".spec.profile")
)]
pub struct BaselineSpec {
    /// How strict. A stricter profile only adds to a weaker one.
    #[serde(default)]
    pub profile: Profile,
    /// The values that the controls' templates take.
    #[serde(default)]
    pub parameters: BaselineParameters,
    /// Further objects for every cluster, as templates of the same kind as the catalogue's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub extra_templates: Vec<ExtraTemplate>,
}

/// How strict a baseline is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Every control as the catalogue has it.
    #[default]
    Standard,
    /// `standard`, tightened for PCI DSS v4.
    Pci,
    /// `standard`, tightened for the HIPAA Security Rule.
    Hipaa,
}

impl Profile {
    /// The profile as manifests write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Pci => "pci",
            Self::Hipaa => "hipaa",
        }
    }
}

/// The values that the controls' templates take.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BaselineParameters {
    /// Registry prefixes that images of every tenant may come from; each begins with a host and ends in `/`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub allowed_registries: Vec<String>,
    /// Namespaces beside `kube-system`, `kube-public` and `kube-node-lease` that the controls leave alone, each
    /// with its reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub exempt_namespaces: Vec<ExemptNamespace>,
    /// What a container gets, and may ask for, when it says nothing.
    #[serde(default)]
    pub container_limits: LimitDefaults,
}

/// A namespace that the controls leave alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExemptNamespace {
    /// The namespace.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Why, for the auditor.
    #[schemars(length(min = 1, max = 256))]
    pub reason: String,
}

/// What a container gets when it says nothing, and the bounds of what it may say.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LimitDefaults {
    /// CPU limit when none is given. Default `500m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Quantity>,
    /// Memory limit when none is given. Default `512Mi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
    /// Ephemeral storage limit when none is given. Default `1Gi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ephemeral_storage: Option<Quantity>,
    /// The most CPU of one container. Default `8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cpu: Option<Quantity>,
    /// The most memory of one container. Default `32Gi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_memory: Option<Quantity>,
}

/// A further template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExtraTemplate {
    /// The name, for errors and labels.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The template's text: YAML with tera expressions.
    #[schemars(length(min = 1, max = 65_536))]
    pub template: String,
}
