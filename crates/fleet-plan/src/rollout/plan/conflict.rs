//! The smallest set of rules that cannot hold together.
//!
//! Rules are left out one after the other for as long as the member still cannot be moved in time. What remains cannot
//! hold together, and with any one of it left out the rest can. Whether fewer rules clash is then tried, set by set, within
//! [`EFFORT`]; beyond it the set is one of which no rule can be spared, and perhaps not the smallest by number. Rules may
//! clash in more than one way, so the rules of a set are then left out together, and the next set is looked for, until the
//! member is in time.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
};

use fleet_api::v1alpha1::{Freeze, Gate, Window};
use fleet_spec::{Code, FieldPath, Severity, rules::Problem};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    Input,
    candidates::Candidate,
    schedule::{Deadline, DeadlineOf, Relaxed, Rule, Slot, Task, WaveRun, WaveTasks, horizon, run_wave},
    smallest::smallest,
};

/// Rules that cannot hold together for a member.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConflictSet {
    /// The member's tenant.
    pub tenant: String,
    /// Its wave.
    pub wave: String,
    /// When it would be in time; left out when any slot within the horizon would do, and there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Timestamp>,
    /// When it is expected with every rule; left out when it would never be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<Timestamp>,
    /// The rules. With any one of them relaxed it is in time.
    pub rules: Vec<ConflictingRule>,
    /// How many other members of the wave are too late as well.
    pub others: usize,
}

/// One of the rules of a [`ConflictSet`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConflictingRule {
    /// The rule, for people.
    pub rule: String,
    /// How to relax it, as one imperative.
    pub relax: String,
    /// Where it stands in the rollout's file, when it stands there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<FieldPath>,
    /// When the member is expected if this rule alone is relaxed; left out when it would never be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub without: Option<Timestamp>,
    /// Whether it is in time then, or whether another set stands in the way as well.
    pub enough: bool,
}

impl ConflictSet {
    /// The set as a problem of the rollout's file, at the first of its rules that stands there.
    pub fn problem(&self) -> Problem {
        let path = self.rules.iter().find_map(|rule| rule.path.clone());
        let rules: Vec<&str> = self.rules.iter().map(|rule| rule.rule.as_str()).collect();
        let enough: Vec<&str> =
            self.rules.iter().filter(|rule| rule.enough).map(|rule| rule.relax.as_str()).collect();
        let all: Vec<&str> = self.rules.iter().map(|rule| rule.relax.as_str()).collect();
        let others = match self.others {
            0 => String::new(),
            1 => "; one more member of the wave is too late as well".to_owned(),
            many => format!("; {many} more members of the wave are too late as well"),
        };
        let hint = match (enough.as_slice(), all.as_slice()) {
            ([], _) => format!("relax one of them, and one of each other set: {}", all.join(", or ")),
            ([one], [_]) => format!("relax it: {one}"),
            (some, _) => format!("relax one of them: {}", some.join(", or ")),
        };
        Problem {
            severity: Severity::Error,
            code: Code::CannotHoldTogether,
            path: path.unwrap_or_else(|| FieldPath::spec().field("waves")),
            message: format!(
                "{} cannot be moved in time, because {}: {}{others}",
                self.tenant,
                if rules.len() == 1 { "one rule alone rules it out" } else { "these cannot hold together" },
                rules.join(" + ")
            ),
            hint: Some(hint),
        }
    }
}

/// How many sets are looked for: whoever has relaxed so many rules plans anew.
const SETS: usize = 4;

/// How many members are played, and sets tried, to find the smallest of them: about a second.
const EFFORT: usize = 1_000_000;

/// The conflicts of the first member that is too late: later waves are late because of it, and what is relaxed for it
/// moves them as well. None when every member is in time.
pub(super) fn conflicts(
    input: &Input<'_>,
    candidates: &[Candidate<'_>],
    waves: &[WaveTasks<'_>],
    runs: &[WaveRun],
) -> Vec<ConflictSet> {
    let first = waves.iter().zip(runs).enumerate().find_map(|(index, (wave, played))| {
        let mut late =
            wave.tasks.iter().zip(&played.slots).enumerate().filter_map(|(task, (one, slot))| {
                missed(one, slot.as_ref()).map(|deadline| (task, deadline))
            });
        let (task, deadline) = late.next()?;
        let up_to_here = waves.get(..=index).unwrap_or(waves);
        let (played, effort) = (RefCell::default(), Cell::default());
        let search = Search { input, waves: up_to_here, wave: index, task, deadline, played, effort };
        Some(search.sets(candidates, late.count()))
    });
    first.unwrap_or_default()
}

/// The deadline that a slot misses; the inner `None` says that there is no slot at all, and no deadline either.
fn missed(task: &Task<'_>, slot: Option<&Slot>) -> Option<Option<Deadline>> {
    let first =
        task.deadlines.iter().filter(|deadline| slot.is_none_or(|slot| slot.over(deadline.of) > deadline.at));
    let first = first.min_by_key(|deadline| deadline.at).copied();
    (slot.is_none() || first.is_some()).then_some(first)
}

struct Search<'a, 'i> {
    input: &'a Input<'i>,
    /// The waves up to the member's.
    waves: &'a [WaveTasks<'a>],
    wave: usize,
    task: usize,
    deadline: Option<Deadline>,
    /// What was played: by wave, by when it begins, and by the rules of it that were left out. Nearly every question plays
    /// nearly every wave as one before it did.
    played: RefCell<BTreeMap<Asked, Played>>,
    /// How many members were played.
    effort: Cell<usize>,
}

/// A wave, when it begins, and which of its rules are left out.
type Asked = (usize, Timestamp, Vec<Rule>);

/// What matters of a wave that was played.
#[derive(Debug, Clone, Copy)]
struct Played {
    ends: Timestamp,
    /// The slot of the member, in its own wave.
    slot: Option<Slot>,
}

impl Search<'_, '_> {
    /// Plays a wave with some rules left out, unless it was played so before.
    fn play(&self, index: usize, wave: &WaveTasks<'_>, at: Timestamp, rules: &BTreeSet<Rule>) -> Played {
        let own = index == self.wave;
        let out: Vec<Rule> = rules
            .iter()
            .copied()
            .filter(|rule| match rule {
                Rule::NotBefore { wave, .. }
                | Rule::Soak(wave)
                | Rule::Concurrency(wave)
                | Rule::Others(wave) => *wave == index,
                Rule::Freeze(_) | Rule::Gap | Rule::PutOff | Rule::Windows => own,
                Rule::Deadline => false,
            })
            .collect();
        let key = (index, at, out);
        if let Some(played) = self.played.borrow().get(&key) {
            return *played;
        }
        self.effort.set(self.effort.get().saturating_add(wave.tasks.len()));
        let relaxed = Relaxed { wave: self.wave, task: self.task, rules: key.2.iter().copied().collect() };
        let run = run_wave(index, wave, at, horizon(self.input.now), Some(&relaxed));
        let slot = if own { run.slots.get(self.task).copied().flatten() } else { None };
        let played = Played { ends: run.ends, slot };
        self.played.borrow_mut().insert(key, played);
        played
    }

    /// When the member is expected to be over with some rules left out.
    fn over(&self, rules: &BTreeSet<Rule>) -> Option<Timestamp> {
        let mut at = self.input.now;
        let mut slot = None;
        for (index, wave) in self.waves.iter().enumerate() {
            let played = self.play(index, wave, at, rules);
            (at, slot) = (played.ends, played.slot);
        }
        let slot = slot?;
        Some(slot.over(self.deadline.map_or(DeadlineOf::Asked, |deadline| deadline.of)))
    }

    fn in_time(&self, rules: &BTreeSet<Rule>) -> bool {
        let Some(over) = self.over(rules) else { return false };
        let Some(deadline) = self.deadline else { return true };
        rules.contains(&Rule::Deadline) || over <= deadline.at
    }

    fn all(&self) -> Vec<Rule> {
        let mut rules = Vec::new();
        for (index, wave) in self.waves.iter().enumerate() {
            let gates = |gates: &[(usize, Timestamp)], before| -> Vec<Rule> {
                gates.iter().map(|(gate, _)| Rule::NotBefore { wave: index, gate: *gate, before }).collect()
            };
            rules.push(Rule::Others(index));
            rules.push(Rule::Concurrency(index));
            rules.push(Rule::Soak(index));
            rules.extend(gates(&wave.before, true));
            rules.extend(gates(&wave.after, false));
        }
        let maintenance = self.task().and_then(|task| task.times.as_ref()).map(|times| times.maintenance());
        rules.extend((0..maintenance.map_or(0, |times| times.freezes.len())).map(Rule::Freeze));
        rules.extend([Rule::Gap, Rule::PutOff, Rule::Windows, Rule::Deadline]);
        rules
    }

    fn task(&self) -> Option<&Task<'_>> {
        self.waves.get(self.wave).and_then(|wave| wave.tasks.get(self.task))
    }

    /// Sets that share nothing but the deadline, until nothing of them in force leaves the member in time.
    fn sets(&self, candidates: &[Candidate<'_>], others: usize) -> Vec<ConflictSet> {
        let Some(candidate) = self.task().and_then(|task| candidates.get(task.candidate)) else {
            return Vec::new();
        };
        let mut out = BTreeSet::new();
        let mut sets = Vec::new();
        while sets.len() < SETS && !self.in_time(&out) {
            let kept = self.minimal(&out);
            let kept = self.smaller(&out, kept.len()).unwrap_or(kept);
            let before = out.len();
            out.extend(kept.iter().copied().filter(|rule| *rule != Rule::Deadline));
            sets.push(self.set(&kept, candidate, others));
            if out.len() == before {
                // The deadline alone cannot be met: nothing else can be relaxed.
                break;
            }
        }
        sets
    }

    /// Leaves rules out, beside those that are out already, until none can be spared. More than one round is needed,
    /// because a member may come later when another one is let in before it.
    fn minimal(&self, out: &BTreeSet<Rule>) -> Vec<Rule> {
        let mut kept: Vec<Rule> = self.all().into_iter().filter(|rule| !out.contains(rule)).collect();
        let mut relaxed = out.clone();
        loop {
            let before = kept.len();
            kept.retain(|rule| {
                relaxed.insert(*rule);
                let spared = !self.in_time(&relaxed);
                if !spared {
                    relaxed.remove(rule);
                }
                !spared
            });
            if kept.len() == before {
                return kept;
            }
        }
    }

    /// The smallest set of fewer than `below` rules that are in force and clash, as far as it is found with little effort.
    fn smaller(&self, out: &BTreeSet<Rule>, below: usize) -> Option<Vec<Rule>> {
        let rules: Vec<Rule> = self.all().into_iter().filter(|rule| !out.contains(rule)).collect();
        let until = self.effort.get().saturating_add(EFFORT);
        smallest(&rules, below, |set| {
            self.effort.set(self.effort.get().saturating_add(1));
            let others = rules.iter().copied().filter(|rule| !set.contains(rule));
            let relaxed: BTreeSet<Rule> = others.chain(out.iter().copied()).collect();
            (self.effort.get() <= until).then(|| !self.in_time(&relaxed))
        })
    }

    fn set(&self, kept: &[Rule], candidate: &Candidate<'_>, others: usize) -> ConflictSet {
        let wave = self.input.strategy.waves.get(self.wave);
        ConflictSet {
            tenant: candidate.tenant.to_owned(),
            wave: wave.map(|wave| wave.name.clone()).unwrap_or_default(),
            by: self.deadline.map(|deadline| deadline.at),
            expected: self.over(&BTreeSet::new()),
            rules: kept.iter().filter_map(|rule| self.told(*rule, candidate)).collect(),
            others,
        }
    }

    fn told(&self, rule: Rule, candidate: &Candidate<'_>) -> Option<ConflictingRule> {
        let alone = BTreeSet::from([rule]);
        let waves = &self.input.strategy.waves;
        let path = |wave: usize, field: &str| FieldPath::spec().field("waves").index(wave).field(field);
        let name = |wave: usize| waves.get(wave).map(|wave| wave.name.as_str()).unwrap_or_default();
        let maintenance = candidate.maintenance;
        let (rule, relax, path) = match rule {
            Rule::NotBefore { wave, gate, before } => {
                let field = if before { "before" } else { "after" };
                let one = waves.get(wave)?;
                let gates: &[Gate] = if before { &one.before } else { &one.after };
                let one = gates.get(gate)?;
                let moment = one.not_before.as_ref()?.0;
                (
                    format!("gate {} not before {moment}", one.name),
                    format!("open gate {} earlier", one.name),
                    Some(path(wave, field).index(gate).field("notBefore")),
                )
            }
            Rule::Soak(wave) => {
                let soak = waves.get(wave)?.soak?;
                (
                    format!("soak of {soak} in wave {}", name(wave)),
                    format!("let wave {} soak for less", name(wave)),
                    Some(path(wave, "soak")),
                )
            }
            Rule::Concurrency(wave) => (
                format!("{} at once in wave {}", at_once(self.waves.get(wave)?.lanes), name(wave)),
                format!("let more members of wave {} move at once", name(wave)),
                Some(path(wave, "maxConcurrent")),
            ),
            Rule::Others(wave) => (
                format!("windows of the other members of wave {}", name(wave)),
                format!(
                    "put {} into an earlier wave, or wait less for wave {}",
                    candidate.tenant,
                    name(wave)
                ),
                Some(path(wave, "selector")),
            ),
            Rule::Freeze(index) => {
                let freeze = maintenance?.freezes.get(index)?;
                let of_fleet = self.input.fleet.spec.freezes.contains(freeze);
                let (owner, which) = if of_fleet {
                    ("the fleet", "a freeze of the fleet")
                } else {
                    (candidate.tenant, "its freeze")
                };
                (freeze_text(freeze, owner), format!("let {} move in {which}", candidate.tenant), None)
            }
            Rule::Gap => {
                let gap = maintenance?.min_gap?;
                (
                    format!("gap of {gap} since the last change"),
                    format!("shorten the minimum gap of {}", candidate.tenant),
                    None,
                )
            }
            Rule::PutOff => {
                let times = maintenance?;
                let day = times.not_before.max(times.chosen.as_ref().and_then(|chosen| chosen.not_before))?;
                (
                    format!("changes put off until {day}"),
                    format!("let {} move before {day}", candidate.tenant),
                    None,
                )
            }
            Rule::Windows => {
                let times = maintenance?;
                (
                    format!("windows {} {}", windows_text(&times.windows), times.time_zone),
                    format!("give {} another window", candidate.tenant),
                    None,
                )
            }
            Rule::Deadline => {
                let deadline = self.deadline?;
                let moment = deadline.at;
                match deadline.of {
                    DeadlineOf::Support => (
                        format!("support ends at {moment}"),
                        "accept that EKS upgrades it by itself".to_owned(),
                        None,
                    ),
                    DeadlineOf::Asked => (format!("over by {moment}"), "allow a later day".to_owned(), None),
                }
            }
        };
        Some(ConflictingRule { rule, relax, path, without: self.over(&alone), enough: self.in_time(&alone) })
    }
}

fn at_once(lanes: usize) -> String {
    if lanes == 1 { "one member".to_owned() } else { format!("{lanes} members") }
}

fn freeze_text(freeze: &Freeze, owner: &str) -> String {
    format!("freeze of {owner} from {} to {} ({})", freeze.from, freeze.to, freeze.reason)
}

/// `Tue, Thu 22:00 for 4h`.
pub(super) fn windows_text(windows: &[Window]) -> String {
    let one = |window: &Window| {
        let days: Vec<String> = window.days.iter().map(|day| format!("{day:?}")).collect();
        format!("{} {} for {}", days.join(", "), window.start, window.duration)
    };
    windows.iter().map(one).collect::<Vec<_>>().join("; ")
}
