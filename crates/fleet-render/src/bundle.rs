//! A rendered bundle: the objects of one cluster's baseline, and how to see that they hold.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::probe::Probe;
use fleet_api::text::Day;

/// Everything that hardens one cluster, and the requests that show it.
///
/// The same input gives the same bundle, byte for byte. Nothing in it says when it was rendered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bundle {
    /// The hash of what the bundle holds: objects, markers and probes. Sixteen hexadecimal digits.
    pub revision: String,
    /// The objects, in the order in which they are applied: by phase, then as the catalogue has them.
    pub objects: Vec<BundleObject>,
    /// The controls of the catalogue, in its order, and what became of each.
    pub controls: Vec<ControlInfo>,
    /// Requests that must be denied before [`Phase::Admission`] counts as biting: an admission policy bites
    /// about a second after it was written. They need nothing but what the phases up to it have applied.
    pub markers: Vec<Probe>,
    /// The requests that show that the controls bite, and their twins that must pass. They need every phase
    /// but [`Phase::TenantAccess`].
    pub probes: Vec<Probe>,
}

impl Bundle {
    /// The objects of one phase, in order.
    pub fn phase(&self, phase: Phase) -> impl Iterator<Item = &BundleObject> {
        self.objects.iter().filter(move |object| object.phase == phase)
    }
}

/// One object of a bundle.
///
/// The object carries the labels `app.kubernetes.io/managed-by`, `tenantfleet.dev/tenant` and
/// `tenantfleet.dev/control`. It does not carry the bundle's revision: with it, a change of one object would
/// write all of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BundleObject {
    /// The control that it carries out, such as `NET-1`; `EXTRA` for a baseline's own templates.
    pub control: String,
    /// When it is applied.
    pub phase: Phase,
    /// Group and version, such as `networking.k8s.io/v1`.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// The namespace, unless the object belongs to the whole cluster.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
    /// The whole object, normalised: no empty lists or maps, canonical quantities, no status.
    pub value: Value,
    /// The hash of `value`. Sixteen hexadecimal digits.
    pub hash: String,
}

/// When an object is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Namespaces with their Pod Security labels.
    Namespaces,
    /// Roles, the platform's own bindings, service accounts.
    Rbac,
    /// Admission policies and their bindings. The next phase waits until every marker is denied.
    Admission,
    /// Network policies.
    Network,
    /// Quotas and limits. The next phase waits until `status.hard` of each quota is filled.
    Quota,
    /// Everything else.
    Rest,
    /// The tenant's own bindings: last, and only once the probes have passed.
    TenantAccess,
}

impl Phase {
    /// Every phase, in order.
    pub const ALL: [Self; 7] = [
        Self::Namespaces,
        Self::Rbac,
        Self::Admission,
        Self::Network,
        Self::Quota,
        Self::Rest,
        Self::TenantAccess,
    ];

    /// The phase as the catalogue writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Namespaces => "Namespaces",
            Self::Rbac => "Rbac",
            Self::Admission => "Admission",
            Self::Network => "Network",
            Self::Quota => "Quota",
            Self::Rest => "Rest",
            Self::TenantAccess => "TenantAccess",
        }
    }
}

/// What became of one control of the catalogue in this bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ControlInfo {
    /// The id, such as `NET-1`.
    pub id: String,
    /// What it is about, in one line.
    pub title: String,
    /// The demands of published catalogues that it answers, such as `CIS EKS 4.3.2`.
    pub maps: Vec<String>,
    /// Whether it holds.
    pub state: ControlState,
    /// The waivers that hold today, for the whole tenant or for some of its namespaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waivers: Vec<Waiver>,
    /// What a reader has to know about how it was carried out here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Whether a control holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ControlState {
    /// It is in the bundle.
    Active,
    /// It is waived everywhere, until a day.
    #[serde(rename_all = "camelCase")]
    Accepted {
        /// The last day on which the waiver holds.
        until: Day,
        /// Why the control cannot hold.
        reason: String,
        /// Who accepted the risk.
        approver: String,
    },
    /// It has no meaning for this cluster.
    #[serde(rename_all = "camelCase")]
    NotApplicable {
        /// Why.
        why: String,
    },
}

/// A ControlException that holds today.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Waiver {
    /// The namespaces that it covers; everything when empty.
    pub namespaces: Vec<String>,
    /// Why the control cannot hold.
    pub reason: String,
    /// Who asked for it.
    pub owner: String,
    /// Who accepted the risk.
    pub approver: String,
    /// The last day on which it holds.
    pub until: Day,
}
