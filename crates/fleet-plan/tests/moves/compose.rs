//! What composing keeps of rollouts.

use std::collections::BTreeMap;

use fleet_api::v1alpha1::{Tenant, TenantClusterSpec, VersionChannel};
use fleet_plan::{
    compose::{Sources, compose},
    moves::effective,
};
use serde_json::{Value, json};

use super::{a_move, class, object, spec};

/// Composes a tenant that follows a channel with 1.35, 1.36 and 1.37 on offer.
fn composed(upgrades: &str, kubernetes: &Value, existing: Option<&TenantClusterSpec>) -> TenantClusterSpec {
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
    compose(&tenant, &sources, "2026-11-24T12:00:00Z".parse().unwrap()).unwrap().spec
}

fn follows() -> Value {
    json!({"channel": "stable"})
}

#[test]
fn a_channel_with_rollouts_gives_its_newest_to_new_clusters_only() {
    let old = spec(None);
    let table =
        [("Rollout", None, "1.37"), ("Rollout", Some(&old), "1.35"), ("Automatic", Some(&old), "1.37")];
    for (upgrades, existing, version) in table {
        assert_eq!(composed(upgrades, &follows(), existing).version.to_string(), version, "{upgrades}");
    }
}

#[test]
fn a_move_that_goes_raises_the_version_and_one_back_lowers_it() {
    let pinned = json!({"version": "1.35"});
    let at_36 = |rollout| TenantClusterSpec { version: "1.36".parse().unwrap(), ..spec(Some(rollout)) };
    let back = || a_move("Back", &json!({"version": "1.35"}));
    let table = [
        ("Rollout", follows(), spec(Some(a_move("Prepare", &json!({})))), "1.35"),
        ("Rollout", follows(), spec(Some(a_move("Go", &json!({})))), "1.36"),
        ("Rollout", follows(), at_36(a_move("Go", &json!({"version": "1.35"}))), "1.36"),
        ("Rollout", follows(), at_36(back()), "1.35"),
        ("Rollout", follows(), spec(Some(back())), "1.35"),
        // A move without a version says nothing of it.
        ("Rollout", follows(), at_36(a_move("Go", &json!({"version": null}))), "1.36"),
        ("Automatic", follows(), spec(Some(a_move("Go", &json!({})))), "1.37"),
        // What went back is not sent forward again by its channel, until another move says so.
        ("Automatic", follows(), spec(Some(back())), "1.35"),
        ("Rollout", pinned, spec(Some(a_move("Go", &json!({})))), "1.36"),
    ];
    for (upgrades, kubernetes, existing, version) in table {
        let composed = composed(upgrades, &kubernetes, Some(&existing));
        assert_eq!(composed.version.to_string(), version, "{upgrades} {kubernetes} {:?}", existing.rollout);
        assert_eq!(composed.rollout, existing.rollout, "the move is passed on as it is");
        assert_eq!(effective(&composed), composed, "a composed spec needs nothing more");
    }
}

#[test]
fn a_baseline_that_a_rollout_brought_stays_until_the_class_names_it() {
    let moved = spec(Some(a_move("Go", &json!({"version": null, "baseline": "strict"}))));
    let first = composed("Rollout", &follows(), Some(&moved));
    assert_eq!(first.hardening.baseline, "strict");
    // The next rollout's move takes the place of this one.
    let next = TenantClusterSpec {
        rollout: serde_json::from_value(a_move("Go", &json!({"id": "m-2"}))).unwrap(),
        ..first
    };
    let second = composed("Rollout", &follows(), Some(&next));
    assert_eq!(
        (second.hardening.baseline.as_str(), second.version.to_string()),
        ("strict", "1.36".to_owned())
    );
    let prepared = spec(Some(a_move("Prepare", &json!({"version": null, "baseline": "strict"}))));
    assert_eq!(composed("Rollout", &follows(), Some(&prepared)).hardening.baseline, "standard");
    let same = spec(Some(a_move("Go", &json!({"version": null, "baseline": "standard"}))));
    assert_eq!(
        composed("Rollout", &follows(), Some(&same)).moved,
        None,
        "what the class says is not kept twice"
    );
}

#[test]
fn add_ons_of_a_rollout_go_before_the_versions_of_the_class_and_keep_its_settings() {
    let addons =
        json!([{"name": "metrics-server", "version": "v0.8.1"}, {"name": "extra", "version": "v1.0.0"}]);
    let moved = spec(Some(a_move("Go", &json!({"version": null, "addons": addons}))));
    for spec in [effective(&moved), composed("Rollout", &follows(), Some(&moved))] {
        let addons = spec.eks.unwrap().addons;
        let server = addons.iter().find(|addon| addon.name == "metrics-server").unwrap();
        assert_eq!(
            (server.version.as_deref(), server.configuration.as_deref()),
            (Some("v0.8.1"), Some("{}"))
        );
        assert!(addons.iter().any(|addon| addon.name == "extra"));
    }
    let composed_again =
        composed("Rollout", &follows(), Some(&composed("Rollout", &follows(), Some(&moved))));
    assert_eq!(composed_again.moved.unwrap().addons.len(), 2);
}
