//! Waves: what their members add up to, whether they are over their failure budget, and whether they have passed.
//!
//! A wave passes when all of this holds at once:
//! 1. every earlier wave has passed, and the gates before it are open;
//! 2. every member that counts has settled: it has succeeded or failed for good. A member that waits, or is blocked, or
//!    soaks, holds its wave, until it has moved or a person skips it;
//! 3. at least as many members have succeeded as have to, and at least one where any counts;
//! 4. failures, and members that left because they are offline, are together within the failure budget;
//! 5. the gates after it are open;
//! 6. no reader can be out of date: every entry of the ledger is answered by the members as they were read.
//!
//! Members that a person skipped, or whose cluster was deleted, do not count. Neither do those that are offline, but each
//! of them takes its place in the failure budget, as a failure would: a wave that is silent never passes by its silence.

use fleet_api::v1alpha1::{GateStatus, MemberCounts, MemberState, OnFailure, Run, Wave, WaveStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    amounts,
    back::{self, Back},
    gates,
    member::Next,
    scene::{Member, Scene},
    twist::Mutant,
};

/// What a wave's members add up to.
///
/// What takes room or spends the budget is counted when it was read or is about to be written, what frees it only when
/// both agree: a write that is lost never makes the count too small.
pub(super) struct WaveFacts<'a> {
    pub(super) spec: &'a Wave,
    was: Option<&'a WaveStatus>,
    pub(super) counts: MemberCounts,
    pub(super) total: i64,
    /// Left for good, or offline.
    left: i64,
    pub(super) successes: i64,
    pub(super) failures: i64,
    pub(super) offline: i64,
    pub(super) moving: i64,
    /// Members that count and have not settled.
    pub(super) unsettled: i64,
    /// How many may be moving at once.
    pub(super) room_for: i64,
    /// How many may fail.
    pub(super) budget: i64,
    /// How many of its failures a person has looked at.
    pub(super) acknowledged: i64,
    pub(super) began_at: Option<Time>,
    pub(super) passed_at: Option<Time>,
    pub(super) gates: Vec<GateStatus>,
    /// The first gate before it that is closed.
    pub(super) closed_before: Option<String>,
    /// The first gate after it that is closed, once nothing else holds the wave.
    pub(super) closed_after: Option<String>,
    /// Why votes do not count.
    pub(super) void: Vec<String>,
    pub(super) wake: Option<Timestamp>,
}

impl<'a> WaveFacts<'a> {
    /// Adds up the members of every wave.
    pub(super) fn gather(scene: &Scene<'a>, members: &[Member<'a>], nexts: &[Next]) -> Vec<Self> {
        let mut waves: Vec<Self> =
            scene.spec().waves.iter().map(|spec| Self::new(spec, scene.was().waves.as_slice())).collect();
        for (member, next) in members.iter().zip(nexts) {
            if member.flaw.is_none()
                && let Some(wave) = waves.get_mut(member.wave)
            {
                wave.add(scene, member, next);
            }
        }
        for wave in &mut waves {
            wave.room_for = amounts::concurrent(wave.spec, wave.total, scene.twist);
            wave.budget = amounts::failures(wave.spec, wave.total, scene.twist);
        }
        waves
    }

    fn new(spec: &'a Wave, was: &'a [WaveStatus]) -> Self {
        let was = was.iter().find(|was| was.name == spec.name);
        Self {
            spec,
            was,
            counts: MemberCounts::default(),
            total: 0,
            left: 0,
            successes: 0,
            failures: 0,
            offline: 0,
            moving: 0,
            unsettled: 0,
            room_for: 0,
            budget: 0,
            acknowledged: 0,
            began_at: was.and_then(|was| was.began_at.clone()),
            passed_at: was.and_then(|was| was.passed_at.clone()),
            gates: Vec::new(),
            closed_before: None,
            closed_after: None,
            void: Vec::new(),
            wake: None,
        }
    }

    fn add(&mut self, scene: &Scene<'_>, member: &Member<'_>, next: &Next) {
        let (read, soon) = (member.state(), next.state());
        let offline = read == MemberState::Skipped && member.was().offline_since.is_some();
        self.total += 1;
        count(&mut self.counts, soon);
        let fails = is_failure(read) || is_failure(soon);
        self.failures += i64::from(fails);
        // A failure that was looked at is one attempt's: the next one is judged anew.
        let noted = |attempt: i32| attempt > 0 && member.spec().acknowledged == Some(attempt);
        let noted = (!is_failure(read) || noted(member.was().attempt))
            && (!is_failure(soon) || noted(next.status.attempt));
        self.acknowledged += i64::from(fails && noted);
        self.moving += i64::from(read.is_moving() || soon.is_moving());
        let both = |state: MemberState| read == state && soon == state;
        self.left += i64::from(both(MemberState::Skipped));
        self.offline += i64::from(offline);
        let goes_back = read == MemberState::Succeeded && back::judge(scene, member, false) == Back::Ready;
        self.successes += i64::from(both(MemberState::Succeeded) && !goes_back);
        self.unsettled += i64::from(!(read.is_settled() && soon.is_settled()) || goes_back);
        if offline && scene.twist.is(Mutant::OfflineSucceeds) {
            self.left -= 1;
            self.successes += 1;
        }
    }

    /// How many members count: all but those that left.
    pub(super) const fn counting(&self) -> i64 {
        self.total - self.left
    }

    /// How many failures nobody has looked at.
    pub(super) const fn open_failures(&self) -> i64 {
        self.failures - self.acknowledged
    }

    /// Whether it has more failures than it may have: then nothing of the rollout begins.
    pub(super) const fn is_over_budget(&self) -> bool {
        self.open_failures() > self.budget
    }

    /// How many more may leave because they are offline.
    pub(super) const fn budget_left(&self) -> i64 {
        self.budget - self.open_failures() - self.offline
    }

    /// Whether its members are to be rolled back, because it has more failures than it may have. In a pause nothing begins,
    /// and that does not either.
    pub(super) fn goes_back(&self, scene: &Scene<'_>) -> bool {
        let rolls_back = scene.spec().on_failure == OnFailure::Rollback;
        rolls_back && scene.run() == Run::Running && self.is_over_budget()
    }

    /// How many have to succeed for it to pass.
    pub(super) fn required(&self) -> i64 {
        let tolerated = self.budget.saturating_add(self.acknowledged);
        let required = amounts::successes(self.spec, self.counting(), tolerated);
        // Where everybody left and some are only not heard of, nothing was shown.
        if self.offline > 0 { required.max(1) } else { required }
    }

    /// Whether nothing but its gates holds it.
    fn is_done(&self, scene: &Scene<'_>, up_to_date: bool) -> bool {
        let settled = self.unsettled == 0 || scene.twist.is(Mutant::PassesEarly);
        let enough = self.successes >= self.required() || scene.twist.is(Mutant::PassesOnFewFailures);
        let too_silent = self.offline > 0 && self.budget_left() < 0;
        let free = scene.twist.is(Mutant::OfflineIsFree) || scene.twist.is(Mutant::OfflineSucceeds);
        up_to_date && settled && enough && !self.is_over_budget() && (!too_silent || free)
    }

    /// Whether everybody has settled and too few have succeeded: it will not pass unless somebody does something.
    pub(super) fn is_out_of_reach(&self) -> bool {
        self.passed_at.is_none() && self.unsettled == 0 && self.successes < self.required()
    }

    /// Judges its gates, and whether it passes. `earlier_passed` says whether every wave before it has; `sound` whether every
    /// member was read, and is one of the plan: a gate speaks of all of them, and stays open.
    fn judge(&mut self, scene: &Scene<'_>, earlier_passed: bool, sound: bool, up_to_date: bool) {
        self.closed_before = self.ask(scene, &self.spec.before, earlier_passed && sound);
        let runs = matches!(scene.run(), Run::Running | Run::Paused);
        let done = runs
            && earlier_passed
            && self.closed_before.is_none()
            && self.is_done(scene, sound && up_to_date);
        let closed_after = self.ask(scene, &self.spec.after, done && self.passed_at.is_none());
        if done && self.passed_at.is_none() {
            if closed_after.is_none() {
                self.passed_at = Some(scene.time());
            }
            self.closed_after = closed_after;
        }
    }

    /// Judges some of its gates. Returns the first that is closed.
    fn ask(
        &mut self,
        scene: &Scene<'_>,
        asked: &'a [fleet_api::v1alpha1::Gate],
        openable: bool,
    ) -> Option<String> {
        let mut closed = None;
        for gate in asked {
            let was = self.was.and_then(|was| was.gates.iter().find(|was| was.name == gate.name));
            let judged = gates::judge(scene, gate, was, openable);
            if !gates::is_open(scene, gate, &judged.status) && closed.is_none() {
                closed = Some(gate.name.clone());
            }
            self.wake = self.wake.into_iter().chain(judged.wake).min();
            self.void.extend(judged.void);
            self.gates.push(judged.status);
        }
        closed
    }

    pub(super) fn status(self) -> WaveStatus {
        WaveStatus {
            name: self.spec.name.clone(),
            counts: self.counts,
            began_at: self.began_at,
            passed_at: self.passed_at,
            gates: self.gates,
        }
    }
}

/// Judges the gates of every wave, and which waves have passed.
pub(super) fn judge(scene: &Scene<'_>, waves: &mut [WaveFacts<'_>], sound: bool, up_to_date: bool) {
    let mut earlier_passed = true;
    for wave in waves {
        wave.judge(scene, earlier_passed, sound, up_to_date);
        earlier_passed = earlier_passed && wave.passed_at.is_some();
    }
}

const fn is_failure(state: MemberState) -> bool {
    matches!(state, MemberState::Failed | MemberState::RollingBack | MemberState::RolledBack)
}

/// Counts a member in.
pub(super) const fn count(counts: &mut MemberCounts, state: MemberState) {
    counts.members += 1;
    match state {
        MemberState::Pending | MemberState::Preflight => counts.waiting += 1,
        MemberState::Upgrading | MemberState::Verifying => counts.moving += 1,
        MemberState::Soaking => counts.soaking += 1,
        MemberState::Succeeded => counts.succeeded += 1,
        MemberState::Failed => counts.failed += 1,
        MemberState::Skipped => counts.left_out += 1,
        MemberState::RollingBack | MemberState::RolledBack => counts.rolled_back += 1,
    }
}
