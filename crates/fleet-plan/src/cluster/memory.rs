//! What the status remembers between two plans, and the only functions that write it.

use fleet_api::{
    conditions, labels,
    step::{Action, Outcome, Step},
    v1alpha1::{StepFailure, StepStatus, TenantCluster, TenantClusterStatus},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{ClusterPlan, begins_update, causes::cause, version};
use crate::moves;

/// How often a step is tried before it waits for somebody.
pub(super) const MAX_ATTEMPTS: i32 = 5;

/// How often a step of a rollout's move is tried, at most, before its member is given up: a wave waits for it.
pub(super) const MAX_ATTEMPTS_UNDER_MOVE: i32 = 3;

/// The most failures that a status holds.
const MAX_FAILURES: usize = 16;

/// How long to wait after so many failures; `None` when a step has been tried often enough.
///
/// Five minutes, then three times as long each time: 5 min, 15 min, 45 min, 2 h 15 min. Most causes that pass by
/// themselves (a role that has yet to spread, a zone without capacity) are gone by then, and no cause that needs
/// somebody is worth a drain of nodes every few minutes.
pub(super) fn pause_after(attempts: i32) -> Option<SignedDuration> {
    if attempts >= MAX_ATTEMPTS {
        return None;
    }
    let factor = 3_i64.pow(attempts.saturating_sub(1).max(0).unsigned_abs());
    Some(SignedDuration::from_mins(5 * factor))
}

/// The same for a step of a rollout's move: 2 min, then 6 min.
pub(super) fn pause_under_move_after(attempts: i32) -> Option<SignedDuration> {
    if attempts >= MAX_ATTEMPTS_UNDER_MOVE {
        return None;
    }
    let factor = 3_i64.pow(attempts.saturating_sub(1).max(0).unsigned_abs());
    Some(SignedDuration::from_mins(2 * factor))
}

/// True for a failure that ends a rollout's move: a step of it failed for good, or as often as it is tried.
pub(super) fn ends_a_move(failure: &StepFailure) -> bool {
    let of_a_move = failure.step == version::UPDATE
        || failure.step.starts_with("addon/") && failure.step.ends_with("/update")
        || failure.step.starts_with("nodegroup/") && failure.step.ends_with("/version");
    of_a_move && (!cause(&failure.code).may_pass || failure.attempts >= MAX_ATTEMPTS_UNDER_MOVE)
}

/// What a failure is remembered for. On another occasion it is forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Occasion {
    /// The value of the retry annotation.
    retry: Option<String>,
    /// The attempt of a rollout.
    under: Option<String>,
}

impl Occasion {
    pub(super) fn of(cluster: &TenantCluster) -> Self {
        let annotations = cluster.metadata.annotations.as_ref();
        Self {
            retry: annotations.and_then(|all| all.get(labels::RETRY)).cloned(),
            under: moves::attempt(&cluster.spec),
        }
    }

    pub(super) fn covers(&self, failure: &StepFailure) -> bool {
        self.retry == failure.retry && self.under == failure.under
    }
}

/// A failure of a step as it was seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failed<'a> {
    pub(super) step: &'a str,
    /// What shows it: an update's id, or the part itself.
    pub(super) seen_as: &'a str,
    pub(super) code: &'a str,
    pub(super) message: &'a str,
}

impl ClusterPlan {
    /// Writes what the plan found into the status: conditions, versions, endpoint, report and memory.
    ///
    /// What the plan knows nothing of (the baseline, reachability, `observedGeneration`) is left alone. It is called
    /// once per plan, before the first step is carried out.
    pub fn record(&self, status: &mut TenantClusterStatus, generation: Option<i64>, now: Timestamp) {
        let Self {
            steps: _,
            report,
            verdicts,
            versions,
            arn,
            endpoint,
            certificate_authority,
            enterable: _,
            focus: _,
            look_again_after: _,
            deleted: _,
            in_flight,
            last_update,
            failures,
            deletion,
        } = self;
        for verdict in verdicts {
            conditions::set(&mut status.conditions, verdict, generation, now);
        }
        status.report.clone_from(report);
        status.versions.clone_from(versions);
        status.arn.clone_from(arn);
        status.endpoint.clone_from(endpoint);
        status.certificate_authority.clone_from(certificate_authority);
        status.step.clone_from(in_flight);
        status.last_update.clone_from(last_update);
        status.failures.clone_from(failures);
        status.deletion.clone_from(deletion);
    }
}

/// Writes the intent to carry out a step into the status. It is stored before the call is made.
///
/// A step whose intent is stored already keeps its beginning, and one that begins no update leaves the note of an
/// update that is still in flight: that note is the only way back to the update.
pub fn begin(status: &mut TenantClusterStatus, step: &Step, now: Timestamp) {
    if let Some(stored) = &status.step {
        let same = stored.id == step.id && stored.attempts == step.attempt;
        if same || (stored.update_id.is_some() && !begins_update(&step.action)) {
            return;
        }
    }
    status.step = Some(StepStatus {
        id: step.id.clone(),
        summary: step.summary.clone(),
        update_id: None,
        started_at: Time(now),
        attempts: step.attempt,
    });
}

/// Writes what came of a step into the status.
pub fn note_outcome(status: &mut TenantClusterStatus, step: &Step, outcome: &Outcome, now: Timestamp) {
    let Outcome { update_id, still_draining } = outcome;
    if let Some(stored) = status.step.as_mut().filter(|stored| stored.id == step.id)
        && update_id.is_some()
    {
        stored.update_id.clone_from(update_id);
    }
    if let (Action::DrainWorkloads, Some(remaining)) = (&step.action, still_draining)
        && let Some(deletion) = &mut status.deletion
    {
        deletion.drain.remaining = remaining.iter().take(10).cloned().collect();
        deletion.drain.finished_at = remaining.is_empty().then_some(Time(now));
    }
}

/// Writes a call that was refused into the status, so that it is tried again after a pause and a few times only.
///
/// It is for refusals that pass only when somebody acts; what passes by itself is the caller's to try again. What was
/// refused has not begun, so its intent goes.
pub fn note_refusal(
    cluster: &TenantCluster,
    status: &mut TenantClusterStatus,
    step: &Step,
    code: &str,
    message: &str,
    now: Timestamp,
) {
    let occasion = Occasion::of(cluster);
    status.failures.retain(|failure| occasion.covers(failure));
    if status.step.as_ref().is_some_and(|stored| stored.id == step.id && stored.update_id.is_none()) {
        status.step = None;
    }
    // Every refusal is an answer of its own, so each of them counts.
    let seen_as = format!("refused at {now}");
    let failed = Failed { step: &step.id, seen_as: &seen_as, code, message };
    count_failure(&mut status.failures, failed, occasion, now);
    status.failures = bounded(std::mem::take(&mut status.failures));
}

/// Counts one failure of a step.
pub(super) fn count_failure(
    failures: &mut Vec<StepFailure>,
    failed: Failed<'_>,
    occasion: Occasion,
    now: Timestamp,
) {
    let Failed { step, seen_as, code, message } = failed;
    let Occasion { retry, under } = occasion;
    let seen_as = Some(seen_as.to_owned());
    let attempts = match failures.iter().find(|failure| failure.step == step) {
        Some(failure) if failure.seen_as == seen_as => return,
        Some(failure) => failure.attempts + 1,
        None => 1,
    };
    let wish = failures.iter().find(|failure| failure.step == step).and_then(|f| f.wish.clone());
    failures.retain(|failure| failure.step != step);
    failures.push(StepFailure {
        step: step.to_owned(),
        attempts,
        code: code.to_owned(),
        message: message.chars().take(300).collect(),
        last_at: Time(now),
        seen_as,
        retry,
        wish,
        under,
    });
}

/// The failures in the form that a status holds: by step, and the most stubborn when there are too many.
pub(super) fn bounded(mut failures: Vec<StepFailure>) -> Vec<StepFailure> {
    failures.sort_by(|a, b| b.attempts.cmp(&a.attempts).then_with(|| a.step.cmp(&b.step)));
    failures.truncate(MAX_FAILURES);
    failures.sort_by(|a, b| a.step.cmp(&b.step));
    failures
}
