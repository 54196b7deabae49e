//! A cluster with all that belongs to it: the unit that is saved, advanced and deleted.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    AccessEntryRecord, AddonRecord, Cluster, ClusterStatus, Identity, Insight, InsightsRefresh, Issue, Minor,
    NodegroupRecord, Part, PodIdentityRecord, UpdateRecord,
};

/// Which cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClusterKey {
    /// The account.
    pub account: String,
    /// The region.
    pub region: String,
    /// The name.
    pub name: String,
}

impl std::fmt::Display for ClusterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.account, self.region, self.name)
    }
}

/// The token of a call and a hash of what was asked: the same again is answered again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idempotency {
    /// The caller's token.
    pub token: String,
    /// A hash of operation and body.
    pub asked: String,
}

/// The API server behind a cluster: what should run, and what runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Server {
    /// The minor that should run; `None` when nothing should and its data should go.
    pub wanted: Option<Minor>,
    /// The minor that answers, as the backend last reported. Not saved: a new process starts from nothing.
    #[serde(skip)]
    pub seen: Option<Minor>,
    /// Whether a test stopped it. Its data stays.
    pub stopped: bool,
    /// Whether its data is gone.
    #[serde(default)]
    pub removed: bool,
    /// How it is reached, as last reported.
    #[serde(default)]
    pub access: Option<ServerAccess>,
}

/// How an API server is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerAccess {
    /// The URL.
    pub endpoint: String,
    /// The authority of its certificate: PEM in base64.
    pub certificate_authority: String,
    /// The issuer of its service account tokens.
    pub identity: Identity,
}

/// The newest upgrade, which a rollback would undo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgraded {
    /// The minor before it.
    pub from: Minor,
    /// When it ended.
    pub at: Timestamp,
}

/// A cluster with all that belongs to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterRecord {
    /// What is answered.
    pub cluster: Cluster,
    /// The token it was made with.
    pub idempotency: Option<Idempotency>,
    /// When creation or deletion is over.
    pub due: Option<Timestamp>,
    /// What to say instead of `ACTIVE` when creation is over.
    pub fails_with: Option<Issue>,
    /// The API server.
    pub server: Server,
    /// The newest upgrade.
    pub upgraded: Option<Upgraded>,
    /// How many reads still show the cluster as it was before the newest update was accepted.
    pub stale_reads: u32,
    /// All updates, oldest first.
    pub updates: Vec<UpdateRecord>,
    /// Node groups by name.
    pub nodegroups: BTreeMap<String, NodegroupRecord>,
    /// Add-ons by name.
    pub addons: BTreeMap<String, AddonRecord>,
    /// Access entries by principal.
    pub access_entries: BTreeMap<String, AccessEntryRecord>,
    /// Pod identity associations by id.
    pub pod_identities: BTreeMap<String, PodIdentityRecord>,
    /// Insights that a test put in, by id; they stand beside those that are computed.
    pub insights: BTreeMap<String, Insight>,
    /// The newest refresh of insights.
    pub insights_refresh: Option<InsightsRefresh>,
}

impl ClusterRecord {
    /// The update of a part that is running.
    pub fn running_update(&self, part: &Part) -> Option<&UpdateRecord> {
        self.updates.iter().find(|update| update.part == *part && update.in_progress())
    }

    /// Whether pods find nodes: a node group is up with at least one node, or Auto Mode makes them.
    pub fn has_nodes(&self) -> bool {
        self.cluster.auto_mode()
            || self.nodegroups.values().any(|record| {
                let group = &record.nodegroup;
                matches!(group.status, super::PartStatus::Active | super::PartStatus::Updating)
                    && group.scaling_config.desired_size.unwrap_or(0) > 0
            })
    }

    /// Whether any log goes to CloudWatch.
    pub fn sends_logs(&self) -> bool {
        self.cluster.logging.cluster_logging.iter().any(|setup| setup.enabled && !setup.types.is_empty())
    }

    /// Whether the cluster can be changed now.
    pub fn is_active(&self) -> bool {
        self.cluster.status == ClusterStatus::Active
    }
}
