//! Whole lives of clusters, planned for real against an in-memory EKS, with crashes at every step.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on may panic")]
#![expect(unreachable_pub, reason = "the modules of a test are its own")]

mod deletions;
mod drain;
mod failures;
mod gates;
mod hub;
mod intent;
mod moves;
mod preflight;
mod schedule;

use fleet_api::KubernetesVersion;
use fleet_provider::fake::{Fault, FaultRule};
use hub::{Crash, Hub, class, spec};
use proptest::prelude::*;
use serde_json::json;

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Create, upgrade, delete; the executor dies at the given step. Gives the number of steps and the end state.
fn life(auto_mode: bool, crash: Option<(usize, Crash)>) -> (usize, Vec<String>) {
    life_with_proof(auto_mode, crash, |_| Some(true))
}

fn life_with_proof(
    auto_mode: bool,
    crash: Option<(usize, Crash)>,
    proof: fn(usize) -> Option<bool>,
) -> (usize, Vec<String>) {
    run(async {
        let mut hub = Hub::new(spec(&class(auto_mode, true), "1.35"));
        hub.crash = crash;
        hub.proof = proof;
        hub.settle().await;
        assert_eq!(hub.eks.clusters().len(), 1, "{crash:?}");
        hub.edit(|spec| spec.version = KubernetesVersion::from_minor(36));
        hub.settle().await;
        let clusters = hub.eks.clusters();
        assert_eq!(clusters[0].version, KubernetesVersion::from_minor(36), "{crash:?}");
        let mut end = vec![serde_json::to_string(&clusters[0].tags).unwrap()];
        let parts = hub.look(None).await;
        end.extend(parts.addons.present().unwrap().iter().map(|a| format!("{} {}", a.name, a.version)));
        end.extend(parts.nodegroups.present().unwrap().iter().map(|g| format!("{} {:?}", g.name, g.version)));
        end.extend(
            parts
                .access_entries
                .present()
                .unwrap()
                .iter()
                .map(|e| format!("{} {:?}", e.principal_arn, e.groups)),
        );
        hub.delete();
        let last = hub.settle().await;
        assert!(last.deleted, "{crash:?}: {:?}", last.report);
        assert_eq!(hub.eks.clusters().len(), 0, "{crash:?}");
        assert_eq!(hub.eks.launch_templates(), 0, "{crash:?}");
        assert_eq!(hub.count("CreateCluster"), 1, "{crash:?}");
        assert_eq!(hub.count("UpdateClusterVersion"), 1, "{crash:?}");
        assert_eq!(hub.faults, Vec::<String>::new(), "{crash:?}");
        (hub.begun, end)
    })
}

#[test]
fn a_crash_at_any_step_of_a_life_with_node_groups_ends_in_the_same_state() {
    let (steps, end) = life(false, None);
    assert!(steps > 15, "{steps} steps are no whole life");
    for at in 1..=steps {
        for crash in Crash::ALL {
            assert_eq!(life(false, Some((at, crash))).1, end, "{crash:?} at step {at}");
        }
    }
}

#[test]
fn a_crash_at_any_step_of_a_life_in_auto_mode_ends_in_the_same_state() {
    let (steps, end) = life(true, None);
    for at in 1..=steps {
        for crash in Crash::ALL {
            assert_eq!(life(true, Some((at, crash))).1, end, "{crash:?} at step {at}");
        }
    }
}

/// What the probes say when they need a few rounds, find a control that does not bite, and lose it for a while later.
fn reluctant(looks: usize) -> Option<bool> {
    match looks {
        0..4 => None,
        4..7 | 9..14 => Some(false),
        _ => Some(true),
    }
}

#[test]
fn a_proof_that_takes_several_rounds_and_is_lost_for_a_while_ends_in_the_same_state() {
    for auto_mode in [false, true] {
        let (steps, end) = life(auto_mode, None);
        assert_eq!(life_with_proof(auto_mode, None, reluctant).1, end);
        for at in (1..=steps).step_by(2) {
            let crash = Crash::ALL[at / 2 % 3];
            assert_eq!(life_with_proof(auto_mode, Some((at, crash)), reluctant).1, end, "{crash:?} at {at}");
        }
    }
}

#[test]
fn nobody_of_the_tenant_is_let_in_before_the_first_proof_and_nobody_is_shut_out_when_it_is_lost() {
    run(async {
        let mut hub = Hub::new(spec(&class(true, false), "1.35"));
        hub.proof = reluctant;
        let mut before = None;
        let mut proven = false;
        for _ in 0..200 {
            let planned = hub.turn(before.as_ref()).await;
            let lets_in = planned.steps.iter().any(|step| step.id.contains("role/acme/create"));
            assert!(!lets_in || proven, "let in before the proof");
            let shuts_out = planned.steps.iter().find(|step| step.id.ends_with("/delete"));
            assert_eq!(shuts_out, None);
            proven |= hub.object.status.as_ref().unwrap().baseline.proven_at.is_some();
            hub.clock.advance(planned.look_again_after);
            before = Some(planned);
        }
        let entries = hub.look(None).await.access_entries;
        assert!(entries.present().unwrap().iter().any(|entry| entry.principal_arn.ends_with("role/acme")));
        assert_eq!(hub.faults, Vec::<String>::new());
    });
}

#[test]
fn a_protected_cluster_whose_deletion_nobody_confirmed_stays_and_says_how() {
    run(async {
        let mut hub = Hub::new(spec(&class(true, true), "1.35"));
        hub.settle().await;
        hub.edit(|spec| spec.deletion_confirmed = false);
        hub.delete();
        let planned = hub.turn(None).await;
        assert!(planned.steps.is_empty());
        let said = planned.report.iter().find(|entry| entry.code == "DeletionUnconfirmed").unwrap();
        assert_eq!(said.hint.as_deref(), Some("`fleet delete acme --confirm acme`"));
    });
}

#[test]
fn a_cluster_that_somebody_upgraded_is_reported_and_never_moved_back() {
    run(async {
        let mut hub = Hub::new(spec(&class(true, false), "1.35"));
        hub.settle().await;
        hub.eks.edit("acme-12345678", |cluster| cluster.cluster.version = KubernetesVersion::from_minor(36));
        let planned = hub.turn(None).await;
        assert!(planned.report.iter().any(|entry| entry.code == "AheadOfSpec"), "{:?}", planned.report);
        assert_eq!(hub.count("UpdateClusterVersion"), 0);
    });
}

#[test]
fn a_cluster_of_somebody_else_is_left_alone() {
    run(async {
        let mut hub = Hub::new(spec(&class(true, false), "1.35"));
        hub.settle().await;
        hub.eks.edit("acme-12345678", |cluster| cluster.cluster.tags.clear());
        let planned = hub.turn(None).await;
        assert!(planned.steps.is_empty());
        assert!(planned.report.iter().any(|entry| entry.code == "NotOurs"), "{:?}", planned.report);
    });
}

#[test]
fn a_field_that_cannot_change_is_named_and_nothing_is_sent() {
    run(async {
        let mut hub = Hub::new(spec(&class(true, false), "1.35"));
        hub.settle().await;
        let effects = hub.eks.effects().len();
        hub.edit(|spec| {
            let eks = spec.eks.as_mut().unwrap();
            eks.cluster_role_arn = "arn:aws:iam::444455556666:role/other".to_owned();
        });
        let planned = hub.turn(None).await;
        let said = planned.report.iter().find(|entry| entry.code == "Immutable").unwrap();
        assert!(said.message.contains("clusterRoleArn"), "{}", said.message);
        assert_eq!(hub.eks.effects().len(), effects);
    });
}

#[test]
fn a_paused_tenant_is_watched_and_not_changed() {
    run(async {
        let mut hub = Hub::new(spec(&class(true, false), "1.35"));
        hub.edit(|spec| spec.paused = true);
        let planned = hub.turn(None).await;
        assert!(planned.steps.is_empty());
        assert!(planned.report.iter().any(|entry| entry.code == "Paused"));
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Any settings, any windows, any crash: it comes to rest as wanted, and nothing disruptive began outside a window.
    #[test]
    fn any_class_with_any_windows_and_any_crash_comes_to_rest_as_wanted(
        auto_mode in any::<bool>(),
        start in 0_u8..24,
        hours in 3_u8..9,
        zone in prop::sample::select(vec!["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
        at in 1_usize..40,
        crash in prop::sample::select(Crash::ALL.to_vec()),
        logging in any::<bool>(),
    ) {
        run(async {
            let mut wanted = spec(&class(auto_mode, false), "1.35");
            wanted.maintenance = Some(serde_json::from_value(json!({
                "timeZone": zone,
                "windows": [{"days": ["Mon", "Wed", "Sat"], "start": format!("{start:02}:30"), "duration": format!("{hours}h")}],
            })).unwrap());
            let mut hub = Hub::new(wanted);
            hub.crash = Some((at, crash));
            hub.settle().await;
            hub.edit(|spec| {
                spec.version = KubernetesVersion::from_minor(36);
                if logging {
                    spec.eks.as_mut().unwrap().logging.truncate(2);
                }
            });
            hub.settle().await;
            let clusters = hub.eks.clusters();
            assert_eq!(clusters.len(), 1);
            assert_eq!(clusters[0].version, KubernetesVersion::from_minor(36));
            assert_eq!(clusters[0].logging.len(), if logging { 2 } else { 5 });
            hub.delete();
            assert!(hub.settle().await.deleted);
            assert_eq!(hub.eks.clusters().len(), 0);
            assert_eq!(hub.eks.launch_templates(), 0);
            assert_eq!(hub.faults, Vec::<String>::new());
        });
    }
}

/// What can go wrong with a call or a look.
fn any_fault() -> impl Strategy<Value = FaultRule> {
    let fault = prop_oneof![
        Just(Fault::CrashBefore),
        Just(Fault::CrashAfter),
        Just(Fault::Throttle),
        (1_u32..4).prop_map(|reads| Fault::StaleReads { reads }),
        Just(Fault::FailedCreate),
        Just(Fault::FailedUpdate { code: "PodEvictionFailure".to_owned() }),
    ];
    let operations = vec![
        "CreateCluster",
        "CreateNodegroup",
        "CreateAddon",
        "CreateAccessEntry",
        "CreatePodIdentityAssociation",
        "UpdateClusterVersion",
        "UpdateNodegroupVersion",
        "UpdateAddon",
        "DeleteNodegroup",
        "DeleteCluster",
    ];
    (prop::sample::select(operations), 0_u32..2, 1_u32..3, fault).prop_map(
        |(operation, skip, times, fault)| FaultRule {
            operation: Some(operation.to_owned()),
            skip,
            times,
            fault,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Calls that break before and after their effect, throttles, stale looks, failed creations and updates: it comes
    /// to rest as wanted all the same, with one cluster, and goes without a trace.
    #[test]
    fn any_faults_of_the_cloud_are_outlived(
        auto_mode in any::<bool>(),
        faults in prop::collection::vec(any_fault(), 1..5),
    ) {
        run(async {
            let mut hub = Hub::new(spec(&class(auto_mode, false), "1.35"));
            for fault in faults {
                hub.eks.inject(fault);
            }
            hub.settle().await;
            assert_eq!(hub.eks.clusters().len(), 1);
            hub.edit(|spec| spec.version = KubernetesVersion::from_minor(36));
            hub.settle().await;
            let clusters = hub.eks.clusters();
            assert_eq!(clusters.len(), 1);
            assert_eq!(clusters[0].version, KubernetesVersion::from_minor(36));
            hub.delete();
            assert!(hub.settle().await.deleted);
            assert_eq!(hub.eks.clusters().len(), 0);
            assert_eq!(hub.eks.launch_templates(), 0);
            assert_eq!(hub.faults, Vec::<String>::new());
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// A deletion at any moment of a life with faults, crashes and a proof that comes late: nothing is left.
    #[test]
    fn a_deletion_at_any_moment_of_a_troubled_life_leaves_nothing(
        auto_mode in any::<bool>(),
        faults in prop::collection::vec(any_fault(), 0..4),
        stage in 1_usize..30,
        crash in prop::sample::select(Crash::ALL.to_vec()),
        again in prop::option::of((1_usize..8, prop::sample::select(Crash::ALL.to_vec()))),
        late in any::<bool>(),
    ) {
        run(async {
            let mut hub = Hub::new(spec(&class(auto_mode, true), "1.35"));
            for fault in faults {
                hub.eks.inject(fault);
            }
            if late {
                hub.proof = reluctant;
            }
            hub.crash = Some((stage, crash));
            if hub.settle_unless(|hub| hub.crashed).await.is_some() {
                hub.edit(|spec| spec.version = KubernetesVersion::from_minor(36));
                hub.settle_unless(|hub| hub.crashed).await;
            }
            hub.crash = again.map(|(at, crash)| (hub.begun + at, crash));
            hub.delete();
            let last = hub.settle().await;
            assert!(last.deleted, "{:?}", last.report);
            assert_eq!(hub.eks.clusters().len(), 0);
            assert_eq!(hub.eks.launch_templates(), 0);
            assert_eq!(hub.faults, Vec::<String>::new());
        });
    }
}
