//! What composing keeps of rollouts.

use std::collections::BTreeMap;

use fleet_api::v1alpha1::{Tenant, TenantCluster, VersionChannel};
use fleet_plan::{
    compose::{Composed, Sources, compose},
    moves::{effective, wanted_version},
};
use serde_json::{Value, json};

use super::{READY, a_move, class, cluster, object};

/// Composes a tenant that follows a channel with 1.35, 1.36 and 1.37 on offer.
fn composed(upgrades: &str, kubernetes: &Value, existing: Option<&TenantCluster>) -> Composed {
    let versions = json!([{"version": "1.35"}, {"version": "1.36"}, {"version": "1.37"}]);
    let channel: VersionChannel =
        object("VersionChannel", "stable", &json!({"versions": versions, "upgrades": upgrades}));
    let channels = BTreeMap::from([("stable".to_owned(), channel)]);
    let tenant: Tenant = object(
        "Tenant",
        "acme",
        &json!({"owner": {"team": "acme", "contact": "acme@acme.example"}, "class": "eks", "kubernetes": kubernetes}),
    );
    let class = class();
    let sources = Sources { class: Some(&class), fleet: None, channels: &channels, chosen: None, existing };
    compose(&tenant, &sources, "2026-11-24T12:00:00Z".parse().unwrap()).unwrap()
}

/// The cluster once its tenant was composed again.
fn again(upgrades: &str, kubernetes: &Value, cluster: &TenantCluster) -> TenantCluster {
    TenantCluster { spec: composed(upgrades, kubernetes, Some(cluster)).spec, ..cluster.clone() }
}

/// The cluster with the evidence that it is where its move wants it.
fn arrived(mut cluster: TenantCluster) -> TenantCluster {
    let stage = cluster.spec.rollout.as_ref().unwrap().stage;
    cluster.status.as_mut().unwrap().evidence = serde_json::from_value(json!({
        "moveId": "m-1", "stage": stage, "observedAt": "2026-11-24T11:59:00Z", "arrived": true, "message": "it is there",
    }))
    .unwrap();
    cluster
}

fn follows() -> Value {
    json!({"channel": "stable"})
}

#[test]
fn a_channel_with_rollouts_gives_its_newest_to_new_clusters_only() {
    let old = cluster(None, "1.35", READY);
    let table =
        [("Rollout", None, "1.37"), ("Rollout", Some(&old), "1.35"), ("Automatic", Some(&old), "1.37")];
    for (upgrades, existing, version) in table {
        assert_eq!(composed(upgrades, &follows(), existing).spec.version.to_string(), version, "{upgrades}");
    }
}

#[test]
fn a_move_is_wanted_while_it_holds_and_kept_once_it_was_seen_there() {
    let pinned = json!({"version": "1.35"});
    let prepare = || a_move("Prepare", &json!({}));
    let go = || a_move("Go", &json!({}));
    let back = || a_move("Back", &json!({"version": "1.35"}));
    let over = |mut wanted: Value| {
        wanted["over"] = json!(true);
        wanted
    };
    let at_36 = |rollout, have: &str| {
        let mut cluster = cluster(Some(rollout), have, READY);
        cluster.spec.version = "1.36".parse().unwrap();
        cluster
    };
    let at_35 = |rollout, have: &str| cluster(Some(rollout), have, READY);
    // Channel, the tenant's choice, what is there; what is composed, and what is acted upon.
    let table = [
        ("Rollout", follows(), at_35(prepare(), "1.35"), "1.35", "1.35"),
        ("Rollout", follows(), at_35(go(), "1.35"), "1.35", "1.36"),
        // Another attempt only looks, and somebody who was skipped has left: neither moves any further.
        ("Rollout", follows(), at_35(over(go()), "1.35"), "1.35", "1.35"),
        ("Rollout", follows(), at_35(over(prepare()), "1.35"), "1.35", "1.35"),
        // What was seen there stays: also when the update outlived its attempt.
        ("Rollout", follows(), at_35(go(), "1.36"), "1.36", "1.36"),
        ("Rollout", follows(), at_35(over(go()), "1.36"), "1.36", "1.36"),
        ("Rollout", follows(), at_35(prepare(), "1.36"), "1.36", "1.36"),
        ("Rollout", follows(), at_36(a_move("Go", &json!({"version": "1.35"})), "1.36"), "1.36", "1.36"),
        ("Rollout", follows(), at_36(back(), "1.36"), "1.36", "1.35"),
        ("Rollout", follows(), at_36(back(), "1.35"), "1.35", "1.35"),
        ("Rollout", follows(), at_36(over(back()), "1.35"), "1.35", "1.35"),
        // A way back that was given up leaves the cluster where it is.
        ("Rollout", follows(), at_36(over(back()), "1.36"), "1.36", "1.36"),
        // A move without a version says nothing of it.
        ("Rollout", follows(), at_36(a_move("Go", &json!({"version": null})), "1.36"), "1.36", "1.36"),
        ("Automatic", follows(), at_35(go(), "1.35"), "1.37", "1.37"),
        // What went back is not sent forward again by its channel, until somebody says so.
        ("Automatic", follows(), at_36(back(), "1.36"), "1.35", "1.35"),
        ("Automatic", follows(), at_35(over(back()), "1.35"), "1.35", "1.35"),
        ("Automatic", follows(), at_36(over(back()), "1.36"), "1.37", "1.37"),
        // A pin waits for a move that holds, and says what is wanted afterwards.
        ("Rollout", pinned.clone(), at_35(go(), "1.35"), "1.35", "1.36"),
        ("Rollout", pinned, at_36(over(go()), "1.36"), "1.35", "1.35"),
        ("Rollout", json!({"version": "1.36"}), at_35(over(back()), "1.35"), "1.36", "1.36"),
    ];
    for (upgrades, kubernetes, existing, version, acted_on) in table {
        let composed = composed(upgrades, &kubernetes, Some(&existing)).spec;
        let about = format!("{upgrades} {kubernetes} {:?}", existing.spec.rollout);
        assert_eq!(composed.version.to_string(), version, "{about}");
        assert_eq!(effective(&composed).version.to_string(), acted_on, "{about}");
        assert_eq!(composed.rollout, existing.spec.rollout, "the move is passed on as it is");
    }
}

#[test]
fn what_went_back_stays_back_under_the_next_move_until_it_was_seen_beyond() {
    let back = cluster(Some(a_move("Back", &json!({"version": "1.35"}))), "1.35", READY);
    let mut after = again("Automatic", &follows(), &back);
    let next = a_move("Go", &json!({"version": null, "baseline": "strict"}));
    after.spec.rollout = serde_json::from_value(next).unwrap();
    let stays = composed("Automatic", &follows(), Some(&after));
    assert_eq!(stays.spec.version.to_string(), "1.35");
    assert_eq!(stays.notes[0].code, "HeldBack");
    after.status.as_mut().unwrap().versions.control_plane = Some("1.36".parse().unwrap());
    let gone_on = composed("Automatic", &follows(), Some(&after));
    assert_eq!((gone_on.spec.version.to_string(), gone_on.notes.len()), ("1.37".to_owned(), 0));
}

#[test]
fn a_baseline_that_a_rollout_brought_stays_until_the_class_names_it() {
    let strict = json!({"version": null, "baseline": "strict"});
    let under_way = again("Rollout", &follows(), &cluster(Some(a_move("Go", &strict)), "1.35", READY));
    assert_eq!(under_way.spec.hardening.baseline, "standard", "nobody has seen it there");
    assert_eq!(effective(&under_way.spec).hardening.baseline, "strict");
    let first = again("Rollout", &follows(), &arrived(under_way));
    assert_eq!(first.spec.hardening.baseline, "strict");
    // The next rollout's move takes the place of this one.
    let mut next = first;
    next.spec.rollout = serde_json::from_value(a_move("Go", &json!({"id": "m-2"}))).unwrap();
    let second = again("Rollout", &follows(), &next).spec;
    assert_eq!(second.hardening.baseline, "strict");
    assert_eq!(wanted_version(&second).to_string(), "1.36");
    let same = json!({"version": null, "baseline": "standard"});
    let same = arrived(cluster(Some(a_move("Go", &same)), "1.35", READY));
    let moved = composed("Rollout", &follows(), Some(&same)).spec.moved;
    assert_eq!(moved, None, "what the class says is not kept twice");
}

#[test]
fn add_ons_of_a_rollout_go_before_the_versions_of_the_class_and_keep_its_settings() {
    let addons =
        json!([{"name": "metrics-server", "version": "v0.8.1"}, {"name": "extra", "version": "v1.0.0"}]);
    let moved =
        arrived(cluster(Some(a_move("Go", &json!({"version": null, "addons": addons}))), "1.35", READY));
    for spec in [effective(&moved.spec), composed("Rollout", &follows(), Some(&moved)).spec] {
        let addons = spec.eks.unwrap().addons;
        let server = addons.iter().find(|addon| addon.name == "metrics-server").unwrap();
        assert_eq!(
            (server.version.as_deref(), server.configuration.as_deref()),
            (Some("v0.8.1"), Some("{}"))
        );
        assert!(addons.iter().any(|addon| addon.name == "extra"));
    }
    let twice = again("Rollout", &follows(), &again("Rollout", &follows(), &moved));
    assert_eq!(twice.spec.moved.unwrap().addons.len(), 2);
}
