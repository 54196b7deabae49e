//! What does not fit together in a cluster: skew, obstacles, and upgrades that the cloud makes by itself.

use fleet_api::{
    KubernetesVersion,
    text::Day,
    v1alpha1::{SupportType, TenantCluster},
};
use jiff::Timestamp;
use serde::Serialize;

use super::{COMING_DAYS, Support, SupportState};
use crate::report::Code;

/// Nodes and kube-proxy may be three minors older than the API server (Kubernetes version skew policy).
const MOST_SKEW: i32 = 3;

/// A part that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SkewFinding {
    /// How bad it is.
    pub level: Level,
    /// The part, such as `node group workers`.
    pub part: String,
    /// What is wrong, for people.
    pub message: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Level {
    /// Outside of what Kubernetes or the cloud supports.
    Error,
    /// It keeps the next minor away.
    Warning,
    /// Worth knowing.
    Note,
}

/// What does not fit together in a cluster, worst first.
pub(super) fn findings(cluster: &TenantCluster, support: &Support, now: Timestamp) -> Vec<SkewFinding> {
    let Some(status) = cluster.status.as_ref() else { return Vec::new() };
    let Some(have) = status.versions.control_plane else { return Vec::new() };
    let mut found: Vec<SkewFinding> = Vec::new();
    let mut skew = |part: String, version: KubernetesVersion| {
        let behind = have.ahead_of(version);
        let (level, message) = match behind {
            0 => return,
            ..0 => (Level::Error, format!("{version} is newer than the control plane, {have}")),
            MOST_SKEW => (
                Level::Warning,
                format!(
                    "{version} is {behind} minors behind {have}: the control plane cannot move before it does"
                ),
            ),
            behind if behind > MOST_SKEW => (
                Level::Error,
                format!("{version} is {behind} minors behind {have}, which Kubernetes does not support"),
            ),
            behind => (Level::Note, format!("{version} is {behind} behind {have}")),
        };
        found.push(SkewFinding { level, part, message });
    };
    for group in &status.versions.nodes {
        if let Ok(version) = group.version.parse() {
            skew(format!("node group {}", group.name), version);
        }
    }
    for addon in status.versions.addons.iter().filter(|addon| addon.name == "kube-proxy") {
        if let Some(version) = minor_of(&addon.version) {
            skew("add-on kube-proxy".to_owned(), version);
        }
    }
    // What only the cloud knows of add-ons and obstacles, the cluster's own report says.
    let obstacles = [
        Code::AddonBlocksUpgrade,
        Code::AddonVersionUnknown,
        Code::AddonDegraded,
        Code::UpgradeInsight,
        Code::FreeAddresses,
        Code::VersionNotOffered,
    ];
    for entry in &status.report {
        if obstacles.iter().any(|code| code.as_str() == entry.code) {
            let (level, part) = (Level::Warning, entry.code.clone());
            found.push(SkewFinding { level, part, message: entry.message.clone() });
        }
    }
    let by_itself = |day: Option<Day>| day.map_or_else(String::new, |day| format!(" on {day}"));
    let stays_standard =
        cluster.spec.eks.as_ref().is_some_and(|eks| eks.support_type == SupportType::Standard);
    match support.state {
        SupportState::Unsupported => found.push(SkewFinding {
            level: Level::Error,
            part: "control plane".to_owned(),
            message: format!("{have} is no longer supported: EKS may upgrade it at any time"),
        }),
        SupportState::Standard
            if stays_standard && support.days_of_standard.is_some_and(|days| days <= COMING_DAYS) =>
        {
            found.push(SkewFinding {
                level: Level::Note,
                part: "control plane".to_owned(),
                message: format!("EKS upgrades it by itself{}", by_itself(support.end_of_standard)),
            });
        }
        SupportState::Extended if support.days_of_extended.is_some_and(|days| days <= COMING_DAYS) => {
            found.push(SkewFinding {
                level: Level::Warning,
                part: "control plane".to_owned(),
                message: format!("EKS upgrades it by itself{}", by_itself(support.end_of_extended)),
            });
        }
        SupportState::Standard | SupportState::Extended | SupportState::Unknown => {}
    }
    if cluster.status.as_ref().is_some_and(|status| {
        recently_upgraded(status.versions.upgrade_completed_at.as_ref().map(|at| at.0), now)
    }) {
        found.push(SkewFinding {
            level: Level::Note,
            part: "control plane".to_owned(),
            message: "it was upgraded within the last 7 days, in which EKS can roll it back".to_owned(),
        });
    }
    found.sort_by_key(|finding| finding.level);
    found
}

fn recently_upgraded(at: Option<Timestamp>, now: Timestamp) -> bool {
    at.is_some_and(|at| at <= now && at.duration_until(now) < jiff::SignedDuration::from_hours(7 * 24))
}

/// The minor in an add-on's version such as `v1.35.0-eksbuild.2`.
fn minor_of(addon: &str) -> Option<KubernetesVersion> {
    let mut parts = addon.strip_prefix('v')?.split('.');
    let (major, minor) = (parts.next()?, parts.next()?);
    format!("{major}.{minor}").parse().ok()
}
