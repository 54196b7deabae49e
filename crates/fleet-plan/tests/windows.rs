//! Maintenance windows over the changes of clocks, midnight, freezes and odd zones.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use fleet_api::v1alpha1::Maintenance;
use fleet_plan::windows::{Closed, Permission, is_open, permission, time_left};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use proptest::prelude::*;
use serde_json::json;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn maintenance(zone: &str, days: &[&str], start: &str, duration: &str) -> Maintenance {
    serde_json::from_value(json!({
        "timeZone": zone,
        "windows": [{"days": days, "start": start, "duration": duration}],
    }))
    .unwrap()
}

const EVERY_DAY: &[&str] = &["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

#[test]
fn without_windows_any_time_will_do() {
    assert!(is_open(None, at("2026-11-24T03:00:00Z")).unwrap());
}

#[test]
fn a_window_that_passes_midnight_belongs_to_the_day_on_which_it_opens() {
    let tuesdays = maintenance("Europe/Berlin", &["Tue"], "22:00", "4h");
    assert!(is_open(Some(&tuesdays), at("2026-11-24T21:00:00Z")).unwrap(), "Tuesday 22:00");
    assert!(is_open(Some(&tuesdays), at("2026-11-25T00:59:00Z")).unwrap(), "Wednesday 01:59");
    assert!(!is_open(Some(&tuesdays), at("2026-11-25T01:00:00Z")).unwrap(), "Wednesday 02:00");
    assert!(!is_open(Some(&tuesdays), at("2026-11-25T21:30:00Z")).unwrap(), "Wednesday 22:30");
}

#[test]
fn a_step_that_does_not_fit_into_the_rest_waits_for_the_next_window() {
    let nights = maintenance("UTC", EVERY_DAY, "22:00", "1h");
    let late = at("2026-11-24T22:45:00Z");
    let Permission::Later { at: next, why } = permission(Some(&nights), late, 30).unwrap() else {
        unreachable!("15 minutes are left")
    };
    assert_eq!(why, Closed::TooLittleLeft { until: at("2026-11-24T23:00:00Z") });
    assert_eq!(next, Some(at("2026-11-25T22:00:00Z")));
    assert_eq!(time_left(Some(&nights), late).unwrap(), Some(SignedDuration::from_mins(15)));
}

#[test]
fn a_window_in_the_hour_that_the_clocks_skip_opens_all_the_same() {
    // On 2027-03-28 Berlin goes from 02:00 to 03:00.
    let nights = maintenance("Europe/Berlin", &["Sun"], "02:30", "2h");
    let Permission::Later { at: next, .. } =
        permission(Some(&nights), at("2027-03-27T12:00:00Z"), 30).unwrap()
    else {
        unreachable!("it is noon")
    };
    assert_eq!(next, Some(at("2027-03-28T01:30:00Z")), "03:30 in summer time, where 02:30 would have been");
}

#[test]
fn a_window_in_the_hour_that_comes_twice_opens_once_and_lasts_its_length() {
    // On 2026-10-25 Berlin goes from 03:00 back to 02:00.
    let nights = maintenance("Europe/Berlin", &["Sun"], "02:30", "1h");
    assert!(is_open(Some(&nights), at("2026-10-25T00:30:00Z")).unwrap(), "the first 02:30");
    assert!(is_open(Some(&nights), at("2026-10-25T01:29:00Z")).unwrap());
    assert!(!is_open(Some(&nights), at("2026-10-25T01:30:00Z")).unwrap(), "the second 02:30");
}

#[test]
fn a_freeze_holds_on_its_last_day_in_the_tenants_own_zone() {
    let mut nights = maintenance("Asia/Kathmandu", EVERY_DAY, "00:00", "24h");
    nights.freezes =
        serde_json::from_value(json!([{"from": "2026-12-15", "to": "2027-01-06", "reason": "year end"}]))
            .unwrap();
    // Kathmandu is 5 h 45 min ahead of UTC.
    assert!(is_open(Some(&nights), at("2026-12-14T18:14:00Z")).unwrap());
    assert!(!is_open(Some(&nights), at("2026-12-14T18:15:00Z")).unwrap());
    assert!(!is_open(Some(&nights), at("2027-01-06T18:14:00Z")).unwrap());
    assert!(is_open(Some(&nights), at("2027-01-06T18:15:00Z")).unwrap());
}

#[test]
fn a_window_on_a_leap_day_opens() {
    let days = maintenance("UTC", &["Tue"], "10:00", "1h");
    assert!(is_open(Some(&days), at("2028-02-29T10:30:00Z")).unwrap());
}

#[test]
fn a_zone_that_does_not_exist_is_an_error_and_never_utc() {
    let wrong = maintenance("Europe/Berln", EVERY_DAY, "10:00", "1h");
    assert!(is_open(Some(&wrong), at("2026-11-24T10:30:00Z")).is_err());
}

const ZONES: &[&str] = &[
    "Europe/Berlin",
    "Europe/London",
    "Europe/Lisbon",
    "Europe/Istanbul",
    "America/New_York",
    "America/St_Johns",
    "America/Sao_Paulo",
    "America/Santiago",
    "America/Los_Angeles",
    "America/Havana",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Asia/Tehran",
    "Asia/Tokyo",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Australia/Lord_Howe",
    "Australia/Adelaide",
    "Pacific/Chatham",
    "Pacific/Apia",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Around any change of the clocks of twenty zones: what is promised as the next opening is open, and nothing
    /// earlier is, seen from every quarter of an hour before it.
    #[test]
    fn the_next_opening_is_the_first_moment_that_is_open(
        zone in prop::sample::select(ZONES.to_vec()),
        transition in 0_usize..20,
        before in 0_i64..96,
        hour in 0_u8..24,
        minutes in 30_i64..300,
    ) {
        let tz = TimeZone::get(zone).unwrap();
        let around = tz
            .following(at("2026-01-01T00:00:00Z"))
            .nth(transition)
            .map_or_else(|| at("2026-06-01T00:00:00Z"), |change| change.timestamp());
        let now = around - SignedDuration::from_mins(15 * before);
        let nights = maintenance(zone, EVERY_DAY, &format!("{hour:02}:15"), &format!("{minutes}m"));
        match permission(Some(&nights), now, 30).unwrap() {
            Permission::Now { until } => {
                let until = until.unwrap();
                prop_assert!(now.duration_until(until) >= SignedDuration::from_mins(30));
                prop_assert!(is_open(Some(&nights), now).unwrap());
            }
            Permission::Later { at: next, .. } => {
                let next = next.unwrap();
                prop_assert!(next > now);
                prop_assert!(is_open(Some(&nights), next).unwrap());
                let mut moment = now;
                while moment < next {
                    let fits = matches!(permission(Some(&nights), moment, 30).unwrap(), Permission::Now { .. });
                    prop_assert!(!fits, "{moment} is open and {next} was promised");
                    moment += SignedDuration::from_mins(15);
                }
            }
        }
    }
}
