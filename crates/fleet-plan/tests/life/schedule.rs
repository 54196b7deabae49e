//! Schedules over whole lives: gaps between changes, and what was put off.

use fleet_api::{KubernetesVersion, text::Day};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::{
    hub::{Crash, Hub, class, spec},
    run,
};

/// Turns for a number of days, and gives what the cloud did with the moments of it.
async fn live(hub: &mut Hub, days: i64) -> Vec<(Timestamp, String)> {
    let end = hub.clock.now() + SignedDuration::from_hours(24 * days);
    let mut done = Vec::new();
    let mut before = None;
    while hub.clock.now() < end {
        let known = hub.eks.effects().len();
        let now = hub.clock.now();
        let planned = hub.turn(before.as_ref()).await;
        done.extend(hub.eks.effects().iter().skip(known).map(|effect| (now, effect.clone())));
        let pause =
            planned.look_again_after.clamp(SignedDuration::from_secs(1), SignedDuration::from_mins(30));
        hub.clock.advance(pause);
        before = Some(planned);
    }
    assert_eq!(hub.faults, Vec::<String>::new());
    done
}

fn moments(done: &[(Timestamp, String)], operation: &str) -> Vec<Timestamp> {
    done.iter().filter(|(_, effect)| effect.starts_with(operation)).map(|(at, _)| *at).collect()
}

fn with_gap(auto_mode: bool) -> Hub {
    let mut wanted = spec(&class(auto_mode, false), "1.34");
    let times = json!({"timeZone": "UTC", "minGap": "72h"});
    wanted.maintenance = Some(serde_json::from_value(times).unwrap());
    Hub::new(wanted)
}

#[test]
fn a_minimum_gap_lies_between_two_minors_and_not_between_a_control_plane_and_its_nodes() {
    run(async {
        let mut hub = with_gap(false);
        hub.settle().await;
        hub.edit(|spec| spec.version = KubernetesVersion::from_minor(36));
        let done = live(&mut hub, 6).await;
        let planes = moments(&done, "UpdateClusterVersion ");
        let nodes = moments(&done, "UpdateNodegroupVersion ");
        assert_eq!((planes.len(), nodes.len()), (2, 2), "{done:?}");
        let apart = |from: Timestamp, to: Timestamp| from.duration_until(to);
        assert!(apart(planes[0], nodes[0]) < SignedDuration::from_hours(3), "nodes follow at once: {done:?}");
        let gap = apart(nodes[0], planes[1]);
        assert!(gap >= SignedDuration::from_hours(72), "the last disruption counts: {gap}");
        assert!(gap < SignedDuration::from_hours(74), "and nothing but the gap is waited for: {gap}");
        assert!(apart(planes[1], nodes[1]) < SignedDuration::from_hours(3));
    });
}

#[test]
fn a_gap_that_holds_is_reported_with_its_end() {
    run(async {
        let mut hub = with_gap(true);
        hub.settle().await;
        hub.edit(|spec| spec.version = KubernetesVersion::from_minor(36));
        live(&mut hub, 1).await;
        let planned = hub.turn(None).await;
        let said = planned.report.iter().find(|entry| entry.code == "TooSoon").unwrap();
        assert!(said.message.contains("too short a time ago"), "{}", said.message);
        assert!(planned.steps.is_empty());
        assert_eq!(
            hub.object.status.as_ref().unwrap().versions.last_disruption.as_ref().unwrap().change,
            "1.35"
        );
    });
}

#[test]
fn a_crash_in_a_change_starts_no_gap_inside_of_it() {
    run(async {
        for at in 1..=6 {
            for crash in [Crash::BeforeCall, Crash::AfterCall] {
                let mut hub = with_gap(false);
                hub.settle().await;
                hub.crash = Some((hub.begun + at, crash));
                hub.edit(|spec| spec.version = KubernetesVersion::from_minor(35));
                let done = live(&mut hub, 1).await;
                assert_eq!(moments(&done, "UpdateClusterVersion ").len(), 1, "{crash:?} at {at}: {done:?}");
                assert_eq!(moments(&done, "UpdateNodegroupVersion ").len(), 1, "{crash:?} at {at}: {done:?}");
            }
        }
    });
}

#[test]
fn nodes_that_one_edit_of_the_class_replaces_are_one_change_and_the_next_edit_waits() {
    run(async {
        let mut hub = with_gap(false);
        hub.edit(|spec| {
            let eks = spec.eks.as_mut().unwrap();
            let mut second = eks.node_groups[0].clone();
            second.name = "batch".to_owned();
            eks.node_groups.push(second);
        });
        hub.settle().await;
        let disks = |hub: &mut Hub, size: i32| {
            hub.edit(|spec| {
                spec.eks.as_mut().unwrap().node_groups.iter_mut().for_each(|group| group.disk_gib = size)
            });
        };
        disks(&mut hub, 101);
        let done = live(&mut hub, 1).await;
        assert_eq!(moments(&done, "UpdateNodegroupVersion ").len(), 2, "both groups at once: {done:?}");
        disks(&mut hub, 102);
        let done = live(&mut hub, 4).await;
        let begun = moments(&done, "UpdateNodegroupVersion ");
        assert_eq!(begun.len(), 2, "{done:?}");
        let edited = done.first().unwrap().0;
        assert!(edited.duration_until(begun[0]) > SignedDuration::from_hours(40), "the gap held: {done:?}");
        assert!(begun[0].duration_until(begun[1]) < SignedDuration::from_hours(3), "{done:?}");
    });
}

#[test]
fn an_upgrade_that_was_put_off_waits_for_its_day_and_says_so() {
    run(async {
        let mut hub = Hub::new(spec(&class(true, false), "1.35"));
        hub.settle().await;
        let first: Day = "2026-12-03".parse().unwrap();
        hub.edit(|spec| {
            spec.version = KubernetesVersion::from_minor(36);
            let times = json!({"timeZone": "UTC", "chosen": {"notBefore": first}});
            spec.maintenance = Some(serde_json::from_value(times).unwrap());
        });
        let planned = hub.turn(None).await;
        let planned = hub.turn(Some(&planned)).await;
        assert!(planned.report.iter().any(|entry| entry.code == "PutOff"), "{:?}", planned.report);
        let done = live(&mut hub, 10).await;
        let begun = moments(&done, "UpdateClusterVersion ");
        let midnight: Timestamp = "2026-12-03T00:00:00Z".parse().unwrap();
        assert_eq!(begun.len(), 1, "{done:?}");
        assert!(
            begun[0] >= midnight && midnight.duration_until(begun[0]) < SignedDuration::from_hours(2),
            "{done:?}"
        );
    });
}
