//! How long the disruptive steps usually take, in minutes.
//!
//! The planner compares them with what is left of a window, and a spec whose windows are shorter is refused
//! before it is applied: both must read the same figures. They are on the careful side of what is reported
//! (upgrades of a control plane commonly take 8 to 25 minutes; AWS promises nothing).

use crate::v1alpha1::{EksClass, NodeGroup};

/// The upgrade of a control plane by one minor.
pub const CONTROL_PLANE_UPDATE: i64 = 25;
/// The upgrade of one add-on.
pub const ADDON_UPDATE: i64 = 10;
/// One round of a node group's update: nodes are made, drained and taken away.
pub const NODE_ROUND: i64 = 8;

/// The update of a node group: as many rounds as its `maxUnavailablePercent` asks for, or one per node.
pub fn node_group_update(group: &NodeGroup) -> i64 {
    let percent = i64::from(group.max_unavailable_percent.clamp(1, 100));
    let rounds = (100 + percent - 1) / percent;
    rounds.min(i64::from(group.scaling.max.max(1))) * NODE_ROUND
}

/// The longest step of an upgrade of a cluster of a class: a window in which it does not fit is no window for upgrades.
pub fn longest_step(class: &EksClass) -> i64 {
    class.node_groups.iter().map(node_group_update).fold(CONTROL_PLANE_UPDATE, i64::max)
}
