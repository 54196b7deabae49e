//! How long one tick takes: a rollout of 10,000 members is played to its end in memory, with clusters that move at once.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use fleet_api::v1alpha1::{
    Evidence, Move, MoveStage, Rollout, RolloutMember, RolloutMemberStatus, RolloutPhase, RolloutStatus, Run,
    VersionStatus,
};
use fleet_plan::rollout::{
    ClusterView, MemberView, RolloutView, Tick, World, plan::member_objects, plan::rollout_object, tick,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::made_fleet::{MadeFleet, Windows};
use crate::figures::{Figures, Spread, millis, time};

const MEMBERS: usize = 10_000;
/// More ticks than it can take: a rollout that does not end ends the benchmark.
const MOST_TICKS: usize = 5_000;
const UID: &str = "00000000-0000-0000-0000-000000000001";

/// What is stored of a member and its cluster.
struct Stored {
    member: RolloutMember,
    version: String,
    status: RolloutMemberStatus,
    wanted: Option<Move>,
    versions: VersionStatus,
    evidence: Option<Evidence>,
}

/// Plays a rollout to its end, and says how long each tick took.
fn play(members: usize) -> Result<Vec<Duration>> {
    let mut now = Timestamp::now();
    let plan = MadeFleet::of(members, Windows::Always)?.plan(now)?;
    let rollout = rollout_object(&plan, "bench", Run::Running);
    let mut stored: BTreeMap<String, Stored> = member_objects(&plan, UID)
        .map(|member| (member.metadata.name.clone().unwrap_or_default(), Stored::new(member)))
        .collect();
    let mut status = RolloutStatus::default();
    let mut times = Vec::new();
    while status.phase != RolloutPhase::Completed {
        if times.len() == MOST_TICKS {
            let why: Vec<&str> = status.report.iter().map(|entry| entry.message.as_str()).collect();
            bail!(
                "the rollout has not ended after {MOST_TICKS} ticks: {:?}; {}",
                status.counts,
                why.join("; ")
            );
        }
        let world = world(&rollout, &status, &stored, now);
        let began = Instant::now();
        let tick = tick(&world);
        times.push(began.elapsed());
        drop(world);
        now += SignedDuration::from_secs(1);
        carry_out(tick, &mut status, &mut stored, times.len(), now);
    }
    Ok(times)
}

/// Plays the rollout.
pub(crate) fn measure(figures: &mut Figures) -> Result<()> {
    let times = play(MEMBERS)?;
    let count = times.len();
    let all: Duration = times.iter().sum();
    let spread = Spread::of(times);
    figures.add(
        "tick10000",
        format!("one tick of the engine with {MEMBERS} members, over the {count} ticks of a whole rollout"),
        format!(
            "p50 {}, p99 {}, max {}; {} for all of them",
            time(spread.at(0.5)),
            time(spread.at(0.99)),
            time(spread.max()),
            time(all)
        ),
        [
            ("p50Milliseconds", millis(spread.at(0.5))),
            ("p99Milliseconds", millis(spread.at(0.99))),
            ("maxMilliseconds", millis(spread.max())),
            ("ticks", count as f64),
        ],
    );
    Ok(())
}

impl Stored {
    fn new(member: RolloutMember) -> Self {
        let from = Some(member.spec.from);
        Self {
            member,
            version: "0".to_owned(),
            status: RolloutMemberStatus::default(),
            wanted: None,
            versions: VersionStatus { control_plane: from, created_at: from, ..VersionStatus::default() },
            evidence: None,
        }
    }

    fn view(&self) -> MemberView<'_> {
        MemberView {
            version: &self.version,
            spec: &self.member.spec,
            status: &self.status,
            cluster: Some(ClusterView {
                uid: &self.member.spec.cluster_uid,
                deleting: false,
                paused: false,
                maintenance: None,
                current: self.wanted.as_ref(),
                taken_by: None,
                baseline: "standard",
                versions: &self.versions,
                evidence: self.evidence.as_ref(),
            }),
        }
    }
}

fn world<'a>(
    rollout: &'a Rollout,
    status: &'a RolloutStatus,
    stored: &'a BTreeMap<String, Stored>,
    now: Timestamp,
) -> World<'a> {
    World {
        rollout: RolloutView {
            name: rollout.metadata.name.as_deref().unwrap_or_default(),
            uid: UID,
            generation: 1,
            version: "0",
            deleting: false,
            spec: &rollout.spec,
            status,
        },
        members: stored.iter().map(|(name, stored)| (name.clone(), stored.view())).collect(),
        votes: Vec::new(),
        checks: BTreeMap::new(),
        stored_plan: rollout.spec.plan_hash.clone(),
        approvers: &[],
        now,
    }
}

/// Stores what a tick wants, and lets every cluster be where its move leads.
fn carry_out(
    tick: Tick,
    status: &mut RolloutStatus,
    stored: &mut BTreeMap<String, Stored>,
    number: usize,
    now: Timestamp,
) {
    let Tick { status: wanted, members, moves, wake_at: _ } = tick;
    if let Some(wanted) = wanted {
        *status = wanted;
    }
    for (name, _, wanted) in members {
        if let Some(stored) = stored.get_mut(&name) {
            stored.status = wanted;
            stored.version = number.to_string();
        }
    }
    for (name, wanted) in moves {
        if let Some(stored) = stored.get_mut(&name) {
            if wanted.stage != MoveStage::Prepare {
                stored.versions.control_plane = wanted.version;
            }
            stored.evidence = Some(evidence(&wanted, now));
            stored.wanted = Some(wanted);
        }
    }
}

/// What is seen of a cluster that is where its move leads, and healthy; before it moves, that nothing stands in its way.
pub(crate) fn evidence(wanted: &Move, now: Timestamp) -> Evidence {
    let there = wanted.stage != MoveStage::Prepare;
    Evidence {
        move_id: wanted.id.clone(),
        stage: wanted.stage,
        observed_at: Time(now),
        blockers: Vec::new(),
        looked: true,
        arrived: there,
        healthy: there,
        healthy_seconds: 0,
        stuck: None,
        message: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rollout_that_is_measured_runs_to_its_end() {
        assert!(!play(20).unwrap().is_empty());
    }
}
