//! The loop of a cluster: it acts on the move that its cache shows, and writes down what it saw live.

use fleet_api::{
    KubernetesVersion,
    v1alpha1::{Disruption, Evidence, MoveStage, ReportEntry, VersionStatus},
};

use crate::{
    checks::Seen,
    cloud::{Begun, Goal, goal_of},
    hub::Refused,
    scenario::{Kind, LOOK_CAP, Target},
    time::{MINUTE, Millis, SECOND, millis, time},
    world::{Event, World},
};

/// After how many failures a cluster's loop says that it is stuck.
const TRIES: u32 = 3;

impl World<'_> {
    /// Looks at every cluster that is due, and comes back.
    pub(crate) fn look_at_all(&mut self) {
        self.rounds += 1;
        let hourly =
            self.rounds.is_multiple_of((60 * MINUTE / self.scenario.pace.look.max(SECOND)).max(1) as u64);
        for index in 0..self.clouds.len() {
            let wanted = self.hub.cluster(index).is_some_and(|cluster| cluster.current.is_some());
            let busy = wanted && !self.state(index).is_settled();
            if (busy || hourly) && !self.luck.chance(5) {
                self.look(index);
            }
        }
        self.at(self.now + self.scenario.pace.look, Event::LookAll);
    }

    /// Looks at one cluster, by one of the controllers that act at the moment.
    pub(crate) fn look(&mut self, index: usize) {
        let acting: Vec<usize> = self.acting().collect();
        let Some(process) = self.luck.pick(&acting).copied() else { return };
        self.sync(process);
        let Some((synced, clock)) = self.processes.get(process).map(|p| (p.synced, p.clock)) else { return };
        let synced = synced.get(Kind::Cluster as usize).copied().unwrap_or_default();
        let Some(cached) = self.hub.clusters.get(index).and_then(|history| history.as_of(synced)).cloned()
        else {
            return;
        };
        if cached.value.deleting || !self.clouds.get(index).is_some_and(|cloud| cloud.is_reachable(self.now))
        {
            return;
        }
        let stuck = self.act_on_move(index, cached.value.current.as_deref(), cached.value.paused);
        let Some(cloud) = self.clouds.get(index) else { return };
        let now = self.now;
        let minor = KubernetesVersion::from_minor(cloud.minor);
        let known = &cached.value.versions;
        let completed = if known.control_plane == Some(minor) {
            known.upgrade_completed_at.clone()
        } else {
            cloud.upgraded_at.map(|_| time(now + clock))
        };
        let versions = VersionStatus {
            control_plane: Some(minor),
            created_at: Some(KubernetesVersion::from_minor(cloud.made_with)),
            upgrade_completed_at: completed,
            last_disruption: match cloud.disturbed {
                Some((minor, at)) => Some(Disruption {
                    change: KubernetesVersion::from_minor(minor).to_string(),
                    at: time(at + clock),
                }),
                None => known.last_disruption.clone(),
            },
            addons: crate::start::addons(cloud.new_part && self.scenario.target == Target::Addons),
            ..VersionStatus::default()
        };
        let evidence = cached
            .value
            .current
            .as_deref()
            .map(|wanted| self.evidence(index, wanted, &cached.value, clock, stuck));
        let new_baseline = cloud.new_part && self.scenario.target == Target::Baseline;
        let baseline = if new_baseline { "new" } else { "old" };
        let stage = cached.value.current.as_deref().map(|wanted| (wanted.id.clone(), wanted.stage));
        let result =
            self.hub.write_observation(now, index, &cached.version, versions, baseline.into(), evidence);
        match result {
            Ok(()) => {
                self.announce(Kind::Cluster);
                let offset = clock;
                let seen = Seen::of(self.scenario, &self.hub, &self.clouds, now);
                if let Err(violation) = seen.looked(&mut self.checks, index, stage, offset) {
                    self.broken.get_or_insert(violation);
                }
            }
            Err(Refused::Conflict) => {
                let again = now + self.lag(Kind::Cluster) + SECOND;
                self.at(again, Event::Look(index));
            }
            Err(Refused::NotFound | Refused::Older) => {}
        }
    }

    /// Begins what the move wants, and says why it cannot go on.
    fn act_on_move(
        &mut self,
        index: usize,
        wanted: Option<&fleet_api::v1alpha1::Move>,
        paused: bool,
    ) -> Option<String> {
        let wanted = wanted?;
        let goal = goal_of(wanted, self.scenario.target)?;
        let (now, mended) = (self.now, self.mended);
        let member = self.scenario.members.get(index)?;
        let acted_on = self.acted_on.get_mut(index)?;
        let cloud = self.clouds.get_mut(index)?;
        let key = format!("{} {:?}", wanted.id, wanted.stage);
        if *acted_on != key {
            *acted_on = key;
            cloud.failures = 0;
        }
        if wanted.stage == MoveStage::Prepare || wanted.over || paused || cloud.is_at(goal) {
            return None;
        }
        if cloud.failures >= TRIES && !mended {
            return Some(format!("the cloud failed {} times", cloud.failures));
        }
        // The versions of a member that failed stay where they are until it gets another attempt.
        if wanted.halted && (wanted.version.is_some() || !wanted.addons.is_empty()) {
            return Some("its move is halted".to_owned());
        }
        // A move forward whose goal lies behind has nothing to do: the version never goes down by it.
        if wanted.stage == MoveStage::Go && matches!(goal, Goal::Minor(minor) if minor < cloud.minor) {
            return Some(format!("the cluster is at 1.{}, beyond what is wanted", cloud.minor));
        }
        let behaviour = if wanted.stage == MoveStage::Back { &member.back } else { &member.upgrade };
        match cloud.begin(now, goal, behaviour, mended) {
            Begun::Until(id, ends) => {
                let name = member.name.clone();
                self.log.say(now, "cloud", || format!("{name}: begins to change to {goal:?}"));
                if let Some(ends) = ends {
                    self.at(ends, Event::CloudEnds(index, id));
                }
                None
            }
            Begun::Busy => None,
            Begun::Never => Some("the cloud refuses it".to_owned()),
        }
    }

    /// What was seen live under the move.
    fn evidence(
        &self,
        index: usize,
        wanted: &fleet_api::v1alpha1::Move,
        cached: &crate::hub::Cluster,
        clock: Millis,
        stuck: Option<String>,
    ) -> Evidence {
        let now = self.now;
        let goal = goal_of(wanted, self.scenario.target);
        let (arrived, healthy, blockers, looked) =
            match (self.clouds.get(index), self.scenario.members.get(index), goal) {
                (Some(cloud), Some(member), Some(goal)) => {
                    let there = cloud.is_at(goal);
                    // A hasty observer takes a change that goes on for one that has ended; the version gives it the lie.
                    let hasty = member.hasty
                        && wanted.stage == MoveStage::Go
                        && matches!(self.scenario.target, Target::Kubernetes(_))
                        && cloud.operation.as_ref().is_some_and(|operation| !operation.back);
                    let start = self.scenario.start;
                    let mut blockers = Vec::new();
                    if wanted.stage == MoveStage::Prepare {
                        if now < start + member.blocked_until && !self.mended {
                            blockers.push(blocker("InsightError", "an API that goes away is still called"));
                        }
                        if !cloud.is_healthy(now) {
                            blockers.push(blocker("NotReady", "the cluster is not healthy"));
                        }
                    }
                    let looked = now >= start + member.dark_until || self.mended;
                    (there || hasty, there && cloud.is_healthy(now), blockers, looked)
                }
                _ => (false, false, Vec::new(), false),
            };
        let stuck = stuck.or_else(|| self.nodes_cannot_follow(index, wanted, arrived, clock));
        let mut healthy_seconds = 0;
        if healthy
            && let Some(before) = &cached.evidence
            && before.move_id == wanted.id
            && before.stage == wanted.stage
            && before.healthy
        {
            let passed = (now + clock - millis(&before.observed_at)).clamp(0, LOOK_CAP);
            healthy_seconds = before.healthy_seconds + passed / SECOND;
        }
        Evidence {
            move_id: wanted.id.clone(),
            stage: wanted.stage,
            observed_at: time(now + clock),
            blockers,
            looked,
            arrived,
            healthy,
            healthy_seconds,
            stuck,
            message: String::new(),
        }
    }

    /// Nodes that were held back are to follow once their hold has ended, and cannot.
    fn nodes_cannot_follow(
        &self,
        index: usize,
        wanted: &fleet_api::v1alpha1::Move,
        arrived: bool,
        clock: Millis,
    ) -> Option<String> {
        let held_until = wanted.hold_nodes_until.as_ref().map(millis)?;
        let member = self.scenario.members.get(index)?;
        let due = arrived && wanted.stage == MoveStage::Go && self.now + clock >= held_until;
        (due && member.nodes_stuck && !self.mended).then(|| "its nodes cannot be replaced".to_owned())
    }

    pub(crate) fn on_cloud_ends(&mut self, index: usize, id: u64) {
        let (now, mended) = (self.now, self.mended);
        let Some(member) = self.scenario.members.get(index) else { return };
        let Some(cloud) = self.clouds.get_mut(index) else { return };
        // What was mended ends when it was told to then.
        if cloud.operation.as_ref().is_none_or(|operation| operation.id != id || operation.ends != Some(now))
        {
            return;
        }
        let back = cloud.operation.as_ref().is_some_and(|operation| operation.back);
        let behaviour = if back { &member.back } else { &member.upgrade };
        let Some(arrived) = cloud.end(now, id, behaviour, mended) else { return };
        let healthy_at = cloud.sick_until;
        self.log.say(now, "cloud", || {
            format!("{}: {}", member.name, if arrived { "has changed" } else { "failed to change" })
        });
        if arrived {
            for (after, length) in &behaviour.flaps {
                self.at(now + after, Event::Sick(index, *length));
            }
            self.at(healthy_at + SECOND, Event::Look(index));
        }
        let after = self.luck.between(1, 40 * SECOND);
        self.at(now + after, Event::Look(index));
        Seen::of(self.scenario, &self.hub, &self.clouds, now).truth_changed(&mut self.checks, index);
    }

    pub(crate) fn fall_sick(&mut self, index: usize, length: Millis) {
        let now = self.now;
        if self.mended {
            return;
        }
        let name = self.name(index).to_owned();
        if let Some(cloud) = self.clouds.get_mut(index) {
            cloud.sick_until = cloud.sick_until.max(now + length);
            self.log.say(now, "cloud", || format!("{name}: not healthy for {}", crate::time::length(length)));
            self.at(now + SECOND, Event::Look(index));
            self.at(now + length + SECOND, Event::Look(index));
        }
    }
}

fn blocker(code: &str, message: &str) -> ReportEntry {
    ReportEntry { code: code.to_owned(), message: message.to_owned(), who: "tenant".to_owned(), hint: None }
}
