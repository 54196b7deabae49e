//! Rule 9: whatever dies when, and whatever is read late, the end is the same.

use fleet_api::v1alpha1::{MemberState, RolloutMemberStatus, RolloutPhase, Run};
use fleet_plan::rollout::CheckResult;
use serde_json::json;

use super::hub::{Hub, Member, hours, minutes, rollout, wave};

fn plan() -> Hub {
    rollout(json!([
        wave("first", json!({"maxConcurrent": 2, "maxFailures": 1})),
        wave("second", json!({"maxConcurrent": "50%", "soak": "1h"})),
    ]))
    .with("first", &["a", "b", "c"])
    .with("second", &["d", "e", "f", "g"])
}

/// Lives a whole rollout in which every tick dies after so many writes. `b` gets stuck.
fn live(mut hub: Hub, writes: usize) -> Hub {
    for _ in 0..400 {
        for name in ["a", "b", "c", "d", "e", "f", "g"] {
            let moves = hub.state(name).is_moving() || hub.state(name) == MemberState::Soaking;
            let under_way = moves
                && hub.stage(name).is_some_and(|stage| stage != fleet_api::v1alpha1::MoveStage::Prepare);
            if under_way && name == "b" && hub.spec.run == Run::Running {
                hub.see(name, |seen| seen.stuck = Some("PodEvictionFailure".to_owned()));
            } else if under_way {
                hub.arrive(name, Some(3600));
            }
        }
        hub.look();
        for _ in 0..3 {
            let tick = hub.tick();
            hub.write_some(tick, writes);
            caps_hold(&hub);
        }
        hub.pass_time(minutes(5));
        if hub.phase().is_over() {
            break;
        }
    }
    hub
}

fn caps_hold(hub: &Hub) {
    let moving = |names: &[&str]| names.iter().filter(|name| hub.state(name).is_moving()).count();
    assert!(moving(&["a", "b", "c"]) <= 2, "{:?}", hub.states());
    assert!(moving(&["d", "e", "f", "g"]) <= 2, "{:?}", hub.states());
    assert!(hub.passed("first") || moving(&["d", "e", "f", "g"]) == 0);
}

#[test]
fn a_wave_whose_members_are_not_all_seen_neither_passes_nor_begins_nor_stops() {
    let mut hub = plan();
    for seen in [vec![], vec!["a"], vec!["a", "b", "c", "d", "e", "f"]] {
        let mut members = hub.members.clone();
        members.retain(|name, _| seen.contains(&name.as_str()));
        let tick = hub.tick_as(&hub.status, &members);
        let status = tick.status.unwrap();
        assert_eq!(status.phase, RolloutPhase::Running, "{seen:?}");
        assert!(status.waves.iter().all(|wave| wave.passed_at.is_none()), "{seen:?}: {status:?}");
        assert!(status.ledger.granted.is_empty(), "{seen:?}");
        let told = format!("{} of 7 members are not seen", 7 - seen.len());
        assert!(status.report.iter().any(|entry| entry.message.contains(&told)), "{:?}", status.report);
    }
    // With one failure of three allowed, one that failed stops nothing, however few of its wave are seen.
    hub.begin();
    hub.get_stuck("b");
    assert_eq!(hub.state("b"), MemberState::Failed);
    let mut members = hub.members.clone();
    members.retain(|name, _| name == "b");
    let tick = hub.tick_as(&hub.status, &members);
    assert_eq!(tick.status.unwrap().phase, RolloutPhase::Running);
}

#[test]
fn a_crash_after_any_number_of_writes_ends_in_the_same_state() {
    let whole = live(plan(), usize::MAX);
    assert_eq!(whole.phase(), RolloutPhase::Completed);
    for writes in 2..6 {
        let crashed = live(plan(), writes);
        assert_eq!(crashed.states(), whole.states(), "{writes}");
        assert_eq!(crashed.phase(), RolloutPhase::Completed, "{writes}");
    }
}

#[test]
fn a_way_back_ends_in_the_same_state_after_any_crash() {
    let mut done = live(plan(), usize::MAX);
    done.spec.run = Run::RollingBack;
    let whole = live(done.clone(), usize::MAX);
    assert_eq!(whole.phase(), RolloutPhase::RolledBack);
    for writes in 2..6 {
        assert_eq!(live(done.clone(), writes).states(), whole.states(), "{writes}");
    }
}

#[test]
fn the_same_input_gives_the_same_bytes_and_what_was_written_is_what_is_wanted() {
    let mut hub = plan();
    for _ in 0..10 {
        hub.look();
        let (one, two) = (hub.tick(), hub.tick());
        assert_eq!(format!("{one:?}"), format!("{two:?}"));
        hub.write(one);
    }
    hub.settle();
    // Reading parts of a second changes nothing.
    hub.now += jiff::SignedDuration::from_millis(700);
    let tick = hub.tick();
    assert_eq!((tick.status, tick.members.len(), tick.moves.len()), (None, 0, 0));
}

#[test]
fn a_member_that_was_announced_to_fail_and_recovered_meanwhile_answers_and_goes_on() {
    let mut hub = plan();
    hub.begin();
    hub.see("a", |seen| seen.stuck = Some("throttled".to_owned()));
    let tick = hub.tick();
    assert_eq!(tick.status.as_ref().unwrap().ledger.noted, ["a"]);
    hub.write_some(tick, 2);
    hub.see("a", |_| {});
    hub.settle();
    assert_eq!(hub.state("a"), MemberState::Upgrading);
    assert_eq!(hub.members["a"].status.granted_by, hub.status.ledger.seq);
    hub.succeed("a");
    assert_eq!(hub.state("a"), MemberState::Succeeded);
}

#[test]
fn a_record_that_is_gone_stops_the_rollout_and_is_named() {
    let mut hub = plan();
    hub.begin();
    hub.members.remove("a");
    hub.pass_time(hours(1));
    hub.look();
    hub.settle();
    assert_eq!(hub.state("c"), MemberState::Preflight);
    assert!(hub.reason("WaitingForMembers").message.contains("gone: a"), "{:?}", hub.status.report);
}

#[test]
fn an_abort_ends_although_a_record_is_gone() {
    for gone in ["a", "g"] {
        let mut hub = plan();
        hub.begin();
        hub.members.remove(gone);
        hub.run(Run::Aborted);
        assert_eq!(hub.phase(), RolloutPhase::Running, "{gone}: what is under way is left to finish");
        for name in ["a", "b"].into_iter().filter(|name| *name != gone) {
            hub.succeed(name);
        }
        assert_eq!(hub.phase(), RolloutPhase::Aborted, "{gone}: {:?}", hub.status.report);
    }
}

#[test]
fn a_record_that_is_gone_before_it_took_part_can_be_stored_again() {
    let mut hub = plan();
    hub.begin();
    let record = hub.members.remove("g").unwrap();
    hub.settle();
    assert_eq!(hub.reason("WaitingForMembers").who, "operator");
    hub.members.insert("g".to_owned(), Member { status: RolloutMemberStatus::default(), ..record });
    let whole = live(hub, usize::MAX);
    assert_eq!(whole.state("g"), MemberState::Succeeded);
}

#[test]
fn no_gate_opens_before_every_member_was_read() {
    let gate = json!({"before": [{"name": "calm", "condition": "true"}]});
    let mut hub = rollout(json!([wave("w", gate)])).with("w", &["a", "b"]);
    let openable = |hub: &Hub| hub.status.waves[0].gates[0].openable_since.is_some();
    let late = hub.members.remove("b").unwrap();
    hub.settle();
    hub.checks.insert(
        "calm".to_owned(),
        CheckResult { at: hub.now, passed: Some(true), message: "everybody says so".to_owned() },
    );
    hub.settle();
    assert!(!openable(&hub) && hub.status.waves[0].gates[0].opened_at.is_none());
    hub.members.insert("b".to_owned(), late);
    hub.checks.clear();
    hub.settle();
    assert!(openable(&hub));
}

#[test]
fn what_is_not_the_plan_that_people_voted_on_moves_nobody() {
    let mut more = plan();
    more.add("second", "h");
    more.spec.planned_members -= 1;
    let mut other = plan();
    other.stored_plan = Some("ef".repeat(32));
    for (mut hub, message) in [(more, "its plan had 7"), (other, "not the plan that people voted on")] {
        hub.begin();
        assert_eq!(hub.phase(), RolloutPhase::Stopped);
        assert!(hub.reason("RolloutBroken").message.contains(message), "{:?}", hub.status.report);
        assert!(hub.states().iter().all(|state| !state.is_moving()), "{:?}", hub.states());
        hub.run(Run::Aborted);
        assert_eq!(hub.phase(), RolloutPhase::Aborted);
    }
}

#[test]
fn nodes_that_cannot_follow_after_their_hold_fail_a_member_that_had_succeeded() {
    let mut hub = rollout(json!([wave("first", json!({})), wave("second", json!({"soak": "1h"}))]))
        .with("first", &["a"])
        .with("second", &["b", "c"]);
    hub.spec.hold_nodes = Some(fleet_api::text::Minutes(60));
    hub.begin();
    hub.succeed("a");
    hub.look();
    hub.settle();
    assert_eq!(hub.states(), [MemberState::Succeeded, MemberState::Upgrading, MemberState::Preflight]);
    hub.pass_time(hours(2));
    hub.see("a", |seen| {
        (seen.arrived, seen.healthy) = (true, true);
        seen.stuck = Some("PodEvictionFailure: ledger-0".to_owned());
    });
    hub.settle();
    assert_eq!(hub.state("a"), MemberState::Failed);
    assert!(hub.message("a").contains("its nodes cannot follow"), "{}", hub.message("a"));
    assert!(hub.passed("first"), "a wave that has passed stays passed");
    assert_eq!(hub.phase(), RolloutPhase::Stopped);
    hub.look();
    hub.settle();
    assert_eq!(hub.state("c"), MemberState::Preflight, "nobody begins behind it");
    // Once it is mended and tried again, its nodes are held no longer than they were.
    let first = hub.cluster("a").current.as_ref().unwrap().hold_nodes_until.clone();
    hub.member_spec("a").retry = Some("mended".to_owned());
    hub.settle();
    hub.look();
    hub.settle();
    assert_eq!(hub.state("a"), MemberState::Upgrading);
    assert!(hub.cluster("a").current.as_ref().unwrap().hold_nodes_until <= first);
    hub.succeed("a");
    assert_eq!(hub.state("a"), MemberState::Succeeded);
    assert_eq!(hub.phase(), RolloutPhase::Running);
}
