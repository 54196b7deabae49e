//! A plan in the making: the one place where steps get their tokens, their windows and their tries.

use std::collections::BTreeMap;

use fleet_api::{
    conditions::{self, Verdict, reason},
    eks::{EksAction, EksCluster, EksObservation, Focus, Part},
    labels,
    names::{client_token, content_hash},
    step::{Action, Expectation, Seen, Step},
    v1alpha1::{
        ComponentVersion, DeletionStatus, Disruption, EksClass, ReportEntry, StepFailure, StepStatus,
        TenantCluster, VersionStatus,
    },
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{ClusterPlan, attention, begins_update, disturbs, memory};
use crate::{
    report::{Code, Who, entry, entry_with_hint, settle},
    windows::{self, Change, Closed, Permission},
};

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

/// A step before it has a token.
pub(super) struct Proposal {
    pub(super) id: String,
    pub(super) summary: String,
    pub(super) action: Action,
    pub(super) expects: Expectation,
    pub(super) disruptive: bool,
    pub(super) minutes: i64,
    pub(super) topics: &'static [Topic],
}

/// What became of a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proposed {
    /// It is in the plan.
    Planned,
    /// It waits, and the report says for what.
    Held,
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
    pub(super) look_again_after: SignedDuration,
    steps: Vec<Step>,
    update: Option<Step>,
    disruption: Option<Disruption>,
    report: Vec<ReportEntry>,
    standings: Vec<(Topic, Standing, String)>,
}

/// How often a cluster at rest is looked at.
const STEADY: SignedDuration = SignedDuration::from_mins(5);
/// How often the cloud is asked while it is at work.
const AT_WORK: SignedDuration = SignedDuration::from_secs(20);
/// How soon the world is looked at after steps were carried out.
const AFTER_STEPS: SignedDuration = SignedDuration::from_secs(2);

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
            focus: attention(cluster),
            enterable: false,
            deleted: false,
            look_again_after: STEADY,
            steps: Vec::new(),
            update: None,
            disruption: None,
            report: Vec::new(),
            standings: Vec::new(),
        };
        let retry = draft.annotation(labels::RETRY).map(str::to_owned);
        draft.failures.retain(|failure| failure.retry == retry);
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
        let retry = self.annotation(labels::RETRY).map(str::to_owned);
        memory::count_failure(&mut self.failures, step, seen_as, code, message, retry, self.now);
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

    /// Puts a step into the plan, unless a window, a pause after a failure or the bound of tries holds it.
    pub(super) fn propose(&mut self, proposal: Proposal) -> Proposed {
        let Proposal { id, summary, action, expects, disruptive, minutes, topics } = proposal;
        let Ok(wish) = content_hash(&action) else { return Proposed::Held };
        self.failures.retain(|failure| {
            failure.step != id || failure.wish.as_ref().is_none_or(|failed| *failed == wish)
        });
        if let Some(failure) = self.failures.iter_mut().find(|failure| failure.step == id) {
            failure.wish = Some(wish);
            let failure = failure.clone();
            if !self.may_try_again(&failure, topics) {
                return Proposed::Held;
            }
        }
        let change = disruptive.then(|| disturbs::change_of(self, &action)).flatten();
        if disruptive && !self.may_disturb(&summary, disturbs::part(self, &action), minutes, topics) {
            return Proposed::Held;
        }
        let begins = begins_update(&action);
        if begins && self.update.is_some() {
            // One update at a time: this one is planned again when the other has ended.
            self.say(
                topics,
                Standing::InProgress,
                entry(Code::Working, Who::Nobody, format!("next: {summary}")),
            );
            return Proposed::Held;
        }
        let attempt = self.attempts(&id) + 1;
        let Ok(request) = content_hash(&(&action, &expects, attempt, &self.last_update)) else {
            return Proposed::Held;
        };
        let step = Step {
            token: client_token(&self.owner, &id, &request),
            id,
            summary: summary.clone(),
            action,
            expects,
            disruptive,
            expected_minutes: minutes,
            attempt,
        };
        self.standings.extend(topics.iter().map(|topic| (*topic, Standing::InProgress, summary.clone())));
        if let Some(change) = change {
            self.disruption = Some(Disruption { change, at: Time(self.now) });
        }
        if begins {
            self.update = Some(step);
        } else {
            self.steps.push(step);
        }
        Proposed::Planned
    }

    /// True when the pause after a failure is over; otherwise reports how long it lasts, or that it lasts for ever.
    fn may_try_again(&mut self, failure: &StepFailure, topics: &[Topic]) -> bool {
        let told = format!(
            "{} failed {} times, last with {}: {}",
            failure.step, failure.attempts, failure.code, failure.message
        );
        let Some(pause) = memory::pause_after(failure.attempts) else {
            self.block(
                topics,
                entry_with_hint(
                    Code::FailedTooOften,
                    Who::Operator,
                    format!("{told}; it is not tried again by itself"),
                    format!(
                        "remove the cause, then `kubectl annotate --overwrite tenantcluster {} {}=$(date +%s)`",
                        self.cluster.metadata.name.as_deref().unwrap_or_default(),
                        labels::RETRY
                    ),
                ),
            );
            return false;
        };
        let at = failure.last_at.0.checked_add(pause).unwrap_or(Timestamp::MAX);
        if self.now >= at {
            return true;
        }
        self.look_within(self.now.duration_until(at));
        self.say(
            topics,
            Standing::Retrying,
            entry(
                Code::Retrying,
                Who::Nobody,
                format!(
                    "{told}; tried again at {}, {} tries are left",
                    rounded(at),
                    memory::MAX_ATTEMPTS - failure.attempts
                ),
            ),
        );
        false
    }

    /// True when a window is open and long enough, and nothing else holds the change; otherwise reports when the next
    /// chance is.
    fn may_disturb(&mut self, summary: &str, change: Change, minutes: i64, topics: &[Topic]) -> bool {
        let maintenance = self.cluster.spec.maintenance.as_ref();
        let (at, why) = match windows::permission_for(maintenance, change, self.now, minutes) {
            Ok(Permission::Now { .. }) => return true,
            Ok(Permission::Later { at, why }) => (at, why),
            Err(error) => {
                self.block(
                    topics,
                    entry_with_hint(
                        Code::UnknownTimeZone,
                        Who::Operator,
                        format!("cannot tell when to {}: {error}", lower_first(summary)),
                        "write the zone as the IANA database names it, such as `Europe/Berlin`",
                    ),
                );
                return false;
            }
        };
        let code = match &why {
            Closed::Frozen { .. } => Code::Frozen,
            Closed::PutOff { .. } => Code::PutOff,
            Closed::TooSoon { .. } => Code::TooSoon,
            Closed::OutsideWindows
            | Closed::NotChosen
            | Closed::TooLittleLeft { .. }
            | Closed::PastLatestStart { .. } => Code::WaitingForWindow,
        };
        let cause = match &why {
            Closed::TooLittleLeft { .. } => format!("{why}, which takes about {minutes} min"),
            _ => why.to_string(),
        };
        match at {
            Some(at) => {
                self.look_within(self.now.duration_until(at));
                let zone = windows::zone(maintenance).unwrap_or(jiff::tz::TimeZone::UTC);
                let local = at.to_zoned(zone);
                self.say(
                    topics,
                    Standing::Waiting,
                    entry(
                        code,
                        Who::Nobody,
                        format!(
                            "{summary}: {cause}; the next chance is {}",
                            local.strftime("%a %Y-%m-%d %H:%M %Z")
                        ),
                    ),
                );
            }
            None => self.block(
                topics,
                entry_with_hint(
                    Code::NoWindow,
                    Who::Operator,
                    format!("{summary}: {cause}; no window of at least {minutes} min opens within a year"),
                    "give the tenant a longer maintenance window, or end the freeze",
                ),
            ),
        }
        false
    }

    /// Ends the draft.
    pub(super) fn finish(mut self) -> ClusterPlan {
        let mut steps = std::mem::take(&mut self.steps);
        steps.extend(self.update.take());
        if self.cluster.spec.paused {
            let held = steps.len();
            steps.clear();
            let message = match held {
                0 => "the tenant is paused; nothing was to be done".to_owned(),
                1 => "the tenant is paused; one step is held back".to_owned(),
                held => format!("the tenant is paused; {held} steps are held back"),
            };
            self.report.push(entry_with_hint(
                Code::Paused,
                Who::Operator,
                message,
                format!("take the annotation `{}` from the tenant", labels::PAUSED),
            ));
        }
        if !steps.is_empty() && self.disruption.is_some() {
            self.versions.last_disruption = self.disruption.take();
        }
        for step in &steps {
            self.report.push(entry(Code::Working, Who::Nobody, step.summary.clone()));
        }
        if !steps.is_empty() {
            self.look_within(AFTER_STEPS);
        }
        if self.report.is_empty() {
            self.report.push(entry(Code::AsWanted, Who::Nobody, "the cluster is as its spec wants it"));
        }
        // A stored intent is kept until something else begins or all is at rest: it dates what is waited for.
        if self.in_flight.is_none() && !self.standings.is_empty() {
            self.in_flight = self.stored_step().filter(|step| step.update_id.is_none()).cloned();
        }
        let verdicts = vec![
            self.verdict(Topic::Shape, conditions::PROVISIONED, "the cluster is as its spec wants it"),
            self.verdict(
                Topic::Version,
                conditions::UP_TO_DATE,
                "control plane, add-ons and nodes are at the wanted versions",
            ),
        ];
        let stored = self.cluster.status.as_ref();
        let present = self.seen.cluster.present().filter(|present| self.is_ours(&present.tags));
        let keep = |seen: Option<String>, stored: Option<String>| match &self.seen.cluster {
            Seen::Unknown { .. } => stored,
            Seen::Present(_) | Seen::Absent => seen,
        };
        ClusterPlan {
            arn: keep(present.map(|p| p.arn.clone()), stored.and_then(|s| s.arn.clone())),
            endpoint: keep(present.and_then(|p| p.endpoint.clone()), stored.and_then(|s| s.endpoint.clone())),
            certificate_authority: keep(
                present.and_then(|p| p.certificate_authority.clone()),
                stored.and_then(|s| s.certificate_authority.clone()),
            ),
            steps,
            report: settle(self.report),
            verdicts,
            versions: self.versions,
            enterable: self.enterable,
            focus: self.focus,
            look_again_after: self.look_again_after,
            deleted: self.deleted,
            in_flight: self.in_flight,
            last_update: self.last_update,
            failures: memory::bounded(self.failures),
            deletion: self.deletion,
        }
    }

    fn verdict(&self, topic: Topic, type_: &'static str, as_wanted: &str) -> Verdict {
        let about = self.standings.iter().filter(|(about, ..)| *about == topic);
        // The first of the worst speaks: `max_by_key` would take the last.
        let Some((_, standing, message)) = about.rev().max_by_key(|(_, standing, _)| *standing) else {
            return Verdict::holds(type_, reason::AS_WANTED, as_wanted);
        };
        let reason = match standing {
            Standing::Unknown => return Verdict::unknown(type_, reason::NOT_OBSERVED, message),
            _ if self.cluster.spec.paused => reason::PAUSED,
            Standing::InProgress => reason::IN_PROGRESS,
            Standing::Waiting => reason::WAITING,
            Standing::Retrying => reason::RETRYING,
            Standing::Ahead => reason::AHEAD_OF_SPEC,
            Standing::Blocked => reason::BLOCKED,
            Standing::Deleting => reason::DELETING,
        };
        Verdict::fails(type_, reason, message)
    }
}

/// A moment to the second, for messages.
pub(super) fn rounded(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// A summary inside a sentence.
pub(super) fn lower_first(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}

/// An action of EKS as a step's action.
pub(super) fn eks(action: EksAction) -> Action {
    Action::Eks(action)
}
