//! Composing a tenant's cluster: which version on which day, what of the class still counts, and what is missing.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::collections::BTreeMap;

use fleet_api::v1alpha1::{Fleet, Tenant, TenantClass, TenantCluster, TenantClusterSpec, VersionChannel};
use fleet_plan::compose::{Composed, Sources, compose};
use jiff::Timestamp;
use serde_json::{Value, json};

fn object<T: serde::de::DeserializeOwned>(kind: &str, name: &str, spec: &Value) -> T {
    serde_json::from_value(json!({
        "apiVersion": "tenantfleet.dev/v1alpha1", "kind": kind, "metadata": {"name": name, "uid": "uid-1"}, "spec": spec,
    }))
    .unwrap()
}

/// A tenant `acme` with the given fields beside its owner and its class.
fn tenant(more: &Value) -> Tenant {
    let mut spec = json!({"owner": {"team": "acme", "contact": "acme@acme.example"}, "class": "eks"});
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    object("Tenant", "acme", &spec)
}

fn class(account: &str) -> TenantClass {
    let spec = json!({
        "baseline": "standard",
        "carries": ["pci"],
        "eks": {
            "account": account, "region": "eu-central-1",
            "roleArn": format!("arn:aws:iam::{account}:role/fleet-manager"),
            "clusterRoleArn": format!("arn:aws:iam::{account}:role/eks-cluster"),
            "network": {"subnetIds": ["subnet-a", "subnet-b"]},
            "autoMode": {"nodeRoleArn": format!("arn:aws:iam::{account}:role/node"), "nodePools": ["system"]},
        },
    });
    object("TenantClass", "eks", &spec)
}

fn channel(versions: &Value) -> VersionChannel {
    object("VersionChannel", "stable", &json!({"versions": versions}))
}

fn fleet(spec: &Value) -> Fleet {
    object("Fleet", "fleet", spec)
}

/// Everything that a tenant is composed from; tests take parts of it away.
struct World {
    class: Option<TenantClass>,
    fleet: Option<Fleet>,
    channels: BTreeMap<String, VersionChannel>,
    existing: Option<TenantCluster>,
}

impl World {
    fn new() -> Self {
        let stable = channel(&json!([{"version": "1.34"}, {"version": "1.35", "from": "2026-11-24"}]));
        Self {
            class: Some(class("444455556666")),
            fleet: Some(fleet(&json!({"defaults": {"channel": "stable"}}))),
            channels: BTreeMap::from([("stable".to_owned(), stable)]),
            existing: None,
        }
    }

    fn compose(&self, tenant: &Tenant, at: &str) -> Result<Composed, Vec<String>> {
        let sources = Sources {
            class: self.class.as_ref(),
            fleet: self.fleet.as_ref(),
            channels: &self.channels,
            chosen: None,
            existing: self.existing.as_ref(),
        };
        let now: Timestamp = at.parse().unwrap();
        compose(tenant, &sources, now).map_err(|why| why.into_iter().map(|entry| entry.code).collect())
    }

    /// The version and the codes of the notes.
    fn version(&self, tenant: &Tenant, at: &str) -> (String, Vec<String>) {
        let composed = self.compose(tenant, at).unwrap();
        let notes = composed.notes.into_iter().map(|note| note.code).collect();
        (composed.spec.version.to_string(), notes)
    }
}

const NOON: &str = "2026-11-24T12:00:00Z";

#[test]
fn a_pin_holds_up_to_and_with_its_last_day_in_the_tenants_own_zone() {
    let world = World::new();
    for (zone, at, version) in [
        // Midnight of the tenant: 23:00 of the day before in UTC, 05:00 of the same day, 10:00 of the day before.
        ("Europe/Berlin", "2026-11-30T22:59:59Z", "1.36"),
        ("Europe/Berlin", "2026-11-30T23:00:00Z", "1.35"),
        ("America/New_York", "2026-12-01T04:59:59Z", "1.36"),
        ("America/New_York", "2026-12-01T05:00:00Z", "1.35"),
        ("Pacific/Kiritimati", "2026-11-30T09:59:59Z", "1.36"),
        ("Pacific/Kiritimati", "2026-11-30T10:00:00Z", "1.35"),
    ] {
        let pinned = tenant(&json!({
            "kubernetes": {"version": "1.36", "until": "2026-11-30"},
            "maintenance": {"timeZone": zone},
        }));
        let notes = if version == "1.36" { Vec::new() } else { vec!["PinExpired".to_owned()] };
        assert_eq!(world.version(&pinned, at), (version.to_owned(), notes), "{zone} {at}");
    }
}

#[test]
fn the_days_of_a_tenant_without_maintenance_times_are_those_of_the_fleet_and_else_of_utc() {
    let pinned = tenant(&json!({"kubernetes": {"version": "1.36", "until": "2026-11-30"}}));
    let mut world = World::new();
    assert_eq!(world.version(&pinned, "2026-11-30T23:59:59Z").0, "1.36");
    assert_eq!(world.version(&pinned, "2026-12-01T00:00:00Z").0, "1.35");
    world.fleet = Some(fleet(&json!({
        "defaults": {"channel": "stable", "maintenance": {"timeZone": "Europe/Berlin"}},
    })));
    assert_eq!(world.version(&pinned, "2026-11-30T22:59:59Z").0, "1.36");
    assert_eq!(world.version(&pinned, "2026-11-30T23:00:00Z").0, "1.35");
}

#[test]
fn a_pin_without_a_last_day_holds_whatever_the_channel_offers() {
    let world = World::new();
    let pinned = tenant(&json!({"kubernetes": {"version": "1.33"}}));
    assert_eq!(world.version(&pinned, "2036-01-01T00:00:00Z"), ("1.33".to_owned(), Vec::new()));
}

#[test]
fn a_channel_offers_a_minor_from_midnight_of_its_day_in_the_tenants_zone() {
    let world = World::new();
    for (zone, at, version) in [
        ("UTC", "2026-11-23T23:59:59Z", "1.34"),
        ("UTC", "2026-11-24T00:00:00Z", "1.35"),
        ("Europe/Berlin", "2026-11-23T22:59:59Z", "1.34"),
        ("Europe/Berlin", "2026-11-23T23:00:00Z", "1.35"),
        ("Asia/Kathmandu", "2026-11-23T18:14:59Z", "1.34"),
        ("Asia/Kathmandu", "2026-11-23T18:15:00Z", "1.35"),
        ("America/Los_Angeles", "2026-11-24T07:59:59Z", "1.34"),
        ("America/Los_Angeles", "2026-11-24T08:00:00Z", "1.35"),
    ] {
        let follower = tenant(&json!({"maintenance": {"timeZone": zone}}));
        assert_eq!(world.version(&follower, at), (version.to_owned(), Vec::new()), "{zone} {at}");
    }
}

#[test]
fn the_order_in_which_a_channel_is_written_does_not_matter() {
    let mut world = World::new();
    let backwards =
        json!([{"version": "1.36", "from": "2026-11-01"}, {"version": "1.9"}, {"version": "1.35"}]);
    world.channels.insert("stable".to_owned(), channel(&backwards));
    assert_eq!(world.version(&tenant(&json!({})), NOON).0, "1.36");
}

#[test]
fn a_tenant_that_names_no_channel_follows_the_fleets_default() {
    let mut world = World::new();
    assert_eq!(world.version(&tenant(&json!({})), NOON).0, "1.35");
    world.channels.insert("slow".to_owned(), channel(&json!([{"version": "1.33"}])));
    assert_eq!(world.version(&tenant(&json!({"kubernetes": {"channel": "slow"}})), NOON).0, "1.33");
}

#[test]
fn what_is_missing_is_named_and_all_of_it_at_once() {
    type Take = fn(&mut World);
    let cases: [(Take, Value, &[&str]); 8] = [
        (|world| world.class = None, json!({}), &["ClassMissing"]),
        (|world| world.fleet = None, json!({}), &["ChannelUnnamed"]),
        (|world| world.channels.clear(), json!({}), &["ChannelMissing"]),
        (
            |world| {
                let late = channel(&json!([{"version": "1.35", "from": "2026-11-25"}]));
                world.channels.insert("stable".to_owned(), late);
            },
            json!({}),
            &["ChannelEmpty"],
        ),
        (
            |world| {
                if let Some(class) = &mut world.class {
                    class.spec.eks = None;
                }
            },
            json!({}),
            &["ProviderMissing"],
        ),
        (|_| (), json!({"compliance": ["pci", "hipaa"]}), &["ClassCannotCarry"]),
        (|_| (), json!({"maintenance": {"timeZone": "Europe/Berln"}}), &["UnknownTimeZone"]),
        (
            |world| {
                world.class = None;
                world.channels.clear();
            },
            json!({}),
            &["ClassMissing", "ChannelMissing"],
        ),
    ];
    for (take, more, codes) in cases {
        let mut world = World::new();
        take(&mut world);
        assert_eq!(world.compose(&tenant(&more), NOON).unwrap_err(), codes, "{more}");
    }
}

#[test]
fn a_pinned_tenant_needs_no_channel_at_all() {
    let mut world = World::new();
    world.fleet = None;
    world.channels.clear();
    let pinned = tenant(&json!({"kubernetes": {"version": "1.35", "until": "2026-11-24"}}));
    assert_eq!(world.version(&pinned, NOON).0, "1.35");
    assert_eq!(world.compose(&pinned, "2026-11-25T00:00:00Z").unwrap_err(), ["ChannelUnnamed"]);
}

#[test]
fn a_tenant_that_is_not_stored_yet_or_has_no_proper_name_has_no_cluster() {
    let world = World::new();
    let mut unstored = tenant(&json!({}));
    unstored.metadata.uid = None;
    assert_eq!(world.compose(&unstored, NOON).unwrap_err(), ["NotStoredYet"]);
    let mut odd = tenant(&json!({}));
    odd.metadata.name = Some("Not A Name".to_owned());
    assert_eq!(world.compose(&odd, NOON).unwrap_err(), ["NameRefused"]);
}

#[test]
fn a_class_that_moved_leaves_the_cluster_where_it_is_with_the_settings_that_it_had() {
    let mut world = World::new();
    let there = world.compose(&tenant(&json!({})), NOON).unwrap().spec;
    world.existing = Some(TenantCluster::new("acme", there.clone()));
    world.class = Some(class("777788889999"));
    let composed = world.compose(&tenant(&json!({})), NOON).unwrap();
    let notes: Vec<&str> = composed.notes.iter().map(|note| note.code.as_str()).collect();
    assert_eq!(notes, ["ClassMoved"]);
    assert!(composed.notes[0].message.contains("777788889999"), "{}", composed.notes[0].message);
    assert_eq!(composed.spec.eks, there.eks, "roles and subnets of another account serve nobody here");
}

#[test]
fn a_class_that_stays_in_its_place_changes_the_clusters_settings() {
    let mut world = World::new();
    world.existing = Some(TenantCluster::new("acme", world.compose(&tenant(&json!({})), NOON).unwrap().spec));
    if let Some(eks) = world.class.as_mut().and_then(|class| class.spec.eks.as_mut()) {
        eks.network.subnet_ids.push("subnet-c".to_owned());
    }
    let composed = world.compose(&tenant(&json!({})), NOON).unwrap();
    assert!(composed.notes.is_empty());
    assert_eq!(composed.spec.eks.unwrap().network.subnet_ids.len(), 3);
}

#[test]
fn the_name_and_the_uid_of_an_existing_cluster_are_kept_whoever_asks() {
    let mut world = World::new();
    let there = world.compose(&tenant(&json!({})), NOON).unwrap().spec;
    world.existing = Some(TenantCluster::new(
        "acme",
        TenantClusterSpec { cluster_name: "older-name".to_owned(), ..there },
    ));
    let mut again = tenant(&json!({}));
    again.metadata.uid = Some("uid-2".to_owned());
    let spec = world.compose(&again, NOON).unwrap().spec;
    assert_eq!((spec.cluster_name.as_str(), spec.tenant_uid.as_str()), ("older-name", "uid-1"));
}

#[test]
fn the_freezes_of_the_fleet_hold_for_everybody_and_the_windows_only_for_those_without_their_own() {
    let freeze = json!({"from": "2026-12-15", "to": "2027-01-06", "reason": "year end"});
    let windows =
        json!({"timeZone": "UTC", "windows": [{"days": ["Mon"], "start": "22:00", "duration": "4h"}]});
    let own = json!({"timeZone": "Europe/Berlin", "windows": [{"days": ["Sun"], "start": "02:00", "duration": "4h"}]});
    let mut world = World::new();
    let given = |world: &World, more: &Value| world.compose(&tenant(more), NOON).unwrap().spec.maintenance;
    assert_eq!(given(&world, &json!({})), None);
    world.fleet = Some(fleet(&json!({"defaults": {"channel": "stable"}, "freezes": [freeze]})));
    let frozen = given(&world, &json!({})).unwrap();
    assert_eq!((frozen.time_zone.as_str(), frozen.windows.len(), frozen.freezes.len()), ("UTC", 0, 1));
    world.fleet = Some(fleet(&json!({
        "defaults": {"channel": "stable", "maintenance": windows}, "freezes": [freeze],
    })));
    let default = given(&world, &json!({})).unwrap();
    assert_eq!((default.time_zone.as_str(), default.windows.len(), default.freezes.len()), ("UTC", 1, 1));
    let tenants = given(&world, &json!({"maintenance": own})).unwrap();
    assert_eq!((tenants.time_zone.as_str(), tenants.freezes.len()), ("Europe/Berlin", 1));
    assert_eq!(tenants.windows, serde_json::from_value::<Vec<_>>(own["windows"].clone()).unwrap());
}

#[test]
fn a_deletion_is_confirmed_by_the_tenants_own_name_and_by_nothing_else() {
    let world = World::new();
    for (value, confirmed) in
        [(None, false), (Some("true"), false), (Some("globex"), false), (Some("acme"), true)]
    {
        let mut acme = tenant(&json!({}));
        acme.metadata.annotations = value.map(|value| {
            BTreeMap::from([(fleet_api::labels::CONFIRM_DELETION.to_owned(), value.to_owned())])
        });
        let spec = world.compose(&acme, NOON).unwrap().spec;
        assert_eq!(spec.deletion_confirmed, confirmed, "{value:?}");
    }
}

#[test]
fn a_tenant_without_namespaces_works_in_one_of_its_own_name() {
    let world = World::new();
    let namespaces = |more: &Value| world.compose(&tenant(more), NOON).unwrap().spec.hardening.namespaces;
    assert_eq!(namespaces(&json!({})), ["acme"]);
    assert_eq!(namespaces(&json!({"namespaces": ["pay", "ledger"]})), ["pay", "ledger"]);
}
