//! A scenario: everything that will happen in a simulated world, written down before it runs.

use fleet_api::v1alpha1::{ApproverRole, Maintenance, OnFailure, Slots, Wave};

use crate::time::{HOUR, MINUTE, Millis, SECOND};

/// One simulated rollout: the plan, the clusters, the people and the faults.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The seed that it was made from, and that lags, latencies and luck derive from.
    pub seed: u64,
    /// The moment at which it begins.
    pub start: Millis,
    /// What the rollout moves its members to.
    pub target: Target,
    /// The waves.
    pub waves: Vec<Wave>,
    /// What happens when a wave has more failures than it may have.
    pub on_failure: OnFailure,
    /// What the slots of its members mean.
    pub slots: Slots,
    /// For how long nodes are held back, in minutes.
    pub hold_nodes: Option<i64>,
    /// After how many minutes a member that has not arrived has failed.
    pub step_deadline: i64,
    /// After how many minutes without an observation a member is offline.
    pub offline_after: i64,
    /// Who may vote.
    pub approvers: Vec<ApproverRole>,
    /// The members, each with its cluster.
    pub members: Vec<Member>,
    /// When the checks of gates begin to pass, by the gate's name; a check that is not here passes from the start.
    pub checks: Vec<(String, Millis)>,
    /// What people do, each with its moment since the start.
    pub acts: Vec<(Millis, Act)>,
    /// What goes wrong, each with its moment since the start.
    pub faults: Vec<(Millis, Fault)>,
    /// How fast the world is.
    pub pace: Pace,
    /// How long after the start faults end and everything that was broken is mended.
    pub mended_after: Millis,
    /// Whether somebody is there afterwards who does what the reports ask for, so that the rollout has to end.
    pub cared_for: bool,
}

/// What a rollout moves its members to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The Kubernetes minor.
    Kubernetes(u16),
    /// The baseline `new`, from the baseline `old`.
    Baseline,
    /// One add-on at `new`, from `old`.
    Addons,
}

/// A member and its cluster.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// The index of its wave.
    pub wave: usize,
    /// When its record is stored, since the start: whoever starts a rollout stores one member after the other.
    pub stored_after: Millis,
    /// When it may begin, since the start.
    pub slot: Millis,
    /// The minor that its cluster ran when the rollout was planned.
    pub from: u16,
    /// The minor that its cluster runs when the rollout begins.
    pub minor: u16,
    /// The minor that its cluster was made with.
    pub made_with: u16,
    /// When it may be disturbed, with what its people chose.
    pub maintenance: Option<Maintenance>,
    /// How long before the start its workloads were last disturbed, by a change of something else.
    pub disturbed_before: Option<Millis>,
    /// Whether a rollout before has left a move and evidence of it in the cluster.
    pub moved_before: bool,
    /// Until when something stands in the way of an upgrade, since the start.
    pub blocked_until: Millis,
    /// Until when the preflight cannot be looked at, since the start.
    pub dark_until: Millis,
    /// Whether its observer says that it has arrived while the cloud is still at work.
    pub hasty: bool,
    /// How an upgrade goes.
    pub upgrade: Behaviour,
    /// How a way back goes.
    pub back: Behaviour,
    /// Whether its nodes cannot follow before everything is mended, once they are held back no longer.
    pub nodes_stuck: bool,
}

/// How a change of a cluster goes.
#[derive(Debug, Clone)]
pub struct Behaviour {
    /// How long it takes.
    pub takes: Millis,
    /// How it ends.
    pub ends: Ends,
    /// For how long the cluster is not healthy after it has arrived.
    pub settles: Millis,
    /// When the cluster falls unhealthy again, since it arrived, and for how long.
    pub flaps: Vec<(Millis, Millis)>,
}

/// How a change ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// Well.
    Well,
    /// It fails until everything is mended; the cluster's loop gives up and says that it is stuck.
    Stuck,
    /// It does not end before everything is mended.
    Hangs,
    /// It arrives, and the cluster is not healthy before everything is mended.
    Sick,
}

/// What a person does.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Sets what the rollout should be doing to `Running`.
    Run,
    /// Pauses it.
    Pause,
    /// Aborts it.
    Abort,
    /// Rolls the whole of it back.
    RollBack,
    /// Says of every member that has failed by then that somebody has looked at that.
    Acknowledge,
    /// Votes on a gate.
    Vote {
        /// The gate.
        gate: String,
        /// The role.
        role: String,
        /// Who.
        approver: String,
        /// Whether the vote is for this plan or for another one.
        this_plan: bool,
    },
    /// Takes back every vote on a gate.
    Unvote {
        /// The gate.
        gate: String,
    },
    /// Skips a member, or takes that back.
    Skip(usize, bool),
    /// Lets a member be tried again.
    Retry(usize),
    /// Rolls a member back.
    RollBackMember(usize),
    /// Puts a member off to a moment since the start.
    PutOff(usize, Millis),
    /// Pauses a tenant, or takes that back.
    PauseTenant(usize, bool),
    /// Gives a tenant other windows.
    Windows(usize, Option<Maintenance>),
    /// Deletes a tenant's cluster, and makes another one of the same name when the flag says so.
    DeleteCluster(usize, bool),
    /// Upgrades a cluster by hand, by one minor.
    UpgradeByHand(usize),
}

/// The kinds of objects that a controller keeps a cache of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The Rollout.
    Rollout,
    /// Its RolloutMembers.
    Member,
    /// TenantClusters.
    Cluster,
    /// Approvals.
    Vote,
}

/// Every kind.
pub(crate) const KINDS: [Kind; 4] = [Kind::Rollout, Kind::Member, Kind::Cluster, Kind::Vote];

/// What goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// The controller that leads dies after so many more writes, just before the last of them or just after it; the
    /// other one takes over after a while, and the dead one comes back after `down`.
    Crash {
        /// How many writes it still makes.
        writes: u32,
        /// Whether the last one takes effect.
        after: bool,
        /// How long it stays down.
        down: Millis,
    },
    /// Both controllers die.
    Outage(Millis),
    /// The controller that leads stands still, the other one takes over, and then the first goes on where it stood.
    Freeze(Millis),
    /// Both controllers act.
    Overlap(Millis),
    /// The watch of a kind is lost in the controller that leads, until it lists again.
    LostWatch(Kind, Millis),
    /// The caches of a kind lag by as much more.
    Lag(Kind, Millis, Millis),
    /// So many of a hundred writes are refused, or take effect without an answer, for a while.
    Flaky(u64, Millis),
    /// The management cluster takes as much longer for each write, for a while.
    Slow(Millis, Millis),
    /// The clock of one controller steps, until it is put right after a while.
    ClockStep(usize, Millis, Millis),
    /// A cluster cannot be reached for a while.
    Offline(usize, Millis),
    /// A cluster is not healthy for a while.
    Sick(usize, Millis),
    /// Another rollout takes a cluster that is free, and is over after a while.
    Rival(usize, Millis),
}

/// How fast the world is.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The longest time that a cache lags, by kind as in [`KINDS`].
    pub lag: [Millis; 4],
    /// The longest time that a write takes.
    pub latency: Millis,
    /// The shortest time between two ticks of a controller.
    pub rest: Millis,
    /// How often a cluster is observed that a rollout wants something of.
    pub look: Millis,
}

/// The longest time between two observations that counts into a soak.
pub(crate) const LOOK_CAP: Millis = 10 * MINUTE;

impl Scenario {
    /// How far a controller's clock may be from the truth at most.
    pub fn clock_error(&self) -> Millis {
        let mut errors = [0; 2];
        for (_, fault) in &self.faults {
            if let Fault::ClockStep(process, by, _) = fault
                && let Some(error) = errors.get_mut(*process)
            {
                *error += by.abs();
            }
        }
        errors.into_iter().max().unwrap_or_default()
    }

    /// How old what a controller acts on can be at most when its write takes effect.
    pub fn staleness(&self) -> Millis {
        let mut longest = [0; 4];
        let mut more = 0;
        for (_, fault) in &self.faults {
            match fault {
                Fault::LostWatch(kind, time) | Fault::Lag(kind, time, _) => {
                    if let Some(longest) = longest.get_mut(*kind as usize) {
                        *longest += time;
                    }
                }
                Fault::Freeze(time) => more += time,
                Fault::Slow(by, _) => more += by * 400,
                _ => {}
            }
        }
        let lag = self.pace.lag.iter().max().copied().unwrap_or_default();
        // A tick makes its writes one after the other; with many members that is a while.
        let writes = 2 * self.pace.latency * i64::try_from(self.members.len()).unwrap_or(10_000);
        2 * lag + longest.into_iter().max().unwrap_or_default() + more + writes + self.pace.rest + 30 * SECOND
    }

    /// Whether nothing holds the controllers up in it: what was seen is then acted on soon.
    pub fn is_prompt(&self) -> bool {
        self.faults
            .iter()
            .all(|(_, fault)| matches!(fault, Fault::Offline(..) | Fault::Sick(..) | Fault::Lag(..)))
    }

    /// Whether nothing happens in it but crashes, lags and lost answers of controllers: then its end is fixed by the
    /// plan and the clusters alone.
    pub fn is_fair(&self) -> bool {
        let gentle = |fault: &Fault| {
            !matches!(
                fault,
                Fault::Offline(..)
                    | Fault::Sick(..)
                    | Fault::ClockStep(..)
                    | Fault::Outage(_)
                    | Fault::Rival(..)
            )
        };
        self.faults.iter().all(|(_, fault)| gentle(fault))
            && self.acts.iter().all(|(_, act)| matches!(act, Act::Run | Act::Vote { .. }))
            && self.step_deadline >= 4 * 60
            && self
                .members
                .iter()
                .all(|member| member.upgrade.ends == Ends::Well && member.upgrade.takes < HOUR)
    }
}
