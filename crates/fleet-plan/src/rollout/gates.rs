//! Gates: what has to be so before a wave begins, and before it passes.
//!
//! A gate is looked at only while it can open: a gate before a wave once every earlier wave has passed, a gate after a
//! wave once the wave has nothing else to wait for. What was voted or checked before that speaks of another state of the
//! fleet and counts for nothing. Once open, a gate stays open for its plan; a moment that was set has to have come all
//! the same whenever somebody begins, so that a clock that ran ahead for a while has opened nothing.

use std::collections::BTreeSet;

use fleet_api::v1alpha1::{ApprovalGate, Gate, GateStatus, Run};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    VoteView,
    scene::{Scene, after, minute},
    twist::Mutant,
};

/// How old the word of a check may be.
const CHECK_LIFE: SignedDuration = SignedDuration::from_mins(15);

/// A gate and where it stands.
pub(super) struct Judged {
    pub(super) status: GateStatus,
    /// Votes that do not count, and why, for people.
    pub(super) void: Vec<String>,
    /// When time alone changes it.
    pub(super) wake: Option<Timestamp>,
}

/// Judges a gate. `openable` says whether it can open now.
pub(super) fn judge(scene: &Scene<'_>, gate: &Gate, was: Option<&GateStatus>, openable: bool) -> Judged {
    if let Some(was) = was.filter(|was| was.opened_at.is_some()) {
        return Judged { status: was.clone(), void: Vec::new(), wake: None };
    }
    let openable = openable && matches!(scene.run(), Run::Planned | Run::Running | Run::Paused);
    let mut status = GateStatus {
        name: gate.name.clone(),
        openable_since: None,
        opened_at: None,
        votes: Vec::new(),
        message: "cannot open yet".to_owned(),
    };
    if !openable {
        return Judged { status, void: Vec::new(), wake: None };
    }
    let since =
        was.and_then(|was| was.openable_since.as_ref()).map_or(scene.now, |since| scene.not_ahead(since));
    status.openable_since = Some(Time(since));
    let answer = ask(scene, gate, since);
    status.message = answer.message;
    if answer.open {
        status.opened_at = Some(scene.time());
        status.votes = answer.votes;
    }
    Judged { status, void: answer.void, wake: answer.wake }
}

/// Whether a gate lets anybody through now. One that was opened may still have a moment to wait for.
pub(super) fn is_open(scene: &Scene<'_>, gate: &Gate, status: &GateStatus) -> bool {
    status.opened_at.is_some() && gate.not_before.as_ref().is_none_or(|moment| moment.0 <= scene.now)
}

#[derive(Default)]
struct Answer {
    open: bool,
    message: String,
    votes: Vec<String>,
    void: Vec<String>,
    wake: Option<Timestamp>,
}

fn ask(scene: &Scene<'_>, gate: &Gate, since: Timestamp) -> Answer {
    if let Some(moment) = &gate.not_before {
        let open = moment.0 <= scene.now;
        let message = if open { "its moment has come:" } else { "not before" };
        return Answer {
            open,
            message: format!("{message} {}", minute(moment.0)),
            wake: (!open).then_some(moment.0),
            ..Answer::default()
        };
    }
    match &gate.approval {
        Some(approval) => approved(scene, gate, approval, since),
        None => checked(scene, gate, since),
    }
}

fn checked(scene: &Scene<'_>, gate: &Gate, since: Timestamp) -> Answer {
    let word = scene.world.checks.get(&gate.name).filter(|word| {
        since <= super::scene::whole_seconds(word.at) && scene.distance(word.at) <= CHECK_LIFE
    });
    let (open, message) = match word {
        None => (false, "has not been checked lately".to_owned()),
        Some(word) => (word.passed == Some(true), word.message.clone()),
    };
    Answer { open, message, ..Answer::default() }
}

fn approved(scene: &Scene<'_>, gate: &Gate, approval: &ApprovalGate, since: Timestamp) -> Answer {
    let mut answer = Answer::default();
    let mut people = BTreeSet::new();
    let mut roles = BTreeSet::new();
    let mut counted = BTreeSet::new();
    for vote in scene.world.votes.iter().filter(|vote| vote.gate == gate.name) {
        match void(scene, approval, vote, since) {
            Some(why) => answer.void.push(format!("the vote of {} on `{}` {why}", vote.approver, gate.name)),
            None => {
                people.insert(vote.approver.as_str());
                roles.insert(vote.role.as_str());
                counted.insert(format!("{} ({})", vote.approver, vote.role));
                let ends = after(vote.at, approval.valid_for.to_duration());
                answer.wake = answer.wake.into_iter().chain([ends]).min();
            }
        }
    }
    let missing: Vec<&str> =
        approval.roles.iter().map(String::as_str).filter(|role| !roles.contains(role)).collect();
    let required = usize::try_from(approval.required.max(1)).unwrap_or(usize::MAX);
    let required = if scene.twist.is(Mutant::OneVoteIsEnough) { 1 } else { required };
    let every_role = missing.is_empty() || scene.twist.is(Mutant::OneVoteIsEnough);
    answer.open = people.len() >= required && every_role;
    answer.message = format!("{} of {required} approvals", people.len());
    if !missing.is_empty() {
        answer.message = format!("{}, and none yet as {}", answer.message, missing.join(", "));
    }
    answer.votes = counted.into_iter().take(16).collect();
    answer
}

/// Why a vote does not count.
///
/// Whether a user belongs to a group is known to the management cluster alone, which refuses votes of others; users who
/// are named can be checked here too.
fn void(
    scene: &Scene<'_>,
    approval: &ApprovalGate,
    vote: &VoteView,
    since: Timestamp,
) -> Option<&'static str> {
    let spec = scene.spec();
    let twist = scene.twist;
    if vote.plan_hash != spec.plan_hash && !twist.is(Mutant::VotesForAnyPlan) {
        return Some("is for another plan");
    }
    if vote.approver == spec.author && !twist.is(Mutant::AuthorVotes) {
        return Some("is the author's own");
    }
    if !approval.roles.contains(&vote.role) {
        return Some("is given in a role that the gate does not ask for");
    }
    let Some(role) = scene.world.approvers.iter().find(|role| role.name == vote.role) else {
        return Some("is given in a role that the fleet does not have");
    };
    if role.groups.is_empty() && !role.users.contains(&vote.approver) {
        return Some("is given in a role that they do not have");
    }
    // The management cluster stores whole seconds.
    if vote.at < super::scene::whole_seconds(since) && !twist.is(Mutant::VotesInAdvance) {
        return Some("was given before the gate could open: it has to be given anew");
    }
    let ends = after(vote.at, approval.valid_for.to_duration());
    (ends <= scene.now && !twist.is(Mutant::VotesLastForever)).then_some("has expired")
}
