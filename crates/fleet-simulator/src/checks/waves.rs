//! The rules that hold when a rollout's status is stored: who counts, and when a wave has passed.

use fleet_api::v1alpha1::{MemberState, RolloutPhase, RolloutStatus};

use super::{
    Checks, Rule, Seen, Violation,
    grants::{count, failures_allowed, successes_needed},
};

impl Seen<'_> {
    pub(crate) fn rollout_stored(
        &self,
        checks: &mut Checks,
        old: &RolloutStatus,
        new: &RolloutStatus,
    ) -> Result<(), Violation> {
        self.everybody_counts(new)?;
        self.gates_opened(checks, old, new)?;
        self.waves_passed(checks, old, new)?;
        self.granted(checks, old, new)?;
        if new.phase == RolloutPhase::Completed && old.phase != RolloutPhase::Completed {
            self.completed(new)?;
        }
        Ok(())
    }

    fn everybody_counts(&self, status: &RolloutStatus) -> Result<(), Violation> {
        let all = count(self.scenario.members.len());
        let of = |counts: &fleet_api::v1alpha1::MemberCounts| {
            i64::from(counts.waiting)
                + i64::from(counts.moving)
                + i64::from(counts.soaking)
                + i64::from(counts.succeeded)
                + i64::from(counts.failed)
                + i64::from(counts.left_out)
                + i64::from(counts.rolled_back)
        };
        let by_wave: i64 = status.waves.iter().map(|wave| of(&wave.counts)).sum();
        let counted = i64::from(status.counts.members);
        // While members are still being stored, those count that a cache may have.
        let known = counted == all
            || (count(self.stored_by(self.oldest()))..=count(self.stored_by(self.now))).contains(&counted);
        if known && of(&status.counts) == counted && by_wave == counted {
            return Ok(());
        }
        let text = format!("{all} members, and the status counts {:?}, by wave {by_wave}", status.counts);
        Err(self.broken(Rule::Nobody, text))
    }

    fn waves_passed(
        &self,
        checks: &mut Checks,
        old: &RolloutStatus,
        new: &RolloutStatus,
    ) -> Result<(), Violation> {
        let passed = |status: &RolloutStatus, name: &str| {
            status.waves.iter().any(|wave| wave.name == name && wave.passed_at.is_some())
        };
        for (index, wave) in self.scenario.waves.iter().enumerate() {
            match (passed(old, &wave.name), passed(new, &wave.name)) {
                (false, true) => {
                    self.wave_passed(checks, index, new)?;
                    checks.passed.insert(index, self.now);
                }
                (true, false) => {
                    let text = format!("wave {} had passed, and has no more", wave.name);
                    return Err(self.broken(Rule::WaveOrder, text));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Nothing is decided while records of members are missing: whoever is not known would be left out of every count.
    pub(super) fn all_are_known(&self, what: impl FnOnce() -> String) -> Result<(), Violation> {
        let missing = self.scenario.members.len() - self.stored_by(self.now);
        if missing == 0 {
            return Ok(());
        }
        let text = format!("{}, and {missing} members are not stored yet", what());
        Err(self.broken(Rule::Denominator, text))
    }

    fn wave_passed(&self, checks: &Checks, index: usize, status: &RolloutStatus) -> Result<(), Violation> {
        let Some(wave) = self.scenario.waves.get(index) else { return Ok(()) };
        self.all_are_known(|| format!("wave {} passed", wave.name))?;
        if let Some(earlier) = (0..index).find(|earlier| !checks.passed.contains_key(earlier)) {
            let text = format!("wave {} passed before the wave of index {earlier}", wave.name);
            return Err(self.broken(Rule::WaveOrder, text));
        }
        for gate in &wave.after {
            let known =
                status.waves.iter().flat_map(|wave| &wave.gates).find(|known| known.name == gate.name);
            if known.is_none_or(|known| known.opened_at.is_none()) {
                let text = format!("wave {} passed, and gate {} is closed", wave.name, gate.name);
                return Err(self.broken(Rule::Approvals, text));
            }
        }
        let members = self.hub.of_wave(index);
        // Whoever changed a moment ago is given the better reading: an engine may have seen it.
        let left = |index: usize| self.lately(index, |state| state == MemberState::Skipped);
        let done = |index: usize| self.lately(index, |state| state == MemberState::Succeeded);
        if let Some(unsettled) = members.iter().find(|index| !self.lately(**index, MemberState::is_settled)) {
            let text = format!(
                "wave {} passed while {} is {:?}",
                wave.name,
                self.name(*unsettled),
                self.state(*unsettled)
            );
            return Err(self.broken(Rule::Successes, text));
        }
        let succeeded = members.iter().filter(|index| done(**index)).count();
        let counting = members.iter().filter(|index| done(**index) || !left(**index)).count();
        let tolerated = failures_allowed(wave, members.len()) + self.acknowledged(index);
        let needed = successes_needed(wave, counting, tolerated);
        let silent = |index: &&usize| {
            let history = self.hub.members.get(**index);
            history.is_some_and(|history| {
                history.since(self.oldest()).flatten().all(|member| {
                    member.status.state == MemberState::Skipped && member.status.offline_since.is_some()
                })
            })
        };
        let offline = members.iter().filter(silent).count();
        if count(succeeded) < needed {
            // Where those that are offline would make up for what is missing, they were counted in.
            if count(succeeded + offline) >= needed && offline > 0 {
                let text = format!(
                    "wave {} passed with {succeeded} successes, {needed} are needed, and {offline} are offline",
                    wave.name
                );
                return Err(self.broken(Rule::Denominator, text));
            }
            let text = format!(
                "wave {} passed with {succeeded} successes of {counting}, {needed} are needed",
                wave.name
            );
            return Err(self.broken(Rule::Successes, text));
        }
        let failed = members.iter().filter(|index| !done(**index) && !left(**index)).count();
        if count(failed) > tolerated {
            let text = format!("wave {} passed with {failed} failures, {tolerated} are allowed", wave.name);
            return Err(self.broken(Rule::Caps, text));
        }
        if offline > 0 && (succeeded == 0 || count(failed + offline) > tolerated) {
            let text = format!(
                "wave {} passed with {succeeded} successes, {failed} failures and {offline} that are offline",
                wave.name
            );
            return Err(self.broken(Rule::Denominator, text));
        }
        Ok(())
    }

    fn completed(&self, status: &RolloutStatus) -> Result<(), Violation> {
        for wave in &self.scenario.waves {
            if !status.waves.iter().any(|known| known.name == wave.name && known.passed_at.is_some()) {
                let text = format!("the rollout is Completed, and wave {} has not passed", wave.name);
                return Err(self.broken(Rule::Successes, text));
            }
        }
        for index in 0..self.scenario.members.len() {
            if !self.lately(index, MemberState::is_settled) {
                let text =
                    format!("the rollout is Completed, and {} is {:?}", self.name(index), self.state(index));
                return Err(self.broken(Rule::Nobody, text));
            }
        }
        Ok(())
    }
}
