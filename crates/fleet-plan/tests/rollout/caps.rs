//! Rules 1 and 2: waves run one after the other, and no cap is exceeded, whoever reads what.

use fleet_api::v1alpha1::{MemberState::*, RolloutPhase, Run, Slots};
use serde_json::json;

use super::hub::{Hub, hours, minutes, rollout, wave};

fn two_waves() -> Hub {
    rollout(json!([wave("first", json!({"maxConcurrent": 5, "soak": "1h"})), wave("second", json!({}))]))
        .with("first", &["a", "b"])
        .with("second", &["c"])
}

#[test]
fn no_member_moves_before_every_earlier_wave_has_passed() {
    let mut hub = two_waves();
    hub.begin();
    assert_eq!(hub.states(), [Upgrading, Upgrading, Preflight]);
    hub.succeed("a");
    hub.look();
    hub.settle();
    assert_eq!(hub.state("c"), Preflight, "b has not settled");
    assert_eq!(hub.message("c"), "waits for the waves before its own");
    hub.arrive("b", Some(60));
    hub.look();
    hub.settle();
    assert_eq!((hub.state("b"), hub.state("c")), (Soaking, Preflight), "a member that soaks holds its wave");
    assert!(!hub.passed("first"));
    hub.succeed("b");
    hub.look();
    hub.settle();
    assert!(hub.passed("first"));
    assert_eq!(hub.state("c"), Upgrading);
    hub.succeed("c");
    assert_eq!(hub.phase(), RolloutPhase::Completed);
    assert_eq!(hub.tick().wake_at, None, "nothing happens any more by itself");
}

#[test]
fn no_more_members_move_at_once_than_may() {
    for (cap, expected) in
        [(json!(1), 1), (json!(3), 3), (json!("50%"), 2), (json!("10%"), 1), (json!("100%"), 5)]
    {
        let mut hub = rollout(json!([wave("w", json!({"maxConcurrent": cap, "soak": "1h"}))]))
            .with("w", &["a", "b", "c", "d", "e"]);
        hub.begin();
        assert_eq!(hub.moving(), expected, "{cap}");
        for _ in 0..5 {
            let Some(name) =
                hub.members.iter().find(|(_, m)| m.status.state == Upgrading).map(|(name, _)| name.clone())
            else {
                break;
            };
            hub.arrive(&name, Some(1));
            hub.settle();
            assert!(hub.moving() <= expected, "{cap}: a member that soaks makes room, and no more than that");
        }
    }
}

#[test]
fn a_member_that_verifies_takes_its_room_and_one_that_falls_back_takes_it_again() {
    let mut hub = rollout(json!([wave("w", json!({"soak": "1h"}))])).with("w", &["a", "b", "c"]);
    hub.begin();
    hub.arrive("a", None);
    hub.look();
    hub.settle();
    assert_eq!(hub.states(), [Verifying, Preflight, Preflight]);
    hub.arrive("a", Some(1));
    hub.look();
    hub.settle();
    assert_eq!(hub.states(), [Soaking, Upgrading, Preflight]);
    hub.arrive("a", None);
    hub.succeed("b");
    hub.look();
    hub.settle();
    assert_eq!(hub.states(), [Verifying, Succeeded, Preflight]);
}

#[test]
fn members_begin_in_the_order_of_their_slots_and_never_before() {
    let mut hub = rollout(json!([wave("w", json!({"maxConcurrent": 9}))])).with("w", &["a", "b", "c"]);
    hub.member_spec("a").slot.0 += hours(2);
    hub.member_spec("b").slot.0 += hours(30);
    hub.begin();
    assert_eq!(hub.states(), [Preflight, Pending, Upgrading], "b is looked at from a day before");
    assert_eq!(hub.message("a"), "waits for its slot at 2026-11-24T14:00Z");
    assert!(hub.tick().wake_at.unwrap() <= hub.now + hours(2));
    hub.pass_time(hours(2));
    hub.look();
    hub.settle();
    assert_eq!(hub.states(), [Upgrading, Pending, Upgrading]);
    let mut hub = rollout(json!([wave("w", json!({}))])).with("w", &["a", "b", "c"]);
    hub.pass_time(hours(5));
    hub.member_spec("a").slot.0 += hours(2);
    hub.begin();
    assert_eq!(hub.states(), [Preflight, Upgrading, Preflight]);
}

#[test]
fn slots_that_are_advisory_give_the_order_and_hold_nobody_but_waves_still_wait() {
    let waves = json!([wave("first", json!({"maxConcurrent": 2})), wave("second", json!({}))]);
    let mut hub = rollout(waves).with("first", &["a", "b", "c"]).with("second", &["d"]);
    hub.spec.slots = Slots::Advisory;
    for (name, ahead) in [("a", 90), ("b", 60), ("c", 30), ("d", 120)] {
        hub.member_spec(name).slot.0 += hours(ahead);
    }
    hub.begin();
    assert_eq!(hub.states(), [Preflight, Upgrading, Upgrading, Preflight]);
    assert_eq!(hub.members["d"].status.not_before, None);
    assert!(hub.message("d").contains("waits for the waves before its own"), "{}", hub.message("d"));
    for name in ["b", "c"] {
        hub.succeed(name);
    }
    hub.look();
    hub.settle();
    assert_eq!(hub.states(), [Upgrading, Succeeded, Succeeded, Preflight]);
    hub.succeed("a");
    hub.look();
    hub.settle();
    assert_eq!(hub.states(), [Succeeded, Succeeded, Succeeded, Upgrading]);
}

#[test]
fn a_wave_stops_when_more_have_failed_than_may() {
    for (budget, failures, stops) in [
        (json!(0), 1, true),
        (json!(1), 1, false),
        (json!(1), 2, true),
        (json!("39%"), 1, false),
        (json!("39%"), 2, true),
        (json!("19%"), 1, true),
    ] {
        let mut hub = rollout(json!([wave("w", json!({"maxConcurrent": 2, "maxFailures": budget}))]))
            .with("w", &["a", "b", "c", "d", "e"]);
        hub.begin();
        for name in ["a", "b"].into_iter().take(failures) {
            hub.see(name, |seen| seen.stuck = Some("PodEvictionFailure".to_owned()));
        }
        hub.look();
        hub.settle();
        assert_eq!(hub.phase() == RolloutPhase::Stopped, stops, "{budget} with {failures}");
        assert_eq!(hub.state("c") == Preflight, stops, "{budget} with {failures}");
        assert_eq!(hub.codes().contains(&"RolloutStopped"), stops);
    }
}

#[test]
fn a_wave_that_stopped_goes_on_when_somebody_has_looked_at_its_failures() {
    let mut hub = rollout(json!([wave("w", json!({}))])).with("w", &["a", "b"]);
    hub.begin();
    hub.get_stuck("a");
    assert_eq!(hub.phase(), RolloutPhase::Stopped);
    hub.acknowledge("a");
    hub.look();
    hub.settle();
    assert_eq!(hub.states(), [Failed, Upgrading]);
    hub.succeed("b");
    assert_eq!(hub.phase(), RolloutPhase::Completed);
}

#[test]
fn a_failure_that_was_looked_at_pays_for_no_other_one() {
    let mut hub = rollout(json!([wave("first", json!({})), wave("second", json!({}))]))
        .with("first", &["a", "b"])
        .with("second", &["c", "d"]);
    hub.begin();
    hub.get_stuck("a");
    hub.acknowledge("a");
    hub.look();
    hub.settle();
    assert_eq!(hub.phase(), RolloutPhase::Running);
    // It is tried again and fails again: that is another failure, of which nobody has taken note.
    hub.member_spec("a").retry = Some("1".to_owned());
    hub.succeed("b");
    hub.look();
    hub.settle();
    hub.get_stuck("a");
    assert_eq!(hub.phase(), RolloutPhase::Stopped);
    hub.member_spec("a").retry = Some("2".to_owned());
    hub.settle();
    hub.look();
    hub.settle();
    hub.succeed("a");
    hub.look();
    hub.settle();
    assert_eq!(hub.states(), [Succeeded, Succeeded, Upgrading, Preflight]);
    hub.get_stuck("c");
    assert_eq!(hub.phase(), RolloutPhase::Stopped, "what was noted in the first wave is spent");
    hub.look();
    hub.settle();
    assert_eq!(hub.state("d"), Preflight);
}

#[test]
fn a_member_that_is_put_off_waits_whatever_its_slot_says() {
    for slots in [Slots::Binding, Slots::Advisory] {
        let mut hub = rollout(json!([wave("w", json!({"maxConcurrent": 2}))])).with("w", &["a", "b"]);
        hub.spec.slots = slots;
        let later = hub.now + hours(3);
        hub.member_spec("a").not_before = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(later));
        hub.begin();
        assert_eq!(hub.states(), [Preflight, Upgrading], "{slots:?}");
        hub.pass_time(hours(3));
        hub.look();
        hub.settle();
        assert_eq!(hub.state("a"), Upgrading, "{slots:?}");
    }
}

#[test]
fn whoever_reads_members_that_are_out_of_date_lets_nobody_begin() {
    let mut hub =
        rollout(json!([wave("w", json!({"maxConcurrent": 1, "maxFailures": 1}))])).with("w", &["a", "b"]);
    hub.settle();
    hub.look();
    let before = hub.members.clone();
    hub.settle();
    assert_eq!(hub.states(), [Upgrading, Preflight]);
    let stale = hub.tick_as(&hub.status, &before);
    assert!(stale.status.is_none_or(|status| status.ledger == hub.status.ledger), "nothing new is allowed");
    for (name, _, status) in &stale.members {
        assert!(name == "a" || status.state == Preflight, "only the last entry is finished");
    }

    // Each record may be out of date by itself, and not only all of them.
    hub.get_stuck("a");
    hub.look();
    hub.settle();
    hub.succeed("b");
    let mut mixed = hub.members.clone();
    mixed.insert("a".to_owned(), before["a"].clone());
    let stale = hub.tick_as(&hub.status, &mixed);
    assert_eq!(stale.status.unwrap().phase, RolloutPhase::Running, "it does not pass for completed");
}

#[test]
fn whoever_reads_a_ledger_that_is_out_of_date_cannot_let_anybody_begin() {
    let mut hub = rollout(json!([wave("w", json!({"maxConcurrent": 1}))])).with("w", &["a", "b"]);
    hub.settle();
    hub.look();
    let (old_version, old_status) = (hub.version.clone(), hub.status.clone());
    hub.settle();
    // It sees members that have answered an entry that it does not know.
    let late = hub.tick_as(&old_status, &hub.members);
    assert!(late.status.is_none_or(|status| status.ledger == old_status.ledger));
    assert_ne!(old_version, hub.version, "and its write would be refused");
    assert!(late.members.is_empty());
}

#[test]
fn an_entry_names_a_hundred_at_most_and_the_rest_follow() {
    let mut hub = rollout(json!([wave("w", json!({"maxConcurrent": "100%"}))]));
    for number in 0..250 {
        hub.add("w", &format!("m{number:03}"));
    }
    hub.settle();
    hub.look();
    let tick = hub.tick();
    assert_eq!(tick.status.as_ref().unwrap().ledger.granted.len(), 100);
    hub.write(tick);
    hub.settle();
    assert_eq!(hub.moving(), 250);
    assert_eq!(hub.status.ledger.named, 250);
}

#[test]
fn nothing_moves_before_somebody_says_so() {
    let mut hub = two_waves();
    hub.spec.run = Run::Planned;
    hub.begin();
    assert_eq!(hub.states(), [Pending, Pending, Pending]);
    assert_eq!(hub.phase(), RolloutPhase::Planned);
    assert_eq!(hub.codes(), ["RolloutPlanned"]);
    hub.run(Run::Running);
    hub.look();
    hub.settle();
    assert_eq!(hub.states(), [Upgrading, Upgrading, Preflight]);
    assert!(hub.tick().wake_at.unwrap() <= hub.now + minutes(15));
}
