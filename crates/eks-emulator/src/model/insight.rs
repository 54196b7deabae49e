//! What EKS finds in a cluster that stands in the way of an upgrade or a rollback.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Minor;
use crate::clock::Epoch;

/// A finding, in the shape of the model's `Insight`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Insight {
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
    /// What it is about.
    pub category: InsightCategory,
    /// The minor that it is about.
    pub kubernetes_version: Minor,
    /// When EKS last looked.
    pub last_refresh_time: Epoch,
    /// When the status last changed.
    pub last_transition_time: Epoch,
    /// What is looked at.
    pub description: String,
    /// The result.
    pub insight_status: InsightStatus,
    /// What to do.
    pub recommendation: String,
    /// What is affected: each `{insightStatus, kubernetesResourceUri, arn}`.
    #[serde(default)]
    pub resources: Vec<Value>,
    /// What only a finding of its category has, such as `{deprecationDetails: [{usage, replacedWith, clientStats}]}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category_specific_summary: Option<Value>,
}

/// What an insight is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum InsightCategory {
    /// The next upgrade.
    UpgradeReadiness,
    /// Settings.
    Misconfiguration,
    /// Going back.
    RollbackReadiness,
}

/// The result of an insight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InsightStatus {
    /// How bad it is.
    pub status: InsightLevel,
    /// Why.
    pub reason: String,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum InsightLevel {
    /// Good.
    Passing,
    /// To be looked at.
    Warning,
    /// In the way.
    Error,
    /// Not known.
    Unknown,
}

/// The newest refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InsightsRefresh {
    /// When it began.
    pub started_at: Epoch,
    /// When it ends, or ended.
    pub ends_at: Epoch,
}
