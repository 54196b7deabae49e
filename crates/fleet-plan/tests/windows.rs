//! Maintenance windows over the changes of clocks, midnight, freezes and odd zones.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use fleet_api::v1alpha1::Maintenance;
mod windows_oracle;

use fleet_api::text::Day;
use fleet_plan::windows::{Change, Closed, Permission, permission, permission_for, slots};
use jiff::{SignedDuration, Timestamp, ToSpan as _, tz::TimeZone};
use proptest::prelude::*;
use serde_json::{Value, json};
use windows_oracle::Oracle;

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

/// Whether what has begun may go on now.
fn is_open(maintenance: &Maintenance, now: &str) -> bool {
    let permission = permission_for(Some(maintenance), Change::GoesOn, at(now), 0).unwrap();
    matches!(permission, Permission::Now { .. })
}

const EVERY_DAY: &[&str] = &["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

#[test]
fn without_windows_any_time_will_do() {
    let any = permission(None, at("2026-11-24T03:00:00Z"), 45).unwrap();
    assert_eq!(any, Permission::Now { until: None });
}

#[test]
fn a_window_that_passes_midnight_belongs_to_the_day_on_which_it_opens() {
    let tuesdays = maintenance("Europe/Berlin", &["Tue"], "22:00", "4h");
    assert!(is_open(&tuesdays, "2026-11-24T21:00:00Z"), "Tuesday 22:00");
    assert!(is_open(&tuesdays, "2026-11-25T00:59:00Z"), "Wednesday 01:59");
    assert!(!is_open(&tuesdays, "2026-11-25T01:00:00Z"), "Wednesday 02:00");
    assert!(!is_open(&tuesdays, "2026-11-25T21:30:00Z"), "Wednesday 22:30");
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
    assert!(is_open(&nights, "2026-10-25T00:30:00Z"), "the first 02:30");
    assert!(is_open(&nights, "2026-10-25T01:29:00Z"));
    assert!(!is_open(&nights, "2026-10-25T01:30:00Z"), "the second 02:30");
}

#[test]
fn a_freeze_holds_on_its_last_day_in_the_tenants_own_zone() {
    let mut nights = maintenance("Asia/Kathmandu", EVERY_DAY, "00:00", "24h");
    nights.freezes =
        serde_json::from_value(json!([{"from": "2026-12-15", "to": "2027-01-06", "reason": "year end"}]))
            .unwrap();
    // Kathmandu is 5 h 45 min ahead of UTC.
    assert!(is_open(&nights, "2026-12-14T18:14:00Z"));
    assert!(!is_open(&nights, "2026-12-14T18:15:00Z"));
    assert!(!is_open(&nights, "2027-01-06T18:14:00Z"));
    assert!(is_open(&nights, "2027-01-06T18:15:00Z"));
}

#[test]
fn a_window_on_a_leap_day_opens() {
    let days = maintenance("UTC", &["Tue"], "10:00", "1h");
    assert!(is_open(&days, "2028-02-29T10:30:00Z"));
}

#[test]
fn a_zone_that_does_not_exist_is_an_error_and_never_utc() {
    let wrong = maintenance("Europe/Berln", EVERY_DAY, "10:00", "1h");
    assert!(permission(Some(&wrong), at("2026-11-24T10:30:00Z"), 45).is_err());
}

fn read(value: Value) -> Maintenance {
    serde_json::from_value(value).unwrap()
}

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

/// The next moment and the reason; panics when a step may begin now.
fn later(maintenance: &Maintenance, change: Change, now: &str, minutes: i64) -> (String, Closed) {
    match permission_for(Some(maintenance), change, at(now), minutes).unwrap() {
        Permission::Later { at, why } => (at.map_or_else(|| "never".to_owned(), |at| at.to_string()), why),
        Permission::Now { until } => unreachable!("it may begin now, until {until:?}"),
    }
}

const BEGINS: Change = Change::Begins { last: None };

#[test]
fn nothing_begins_later_in_a_window_than_its_latest_start() {
    let nights = read(json!({"timeZone": "Europe/Berlin", "windows": [
        {"days": ["Tue", "Thu"], "start": "22:00", "duration": "6h", "latestStart": "90m"}]}));
    let open = |now| matches!(permission(Some(&nights), at(now), 45).unwrap(), Permission::Now { .. });
    assert!(open("2026-11-24T21:00:00Z") && open("2026-11-24T22:30:00Z"), "up to and with the latest start");
    let late = later(&nights, BEGINS, "2026-11-24T22:30:01Z", 45);
    let closes = at("2026-11-25T03:00:00Z");
    assert_eq!(late, ("2026-11-26T21:00:00Z".to_owned(), Closed::PastLatestStart { until: closes }));
}

#[test]
fn a_gap_is_kept_between_changes_and_never_inside_one() {
    let nights = read(json!({"timeZone": "UTC", "minGap": "72h", "windows": [
        {"days": EVERY_DAY, "start": "22:00", "duration": "4h"}]}));
    let last = at("2026-11-20T23:10:00Z");
    let begins = Change::Begins { last: Some(last) };
    let until = at("2026-11-23T23:10:00Z");
    assert_eq!(
        later(&nights, begins, "2026-11-21T22:30:00Z", 45),
        ("2026-11-23T23:10:00Z".to_owned(), Closed::TooSoon { until }),
        "inside the window of the third day, as soon as the gap is over"
    );
    assert!(matches!(permission_for(Some(&nights), begins, until, 45).unwrap(), Permission::Now { .. }));
    assert!(matches!(
        permission_for(Some(&nights), Change::GoesOn, at("2026-11-21T22:30:00Z"), 45).unwrap(),
        Permission::Now { .. }
    ));
}

#[test]
fn what_was_put_off_waits_for_its_day_in_the_tenants_zone() {
    let mut nights = read(json!({"timeZone": "Pacific/Chatham", "notBefore": "2026-12-01", "windows": [
        {"days": EVERY_DAY, "start": "00:30", "duration": "4h"}]}));
    // Chatham is 13 h 45 min ahead of UTC in December.
    let expected = ("2026-11-30T10:45:00Z".to_owned(), Closed::PutOff { until: day("2026-12-01") });
    assert_eq!(later(&nights, BEGINS, "2026-11-25T12:00:00Z", 45), expected);
    nights.chosen = Some(serde_json::from_value(json!({"notBefore": "2026-12-03"})).unwrap());
    let expected = ("2026-12-02T10:45:00Z".to_owned(), Closed::PutOff { until: day("2026-12-03") });
    assert_eq!(later(&nights, BEGINS, "2026-11-25T12:00:00Z", 45), expected, "the later of the two holds");
}

#[test]
fn a_tenant_that_chose_days_and_windows_is_disturbed_in_them_alone() {
    let mut nights = read(json!({"timeZone": "UTC", "windows": [
        {"days": EVERY_DAY, "start": "20:00", "duration": "8h"}]}));
    nights.chosen = Some(serde_json::from_value(json!({"allowedDays": ["Sat", "Sun"]})).unwrap());
    assert_eq!(
        later(&nights, BEGINS, "2026-11-24T21:00:00Z", 45),
        ("2026-11-28T20:00:00Z".to_owned(), Closed::NotChosen)
    );
    nights.chosen = Some(
        serde_json::from_value(json!({"windows": [{"days": ["Wed"], "start": "01:00", "duration": "5h"}]}))
            .unwrap(),
    );
    assert_eq!(
        permission(Some(&nights), at("2026-11-25T01:00:00Z"), 45).unwrap(),
        Permission::Now { until: Some(at("2026-11-25T04:00:00Z")) },
        "the operators' window, which opened on Tuesday, closes first"
    );
    assert_eq!(later(&nights, BEGINS, "2026-11-25T04:00:00Z", 45).1, Closed::OutsideWindows);
}

#[test]
fn days_alone_bound_a_tenant_without_windows() {
    let weekends = read(json!({"timeZone": "Europe/Berlin", "chosen": {"allowedDays": ["Sat"]}}));
    assert_eq!(
        later(&weekends, BEGINS, "2026-11-24T12:00:00Z", 45),
        ("2026-11-27T23:00:00Z".to_owned(), Closed::NotChosen)
    );
}

#[test]
fn windows_of_a_month_leap_days_and_overlaps_are_laid_out_in_real_minutes() {
    let month = maintenance("UTC", &["Thu"], "10:00", "744h");
    // Opened on 2028-01-20, and closed on 2028-02-20; the ones of later Thursdays overlap it.
    assert_eq!(
        permission(Some(&month), at("2028-02-19T10:00:00Z"), 45).unwrap(),
        Permission::Now { until: Some(at("2028-03-19T10:00:00Z")) },
        "the one that stays open longest decides: it opened on 2028-02-17"
    );
    let leap = read(json!({"timeZone": "UTC",
        "windows": [{"days": EVERY_DAY, "start": "10:00", "duration": "1h"}],
        "freezes": [{"from": "2028-02-29", "to": "2028-02-29", "reason": "leap"}]}));
    let expected = ("2028-03-01T10:00:00Z".to_owned(), Closed::OutsideWindows);
    assert_eq!(later(&leap, BEGINS, "2028-02-28T11:00:00Z", 30), expected);
    let frozen = Closed::Frozen { reason: "leap".to_owned(), to: day("2028-02-29") };
    assert_eq!(later(&leap, BEGINS, "2028-02-29T10:10:00Z", 30), ("2028-03-01T10:00:00Z".to_owned(), frozen));
}

#[test]
fn a_window_may_be_used_before_a_freeze_begins_in_it_and_after_one_ends_in_it() {
    let long = read(json!({"timeZone": "UTC",
        "windows": [{"days": ["Mon"], "start": "12:00", "duration": "72h"}],
        "freezes": [{"from": "2026-11-24", "to": "2026-11-25", "reason": "release"}]}));
    assert!(is_open(&long, "2026-11-23T23:59:00Z"));
    let expected = Some(at("2026-11-26T00:00:00Z"));
    match permission(Some(&long), at("2026-11-24T00:00:00Z"), 45).unwrap() {
        Permission::Later { at, why: Closed::Frozen { .. } } => assert_eq!(at, expected, "Thursday, 00:00"),
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn freezes_that_meet_are_passed_in_one_go_and_one_without_end_leaves_no_opening() {
    let mut any_time = read(json!({"timeZone": "UTC", "freezes": [
        {"from": "2026-12-01", "to": "2026-12-03", "reason": "a"},
        {"from": "2026-12-04", "to": "2026-12-04", "reason": "b"},
        {"from": "2026-12-05", "to": "2026-12-10", "reason": "c"}]}));
    assert_eq!(later(&any_time, BEGINS, "2026-12-02T07:00:00Z", 45).0, "2026-12-11T00:00:00Z");
    any_time.freezes[2].to = day("9999-12-31");
    assert_eq!(later(&any_time, BEGINS, "2026-12-02T07:00:00Z", 45).0, "never");
}

#[test]
fn a_day_that_a_zone_skipped_has_no_window_of_its_own() {
    // Samoa went from 2011-12-29 to 2011-12-31: there was no Friday.
    let fridays = maintenance("Pacific/Apia", &["Fri"], "22:00", "2h");
    let opened = later(&fridays, BEGINS, "2011-12-30T09:59:00Z", 45).0;
    assert_eq!(opened, "2011-12-31T08:00:00Z", "22:00 on Saturday, a day later, as the clocks went");
    let any = read(json!({"timeZone": "Pacific/Apia", "chosen": {"allowedDays": ["Fri"]}}));
    assert_eq!(later(&any, BEGINS, "2011-12-30T09:59:00Z", 45).0, "2012-01-05T10:00:00Z", "a week later");
}

#[test]
fn slots_say_when_they_may_be_used_and_why_not() {
    let nights = read(json!({"timeZone": "UTC", "minGap": "3d",
        "windows": [{"days": EVERY_DAY, "start": "22:00", "duration": "1h"},
                    {"days": ["Fri"], "start": "12:00", "duration": "30m"}],
        "freezes": [{"from": "2026-11-28", "to": "2026-11-28", "reason": "sale"}]}));
    let last = Change::Begins { last: Some(at("2026-11-23T21:00:00Z")) };
    let now = at("2026-11-24T22:30:00Z");
    let found = slots(Some(&nights), last, now, at("2026-11-30T00:00:00Z"), 45, 10).unwrap();
    let told: Vec<(String, String)> = found
        .iter()
        .map(|slot| {
            let begins = slot.begins.as_ref().map_or_else(ToString::to_string, ToString::to_string);
            (slot.opens.to_string(), begins)
        })
        .collect();
    let until = "the last change is too short a time ago, until 2026-11-26T21:00Z";
    let expected = [
        ("2026-11-24T22:00:00Z", until),
        ("2026-11-25T22:00:00Z", until),
        ("2026-11-26T22:00:00Z", "2026-11-26T22:00:00Z"),
        ("2026-11-27T12:00:00Z", "the open window closes at 2026-11-27T12:30Z, too soon for the step"),
        ("2026-11-27T22:00:00Z", "2026-11-27T22:00:00Z"),
        ("2026-11-28T22:00:00Z", "a freeze holds up to and with 2026-11-28 (sale)"),
        ("2026-11-29T22:00:00Z", "2026-11-29T22:00:00Z"),
    ];
    let expected = expected.map(|(opens, begins)| (opens.to_owned(), begins.to_owned()));
    assert_eq!(told, expected);
    let two = slots(Some(&nights), last, now, at("2027-11-30T00:00:00Z"), 45, 2).unwrap();
    assert_eq!(two, found[..2]);
    assert_eq!(found[2].start_by, at("2026-11-26T22:15:00Z"), "45 minutes before it closes");
}

/// Twenty zones whose clocks change in every way that clocks have been seen to change.
const ZONES: [&str; 20] = [
    "Europe/Berlin",        // at 02:00 and 03:00
    "Europe/Lisbon",        // at 01:00 and 02:00
    "Europe/Dublin",        // where winter is the exception
    "America/New_York",     // on other Sundays than Europe
    "America/St_Johns",     // half an hour off, and once at 00:01
    "America/Sao_Paulo",    // at midnight, until 2019
    "America/Santiago",     // at midnight
    "America/Havana",       // at midnight, and an hour of a day twice
    "America/Scoresbysund", // by -1 and 0, and moved in 2024
    "Asia/Kathmandu",       // 5 h 45 min, never
    "Asia/Tehran",          // 3 h 30 min, by the Persian calendar, until 2022
    "Asia/Gaza",            // around Ramadan
    "Asia/Beirut",          // at midnight
    "Africa/Cairo",         // at the end of a Thursday, again from 2023
    "Africa/Casablanca",    // backwards in Ramadan
    "Africa/El_Aaiun",      // the same
    "Antarctica/Troll",     // by two hours
    "Australia/Lord_Howe",  // by half an hour
    "Pacific/Chatham",      // 12 h 45 min
    "Pacific/Apia",         // which skipped a day in 2011
];

/// Every change of a zone's clocks within ten years.
fn changes(zone: &TimeZone, from: &str) -> Vec<Timestamp> {
    let end = at(from).to_zoned(TimeZone::UTC).checked_add(10.years()).unwrap().timestamp();
    zone.following(at(from)).map(|change| change.timestamp()).take_while(|change| *change < end).collect()
}

/// Windows that open around the change, by the clocks before it and after it.
fn windows_around(zone: &TimeZone, change: Timestamp) -> Vec<Value> {
    let mut windows = Vec::new();
    for moment in [change - SignedDuration::from_secs(1), change] {
        let clock = moment.to_zoned(zone.clone()).datetime();
        for (minutes, duration) in [(-70, "3h"), (-20, "45m"), (0, "26h"), (35, "90m")] {
            let start = clock.checked_add(minutes.minutes()).unwrap();
            windows.push(json!({
                "days": EVERY_DAY,
                "start": format!("{:02}:{:02}", start.hour(), start.minute()),
                "duration": duration,
            }));
        }
    }
    windows
}

/// What is promised, held against an oracle that finds openings in another way.
fn hold_against_the_oracle(zone: &str, from: &str) -> usize {
    let tz = TimeZone::get(zone).unwrap();
    let changes = changes(&tz, from);
    for change in &changes {
        for window in windows_around(&tz, *change) {
            let maintenance = read(json!({"timeZone": zone, "windows": [window]}));
            let oracle = Oracle::new(&maintenance);
            for quarters in [-60_i64, -13, -5, -1, 0, 2, 9, 50] {
                let now = *change + SignedDuration::from_mins(15 * quarters);
                let expected = oracle.next(now, 30);
                match permission(Some(&maintenance), now, 30).unwrap() {
                    Permission::Now { until } => {
                        assert_eq!(
                            (Some(now), oracle.open_until(now, 30)),
                            (expected, until),
                            "{zone} {now}"
                        );
                    }
                    Permission::Later { at, .. } => assert_eq!(at, expected, "{zone} {now} {maintenance:?}"),
                }
            }
        }
    }
    changes.len()
}

#[test]
fn windows_hold_at_every_change_of_the_clocks_of_twenty_zones_over_ten_years() {
    let seen: usize = ZONES.iter().map(|zone| hold_against_the_oracle(zone, "2026-01-01T00:00:00Z")).sum();
    assert!(seen > 250, "{seen} changes");
}

#[test]
fn windows_hold_at_the_changes_of_the_ten_years_in_which_the_odd_ones_were() {
    let odd = ["America/St_Johns", "America/Sao_Paulo", "Asia/Tehran", "Asia/Gaza", "Pacific/Apia"];
    let seen: usize = odd.iter().map(|zone| hold_against_the_oracle(zone, "2006-01-01T00:00:00Z")).sum();
    assert!(seen > 80, "{seen} changes");
}

/// Maintenance times of every kind, in any of the zones.
fn any_maintenance() -> impl Strategy<Value = Maintenance> {
    let days = prop::sample::subsequence(EVERY_DAY.to_vec(), 1..=7);
    let window = (days, 0_u8..24, 0_u8..60, 20_i64..2_000, prop::option::of(0.0..1.0_f64)).prop_map(
        |(days, hour, minute, minutes, latest)| {
            let mut window = json!({
                "days": days,
                "start": format!("{hour:02}:{minute:02}"),
                "duration": format!("{minutes}m"),
            });
            if let Some(part) = latest {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_precision_loss,
                    reason = "a part of it"
                )]
                let latest = (minutes as f64 * part) as i64;
                window["latestStart"] = json!(format!("{}m", latest.max(1)));
            }
            window
        },
    );
    let windows = prop::collection::vec(window.clone(), 0..4);
    let chosen = (
        prop::collection::vec(window, 0..2),
        prop::sample::subsequence(EVERY_DAY.to_vec(), 0..=7),
        prop::option::of(0_i64..20),
    );
    let freezes = prop::collection::vec((0_i64..20, 0_i64..6), 0..4);
    (
        prop::sample::select(ZONES.to_vec()),
        windows,
        freezes,
        prop::option::of(1_u32..200),
        prop::option::of(0_i64..20),
        prop::option::of(chosen),
    )
        .prop_map(|(zone, windows, freezes, gap, not_before, chosen)| {
            let on = |days: i64| (jiff::civil::date(2027, 3, 20) + days.days()).to_string();
            let freezes: Vec<Value> = freezes
                .iter()
                .map(|(from, length)| json!({"from": on(*from), "to": on(from + length), "reason": "r"}))
                .collect();
            let mut value = json!({"timeZone": zone, "windows": windows, "freezes": freezes});
            if let Some(hours) = gap {
                value["minGap"] = json!(format!("{hours}h"));
            }
            if let Some(days) = not_before {
                value["notBefore"] = json!(on(days));
            }
            if let Some((windows, days, not_before)) = chosen {
                value["chosen"] = json!({"windows": windows, "allowedDays": days});
                if let Some(days) = not_before {
                    value["chosen"]["notBefore"] = json!(on(days));
                }
            }
            read(value)
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, ..ProptestConfig::default() })]

    /// Whatever is written: what is allowed is what the oracle allows; what is promised is kept, seen from every moment
    /// before it, in whatever order a stepping clock visits them; and nothing earlier would have been allowed.
    #[test]
    fn what_is_promised_is_kept_whatever_the_clock_does(
        maintenance in any_maintenance(),
        minutes in prop::sample::select(vec![0_i64, 30, 45, 170]),
        start in 0_i64..(30 * 24 * 60),
        seconds in 0_i64..60,
        since in prop::option::of(0_i64..(10 * 24 * 60)),
        steps in prop::collection::vec(0.0..1.0_f64, 12),
    ) {
        let now = at("2027-03-17T00:00:00Z") + SignedDuration::from_secs(60 * start + seconds);
        let last = since.map(|minutes| now - SignedDuration::from_mins(minutes));
        let change = Change::Begins { last };
        let oracle = Oracle::new(&maintenance).after(last);
        let ask = |moment| permission_for(Some(&maintenance), change, moment, minutes).unwrap();
        match ask(now) {
            Permission::Now { until } => {
                prop_assert!(oracle.allows(now, minutes), "{now}");
                prop_assert_eq!(until, oracle.open_until(now, minutes));
            }
            Permission::Later { at: promised, .. } => {
                prop_assert!(!oracle.allows(now, minutes), "{now}");
                let horizon = promised.unwrap_or(now + SignedDuration::from_hours(24 * 60));
                if let Some(promised) = promised {
                    prop_assert!(oracle.allows(promised, minutes), "{promised} was promised");
                    let open = matches!(ask(promised), Permission::Now { .. });
                    prop_assert!(open, "{} was promised", promised);
                }
                for part in steps {
                    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a part of it")]
                    let offset = (now.duration_until(horizon).as_secs() as f64 * part) as i64;
                    let moment = now + SignedDuration::from_secs(offset);
                    if moment >= horizon {
                        continue;
                    }
                    prop_assert!(!oracle.allows(moment, minutes), "{moment} is before {horizon}");
                    match ask(moment) {
                        Permission::Later { at, .. } => prop_assert_eq!(at, promised, "seen from {}", moment),
                        Permission::Now { .. } => prop_assert!(false, "{moment} is before {horizon}"),
                    }
                }
            }
        }
        // The coming slots tell the same story.
        let coming = slots(Some(&maintenance), change, now, now + SignedDuration::from_hours(24 * 60), minutes, 200);
        let first = coming.unwrap().into_iter().filter_map(|slot| slot.begins.ok()).min();
        if let (Some(first), Permission::Later { at: Some(promised), .. }) = (first, ask(now)) {
            prop_assert_eq!(first, promised);
        }
    }
}
