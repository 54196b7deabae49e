//! Whether a step may begin now: pauses after failures, windows, and one update at a time.

use fleet_api::{
    labels,
    names::{client_token, content_hash},
    step::{Action, Expectation, Step},
    v1alpha1::{Disruption, StepFailure},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Draft, Standing, Topic, rounded};
use crate::{
    cluster::{begins_update, causes::cause, disturbs, flight, memory, moves_versions, rollback::Heading},
    moves::{self, Halted},
    report::{Code, Who, entry, entry_with_hint},
    windows::{self, Change, Closed, Permission},
};

/// A step before it has a token.
pub(in crate::cluster) struct Proposal {
    pub(in crate::cluster) id: String,
    pub(in crate::cluster) summary: String,
    pub(in crate::cluster) action: Action,
    pub(in crate::cluster) expects: Expectation,
    pub(in crate::cluster) disruptive: bool,
    pub(in crate::cluster) minutes: i64,
    pub(in crate::cluster) topics: &'static [Topic],
}

/// What became of a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cluster) enum Proposed {
    /// It is in the plan.
    Planned,
    /// It waits, and the report says for what.
    Held,
}

impl Draft<'_> {
    /// Puts a step into the plan, unless a window, a pause after a failure or the bound of tries holds it.
    pub(in crate::cluster) fn propose(&mut self, proposal: Proposal) -> Proposed {
        let Proposal { id, summary, action, expects, disruptive, minutes, topics } = proposal;
        self.proposals.insert(id.clone());
        let Ok(wish) = content_hash(&action) else { return Proposed::Held };
        self.failures.retain(|failure| {
            failure.step != id || failure.wish.as_ref().is_none_or(|failed| *failed == wish)
        });
        if let Some(failure) = self.failures.iter_mut().find(|failure| failure.step == id) {
            failure.wish = Some(wish);
            let failure = failure.clone();
            if !self.may_try_again(&failure, &action, topics) {
                return Proposed::Held;
            }
        }
        if self.is_halted(&summary, &action, topics) {
            return Proposed::Held;
        }
        let change = disruptive.then(|| disturbs::change_of(self, &action)).flatten();
        // Whoever rolls a cluster back wants it out of harm now, so the way back waits for no window and no freeze.
        let goes_back = matches!(self.heading, Heading::Back(_));
        if disruptive
            && !goes_back
            && !self.may_disturb(&summary, disturbs::part(self, &action), minutes, topics)
        {
            return Proposed::Held;
        }
        let begins = begins_update(&action);
        if begins && (self.update.is_some() || flight::updating_part(self.seen).is_some()) {
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
    ///
    /// A step of a rollout's move gets few tries, and none that cannot help: the wave waits for it, and its failure
    /// has to count while there is still something to be stopped.
    fn may_try_again(&mut self, failure: &StepFailure, action: &Action, topics: &[Topic]) -> bool {
        let retry = moves::retry(self.cluster).filter(|_| moves_versions(action));
        let times = if failure.attempts == 1 {
            format!("{} failed with {}", failure.step, failure.code)
        } else {
            format!("{} failed {} times, last with {}", failure.step, failure.attempts, failure.code)
        };
        let told = format!("{times}: {}", failure.message);
        let (pause, most) = match &retry {
            Some(retry) => {
                let cause = cause(&failure.code);
                let hint = format!("{}, then {retry}", cause.hint);
                if !cause.may_pass {
                    let message = format!("{told}; another try cannot mend that");
                    self.block(topics, entry_with_hint(Code::FailedForGood, cause.who, message, hint));
                    return false;
                }
                let Some(pause) = memory::pause_under_move_after(failure.attempts) else {
                    let message = format!("{told}; it is not tried again by itself");
                    self.block(topics, entry_with_hint(Code::FailedTooOften, cause.who, message, hint));
                    return false;
                };
                (pause, memory::MAX_ATTEMPTS_UNDER_MOVE)
            }
            None => {
                let Some(pause) = memory::pause_after(failure.attempts) else {
                    let hint = format!(
                        "remove the cause, then `kubectl annotate --overwrite tenantcluster {} {}=$(date +%s)`",
                        self.cluster.metadata.name.as_deref().unwrap_or_default(),
                        labels::RETRY
                    );
                    let message = format!("{told}; it is not tried again by itself");
                    self.block(topics, entry_with_hint(Code::FailedTooOften, Who::Operator, message, hint));
                    return false;
                };
                (pause, memory::MAX_ATTEMPTS)
            }
        };
        let at = failure.last_at.0.checked_add(pause).unwrap_or(Timestamp::MAX);
        // What is halted is not tried again when the pause is over.
        if self.now >= at || moves::halted(self.cluster).is_some_and(|_| retry.is_some()) {
            return true;
        }
        self.look_within(self.now.duration_until(at));
        let left = match most - failure.attempts {
            1 => "one try is left".to_owned(),
            left => format!("{left} tries are left"),
        };
        let message = format!("{told}; tried again at {}, {left}", rounded(at));
        self.say(topics, Standing::Retrying, entry(Code::Retrying, Who::Nobody, message));
        false
    }

    /// True when a step belongs to a rollout's move of which nothing further begins, which is reported.
    fn is_halted(&mut self, summary: &str, action: &Action, topics: &[Topic]) -> bool {
        let Some(retry) = moves::retry(self.cluster).filter(|_| moves_versions(action)) else { return false };
        let why = match moves::halted(self.cluster) {
            Some(Halted { stuck: Some(stuck) }) => format!("the rollout has given the move up: {stuck}"),
            Some(Halted { stuck: None }) => "the cluster's member of the rollout has failed".to_owned(),
            None if self.failures.iter().any(memory::ends_a_move) => {
                "another step of the move has failed for good".to_owned()
            }
            None => return false,
        };
        let release = moves::release(self.cluster).unwrap_or_default();
        let hint =
            format!("remove the cause, then {retry}; if the member is not to move any more, {release}");
        let message = format!("{summary}: is not begun, because {why}");
        self.block(topics, entry_with_hint(Code::MoveHalted, Who::Operator, message, hint));
        true
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
}

/// A summary inside a sentence.
fn lower_first(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}
