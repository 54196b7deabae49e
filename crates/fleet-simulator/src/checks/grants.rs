//! The rules that hold when a member is allowed to begin, which is when the ledger names it.

use fleet_api::{
    eks::durations::{ADDON_UPDATE, CONTROL_PLANE_UPDATE},
    v1alpha1::{MemberState, RolloutMemberSpec, RolloutStatus, Run, Slots, Wave},
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{
    Checks, Rule, Seen, Violation,
    windows::{self, Step},
};
use crate::{
    hub::Member,
    scenario::Target,
    time::{MINUTE, Millis, SECOND, length, timestamp},
};

/// How long a step is expected to take: less of a window than this is not enough.
const fn step_takes(target: Target) -> Millis {
    match target {
        Target::Kubernetes(_) => CONTROL_PLANE_UPDATE * MINUTE,
        Target::Baseline | Target::Addons => ADDON_UPDATE * MINUTE,
    }
}

impl Seen<'_> {
    pub(super) fn granted(
        &self,
        checks: &mut Checks,
        old: &RolloutStatus,
        new: &RolloutStatus,
    ) -> Result<(), Violation> {
        if old.ledger.seq == new.ledger.seq {
            return Ok(());
        }
        for name in &new.ledger.back {
            if let Some(index) = self.hub.named(name) {
                checks.back.insert((new.ledger.seq, index));
            }
        }
        let Some(rollout) = self.hub.rollout() else { return Ok(()) };
        if let Some(first) = new.ledger.granted.first() {
            self.all_are_known(|| format!("{first} is allowed to begin"))?;
        }
        for name in &new.ledger.granted {
            let Some(index) = self.hub.named(name) else {
                let text = format!("the ledger allows `{name}`, which is no member, to begin");
                return Err(self.broken(Rule::Nobody, text));
            };
            checks.granted.insert((new.ledger.seq, index));
            if rollout.spec.run != Run::Running {
                let text = format!("{name} is allowed to begin while the rollout is {:?}", rollout.spec.run);
                return Err(self.broken(Rule::People, text));
            }
            self.grant_in_order(index, new)?;
            self.grant_in_time(index)?;
            self.grant_looked_at(index)?;
            self.grant_within_budget(index)?;
            self.grant_of_the_willing(index)?;
        }
        Ok(())
    }

    fn grant_in_order(&self, index: usize, status: &RolloutStatus) -> Result<(), Violation> {
        let Some(member) = self.scenario.members.get(index) else { return Ok(()) };
        let waves = self.scenario.waves.iter().take(member.wave);
        for wave in waves {
            let passed =
                status.waves.iter().any(|known| known.name == wave.name && known.passed_at.is_some());
            if !passed {
                let text =
                    format!("{} is allowed to begin, and wave {} has not passed", member.name, wave.name);
                return Err(self.broken(Rule::WaveOrder, text));
            }
        }
        let Some(wave) = self.scenario.waves.get(member.wave) else { return Ok(()) };
        for gate in &wave.before {
            let known =
                status.waves.iter().flat_map(|wave| &wave.gates).find(|known| known.name == gate.name);
            if known.is_none_or(|known| known.opened_at.is_none()) {
                let text = format!("{} is allowed to begin, and gate {} is closed", member.name, gate.name);
                return Err(self.broken(Rule::Approvals, text));
            }
        }
        Ok(())
    }

    /// Slots, moments to which members were put off, windows and freezes.
    fn grant_in_time(&self, index: usize) -> Result<(), Violation> {
        let Some(member) = self.scenario.members.get(index) else { return Ok(()) };
        let error = self.scenario.clock_error();
        let slot = self.scenario.start + member.slot;
        if self.scenario.slots == Slots::Binding && self.now + error + SECOND < slot {
            let text =
                format!("{} is allowed to begin {} before its slot", member.name, length(slot - self.now));
            return Err(self.broken(Rule::Slots, text));
        }
        let put_off = |spec: &RolloutMemberSpec| {
            let until = spec.not_before.as_ref();
            until.is_some_and(|until| timestamp(self.now + error + SECOND) < until.0)
        };
        let mut seen =
            self.hub.members.get(index).into_iter().flat_map(|all| all.since(self.oldest())).flatten();
        if seen.all(|member| put_off(&member.spec)) {
            let text =
                format!("{} is allowed to begin before the moment to which it was put off", member.name);
            return Err(self.broken(Rule::Slots, text));
        }
        self.in_window(index, Step::Begins(step_takes(self.scenario.target)), "is allowed to begin")
    }

    /// Whether a member may begin now, by any windows that an engine may still see.
    pub(super) fn in_window(&self, index: usize, step: Step, what: &str) -> Result<(), Violation> {
        let error = self.scenario.clock_error();
        let (from, to) = (self.oldest() - error, self.now + error);
        let Some(history) = self.hub.clusters.get(index) else { return Ok(()) };
        let mut clusters = history.since(self.oldest()).flatten();
        let free = clusters.any(|cluster| {
            let held = windows::held_until(cluster, self.scenario.target, step);
            windows::may_begin(cluster.maintenance.as_deref(), from.max(held), to, step)
        });
        if free {
            return Ok(());
        }
        let text =
            format!("{} {what} outside its windows, or too early or too late in them", self.name(index));
        Err(self.broken(Rule::Windows, text))
    }

    /// Nothing begins before the preflight was looked at and found clear.
    fn grant_looked_at(&self, index: usize) -> Result<(), Violation> {
        let Some(member) = self.scenario.members.get(index) else { return Ok(()) };
        let (start, mended) = (self.scenario.start, self.scenario.start + self.scenario.mended_after);
        if self.now < (start + member.blocked_until).min(mended) {
            let text = format!("{} is allowed to begin, and something stands in its way", member.name);
            return Err(self.broken(Rule::Evidence, text));
        }
        if self.now < (start + member.dark_until).min(mended) {
            let text =
                format!("{} is allowed to begin, and its preflight could not be looked at", member.name);
            return Err(self.broken(Rule::Evidence, text));
        }
        Ok(())
    }

    fn grant_within_budget(&self, index: usize) -> Result<(), Violation> {
        let Some(member) = self.scenario.members.get(index) else { return Ok(()) };
        let Some(wave) = self.scenario.waves.get(member.wave) else { return Ok(()) };
        let members = self.hub.of_wave(member.wave);
        let allowed = failures_allowed(wave, members.len());
        let failed = members.iter().filter(|index| self.surely_fails(**index)).count();
        if i64::try_from(failed).unwrap_or(i64::MAX) > allowed {
            let text = format!(
                "{} is allowed to begin, and {failed} of wave {} have failed, {allowed} may",
                member.name, wave.name
            );
            return Err(self.broken(Rule::Caps, text));
        }
        Ok(())
    }

    /// Paused tenants, skipped members and clusters that are gone do not begin.
    fn grant_of_the_willing(&self, index: usize) -> Result<(), Violation> {
        let oldest = self.oldest();
        let clusters = self.hub.clusters.get(index);
        let there = clusters.is_some_and(|history| {
            history.since(oldest).flatten().any(|cluster| !cluster.deleting && !cluster.paused)
        });
        let wanted = self
            .hub
            .members
            .get(index)
            .is_some_and(|history| history.since(oldest).flatten().any(|member| !member.spec.skip));
        if there && wanted && !self.is_taken(index, 0) {
            return Ok(());
        }
        let text =
            format!("{} is allowed to begin, and it is skipped, paused, gone or taken", self.name(index));
        Err(self.broken(Rule::People, text))
    }

    /// Whether another rollout, which is not over, has held the cluster for as long as an engine may be behind.
    /// `newer` of what is stored, from the newest on, is left out.
    pub(super) fn is_taken(&self, index: usize, newer: usize) -> bool {
        let Some(history) = self.hub.clusters.get(index) else { return false };
        let mut seen = history.since(self.oldest()).skip(newer).peekable();
        seen.peek().is_some()
            && seen.all(|cluster| {
                let current = cluster.and_then(|cluster| cluster.current.as_deref());
                self.hub.rival_of(index, current, self.now).is_some()
            })
    }

    /// Whether a member has failed, and nobody has looked at that, by everything that an engine may still see.
    pub(super) fn surely_fails(&self, member: usize) -> bool {
        let Some(history) = self.hub.members.get(member) else { return false };
        let mut seen = history.since(self.oldest()).flatten().peekable();
        seen.peek().is_some()
            && seen.all(|member| is_failure(member.status.state) && !is_acknowledged(member))
    }

    /// How many failures of a wave a person has looked at, at most, by what an engine may still see.
    pub(super) fn acknowledged(&self, wave: usize) -> i64 {
        let noted = |index: &&usize| {
            let history = self.hub.members.get(**index);
            history.is_some_and(|history| {
                history
                    .since(self.oldest())
                    .flatten()
                    .any(|member| is_failure(member.status.state) && is_acknowledged(member))
            })
        };
        count(self.hub.of_wave(wave).iter().filter(noted).count())
    }
}

/// Whether a state counts as a failure of the wave.
pub(crate) const fn is_failure(state: MemberState) -> bool {
    matches!(state, MemberState::Failed | MemberState::RollingBack | MemberState::RolledBack)
}

/// Whether somebody has looked at the failure of a member's present attempt.
fn is_acknowledged(member: &Member) -> bool {
    member.spec.acknowledged == Some(member.status.attempt)
}

/// How many of a wave may move at once.
pub(super) fn concurrency(wave: &Wave, members: usize) -> i64 {
    match &wave.max_concurrent {
        IntOrString::Int(number) => i64::from(*number),
        IntOrString::String(text) => (percent(text) * count(members) / 100).max(1),
    }
}

/// How many of a wave may fail.
pub(super) fn failures_allowed(wave: &Wave, members: usize) -> i64 {
    match &wave.max_failures {
        IntOrString::Int(number) => i64::from(*number),
        IntOrString::String(text) => percent(text) * count(members) / 100,
    }
}

/// How many of the members of a wave that count have to succeed; one at least, if any counts.
pub(super) fn successes_needed(wave: &Wave, counting: usize, tolerated: i64) -> i64 {
    let counting = count(counting);
    let asked = match &wave.min_successes {
        None => counting - tolerated,
        Some(IntOrString::Int(number)) => i64::from(*number),
        Some(IntOrString::String(text)) => (percent(text) * counting + 99) / 100,
    };
    asked.max(counting.min(1))
}

fn percent(text: &str) -> i64 {
    text.trim_end_matches('%').parse().unwrap_or(0)
}

pub(super) fn count(members: usize) -> i64 {
    i64::try_from(members).unwrap_or(i64::MAX)
}
