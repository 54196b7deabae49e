//! Faults of the engine that need a world as only a test makes it: each does what the rule forbids, and the engine
//! without it does not.

use fleet_api::{
    KubernetesVersion,
    v1alpha1::MemberState::{self, *},
};
use fleet_plan::rollout::Mutant;
use serde_json::json;

use super::hub::{Hub, at, hours, rollout, wave};

fn with_and_without(mutant: Mutant, world: fn(&mut Hub) -> MemberState) -> (MemberState, MemberState) {
    let ends = |mutant| {
        let mut hub = rollout(json!([wave("w", json!({"soak": "1h"}))])).with("w", &["a"]);
        hub.mutant = mutant;
        world(&mut hub)
    };
    (ends(Some(mutant)), ends(None))
}

#[test]
fn one_that_starts_too_late_in_a_window_differs() {
    let ends = with_and_without(Mutant::StartsTooLate, |hub| {
        let nights =
            json!({"timeZone": "UTC", "windows": [{"days": ["Tue"], "start": "22:00", "duration": "2h"}]});
        hub.cluster("a").maintenance = Some(serde_json::from_value(nights).unwrap());
        hub.now = at("2026-11-24T23:50:00Z");
        hub.begin();
        hub.state("a")
    });
    assert_eq!(ends, (Upgrading, Preflight));
}

#[test]
fn one_that_believes_an_arrival_without_the_version_differs() {
    let ends = with_and_without(Mutant::BelievesArrival, |hub| {
        hub.begin();
        hub.see("a", |seen| (seen.arrived, seen.healthy, seen.healthy_seconds) = (true, true, 7200));
        hub.settle();
        hub.state("a")
    });
    assert_eq!(ends, (Succeeded, Upgrading));
}

#[test]
fn one_that_skips_minors_differs() {
    let ends = with_and_without(Mutant::SkipsMinors, |hub| {
        hub.cluster("a").versions.control_plane = Some(KubernetesVersion::from_minor(34));
        hub.begin();
        hub.state("a")
    });
    assert_eq!(ends, (Upgrading, Preflight));
}

#[test]
fn one_that_soaks_through_a_regress_differs() {
    let ends = with_and_without(Mutant::SoaksThroughRegress, |hub| {
        hub.begin();
        hub.arrive("a", Some(1));
        hub.settle();
        hub.pass_time(hours(1));
        hub.arrive("a", None);
        hub.settle();
        hub.state("a")
    });
    assert_eq!(ends, (Succeeded, Verifying));
}
