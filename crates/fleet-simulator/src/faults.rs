//! What goes wrong, and what becomes of controllers by it.

use crate::{
    scenario::{Fault, KINDS, Kind},
    time::{MINUTE, Millis, SECOND, length},
    world::{Event, World},
};

impl World<'_> {
    pub(crate) fn go_wrong(&mut self, fault: &Fault) {
        if self.mended {
            return;
        }
        let now = self.now;
        let leader = self.acting().next();
        match *fault {
            Fault::Crash { writes, after, down } => {
                if let Some(process) = leader.and_then(|leader| self.processes.get_mut(leader)) {
                    process.crash = Some((writes.max(1), after, down));
                }
            }
            Fault::Outage(down) => {
                for index in 0..self.processes.len() {
                    self.crash(index, down);
                }
            }
            Fault::Freeze(time) => {
                if let Some(leader) = leader {
                    if let Some(process) = self.processes.get_mut(leader) {
                        process.frozen = true;
                    }
                    self.log.say(now, "fault", || {
                        format!("the leading controller stands still for {}", length(time))
                    });
                    self.at(now + time, Event::Thaw(leader));
                    self.hand_over(leader);
                }
            }
            Fault::Overlap(time) => {
                if let Some(leader) = leader {
                    self.log.say(now, "fault", || format!("both controllers act for {}", length(time)));
                    self.at(now, Event::TakeOver(1 - leader));
                    self.at(now + time, Event::StandDown(leader));
                }
            }
            Fault::LostWatch(kind, time) => {
                self.log.say(now, "fault", || format!("the watch of {kind:?} is lost for {}", length(time)));
                if let Some(process) = leader.and_then(|leader| self.processes.get_mut(leader))
                    && let Some(until) = process.lost_until.get_mut(kind as usize)
                {
                    *until = now + time;
                }
                let lag = self.lag(kind);
                for index in 0..self.processes.len() {
                    self.wake(index, now + time + lag + 1);
                }
            }
            Fault::Lag(kind, by, time) => {
                self.log.say(now, "fault", || {
                    format!("caches of {kind:?} lag by {} more for {}", length(by), length(time))
                });
                if let Some(lag) = self.more_lag.get_mut(kind as usize) {
                    *lag = (by, now + time);
                }
            }
            Fault::Flaky(percent, time) => {
                self.log.say(now, "fault", || format!("{percent} of 100 writes fail for {}", length(time)));
                self.flaky = (percent, now + time);
            }
            Fault::Slow(by, time) => {
                self.log.say(now, "fault", || format!("writes take {by} ms more for {}", length(time)));
                self.slow = (by, now + time);
            }
            Fault::ClockStep(process, by, time) => {
                self.log.say(now, "fault", || {
                    format!(
                        "the clock of controller {} steps by {}",
                        if process == 0 { "a" } else { "b" },
                        length(by)
                    )
                });
                let clock = self.processes.get(process).map_or(0, |process| process.clock);
                self.set_clock(process, clock + by);
                self.at(now + time, Event::ClockRight(process));
            }
            Fault::Offline(index, time) => {
                let name = self.name(index).to_owned();
                self.log.say(now, "fault", || format!("{name}: cannot be reached for {}", length(time)));
                if let Some(cloud) = self.clouds.get_mut(index) {
                    cloud.offline_until = cloud.offline_until.max(now + time);
                }
                self.at(now + time + SECOND, Event::Look(index));
            }
            Fault::Sick(index, time) => self.fall_sick(index, time),
            Fault::Rival(index, time) => {
                let until = now + time;
                if self.hub.take(now, index, until) {
                    let name = self.name(index).to_owned();
                    self.log.say(now, "rival", || format!("{name}: is taken for {}", length(time)));
                    self.announce(Kind::Cluster);
                    let lag = self.lag(Kind::Rollout);
                    for process in 0..self.processes.len() {
                        self.wake(process, until + lag + 1);
                    }
                }
            }
        }
    }

    pub(crate) fn set_clock(&mut self, index: usize, to: Millis) {
        if let Some(process) = self.processes.get_mut(index)
            && process.clock != to
        {
            process.clock = to;
            self.wake(index, self.now);
        }
    }

    /// A controller dies: what it had not written is forgotten.
    pub(crate) fn crash(&mut self, index: usize, down: Millis) {
        let now = self.now;
        let Some(process) = self.processes.get_mut(index) else { return };
        if !process.alive {
            return;
        }
        let led = process.leads;
        process.alive = false;
        process.leads = false;
        process.frozen = false;
        process.incarnation += 1;
        process.writes.clear();
        process.lost_until = [0; 4];
        let name = if index == 0 { "a" } else { "b" };
        self.log.say(now, "fault", || format!("controller {name} dies for {}", length(down)));
        self.at(now + down, Event::Restart(index));
        if led {
            self.hand_over(index);
        }
    }

    /// The lease of a controller runs out after a while, and the other one takes it.
    fn hand_over(&mut self, from: usize) {
        let after = self.luck.between(10 * SECOND, 45 * SECOND);
        self.at(self.now + after, Event::TakeOver(1 - from));
    }

    pub(crate) fn on_restart(&mut self, index: usize) {
        // The first list of a fresh process may come from a server that is behind.
        let behind = KINDS.map(|kind| self.lag(kind));
        let now = self.now;
        if let Some(process) = self.processes.get_mut(index) {
            process.alive = true;
            for (synced, behind) in process.synced.iter_mut().zip(behind) {
                *synced = now - process.random.between(0, 3 * behind);
            }
        }
        if !self.processes.iter().any(|process| process.alive && process.leads) {
            let after = self.luck.between(SECOND, 20 * SECOND);
            self.at(now + after, Event::TakeOver(index));
        }
    }

    pub(crate) fn on_take_over(&mut self, index: usize) {
        let now = self.now;
        let Some(process) = self.processes.get_mut(index) else { return };
        if !process.alive || process.leads {
            return;
        }
        process.leads = true;
        process.rested_at = 0;
        let name = if index == 0 { "a" } else { "b" };
        self.log.say(now, "lease", || format!("controller {name} takes over"));
        self.wake(index, now);
        self.at(now + SECOND, Event::Look(0));
    }

    pub(crate) fn on_stand_down(&mut self, index: usize) {
        let other_acts = self.acting().any(|acting| acting != index);
        let now = self.now;
        let Some(process) = self.processes.get_mut(index) else { return };
        if !process.leads || !other_acts {
            return;
        }
        process.leads = false;
        process.writes.clear();
        process.incarnation += 1;
        let name = if index == 0 { "a" } else { "b" };
        self.log.say(now, "lease", || format!("controller {name} stands down"));
    }

    pub(crate) fn on_thaw(&mut self, index: usize) {
        let now = self.now;
        let after = self.luck.between(0, 15 * SECOND);
        let Some(process) = self.processes.get_mut(index) else { return };
        if !process.frozen {
            return;
        }
        process.frozen = false;
        let (incarnation, wants) = (process.incarnation, !process.writes.is_empty());
        let name = if index == 0 { "a" } else { "b" };
        self.log.say(now, "fault", || format!("controller {name} goes on where it stood"));
        if wants {
            // What it had begun to send arrives now.
            self.at(now + 1, Event::Write(index, incarnation));
        }
        self.wake(index, now);
        self.at(now + after, Event::StandDown(index));
        self.at(now + MINUTE, Event::StandDown(index));
    }
}
