//! An update, in the shape of the model's `Update`, and what it will change.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    AuthenticationMode, ComputeConfig, ElasticLoadBalancing, Idempotency, Logging, Minor, Nodegroup,
    RemoteNetworkConfig, ScalingConfig, StorageConfig, UpgradePolicy, VpcConfig, ZonalShiftConfig,
};
use crate::clock::Epoch;

/// An update.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Update {
    /// The id.
    pub id: String,
    /// How far it is.
    pub status: UpdateStatus,
    /// The type, such as `VersionUpdate`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What was asked for.
    pub params: Vec<UpdateParam>,
    /// When it was accepted.
    pub created_at: Epoch,
    /// What went wrong.
    pub errors: Vec<ErrorDetail>,
    /// A cancellation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancellation: Option<Cancellation>,
}

/// How far an update is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpdateStatus {
    /// Running.
    InProgress,
    /// Done.
    Successful,
    /// Failed, and undone.
    Failed,
    /// Cancelled.
    Cancelled,
}

/// One thing that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateParam {
    /// The name, of the model's `UpdateParamType`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The value.
    pub value: String,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ErrorDetail {
    /// The code.
    pub error_code: String,
    /// The message.
    #[serde(default)]
    pub error_message: String,
    /// What it is about.
    #[serde(default)]
    pub resource_ids: Vec<String>,
}

/// A cancellation of an update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancellation {
    /// `Successful`: the emulator decides at once.
    pub status: String,
    /// Why.
    pub reason: String,
}

/// What an update belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Part {
    /// The cluster itself.
    Cluster,
    /// A node group.
    Nodegroup(String),
    /// An add-on.
    Addon(String),
}

/// What is changed when an update succeeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    /// The control plane moves to another minor.
    Version {
        /// Where it was.
        from: Minor,
        /// Where it goes.
        to: Minor,
        /// Whether it goes back.
        rollback: bool,
        /// Until when the nodes of an Auto Mode cluster go back first, and the update can be cancelled.
        nodes_until: Option<Timestamp>,
    },
    /// Network or endpoint.
    Vpc(VpcConfig),
    /// Logs.
    Logging(Logging),
    /// The authentication mode.
    Access(AuthenticationMode),
    /// Support.
    Upgrade(UpgradePolicy),
    /// Zonal shift.
    ZonalShift(ZonalShiftConfig),
    /// Auto Mode.
    AutoMode {
        /// Compute.
        compute: ComputeConfig,
        /// Storage.
        storage: StorageConfig,
        /// Load balancing.
        load_balancing: ElasticLoadBalancing,
    },
    /// Hybrid nodes.
    RemoteNetwork(RemoteNetworkConfig),
    /// Deletion protection.
    DeletionProtection(bool),
    /// The size of the control plane.
    Scaling(ScalingConfig),
    /// A node group as it will be.
    Nodegroup(Box<Nodegroup>),
    /// An add-on as it will be.
    Addon {
        /// The add-on.
        name: String,
        /// The version.
        version: String,
        /// The settings.
        configuration: Option<String>,
        /// The role.
        role_arn: Option<String>,
    },
}

/// An update and what the service knows of it besides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateRecord {
    /// What is answered.
    pub update: Update,
    /// What it belongs to.
    pub part: Part,
    /// What it changes.
    pub change: Change,
    /// When it ends.
    pub due: Timestamp,
    /// The error that it ends with, if it is to fail.
    pub fails_with: Option<ErrorDetail>,
    /// The token it was asked for with.
    pub idempotency: Option<Idempotency>,
}

impl UpdateRecord {
    /// Whether it is still running.
    pub fn in_progress(&self) -> bool {
        self.update.status == UpdateStatus::InProgress
    }
}
