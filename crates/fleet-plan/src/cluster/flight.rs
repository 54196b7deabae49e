//! Updates that the cloud is carrying out. They are followed by their id, because the status of a cluster lags
//! behind an update that was accepted (UpdateClusterVersion, API reference).

use fleet_api::{
    eks::{EksCluster, EksClusterStatus, EksObservation, EksUpdate, EksUpdateStatus, Part, PartStatus},
    step::Seen,
    v1alpha1::StepStatus,
};
use jiff::{SignedDuration, Timestamp};

use super::draft::{Draft, Topic, rounded};
use crate::report::{Code, Who, entry, entry_with_hint};

/// When something is called slow. Upgrades commonly take 8 to 25 minutes, creations 10 to 16.
pub(super) const SLOW: SignedDuration = SignedDuration::from_mins(45);
/// When something is called stuck.
pub(super) const STUCK: SignedDuration = SignedDuration::from_hours(2);

/// How long an update that was accepted may not be found yet by its id.
const NOT_SHOWN: SignedDuration = SignedDuration::from_mins(2);

/// The part that a step is about, by its id.
pub(super) fn part_of(step_id: &str) -> Option<Part> {
    let (kind, rest) = step_id.split_once('/')?;
    let name = rest.rsplit_once('/')?.0.to_owned();
    match kind {
        "nodegroup" => Some(Part::Nodegroup(name)),
        "addon" => Some(Part::Addon(name)),
        _ => None,
    }
}

/// Settles the stored step against what was seen, and tells whether an update is still at work.
pub(super) fn busy(draft: &mut Draft<'_>, present: &EksCluster) -> bool {
    let stored = draft.stored_step();
    let asked = stored.and_then(|step| step.update_id.as_deref());
    match &draft.seen.update {
        Seen::Present(update) => match &update.status {
            EksUpdateStatus::InProgress | EksUpdateStatus::Other(_) => {
                let step = stored
                    .filter(|step| belongs(step, update))
                    .map(|step| StepStatus { update_id: Some(update.id.clone()), ..step.clone() });
                report_progress(draft, update, step.as_ref());
                draft.in_flight = step;
                return true;
            }
            EksUpdateStatus::Successful => {
                draft.last_update = Some(update.id.clone());
                if let Some(step) = stored.filter(|step| belongs(step, update)) {
                    draft.succeeded(&step.id);
                }
            }
            EksUpdateStatus::Failed | EksUpdateStatus::Cancelled => {
                draft.last_update = Some(update.id.clone());
                if let Some(step) = stored.filter(|step| belongs(step, update)) {
                    let (code, message) = error_of(update);
                    draft.failed(&step.id, &update.id, &code, &message);
                }
            }
        },
        Seen::Unknown { why } => {
            if let Some(step) = stored.filter(|_| asked.is_some()) {
                draft.part_unknown(Topic::BOTH, &format!("the update of `{}`", step.summary), why);
                draft.in_flight = Some(step.clone());
                return true;
            }
            draft.part_unknown(Topic::BOTH, "the cluster's updates", why);
            return true;
        }
        Seen::Absent => {
            if let Some(step) = stored.filter(|step| step.update_id.is_some() && is_young(step, draft.now)) {
                draft.wait(
                    Topic::BOTH,
                    entry(
                        Code::WaitingForRead,
                        Who::Cloud,
                        format!("{}: EKS accepted the update and does not show it yet", step.summary),
                    ),
                );
                draft.in_flight = Some(step.clone());
                return true;
            }
        }
    }
    if present.status == EksClusterStatus::Updating {
        draft.progress(
            Topic::BOTH,
            entry(Code::WaitingForUpdate, Who::Cloud, "the cloud is changing the cluster"),
        );
        draft.in_flight = stored.cloned();
        return true;
    }
    false
}

/// True for a step that began so recently that a read may not show its update yet.
pub(super) fn is_young(step: &StepStatus, now: Timestamp) -> bool {
    step.started_at.0.duration_until(now) < NOT_SHOWN
}

/// The part that the cloud is carrying out an update of, whoever began it. The list of updates knows only those of
/// the cluster itself.
pub(super) fn updating_part(seen: &EksObservation) -> Option<Part> {
    let groups = seen.nodegroups.present().into_iter().flatten();
    let group =
        groups.filter(|one| one.status == PartStatus::Updating).map(|one| Part::Nodegroup(one.name.clone()));
    let addons = seen.addons.present().into_iter().flatten();
    let addon =
        addons.filter(|one| one.status == PartStatus::Updating).map(|one| Part::Addon(one.name.clone()));
    group.chain(addon).next()
}

/// True when an update can be the one that a stored step began: its id says so, or the id was lost with a crash and
/// it is about the same part.
fn belongs(step: &StepStatus, update: &EksUpdate) -> bool {
    match &step.update_id {
        Some(id) => *id == update.id,
        None => {
            let step_part = part_of(&step.id);
            let updates_cluster = step.id == "update-version" || step.id.starts_with("config/");
            match &update.part {
                None => updates_cluster && step_part.is_none(),
                Some(part) => step_part.is_some_and(|mine| {
                    mine.to_string() == *part || mine.to_string().ends_with(&format!(" {part}"))
                }),
            }
        }
    }
}

/// The code and the message of a failed update.
fn error_of(update: &EksUpdate) -> (String, String) {
    let word = match update.status {
        EksUpdateStatus::Cancelled => "Cancelled",
        _ => "Unknown",
    };
    match update.errors.first() {
        Some(first) => {
            let message = update
                .errors
                .iter()
                .map(|error| format!("{}{}", error.message, super::named(&error.resource_ids)))
                .collect::<Vec<_>>()
                .join("; ");
            (first.code.clone(), message)
        }
        None => (word.to_owned(), format!("update {} gives no reason", update.id)),
    }
}

fn report_progress(draft: &mut Draft<'_>, update: &EksUpdate, step: Option<&StepStatus>) {
    let what = match (step, &update.part) {
        (Some(step), _) => step.summary.clone(),
        (None, Some(part)) => format!("{} of {part}, which fleet did not begin", update.kind),
        (None, None) => format!("{} of the cluster, which fleet did not begin", update.kind),
    };
    let since = update.created_at.or_else(|| step.map(|step| step.started_at.0));
    draft.progress(
        Topic::BOTH,
        entry(Code::WaitingForUpdate, Who::Cloud, format!("{what}: update {} is in progress", update.id)),
    );
    if let Some(since) = since {
        overdue(draft, &what, since);
    }
}

/// Reports what has taken much longer than usual.
pub(super) fn overdue(draft: &mut Draft<'_>, what: &str, since: Timestamp) {
    let lasted = since.duration_until(draft.now);
    let minutes = lasted.as_mins();
    if lasted >= STUCK {
        draft.note(entry_with_hint(
            Code::Stuck,
            Who::Operator,
            format!("{what}: at work since {}, {minutes} min", rounded(since)),
            "look at the cluster in the AWS console, and open a case with AWS if it shows no progress",
        ));
    } else if lasted >= SLOW {
        draft.note(entry(
            Code::Slow,
            Who::Cloud,
            format!("{what}: at work since {}, {minutes} min", rounded(since)),
        ));
    }
}
