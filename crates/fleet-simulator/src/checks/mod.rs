//! The rules of a rollout, as an outside observer sees them.
//!
//! Nothing here is taken from the engine: the rules are written a second time, from the design, and read the true
//! objects of the management cluster, the true clusters and the true time. They run on every write that takes effect.
//!
//! An engine that acts on caches cannot know what happened a moment ago. Where a rule would blame it for that, the rule
//! asks whether what was done was right at some moment within [`Scenario::staleness`]; what is written by
//! compare-and-swap, as the ledger is, needs no such indulgence against the rollout itself.

mod approvals;
mod grants;
mod liveness;
mod members;
mod moves;
mod waves;
mod windows;

pub(crate) use grants::is_failure;

use std::collections::{BTreeMap, BTreeSet};

use fleet_api::v1alpha1::{MemberState, MoveStage};

use crate::{
    cloud::{Cloud, Goal},
    hub::Hub,
    scenario::{LOOK_CAP, Scenario},
    time::{MINUTE, Millis, SECOND, length, since},
};

/// The rules, by their numbers in the design, and what holds beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// 1: no member moves before every earlier wave has passed.
    WaveOrder,
    /// 2: not more members move at once, and not more fail, than the wave allows.
    Caps,
    /// 3: nothing begins outside a window, in a freeze, before the day to which it was put off, within the minimum gap
    /// after the last change, or with less of the window left than the step takes.
    Windows,
    /// 4: success needs evidence of this move, and nothing begins that was not looked at.
    Evidence,
    /// 5: one minor at a time, and back only within seven days and never below the version of birth.
    Minors,
    /// 6: a soak begins with the first healthy look, and again after a regress.
    Soak,
    /// 7: a wave passes on successes.
    Successes,
    /// 8: whoever is offline or deleted leaves by the rule.
    Denominator,
    /// 9: crashes change nothing.
    Restart,
    /// 10: approvals.
    Approvals,
    /// 11: nodes are held back, and the last moment of a rollback is not promised too late.
    HoldNodes,
    /// 12: nothing begins before its slot.
    Slots,
    /// What a person paused, aborted or skipped, or another rollout moves, does not begin.
    People,
    /// Nobody is forgotten or counted twice.
    Nobody,
    /// When faults stop, it ends, or says whom it waits for.
    Liveness,
}

impl Rule {
    /// The rule in one sentence.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::WaveOrder => "rule 1: no member moves before every earlier wave has passed",
            Self::Caps => "rule 2: not more members move at once, and not more fail, than the wave allows",
            Self::Windows => {
                "rule 3: nothing begins outside a window, in a freeze, or too late for the window"
            }
            Self::Evidence => "rule 4: success needs evidence of this move, seen after it was asked for",
            Self::Minors => {
                "rule 5: one minor at a time, and back only as far and as long as the cloud takes it"
            }
            Self::Soak => "rule 6: a soak begins with the first healthy look, and again after a regress",
            Self::Successes => "rule 7: a wave passes on enough successes, not on few failures",
            Self::Denominator => "rule 8: members leave the denominator by the stated rule only",
            Self::Restart => "rule 9: crashes and restarts end in the same state",
            Self::Approvals => "rule 10: a gate opens on enough valid votes of the right people",
            Self::HoldNodes => "rule 11: nodes are held back, and a rollback is not promised for too long",
            Self::Slots => "rule 12: nothing begins before its slot",
            Self::People => {
                "nothing begins that a person has paused, aborted or skipped, or that another rollout moves"
            }
            Self::Nobody => "every member is counted, once",
            Self::Liveness => "when faults stop, a rollout ends, or says whom it waits for",
        }
    }
}

/// A rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// When, in milliseconds since the Unix epoch.
    pub at: Millis,
    /// What was seen.
    pub text: String,
}

impl Violation {
    pub(crate) const fn new(rule: Rule, at: Millis, text: String) -> Self {
        Self { rule, at, text }
    }

    /// For people: the moment, the rule and what was seen.
    pub fn describe(&self, start: Millis) -> String {
        format!(
            "{}  BROKEN       {}\n              {}",
            since(start, self.at),
            self.rule.sentence(),
            self.text
        )
    }
}

/// What is remembered of a member's move.
#[derive(Debug, Default)]
struct Moved {
    stage: Option<MoveStage>,
    id: String,
    goal: Option<Goal>,
    /// Whether the cluster truly was where the move wants it, and healthy, at some moment since.
    settled: bool,
    /// Whether the engine may have given it up: it failed or left.
    given_up: bool,
    /// Whether a look that was written down saw it arrived.
    seen_arrived: bool,
    /// Whether a look that was written down saw it arrived and healthy.
    seen_healthy: bool,
    /// For how long it can have been seen healthy without a break, at most.
    credit: Millis,
    /// When a look that was written down last ended a credit that was enough for the soak of its wave.
    soaked_until: Option<Millis>,
    last_look: Option<Look>,
    /// Since when looks that were written down see it ill, after it was told to go.
    sick_since: Option<Millis>,
    /// When a look first saw it at the new minor.
    upgrade_seen: Option<Millis>,
}

#[derive(Debug, Clone, Copy)]
struct Look {
    at: Millis,
    clock: Millis,
    healthy: bool,
}

/// What the rules remember.
#[derive(Debug)]
pub(crate) struct Checks {
    moved: Vec<Moved>,
    /// When each cluster was last looked at.
    looked: Vec<Millis>,
    /// Which entry of the ledger allowed whom to begin.
    granted: BTreeSet<(i64, usize)>,
    /// Which entry of the ledger allowed whom to move back.
    back: BTreeSet<(i64, usize)>,
    /// Which attempt of whom has begun.
    begun: BTreeSet<(usize, i32)>,
    /// Who was moving, as far as was known, when it was allowed to move back: it takes no more room than it had.
    had_room: BTreeSet<usize>,
    /// When a wave was seen to pass.
    passed: BTreeMap<usize, Millis>,
    /// When the state of a member last changed.
    changed: Vec<Millis>,
    /// The attempt of a member by the `seq` of its status.
    attempts: Vec<Vec<(i64, i32)>>,
    /// Which attempt a move's id stood for.
    ids: Vec<BTreeMap<String, i32>>,
}

impl Checks {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let members = scenario.members.len();
        Self {
            moved: (0..members).map(|_| Moved::default()).collect(),
            looked: vec![scenario.start; members],
            granted: BTreeSet::new(),
            back: BTreeSet::new(),
            begun: BTreeSet::new(),
            had_room: BTreeSet::new(),
            passed: BTreeMap::new(),
            changed: vec![scenario.start; members],
            attempts: vec![vec![(0, 0)]; members],
            ids: vec![BTreeMap::new(); members],
        }
    }
}

/// What an outside observer sees at a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    scenario: &'a Scenario,
    hub: &'a Hub,
    clouds: &'a [Cloud],
    now: Millis,
}

impl<'a> Seen<'a> {
    pub(crate) const fn of(scenario: &'a Scenario, hub: &'a Hub, clouds: &'a [Cloud], now: Millis) -> Self {
        Self { scenario, hub, clouds, now }
    }

    fn broken(&self, rule: Rule, text: String) -> Violation {
        Violation::new(rule, self.now, text)
    }

    fn name(&self, member: usize) -> &'a str {
        self.scenario.members.get(member).map_or("?", |member| member.name.as_str())
    }

    /// How many members were stored at a moment.
    fn stored_by(&self, at: Millis) -> usize {
        let members = self.scenario.members.iter();
        members.filter(|member| self.scenario.start + member.stored_after <= at).count()
    }

    /// How long a member has to be seen healthy.
    fn soak_of(&self, member: usize) -> Millis {
        let member = self.scenario.members.get(member);
        let wave = member.and_then(|member| self.scenario.waves.get(member.wave));
        wave.and_then(|wave| wave.soak).map_or(0, |soak| soak.0 * MINUTE)
    }

    /// The earliest moment whose truth an engine may have acted on that writes now.
    fn oldest(&self) -> Millis {
        self.now - self.scenario.staleness()
    }

    fn state(&self, member: usize) -> MemberState {
        self.hub.member(member).map(|member| member.status.state).unwrap_or_default()
    }

    /// Whether the state of a member met a condition at some moment that an engine may still see.
    fn lately(&self, member: usize, condition: impl Fn(MemberState) -> bool) -> bool {
        let history = self.hub.members.get(member);
        history.is_some_and(|history| {
            history.since(self.oldest()).flatten().any(|member| condition(member.status.state))
        })
    }

    /// Whether the state of a member met a condition at every moment that an engine may still see.
    fn lately_all(&self, member: usize, condition: impl Fn(MemberState) -> bool) -> bool {
        !self.lately(member, |state| !condition(state))
    }

    /// Notes that the truth about a cluster may have changed.
    pub(crate) fn truth_changed(&self, checks: &mut Checks, member: usize) {
        if let (Some(moved), Some(cloud)) = (checks.moved.get_mut(member), self.clouds.get(member))
            && let Some(goal) = moved.goal
            && cloud.is_at(goal)
            && cloud.is_healthy(self.now)
        {
            moved.settled = true;
        }
    }

    /// Notes that a cluster was looked at and that what was seen was written down.
    pub(crate) fn looked(
        &self,
        checks: &mut Checks,
        member: usize,
        under: Option<(String, MoveStage)>,
        clock: Millis,
    ) -> Result<(), Violation> {
        self.truth_changed(checks, member);
        if let Some(looked) = checks.looked.get_mut(member) {
            *looked = self.now;
        }
        let (Some(moved), Some(cloud)) = (checks.moved.get_mut(member), self.clouds.get(member)) else {
            return Ok(());
        };
        let Some(goal) = moved.goal else { return Ok(()) };
        match (goal, moved.stage) {
            (Goal::Minor(minor), Some(MoveStage::Go)) if cloud.minor >= minor => {
                moved.upgrade_seen.get_or_insert(self.now);
            }
            // Once it was back, the cloud counts the days of another upgrade from the end of that one.
            (Goal::Minor(minor), Some(MoveStage::Back)) if cloud.minor <= minor => moved.upgrade_seen = None,
            _ => {}
        }
        let healthy = cloud.is_at(goal) && cloud.is_healthy(self.now);
        // A look that was made under another move says nothing good about this one, but it does say what is bad.
        let same = under.is_some_and(|(id, stage)| id == moved.id && Some(stage) == moved.stage);
        if !healthy {
            if moved.credit + SECOND >= self.soak_of(member) {
                moved.soaked_until = Some(self.now);
            }
            moved.credit = 0;
        } else if same
            && let Some(before) = moved.last_look
            && before.healthy
        {
            // Clocks that differ may make a short time look as long as the cap, and no longer.
            let passed = self.now - before.at;
            moved.credit += if before.clock == clock { passed.min(LOOK_CAP) } else { LOOK_CAP };
        }
        if same {
            moved.seen_arrived |= cloud.is_at(goal);
            moved.seen_healthy |= healthy;
        }
        moved.last_look = Some(Look { at: self.now, clock, healthy: healthy && same });
        if healthy || moved.stage != Some(MoveStage::Go) {
            moved.sick_since = None;
            return Ok(());
        }
        let sick_since = *moved.sick_since.get_or_insert(self.now);
        let soaks_on = self.lately_all(member, |state| state == MemberState::Soaking);
        if soaks_on && self.scenario.is_prompt() && sick_since < self.oldest() {
            let ago = length(self.now - sick_since);
            let text = format!("{} is Soaking, and was seen not to be healthy {ago} ago", self.name(member));
            return Err(self.broken(Rule::Soak, text));
        }
        Ok(())
    }
}
