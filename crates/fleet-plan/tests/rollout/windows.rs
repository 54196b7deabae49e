//! Rules 3 and 12: nobody begins outside a window, in a freeze, or with too little of the window left.

use fleet_api::v1alpha1::{Maintenance, MemberState::*, RolloutPhase};
use serde_json::json;

use super::hub::{Hub, at, hours, minutes, rollout, wave};

fn nights() -> Maintenance {
    serde_json::from_value(json!({
        "timeZone": "UTC",
        "windows": [{"days": ["Tue", "Wed"], "start": "22:00", "duration": "2h"}],
        "freezes": [{"from": "2026-11-25", "to": "2026-11-30", "reason": "sale"}],
    }))
    .unwrap()
}

fn one() -> Hub {
    let mut hub = rollout(json!([wave("w", json!({"maxConcurrent": 2}))])).with("w", &["a"]);
    hub.cluster("a").maintenance = Some(nights());
    hub
}

#[test]
fn nobody_begins_outside_a_window_in_a_freeze_or_with_too_little_left() {
    for (now, expected, message) in [
        (
            "2026-11-24T12:00:00Z",
            Preflight,
            "waits for its maintenance window, and goes on at 2026-11-24T22:00Z",
        ),
        (
            "2026-11-24T21:59:59Z",
            Preflight,
            "waits for its maintenance window, and goes on at 2026-11-24T22:00Z",
        ),
        ("2026-11-24T22:00:00Z", Upgrading, ""),
        ("2026-11-24T23:35:00Z", Upgrading, ""),
        (
            "2026-11-24T23:36:00Z",
            Preflight,
            "waits for its maintenance window, and goes on at 2026-12-01T22:00Z",
        ),
        (
            "2026-11-25T22:30:00Z",
            Preflight,
            "waits for the end of a freeze, and goes on at 2026-12-01T22:00Z",
        ),
        ("2026-12-01T22:30:00Z", Upgrading, ""),
    ] {
        let mut hub = one();
        hub.now = at(now);
        hub.begin();
        assert_eq!(hub.state("a"), expected, "{now}");
        if !message.is_empty() {
            assert_eq!(hub.message("a"), message, "{now}");
        }
    }
}

#[test]
fn what_runs_when_a_window_closes_is_left_to_finish_and_the_report_says_when_it_goes_on() {
    let mut hub = one();
    hub.add("w", "b");
    hub.cluster("b").maintenance = Some(nights());
    hub.member_spec("b").slot.0 = at("2026-11-24T23:50:00Z");
    hub.now = at("2026-11-24T23:30:00Z");
    hub.begin();
    hub.pass_time(hours(1));
    hub.see("a", |_| {});
    hub.look();
    hub.settle();
    assert_eq!(hub.states(), [Upgrading, Preflight]);
    assert_eq!(hub.phase(), RolloutPhase::Running);
    assert!(hub.reason("Frozen").message.contains("2026-12-01T22:00Z"), "{:?}", hub.status.report);
    hub.succeed("a");
    assert_eq!(hub.state("a"), Succeeded);
}

#[test]
fn a_grant_whose_window_closed_before_it_was_used_is_not_used() {
    let mut hub = one();
    hub.now = at("2026-11-24T23:30:00Z");
    hub.settle();
    hub.look();
    let tick = hub.tick();
    assert_eq!(tick.status.as_ref().unwrap().ledger.granted, ["a"]);
    // The process dies after its first write, and comes back in the morning.
    hub.write_some(tick, 2);
    hub.now = at("2026-11-25T07:00:00Z");
    hub.look();
    hub.settle();
    assert_eq!(hub.state("a"), Preflight);
    assert_eq!(hub.members["a"].status.granted_by, hub.status.ledger.seq, "it has answered all the same");
    hub.now = at("2026-12-01T22:00:00Z");
    hub.look();
    hub.settle();
    assert_eq!(hub.state("a"), Upgrading);
}

#[test]
fn a_clock_that_is_set_back_closes_a_window_again() {
    let mut hub = one();
    hub.now = at("2026-11-24T22:10:00Z");
    hub.settle();
    hub.now = at("2026-11-24T21:30:00Z");
    hub.look();
    hub.settle();
    assert_eq!(hub.state("a"), Preflight);
}

#[test]
fn a_zone_that_does_not_exist_and_a_window_that_never_opens_hold_their_member_with_a_reason() {
    for (maintenance, message) in [
        (json!({"timeZone": "Mars/Base"}), "is not an IANA time zone"),
        (
            json!({"timeZone": "UTC", "windows": [{"days": ["Mon"], "start": "01:00", "duration": "10m"}]}),
            "no maintenance window is long enough for its 25 minutes",
        ),
    ] {
        let mut hub = one();
        hub.cluster("a").maintenance = Some(serde_json::from_value(maintenance).unwrap());
        hub.begin();
        assert_eq!(hub.state("a"), Preflight);
        assert!(hub.message("a").contains(message), "{}", hub.message("a"));
        assert!(hub.reason("NoWindow").hint.is_some());
    }
}

#[test]
fn a_member_never_begins_before_its_slot_even_in_an_open_window() {
    let mut hub = one();
    hub.member_spec("a").slot.0 = at("2026-11-24T22:30:00Z");
    hub.now = at("2026-11-24T22:10:00Z");
    hub.begin();
    assert_eq!(hub.state("a"), Preflight);
    assert_eq!(hub.members["a"].status.not_before.as_ref().unwrap().0, at("2026-11-24T22:30:00Z"));
    assert!(hub.tick().wake_at.unwrap() <= at("2026-11-24T22:25:00Z"), "it looks again in time");
    hub.pass_time(minutes(20));
    hub.look();
    hub.settle();
    assert_eq!(hub.state("a"), Upgrading);
}

#[test]
fn nobody_begins_within_the_minimum_gap_since_the_clusters_last_change_or_before_what_was_put_off_is_due() {
    let last = |change: &str| {
        let at = at("2026-11-24T00:00:00Z");
        Some(serde_json::from_value(json!({"change": change, "at": at})).unwrap())
    };
    let gap = json!({"timeZone": "UTC", "minGap": "72h"});
    let put_off = json!({"timeZone": "UTC", "chosen": {"notBefore": "2026-11-27"}});
    for (maintenance, change, expected, message, code, sum) in [
        (
            &gap,
            "1.35",
            Preflight,
            "waits for the minimum gap since its last change, and goes on at 2026-11-27T00:00Z",
            "TooSoon",
            "1 wait for the minimum gap since their last change; the first goes on at 2026-11-27T00:00Z",
        ),
        (&gap, "1.36", Upgrading, "", "", ""),
        (
            &put_off,
            "1.35",
            Preflight,
            "waits for the day until which changes were put off, and goes on at 2026-11-27T00:00Z",
            "PutOff",
            "1 wait for the day until which changes were put off; the first goes on at 2026-11-27T00:00Z",
        ),
    ] {
        let mut hub = one();
        hub.now = at("2026-11-24T22:00:00Z");
        let cluster = hub.cluster("a");
        cluster.maintenance = Some(serde_json::from_value(maintenance.clone()).unwrap());
        cluster.versions.last_disruption = last(change);
        hub.begin();
        assert_eq!(hub.state("a"), expected, "{change}");
        if !message.is_empty() {
            assert_eq!(hub.message("a"), message);
            assert_eq!(hub.reason(code).message, sum);
        }
    }
}
