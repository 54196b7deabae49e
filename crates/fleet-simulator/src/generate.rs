//! Makes a scenario from a seed.

use fleet_api::{
    text::{Day, Minutes, TimeOfDay},
    v1alpha1::{
        ApprovalGate, ApproverRole, Freeze, Gate, Maintenance, MemberSelector, OnFailure, Slots, Wave,
        Weekday, Window,
    },
};
use jiff::{Span, tz::TimeZone};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::{
    random::Random,
    scenario::{Act, Behaviour, Ends, Fault, KINDS, Member, Pace, Scenario, Target},
    start::AUTHOR,
    time::{DAY, HOUR, MINUTE, Millis, SECOND, time, timestamp},
};

mod breadth;

/// The minor that most scenarios move to.
pub(crate) const TO: u16 = 36;
/// The minor that most members come from.
pub(crate) const FROM: u16 = TO - 1;

/// What a scenario is mostly about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Theme {
    /// Everything may happen.
    Anything,
    /// Only controllers suffer, so that the end is fixed.
    Fair,
    /// Windows, freezes, zones and clocks.
    Windows,
    /// People and gates, with controllers that are well.
    People,
    /// A rollback after days.
    Late,
    /// Clusters that are not heard of, and waves that need every success.
    Silent,
    /// Many members, few faults.
    Large,
}

/// The scenario of a seed.
pub fn scenario(seed: u64) -> Scenario {
    let mut random = Random::new(seed, "scenario");
    let theme = match random.between(0, 99) {
        0..50 => Theme::Anything,
        50..62 => Theme::Fair,
        62..74 => Theme::Windows,
        74..80 => Theme::Silent,
        80..92 => Theme::People,
        92..97 => Theme::Late,
        _ => Theme::Large,
    };
    let members = match (theme, random.between(0, 99)) {
        (Theme::Large, _) => random.between(20, 80),
        (_, 0..55) => random.between(1, 5),
        (_, 55..90) => random.between(4, 10),
        _ => random.between(8, 20),
    };
    make(seed, &mut random, theme, usize::try_from(members).unwrap_or(1))
}

/// The scenario of a seed with so many members, in which controllers suffer and clusters fail.
pub fn large(seed: u64, members: usize) -> Scenario {
    let mut scenario = make(seed, &mut Random::new(seed, "scenario"), Theme::Large, members.max(1));
    let members = Millis::try_from(members).unwrap_or(Millis::MAX);
    // A controller that reads ten thousand members takes longer over a tick, and writes faster than one at a time.
    scenario.pace.rest = scenario.pace.rest.max(members * SECOND / 100);
    scenario.pace.latency = scenario.pace.latency.min((200 * SECOND / members.max(1)).max(1));
    for (index, member) in scenario.members.iter_mut().enumerate() {
        member.stored_after = Millis::try_from(index).unwrap_or(0) * scenario.pace.latency;
    }
    scenario
}

fn make(seed: u64, random: &mut Random, theme: Theme, count: usize) -> Scenario {
    // A day of 2026, so that every change of the clocks of a year can fall into a rollout.
    let start = 1_767_225_600_000 + random.between(0, 364) * DAY + random.between(0, 23) * HOUR;
    let busy = match theme {
        Theme::Large => 12 * HOUR,
        Theme::Late => 2 * DAY,
        _ => random.between(4, 30) * HOUR,
    };
    let target =
        if theme != Theme::Late && random.chance(12) { Target::Baseline } else { Target::Kubernetes(TO) };
    let waves = waves(random, theme, count, start);
    let mut scenario = Scenario {
        seed,
        start,
        target,
        on_failure: if random.chance(35) { OnFailure::Rollback } else { OnFailure::Pause },
        slots: Slots::Binding,
        hold_nodes: random.chance(40).then(|| random.between(1, 7 * 24) * 60),
        step_deadline: random.between(2, 6) * 60,
        offline_after: random.between(2, 8) * 15,
        approvers: approvers(),
        members: Vec::new(),
        checks: Vec::new(),
        acts: Vec::new(),
        faults: Vec::new(),
        pace: pace(random, theme),
        mended_after: busy,
        cared_for: theme != Theme::People || random.chance(70),
        waves,
    };
    for index in 0..count {
        let member = member(random, theme, &scenario, index);
        scenario.members.push(member);
    }
    gates_of(random, theme, &mut scenario);
    people(random, theme, &mut scenario);
    faults(random, theme, &mut scenario);
    breadth::add(&mut Random::new(seed, "breadth"), theme, &mut scenario);
    breadth::stored_late(&mut Random::new(seed, "start"), &mut scenario);
    breadth::put_off(&mut Random::new(seed, "put-off"), theme, &mut scenario);
    breadth::stuck_nodes(&mut Random::new(seed, "nodes"), theme, &mut scenario);
    scenario
}

fn pace(random: &mut Random, theme: Theme) -> Pace {
    let slow = theme == Theme::Anything && random.chance(40);
    let lag = if slow { 60 * SECOND } else { 4 * SECOND };
    Pace {
        lag: KINDS.map(|_| random.between(50, lag)),
        latency: random.between(20, 800),
        rest: random.between(1, 20) * SECOND,
        look: random.between(3, 6) * MINUTE,
    }
}

fn amount(random: &mut Random, low: i64, high: i64) -> IntOrString {
    if random.chance(40) {
        let percents = ["10%", "20%", "25%", "33%", "50%", "75%", "100%"];
        IntOrString::String((*random.pick(&percents).unwrap_or(&"50%")).to_owned())
    } else {
        IntOrString::Int(i32::try_from(random.between(low, high)).unwrap_or(1))
    }
}

fn waves(random: &mut Random, theme: Theme, count: usize, start: Millis) -> Vec<Wave> {
    let most = i64::try_from(count.min(4)).unwrap_or(1);
    let waves = if theme == Theme::Large { most.min(3) } else { random.between(1, most) };
    (0..waves)
        .map(|index| {
            let size = i64::try_from(count).unwrap_or(1) / waves;
            let max_concurrent = if theme == Theme::Large {
                IntOrString::String("20%".to_owned())
            } else {
                amount(random, 1, size.max(1))
            };
            let max_failures = match theme {
                Theme::Fair => IntOrString::String("100%".to_owned()),
                Theme::Large => IntOrString::String("10%".to_owned()),
                Theme::Silent => amount(random, 1, size.max(1)),
                _ if random.chance(40) => IntOrString::Int(0),
                _ => amount(random, 0, 3.min(size)),
            };
            let min_successes = match theme {
                Theme::Fair => None,
                Theme::Silent => {
                    random.chance(80).then(|| IntOrString::Int(i32::try_from(size).unwrap_or(1)))
                }
                _ => random.chance(30).then(|| amount(random, 1, size.max(1))),
            };
            let soak = match random.between(0, 9) {
                0..3 => None,
                3..8 => Some(random.between(2, 12) * 10),
                _ => Some(random.between(2, 6) * 60),
            };
            let not_before = random.chance(10).then(|| Gate {
                name: format!("later-{index}"),
                approval: None,
                not_before: Some(time(start + random.between(0, 8) * HOUR)),
                condition: None,
                prometheus: None,
                job: None,
            });
            Wave {
                name: ["canary", "early", "broad", "last"].get(index as usize).unwrap_or(&"more").to_string(),
                selector: MemberSelector::default(),
                max_concurrent,
                max_failures,
                min_successes,
                soak: soak.map(Minutes),
                before: not_before.into_iter().collect(),
                after: Vec::new(),
            }
        })
        .collect()
}

fn approvers() -> Vec<ApproverRole> {
    let role = |name: &str, users: &[&str]| ApproverRole {
        name: name.to_owned(),
        groups: Vec::new(),
        users: users.iter().map(|user| (*user).to_owned()).collect(),
    };
    vec![role("operations", &["ops-1", "ops-2", "ops-3", AUTHOR]), role("security", &["sec-1", "sec-2"])]
}

fn gates_of(random: &mut Random, theme: Theme, scenario: &mut Scenario) {
    let chance = if theme == Theme::People { 60 } else { 12 };
    for (index, wave) in scenario.waves.iter_mut().enumerate() {
        for (place, gates) in [("before", &mut wave.before), ("after", &mut wave.after)] {
            if random.chance(chance) {
                let roles =
                    if random.chance(30) { vec!["operations", "security"] } else { vec!["operations"] };
                gates.push(Gate {
                    name: format!("vote-{place}-{index}"),
                    approval: Some(ApprovalGate {
                        required: i32::try_from(random.between(1, 3)).unwrap_or(1),
                        roles: roles.into_iter().map(str::to_owned).collect(),
                        valid_for: Minutes(random.between(1, 12) * 60),
                    }),
                    not_before: None,
                    condition: None,
                    prometheus: None,
                    job: None,
                });
            }
            if random.chance(chance / 3) {
                let name = format!("check-{place}-{index}");
                if random.chance(70) {
                    scenario.checks.push((name.clone(), random.between(0, 12) * HOUR));
                }
                gates.push(Gate {
                    name,
                    approval: None,
                    not_before: None,
                    condition: Some("cluster.status.versions.controlPlane != ''".to_owned()),
                    prometheus: None,
                    job: None,
                });
            }
        }
    }
}

fn member(random: &mut Random, theme: Theme, scenario: &Scenario, index: usize) -> Member {
    let waves = scenario.waves.len();
    // Every wave has a member, and the rest fall where they fall.
    let wave = if index < waves { index } else { random.below(waves) };
    let hurts = !matches!(theme, Theme::Fair);
    let minors = if scenario.target == Target::Baseline {
        (FROM, FROM, FROM - 1)
    } else {
        match random.between(0, 99) {
            0..88 => (FROM, FROM, random.between(i64::from(FROM) - 3, i64::from(FROM)) as u16),
            88..92 => (FROM, TO, FROM - 1),
            92..95 if hurts => (FROM - 1, FROM - 1, FROM - 1),
            95..97 if hurts => (FROM, TO, TO),
            _ => (FROM, FROM, FROM),
        }
    };
    let windowed = match theme {
        Theme::Windows => random.chance(80),
        Theme::Anything => random.chance(15),
        _ => false,
    };
    let slot = if random.chance(60) { 0 } else { random.between(0, 6 * 60) * MINUTE };
    let back = if hurts && random.chance(20) { theme } else { Theme::Fair };
    let blocked = hurts && random.chance(8);
    let dark = hurts && random.chance(5);
    Member {
        name: format!("m{index:02}"),
        wave,
        stored_after: 0,
        slot,
        from: minors.0,
        minor: minors.1,
        made_with: minors.2,
        maintenance: windowed.then(|| maintenance(random, scenario.start)),
        disturbed_before: None,
        moved_before: random.chance(25),
        blocked_until: if blocked { random.between(1, 40) * HOUR } else { 0 },
        dark_until: if dark { random.between(1, 10) * HOUR } else { 0 },
        hasty: random.chance(8),
        upgrade: behaviour(random, theme, scenario.target),
        back: behaviour(random, back, scenario.target),
        nodes_stuck: false,
    }
}

fn behaviour(random: &mut Random, theme: Theme, target: Target) -> Behaviour {
    let ends = match (theme, random.between(0, 99)) {
        (Theme::Fair, _) => Ends::Well,
        (Theme::Large, 0..96) => Ends::Well,
        (_, 0..82) => Ends::Well,
        (_, 82..90) => Ends::Stuck,
        (_, 90..95) => Ends::Hangs,
        _ => Ends::Sick,
    };
    let takes = match target {
        Target::Kubernetes(_) => random.between(8, 45) * MINUTE,
        Target::Baseline | Target::Addons => random.between(1, 8) * MINUTE,
    };
    let flaps = if theme != Theme::Fair && random.chance(25) {
        let count = random.between(1, 3);
        (0..count).map(|_| (random.between(1, 180) * MINUTE, random.between(1, 20) * MINUTE)).collect()
    } else {
        Vec::new()
    };
    let settles = if random.chance(50) { random.between(0, 25) * MINUTE } else { 0 };
    Behaviour { takes: takes + random.between(0, 59) * SECOND, ends, settles, flaps }
}

const ZONES: [&str; 10] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "America/Sao_Paulo",
    "Africa/Cairo",
    "Asia/Kolkata",
];

const DAYS: [Weekday; 7] =
    [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun];

fn maintenance(random: &mut Random, start: Millis) -> Maintenance {
    let zone = random.pick(&ZONES).copied().unwrap_or("UTC");
    let days: Vec<Weekday> = if random.chance(75) {
        DAYS.to_vec()
    } else {
        let first = random.below(7);
        DAYS.iter().cycle().skip(first).step_by(2).take(3).copied().collect()
    };
    let window = |random: &mut Random| Window {
        days: days.clone(),
        start: start_of_window(random),
        duration: Minutes(random.between(2, 10) * 30),
        latest_start: None,
    };
    let windows = if random.chance(10) {
        Vec::new()
    } else {
        (0..random.between(1, 2)).map(|_| window(random)).collect()
    };
    let freezes = if random.chance(25) {
        let today = timestamp(start + random.between(-1, 1) * DAY)
            .to_zoned(TimeZone::get(zone).unwrap_or(TimeZone::UTC))
            .date();
        let to = today.checked_add(Span::new().days(random.between(0, 2))).unwrap_or(today);
        vec![Freeze { from: Day(today), to: Day(to), reason: "a freeze".to_owned() }]
    } else {
        Vec::new()
    };
    Maintenance { windows, freezes, ..Maintenance::any_time(zone.to_owned()) }
}

fn start_of_window(random: &mut Random) -> TimeOfDay {
    let (hour, minute) = (random.between(0, 23), random.between(0, 3) * 15);
    format!("{hour:02}:{minute:02}").parse().unwrap_or(TimeOfDay { hour: 0, minute: 0 })
}

/// What people do.
fn people(random: &mut Random, theme: Theme, scenario: &mut Scenario) {
    let count = scenario.members.len();
    let busy = scenario.mended_after;
    let mut acts = Vec::new();
    if random.chance(95) {
        acts.push((random.between(0, 30) * MINUTE, Act::Run));
    }
    votes(random, theme, scenario, &mut acts);
    if theme == Theme::Late {
        // What has moved by then stands for days, and only then does somebody want it back.
        acts.push((random.between(2, 12) * HOUR, Act::Pause));
        let days = random.between(5, 9);
        let back = if random.chance(60) { Act::RollBack } else { Act::RollBackMember(random.below(count)) };
        acts.push((days * DAY + random.between(0, 20) * HOUR, back));
    }
    let many = match theme {
        Theme::Fair | Theme::Large => 0,
        Theme::People => random.between(2, 8),
        _ if random.chance(50) => random.between(1, 4),
        _ => 0,
    };
    for _ in 0..many {
        let at = random.between(0, busy / MINUTE) * MINUTE + random.between(0, 59) * SECOND;
        let member = random.below(count);
        let again = at + random.between(5, 300) * MINUTE;
        match random.between(0, 99) {
            0..18 => acts.extend([(at, Act::Pause), (again, Act::Run)]),
            18..30 => acts.push((at, Act::Skip(member, true))),
            30..34 => acts.extend([(at, Act::Skip(member, true)), (again, Act::Skip(member, false))]),
            34..46 => acts.push((at, Act::Retry(member))),
            46..58 => acts.push((at, Act::RollBackMember(member))),
            58..64 => acts.push((at, Act::RollBack)),
            64..68 => acts.push((at, Act::Abort)),
            68..76 => {
                acts.extend([(at, Act::PauseTenant(member, true)), (again, Act::PauseTenant(member, false))]);
            }
            76..82 => acts.push((at, Act::Windows(member, Some(maintenance(random, scenario.start))))),
            82..88 => acts.push((at, Act::DeleteCluster(member, random.chance(40)))),
            88..94 => acts.push((at, Act::UpgradeByHand(member))),
            _ => {
                // The number that was once drawn here keeps what every later act of a seed gets.
                let _ = random.between(1, 3);
                acts.push((at, Act::Acknowledge));
            }
        }
    }
    acts.sort_by_key(|(at, _)| *at);
    scenario.acts = acts;
}

/// Votes of the right people and of others, in time, too early and too late.
fn votes(random: &mut Random, theme: Theme, scenario: &Scenario, acts: &mut Vec<(Millis, Act)>) {
    for wave in &scenario.waves {
        for gate in wave.before.iter().chain(&wave.after) {
            let Some(approval) = &gate.approval else { continue };
            let count = if theme == Theme::Fair { 0 } else { random.between(0, 6) };
            for _ in 0..count {
                let role = random.pick(&approval.roles).cloned().unwrap_or_default();
                let users =
                    scenario.approvers.iter().find(|known| known.name == role).map(|role| role.users.clone());
                let mut approver = random.pick(&users.unwrap_or_default()).cloned().unwrap_or_default();
                if random.chance(15) {
                    approver =
                        (*random.pick(&["stranger", AUTHOR, "sec-1", "ops-1"]).unwrap_or(&AUTHOR)).to_owned();
                }
                let vote =
                    Act::Vote { gate: gate.name.clone(), role, approver, this_plan: random.chance(85) };
                acts.push((random.between(0, scenario.mended_after / MINUTE) * MINUTE, vote));
            }
            if random.chance(8) {
                let at = random.between(0, scenario.mended_after / MINUTE) * MINUTE;
                acts.push((at, Act::Unvote { gate: gate.name.clone() }));
            }
        }
    }
}

/// What goes wrong.
fn faults(random: &mut Random, theme: Theme, scenario: &mut Scenario) {
    let count = scenario.members.len();
    let many = match theme {
        Theme::Anything => random.between(0, 12),
        Theme::Silent => random.between(2, 6),
        Theme::Fair => random.between(2, 14),
        Theme::Windows => random.between(0, 5),
        Theme::People | Theme::Late => random.between(0, 2),
        Theme::Large => random.between(2, 10),
    };
    let fair = theme == Theme::Fair;
    for _ in 0..many {
        let at = random.between(0, scenario.mended_after / SECOND) * SECOND;
        let kind = *random.pick(&KINDS).unwrap_or(&KINDS[0]);
        let minutes = |random: &mut Random, most| random.between(1, most) * MINUTE;
        if theme == Theme::Silent {
            let offline = Fault::Offline(random.below(count), random.between(2, 20) * HOUR);
            scenario.faults.push((at / 3, offline));
            continue;
        }
        let fault = match random.between(0, 99) {
            0..30 => Fault::Crash {
                writes: u32::try_from(random.between(1, 4)).unwrap_or(1),
                after: random.chance(50),
                down: minutes(random, 20),
            },
            30..38 => Fault::Freeze(random.between(5, 300) * SECOND),
            38..46 => Fault::Overlap(minutes(random, 20)),
            46..54 => Fault::LostWatch(kind, minutes(random, 15)),
            54..62 => Fault::Lag(kind, random.between(5, 120) * SECOND, minutes(random, 60)),
            62..70 => Fault::Flaky(u64::try_from(random.between(5, 60)).unwrap_or(20), minutes(random, 60)),
            70..73 => Fault::Slow(random.between(100, 2000), minutes(random, 30)),
            _ if fair => Fault::Overlap(minutes(random, 30)),
            73..76 => Fault::Outage(minutes(random, 300)),
            76..84 => {
                let process = random.below(2);
                let by = random.between(-180, 180) * MINUTE;
                Fault::ClockStep(process, if random.chance(60) { by / 20 } else { by }, minutes(random, 300))
            }
            84..92 => Fault::Offline(random.below(count), minutes(random, 400)),
            _ => Fault::Sick(random.below(count), minutes(random, 60)),
        };
        scenario.faults.push((at, fault));
    }
    scenario.faults.sort_by_key(|(at, _)| *at);
}
