//! What people do, and the one who afterwards does what the reports ask for.

use std::sync::Arc;

use fleet_api::v1alpha1::{MemberState, RolloutMemberSpec, RolloutPhase, RolloutSpec, Run};
use fleet_plan::rollout::VoteView;

use crate::{
    checks::{Seen, Violation},
    hub::{Cluster, Member, Rollout},
    scenario::{Act, Kind},
    start::{AUTHOR, OTHER_PLAN, PLAN},
    time::{DAY, HOUR, MINUTE, time, timestamp},
    world::{Event, World},
};

/// For how many rounds of an hour somebody cares for a rollout: by then it must have ended.
const ROUNDS: u32 = 24 * 90;

impl World<'_> {
    pub(crate) fn act(&mut self, act: &Act) {
        let now = self.now;
        self.log.say(now, "person", || format!("{act:?}"));
        match act {
            Act::Run => self.edit_rollout(|spec| {
                // Nobody takes back an abort or a rollback.
                if matches!(spec.run, Run::Planned | Run::Paused) {
                    spec.run = Run::Running;
                }
            }),
            Act::Pause => self.edit_rollout(|spec| {
                if spec.run == Run::Running {
                    spec.run = Run::Paused;
                }
            }),
            Act::Abort => self.edit_rollout(|spec| spec.run = Run::Aborted),
            Act::RollBack => self.edit_rollout(|spec| {
                if spec.run != Run::Aborted {
                    spec.run = Run::RollingBack;
                }
            }),
            Act::Acknowledge => {
                for index in 0..self.scenario.members.len() {
                    let Some(member) = self.hub.member(index) else { continue };
                    let attempt = member.status.attempt;
                    if crate::checks::is_failure(member.status.state) {
                        self.edit_member(index, |spec| spec.acknowledged = Some(attempt));
                    }
                }
            }
            // The management cluster knows who belongs to a group, and refuses the votes of others.
            Act::Vote { role, approver, .. } if !self.is_admitted(role, approver) => {}
            Act::Vote { gate, role, approver, this_plan } => {
                let mut votes = self.hub.votes().to_vec();
                votes.push(VoteView {
                    gate: gate.clone(),
                    plan_hash: if *this_plan { PLAN } else { OTHER_PLAN }.to_owned(),
                    role: role.clone(),
                    approver: approver.clone(),
                    at: timestamp(now),
                });
                self.hub.put_votes(now, votes);
                self.announce(Kind::Vote);
            }
            Act::Unvote { gate } => {
                let votes = self.hub.votes().iter().filter(|vote| vote.gate != *gate).cloned().collect();
                self.hub.put_votes(now, votes);
                self.announce(Kind::Vote);
            }
            Act::Skip(index, skip) => self.edit_member(*index, |spec| spec.skip = *skip),
            Act::Retry(index) => {
                let count = self.retries.get_mut(*index).map_or(0, |count| {
                    *count += 1;
                    *count
                });
                self.edit_member(*index, |spec| spec.retry = Some(count.to_string()));
            }
            Act::RollBackMember(index) => self.edit_member(*index, |spec| spec.rollback = true),
            Act::PutOff(index, until) => {
                let until = time(self.scenario.start + until);
                self.edit_member(*index, |spec| spec.not_before = Some(until));
            }
            Act::PauseTenant(index, paused) => self.edit_cluster(*index, |cluster| cluster.paused = *paused),
            Act::Windows(index, maintenance) => {
                let maintenance = maintenance.clone().map(Arc::new);
                self.edit_cluster(*index, |cluster| cluster.maintenance = maintenance);
            }
            Act::DeleteCluster(index, again) => {
                self.edit_cluster(*index, |cluster| cluster.deleting = true);
                self.at(now + 12 * MINUTE, Event::Gone(*index, *again));
            }
            Act::UpgradeByHand(index) => {
                if let Some(cloud) = self.clouds.get_mut(*index) {
                    cloud.upgrade_by_hand(now);
                }
                let seen = Seen::of(self.scenario, &self.hub, &self.clouds, now);
                seen.truth_changed(&mut self.checks, *index);
            }
        }
    }

    /// Whether the management cluster stores a vote: of a role that groups have, only if the voter is in one of them.
    fn is_admitted(&self, role: &str, approver: &str) -> bool {
        let role = self.scenario.approvers.iter().find(|known| known.name == role);
        role.is_none_or(|role| role.groups.is_empty() || role.users.iter().any(|user| user == approver))
    }

    pub(crate) fn on_gone(&mut self, index: usize, again: bool) {
        let now = self.now;
        if let Some(cloud) = self.clouds.get_mut(index) {
            cloud.exists = false;
            cloud.operation = None;
        }
        let name = self.name(index).to_owned();
        self.log.say(now, "world", || format!("{name}: its cluster is gone"));
        let value = self.scenario.members.get(index).filter(|_| again);
        let value = value.map(|member| crate::start::cluster(self.scenario, member, true));
        if value.is_some()
            && let (Some(cloud), Some(member)) =
                (self.clouds.get_mut(index), self.scenario.members.get(index))
        {
            *cloud = crate::cloud::Cloud::new(member);
        }
        self.hub.put_cluster(now, index, value);
        self.announce(Kind::Cluster);
    }

    fn edit_rollout(&mut self, edit: impl FnOnce(&mut RolloutSpec)) {
        let Some(rollout) = self.hub.rollout() else { return };
        let mut spec = (*rollout.spec).clone();
        edit(&mut spec);
        if spec != *rollout.spec {
            let generation = rollout.generation + 1;
            let value = Rollout { generation, spec: Arc::new(spec), status: rollout.status.clone() };
            self.hub.put_rollout(self.now, value);
            self.announce(Kind::Rollout);
        }
    }

    fn edit_member(&mut self, index: usize, edit: impl FnOnce(&mut RolloutMemberSpec)) {
        let Some(member) = self.hub.member(index) else { return };
        let mut spec = (*member.spec).clone();
        edit(&mut spec);
        if spec != *member.spec {
            let value = Member { spec: Arc::new(spec), status: member.status.clone() };
            self.hub.put_member(self.now, index, value);
            self.announce(Kind::Member);
        }
    }

    fn edit_cluster(&mut self, index: usize, edit: impl FnOnce(&mut Cluster)) {
        let Some(cluster) = self.hub.cluster(index) else { return };
        let mut value = cluster.clone();
        edit(&mut value);
        self.hub.put_cluster(self.now, index, Some(value));
        self.announce(Kind::Cluster);
    }

    /// Looks after everything was mended: first whether the rollout has ended or says whom it waits for; then, when
    /// somebody cares for it, does what it asks for, until it has ended.
    pub(crate) fn on_care(&mut self, round: u32) -> Result<(), Violation> {
        let now = self.now;
        let over_for = self.over_since.map(|since| now - since);
        let acts_left = self.scenario.acts.iter().any(|(after, _)| self.scenario.start + after + HOUR > now);
        if over_for.is_some_and(|over| over > 3 * HOUR) && !acts_left {
            self.at(now, Event::End);
            return Ok(());
        }
        let seen = Seen::of(self.scenario, &self.hub, &self.clouds, now);
        if over_for.is_none() {
            seen.waits_for_somebody(&self.checks)?;
        }
        if !self.scenario.cared_for {
            self.at(now, Event::End);
            return Ok(());
        }
        if round > ROUNDS {
            return Err(seen.never_ended());
        }
        if over_for.is_none() {
            self.care(round);
        }
        // Whoever cares comes often at first, and later looks in now and then.
        let next = if round < 72 { HOUR } else { 6 * HOUR };
        self.at(now + next, Event::Care(round + u32::try_from(next / HOUR).unwrap_or(1)));
        Ok(())
    }

    fn care(&mut self, round: u32) {
        let Some(rollout) = self.hub.rollout() else { return };
        let (run, status) = (rollout.spec.run, rollout.status.clone());
        if matches!(run, Run::Planned | Run::Paused) {
            self.act(&Act::Run);
        }
        if matches!(run, Run::Aborted | Run::RollingBack) {
            return;
        }
        for index in 0..self.scenario.members.len() {
            if self.hub.cluster(index).is_some_and(|cluster| cluster.paused) {
                self.act(&Act::PauseTenant(index, false));
            }
            let Some(member) = self.hub.member(index) else { continue };
            let (state, blocked) = (member.status.state, !member.status.blockers.is_empty());
            let (skipped, retry) = (member.spec.skip, member.spec.retry.clone());
            let answered = member.status.retry == retry;
            let tried = self.retries.get(index).copied().unwrap_or_default();
            match state {
                MemberState::Failed if answered && tried < 3 => self.act(&Act::Retry(index)),
                MemberState::Failed | MemberState::RolledBack if round > 12 && !skipped => {
                    self.act(&Act::Skip(index, true));
                }
                MemberState::Pending | MemberState::Preflight if blocked && round > 12 && !skipped => {
                    self.act(&Act::Skip(index, true));
                }
                _ => {}
            }
        }
        // Where too few are left that can succeed, nothing but another rollout helps, and the report says so.
        let hopeless = status.report.iter().any(|entry| entry.code == "MinimumOutOfReach");
        if status.phase == RolloutPhase::Stopped && hopeless && round > 30 {
            self.act(&Act::Abort);
        } else if status.phase == RolloutPhase::Stopped {
            self.act(&Act::Acknowledge);
        }
        self.approve(status.wave.as_deref());
    }

    /// The right people vote on the gates of a wave that have not opened.
    fn approve(&mut self, wave: Option<&str>) {
        let Some(wave) = self.scenario.waves.iter().find(|known| Some(known.name.as_str()) == wave) else {
            return;
        };
        for gate in wave.before.iter().chain(&wave.after) {
            let Some(approval) = &gate.approval else { continue };
            let opened = self.hub.rollout().is_some_and(|rollout| {
                let gates = rollout.status.waves.iter().flat_map(|wave| &wave.gates);
                gates.into_iter().any(|known| known.name == gate.name && known.opened_at.is_some())
            });
            let lately = timestamp(self.now - DAY);
            let voted = self.hub.votes().iter().filter(|vote| vote.gate == gate.name && vote.at > lately);
            if opened || voted.count() > 24 {
                continue;
            }
            for role in &approval.roles {
                let Some(known) = self.scenario.approvers.iter().find(|known| known.name == *role) else {
                    continue;
                };
                for user in known.users.iter().filter(|user| *user != AUTHOR) {
                    self.act(&Act::Vote {
                        gate: gate.name.clone(),
                        role: role.clone(),
                        approver: user.clone(),
                        this_plan: true,
                    });
                }
            }
        }
    }
}
