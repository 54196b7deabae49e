//! What stands on the management cluster when a scenario begins.

use std::sync::Arc;

use fleet_api::{
    KubernetesVersion,
    text::Minutes,
    v1alpha1::{
        AddonChoice, ComponentVersion, Disruption, Evidence, MemberSelector, Move, MoveStage,
        RolloutMemberSpec, RolloutSpec, RolloutTarget, Run, VersionStatus,
    },
};

use crate::{
    hub::{Cluster, Member, Rollout},
    scenario::{self, Scenario, Target},
    time::{DAY, HOUR, Millis, time},
    world::{Event, World},
};

/// The hash of the plan that the rollout runs.
pub(crate) const PLAN: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
/// The hash of some other plan.
pub(crate) const OTHER_PLAN: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
/// Who planned the rollout.
pub(crate) const AUTHOR: &str = "planner";
/// The rollout's name.
pub(crate) const ROLLOUT: &str = "wave";
/// The add-on of a rollout of add-ons.
const ADDON: &str = "coredns";
/// The rollout's UID.
pub(crate) const ROLLOUT_UID: &str = "rollout-uid";

/// The UID of a member's cluster; another cluster of the same name has another one.
pub(crate) fn uid(member: &scenario::Member, again: bool) -> Arc<str> {
    format!("{}-{}", member.name, if again { 2 } else { 1 }).into()
}

pub(crate) fn store(world: &mut World<'_>) {
    let scenario = world.scenario;
    let start = scenario.start;
    world.hub.put_votes(start, Vec::new());
    world.hub.put_rollout(
        start,
        Rollout { generation: 1, spec: Arc::new(rollout_spec(scenario)), status: Arc::default() },
    );
    for (index, member) in scenario.members.iter().enumerate() {
        if member.stored_after == 0 {
            store_member(world, index);
        } else {
            world.at(start + member.stored_after, Event::Stored(index));
        }
        world.hub.put_cluster(start, index, Some(cluster(scenario, member, false)));
    }
}

/// Whoever starts a rollout stores its members, one after the other.
pub(crate) fn store_member(world: &mut World<'_>, index: usize) {
    let Some(member) = world.scenario.members.get(index) else { return };
    let spec = Arc::new(member_spec(world.scenario, member));
    world.hub.put_member(world.now, index, Member { spec, status: Arc::default() });
}

fn rollout_spec(scenario: &Scenario) -> RolloutSpec {
    let target = match scenario.target {
        Target::Kubernetes(minor) => RolloutTarget {
            kubernetes: Some(KubernetesVersion::from_minor(minor)),
            ..RolloutTarget::default()
        },
        Target::Baseline => RolloutTarget { baseline: Some("new".to_owned()), ..RolloutTarget::default() },
        Target::Addons => RolloutTarget { addons: Some(vec![addon("new")]), ..RolloutTarget::default() },
    };
    RolloutSpec {
        target,
        members: Some(MemberSelector::default()),
        waves: scenario.waves.clone(),
        on_failure: scenario.on_failure,
        slots: scenario.slots,
        hold_nodes: scenario.hold_nodes.map(Minutes),
        step_deadline: Minutes(scenario.step_deadline),
        offline_after: Minutes(scenario.offline_after),
        author: AUTHOR.to_owned(),
        planned_members: i64::try_from(scenario.members.len()).unwrap_or(i64::MAX),
        plan_hash: PLAN.to_owned(),
        run: Run::Planned,
    }
}

/// The add-on that a rollout of add-ons moves, at a version.
fn addon(version: &str) -> AddonChoice {
    AddonChoice {
        name: ADDON.to_owned(),
        version: Some(version.to_owned()),
        configuration: None,
        role_arn: None,
    }
}

/// The add-ons of a cluster as they are observed.
pub(crate) fn addons(new: bool) -> Vec<ComponentVersion> {
    let version = if new { "new" } else { "old" };
    vec![ComponentVersion { name: ADDON.to_owned(), version: version.to_owned() }]
}

/// A member's spec, as the plan made it.
pub(crate) fn member_spec(scenario: &Scenario, member: &scenario::Member) -> RolloutMemberSpec {
    let wave = scenario.waves.get(member.wave).map(|wave| wave.name.clone()).unwrap_or_default();
    RolloutMemberSpec {
        rollout: ROLLOUT.to_owned(),
        tenant: member.name.clone(),
        cluster: member.name.clone(),
        cluster_uid: uid(member, false).to_string(),
        wave,
        from: KubernetesVersion::from_minor(member.from),
        slot: time(scenario.start + member.slot),
        skip: false,
        not_before: None,
        retry: None,
        acknowledged: None,
        rollback: false,
    }
}

/// When its workloads were last disturbed before the scenario begins.
pub(crate) fn disturbed_before(scenario: &Scenario, member: &scenario::Member) -> Option<Disruption> {
    let before = member.disturbed_before?;
    Some(Disruption { change: "nodes of before".to_owned(), at: time(scenario.start - before) })
}

/// A member's cluster as it is stored before anything of the rollout touches it.
pub(crate) fn cluster(scenario: &Scenario, member: &scenario::Member, again: bool) -> Cluster {
    let before: Millis = scenario.start - 30 * DAY;
    let version = KubernetesVersion::from_minor(member.minor);
    let moved_before = member.moved_before && !again;
    // An earlier rollout has left its move and what was seen under it: it says nothing about this one.
    let current = moved_before.then(|| {
        Arc::new(Move {
            rollout: "earlier".to_owned(),
            rollout_uid: "earlier-uid".to_owned(),
            seq: 4,
            id: "earlier-1".to_owned(),
            stage: MoveStage::Go,
            version: Some(version),
            baseline: None,
            addons: Vec::new(),
            hold_nodes_until: None,
            halted: false,
            over: false,
        })
    });
    let evidence = moved_before.then(|| {
        Arc::new(Evidence {
            move_id: "earlier-1".to_owned(),
            stage: MoveStage::Go,
            observed_at: time(scenario.start - HOUR / 60),
            blockers: Vec::new(),
            looked: true,
            arrived: true,
            healthy: true,
            healthy_seconds: 30 * 86_400,
            stuck: None,
            message: String::new(),
        })
    });
    Cluster {
        uid: uid(member, again),
        deleting: false,
        paused: false,
        maintenance: member.maintenance.clone().map(Arc::new),
        current,
        baseline: "old".into(),
        versions: Arc::new(VersionStatus {
            control_plane: Some(version),
            created_at: Some(KubernetesVersion::from_minor(member.made_with)),
            upgrade_completed_at: moved_before.then(|| time(before)),
            last_disruption: disturbed_before(scenario, member).filter(|_| !again),
            addons: addons(false),
            ..VersionStatus::default()
        }),
        evidence,
    }
}
