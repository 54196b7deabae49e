//! The true state of a cluster: what the cloud and the cluster itself would say.

use crate::{
    scenario::{Behaviour, Ends, Member, Target},
    time::{DAY, HOUR, MINUTE, Millis},
};

/// For how long after an upgrade the cloud takes it back.
pub(crate) const TAKES_BACK_FOR: Millis = 7 * DAY;

/// A change that the cloud is carrying out.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) id: u64,
    pub(crate) to: Goal,
    pub(crate) back: bool,
    /// When it ends; `None` when it hangs.
    pub(crate) ends: Option<Millis>,
    pub(crate) works: bool,
}

/// What a cluster is brought to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    /// This minor.
    Minor(u16),
    /// The new baseline or add-on, or the old one.
    Part(bool),
}

/// The true state of a cluster.
#[derive(Debug)]
pub(crate) struct Cloud {
    pub(crate) exists: bool,
    pub(crate) minor: u16,
    pub(crate) made_with: u16,
    /// Whether its baseline or add-on is the new one.
    pub(crate) new_part: bool,
    pub(crate) upgraded_at: Option<Millis>,
    /// The minor that its control plane was last told to go up to, and when.
    pub(crate) disturbed: Option<(u16, Millis)>,
    pub(crate) operation: Option<Operation>,
    /// How often the cloud failed at what the present move wants.
    pub(crate) failures: u32,
    pub(crate) sick_until: Millis,
    pub(crate) offline_until: Millis,
    operations: u64,
}

impl Cloud {
    pub(crate) const fn new(member: &Member) -> Self {
        Self {
            exists: true,
            minor: member.minor,
            made_with: member.made_with,
            new_part: false,
            upgraded_at: None,
            disturbed: None,
            operation: None,
            failures: 0,
            sick_until: 0,
            offline_until: 0,
            operations: 0,
        }
    }

    /// Whether the cluster is healthy.
    pub(crate) const fn is_healthy(&self, now: Millis) -> bool {
        self.exists && now >= self.sick_until
    }

    /// Whether somebody who looks at it sees something.
    pub(crate) const fn is_reachable(&self, now: Millis) -> bool {
        self.exists && now >= self.offline_until
    }

    /// Whether the cluster is what is wanted, and nothing of it is changing.
    pub(crate) fn is_at(&self, goal: Goal) -> bool {
        let there = match goal {
            Goal::Minor(minor) => self.minor == minor,
            Goal::Part(new) => self.new_part == new,
        };
        self.exists && there && self.operation.is_none()
    }

    /// Begins a change, when the cloud allows it. Returns when it is to be looked at again.
    pub(crate) fn begin(&mut self, now: Millis, goal: Goal, behaviour: &Behaviour, mended: bool) -> Begun {
        if self.operation.is_some() {
            return Begun::Busy;
        }
        let back = match goal {
            Goal::Minor(minor) => {
                let up = self.minor + 1 == minor;
                let down = minor + 1 == self.minor
                    && self.made_with <= minor
                    && self.upgraded_at.is_some_and(|at| now <= at + TAKES_BACK_FOR);
                if !up && !down {
                    return Begun::Never;
                }
                if up {
                    self.disturbed = Some((minor, now));
                }
                down
            }
            Goal::Part(new) => !new,
        };
        let ends = if mended { Ends::Well } else { behaviour.ends };
        self.operations += 1;
        let ends_at = (ends != Ends::Hangs).then_some(now + behaviour.takes);
        self.operation = Some(Operation {
            id: self.operations,
            to: goal,
            back,
            ends: ends_at,
            works: ends != Ends::Stuck,
        });
        Begun::Until(self.operations, ends_at)
    }

    /// Ends a change. Returns whether the cluster arrived by it.
    pub(crate) fn end(&mut self, now: Millis, id: u64, behaviour: &Behaviour, mended: bool) -> Option<bool> {
        let operation = self.operation.take_if(|operation| operation.id == id)?;
        if !operation.works && !mended {
            self.failures += 1;
            return Some(false);
        }
        match operation.to {
            Goal::Minor(minor) => {
                self.upgraded_at = (!operation.back).then_some(now);
                self.minor = minor;
            }
            Goal::Part(new) => self.new_part = new,
        }
        self.failures = 0;
        let settles = if behaviour.ends == Ends::Sick && !mended { 1000 * DAY } else { behaviour.settles };
        // What the new version has broken is well again on the old one.
        self.sick_until = if operation.back { now + settles } else { self.sick_until.max(now + settles) };
        Some(true)
    }

    /// Everything that was broken is mended: what hangs goes on, and whoever is ill recovers.
    pub(crate) fn mend(&mut self, now: Millis) -> Option<(u64, Millis)> {
        self.sick_until = self.sick_until.min(now + 10 * MINUTE);
        self.offline_until = self.offline_until.min(now);
        let operation = self.operation.as_mut()?;
        operation.works = true;
        let ends = operation.ends.unwrap_or(now + HOUR / 2);
        operation.ends = Some(ends);
        Some((operation.id, ends))
    }

    /// Somebody upgrades it by hand.
    pub(crate) fn upgrade_by_hand(&mut self, now: Millis) {
        if self.exists && self.operation.is_none() {
            self.minor += 1;
            self.upgraded_at = Some(now);
            self.sick_until = self.sick_until.max(now + 5 * MINUTE);
        }
    }
}

/// What became of the wish to begin a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begun {
    /// It began, with this id, and will end then; `None` when it hangs.
    Until(u64, Option<Millis>),
    /// Another change is being carried out.
    Busy,
    /// The cloud refuses it.
    Never,
}

/// What a move wants of a cluster.
pub(crate) fn goal_of(wanted: &fleet_api::v1alpha1::Move, target: Target) -> Option<Goal> {
    match target {
        Target::Kubernetes(_) => wanted.version.map(|version| Goal::Minor(version.minor())),
        Target::Baseline => wanted.baseline.as_deref().map(|baseline| Goal::Part(baseline == "new")),
        Target::Addons => {
            let version = wanted.addons.first().and_then(|addon| addon.version.as_deref());
            version.map(|version| Goal::Part(version == "new"))
        }
    }
}
