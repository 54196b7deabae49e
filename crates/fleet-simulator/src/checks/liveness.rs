//! What holds when faults have stopped: a rollout ends, or says whom it waits for.

use std::fmt::Write as _;

use fleet_api::v1alpha1::RolloutPhase;

use super::{Checks, Rule, Seen, Violation};
use crate::start::ROLLOUT;

impl Seen<'_> {
    /// A rollout that has not ended names what it waits for, and who can act.
    pub(crate) fn waits_for_somebody(&self, checks: &Checks) -> Result<(), Violation> {
        let Some(rollout) = self.hub.rollout() else { return Ok(()) };
        let named =
            rollout.status.report.iter().any(|entry| !entry.who.is_empty() && !entry.message.is_empty());
        // Whatever has just changed may not have been looked at yet.
        let fresh = checks.changed.iter().any(|changed| *changed > self.oldest());
        if named || fresh {
            return Ok(());
        }
        let text = format!("the rollout has not ended, and says nothing of why\n{}", self.standing());
        Err(self.broken(Rule::Liveness, text))
    }

    /// A rollout that somebody cares for ends.
    pub(crate) fn never_ended(&self) -> Violation {
        let text =
            format!("somebody did all that was asked for, and the rollout never ended\n{}", self.standing());
        self.broken(Rule::Liveness, text)
    }

    /// What holds when everything has ended.
    pub(crate) fn at_the_end(&self, checks: &Checks) -> Option<Violation> {
        let rollout = self.hub.rollout()?;
        if !rollout.status.phase.is_over() {
            return None;
        }
        for index in 0..self.scenario.members.len() {
            let state = self.state(index);
            if state.is_moving() {
                let text = format!(
                    "the rollout is {:?}, and {} is {state:?}",
                    rollout.status.phase,
                    self.name(index)
                );
                return Some(self.broken(Rule::Nobody, text));
            }
            let stands = self.hub.cluster(index).and_then(|cluster| cluster.current.as_deref());
            let stands = stands.filter(|wanted| wanted.rollout == ROLLOUT && !wanted.over);
            if stands.is_some() && state.is_settled() {
                let text =
                    format!("the rollout is over, and its move goes on standing in {}", self.name(index));
                return Some(self.broken(Rule::People, text));
            }
            let told = checks.moved.get(index).is_some_and(|moved| moved.stage.is_some() && !moved.given_up);
            if rollout.status.phase == RolloutPhase::RolledBack && told && !state.is_settled() {
                let text = format!("the rollout is rolled back, and {} is {state:?}", self.name(index));
                return Some(self.broken(Rule::Nobody, text));
            }
        }
        None
    }

    /// Where everything stands, for whoever reads the log.
    fn standing(&self) -> String {
        let mut text = String::new();
        if let Some(rollout) = self.hub.rollout() {
            let status = &rollout.status;
            let _ = writeln!(
                text,
                "  run {:?}, phase {:?}, wave {:?}",
                rollout.spec.run, status.phase, status.wave
            );
            for entry in &status.report {
                let _ = writeln!(text, "  {}: {} ({})", entry.code, entry.message, entry.who);
            }
        }
        for index in 0..self.scenario.members.len() {
            if let Some(member) = self.hub.member(index) {
                let status = &member.status;
                let _ = writeln!(text, "  {}: {:?}, {}", self.name(index), status.state, status.message);
            }
        }
        text
    }
}
