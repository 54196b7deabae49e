//! The simulated world: what is true, and the queue of what happens next.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, VecDeque},
};

use fleet_api::v1alpha1::{Move, RolloutMemberStatus, RolloutStatus};

use crate::{
    Engine,
    checks::{Checks, Seen, Violation},
    cloud::Cloud,
    hub::Hub,
    log::Log,
    random::Random,
    scenario::{KINDS, Kind, Scenario},
    time::{HOUR, MINUTE, Millis, SECOND},
};

/// What happens at a moment. Numbers are indexes of processes, members, acts and faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    /// A controller has something to look at.
    Wake(usize),
    /// A controller's next write reaches the management cluster.
    Write(usize, u32),
    /// A controller comes back.
    Restart(usize),
    /// A controller gets the lease.
    TakeOver(usize),
    /// A controller notices that it has lost the lease.
    StandDown(usize),
    /// A controller that stood still goes on.
    Thaw(usize),
    /// A controller's clock is put right.
    ClockRight(usize),
    /// A cluster is looked at.
    Look(usize),
    /// Every cluster that a rollout wants something of is looked at.
    LookAll,
    /// The cloud ends a change of a cluster.
    CloudEnds(usize, u64),
    /// A member is stored, later than the rollout.
    Stored(usize),
    /// A cluster falls unhealthy for so long.
    Sick(usize, Millis),
    /// A deleted cluster is gone, and another one of its name is made when the flag says so.
    Gone(usize, bool),
    /// A person does something.
    Act(usize),
    /// Something goes wrong.
    Fault(usize),
    /// Everything that was broken is mended.
    Mend,
    /// Somebody looks at what the rollout waits for.
    Care(u32),
    /// The end of the simulation.
    End,
}

/// A write that a controller is about to make.
#[derive(Debug, Clone)]
pub(crate) enum Write {
    Rollout(String, Box<RolloutStatus>),
    Member(usize, String, Box<RolloutMemberStatus>),
    Move(usize, Box<Move>),
}

/// A controller's process.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) alive: bool,
    pub(crate) leads: bool,
    pub(crate) frozen: bool,
    pub(crate) incarnation: u32,
    /// How far its clock is from the truth.
    pub(crate) clock: Millis,
    /// Up to which moment each cache knows what was stored.
    pub(crate) synced: [Millis; 4],
    pub(crate) lost_until: [Millis; 4],
    pub(crate) wakes: BTreeSet<Millis>,
    /// When it looks again by itself.
    pub(crate) timer: Option<Millis>,
    pub(crate) rested_at: Millis,
    pub(crate) writes: VecDeque<Write>,
    /// After how many more writes it dies, whether the last one takes effect, and for how long it stays down.
    pub(crate) crash: Option<(u32, bool, Millis)>,
    pub(crate) random: Random,
}

/// The world.
pub(crate) struct World<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) engine: &'a Engine<'a>,
    pub(crate) now: Millis,
    queue: BinaryHeap<Reverse<(Millis, u64, Event)>>,
    events: u64,
    pub(crate) hub: Hub,
    pub(crate) clouds: Vec<Cloud>,
    /// The move that each cluster's loop acted on last, by id.
    pub(crate) acted_on: Vec<String>,
    pub(crate) processes: [Process; 2],
    pub(crate) checks: Checks,
    pub(crate) log: Log,
    pub(crate) luck: Random,
    pub(crate) mended: bool,
    pub(crate) more_lag: [(Millis, Millis); 4],
    pub(crate) flaky: (u64, Millis),
    pub(crate) slow: (Millis, Millis),
    pub(crate) rounds: u64,
    pub(crate) ticks: u64,
    pub(crate) retries: Vec<u32>,
    pub(crate) over_since: Option<Millis>,
    /// A rule that was broken by what was seen of a cluster.
    pub(crate) broken: Option<Violation>,
}

/// More ticks than this say that a controller never rests.
const TICKS_PER_MEMBER: u64 = 20_000;

impl<'a> World<'a> {
    pub(crate) fn new(scenario: &'a Scenario, engine: &'a Engine<'a>, log: Log) -> Self {
        let process = |index: usize| Process {
            alive: true,
            leads: index == 0,
            frozen: false,
            incarnation: 0,
            clock: 0,
            synced: [scenario.start; 4],
            lost_until: [0; 4],
            wakes: BTreeSet::new(),
            timer: None,
            rested_at: 0,
            writes: VecDeque::new(),
            crash: None,
            random: Random::new(
                scenario.seed,
                if index == 0 { "first controller" } else { "second controller" },
            ),
        };
        let members = scenario.members.len();
        let mut world = Self {
            scenario,
            engine,
            now: scenario.start,
            queue: BinaryHeap::new(),
            events: 0,
            hub: Hub::new(&scenario.members),
            clouds: scenario.members.iter().map(Cloud::new).collect(),
            acted_on: vec![String::new(); members],
            processes: [process(0), process(1)],
            checks: Checks::new(scenario),
            log,
            luck: Random::new(scenario.seed, "clusters"),
            mended: false,
            more_lag: [(0, 0); 4],
            flaky: (0, 0),
            slow: (0, 0),
            rounds: 0,
            ticks: 0,
            retries: vec![0; members],
            over_since: None,
            broken: None,
        };
        world.furnish();
        world
    }

    /// Puts into the queue what the scenario has written down.
    fn furnish(&mut self) {
        crate::start::store(self);
        let start = self.scenario.start;
        for (index, (after, _)) in self.scenario.acts.iter().enumerate() {
            self.at(start + after, Event::Act(index));
        }
        for (index, (after, _)) in self.scenario.faults.iter().enumerate() {
            self.at(start + after, Event::Fault(index));
        }
        self.at(start + SECOND, Event::LookAll);
        self.at(start + self.scenario.mended_after, Event::Mend);
        self.at(start + self.scenario.mended_after + 12 * HOUR, Event::Care(0));
        self.wake(0, start);
    }

    /// Lets something happen at a moment.
    pub(crate) fn at(&mut self, at: Millis, event: Event) {
        self.events += 1;
        self.queue.push(Reverse((at.max(self.now), self.events, event)));
    }

    /// Wakes a controller at a moment; wakes within the same second are one.
    pub(crate) fn wake(&mut self, process: usize, at: Millis) {
        let at = at.max(self.now);
        let at = at + (SECOND - at.rem_euclid(SECOND)) % SECOND;
        if self.processes.get_mut(process).is_some_and(|process| process.wakes.insert(at)) {
            self.at(at, Event::Wake(process));
        }
    }

    /// The longest time that a cache of a kind lags at the moment.
    pub(crate) fn lag(&self, kind: Kind) -> Millis {
        let index = kind as usize;
        let more = self.more_lag.get(index).filter(|(_, until)| self.now < *until).map_or(0, |(by, _)| *by);
        self.scenario.pace.lag.get(index).copied().unwrap_or_default() + more
    }

    /// Tells both controllers that an object of a kind has changed: each will look once its cache has it.
    pub(crate) fn announce(&mut self, kind: Kind) {
        let lag = self.lag(kind);
        for index in 0..self.processes.len() {
            let heard = self.processes.get(index).filter(|process| process.alive).map(|process| {
                process.lost_until.get(kind as usize).copied().unwrap_or_default().max(self.now) + lag + 1
            });
            if let Some(heard) = heard {
                self.wake(index, heard);
            }
        }
    }

    /// Lets a controller's caches catch up as far as they do.
    pub(crate) fn sync(&mut self, process: usize) {
        let lags = KINDS.map(|kind| self.lag(kind));
        let now = self.now;
        if let Some(process) = self.processes.get_mut(process) {
            for ((synced, lost_until), lag) in process.synced.iter_mut().zip(process.lost_until).zip(lags) {
                let behind = process.random.between(0, lag);
                if now >= lost_until {
                    *synced = (*synced).max(now - behind);
                }
            }
        }
    }

    /// The controllers that act at the moment.
    pub(crate) fn acting(&self) -> impl Iterator<Item = usize> {
        let acts = |process: &Process| process.alive && process.leads && !process.frozen;
        self.processes.iter().enumerate().filter(move |(_, process)| acts(process)).map(|(index, _)| index)
    }

    /// Runs to the end, or to the first rule that is broken.
    pub(crate) fn run(&mut self) -> Option<Violation> {
        while let Some(Reverse((at, _, event))) = self.queue.pop() {
            self.now = at;
            if event == Event::End {
                let seen = Seen::of(self.scenario, &self.hub, &self.clouds, self.now);
                return seen.at_the_end(&self.checks);
            }
            let happened = self.happen(event);
            if let Err(violation) = happened {
                return Some(violation);
            }
        }
        None
    }

    fn happen(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::Wake(process) => self.on_wake(process)?,
            Event::Write(process, incarnation) => self.on_write(process, incarnation)?,
            Event::Restart(process) => self.on_restart(process),
            Event::TakeOver(process) => self.on_take_over(process),
            Event::StandDown(process) => self.on_stand_down(process),
            Event::Thaw(process) => self.on_thaw(process),
            Event::ClockRight(process) => self.set_clock(process, 0),
            Event::Look(member) => self.look(member),
            Event::LookAll => self.look_at_all(),
            Event::CloudEnds(member, id) => self.on_cloud_ends(member, id),
            Event::Stored(member) => {
                crate::start::store_member(self, member);
                self.announce(Kind::Member);
            }
            Event::Sick(member, length) => self.fall_sick(member, length),
            Event::Gone(member, again) => self.on_gone(member, again),
            Event::Act(index) => {
                if let Some((_, act)) = self.scenario.acts.get(index) {
                    self.act(act);
                }
            }
            Event::Fault(index) => {
                if let Some((_, fault)) = self.scenario.faults.get(index) {
                    self.go_wrong(&fault.clone());
                }
            }
            Event::Mend => self.mend(),
            Event::Care(round) => self.on_care(round)?,
            Event::End => {}
        }
        if let Some(violation) = self.broken.take() {
            return Err(violation);
        }
        if self.ticks > TICKS_PER_MEMBER + TICKS_PER_MEMBER / 10 * self.scenario.members.len() as u64 {
            let text = format!("the controllers ticked {} times and found no rest", self.ticks);
            return Err(Violation::new(crate::checks::Rule::Liveness, self.now, text));
        }
        Ok(())
    }

    /// Everything that was broken is mended, and no fault comes after.
    fn mend(&mut self) {
        self.mended = true;
        self.log.say(self.now, "world", || "everything that was broken is mended".to_owned());
        self.more_lag = [(0, 0); 4];
        self.flaky = (0, 0);
        self.slow = (0, 0);
        for index in 0..self.processes.len() {
            self.set_clock(index, 0);
            if let Some(process) = self.processes.get_mut(index) {
                process.lost_until = [0; 4];
                process.crash = None;
            }
            self.wake(index, self.now);
        }
        for index in 0..self.clouds.len() {
            if let Some((id, ends)) = self.clouds.get_mut(index).and_then(|cloud| cloud.mend(self.now)) {
                self.at(ends, Event::CloudEnds(index, id));
            }
            self.at(self.now + MINUTE, Event::Look(index));
            self.at(self.now + 11 * MINUTE, Event::Look(index));
        }
    }
}
