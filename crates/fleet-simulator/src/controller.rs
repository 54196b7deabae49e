//! A controller's process: it ticks on what its caches know, and makes its writes one after the other.

use std::collections::BTreeMap;

use fleet_api::v1alpha1::{MemberState, RolloutMemberStatus, RolloutStatus};
use fleet_plan::rollout::{CheckResult, ClusterView, MemberView, RolloutView, Tick, World as Reading};

use crate::{
    checks::{Seen, Violation},
    hub::Refused,
    scenario::Kind,
    start::{PLAN, ROLLOUT, ROLLOUT_UID},
    time::{MINUTE, Millis, SECOND, timestamp},
    world::{Event, World, Write},
};

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Done,
    /// It was refused, or no answer came.
    Failed,
}

impl World<'_> {
    pub(crate) fn on_wake(&mut self, index: usize) -> Result<(), Violation> {
        let (now, rest) = (self.now, self.scenario.pace.rest);
        let Some(process) = self.processes.get_mut(index) else { return Ok(()) };
        let due =
            process.timer.is_some_and(|at| at <= now) || process.wakes.first().is_some_and(|at| *at <= now);
        if !due {
            return Ok(());
        }
        process.wakes.retain(|at| *at > now);
        process.timer = process.timer.filter(|at| *at > now);
        if !process.alive || !process.leads || process.frozen {
            return Ok(());
        }
        if !process.writes.is_empty() {
            // It looks again when it has made its writes.
            let at = now + rest.max(SECOND);
            self.wake(index, at);
            return Ok(());
        }
        let rested = process.rested_at + rest;
        if now < rested {
            self.wake(index, rested);
            return Ok(());
        }
        self.tick(index)
    }

    fn tick(&mut self, index: usize) -> Result<(), Violation> {
        self.sync(index);
        self.ticks += 1;
        let Some(process) = self.processes.get(index) else { return Ok(()) };
        let [of_rollout, of_members, of_clusters, of_votes] = process.synced;
        let clock = process.clock;
        let Some(rollout) = self.hub.rollout.as_of(of_rollout).cloned() else { return Ok(()) };
        let mut members = BTreeMap::new();
        for (index, (history, clusters)) in self.hub.members.iter().zip(&self.hub.clusters).enumerate() {
            let Some(member) = history.as_of(of_members) else { continue };
            let (spec, status) = (&*member.value.spec, &*member.value.status);
            let cluster = clusters.as_of(of_clusters).map(|cluster| &cluster.value);
            let view = MemberView {
                version: &member.version,
                spec,
                status,
                cluster: cluster.filter(|cluster| *cluster.uid == *spec.cluster_uid).map(|cluster| {
                    ClusterView {
                        uid: &cluster.uid,
                        deleting: cluster.deleting,
                        paused: cluster.paused,
                        maintenance: cluster.maintenance.as_deref(),
                        current: cluster.current.as_deref(),
                        taken_by: self.hub.rival_of(index, cluster.current.as_deref(), of_rollout),
                        baseline: &cluster.baseline,
                        versions: &cluster.versions,
                        evidence: cluster.evidence.as_deref(),
                    }
                }),
            };
            members.insert(spec.cluster.clone(), view);
        }
        let reading = Reading {
            rollout: RolloutView {
                name: ROLLOUT,
                uid: ROLLOUT_UID,
                generation: rollout.value.generation,
                version: &rollout.version,
                deleting: false,
                spec: &rollout.value.spec,
                status: &rollout.value.status,
            },
            members,
            votes: self.hub.votes.as_of(of_votes).map(|votes| votes.value.clone()).unwrap_or_default(),
            checks: self.check_results(clock),
            stored_plan: PLAN.to_owned(),
            approvers: &self.scenario.approvers,
            now: timestamp(self.now + clock),
        };
        let Tick { status, members, moves, wake_at } = (self.engine)(&reading);
        let version = rollout.version.clone();
        let mut writes = Vec::new();
        writes.extend(status.map(|status| Write::Rollout(version, Box::new(status))));
        for (name, version, status) in members {
            let member = self.member_named(&name)?;
            writes.push(Write::Member(member, version, Box::new(status)));
        }
        for (name, wanted) in moves {
            writes.push(Write::Move(self.member_named(&name)?, Box::new(wanted)));
        }
        // A timer runs for a length of time; the clock only says how long. It takes the place of the one before.
        let timer = wake_at.map(|at| self.now + (at.as_millisecond() - self.now - clock).max(0) + 1);
        if let Some(at) = timer {
            self.at(at, Event::Wake(index));
        }
        if let Some(process) = self.processes.get_mut(index) {
            process.rested_at = self.now;
            process.timer = timer;
            process.writes = writes.into();
        }
        self.next_write(index);
        Ok(())
    }

    fn member_named(&self, name: &str) -> Result<usize, Violation> {
        self.hub.named(name).ok_or_else(|| {
            let text = format!("the tick speaks of `{name}`, which is no member");
            Violation::new(crate::checks::Rule::Nobody, self.now, text)
        })
    }

    /// What the checks of the gates last said.
    fn check_results(&self, clock: Millis) -> BTreeMap<String, CheckResult> {
        let mut results = BTreeMap::new();
        let gates = self.scenario.waves.iter().flat_map(|wave| wave.before.iter().chain(&wave.after));
        for gate in gates.filter(|gate| gate.approval.is_none() && gate.not_before.is_none()) {
            let opens = self.check_opens(&gate.name);
            // They are made once a minute; before the first one ends nothing is known.
            let at = self.now - self.now.rem_euclid(MINUTE);
            let passed = (at >= self.scenario.start + MINUTE).then_some(at >= opens);
            let message = "as the simulated check said".to_owned();
            results.insert(gate.name.clone(), CheckResult { at: timestamp(at + clock), passed, message });
        }
        results
    }

    /// The moment from which a check passes.
    pub(crate) fn check_opens(&self, gate: &str) -> Millis {
        let after = self.scenario.checks.iter().find(|(name, _)| name == gate).map_or(0, |(_, after)| *after);
        self.scenario.start + after
    }

    /// Sends the next write on its way.
    fn next_write(&mut self, index: usize) {
        let more = if self.now < self.slow.1 { self.slow.0 } else { 0 };
        let latency = self.scenario.pace.latency;
        let Some(process) = self.processes.get_mut(index) else { return };
        if process.writes.is_empty() {
            process.rested_at = self.now;
            return;
        }
        let takes = process.random.between(1, latency.max(1)) + more;
        let event = Event::Write(index, process.incarnation);
        self.at(self.now + takes, event);
    }

    pub(crate) fn on_write(&mut self, index: usize, incarnation: u32) -> Result<(), Violation> {
        let flaky = if self.now < self.flaky.1 { self.flaky.0 } else { 0 };
        let Some(process) = self.processes.get_mut(index) else { return Ok(()) };
        if process.incarnation != incarnation || !process.alive || process.frozen {
            return Ok(());
        }
        let Some(write) = process.writes.pop_front() else { return Ok(()) };
        let dies = match &mut process.crash {
            Some((left, after, down)) if *left <= 1 => Some((*after, *down)),
            Some((left, ..)) => {
                *left -= 1;
                None
            }
            None => None,
        };
        if let Some((after, down)) = dies {
            process.crash = None;
            if after {
                let _ = self.make(index, write)?;
            }
            self.crash(index, down);
            return Ok(());
        }
        let (fails, takes_effect) = (process.random.chance(flaky), process.random.chance(60));
        let answer = if fails {
            if takes_effect {
                let _ = self.make(index, write)?;
            }
            Answer::Failed
        } else {
            self.make(index, write)?
        };
        if answer == Answer::Failed {
            if let Some(process) = self.processes.get_mut(index) {
                process.writes.clear();
                process.rested_at = self.now;
            }
            let again = self.now + 2 * SECOND;
            self.wake(index, again);
        }
        self.next_write(index);
        Ok(())
    }

    /// Carries out a write on the management cluster, and lets the rules look at what it changed.
    fn make(&mut self, process: usize, write: Write) -> Result<Answer, Violation> {
        let now = self.now;
        let who = if process == 0 { "controller a" } else { "controller b" };
        let result = match write {
            Write::Rollout(version, status) => self.make_rollout(who, &version, *status)?,
            Write::Member(index, version, status) => self.make_member(who, index, &version, *status)?,
            Write::Move(index, wanted) => {
                let old = self.hub.cluster(index).and_then(|cluster| cluster.current.clone());
                let result = self.hub.apply_move(now, index, (*wanted).clone());
                if result.is_ok() && old.as_deref() != Some(&*wanted) {
                    self.announce(Kind::Cluster);
                    let lag = self.lag(Kind::Cluster);
                    self.at(now + lag + 1, Event::Look(index));
                    let name = self.name(index).to_owned();
                    self.log.say(now, who, || {
                        let version = wanted.version.map(|v| v.to_string()).unwrap_or_default();
                        let baseline = wanted.baseline.as_deref().unwrap_or_default();
                        let addon = wanted.addons.first().and_then(|addon| addon.version.as_deref());
                        let addon = addon.unwrap_or_default();
                        let halted = match (wanted.over, wanted.halted) {
                            (true, _) => ", over",
                            (false, true) => ", halted",
                            (false, false) => "",
                        };
                        format!(
                            "{name}: move {} {:?} {version}{baseline}{addon} (seq {}{halted})",
                            wanted.id, wanted.stage, wanted.seq
                        )
                    });
                    Seen::of(self.scenario, &self.hub, &self.clouds, now).move_stored(
                        &mut self.checks,
                        index,
                        old.as_deref(),
                        &wanted,
                    )?;
                }
                result
            }
        };
        Ok(match result {
            Ok(()) => Answer::Done,
            Err(Refused::Conflict | Refused::NotFound | Refused::Older) => Answer::Failed,
        })
    }

    fn make_rollout(
        &mut self,
        who: &str,
        version: &str,
        status: RolloutStatus,
    ) -> Result<Result<(), Refused>, Violation> {
        let now = self.now;
        let old = self.hub.rollout().map(|rollout| rollout.status.clone()).unwrap_or_default();
        let result = self.hub.write_rollout_status(now, version, status.clone());
        if result.is_ok() {
            self.announce(Kind::Rollout);
            self.log_rollout(who, &old, &status);
            Seen::of(self.scenario, &self.hub, &self.clouds, now).rollout_stored(
                &mut self.checks,
                &old,
                &status,
            )?;
            if status.phase.is_over() {
                self.over_since.get_or_insert(now);
            } else {
                self.over_since = None;
            }
        }
        Ok(result)
    }

    fn make_member(
        &mut self,
        who: &str,
        index: usize,
        version: &str,
        status: RolloutMemberStatus,
    ) -> Result<Result<(), Refused>, Violation> {
        let now = self.now;
        let old = self.hub.member(index).map(|member| member.status.clone()).unwrap_or_default();
        let result = self.hub.write_member_status(now, index, version, status.clone());
        if result.is_ok() {
            self.announce(Kind::Member);
            if old.state != status.state || old.message != status.message {
                let name = self.name(index).to_owned();
                let (state, message) = (status.state, status.message.clone());
                self.log.say(now, who, || match old.state == state {
                    true => format!("{name}: {state:?}: {message}"),
                    false => format!("{name}: {:?} -> {state:?}: {message}", old.state),
                });
            }
            Seen::of(self.scenario, &self.hub, &self.clouds, now).member_stored(
                &mut self.checks,
                index,
                &old,
                &status,
            )?;
        }
        Ok(result)
    }

    fn log_rollout(&mut self, who: &str, old: &RolloutStatus, new: &RolloutStatus) {
        if old.phase != new.phase || old.wave != new.wave {
            self.log.say(self.now, who, || {
                let wave = new.wave.as_deref().unwrap_or("-");
                let reasons: Vec<_> =
                    new.report.iter().map(|entry| format!("{} ({})", entry.message, entry.who)).collect();
                format!("rollout {:?}, wave {wave}: {}", new.phase, reasons.join("; "))
            });
        }
        if old.ledger.seq != new.ledger.seq {
            self.log.say(self.now, who, || {
                let ledger = &new.ledger;
                let part = |what: &str, names: &[String]| match names {
                    [] => String::new(),
                    names => format!("; {what}: {}", names.join(", ")),
                };
                let (begin, back) = (part("begin", &ledger.granted), part("move back", &ledger.back));
                format!("ledger entry {}{begin}{back}{}", ledger.seq, part("noted", &ledger.noted))
            });
        }
        for wave in &new.waves {
            let before = old.waves.iter().find(|old| old.name == wave.name);
            if wave.passed_at.is_some() && before.is_none_or(|old| old.passed_at.is_none()) {
                let counts = wave.counts;
                self.log.say(self.now, who, || {
                    format!("wave {} passed: {} of {} succeeded", wave.name, counts.succeeded, counts.members)
                });
            }
            for gate in &wave.gates {
                let opened = before
                    .and_then(|old| old.gates.iter().find(|old| old.name == gate.name))
                    .is_some_and(|old| old.opened_at.is_some());
                if gate.opened_at.is_some() && !opened {
                    self.log.say(self.now, who, || {
                        format!("gate {} opened: {} {}", gate.name, gate.message, gate.votes.join(", "))
                    });
                }
            }
        }
    }

    /// A member's name.
    pub(crate) fn name(&self, index: usize) -> &str {
        self.scenario.members.get(index).map_or("?", |member| member.name.as_str())
    }

    /// The state of a member as it is stored.
    pub(crate) fn state(&self, index: usize) -> MemberState {
        self.hub.member(index).map(|member| member.status.state).unwrap_or_default()
    }
}
