//! What the rollout's status says: phase, waves, counts, and why nothing moves.

use fleet_api::{
    conditions::{self, PASSED, PROGRESSING, Verdict, reason},
    v1alpha1::{MemberCounts, MemberState, ReportEntry, RolloutPhase, RolloutStatus, Run},
};
use jiff::Timestamp;

use super::{
    Tick, World, amounts,
    back::Back,
    begin::Hold,
    ledger::{Book, Decided, Found},
    scene::{Flaw, Member, Scene, whole_seconds},
    waits,
    waves::{self, WaveFacts},
};
use crate::report::{self, Code, Who, entry, entry_with_hint};

/// Everything that a status speaks of.
pub(super) struct Sum<'a, 'b> {
    pub(super) found: &'b Found<'a, 'b>,
    pub(super) waves: Vec<WaveFacts<'a>>,
    pub(super) book: &'b Book,
    pub(super) decided: &'b Decided,
}

/// A status, and when it is to be looked at again.
pub(super) struct Summary {
    pub(super) status: RolloutStatus,
    pub(super) wake: Option<Timestamp>,
    /// Whether nothing more happens by itself.
    pub(super) at_rest: bool,
}

/// Sums up.
pub(super) fn summary(scene: &Scene<'_>, mut sum: Sum<'_, '_>) -> Summary {
    let was = scene.was();
    for index in &sum.decided.begun {
        let wave = sum.found.members.get(*index).map(|member| member.wave);
        if let Some(wave) = wave.and_then(|wave| sum.waves.get_mut(wave)) {
            wave.began_at.get_or_insert_with(|| scene.time());
        }
    }
    let mut counts = MemberCounts::default();
    for record in &sum.decided.records {
        waves::count(&mut counts, record.state);
    }
    let broken = broken(scene, sum.found.members);
    let phase = phase(scene, &sum, counts, !broken.is_empty());
    let report = report::settle(reasons(scene, &sum, counts, phase, broken));
    let mut status = RolloutStatus {
        observed_generation: Some(scene.world.rollout.generation),
        phase,
        wave: sum.waves.iter().find(|wave| wave.passed_at.is_none()).map(|wave| wave.spec.name.clone()),
        started_at: was.started_at.clone(),
        ended_at: None,
        counts,
        waves: Vec::new(),
        ledger: sum.decided.ledger.clone(),
        report,
        conditions: was.conditions.clone(),
    };
    if !sum.decided.begun.is_empty() {
        status.started_at.get_or_insert_with(|| scene.time());
    }
    if phase.is_over() {
        status.ended_at = was.ended_at.clone().or_else(|| Some(scene.time()));
    }
    for verdict in verdicts(&status) {
        conditions::set(&mut status.conditions, &verdict, status.observed_generation, scene.now);
    }
    let wake = sum.waves.iter().filter_map(|wave| wave.wake).min();
    let stirs = counts.soaking > 0 || is_moving(&sum) || sum.decided.ledger != was.ledger;
    status.waves = sum.waves.into_iter().map(WaveFacts::status).collect();
    Summary { status, wake, at_rest: phase.is_over() && !stirs }
}

/// A rollout whose target cannot be read moves nobody.
pub(super) fn without_target(world: &World<'_>) -> Tick {
    let was = world.rollout.status;
    let message = "the rollout has to name one target: a Kubernetes minor, a baseline or add-ons";
    let hint = "abort it and start another one";
    let mut status = RolloutStatus {
        observed_generation: Some(world.rollout.generation),
        phase: RolloutPhase::Stopped,
        report: vec![entry_with_hint(Code::RolloutBroken, Who::Operator, message, hint)],
        ..was.clone()
    };
    for verdict in verdicts(&status) {
        let now = whole_seconds(world.now);
        conditions::set(&mut status.conditions, &verdict, status.observed_generation, now);
    }
    let status = (status != *was).then_some(status);
    Tick { status, members: Vec::new(), moves: Vec::new(), wake_at: None }
}

/// Why the rollout contradicts itself; then nothing new of it moves.
pub(super) fn broken(scene: &Scene<'_>, members: &[Member<'_>]) -> Vec<ReportEntry> {
    let hint = "abort the rollout and start another one, or skip the member";
    let mut broken = Vec::new();
    for wave in scene.doubled_waves() {
        let message = format!("two waves are called `{wave}`");
        broken.push(entry_with_hint(Code::RolloutBroken, Who::Operator, message, hint));
    }
    for wave in scene.spec().waves.iter().filter(|wave| !amounts::are_readable(wave)) {
        let message = format!("wave `{}` has an amount that is neither a number nor a percentage", wave.name);
        broken.push(entry_with_hint(Code::RolloutBroken, Who::Operator, message, hint));
    }
    let planned = scene.spec().planned_members;
    let read = i64::try_from(members.len()).unwrap_or(i64::MAX);
    let hint_of_plan = "abort the rollout, and plan another one";
    if read > planned {
        let message = format!("it has {read} members, and its plan had {planned}");
        broken.push(entry_with_hint(Code::RolloutBroken, Who::Operator, message, hint_of_plan));
    } else if read == planned && scene.world.stored_plan != scene.spec().plan_hash {
        let message =
            "what is stored is not the plan that people voted on: its strategy or its members are others";
        broken.push(entry_with_hint(Code::RolloutBroken, Who::Operator, message, hint_of_plan));
    }
    for member in members.iter().filter(|member| member.state() != MemberState::Skipped) {
        let (code, message) = match &member.flaw {
            None => continue,
            Some(Flaw::WithoutWave(wave)) => (
                Code::MemberWithoutWave,
                format!("{} is in wave `{wave}`, which the rollout does not have", member.name),
            ),
            Some(Flaw::OfAnother(rollout)) => {
                (Code::MemberOfAnother, format!("{} belongs to rollout `{rollout}`", member.name))
            }
            Some(Flaw::Twice(other)) => {
                (Code::MemberTwice, format!("{} has the same cluster as {other}", member.name))
            }
        };
        broken.push(entry_with_hint(code, Who::Operator, message, hint));
    }
    broken
}

fn is_moving(sum: &Sum<'_, '_>) -> bool {
    sum.waves.iter().any(|wave| wave.moving > 0)
        || sum.decided.records.iter().any(|record| record.state.is_moving())
}

fn phase(scene: &Scene<'_>, sum: &Sum<'_, '_>, counts: MemberCounts, broken: bool) -> RolloutPhase {
    let was = scene.was();
    let waves = &sum.waves;
    let moving = is_moving(sum);
    let goes_back = sum.found.backs.contains(&Back::Ready)
        || sum.decided.records.iter().any(|record| record.state == MemberState::RollingBack);
    // Whatever an entry allowed may still begin, as long as it was not seen to be answered.
    let quiet = !moving && !goes_back && sum.book.up_to_date && sum.decided.ledger == was.ledger;
    let gone = sum.book.unanswered.is_empty() && (sum.book.unseen > 0 || !sum.book.missing.is_empty());
    let offline = waves.iter().any(|wave| wave.offline > 0);
    let began = was.started_at.is_some() || !sum.decided.begun.is_empty();
    match scene.run() {
        Run::RollingBack if quiet && !offline => RolloutPhase::RolledBack,
        Run::RollingBack => RolloutPhase::RollingBack,
        Run::Aborted if quiet && was.phase == RolloutPhase::RolledBack => RolloutPhase::RolledBack,
        // Records that are gone answer nothing any more, and an abort does not wait for them.
        Run::Aborted if quiet || (gone && !moving && !goes_back) => RolloutPhase::Aborted,
        Run::Aborted => RolloutPhase::Running,
        _ if goes_back => RolloutPhase::RollingBack,
        _ if !waves.is_empty() && waves.iter().all(|wave| wave.passed_at.is_some()) => {
            // Members of a wave that has passed may be tried again, or be heard of again.
            let settled = waves.iter().all(|wave| wave.unsettled == 0);
            match quiet && settled {
                false => RolloutPhase::Running,
                // Whoever takes back one member after the other has rolled the rollout back.
                true if counts.succeeded == 0 && counts.rolled_back > 0 => RolloutPhase::RolledBack,
                true => RolloutPhase::Completed,
            }
        }
        Run::Planned if !began => RolloutPhase::Planned,
        Run::Planned | Run::Paused => RolloutPhase::Paused,
        _ if broken => RolloutPhase::Stopped,
        _ if sum.book.unseen == 0
            && waves.iter().any(|wave| wave.is_over_budget() || wave.is_out_of_reach()) =>
        {
            RolloutPhase::Stopped
        }
        _ if !moving && counts.soaking == 0 && waits_for_gate(sum) => RolloutPhase::WaitingForGate,
        _ => RolloutPhase::Running,
    }
}

/// Whether a gate, and nothing else, holds the next move.
fn waits_for_gate(sum: &Sum<'_, '_>) -> bool {
    sum.waves.iter().any(|wave| wave.closed_after.is_some())
        || sum.found.begins.iter().flatten().any(|begin| matches!(begin, Err(Hold::Gate(_))))
}

/// The reasons, those of the whole rollout first.
fn reasons(
    scene: &Scene<'_>,
    sum: &Sum<'_, '_>,
    counts: MemberCounts,
    phase: RolloutPhase,
    broken: Vec<ReportEntry>,
) -> Vec<ReportEntry> {
    // Whoever has aborted a rollout has done what these ask for.
    let unless_aborted =
        |told: ReportEntry| ReportEntry { hint: told.hint.filter(|_| scene.run() != Run::Aborted), ..told };
    let mut reasons: Vec<ReportEntry> = broken.into_iter().map(unless_aborted).collect();
    match scene.run() {
        Run::Aborted => {
            reasons.push(entry(Code::RolloutAborted, Who::Nobody, "aborted: nothing begins any more"));
        }
        Run::Planned => reasons.push(entry_with_hint(
            Code::RolloutPlanned,
            Who::Operator,
            "planned: nothing moves before somebody starts it",
            "start it with `fleet rollout start --plan FILE`, or set its `run` to `Running`",
        )),
        Run::Paused => reasons.push(entry_with_hint(
            Code::RolloutPaused,
            Who::Operator,
            "paused: nothing new begins, and what runs is left to finish",
            "let it go on with `fleet rollout resume`, or set its `run` to `Running`",
        )),
        Run::Running | Run::RollingBack => {}
    }
    // What is missing is no failure of its wave, and no reason why it is out of reach.
    let ends = phase.is_over() || matches!(scene.run(), Run::Aborted | Run::RollingBack);
    for wave in sum.waves.iter().filter(|_| sum.book.unseen == 0) {
        if ends {
            at_the_end(sum, wave, &mut reasons);
        } else {
            of_wave(scene, wave, &mut reasons);
        }
        silent(wave, &mut reasons);
    }
    if !sum.book.missing.is_empty() {
        let message =
            format!("records that are named by the ledger are gone: {}", sum.book.missing.join(", "));
        let hint = "abort the rollout: nothing shows what became of them";
        let told = entry_with_hint(Code::WaitingForMembers, Who::Operator, message, hint);
        reasons.push(unless_aborted(told));
    } else if sum.book.unseen > 0 {
        let message = format!(
            "{} of {} members are not seen: nothing passes and nothing begins without them",
            sum.book.unseen,
            scene.spec().planned_members
        );
        let hint =
            "wait a moment, or start the same plan again; when somebody deleted members, abort the rollout";
        let told = entry_with_hint(Code::WaitingForMembers, Who::Operator, message, hint);
        reasons.push(unless_aborted(told));
    } else if !sum.book.up_to_date {
        let message = "what was decided last is not yet seen in every member";
        reasons.push(entry(Code::WaitingForMembers, Who::Nobody, message));
    }
    for back in sum.found.backs {
        if let Back::Obstacle(obstacle) = back {
            reasons.push(obstacle.clone());
        }
    }
    waits::report(scene, sum, &mut reasons);
    let back = sum.decided.records.iter().filter(|record| record.state == MemberState::RollingBack).count();
    let counted = [
        (Code::RollingBack, i64::try_from(back).unwrap_or(i64::MAX), "moving back"),
        (Code::MembersMoving, i64::from(counts.moving), "moving"),
        (Code::MembersSoaking, i64::from(counts.soaking), "soaking"),
        (Code::MemberLeftOut, i64::from(counts.left_out), "left out"),
    ];
    for (code, number, what) in counted {
        if number > 0 {
            reasons.push(entry(code, Who::Nobody, format!("{number} {what}")));
        }
    }
    reasons
}

/// What is left of a wave of which nothing begins any more: that it failed stops nothing, and holds nothing.
fn at_the_end(sum: &Sum<'_, '_>, wave: &WaveFacts<'_>, reasons: &mut Vec<ReportEntry>) {
    let name = &wave.spec.name;
    let records = sum.found.members.iter().zip(&sum.decided.records);
    let stuck = records
        .filter(|(member, record)| {
            let of_it = sum.waves.get(member.wave).is_some_and(|own| own.spec.name == *name);
            of_it && record.state == MemberState::Failed && record.back_started_at.is_some()
        })
        .count();
    let failed = wave.counts.failed;
    if stuck > 0 {
        let message = format!("wave `{name}`: {stuck} could not go back, and {failed} failed in all");
        let hint = "look at them, and let them be tried again with `fleet rollout retry TENANT`, or by another `retry` of the members";
        reasons.push(entry_with_hint(Code::MemberFailed, Who::Operator, message, hint));
    } else if failed > 0 {
        reasons.push(entry(Code::MemberFailed, Who::Operator, format!("wave `{name}`: {failed} failed")));
    }
}

fn silent(wave: &WaveFacts<'_>, reasons: &mut Vec<ReportEntry>) {
    if wave.offline > 0 {
        let message = format!("wave `{}`: {} left because they are offline", wave.spec.name, wave.offline);
        reasons.push(entry(Code::MemberOffline, Who::Operator, message));
    }
}

fn of_wave(scene: &Scene<'_>, wave: &WaveFacts<'_>, reasons: &mut Vec<ReportEntry>) {
    let name = &wave.spec.name;
    if wave.is_over_budget() {
        let message = format!(
            "wave `{name}`: {} failed of which nobody has taken note, and {} may",
            wave.open_failures(),
            wave.budget
        );
        let hint = "look at them; then retry or skip them, roll back, or set `acknowledged` of the members to their attempt";
        reasons.push(entry_with_hint(Code::RolloutStopped, Who::Operator, message, hint));
    } else if wave.failures > 0 {
        let message = format!(
            "wave `{name}`: {} failed, {} of them noted, {} may",
            wave.failures, wave.acknowledged, wave.budget
        );
        reasons.push(entry(Code::MemberFailed, Who::Operator, message));
    }
    if wave.is_out_of_reach() {
        let message = format!(
            "wave `{name}`: {} succeeded of {} that count, and {} have to",
            wave.successes,
            wave.counting(),
            wave.required()
        );
        let hint = "retry members that failed, skip those that are not to count, or abort";
        reasons.push(entry_with_hint(Code::MinimumOutOfReach, Who::Operator, message, hint));
    }
    let gate = wave.closed_before.as_ref().or(wave.closed_after.as_ref());
    let status = gate.and_then(|gate| wave.gates.iter().find(|status| status.name == *gate));
    if let Some(status) = status.filter(|status| status.openable_since.is_some()) {
        let message = format!("wave `{name}` waits for gate `{}`: {}", status.name, status.message);
        let approval = wave
            .spec
            .before
            .iter()
            .chain(&wave.spec.after)
            .any(|gate| gate.name == status.name && gate.approval.is_some());
        reasons.push(if approval {
            let hint = format!("approve gate `{}` of rollout `{}`", status.name, scene.world.rollout.name);
            entry_with_hint(Code::WaitingForGate, Who::Operator, message, hint)
        } else {
            entry(Code::WaitingForGate, Who::Nobody, message)
        });
    }
    if let Some(first) = wave.void.first() {
        let more = wave.void.len() - 1;
        let message =
            if more == 0 { first.clone() } else { format!("{first}, and {more} more do not count") };
        reasons.push(entry(Code::VotesVoid, Who::Operator, message));
    }
}

fn verdicts(status: &RolloutStatus) -> [Verdict; 2] {
    let first = || status.report.first().map(|first| first.message.clone()).unwrap_or_default();
    let progressing = match status.phase {
        RolloutPhase::Running | RolloutPhase::RollingBack => {
            Verdict::holds(PROGRESSING, reason::IN_PROGRESS, first())
        }
        RolloutPhase::Planned | RolloutPhase::WaitingForGate => {
            Verdict::fails(PROGRESSING, reason::WAITING, first())
        }
        RolloutPhase::Paused => Verdict::fails(PROGRESSING, reason::PAUSED, first()),
        RolloutPhase::Stopped => Verdict::fails(PROGRESSING, reason::BLOCKED, first()),
        RolloutPhase::Completed | RolloutPhase::Aborted | RolloutPhase::RolledBack => {
            Verdict::fails(PROGRESSING, reason::AS_WANTED, "it is over")
        }
    };
    let counts = &status.counts;
    let tally = format!("{} of {} succeeded", counts.succeeded, counts.members);
    let passed = if status.phase == RolloutPhase::Completed {
        Verdict::holds(PASSED, reason::AS_WANTED, format!("every wave passed: {tally}"))
    } else {
        Verdict::fails(PASSED, reason::IN_PROGRESS, tally)
    };
    [progressing, passed]
}
