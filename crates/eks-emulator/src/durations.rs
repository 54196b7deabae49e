//! How long the things take that take time on EKS.

use std::{collections::BTreeMap, str::FromStr};

use jiff::SignedDuration;

/// The kinds of work that take time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Work {
    /// A cluster from `CREATING` to `ACTIVE` or `FAILED`.
    ClusterCreate,
    /// A cluster from `DELETING` to gone.
    ClusterDelete,
    /// An `UpdateClusterConfig`.
    ClusterConfig,
    /// An upgrade of a control plane.
    ClusterUpgrade,
    /// A rollback of a control plane.
    ClusterRollback,
    /// The nodes of an Auto Mode cluster, which go back before its control plane does.
    AutoModeNodes,
    /// A node group from `CREATING` to `ACTIVE`.
    NodegroupCreate,
    /// An update of a node group.
    NodegroupUpdate,
    /// A node group from `DELETING` to gone.
    NodegroupDelete,
    /// An add-on from `CREATING` to `ACTIVE` or `DEGRADED`.
    AddonCreate,
    /// An `UpdateAddon`.
    AddonUpdate,
    /// An add-on from `DELETING` to gone.
    AddonDelete,
    /// Until an access entry or policy reaches the API server.
    Access,
    /// A refresh of insights.
    InsightsRefresh,
}

/// Every kind of work with its name on the command line, its sandbox duration in milliseconds, and a realistic one
/// in seconds. The realistic ones are of public measurements and of the documentation (source: docs, issue).
const TABLE: [(Work, &str, i64, i64); 14] = [
    (Work::ClusterCreate, "cluster-create", 6_000, 720),
    (Work::ClusterDelete, "cluster-delete", 3_000, 180),
    (Work::ClusterConfig, "cluster-config", 2_000, 180),
    (Work::ClusterUpgrade, "cluster-upgrade", 8_000, 900),
    (Work::ClusterRollback, "cluster-rollback", 8_000, 900),
    (Work::AutoModeNodes, "auto-mode-nodes", 4_000, 1_200),
    (Work::NodegroupCreate, "nodegroup-create", 4_000, 150),
    (Work::NodegroupUpdate, "nodegroup-update", 4_000, 900),
    (Work::NodegroupDelete, "nodegroup-delete", 3_000, 240),
    (Work::AddonCreate, "addon-create", 2_000, 60),
    (Work::AddonUpdate, "addon-update", 2_000, 60),
    (Work::AddonDelete, "addon-delete", 1_000, 30),
    (Work::Access, "access", 0, 5),
    (Work::InsightsRefresh, "insights-refresh", 2_000, 300),
];

/// How long each kind of work takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durations(BTreeMap<Work, SignedDuration>);

impl Durations {
    /// Seconds, so that a person can watch.
    pub fn sandbox() -> Self {
        Self(TABLE.into_iter().map(|(work, _, ms, _)| (work, SignedDuration::from_millis(ms))).collect())
    }

    /// Minutes, as on EKS; for use with the virtual clock.
    pub fn realistic() -> Self {
        Self(TABLE.into_iter().map(|(work, _, _, s)| (work, SignedDuration::from_secs(s))).collect())
    }

    /// Everything at once: for tests in which time is no subject.
    pub fn instant() -> Self {
        Self(TABLE.into_iter().map(|(work, ..)| (work, SignedDuration::ZERO)).collect())
    }

    /// The duration of a kind of work.
    pub fn of(&self, work: Work) -> SignedDuration {
        self.0.get(&work).copied().unwrap_or_default()
    }

    /// Sets one duration.
    #[must_use]
    pub fn with(mut self, work: Work, duration: SignedDuration) -> Self {
        self.0.insert(work, duration);
        self
    }
}

/// A text that names no durations.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not `sandbox`, `realistic`, `instant` or `KIND=SECONDS` with one of: {}", TABLE.map(|row| row.1).join(", "))]
pub struct DurationsError {
    text: String,
}

impl FromStr for Durations {
    type Err = DurationsError;

    /// Reads `sandbox`, `realistic` or `instant`, then `KIND=SECONDS` for what differs, separated by commas.
    fn from_str(text: &str) -> Result<Self, DurationsError> {
        let mut durations = Self::sandbox();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let wrong = || DurationsError { text: part.to_owned() };
            match part {
                "sandbox" => durations = Self::sandbox(),
                "realistic" => durations = Self::realistic(),
                "instant" => durations = Self::instant(),
                _ => {
                    let (name, seconds) = part.split_once('=').ok_or_else(wrong)?;
                    let row = TABLE.iter().find(|row| row.1 == name).ok_or_else(wrong)?;
                    let seconds: f64 = seconds.parse().map_err(|_| wrong())?;
                    let duration = SignedDuration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
                    if duration.is_negative() {
                        return Err(wrong());
                    }
                    durations = durations.with(row.0, duration);
                }
            }
        }
        Ok(durations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_from_the_left() {
        let durations: Durations = "realistic,cluster-create=1.5".parse().unwrap();
        assert_eq!(durations.of(Work::ClusterCreate), SignedDuration::from_millis(1500));
        assert_eq!(durations.of(Work::ClusterUpgrade), SignedDuration::from_secs(900));
        assert_eq!("".parse::<Durations>().unwrap(), Durations::sandbox());
    }

    #[test]
    fn a_wrong_duration_is_named_with_what_there_is() {
        for text in ["fast", "cluster-create", "cluster-create=-1", "cluster-create=soon", "tea=3"] {
            let error = text.parse::<Durations>().unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("addon-update"), "{error}");
        }
    }
}
