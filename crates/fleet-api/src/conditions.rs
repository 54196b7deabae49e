//! Conditions: their types, their reasons, and the one pure setter.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde::Serialize;

/// Everything that the object stands for is there, current, hardened and proven.
pub const READY: &str = "Ready";
/// The tenant's cluster exists in the cloud as the spec wants it.
pub const PROVISIONED: &str = "Provisioned";
/// Every object of the baseline is applied at the current revision.
pub const HARDENED: &str = "Hardened";
/// The probes of every control passed at the current revision.
pub const PROVEN: &str = "Proven";
/// The observed version is the wanted one, for control plane, add-ons and nodes.
pub const UP_TO_DATE: &str = "UpToDate";
/// The tenant's API server answered when it was last asked.
pub const REACHABLE: &str = "Reachable";
/// The spec was read and holds together.
pub const ACCEPTED: &str = "Accepted";

/// A rollout's members move, or will by themselves.
pub const PROGRESSING: &str = "Progressing";
/// Every wave of a rollout has passed.
pub const PASSED: &str = "Passed";

/// Reasons. Each names one thing that an operator can look up.
pub mod reason {
    /// All is as wanted.
    pub const AS_WANTED: &str = "AsWanted";
    /// A step is being carried out.
    pub const IN_PROGRESS: &str = "InProgress";
    /// A step waits for something that is named in the message.
    pub const WAITING: &str = "Waiting";
    /// Nothing moves until somebody acts; the message says who and how.
    pub const BLOCKED: &str = "Blocked";
    /// A call failed and will be tried again.
    pub const RETRYING: &str = "Retrying";
    /// The spec does not hold together.
    pub const INVALID_SPEC: &str = "InvalidSpec";
    /// A tenant's people chose something outside the operators' bounds.
    pub const OUTSIDE_BOUNDS: &str = "OutsideBounds";
    /// Something that the spec names is not there.
    pub const REFERENCE_MISSING: &str = "ReferenceMissing";
    /// Not looked at yet.
    pub const NOT_OBSERVED: &str = "NotObserved";
    /// The tenant's API server did not answer.
    pub const UNREACHABLE: &str = "Unreachable";
    /// A probe saw something admitted that had to be denied, or the other way round.
    pub const PROBE_FAILED: &str = "ProbeFailed";
    /// An object of the baseline was changed back three times in a row by somebody else.
    pub const FIGHT: &str = "Fight";
    /// The cluster runs a newer version than its spec wants.
    pub const AHEAD_OF_SPEC: &str = "AheadOfSpec";
    /// The object is being deleted.
    pub const DELETING: &str = "Deleting";
    /// The tenant is paused by its annotation.
    pub const PAUSED: &str = "Paused";
}

/// What a condition says, before it is merged into a status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// One of the condition types of this module.
    #[serde(rename = "type")]
    pub type_: &'static str,
    /// `True`, `False`, or `None` for `Unknown`.
    pub status: Option<bool>,
    /// One of [`reason`].
    pub reason: &'static str,
    /// For people: one sentence, no secret.
    pub message: String,
}

impl Verdict {
    /// A condition that holds.
    pub fn holds(type_: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { type_, status: Some(true), reason, message: message.into() }
    }

    /// A condition that does not hold.
    pub fn fails(type_: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { type_, status: Some(false), reason, message: message.into() }
    }

    /// A condition of which nothing is known. Unknown is never healthy.
    pub fn unknown(type_: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { type_, status: None, reason, message: message.into() }
    }
}

/// Merges a verdict into the conditions of a status.
///
/// The transition time moves only when the status flips, `observedGeneration` is always the given one, and the
/// list is kept with `Ready` first and the rest by name, so that equal states give equal bytes.
pub fn set(conditions: &mut Vec<Condition>, verdict: &Verdict, generation: Option<i64>, now: Timestamp) {
    let status = match verdict.status {
        Some(true) => "True",
        Some(false) => "False",
        None => "Unknown",
    };
    let unchanged_since = conditions
        .iter()
        .find(|c| c.type_ == verdict.type_ && c.status == status)
        .map(|c| c.last_transition_time.clone());
    let merged = Condition {
        type_: verdict.type_.to_owned(),
        status: status.to_owned(),
        reason: verdict.reason.to_owned(),
        message: verdict.message.clone(),
        observed_generation: generation,
        last_transition_time: unchanged_since.unwrap_or(Time(now)),
    };
    conditions.retain(|c| c.type_ != verdict.type_);
    conditions.push(merged);
    conditions.sort_by(|a, b| (a.type_ != READY, &a.type_).cmp(&(b.type_ != READY, &b.type_)));
}

/// The condition of a type, if it has been set.
pub fn get<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == type_)
}

/// True only when the condition is `True` for this generation of the spec: an older one says nothing.
pub fn is_true(conditions: &[Condition], type_: &str, generation: Option<i64>) -> bool {
    get(conditions, type_).is_some_and(|c| c.status == "True" && c.observed_generation == generation)
}

/// Derives `Ready` from other conditions: the first that fails speaks, then the first that is unknown or
/// missing, and only when every one holds is the object ready.
pub fn ready_from(conditions: &[Condition], parts: &[&'static str], generation: Option<i64>) -> Verdict {
    for &part in parts {
        if let Some(c) = get(conditions, part).filter(|c| c.status == "False") {
            return Verdict {
                type_: READY,
                status: Some(false),
                reason: known_reason(&c.reason),
                message: format!("{part}: {}", c.message),
            };
        }
    }
    for &part in parts {
        if !is_true(conditions, part, generation) {
            let message = match get(conditions, part) {
                Some(c) if c.status == "True" => format!("{part} was last seen for an older spec"),
                Some(c) => format!("{part}: {}", c.message),
                None => format!("{part} has not been observed yet"),
            };
            return Verdict::unknown(READY, reason::NOT_OBSERVED, message);
        }
    }
    Verdict::holds(READY, reason::AS_WANTED, "provisioned, hardened, proven")
}

/// Maps a stored reason back to its constant, so that a summary can repeat it.
fn known_reason(stored: &str) -> &'static str {
    const KNOWN: &[&str] = &[
        reason::IN_PROGRESS,
        reason::WAITING,
        reason::BLOCKED,
        reason::RETRYING,
        reason::INVALID_SPEC,
        reason::REFERENCE_MISSING,
        reason::NOT_OBSERVED,
        reason::UNREACHABLE,
        reason::PROBE_FAILED,
        reason::FIGHT,
        reason::AHEAD_OF_SPEC,
        reason::DELETING,
        reason::PAUSED,
    ];
    KNOWN.iter().find(|known| **known == stored).copied().unwrap_or(reason::NOT_OBSERVED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_transition_time_moves_only_when_the_status_flips() {
        let mut conditions = Vec::new();
        set(&mut conditions, &Verdict::fails(PROVISIONED, reason::IN_PROGRESS, "creating"), Some(1), at(10));
        set(&mut conditions, &Verdict::fails(PROVISIONED, reason::IN_PROGRESS, "still"), Some(1), at(20));
        assert_eq!(conditions[0].last_transition_time.0, at(10));
        set(&mut conditions, &Verdict::holds(PROVISIONED, reason::AS_WANTED, "there"), Some(2), at(30));
        assert_eq!(conditions[0].last_transition_time.0, at(30));
        assert_eq!(conditions[0].observed_generation, Some(2));
    }

    #[test]
    fn a_missing_part_makes_ready_unknown_and_never_true() {
        let mut conditions = Vec::new();
        set(&mut conditions, &Verdict::holds(PROVISIONED, reason::AS_WANTED, ""), Some(1), at(1));
        let ready = ready_from(&conditions, &[PROVISIONED, HARDENED], Some(1));
        assert_eq!(ready.status, None);
        assert!(ready.message.contains("Hardened"));
    }

    #[test]
    fn a_condition_of_an_older_spec_does_not_count() {
        let mut conditions = Vec::new();
        set(&mut conditions, &Verdict::holds(HARDENED, reason::AS_WANTED, ""), Some(1), at(1));
        assert!(!is_true(&conditions, HARDENED, Some(2)));
        assert_eq!(ready_from(&conditions, &[HARDENED], Some(2)).status, None);
    }

    #[test]
    fn a_part_that_fails_speaks_before_one_that_is_unknown() {
        let mut conditions = Vec::new();
        set(&mut conditions, &Verdict::fails(PROVEN, reason::PROBE_FAILED, "NET-1"), Some(1), at(1));
        let ready = ready_from(&conditions, &[HARDENED, PROVEN], Some(1));
        assert_eq!((ready.status, ready.reason), (Some(false), reason::PROBE_FAILED));
    }
}
