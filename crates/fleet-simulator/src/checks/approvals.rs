//! The rules that hold when a gate opens.

use std::collections::BTreeSet;

use fleet_api::v1alpha1::{ApprovalGate, Gate, RolloutStatus};
use fleet_plan::rollout::VoteView;

use super::{Checks, Rule, Seen, Violation};
use crate::{
    start::{AUTHOR, PLAN},
    time::{MINUTE, Millis, SECOND, millis},
};

impl Seen<'_> {
    pub(super) fn gates_opened(
        &self,
        checks: &Checks,
        old: &RolloutStatus,
        new: &RolloutStatus,
    ) -> Result<(), Violation> {
        let opened = |status: &RolloutStatus, name: &str| {
            let gates = status.waves.iter().flat_map(|wave| &wave.gates);
            gates.into_iter().any(|gate| gate.name == name && gate.opened_at.is_some())
        };
        for (index, wave) in self.scenario.waves.iter().enumerate() {
            let gates =
                wave.before.iter().map(|gate| (gate, true)).chain(wave.after.iter().map(|g| (g, false)));
            for (gate, before) in gates {
                match (opened(old, &gate.name), opened(new, &gate.name)) {
                    (false, true) => self.gate_opened(checks, index, gate, before)?,
                    (true, false) => {
                        let text = format!("gate {} closed again", gate.name);
                        return Err(self.broken(Rule::Approvals, text));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn gate_opened(&self, checks: &Checks, wave: usize, gate: &Gate, before: bool) -> Result<(), Violation> {
        self.all_are_known(|| format!("gate {} opened", gate.name))?;
        let error = self.scenario.clock_error();
        if let Some(approval) = &gate.approval {
            let openable = if before {
                wave.checked_sub(1).and_then(|wave| checks.passed.get(&wave)).copied().unwrap_or_default()
            } else {
                (self.hub.of_wave(wave).iter())
                    .filter_map(|index| checks.changed.get(*index))
                    .max()
                    .copied()
                    .unwrap_or_default()
            };
            let sets = self.hub.votes.since(self.oldest()).flatten();
            let enough =
                sets.into_iter().any(|votes| self.is_enough(&gate.name, approval, votes, openable - error));
            return if enough {
                Ok(())
            } else {
                let text = format!("gate {} opened without enough valid votes", gate.name);
                Err(self.broken(Rule::Approvals, text))
            };
        }
        let open = match &gate.not_before {
            Some(moment) => self.now + error + SECOND >= millis(moment),
            None => self.now >= self.check_opens(&gate.name),
        };
        if open {
            return Ok(());
        }
        let text = format!("gate {} opened, and what it waits for had not come about", gate.name);
        Err(self.broken(Rule::Approvals, text))
    }

    fn check_opens(&self, gate: &str) -> Millis {
        let known = self.scenario.checks.iter().find(|(name, _)| name == gate);
        known.map_or(0, |(_, after)| self.scenario.start + after)
    }

    fn is_enough(&self, gate: &str, approval: &ApprovalGate, votes: &[VoteView], openable: Millis) -> bool {
        let oldest = self.oldest() - self.scenario.clock_error() - approval.valid_for.0 * MINUTE;
        let mut people = BTreeSet::new();
        let mut roles = BTreeSet::new();
        for vote in votes {
            let at = vote.at.as_millisecond();
            let role = self.scenario.approvers.iter().find(|role| role.name == vote.role);
            let counts = vote.gate == gate
                && vote.plan_hash == PLAN
                && vote.approver != AUTHOR
                && approval.roles.contains(&vote.role)
                && role.is_some_and(|role| role.users.contains(&vote.approver))
                && at >= oldest
                && at + SECOND >= openable;
            if counts {
                people.insert(vote.approver.as_str());
                roles.insert(vote.role.as_str());
            }
        }
        super::grants::count(people.len()) >= i64::from(approval.required)
            && approval.roles.iter().all(|role| roles.contains(role.as_str()))
    }
}
