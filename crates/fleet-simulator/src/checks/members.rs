//! The rules that hold when a member's status is stored.

use fleet_api::v1alpha1::{MemberState, RolloutMemberStatus, Run};

use super::{Checks, Rule, Seen, Violation, grants::failures_allowed};
use crate::{
    cloud::TAKES_BACK_FOR,
    scenario::Target,
    time::{MINUTE, SECOND, length, millis},
};

impl Seen<'_> {
    pub(crate) fn member_stored(
        &self,
        checks: &mut Checks,
        index: usize,
        old: &RolloutMemberStatus,
        new: &RolloutMemberStatus,
    ) -> Result<(), Violation> {
        if let Some(attempts) = checks.attempts.get_mut(index) {
            attempts.push((new.seq, new.attempt));
        }
        if old.state != new.state {
            if new.seq <= old.seq {
                let text = format!("{} became {:?} without a greater seq", self.name(index), new.state);
                return Err(self.broken(Rule::Restart, text));
            }
            if let Some(changed) = checks.changed.get_mut(index) {
                *changed = self.now;
            }
            match new.state {
                MemberState::Upgrading => {
                    self.began(checks, index, new)?;
                    checks.begun.insert((index, new.attempt));
                }
                MemberState::Verifying | MemberState::Soaking => self.arrived(checks, index, new.state)?,
                MemberState::Succeeded => self.succeeded(checks, index)?,
                MemberState::RolledBack => self.rolled_back(checks, index)?,
                MemberState::Skipped => self.left(checks, index)?,
                MemberState::RollingBack => {
                    if !checks.back.contains(&(new.granted_by, index)) {
                        let text = format!("{} moves back, and no entry allows it to", self.name(index));
                        return Err(self.broken(Rule::Caps, text));
                    }
                    if old.state.is_moving() {
                        checks.had_room.insert(index);
                    } else {
                        checks.had_room.remove(&index);
                    }
                }
                MemberState::Pending | MemberState::Preflight | MemberState::Failed => {}
            }
            if let Some(moved) = checks.moved.get_mut(index) {
                moved.given_up |= matches!(new.state, MemberState::Failed | MemberState::Skipped);
            }
        }
        self.rollback_until(checks, index, old, new)
    }

    fn began(&self, checks: &Checks, index: usize, status: &RolloutMemberStatus) -> Result<(), Violation> {
        // One that was left out because it was offline takes part again when it is heard of.
        let back_again = self.lately(index, |state| state == MemberState::Skipped);
        if !checks.granted.contains(&(status.granted_by, index)) && !back_again {
            let text =
                format!("{} began by entry {}, which does not name it", self.name(index), status.granted_by);
            return Err(self.broken(Rule::Caps, text));
        }
        let mut rollouts = self.hub.rollout.since(self.oldest()).flatten();
        if !back_again && !rollouts.any(|rollout| rollout.spec.run == Run::Running) {
            let text =
                format!("{} began, and the rollout has not been running for a while", self.name(index));
            return Err(self.broken(Rule::People, text));
        }
        Ok(())
    }

    fn arrived(&self, checks: &Checks, index: usize, state: MemberState) -> Result<(), Violation> {
        if checks.moved.get(index).is_some_and(|moved| moved.seen_arrived) {
            return Ok(());
        }
        let text = format!("{} is {state:?}, and nobody has seen it arrive by this move", self.name(index));
        Err(self.broken(Rule::Evidence, text))
    }

    fn succeeded(&self, checks: &Checks, index: usize) -> Result<(), Violation> {
        let Some(member) = self.scenario.members.get(index) else { return Ok(()) };
        let Some(moved) = checks.moved.get(index) else { return Ok(()) };
        if !moved.seen_healthy {
            let text = format!(
                "{} succeeded, and nobody has seen it healthy on the target by this move",
                member.name
            );
            return Err(self.broken(Rule::Evidence, text));
        }
        let soak = self.soak_of(index);
        // Evidence counts whole seconds, and a second may be lost at each look but none is won.
        let enough = moved.credit + SECOND >= soak;
        // A look that saw it fall ill a moment ago has not reached every cache: who writes a success then has read the look
        // before, which showed the whole soak. Longer than a cache can lag, that is no excuse.
        let was_enough = moved.soaked_until.is_some_and(|until| until >= self.oldest());
        if !enough && !was_enough {
            let text = format!(
                "{} succeeded after it was seen healthy for {} of {}",
                member.name,
                length(moved.credit),
                length(soak)
            );
            return Err(self.broken(Rule::Soak, text));
        }
        Ok(())
    }

    fn rolled_back(&self, checks: &Checks, index: usize) -> Result<(), Violation> {
        let Some(moved) = checks.moved.get(index) else { return Ok(()) };
        if moved.seen_healthy || moved.stage != Some(fleet_api::v1alpha1::MoveStage::Back) {
            // Without a move back nothing has happened to it that would have to be taken back.
            return if moved.seen_healthy || moved.stage != Some(fleet_api::v1alpha1::MoveStage::Go) {
                Ok(())
            } else {
                let text = format!("{} is rolled back, and it was told to go on", self.name(index));
                Err(self.broken(Rule::Evidence, text))
            };
        }
        let text =
            format!("{} is rolled back, and nobody has seen it healthy where it was", self.name(index));
        Err(self.broken(Rule::Evidence, text))
    }

    /// A member leaves when somebody skipped it or wanted it back before it moved, when its cluster is going or gone, or when nobody could look at it for
    /// long enough; those of the last kind are no more than may fail.
    fn left(&self, checks: &Checks, index: usize) -> Result<(), Violation> {
        let Some(member) = self.scenario.members.get(index) else { return Ok(()) };
        let oldest = self.oldest();
        let history = self.hub.members.get(index);
        let asked = history.is_some_and(|history| {
            history.since(oldest).flatten().any(|member| member.spec.skip || member.spec.rollback)
        });
        let going = self.hub.clusters.get(index).is_some_and(|history| {
            history.since(oldest).any(|cluster| {
                cluster.is_none_or(|cluster| {
                    cluster.deleting || *cluster.uid != *crate::start::uid(member, false)
                })
            })
        });
        if asked || going {
            return Ok(());
        }
        let looked = checks.looked.get(index).copied().unwrap_or_default();
        let error = self.scenario.clock_error();
        let dark = self.now - looked;
        if dark + 2 * error + MINUTE < self.scenario.offline_after * MINUTE {
            let text = format!("{} left, and it was looked at {} ago", member.name, length(dark));
            return Err(self.broken(Rule::Denominator, text));
        }
        let members = self.hub.of_wave(member.wave);
        let offline = members.iter().filter(|other| {
            **other == index
                || self.hub.member(**other).is_some_and(|status| {
                    status.status.state == MemberState::Skipped && status.status.offline_since.is_some()
                })
        });
        let allowed =
            self.scenario.waves.get(member.wave).map_or(0, |wave| failures_allowed(wave, members.len()));
        let offline = super::grants::count(offline.count());
        if offline > allowed + self.acknowledged(member.wave) {
            let text = format!("{} left as {offline} that are offline, {allowed} may", member.name);
            return Err(self.broken(Rule::Denominator, text));
        }
        Ok(())
    }

    fn rollback_until(
        &self,
        checks: &Checks,
        index: usize,
        old: &RolloutMemberStatus,
        new: &RolloutMemberStatus,
    ) -> Result<(), Violation> {
        let Some(until) = &new.rollback_until else { return Ok(()) };
        let for_good = match new.state {
            MemberState::RolledBack => true,
            MemberState::Skipped => new.offline_since.is_none(),
            _ => false,
        };
        if for_good {
            let text =
                format!("{} is {:?}, and is told that it can be rolled back", self.name(index), new.state);
            return Err(self.broken(Rule::HoldNodes, text));
        }
        if old.rollback_until == new.rollback_until || !matches!(self.scenario.target, Target::Kubernetes(_))
        {
            return Ok(());
        }
        let seen = checks.moved.get(index).and_then(|moved| moved.upgrade_seen);
        let last = seen.map_or(self.now, |seen| seen.max(self.scenario.start)) + TAKES_BACK_FOR;
        if millis(until) > last + self.scenario.clock_error() + self.scenario.staleness() {
            let text = format!(
                "{} is told that it can be rolled back until {} after the cloud has ended that",
                self.name(index),
                length(millis(until) - last)
            );
            return Err(self.broken(Rule::HoldNodes, text));
        }
        Ok(())
    }
}
