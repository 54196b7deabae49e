//! Everything that calls change, with a note of what has to be saved.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    ec2::LaunchTemplate,
    faults::Fault,
    model::{ClusterKey, ClusterRecord},
};

/// The emulator's state.
#[derive(Debug, Default)]
pub(crate) struct State {
    clusters: BTreeMap<ClusterKey, ClusterRecord>,
    shared: Shared,
    dirty_clusters: BTreeSet<ClusterKey>,
    dirty_shared: bool,
}

/// What belongs to no cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Shared {
    /// How far the emulator's time is ahead of the machine's, in milliseconds.
    pub clock_offset_ms: i64,
    /// Temporary credentials by access key id.
    pub sessions: BTreeMap<String, Session>,
    /// The fault plan.
    pub faults: Vec<Fault>,
    /// Launch templates by id.
    pub launch_templates: BTreeMap<String, LaunchTemplate>,
    /// What tests say was left behind.
    pub leftovers: Vec<Leftover>,
}

/// Temporary credentials of an assumed role.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Session {
    /// The secret.
    pub secret: String,
    /// The session token.
    pub token: String,
    /// The role's account.
    pub account: String,
    /// The role's name.
    pub role: String,
    /// The session's name.
    pub session_name: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("account", &self.account)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// Something in AWS that outlived its cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Leftover {
    /// The account.
    pub account: String,
    /// The region.
    pub region: String,
    /// What it is.
    pub kind: LeftoverKind,
    /// The id, such as `vol-0123`; for a load balancer its name.
    pub id: String,
    /// The tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// A description, of a network interface.
    #[serde(default)]
    pub description: String,
}

/// What was left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeftoverKind {
    /// An EBS volume.
    Volume,
    /// A network interface.
    NetworkInterface,
    /// A security group.
    SecurityGroup,
    /// A load balancer.
    LoadBalancer,
    /// A target group.
    TargetGroup,
    /// A machine.
    Instance,
    /// A log group.
    LogGroup,
}

impl LeftoverKind {
    /// The type in EC2's words.
    pub(crate) const fn ec2_type(self) -> &'static str {
        match self {
            Self::Volume => "volume",
            Self::NetworkInterface => "network-interface",
            Self::SecurityGroup => "security-group",
            Self::LoadBalancer => "loadbalancer",
            Self::TargetGroup => "targetgroup",
            Self::Instance => "instance",
            Self::LogGroup => "log-group",
        }
    }
}

impl Leftover {
    /// The ARN.
    pub fn arn(&self) -> String {
        let (service, path) = match self.kind {
            LeftoverKind::Volume => ("ec2", "volume/"),
            LeftoverKind::NetworkInterface => ("ec2", "network-interface/"),
            LeftoverKind::SecurityGroup => ("ec2", "security-group/"),
            LeftoverKind::LoadBalancer => ("elasticloadbalancing", "loadbalancer/net/"),
            LeftoverKind::TargetGroup => ("elasticloadbalancing", "targetgroup/"),
            LeftoverKind::Instance => ("ec2", "instance/"),
            LeftoverKind::LogGroup => ("logs", "log-group:"),
        };
        format!("arn:aws:{service}:{}:{}:{path}{}", self.region, self.account, self.id)
    }
}

/// The log group of a cluster. Source: docs.
pub(crate) fn log_group(cluster: &str) -> String {
    format!("/aws/eks/{cluster}/cluster")
}

/// What has to be written or removed to save a state.
#[derive(Debug, Default)]
pub(crate) struct Unsaved {
    pub(crate) clusters: BTreeSet<ClusterKey>,
    pub(crate) shared: bool,
}

impl State {
    /// A state as it was saved.
    pub(crate) fn restored(shared: Shared, clusters: BTreeMap<ClusterKey, ClusterRecord>) -> Self {
        Self { clusters, shared, ..Self::default() }
    }

    /// All clusters.
    pub(crate) fn clusters(&self) -> &BTreeMap<ClusterKey, ClusterRecord> {
        &self.clusters
    }

    /// One cluster.
    pub(crate) fn cluster(&self, key: &ClusterKey) -> Option<&ClusterRecord> {
        self.clusters.get(key)
    }

    /// One cluster, to be changed.
    pub(crate) fn cluster_mut(&mut self, key: &ClusterKey) -> Option<&mut ClusterRecord> {
        let record = self.clusters.get_mut(key)?;
        self.dirty_clusters.insert(key.clone());
        Some(record)
    }

    /// Adds a cluster.
    pub(crate) fn insert_cluster(&mut self, key: ClusterKey, record: ClusterRecord) {
        self.dirty_clusters.insert(key.clone());
        self.clusters.insert(key, record);
    }

    /// What belongs to no cluster.
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// What belongs to no cluster, to be changed.
    pub(crate) fn shared_mut(&mut self) -> &mut Shared {
        self.dirty_shared = true;
        &mut self.shared
    }

    /// Moves every cluster on to a moment.
    pub(crate) fn advance(&mut self, now: Timestamp) {
        use crate::lifecycle::{Advanced, advance};
        let mut gone = Vec::new();
        for (key, record) in &mut self.clusters {
            match advance(record, now) {
                Advanced::Same => continue,
                Advanced::Changed => {}
                Advanced::Gone => gone.push(key.clone()),
            }
            self.dirty_clusters.insert(key.clone());
        }
        for key in gone {
            if let Some(record) = self.clusters.remove(&key) {
                self.leave_log_group(&key, &record);
            }
        }
    }

    /// Forgets credentials that ended more than an hour ago: until then a late caller hears `expired`, not `unknown`.
    pub(crate) fn forget_sessions(&mut self, machine_now: Timestamp) {
        let kept = machine_now.checked_sub(SignedDuration::from_hours(1)).unwrap_or(machine_now);
        if self.shared.sessions.values().any(|session| session.expires_at < kept) {
            self.shared_mut().sessions.retain(|_, session| session.expires_at >= kept);
        }
    }

    /// The log group of a cluster that sent logs outlives it (source: docs).
    fn leave_log_group(&mut self, key: &ClusterKey, record: &ClusterRecord) {
        let left = Leftover {
            account: key.account.clone(),
            region: key.region.clone(),
            kind: LeftoverKind::LogGroup,
            id: log_group(&key.name),
            tags: BTreeMap::new(),
            description: String::new(),
        };
        if record.sends_logs() && !self.shared.leftovers.contains(&left) {
            self.shared_mut().leftovers.push(left);
        }
    }

    /// Takes the note of what has to be saved.
    pub(crate) fn take_unsaved(&mut self) -> Unsaved {
        Unsaved {
            clusters: std::mem::take(&mut self.dirty_clusters),
            shared: std::mem::take(&mut self.dirty_shared),
        }
    }
}
