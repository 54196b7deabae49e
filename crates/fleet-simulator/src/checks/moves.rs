//! The rules that hold when a cluster is told to move.

use fleet_api::v1alpha1::{Move, MoveStage, RolloutPhase};

use super::{Checks, Moved, Rule, Seen, Violation, grants::concurrency, windows::Step};
use crate::{
    cloud::{TAKES_BACK_FOR, goal_of},
    scenario::Target,
    time::{DAY, MINUTE, length, millis},
};

impl Seen<'_> {
    pub(crate) fn move_stored(
        &self,
        checks: &mut Checks,
        index: usize,
        old: Option<&Move>,
        new: &Move,
    ) -> Result<(), Violation> {
        // A move that ends stands for the record that it was made of, whatever that has become.
        if !new.over {
            self.one_id_for_one_attempt(checks, index, new)?;
        }
        let same = old.is_some_and(|old| old.id == new.id && old.stage == new.stage);
        if same {
            // A member may fail before its move, which was decided earlier, is stored: only the halt then gives it up.
            if let Some(moved) = checks.moved.get_mut(index).filter(|_| new.halted) {
                moved.given_up = true;
            }
            return Ok(());
        }
        // The move itself is what is stored last.
        if self.is_taken(index, 1) {
            let text =
                format!("{} is told to {:?}, and another rollout moves it", self.name(index), new.stage);
            return Err(self.broken(Rule::People, text));
        }
        match new.stage {
            MoveStage::Prepare => {}
            MoveStage::Go => self.goes(checks, index, new)?,
            MoveStage::Back => self.goes_back(checks, index, new)?,
        }
        let Some(moved) = checks.moved.get_mut(index) else { return Ok(()) };
        if new.stage == MoveStage::Prepare {
            // Nothing changes by it: what an earlier move began goes on and stays known.
            return Ok(());
        }
        let upgrade_seen = moved.upgrade_seen.filter(|_| new.stage == MoveStage::Back);
        *moved = Moved {
            stage: Some(new.stage),
            id: new.id.clone(),
            goal: goal_of(new, self.scenario.target),
            upgrade_seen,
            given_up: new.halted,
            ..Moved::default()
        };
        if new.stage == MoveStage::Back && checks.had_room.contains(&index) {
            return Ok(());
        }
        self.within_caps(checks, index)
    }

    /// An attempt has a move of its own, so that what was seen under the last one says nothing about it.
    fn one_id_for_one_attempt(&self, checks: &mut Checks, index: usize, new: &Move) -> Result<(), Violation> {
        let (Some(attempts), Some(ids)) = (checks.attempts.get(index), checks.ids.get_mut(index)) else {
            return Ok(());
        };
        let Some((_, attempt)) = attempts.iter().rev().find(|(seq, _)| *seq == new.seq) else {
            return Ok(());
        };
        let known = *ids.entry(new.id.clone()).or_insert(*attempt);
        if known == *attempt {
            return Ok(());
        }
        let text = format!(
            "{}: move {} stands for attempt {known} and for attempt {attempt}",
            self.name(index),
            new.id
        );
        Err(self.broken(Rule::Restart, text))
    }

    fn goes(&self, checks: &Checks, index: usize, new: &Move) -> Result<(), Violation> {
        let name = self.name(index);
        let oldest = self.oldest();
        let Some(member) = self.scenario.members.get(index) else { return Ok(()) };
        if let Some(earlier) = (0..member.wave).find(|wave| !checks.passed.contains_key(wave)) {
            let text = format!("{name} is told to go before the wave of index {earlier} has passed");
            return Err(self.broken(Rule::WaveOrder, text));
        }
        let attempts = checks.attempts.get(index).map(Vec::as_slice).unwrap_or_default();
        let attempt = attempts.iter().rev().find(|(seq, _)| *seq == new.seq).map(|(_, attempt)| *attempt);
        if !attempt.is_some_and(|attempt| checks.begun.contains(&(index, attempt))) {
            let text = format!("{name} is told to go, and attempt {attempt:?} has not begun");
            return Err(self.broken(Rule::Caps, text));
        }
        let over = |phase: RolloutPhase| phase.is_over();
        if self.hub.rollout.since(oldest).flatten().all(|rollout| over(rollout.status.phase)) {
            return Err(self.broken(Rule::People, format!("{name} is told to go after the rollout is over")));
        }
        self.in_window(index, Step::GoesOn, "is told to go")?;
        if let Target::Kubernetes(target) = self.scenario.target {
            let right = self.hub.clusters.get(index).is_some_and(|history| {
                let minors =
                    history.since(oldest).flatten().filter_map(|cluster| cluster.versions.control_plane);
                minors.map(|minor| minor.minor()).any(|minor| minor + 1 == target || minor == target)
            });
            let wanted = new.version.is_some_and(|version| version.minor() == target);
            if !right || !wanted {
                let at = self.clouds.get(index).map_or(0, |cloud| cloud.minor);
                let text =
                    format!("{name} at 1.{at} is told to go to {:?}, the target is 1.{target}", new.version);
                return Err(self.broken(Rule::Minors, text));
            }
        }
        self.nodes_held(index, new)
    }

    fn nodes_held(&self, index: usize, new: &Move) -> Result<(), Violation> {
        let Some(hold) =
            self.scenario.hold_nodes.filter(|_| matches!(self.scenario.target, Target::Kubernetes(_)))
        else {
            return Ok(());
        };
        let error = self.scenario.clock_error() + self.scenario.staleness();
        let name = self.name(index);
        // Another attempt of a cluster that has moved holds its nodes no longer than the first.
        let again = self.hub.member(index).is_some_and(|member| member.status.attempt > 1);
        if again && new.hold_nodes_until.is_some() {
            return Ok(());
        }
        // A crash may lie between the moment at which it was allowed to begin and this one.
        let status = self.hub.member(index).map(|member| &member.status);
        let began = status.and_then(|status| status.started_at.as_ref().map(millis));
        // The hold is counted from the arrival of the rest, which may take until the deadline.
        let arrived = status.is_some_and(|status| status.arrived_at.is_some());
        let arrives = if arrived { 0 } else { self.scenario.step_deadline * MINUTE };
        let least = began.unwrap_or(self.now).min(self.now) + arrives + hold * MINUTE - error;
        match &new.hold_nodes_until {
            None => {
                let text = format!("{name} is told to go, and its nodes are not held back");
                Err(self.broken(Rule::HoldNodes, text))
            }
            Some(until) if millis(until) < least || millis(until) > self.now + 8 * DAY + error => {
                let text = format!("{name}: nodes are held back for {}", length(millis(until) - self.now));
                Err(self.broken(Rule::HoldNodes, text))
            }
            Some(_) => Ok(()),
        }
    }

    fn goes_back(&self, checks: &Checks, index: usize, new: &Move) -> Result<(), Violation> {
        let name = self.name(index);
        let (Some(member), Some(cloud), Some(moved)) =
            (self.scenario.members.get(index), self.clouds.get(index), checks.moved.get(index))
        else {
            return Ok(());
        };
        if !matches!(self.scenario.target, Target::Kubernetes(_)) {
            return Ok(());
        }
        let Some(to) = new.version.map(|version| version.minor()) else {
            return Err(self.broken(Rule::Minors, format!("{name} is told to go back, and not where to")));
        };
        if to != member.from || to < cloud.made_with {
            let text = format!(
                "{name} is told to go back to 1.{to}; it came from 1.{} and was made with 1.{}",
                member.from, cloud.made_with
            );
            return Err(self.broken(Rule::Minors, text));
        }
        let seen = moved.upgrade_seen.filter(|_| cloud.minor > to);
        let slack = self.scenario.clock_error() + self.scenario.staleness() + MINUTE;
        if let Some(seen) = seen
            && self.now > seen + TAKES_BACK_FOR + slack
        {
            let text = format!("{name} is told to go back {} after its upgrade", length(self.now - seen));
            return Err(self.broken(Rule::Minors, text));
        }
        Ok(())
    }

    /// Counts the clusters of the wave that were told to move and have truly not settled.
    fn within_caps(&self, checks: &mut Checks, index: usize) -> Result<(), Violation> {
        let Some(member) = self.scenario.members.get(index) else { return Ok(()) };
        let Some(wave) = self.scenario.waves.get(member.wave) else { return Ok(()) };
        let members = self.hub.of_wave(member.wave);
        let mut moving = Vec::new();
        for other in members {
            self.truth_changed(checks, *other);
            let Some(moved) = checks.moved.get(*other) else { continue };
            let gone = self.clouds.get(*other).is_none_or(|cloud| !cloud.exists);
            // Whoever the engine has known to be ill for a while counts again, although it had settled.
            let known_ill = !self.lately(*other, |state| !state.is_moving());
            let open = moved.stage.is_some() && !moved.settled && !moved.given_up && !gone;
            if open || (known_ill && !gone) {
                moving.push(self.name(*other));
            }
        }
        let cap = concurrency(wave, members.len());
        if super::grants::count(moving.len()) <= cap {
            return Ok(());
        }
        let text = format!(
            "wave {} may move {cap} at once, and {} of it are: {}",
            wave.name,
            moving.len(),
            moving.join(", ")
        );
        Err(self.broken(Rule::Caps, text))
    }
}
