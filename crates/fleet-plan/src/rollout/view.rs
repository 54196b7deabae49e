//! What the engine reads, and what it wants written.

use std::collections::BTreeMap;

use fleet_api::v1alpha1::{
    ApproverRole, Evidence, Maintenance, Move, RolloutMemberSpec, RolloutMemberStatus, RolloutSpec,
    RolloutStatus, VersionStatus,
};
use jiff::Timestamp;

/// The name of a member, which is the name of its RolloutMember.
pub type Name = String;
/// A `resourceVersion`, to write against.
pub type Version = String;

/// Everything that a tick reads. Any part of it may be older than what is stored; none may be newer.
#[derive(Debug, Clone)]
pub struct World<'a> {
    /// The rollout.
    pub rollout: RolloutView<'a>,
    /// Its members, by name.
    pub members: BTreeMap<Name, MemberView<'a>>,
    /// The votes on its gates.
    pub votes: Vec<VoteView>,
    /// What the checks of its gates last said, by the gate's name: conditions, queries and jobs. A gate without an
    /// entry has not been checked.
    pub checks: BTreeMap<String, CheckResult>,
    /// The hash of the rollout and its members as they were read ([`plan::stored_hash`](super::plan::stored_hash)): the
    /// plan's own as long as they are what people voted on.
    pub stored_plan: String,
    /// Who may vote in which role.
    pub approvers: &'a [ApproverRole],
    /// The time of whoever runs the tick.
    pub now: Timestamp,
}

/// A rollout as it was read.
#[derive(Debug, Clone, Copy)]
pub struct RolloutView<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its UID.
    pub uid: &'a str,
    /// Its generation.
    pub generation: i64,
    /// The version to write its status against.
    pub version: &'a str,
    /// Whether somebody is deleting it: then nothing new begins.
    pub deleting: bool,
    /// Its spec.
    pub spec: &'a RolloutSpec,
    /// Its status; the default one when there is none yet.
    pub status: &'a RolloutStatus,
}

/// A member as it was read.
#[derive(Debug, Clone, Copy)]
pub struct MemberView<'a> {
    /// The version to write its status against.
    pub version: &'a str,
    /// Its spec.
    pub spec: &'a RolloutMemberSpec,
    /// Its status; the default one when there is none yet.
    pub status: &'a RolloutMemberStatus,
    /// Its cluster, when there is one of the name and UID.
    pub cluster: Option<ClusterView<'a>>,
}

/// A member's cluster as it was read.
#[derive(Debug, Clone, Copy)]
pub struct ClusterView<'a> {
    /// Its UID.
    pub uid: &'a str,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether its tenant is paused: it is then not allowed to begin.
    pub paused: bool,
    /// When it may be disturbed, freezes of the fleet and of the tenant included; any time when `None`.
    pub maintenance: Option<&'a Maintenance>,
    /// The move that stands in its spec.
    pub current: Option<&'a Move>,
    /// Another rollout, by name, whose move stands in its spec and which is not over. This one then keeps away.
    pub taken_by: Option<&'a str>,
    /// The baseline that it is hardened by.
    pub baseline: &'a str,
    /// The observed versions.
    pub versions: &'a VersionStatus,
    /// What was seen of it under a move.
    pub evidence: Option<&'a Evidence>,
}

/// A vote, with the moment at which the management cluster stored it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoteView {
    /// The gate.
    pub gate: String,
    /// The plan that was approved.
    pub plan_hash: String,
    /// The role.
    pub role: String,
    /// Who voted.
    pub approver: String,
    /// When it was stored.
    pub at: Timestamp,
}

/// What a check last said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckResult {
    /// When it was made.
    pub at: Timestamp,
    /// Whether the gate may open; `None` when it could not be told, which opens nothing.
    pub passed: Option<bool>,
    /// For people.
    pub message: String,
}

/// What a tick wants written, in this order: the rollout's status, then the members', then the moves.
///
/// When a write is refused because somebody was faster, what follows is not written, and the next tick looks again.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Tick {
    /// The rollout's status, when it differs from what was read.
    pub status: Option<RolloutStatus>,
    /// Members' statuses that differ from what was read, each with the version to write against.
    pub members: Vec<(Name, Version, RolloutMemberStatus)>,
    /// Moves to be set on clusters, each with the name of the member: derived from members as they were read.
    pub moves: Vec<(Name, Move)>,
    /// When to tick again if nothing changes before.
    pub wake_at: Option<Timestamp>,
}
