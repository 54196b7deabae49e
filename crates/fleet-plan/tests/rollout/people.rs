//! What people ask for: pause, abort, skip, retry; and plans that contradict themselves.

use fleet_api::v1alpha1::{MemberState::*, MoveStage, ReportEntry, RolloutPhase, Run};
use serde_json::json;

use super::hub::{Hub, hours, minutes, rollout, wave};

fn two() -> Hub {
    let mut hub = rollout(json!([wave("w", json!({}))])).with("w", &["a", "b"]);
    hub.begin();
    assert_eq!(hub.states(), [Upgrading, Preflight]);
    hub
}

#[test]
fn a_pause_lets_finish_what_runs_and_begins_nothing() {
    let mut hub = two();
    hub.run(Run::Paused);
    hub.succeed("a");
    hub.look();
    hub.settle();
    assert_eq!(hub.states(), [Succeeded, Preflight]);
    assert_eq!(hub.phase(), RolloutPhase::Paused);
    hub.run(Run::Running);
    hub.look();
    hub.settle();
    assert_eq!(hub.state("b"), Upgrading);
}

#[test]
fn a_grant_that_was_not_used_before_a_pause_is_not_used_in_it() {
    let mut hub = rollout(json!([wave("w", json!({}))])).with("w", &["a"]);
    hub.settle();
    hub.look();
    let tick = hub.tick();
    hub.write_some(tick, 2);
    hub.run(Run::Paused);
    assert_eq!(hub.state("a"), Preflight);
    assert_eq!(hub.members["a"].status.entries, 1);
}

#[test]
fn an_abort_is_for_good() {
    let mut hub = two();
    hub.run(Run::Aborted);
    assert_eq!(hub.phase(), RolloutPhase::Running, "a is left to finish");
    hub.succeed("a");
    assert_eq!((hub.state("a"), hub.phase()), (Succeeded, RolloutPhase::Aborted));
    hub.run(Run::Running);
    hub.look();
    hub.settle();
    assert_eq!((hub.state("b"), hub.phase()), (Preflight, RolloutPhase::Aborted));
    hub.run(Run::RollingBack);
    hub.succeed("a");
    assert_eq!(
        (hub.state("a"), hub.phase()),
        (RolledBack, RolloutPhase::RolledBack),
        "the way back stays open"
    );
}

#[test]
fn members_that_wait_are_told_when_a_rollout_has_ended() {
    for (run, message) in [
        (Run::Aborted, "does not begin any more: the rollout was aborted"),
        (Run::RollingBack, "does not begin any more: the rollout is rolled back"),
    ] {
        for sound in [true, false] {
            let mut hub = two();
            hub.cluster("b").paused = true;
            hub.settle();
            assert_eq!(hub.members["b"].status.blockers.len(), 1);
            hub.stored_plan = (!sound).then(|| "another".to_owned());
            hub.run(run);
            assert_eq!(hub.message("b"), message, "sound: {sound}");
            assert!(hub.members["b"].status.blockers.is_empty(), "nothing is asked for in its name");
        }
    }
}

#[test]
fn the_end_is_told_to_more_members_than_one_tick_has_words_for() {
    let mut hub = rollout(json!([wave("w", json!({}))]));
    for number in 0..250 {
        hub.add("w", &format!("m{number:05}"));
    }
    hub.settle();
    hub.spec.run = Run::Aborted;
    for (told, goes_on) in [(100, true), (100, true), (50, false), (0, false)] {
        let tick = hub.tick();
        assert_eq!((tick.members.len(), tick.wake_at.is_some()), (told, goes_on));
        hub.write(tick);
        assert_eq!(hub.phase(), RolloutPhase::Aborted);
    }
    assert!(hub.message("m00249").contains("was aborted"));
}

#[test]
fn a_rollout_that_is_over_or_goes_back_asks_nobody_to_see_to_failures_that_stop_nothing() {
    let mut hub = rollout(json!([wave("w", json!({"maxConcurrent": 2}))])).with("w", &["a", "b", "c"]);
    hub.begin();
    hub.get_stuck("a");
    hub.succeed("b");
    assert!(hub.reason("RolloutStopped").hint.is_some());
    hub.run(Run::Aborted);
    assert_eq!(hub.phase(), RolloutPhase::Aborted);
    assert_eq!(hub.codes(), ["RolloutAborted", "MemberFailed"]);
    assert_eq!(hub.reason("MemberFailed").message, "wave `w`: 1 failed");
    hub.run(Run::RollingBack);
    assert_eq!(hub.codes(), ["MemberFailed", "RollingBack"]);
    // A way back that failed is one that somebody can try again.
    hub.get_stuck("b");
    assert_eq!((hub.states(), hub.phase()), (vec![Failed, Failed, Preflight], RolloutPhase::RolledBack));
    let told = hub.reason("MemberFailed");
    assert_eq!(told.message, "wave `w`: 1 could not go back, and 2 failed in all");
    assert!(told.hint.as_ref().unwrap().contains("retry"));
    hub.member_spec("b").retry = Some("1".to_owned());
    hub.settle();
    hub.succeed("b");
    assert_eq!((hub.state("b"), hub.codes()), (RolledBack, vec!["MemberFailed"]));
    assert_eq!(hub.reason("MemberFailed").hint, None);
}

#[test]
fn an_abort_leaves_nothing_to_be_asked_for_by_what_the_rollout_was_aborted_for() {
    let mut hub = two();
    hub.stored_plan = Some("another".to_owned());
    hub.settle();
    assert!(hub.reason("RolloutBroken").hint.is_some());
    hub.run(Run::Aborted);
    assert_eq!(hub.reason("RolloutBroken").hint, None);
}

#[test]
fn a_paused_tenant_is_one_thing_that_stands_in_the_way() {
    let mut hub = rollout(json!([wave("w", json!({}))])).with("w", &["a"]);
    hub.settle();
    hub.cluster("a").paused = true;
    hub.see("a", |seen| {
        seen.blockers = vec![ReportEntry {
            code: "Paused".to_owned(),
            message: "the tenant is paused".to_owned(),
            who: "operator".to_owned(),
            hint: Some("take the annotation from the tenant".to_owned()),
        }];
    });
    hub.settle();
    assert_eq!(hub.message("a"), "its tenant is paused");
    assert_eq!(hub.members["a"].status.blockers.len(), 1);
}

#[test]
fn a_rollout_that_is_being_deleted_begins_nothing() {
    let mut hub = two();
    hub.deleting = true;
    hub.succeed("a");
    hub.look();
    hub.settle();
    assert_eq!(hub.states(), [Succeeded, Preflight]);
}

#[test]
fn a_member_that_moves_cannot_be_skipped_and_one_that_waits_or_failed_can() {
    let mut hub = two();
    hub.member_spec("a").skip = true;
    hub.member_spec("b").skip = true;
    hub.settle();
    assert_eq!(hub.states(), [Upgrading, Skipped]);
    hub.get_stuck("a");
    assert_eq!(hub.states(), [Skipped, Skipped]);
}

#[test]
fn a_member_that_failed_is_tried_again_under_a_move_of_its_own() {
    let mut hub = two();
    hub.member_spec("a").retry = Some("early".to_owned());
    hub.get_stuck("a");
    assert_eq!(hub.state("a"), Failed, "what was asked for before it failed asks for nothing now");
    hub.member_spec("a").retry = Some("1".to_owned());
    hub.settle();
    assert_eq!(hub.state("a"), Preflight);
    assert_eq!(hub.stage("a"), Some(MoveStage::Prepare));
    assert_eq!(hub.cluster("a").current.as_ref().unwrap().id, "r1-2");
    assert_eq!(hub.state("b"), Upgrading, "it no longer stands for a failure");
    hub.succeed("b");
    hub.look();
    hub.settle();
    assert_eq!(hub.states(), [Upgrading, Succeeded]);
    assert_eq!(hub.members["a"].status.attempt, 2, "one value is one more attempt");
}

#[test]
fn a_rollout_is_not_completed_while_a_member_is_tried_again() {
    let mut hub =
        rollout(json!([wave("w", json!({"maxConcurrent": 2, "maxFailures": 1}))])).with("w", &["a", "b"]);
    hub.begin();
    hub.succeed("a");
    hub.get_stuck("b");
    assert_eq!(hub.phase(), RolloutPhase::Completed);
    hub.member_spec("b").retry = Some("1".to_owned());
    hub.settle();
    assert_eq!((hub.state("b"), hub.phase()), (Preflight, RolloutPhase::Running));
    hub.look();
    hub.settle();
    hub.arrive("b", Some(1));
    let tick = hub.tick();
    assert_eq!(tick.status.as_ref().unwrap().phase, RolloutPhase::Running, "its record is not written yet");
    hub.settle();
    assert_eq!((hub.state("b"), hub.phase()), (Succeeded, RolloutPhase::Completed));
}

#[test]
fn members_that_belong_nowhere_or_twice_stop_everything_and_are_named() {
    type Change = fn(&mut Hub);
    let changes: [(&str, Change); 4] = [
        ("MemberWithoutWave", |hub| hub.member_spec("b").wave = "nowhere".to_owned()),
        ("MemberOfAnother", |hub| hub.member_spec("b").rollout = "down".to_owned()),
        ("MemberTwice", |hub| {
            hub.member_spec("b").cluster_uid = "uid-a".to_owned();
            hub.cluster("b").uid = "uid-a".to_owned();
        }),
        ("RolloutBroken", |hub| hub.spec.waves.push(hub.spec.waves[0].clone())),
    ];
    for (code, change) in changes {
        let mut hub = rollout(json!([wave("w", json!({}))])).with("w", &["a", "b"]);
        change(&mut hub);
        hub.begin();
        assert_eq!(hub.moving(), 0, "{code}");
        assert_eq!(hub.phase(), RolloutPhase::Stopped, "{code}");
        assert!(hub.reason(code).hint.is_some());
        if code != "RolloutBroken" {
            hub.member_spec("b").skip = true;
            hub.look();
            hub.settle();
            assert_eq!(hub.states(), [Upgrading, Skipped], "{code}");
        }
    }
}

#[test]
fn a_rollout_without_a_target_that_can_be_read_moves_nobody() {
    let mut hub = rollout(json!([wave("w", json!({}))])).with("w", &["a"]);
    hub.spec.target.baseline = Some("b".to_owned());
    hub.begin();
    assert_eq!(hub.states(), [Pending]);
    assert_eq!(hub.codes(), ["RolloutBroken"]);
}

#[test]
fn a_cluster_that_another_rollout_moves_is_left_to_it() {
    let mut hub = rollout(json!([wave("w", json!({}))])).with("w", &["a"]);
    hub.cluster("a").taken_by = Some("before".to_owned());
    hub.settle();
    assert_eq!((hub.state("a"), hub.stage("a")), (Preflight, None), "not even to be looked at");
    assert_eq!(hub.members["a"].status.blockers[0].code, "OtherRollout");
    hub.cluster("a").taken_by = None;
    hub.begin();
    assert_eq!(hub.state("a"), Upgrading);
    // One that has settled takes nothing from a rollout that came after.
    hub.succeed("a");
    let mut later = hub.cluster("a").current.clone().unwrap();
    later.rollout_uid = "r2".to_owned();
    hub.cluster("a").current = Some(later);
    hub.settle();
    assert_eq!(hub.cluster("a").current.as_ref().unwrap().rollout_uid, "r2");
}

#[test]
fn a_large_rollout_writes_little_while_nothing_happens() {
    let mut hub = rollout(json!([
        wave("first", json!({"maxConcurrent": "1%"})),
        wave("second", json!({"maxConcurrent": "10%", "soak": "1h"})),
    ]));
    for number in 0..1_000 {
        hub.add(if number < 500 { "first" } else { "second" }, &format!("m{number:05}"));
    }
    hub.begin();
    assert_eq!(hub.moving(), 5);
    let tick = hub.tick();
    assert_eq!((tick.status, tick.members.len(), tick.moves.len()), (None, 0, 0));
    hub.pass_time(minutes(10));
    hub.look();
    assert!(hub.tick().members.is_empty(), "a fresh look at the same says the same");
    hub.pass_time(hours(1));
    assert!(hub.tick().members.len() <= 200);
}
