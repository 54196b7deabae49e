//! Steps: what a plan is made of, and what came of one.

use serde::{Deserialize, Serialize};

use crate::{
    KubernetesVersion,
    eks::{EksAction, EksClusterStatus},
};

/// One action with the state that it expects.
///
/// A step is complete: whoever carries it out has no choice left to make. It finds the expected state and acts,
/// or it finds another, does nothing and asks for a new plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Unique within a plan and stable over plans, such as `create-cluster` or `addon/vpc-cni/create`.
    pub id: String,
    /// For people, as an imperative without full stop.
    pub summary: String,
    /// What to do.
    pub action: Action,
    /// What must be so when it is done.
    pub expects: Expectation,
    /// The idempotency token, from [`crate::names::client_token`].
    pub token: String,
    /// True when workloads may notice: such a step begins only inside a window.
    pub disruptive: bool,
    /// How long it usually takes, in minutes.
    pub expected_minutes: i64,
    /// Which try this is, from 1. The token changes with it, so that a try after a failure is a new call to the
    /// cloud and a try after a crash is the same one.
    pub attempt: i32,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// A call to EKS, or to one of the services around it.
    Eks(EksAction),
    /// Delete the Services of type LoadBalancer, the Ingresses and the claims through the tenant's API server,
    /// while the controllers that clean up behind them still run.
    DrainWorkloads,
}

/// The state that a step expects to find.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Expectation {
    /// There is no cluster of the name.
    ClusterAbsent,
    /// The cluster is ours and in this state.
    Cluster {
        /// The status.
        status: EksClusterStatus,
        /// The version of the control plane.
        version: KubernetesVersion,
    },
    /// The part of the cluster is not there.
    PartAbsent {
        /// What the part is called, such as `addon vpc-cni`.
        part: String,
    },
    /// The part of the cluster is there, with this fingerprint.
    Part {
        /// What the part is called.
        part: String,
        /// The hash of the observed part, from [`crate::names::content_hash`].
        fingerprint: String,
    },
    /// Nothing of the world matters to the step.
    Nothing,
}

/// What came of a step that was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The id of the cloud's update, when the call began one. Progress is judged by it.
    pub update_id: Option<String>,
    /// For [`Action::DrainWorkloads`]: what was still there when it was last looked, such as
    /// `Service shop/web`. Empty when the drain is done; `None` for every other action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub still_draining: Option<Vec<String>>,
}

/// What was looked at, and found or not.
///
/// `Unknown` is a value of its own, because what could not be read must never count as absent or healthy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Seen<T> {
    /// It was read.
    Present(T),
    /// The cloud said that it is not there.
    Absent,
    /// It could not be read, or nobody looked.
    Unknown {
        /// Why, for people.
        why: String,
    },
}

impl<T> Seen<T> {
    /// What was read, if it was.
    pub const fn present(&self) -> Option<&T> {
        match self {
            Self::Present(value) => Some(value),
            Self::Absent | Self::Unknown { .. } => None,
        }
    }

    /// Nobody looked.
    pub fn not_looked_at() -> Self {
        Self::Unknown { why: "not looked at".to_owned() }
    }
}
