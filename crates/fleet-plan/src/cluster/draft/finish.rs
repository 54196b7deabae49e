//! From a draft to a plan: what is held back, what the conditions say, and which intent stays.

use fleet_api::{
    conditions::{self, Verdict, reason},
    labels,
    step::Seen,
    v1alpha1::ReportEntry,
};
use jiff::SignedDuration;

use super::{Draft, Standing, Topic};
use crate::{
    cluster::{ClusterPlan, intent, memory},
    report::{Code, Who, entry, entry_with_hint, settle},
};

/// How soon the world is looked at after steps were carried out.
const AFTER_STEPS: SignedDuration = SignedDuration::from_secs(2);

impl Draft<'_> {
    /// Ends a draft that was made for its findings alone, and gives those that keep something from holding, each with
    /// whether it only says that something could not be read.
    pub(in crate::cluster) fn into_findings(self) -> Vec<(ReportEntry, bool)> {
        let unknown = |entry: &ReportEntry| {
            self.standings
                .iter()
                .any(|(_, standing, said)| *standing == Standing::Unknown && *said == entry.message)
        };
        let counts = |entry: &ReportEntry| self.standings.iter().any(|(.., said)| *said == entry.message);
        let told = self.report.iter().filter(|one| counts(one));
        told.map(|one| (one.clone(), unknown(one))).collect()
    }

    /// Ends the draft.
    pub(in crate::cluster) fn finish(mut self) -> ClusterPlan {
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
        // A stored intent is kept until its effect was seen, something else begins, or all is at rest.
        if self.in_flight.is_none() && !self.standings.is_empty() {
            self.in_flight = intent::still_open(&self);
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
