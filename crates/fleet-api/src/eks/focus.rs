//! What to look at besides the cluster itself: decided by the planner, carried out by a provider.

use serde::{Deserialize, Serialize};

/// What to look at besides the cluster itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Focus {
    /// The update that was last begun: it is described by its id, because the status of a cluster lags behind.
    pub update_id: Option<String>,
    /// The part that the update belongs to, when it is not the cluster's own (`nodegroup NAME`, `addon NAME`).
    pub update_part: Option<String>,
    /// Add-ons whose offered versions matter, whether they are installed or not.
    pub addons: Vec<String>,
    /// Whether to look for what is left after the cluster is gone.
    pub leftovers: bool,
    /// Whether to read insights and subnets, as before an upgrade.
    pub readiness: bool,
    /// Subnets to read beside the cluster's own, because the spec wants the cluster moved to them.
    pub subnets: Vec<String>,
}
