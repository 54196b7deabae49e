//! What an engine says about its cluster. Everything unknown is unknown here, and never healthy.

use std::sync::Arc;

use fleet_api::v1alpha1::{FightStatus, ProbeCounts};
use fleet_render::Phase;
use jiff::Timestamp;

use crate::{probes::ControlVerdict, remote::Fault};

/// How many fights and namespaces a report names.
pub(crate) const NAMED_MAX: usize = 10;

/// What is known of one cluster's baseline.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineReport {
    /// Whether the tenant's API server answers.
    pub reach: Reach,
    /// The revision that is wanted; `None` before there is a target.
    pub wanted_revision: Option<String>,
    /// The wanted revision, once every object of it but the tenant's access was seen as wanted, the markers were
    /// denied and the quotas were live. `None` as soon as one of that no longer holds.
    pub applied_revision: Option<String>,
    /// How many objects the wanted revision has.
    pub objects: usize,
    /// How many of them were last seen as wanted.
    pub applied: usize,
    /// How many objects were put back since the engine began.
    pub repairs: u64,
    /// The last error that still stands, without secrets.
    pub last_error: Option<String>,
    /// The revision that the probes last judged; `None` while one of them got no usable answer.
    pub proven_revision: Option<String>,
    /// When the probes last ran to their end.
    pub proven_at: Option<Timestamp>,
    /// How many controls got which verdict when the probes last ran.
    pub counts: ProbeCounts,
    /// The verdict of every control. Empty while they are only known by their counts, after a restart.
    pub verdicts: Arc<[ControlVerdict]>,
    /// Objects that somebody keeps changing back, and that were left alone; at most 10.
    pub fights: Vec<FightStatus>,
    /// What the engine is at.
    pub stage: Stage,
    /// Whether the tenant's own bindings were handed over at the wanted revision.
    pub access_handed_over: bool,
    /// Namespaces that no revision wants any longer. They are never deleted here: they hold a tenant's work. At
    /// most 10.
    pub kept_namespaces: Vec<String>,
    /// When the cluster last gave evidence: an answer, an event, a bookmark.
    pub observed_at: Option<Timestamp>,
}

/// Whether a tenant's API server answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Reach {
    /// Nobody has asked yet.
    Unknown,
    /// It answered when it was last asked.
    Up,
    /// It did not.
    Down(Fault),
}

/// What an engine is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// There is no target yet.
    NoTarget,
    /// Nothing is changed, by order; what drifts is only reported.
    Paused,
    /// Reading what is there.
    Reading,
    /// Applying the objects of a phase.
    Applying(Phase),
    /// Waiting until requests are denied that the admission policies must deny.
    WaitingForMarkers,
    /// Waiting until the quota controller has filled `status.hard`.
    WaitingForQuotas,
    /// The probes run, or are about to run again.
    Probing,
    /// The probes did not pass: the tenant's access is withheld.
    AccessWithheld,
    /// Everything is as wanted; the cluster is watched.
    Watching,
}

impl Stage {
    /// The stage for people, as the end of "the baseline is …".
    pub fn describe(&self) -> String {
        match self {
            Self::NoTarget => "waiting for its first revision".to_owned(),
            Self::Paused => "paused".to_owned(),
            Self::Reading => "reading what is there".to_owned(),
            Self::Applying(phase) => format!("applying phase {}", phase.as_str()),
            Self::WaitingForMarkers => "waiting for the admission policies to bite".to_owned(),
            Self::WaitingForQuotas => "waiting for the quotas to be live".to_owned(),
            Self::Probing => "being probed".to_owned(),
            Self::AccessWithheld => "withholding the tenant's access until the probes pass".to_owned(),
            Self::Watching => "applied and watched".to_owned(),
        }
    }
}

impl EngineReport {
    /// The report of an engine that has seen nothing.
    pub(crate) fn blank() -> Self {
        Self {
            reach: Reach::Unknown,
            wanted_revision: None,
            applied_revision: None,
            objects: 0,
            applied: 0,
            repairs: 0,
            last_error: None,
            proven_revision: None,
            proven_at: None,
            counts: ProbeCounts::default(),
            verdicts: Arc::from([]),
            fights: Vec::new(),
            stage: Stage::NoTarget,
            access_handed_over: false,
            kept_namespaces: Vec::new(),
            observed_at: None,
        }
    }

    /// Whether the wanted revision is applied, and nobody fights it.
    pub fn hardened(&self) -> bool {
        self.reach == Reach::Up
            && self.wanted_revision.is_some()
            && self.applied_revision == self.wanted_revision
            && self.fights.is_empty()
    }

    /// Whether the probes judged the wanted revision and none failed.
    pub fn proven(&self) -> bool {
        self.wanted_revision.is_some()
            && self.proven_revision == self.wanted_revision
            && self.counts.fail == 0
    }
}
