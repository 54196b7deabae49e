//! What a rollout does, before anybody has started it.

use serde::{Deserialize, Serialize};

use super::{MemberSelector, OnFailure, RolloutSpec, RolloutTarget, Run, Slots, Wave};
use crate::text::Minutes;

/// What a rollout file says and a plan copies: a [`RolloutSpec`] without what starting it adds, which is its author, the
/// size and the hash of its plan, and how it is driven. The fields mean what they mean there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RolloutStrategy {
    /// What its members move to.
    pub target: RolloutTarget,
    /// Which tenants take part; every tenant when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<MemberSelector>,
    /// The waves, in the order in which they run.
    pub waves: Vec<Wave>,
    /// What happens when a wave has more failures than it may have.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// What the slots of its members mean.
    #[serde(default)]
    pub slots: Slots,
    /// For how long nodes stay at the old minor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_nodes: Option<Minutes>,
    /// After how long a member that has not arrived counts as failed.
    #[serde(default = "super::rollout::default_step_deadline")]
    pub step_deadline: Minutes,
    /// After how long without an observation a member counts as offline.
    #[serde(default = "super::rollout::default_offline_after")]
    pub offline_after: Minutes,
}

impl RolloutStrategy {
    /// The strategy of a rollout that was started.
    pub fn of(spec: &RolloutSpec) -> Self {
        Self {
            target: spec.target.clone(),
            members: spec.members.clone(),
            waves: spec.waves.clone(),
            on_failure: spec.on_failure,
            slots: spec.slots,
            hold_nodes: spec.hold_nodes,
            step_deadline: spec.step_deadline,
            offline_after: spec.offline_after,
        }
    }

    /// The spec of the rollout that somebody starts by a plan with this strategy.
    pub fn started(self, author: String, planned_members: i64, plan_hash: String, run: Run) -> RolloutSpec {
        let Self { target, members, waves, on_failure, slots, hold_nodes, step_deadline, offline_after } =
            self;
        RolloutSpec {
            target,
            members,
            waves,
            on_failure,
            slots,
            hold_nodes,
            step_deadline,
            offline_after,
            author,
            planned_members,
            plan_hash,
            run,
        }
    }
}

/// The fields of a [`RolloutSpec`] that a rollout file leaves out: starting and driving it writes them.
pub const DRIVEN_FIELDS: [&str; 4] = ["author", "plannedMembers", "planHash", "run"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strategy_and_the_fields_that_are_driven_are_the_whole_spec() {
        let strategy: RolloutStrategy = serde_json::from_value(serde_json::json!({
            "target": {"kubernetes": "1.36"},
            "members": {"classes": ["eks-standard"]},
            "waves": [{"name": "all", "selector": {}}],
            "slots": "Advisory",
            "holdNodes": "48h",
        }))
        .unwrap();
        let spec = strategy.clone().started("jane".to_owned(), 3, "0".repeat(64), Run::Running);
        assert_eq!(RolloutStrategy::of(&spec), strategy);
        let fields = |value: serde_json::Value| -> std::collections::BTreeSet<String> {
            value.as_object().unwrap().keys().cloned().collect()
        };
        let mut own = fields(serde_json::to_value(&strategy).unwrap());
        own.extend(DRIVEN_FIELDS.map(str::to_owned));
        assert_eq!(own, fields(serde_json::to_value(&spec).unwrap()));
    }
}
