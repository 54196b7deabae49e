//! What has moved since a plan was made, and the objects that starting it makes.

use std::collections::BTreeSet;

use fleet_api::v1alpha1::{Rollout, RolloutMember, Run};
use fleet_plan::rollout::plan::{
    RolloutPlan, member_name, member_objects, moved, rollout_object, stored_hash,
};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::world::{World, at, by_ring, version, windows};

fn planned() -> (World, RolloutPlan) {
    let mut world = World::new("2026-11-24T14:00:00Z");
    world
        .tenant("acme", "first", "1.35", &windows("UTC", &["Tue"], "22:00", "4h"))
        .tenant("globex", "second", "1.35", &Value::Null)
        .tenant("there", "second", "1.36", &Value::Null);
    let plan = world.plan(&by_ring(&["first", "second"])).unwrap();
    (world, plan)
}

fn told(world: &World, plan: &RolloutPlan) -> Vec<String> {
    let moved = moved(plan, &world.input(&plan.strategy));
    moved.into_iter().map(|moved| format!("{} {}", moved.subject, moved.what)).collect()
}

#[test]
fn a_world_that_has_not_moved_says_nothing() {
    let (mut world, plan) = planned();
    world.now = at("2026-11-24T21:00:00Z");
    // What does not matter to the plan may change.
    world.tenants[0].spec.owner.team = "others".to_owned();
    world.tenants[0].metadata.generation = Some(2);
    assert_eq!(told(&world, &plan), Vec::<String>::new());
}

#[test]
fn what_matters_is_named() {
    type Change = fn(&mut World);
    let changes: [(Change, &str); 9] = [
        (|world| drop(world.tenants.remove(0)), "acme is gone"),
        (
            |world| world.clusters[0].metadata.uid = Some("another".to_owned()),
            "acme has another cluster than the one that was planned for",
        ),
        (
            |world| world.clusters[0].status.as_mut().unwrap().versions.control_plane = Some(version("1.36")),
            "acme is at the target already",
        ),
        (
            |world| world.clusters[0].status.as_mut().unwrap().versions.control_plane = Some(version("1.34")),
            "acme is at 1.34, and was planned from 1.35",
        ),
        (
            |world| {
                world.tenants[0]
                    .metadata
                    .labels
                    .as_mut()
                    .unwrap()
                    .insert("ring".to_owned(), "second".to_owned());
            },
            "acme belongs to wave second, and was planned in wave first",
        ),
        (
            |world| {
                world.tenant("new", "first", "1.35", &Value::Null);
            },
            "new takes part now, and the plan has no slot for it",
        ),
        (
            |world| {
                world.clusters[0].spec.maintenance.as_mut().unwrap().windows[0].start =
                    "23:00".parse().unwrap()
            },
            "acme may not begin at 2026-11-24T22:00:00Z any more, by its windows and freezes; the next slot is at 2026-11-24T23:00:00Z",
        ),
        (
            |world| {
                world.taken.insert("acme".to_owned(), "other".to_owned());
            },
            "acme was taken by rollout other",
        ),
        (
            |world| world.now = at("2026-11-25T03:00:00Z"),
            "acme had its slot at 2026-11-24T22:00:00Z, which has passed",
        ),
    ];
    for (change, expected) in changes {
        let (mut world, plan) = planned();
        change(&mut world);
        let told = told(&world, &plan);
        assert!(told.contains(&expected.to_owned()), "{expected}: {told:?}");
    }
}

#[test]
fn offers_and_roles_count_as_well() {
    let (mut world, plan) = planned();
    world.calendar.retain(|offer| offer.version != version("1.36"));
    assert_eq!(told(&world, &plan), ["spec.target.kubernetes EKS does not offer 1.36"]);
}

#[test]
fn all_that_has_moved_is_named_at_once() {
    let (mut world, plan) = planned();
    world.clusters[0].status.as_mut().unwrap().versions.control_plane = Some(version("1.34"));
    world.tenants[1].spec.kubernetes.version = Some(version("1.35"));
    world.calendar.retain(|offer| offer.version != version("1.36"));
    assert_eq!(
        told(&world, &plan),
        [
            "acme is at 1.34, and was planned from 1.35",
            "spec.target.kubernetes EKS does not offer 1.36",
            "spec.members globex is pinned to 1.35, by `spec.kubernetes.version` of the Tenant",
        ]
    );
}

#[test]
fn starting_makes_one_object_for_each_member_with_its_rollout_and_its_slot() {
    let (_, plan) = planned();
    let rollout = rollout_object(&plan, "jane", Run::Running);
    assert_eq!(rollout.spec.author, "jane");
    assert_eq!(rollout.spec.plan_hash, plan.hash);
    let members: Vec<_> = member_objects(&plan, "r-uid").collect();
    let names: BTreeSet<String> =
        members.iter().map(|member| member.metadata.name.clone().unwrap()).collect();
    assert_eq!(names, BTreeSet::from([member_name("up", "acme"), member_name("up", "globex")]));
    for (member, planned) in members.iter().zip(&plan.members) {
        assert_eq!(member.spec.slot.0, planned.slot);
        assert_eq!(member.metadata.owner_references.as_ref().unwrap()[0].uid, "r-uid");
        assert_eq!(member.metadata.labels.as_ref().unwrap()["tenantfleet.dev/rollout"], "up");
    }
}

#[test]
fn what_is_stored_has_the_hash_that_people_vote_on_and_nothing_else_has_it() {
    let mut world = World::new("2026-11-24T14:00:00.123Z");
    world.tenant("acme", "first", "1.35", &Value::Null).tenant("globex", "second", "1.35", &Value::Null);
    let mut rollout = by_ring(&["first", "second"]);
    rollout.hold_nodes = Some("48h".parse().unwrap());
    rollout.members = serde_json::from_value(json!({
        "labels": {"matchExpressions": [{"key": "ring", "operator": "Exists"}]},
    }))
    .unwrap();
    rollout.waves[0].max_concurrent = serde_json::from_value(json!("50%")).unwrap();
    rollout.waves[1].before = serde_json::from_value(json!([
        {"name": "monday", "notBefore": "2026-11-25T08:00:00Z"},
        {"name": "calm", "condition": "cluster.spec.paused == false"},
    ]))
    .unwrap();
    let plan = world.plan(&rollout).unwrap();
    let stored = |hash: &dyn Fn(&mut Rollout, &mut Vec<RolloutMember>)| {
        // As the management cluster gives objects back: through their JSON.
        let object = json!(rollout_object(&plan, "jane", Run::Running));
        let mut object: Rollout = serde_json::from_value(object).unwrap();
        let members: Vec<_> = member_objects(&plan, "r-uid").collect();
        let mut members: Vec<RolloutMember> = serde_json::from_value(json!(members)).unwrap();
        members.reverse();
        hash(&mut object, &mut members);
        stored_hash("up", &object.spec, members.iter().map(|member| &member.spec))
    };
    assert_eq!(stored(&|_, _| {}), plan.hash);
    // How it is driven is not what was voted on.
    let driven = stored(&|rollout, members| {
        rollout.spec.run = Run::Paused;
        members[0].spec.skip = true;
        members[0].spec.acknowledged = Some(1);
    });
    assert_eq!(driven, plan.hash);
    type Change = fn(&mut Rollout, &mut Vec<RolloutMember>);
    let changes: [Change; 6] = [
        |rollout, _| rollout.spec.hold_nodes = None,
        |rollout, _| rollout.spec.waves[1].before.clear(),
        |_, members| drop(members.pop()),
        |_, members| members[0].spec.cluster_uid = "another".to_owned(),
        |_, members| members[0].spec.slot.0 -= SignedDuration::from_secs(1),
        |_, members| members[0].spec.from = version("1.34"),
    ];
    for (index, change) in changes.iter().enumerate() {
        assert_ne!(stored(change), plan.hash, "{index}");
    }
}
