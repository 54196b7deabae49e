//! Rule 9: whatever dies when, and whatever is read late, the end is the same.

use fleet_api::v1alpha1::{MemberState, RolloutPhase, Run};
use serde_json::json;

use super::hub::{Hub, hours, minutes, rollout, wave};

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
