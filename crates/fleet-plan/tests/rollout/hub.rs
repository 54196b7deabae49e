//! Objects with versions that are written against what was read, and clusters that do what a test says.

use std::collections::BTreeMap;

use fleet_api::{
    KubernetesVersion,
    v1alpha1::{
        ApproverRole, ComponentVersion, Evidence, Maintenance, MemberState, Move, MoveStage, ReportEntry,
        RolloutMemberSpec, RolloutMemberStatus, RolloutPhase, RolloutSpec, RolloutStatus, Run, VersionStatus,
    },
};
use fleet_plan::rollout::{CheckResult, ClusterView, MemberView, RolloutView, Tick, VoteView, World};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A Tuesday noon.
pub fn start() -> Timestamp {
    at("2026-11-24T12:00:00Z")
}

pub const fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}

pub const fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

pub fn plan_hash() -> String {
    "ab".repeat(32)
}

#[derive(Clone)]
pub struct Cluster {
    pub uid: String,
    pub deleting: bool,
    pub paused: bool,
    pub maintenance: Option<Maintenance>,
    pub current: Option<Move>,
    pub taken_by: Option<String>,
    pub versions: VersionStatus,
    pub evidence: Option<Evidence>,
}

#[derive(Clone)]
pub struct Member {
    pub version: String,
    pub spec: RolloutMemberSpec,
    pub status: RolloutMemberStatus,
    pub cluster: Option<Cluster>,
}

#[derive(Clone)]
pub struct Hub {
    written: u64,
    pub version: String,
    pub spec: RolloutSpec,
    pub status: RolloutStatus,
    pub deleting: bool,
    pub members: BTreeMap<String, Member>,
    pub votes: Vec<VoteView>,
    pub checks: BTreeMap<String, CheckResult>,
    pub approvers: Vec<ApproverRole>,
    /// The hash of what is stored, where it is not that of the plan.
    pub stored_plan: Option<String>,
    pub now: Timestamp,
    /// The fault of the engine that is in force.
    #[cfg(feature = "mutants")]
    pub mutant: Option<fleet_plan::rollout::Mutant>,
}

/// A rollout of these waves, to 1.36. It runs.
pub fn rollout(waves: Value) -> Hub {
    let spec: RolloutSpec = serde_json::from_value(json!({
        "target": {"kubernetes": "1.36"},
        "waves": waves,
        "author": "alice",
        "plannedMembers": 0,
        "planHash": plan_hash(),
        "run": "Running",
    }))
    .unwrap();
    Hub {
        written: 0,
        version: "0".to_owned(),
        spec,
        status: RolloutStatus::default(),
        deleting: false,
        members: BTreeMap::new(),
        votes: Vec::new(),
        checks: BTreeMap::new(),
        approvers: Vec::new(),
        stored_plan: None,
        now: start(),
        #[cfg(feature = "mutants")]
        mutant: None,
    }
}

pub fn wave(name: &str, more: Value) -> Value {
    let mut wave = json!({"name": name, "selector": {}});
    wave.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    wave
}

impl Hub {
    /// Adds a member at 1.35, whose slot has come.
    pub fn with(mut self, wave: &str, names: &[&str]) -> Self {
        for name in names {
            self.add(wave, name);
        }
        self
    }

    pub fn add(&mut self, wave: &str, name: &str) {
        let uid = format!("uid-{name}");
        let member = Member {
            version: "0".to_owned(),
            spec: RolloutMemberSpec {
                rollout: "up".to_owned(),
                tenant: name.to_owned(),
                cluster: name.to_owned(),
                cluster_uid: uid.clone(),
                wave: wave.to_owned(),
                from: KubernetesVersion::from_minor(35),
                slot: Time(start()),
                skip: false,
                not_before: None,
                retry: None,
                acknowledged: None,
                rollback: false,
            },
            status: RolloutMemberStatus::default(),
            cluster: Some(Cluster {
                uid,
                deleting: false,
                paused: false,
                maintenance: None,
                current: None,
                taken_by: None,
                versions: VersionStatus {
                    control_plane: Some(KubernetesVersion::from_minor(35)),
                    created_at: Some(KubernetesVersion::from_minor(34)),
                    addons: vec![ComponentVersion { name: "coredns".to_owned(), version: "v1".to_owned() }],
                    ..VersionStatus::default()
                },
                evidence: None,
            }),
        };
        self.members.insert(name.to_owned(), member);
        self.spec.planned_members += 1;
    }

    /// What the engine says, from what is stored.
    pub fn tick(&self) -> Tick {
        self.tick_as(&self.status, &self.members)
    }

    /// What the engine says when it reads this status and these members in place of what is stored.
    pub fn tick_as(&self, status: &RolloutStatus, members: &BTreeMap<String, Member>) -> Tick {
        let views = members.iter().map(|(name, member)| (name.clone(), view(member))).collect();
        self.act(&World {
            rollout: RolloutView {
                name: "up",
                uid: "r1",
                generation: 1,
                version: &self.version,
                deleting: self.deleting,
                spec: &self.spec,
                status,
            },
            members: views,
            votes: self.votes.clone(),
            checks: self.checks.clone(),
            approvers: &self.approvers,
            stored_plan: self.stored_plan.clone().unwrap_or_else(|| self.spec.plan_hash.clone()),
            now: self.now,
        })
    }

    #[cfg(not(feature = "mutants"))]
    fn act(&self, world: &World<'_>) -> Tick {
        fleet_plan::rollout::tick(world)
    }

    #[cfg(feature = "mutants")]
    fn act(&self, world: &World<'_>) -> Tick {
        fleet_plan::rollout::tick_mutated(world, self.mutant)
    }

    /// Writes what a tick wants that was made from what is stored now.
    pub fn write(&mut self, tick: Tick) {
        self.write_some(tick, usize::MAX);
    }

    /// Writes only the first writes of a tick, as if its process died then.
    pub fn write_some(&mut self, tick: Tick, mut writes: usize) {
        let mut allowed = || {
            writes = writes.saturating_sub(1);
            writes > 0
        };
        if let Some(status) = tick.status {
            if !allowed() {
                return;
            }
            self.status = through_json(&status);
            self.version = self.stamp();
        }
        for (name, version, status) in tick.members {
            if !allowed() {
                return;
            }
            let stamp = self.stamp();
            let member = self.members.get_mut(&name).unwrap();
            if member.version != version {
                return;
            }
            member.status = through_json(&status);
            member.version = stamp;
        }
        for (name, wanted) in tick.moves {
            if !allowed() {
                return;
            }
            let cluster = self.members.get_mut(&name).unwrap().cluster.as_mut().unwrap();
            let older = cluster
                .current
                .as_ref()
                .is_some_and(|current| current.rollout_uid == wanted.rollout_uid && wanted.seq < current.seq);
            assert!(!older, "{name}: the management cluster refuses a move that is older than what stands");
            cluster.current = Some(through_json(&wanted));
        }
    }

    fn stamp(&mut self) -> String {
        self.written += 1;
        self.written.to_string()
    }

    /// Ticks until nothing is left to write.
    pub fn settle(&mut self) {
        for _ in 0..200 {
            let tick = self.tick();
            if tick.status.is_none() && tick.members.is_empty() && tick.moves.is_empty() {
                return;
            }
            self.write(tick);
        }
        unreachable!("the engine does not come to rest: {:#?}", self.tick());
    }

    pub fn pass_time(&mut self, by: SignedDuration) {
        self.now += by;
    }

    /// Every cluster that is to be looked at is, and nothing stands in its way.
    pub fn look(&mut self) {
        let now = self.now;
        for member in self.members.values_mut() {
            let Some(cluster) = &mut member.cluster else { continue };
            if let Some(current) = cluster.current.clone().filter(|c| c.stage == MoveStage::Prepare) {
                cluster.evidence = Some(evidence(&current, now));
            }
        }
    }

    /// Looks at everybody and lets begin whoever may.
    pub fn begin(&mut self) {
        self.settle();
        self.look();
        self.settle();
    }

    /// A cluster is where its move leads, and was healthy for so many seconds.
    pub fn arrive(&mut self, name: &str, healthy: Option<i64>) {
        let now = self.now;
        let cluster = self.cluster(name);
        let current = cluster.current.clone().unwrap();
        if current.version.is_some() && cluster.versions.control_plane != current.version {
            cluster.versions.control_plane = current.version;
            cluster.versions.upgrade_completed_at = Some(Time(now));
        }
        self.see(name, |seen| {
            seen.arrived = true;
            seen.healthy = healthy.is_some();
            seen.healthy_seconds = healthy.unwrap_or_default();
        });
    }

    /// A cluster is observed now, under the move that stands in it.
    pub fn see(&mut self, name: &str, what: impl FnOnce(&mut Evidence)) {
        let now = self.now;
        let cluster = self.cluster(name);
        let mut seen = evidence(cluster.current.as_ref().unwrap(), now);
        what(&mut seen);
        cluster.evidence = Some(seen);
    }

    /// Upgrades one member from its grant to its end.
    pub fn succeed(&mut self, name: &str) {
        self.arrive(name, Some(1_000_000));
        self.settle();
    }

    /// A person has looked at the failure of a member's present attempt.
    pub fn acknowledge(&mut self, name: &str) {
        let attempt = self.members[name].status.attempt;
        self.member_spec(name).acknowledged = Some(attempt);
    }

    pub fn get_stuck(&mut self, name: &str) {
        self.see(name, |seen| seen.stuck = Some("PodEvictionFailure".to_owned()));
        self.settle();
    }

    pub fn cluster(&mut self, name: &str) -> &mut Cluster {
        self.members.get_mut(name).unwrap().cluster.as_mut().unwrap()
    }

    pub fn member_spec(&mut self, name: &str) -> &mut RolloutMemberSpec {
        let stamp = self.stamp();
        let member = self.members.get_mut(name).unwrap();
        member.version = stamp;
        &mut member.spec
    }

    pub fn state(&self, name: &str) -> MemberState {
        self.members[name].status.state
    }

    pub fn states(&self) -> Vec<MemberState> {
        self.members.values().map(|member| member.status.state).collect()
    }

    pub fn message(&self, name: &str) -> &str {
        &self.members[name].status.message
    }

    pub fn stage(&self, name: &str) -> Option<MoveStage> {
        self.members[name].cluster.as_ref().and_then(|c| c.current.as_ref()).map(|current| current.stage)
    }

    pub fn moving(&self) -> usize {
        self.states().into_iter().filter(|state| state.is_moving()).count()
    }

    pub fn passed(&self, wave: &str) -> bool {
        self.status.waves.iter().any(|w| w.name == wave && w.passed_at.is_some())
    }

    pub fn phase(&self) -> RolloutPhase {
        self.status.phase
    }

    pub fn run(&mut self, run: Run) {
        self.spec.run = run;
        self.settle();
    }

    pub fn codes(&self) -> Vec<&str> {
        self.status.report.iter().map(|entry| entry.code.as_str()).collect()
    }

    pub fn reason(&self, code: &str) -> &ReportEntry {
        self.status.report.iter().find(|entry| entry.code == code).unwrap()
    }
}

fn view(member: &Member) -> MemberView<'_> {
    MemberView {
        version: &member.version,
        spec: &member.spec,
        status: &member.status,
        cluster: member.cluster.as_ref().map(|cluster| ClusterView {
            uid: &cluster.uid,
            deleting: cluster.deleting,
            paused: cluster.paused,
            maintenance: cluster.maintenance.as_ref(),
            current: cluster.current.as_ref(),
            taken_by: cluster.taken_by.as_deref(),
            baseline: "old",
            versions: &cluster.versions,
            evidence: cluster.evidence.as_ref(),
        }),
    }
}

fn evidence(current: &Move, now: Timestamp) -> Evidence {
    Evidence {
        move_id: current.id.clone(),
        stage: current.stage,
        observed_at: Time(now),
        blockers: Vec::new(),
        looked: current.stage == MoveStage::Prepare,
        arrived: false,
        healthy: false,
        healthy_seconds: 0,
        stuck: None,
        message: String::new(),
    }
}

/// What a management cluster makes of an object: what cannot be read back as it was written shows here.
fn through_json<T: serde::Serialize + serde::de::DeserializeOwned>(object: &T) -> T {
    serde_json::from_value(serde_json::to_value(object).unwrap()).unwrap()
}
