//! Slots: which member of a wave begins when.
//!
//! It is the rollout played forward with nothing failing: as many members move at once as the wave allows, and each place
//! that becomes free goes to the first member, in the order of the wave, whose window is open and long enough.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
    rc::Rc,
};

use fleet_api::v1alpha1::Maintenance;
use jiff::{SignedDuration, Timestamp};

use super::work::{Course, VERIFY, Work, later};
use crate::windows::{Begin, Change, Timeline};

/// How far ahead slots are looked for. A year and a month: a freeze that is longer is no freeze.
const HORIZON_DAYS: i64 = 400;

/// The members of a wave, in the order in which they are preferred.
#[derive(Debug)]
pub(super) struct WaveTasks<'a> {
    pub(super) tasks: Vec<Task<'a>>,
    /// How many of them may be moving at once.
    pub(super) lanes: usize,
    /// In minutes.
    pub(super) soak: i64,
    /// The moments of its gates before which it does not begin, by the gate's index.
    pub(super) before: Vec<(usize, Timestamp)>,
    /// The moments of its gates before which it does not pass, by the gate's index.
    pub(super) after: Vec<(usize, Timestamp)>,
}

/// A member to be given a slot.
#[derive(Debug)]
pub(super) struct Task<'a> {
    /// Its index among the candidates.
    pub(super) candidate: usize,
    pub(super) work: Work,
    /// What is to be left of the window at its slot, in minutes.
    pub(super) wanted: i64,
    /// When it may be disturbed; `None` at any time. Members with the same times share them.
    pub(super) times: Option<Rc<Timeline<'a>>>,
    /// When the hop before of a chain is over for it.
    pub(super) not_before: Option<Timestamp>,
    /// When a change last disturbed it.
    pub(super) last_change: Option<Timestamp>,
    pub(super) deadlines: Vec<Deadline>,
}

/// A moment by which something of a member has to be over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Deadline {
    pub(super) at: Timestamp,
    pub(super) of: DeadlineOf,
}

/// What has to be over by a [`Deadline`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum DeadlineOf {
    /// The move of the control plane, before support of the minor ends.
    Support,
    /// Everything, its soak included, by the day that was asked for.
    Asked,
}

/// When a member moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) begin: Timestamp,
    /// When the window closes.
    pub(super) until: Option<Timestamp>,
    pub(super) course: Course,
    /// When its place is free again.
    pub(super) verified: Timestamp,
    /// When its soak ends.
    pub(super) ends: Timestamp,
}

impl Slot {
    /// When that is over which a deadline is about.
    pub(super) const fn over(&self, of: DeadlineOf) -> Timestamp {
        match of {
            DeadlineOf::Support => self.course.first,
            DeadlineOf::Asked => self.ends,
        }
    }
}

/// When a wave runs. Its slots are in the order of its tasks; one that found no slot within the horizon has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WaveRun {
    pub(super) opens: Timestamp,
    pub(super) slots: Vec<Option<Slot>>,
    pub(super) begins: Timestamp,
    pub(super) moved: Timestamp,
    pub(super) soaked: Timestamp,
    pub(super) ends: Timestamp,
}

/// A rule that keeps members from moving earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rule {
    /// A gate of a wave that opens at a moment: the wave, the gate's index, and whether it stands before the wave.
    NotBefore { wave: usize, gate: usize, before: bool },
    /// The soak of a wave.
    Soak(usize),
    /// How many members of a wave may be moving at once.
    Concurrency(usize),
    /// Windows and freezes of the other members of a wave.
    Others(usize),
    /// A freeze of the member, by its index.
    Freeze(usize),
    /// The minimum gap of the member.
    Gap,
    /// The days up to which the member's changes were put off.
    PutOff,
    /// The windows of the member.
    Windows,
    /// The deadline of the member.
    Deadline,
}

/// Rules that are left out, for one member: by wave and task.
#[derive(Debug, Clone)]
pub(super) struct Relaxed {
    pub(super) wave: usize,
    pub(super) task: usize,
    pub(super) rules: BTreeSet<Rule>,
}

/// How far ahead slots are looked for.
pub(super) fn horizon(now: Timestamp) -> Timestamp {
    now.checked_add(SignedDuration::from_hours(HORIZON_DAYS * 24)).unwrap_or(Timestamp::MAX)
}

/// Plays waves forward from a moment.
pub(super) fn run(waves: &[WaveTasks<'_>], now: Timestamp) -> Vec<WaveRun> {
    let horizon = horizon(now);
    let mut runs = Vec::with_capacity(waves.len());
    let mut at = now;
    for (index, wave) in waves.iter().enumerate() {
        let run = run_wave(index, wave, at, horizon, None);
        at = run.ends;
        runs.push(run);
    }
    runs
}

/// Plays one wave forward from a moment, with some rules left out.
pub(super) fn run_wave(
    index: usize,
    wave: &WaveTasks<'_>,
    at: Timestamp,
    horizon: Timestamp,
    relaxed: Option<&Relaxed>,
) -> WaveRun {
    let out = |rule: Rule| relaxed.is_some_and(|relaxed| relaxed.rules.contains(&rule));
    let open = |gates: &[(usize, Timestamp)], before: bool, at: Timestamp| {
        let held =
            gates.iter().filter(|(gate, _)| !out(Rule::NotBefore { wave: index, gate: *gate, before }));
        held.map(|(_, moment)| *moment).fold(at, Ord::max)
    };
    let opens = open(&wave.before, true, at);
    let soak = if out(Rule::Soak(index)) { 0 } else { wave.soak };
    let lanes = if out(Rule::Concurrency(index)) { wave.tasks.len() } else { wave.lanes };
    // Only the member that is asked about, and the others of a wave together, are ever changed.
    let own: Option<Maintenance> = relaxed.filter(|relaxed| relaxed.wave == index).and_then(|relaxed| {
        let times = wave.tasks.get(relaxed.task)?.times.as_ref()?;
        Some(without(times.maintenance(), &relaxed.rules))
    });
    let own = own.as_ref().and_then(|own| Timeline::of(own, opens).ok());
    let gap_out = out(Rule::Gap);
    let others_free = out(Rule::Others(index));
    let times_of = |task: usize| -> Option<&Timeline<'_>> {
        match relaxed {
            Some(relaxed) if relaxed.wave == index && relaxed.task == task => own.as_ref(),
            _ if others_free => None,
            _ => wave.tasks.get(task).and_then(|task| task.times.as_deref()),
        }
    };
    let last_change_of = |task: usize| match relaxed {
        Some(relaxed) if gap_out && relaxed.wave == index && relaxed.task == task => None,
        _ => wave.tasks.get(task).and_then(|task| task.last_change),
    };
    let ask = |task: usize, at: Timestamp| {
        let (minutes, not_before) =
            wave.tasks.get(task).map(|task| (task.wanted, task.not_before)).unwrap_or_default();
        let change = Change::Begins { last: last_change_of(task) };
        let from = not_before.map_or(at, |moment| moment.max(at));
        match times_of(task).map_or(Begin::Now(None), |times| times.ask(change, from, minutes)) {
            Begin::Now(_) if from > at => Begin::Later(Some(from)),
            answer => answer,
        }
    };
    let slots = fill(&wave.tasks, &ask, &times_of, opens, lanes, soak, horizon);
    let last = |of: fn(&Slot) -> Timestamp| slots.iter().flatten().map(of).fold(opens, Ord::max);
    let soaked = last(|slot| slot.ends);
    WaveRun {
        opens,
        begins: slots.iter().flatten().map(|slot| slot.begin).min().unwrap_or(opens),
        moved: last(|slot| slot.course.arrived),
        soaked,
        ends: open(&wave.after, false, soaked),
        slots,
    }
}

/// Maintenance times without the rules that are left out.
fn without(maintenance: &Maintenance, rules: &BTreeSet<Rule>) -> Maintenance {
    let mut left = maintenance.clone();
    if rules.contains(&Rule::PutOff) {
        left.not_before = None;
        if let Some(chosen) = &mut left.chosen {
            chosen.not_before = None;
        }
    }
    if rules.contains(&Rule::Windows) {
        left.windows.clear();
        if let Some(chosen) = &mut left.chosen {
            chosen.windows.clear();
            chosen.allowed_days.clear();
        }
    }
    let mut index = 0;
    left.freezes.retain(|_| {
        index += 1;
        !rules.contains(&Rule::Freeze(index - 1))
    });
    left
}

/// Gives every task a slot. Each place is given away at the moment at which it becomes free; a task that may not begin
/// then waits for its next window without holding the place.
fn fill<'t, 'm: 't>(
    tasks: &[Task<'_>],
    ask: &impl Fn(usize, Timestamp) -> Begin,
    times_of: &impl Fn(usize) -> Option<&'t Timeline<'m>>,
    opens: Timestamp,
    lanes: usize,
    soak: i64,
    horizon: Timestamp,
) -> Vec<Option<Slot>> {
    let mut slots = vec![None; tasks.len()];
    let places = lanes.clamp(1, tasks.len().max(1));
    let mut free: BinaryHeap<Reverse<Timestamp>> = std::iter::repeat_n(Reverse(opens), places).collect();
    let mut open: BinaryHeap<Reverse<usize>> = BinaryHeap::new();
    let mut waiting: BinaryHeap<Reverse<(Timestamp, usize)>> = BinaryHeap::new();
    for task in 0..tasks.len() {
        match ask(task, opens) {
            Begin::Now(_) => open.push(Reverse(task)),
            Begin::Later(Some(at)) => waiting.push(Reverse((at, task))),
            Begin::Later(None) => {}
        }
    }
    // Moments only ever grow: where one place found nobody, another one finds nobody either.
    let mut clock = opens;
    while let Some(Reverse(place)) = free.pop() {
        let mut at = place.max(clock);
        let taken = loop {
            while waiting.peek().is_some_and(|Reverse((opening, _))| *opening <= at) {
                if let Some(Reverse((_, task))) = waiting.pop() {
                    open.push(Reverse(task));
                }
            }
            let Some(Reverse(task)) = open.pop() else {
                let Some(Reverse((opening, _))) = waiting.peek() else { break None };
                at = *opening;
                continue;
            };
            match ask(task, at) {
                Begin::Now(until) => break Some((task, until)),
                Begin::Later(Some(opening)) => waiting.push(Reverse((opening, task))),
                Begin::Later(None) => {}
            }
        };
        let Some((task, until)) = taken else { break };
        clock = at;
        if at > horizon {
            break;
        }
        let Some(slot) =
            tasks.get(task).and_then(|one| one.work.course(times_of(task), at, until)).and_then(|course| {
                let verified = later(course.arrived, VERIFY)?;
                Some(Slot { begin: at, until, course, verified, ends: later(verified, soak)? })
            })
        else {
            // The place is still free: this task gets no slot.
            free.push(Reverse(place));
            continue;
        };
        free.push(Reverse(slot.verified));
        if let Some(entry) = slots.get_mut(task) {
            *entry = Some(slot);
        }
    }
    slots
}
