//! The plan as a file: what people read, approve and start.

use fleet_api::{KubernetesVersion, names::full_hash, text::Day, v1alpha1::RolloutStrategy};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The version of a plan's file. Fields are added within it, and never renamed or taken away.
pub const API_VERSION: &str = "cli.tenantfleet.dev/v1";
/// The kind of a plan's file.
pub const KIND: &str = "RolloutPlan";

/// A rollout with every member's dated slot. Dates are what is expected when nothing fails and every gate of people opens
/// at once; slots are kept, so a member begins at its slot or later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RolloutPlan {
    /// [`API_VERSION`].
    pub api_version: String,
    /// [`KIND`].
    pub kind: String,
    /// The rollout's name.
    pub name: String,
    /// The SHA-256 of what is carried out, in 64 hexadecimal digits: the strategy, and every member with its cluster, its
    /// wave and its slot. Approvals are bound to it, and the controller finds the same hash in what is stored.
    pub hash: String,
    /// The SHA-256 of everything else in the file, dates included: a file that somebody edited is not started.
    pub seal: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// Which hop of how many it is, when the way to the target takes several rollouts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hop: Option<Hop>,
    /// When the first member begins.
    pub begins_at: Timestamp,
    /// When the last wave is expected to pass.
    pub ends_at: Timestamp,
    /// What waiting costs.
    pub delay: CostOfDelay,
    /// What may be surprising. Nothing of it stops anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What the rollout does, as its file says.
    pub strategy: RolloutStrategy,
    /// The waves, in their order.
    pub waves: Vec<PlannedWave>,
    /// Tenants that take part and are at the target already, by name: they are no members.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at_target: Vec<String>,
    /// The members, by wave and slot.
    pub members: Vec<PlannedMember>,
}

/// One hop of a chain of rollouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hop {
    /// Its number, from 1.
    pub number: usize,
    /// How many there are.
    pub of: usize,
    /// Where the chain ends.
    pub to: KubernetesVersion,
}

/// What waiting costs, in USD, by the prices of the Fleet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CostOfDelay {
    /// The first day on which standard support of a member's minor ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standard_support_ends: Option<Day>,
    /// What the members cost more on each day after standard support has ended and before they have moved.
    pub per_day: f64,
    /// What they cost more until they have moved as planned.
    pub as_planned: f64,
}

/// A wave of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedWave {
    /// Its name.
    pub name: String,
    /// How many members it has.
    pub members: usize,
    /// How many of them may be moving at once.
    pub max_concurrent: usize,
    /// How many of them may fail.
    pub max_failures: usize,
    /// How many of them must have succeeded.
    pub min_successes: usize,
    /// The earliest moment at which its first member may begin.
    pub opens_at: Timestamp,
    /// The first slot.
    pub begins_at: Timestamp,
    /// When its last member is expected to have moved.
    pub moved_at: Timestamp,
    /// When the soak of its last member is expected to end.
    pub soaked_at: Timestamp,
    /// When it is expected to pass.
    pub ends_at: Timestamp,
    /// What has to be open before its first member moves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<PlannedGate>,
    /// What has to be open for it to pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<PlannedGate>,
}

/// A gate of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedGate {
    /// Its name.
    pub name: String,
    /// What it waits for, for people.
    pub waits_for: String,
    /// When it can open at the earliest.
    pub at: Timestamp,
}

/// A member of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedMember {
    /// The tenant.
    pub tenant: String,
    /// The TenantCluster.
    pub cluster: String,
    /// The TenantCluster's UID.
    pub cluster_uid: String,
    /// The wave.
    pub wave: String,
    /// The minor that it is at.
    pub from: KubernetesVersion,
    /// The minor that it moves to; the same when the target is a baseline or add-ons.
    pub to: KubernetesVersion,
    /// When it may begin at the earliest.
    pub slot: Timestamp,
    /// When the window of the slot closes; left out when the tenant may be disturbed at any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_until: Option<Timestamp>,
    /// How many minutes have to be left of the window at the slot: all of the move, or its first step where no window is
    /// longer.
    pub minutes: i64,
    /// When it is expected to have arrived.
    pub moved_at: Timestamp,
    /// When it is expected to have succeeded, its soak included.
    pub ends_at: Timestamp,
    /// When its nodes begin to follow, when they are held back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes_from: Option<Timestamp>,
    /// In how many days standard support of its minor ends; negative once it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub support_days: Option<i64>,
    /// What it costs more on each day in extended support, in USD.
    pub extra_per_day: f64,
    /// The way back, for a move to another minor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<PlannedRollback>,
}

/// The way back of a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedRollback {
    /// The last moment at which it can begin, as planned: the 7 days of EKS, less what has to go back before the control
    /// plane.
    pub until: Timestamp,
    /// What keeps it from being rolled back, or makes it dear.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hindrances: Vec<String>,
}

impl RolloutPlan {
    /// The plan with its hash and its seal.
    pub(super) fn sealed(mut self) -> Self {
        self.hash = super::hash::of_plan(&self);
        self.seal.clear();
        // A plan has JSON, so that there always is a hash.
        self.seal = full_hash(&self).unwrap_or_default();
        self
    }

    /// Whether the plan is what it was when it was made.
    pub fn is_intact(&self) -> bool {
        let again = self.clone().sealed();
        self.hash.len() == 64 && again.hash == self.hash && again.seal == self.seal
    }

    /// The members of a wave, by slot.
    pub fn members_of<'a>(&'a self, wave: &'a str) -> impl Iterator<Item = &'a PlannedMember> + 'a {
        self.members.iter().filter(move |member| member.wave == wave)
    }
}
