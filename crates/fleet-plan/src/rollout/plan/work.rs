//! How long a member takes, step by step, inside its windows.

use fleet_api::{
    eks::durations,
    v1alpha1::{EksClass, RolloutTarget},
};
use jiff::{SignedDuration, Timestamp};

use crate::{
    rollout::expected_minutes,
    windows::{Begin, Change, Timeline},
};

/// How long it takes until a member that has arrived has been seen healthy, in minutes. The controller looks at a cluster
/// at least this often.
pub(super) const VERIFY: i64 = 5;
/// For how long EKS can roll a control plane back (user guide, "Roll back a cluster").
pub(super) const ROLLBACK_DAYS: i64 = 7;

/// The steps of a member's move, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Work {
    /// What has to be done until it has arrived, in minutes each. The first decides whether a window is long enough.
    steps: Vec<i64>,
    /// Whether the first one moves the control plane.
    control_plane: bool,
    /// Whether nodes are among the steps.
    nodes: bool,
    /// What its node groups take, in minutes each, when they are held back and follow later.
    held: Vec<i64>,
    /// What has to go back before the control plane can, in minutes.
    back: i64,
}

/// When a move is expected to be where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Course {
    /// When the first step ends.
    pub(super) first: Timestamp,
    /// When everything has arrived.
    pub(super) arrived: Timestamp,
}

/// When nodes that were held back move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NodesFollow {
    pub(super) from: Timestamp,
    /// When the last of them has arrived.
    pub(super) until: Timestamp,
}

impl Work {
    pub(super) fn of(
        target: &RolloutTarget,
        eks: Option<&EksClass>,
        addons: usize,
        hold: Option<i64>,
    ) -> Self {
        if target.kubernetes.is_none() {
            return Self {
                steps: vec![expected_minutes(target)],
                control_plane: false,
                nodes: false,
                held: Vec::new(),
                back: 0,
            };
        }
        let addons = std::iter::repeat_n(durations::ADDON_UPDATE, addons);
        let groups: Vec<i64> =
            eks.into_iter().flat_map(|eks| &eks.node_groups).map(durations::node_group_update).collect();
        let nodes: i64 = groups.iter().sum();
        let mut steps = vec![durations::CONTROL_PLANE_UPDATE];
        steps.extend(addons.clone());
        let held = if hold.is_some() {
            groups
        } else {
            steps.extend(groups);
            Vec::new()
        };
        // Nodes that are held back for the whole of the 7 days never have to go back.
        let held_back = hold.is_some_and(|hold| hold >= ROLLBACK_DAYS * 24 * 60);
        let back = addons.sum::<i64>() + if held_back { 0 } else { nodes };
        Self { steps, control_plane: true, nodes: hold.is_none() && nodes > 0, held, back }
    }

    /// The first step, in minutes: without so much left of a window the engine lets nobody begin.
    pub(super) fn first(&self) -> i64 {
        self.steps.first().copied().unwrap_or_default()
    }

    /// What is to be left of the window at the slot, in minutes: all of it where any window is that long, so that a move
    /// does not wait half-finished for the next window; else the first step.
    pub(super) fn wanted(&self, times: Option<&Timeline<'_>>, now: Timestamp) -> i64 {
        match times.map(|times| times.ask(Change::GoesOn, now, self.total())) {
            None | Some(Begin::Now(_) | Begin::Later(Some(_))) => self.total(),
            Some(Begin::Later(None)) => self.first(),
        }
    }

    /// All of it until it has arrived, in minutes.
    pub(super) fn total(&self) -> i64 {
        self.steps.iter().sum()
    }

    /// The longest step, in minutes: a window that is shorter never sees the end of the move.
    pub(super) fn longest(&self) -> i64 {
        self.steps.iter().copied().max().unwrap_or_default()
    }

    /// When its nodes begin to follow that are held back for so many minutes after everything else has arrived, and when
    /// they have followed: each group waits for a window that it fits into. `None` when none are held, and when no window
    /// will do.
    pub(super) fn nodes(
        &self,
        times: Option<&Timeline<'_>>,
        arrived: Timestamp,
        hold: i64,
    ) -> Option<NodesFollow> {
        let mut begin = None;
        let mut at = later(arrived, hold)?;
        for group in &self.held {
            let start = start_of(times, at, *group)?;
            begin = begin.or(Some(start));
            at = later(start, *group)?;
        }
        begin.map(|from| NodesFollow { from, until: at })
    }

    /// When the last step begins if none waits, in minutes after the first.
    pub(super) fn last_begins(&self) -> i64 {
        self.total() - self.steps.last().copied().unwrap_or_default()
    }

    /// Whether nodes move with the rest, so that holding them back makes it shorter.
    pub(super) const fn moves_nodes(&self) -> bool {
        self.nodes
    }

    /// What has to go back before the control plane can, in minutes.
    pub(super) const fn back(&self) -> i64 {
        self.back
    }

    /// Whether it moves the control plane.
    pub(super) const fn moves_control_plane(&self) -> bool {
        self.control_plane
    }

    /// The course of a move that begins at a moment at which it may: each step waits for a window that it fits into.
    /// `None` when one of them never gets one.
    pub(super) fn course(
        &self,
        times: Option<&Timeline<'_>>,
        begin: Timestamp,
        until: Option<Timestamp>,
    ) -> Option<Course> {
        let first = later(begin, self.first())?;
        let Some(times) = times else {
            return later(begin, self.total()).map(|arrived| Course { first, arrived });
        };
        if let (Some(until), Some(last)) = (until, self.steps.last())
            && let (Some(arrived), Some(last_begins)) =
                (later(begin, self.total()), later(begin, self.total() - last))
            && arrived <= until
            && matches!(times.ask(Change::GoesOn, last_begins, *last), Begin::Now(_))
        {
            // Everything fits into the window of the slot, and no freeze begins in between.
            return Some(Course { first, arrived });
        }
        let mut at = first;
        for step in self.steps.iter().skip(1) {
            at = later(start_of(Some(times), at, *step)?, *step)?;
        }
        Some(Course { first, arrived: at })
    }
}

/// When a step of a move that has begun may begin, from a moment on; `None` when no window will do.
fn start_of(times: Option<&Timeline<'_>>, at: Timestamp, minutes: i64) -> Option<Timestamp> {
    match times.map(|times| times.ask(Change::GoesOn, at, minutes)) {
        None | Some(Begin::Now(_)) => Some(at),
        Some(Begin::Later(start)) => start,
    }
}

/// A moment some minutes later; `None` beyond the end of time.
pub(super) fn later(at: Timestamp, minutes: i64) -> Option<Timestamp> {
    at.checked_add(SignedDuration::from_mins(minutes)).ok()
}
