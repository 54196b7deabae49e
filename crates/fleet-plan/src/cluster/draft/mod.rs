//! A plan in the making: the one place where steps get their tokens, their windows and their tries.

mod finish;
mod propose;

use std::collections::{BTreeMap, BTreeSet};

use fleet_api::{
    eks::{EksAction, EksCluster, EksObservation, Focus, Part},
    labels,
    step::{Action, Expectation, Seen, Step},
    v1alpha1::{
        ComponentVersion, DeletionStatus, Disruption, EksClass, ReportEntry, StepFailure, StepStatus,
        TenantCluster, VersionStatus,
    },
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

pub(super) use self::propose::{Proposal, Proposed};
use super::{
    attention_to,
    memory::{self, Failed, Occasion},
    rollback::Heading,
};
use crate::report::{Code, Who, entry};

/// What a finding speaks about, and therefore which condition it keeps from holding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    /// The cluster's shape: `Provisioned`.
    Shape,
    /// Its versions: `UpToDate`.
    Version,
}

impl Topic {
    pub(super) const SHAPE: &'static [Self] = &[Self::Shape];
    pub(super) const VERSION: &'static [Self] = &[Self::Version];
    pub(super) const BOTH: &'static [Self] = &[Self::Shape, Self::Version];
    /// A finding that keeps no condition from holding.
    pub(super) const NOTE: &'static [Self] = &[];
}

/// How a topic stands; the later ones speak before the earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    InProgress,
    Waiting,
    Unknown,
    Retrying,
    Ahead,
    Blocked,
    Deleting,
}
/// A plan in the making.
pub(super) struct Draft<'a> {
    pub(super) cluster: &'a TenantCluster,
    pub(super) seen: &'a EksObservation,
    pub(super) now: Timestamp,
    pub(super) owner: String,
    pub(super) versions: VersionStatus,
    pub(super) in_flight: Option<StepStatus>,
    pub(super) last_update: Option<String>,
    pub(super) failures: Vec<StepFailure>,
    pub(super) deletion: Option<DeletionStatus>,
    pub(super) focus: Focus,
    pub(super) enterable: bool,
    pub(super) deleted: bool,
    /// Whether every part was planned, and not only what comes before a wait.
    pub(super) planned_through: bool,
    pub(super) look_again_after: SignedDuration,
    /// Which way the versions go.
    pub(super) heading: Heading,
    /// The ids of all proposals, those that are held included.
    proposals: BTreeSet<String>,
    steps: Vec<Step>,
    update: Option<Step>,
    /// What the disruptive step among them, if there is one, is remembered as.
    disruption: Option<Disruption>,
    report: Vec<ReportEntry>,
    standings: Vec<(Topic, Standing, String)>,
}

/// How often a cluster at rest is looked at.
const STEADY: SignedDuration = SignedDuration::from_mins(5);
/// How often the cloud is asked while it is at work.
const AT_WORK: SignedDuration = SignedDuration::from_secs(20);

impl<'a> Draft<'a> {
    pub(super) fn new(cluster: &'a TenantCluster, seen: &'a EksObservation, now: Timestamp) -> Self {
        let status = cluster.status.as_ref();
        let mut draft = Self {
            cluster,
            seen,
            now,
            owner: String::new(),
            versions: status.map(|status| status.versions.clone()).unwrap_or_default(),
            in_flight: None,
            last_update: status.and_then(|status| status.last_update.clone()),
            failures: status.map(|status| status.failures.clone()).unwrap_or_default(),
            deletion: status.and_then(|status| status.deletion.clone()),
            focus: attention_to(cluster),
            enterable: false,
            deleted: false,
            planned_through: false,
            look_again_after: STEADY,
            heading: Heading::Forward,
            proposals: BTreeSet::new(),
            steps: Vec::new(),
            update: None,
            disruption: None,
            report: Vec::new(),
            standings: Vec::new(),
        };
        let occasion = Occasion::of(cluster);
        draft.failures.retain(|failure| occasion.covers(failure));
        draft
    }

    /// An annotation of the TenantCluster.
    pub(super) fn annotation(&self, key: &str) -> Option<&'a str> {
        self.cluster.metadata.annotations.as_ref()?.get(key).map(String::as_str)
    }

    /// True when the tags name this TenantCluster as the owner.
    pub(super) fn is_ours(&self, tags: &BTreeMap<String, String>) -> bool {
        tags.get(labels::TAG_OWNER) == Some(&self.owner)
    }

    /// The tags of everything that is made for this cluster: those of the class, and ownership last, so that
    /// no class can claim a cloud object for another tenant.
    pub(super) fn tags(&self, eks: &EksClass) -> BTreeMap<String, String> {
        let mut tags = eks.tags.clone();
        tags.insert(labels::TAG_OWNER.to_owned(), self.owner.clone());
        tags.insert(labels::TAG_TENANT.to_owned(), self.cluster.spec.tenant.clone());
        tags
    }

    /// The stored step that is not known to have ended.
    pub(super) fn stored_step(&self) -> Option<&'a StepStatus> {
        self.cluster.status.as_ref()?.step.as_ref()
    }

    /// Remembers what only an active cluster shows.
    pub(super) fn remember_cluster(&mut self, present: &EksCluster) {
        use fleet_api::eks::EksClusterStatus as S;
        if !matches!(present.status, S::Active | S::Updating) {
            return;
        }
        // An upgrade counts as finished when the cluster itself shows the newer minor: the update's own word
        // can be lost with a crash.
        if self.versions.control_plane.is_some_and(|before| before < present.version) {
            self.versions.upgrade_completed_at = Some(Time(self.now));
        }
        // An upgrade that was undone cannot be undone again.
        if self.versions.control_plane.is_some_and(|before| before > present.version) {
            self.versions.upgrade_completed_at = None;
        }
        self.versions.created_at.get_or_insert(present.version);
        self.versions.control_plane = Some(present.version);
    }

    /// Remembers the versions of the parts.
    pub(super) fn versions_of(&mut self, _present: &EksCluster) {
        if let Seen::Present(groups) = &self.seen.nodegroups {
            self.versions.nodes = groups
                .iter()
                .map(|group| ComponentVersion {
                    name: group.name.clone(),
                    version: group.version.map_or_else(|| "unknown".to_owned(), |v| v.to_string()),
                })
                .collect();
            self.versions.nodes.sort_by(|a, b| a.name.cmp(&b.name));
            self.versions.nodes.truncate(30);
        }
        if let Seen::Present(addons) = &self.seen.addons {
            self.versions.addons = addons
                .iter()
                .map(|addon| ComponentVersion { name: addon.name.clone(), version: addon.version.clone() })
                .collect();
            self.versions.addons.sort_by(|a, b| a.name.cmp(&b.name));
            self.versions.addons.truncate(40);
        }
    }

    /// Adds an entry and lowers the topics it speaks about.
    pub(super) fn say(&mut self, topics: &[Topic], standing: Standing, entry: ReportEntry) {
        self.standings.extend(topics.iter().map(|topic| (*topic, standing, entry.message.clone())));
        self.report.push(entry);
    }

    /// Adds an entry that keeps nothing from holding.
    pub(super) fn note(&mut self, entry: ReportEntry) {
        self.say(Topic::NOTE, Standing::InProgress, entry);
    }

    /// Something is waited for that ends by itself.
    pub(super) fn wait(&mut self, topics: &[Topic], entry: ReportEntry) {
        self.look_within(AT_WORK);
        self.say(topics, Standing::Waiting, entry);
    }

    /// The cloud is at work on something that fleet began.
    pub(super) fn progress(&mut self, topics: &[Topic], entry: ReportEntry) {
        self.look_within(AT_WORK);
        self.say(topics, Standing::InProgress, entry);
    }

    /// Nothing moves until somebody acts.
    pub(super) fn block(&mut self, topics: &[Topic], entry: ReportEntry) {
        self.say(topics, Standing::Blocked, entry);
    }

    /// Something could not be read.
    pub(super) fn unknown(&mut self, topics: &[Topic], entry: ReportEntry) {
        self.look_within(SignedDuration::from_secs(30));
        self.say(topics, Standing::Unknown, entry);
    }

    /// A part could not be read.
    pub(super) fn part_unknown(&mut self, topics: &[Topic], part: &str, why: &str) {
        self.unknown(
            topics,
            entry(Code::PartUnknown, Who::Nobody, format!("{part} could not be read: {why}")),
        );
    }

    /// Looks again no later than this.
    pub(super) fn look_within(&mut self, duration: SignedDuration) {
        self.look_again_after = self.look_again_after.min(duration.max(SignedDuration::from_secs(1)));
    }

    /// True when an update of the cloud is to begin.
    pub(super) fn has_update(&self) -> bool {
        self.update.is_some()
    }

    /// True when nothing keeps a topic from holding.
    pub(super) fn holds(&self, topic: Topic) -> bool {
        self.standings.iter().all(|(about, ..)| *about != topic)
    }

    /// True when a step of this id was proposed in this plan, planned or held.
    pub(super) fn proposed(&self, id: &str) -> bool {
        self.proposals.contains(id)
    }

    /// The expectation that a part is as it was seen; `None` when it was not read.
    pub(super) fn as_seen(&self, part: &Part) -> Option<Expectation> {
        match self.seen.part_fingerprint(part) {
            Seen::Present(fingerprint) => Some(Expectation::Part { part: part.to_string(), fingerprint }),
            Seen::Absent => Some(Expectation::PartAbsent { part: part.to_string() }),
            Seen::Unknown { .. } => None,
        }
    }

    /// Counts a failure of a step; one that is seen again as the same thing counts once.
    pub(super) fn failed(&mut self, step: &str, seen_as: &str, code: &str, message: &str) {
        let failed = Failed { step, seen_as, code, message };
        memory::count_failure(&mut self.failures, failed, Occasion::of(self.cluster), self.now);
    }

    /// Forgets the failures of a step that succeeded, or is wanted no longer.
    pub(super) fn succeeded(&mut self, step: &str) {
        self.failures.retain(|failure| failure.step != step);
    }

    /// Marks the failure of a step as no longer to be seen, so that the next one counts again.
    pub(super) fn no_longer_seen(&mut self, step: &str) {
        for failure in self.failures.iter_mut().filter(|failure| failure.step == step) {
            failure.seen_as = None;
        }
    }

    /// How often a step has failed.
    pub(super) fn attempts(&self, step: &str) -> i32 {
        self.failures.iter().find(|failure| failure.step == step).map_or(0, |failure| failure.attempts)
    }
}

/// A moment to the second, for messages.
pub(super) fn rounded(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// An action of EKS as a step's action.
pub(super) fn eks(action: EksAction) -> Action {
    Action::Eks(action)
}
