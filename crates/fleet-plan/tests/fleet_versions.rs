//! The matrix of versions, what waiting costs, and what channels promise.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use fleet_api::{
    KubernetesVersion,
    eks::EksVersionOffer,
    v1alpha1::{Costs, TenantCluster, VersionCalendar, VersionChannel},
};
use fleet_plan::fleet_versions::{
    FleetVersions, Level, SupportState, channel_findings, fleet_versions, support, support_end,
    tenant_versions,
};
use fleet_plan::preference::SupportEnd;
use jiff::Timestamp;
use serde_json::{Value, json};

const NOW: &str = "2026-11-24T12:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn minor(minor: u16) -> KubernetesVersion {
    KubernetesVersion::from_minor(minor)
}

/// The calendar as EKS told it in November 2026.
fn calendar(region: &str) -> VersionCalendar {
    let version = |version: &str, status: &str, standard: &str, extended: &str| {
        json!({"version": version, "default": version == "1.35", "status": status,
               "endOfStandard": standard, "endOfExtended": extended})
    };
    serde_json::from_value(json!({
        "apiVersion": "tenantfleet.dev/v1alpha1",
        "kind": "VersionCalendar",
        "metadata": {"name": region},
        "spec": {"readAt": "2026-11-24T06:00:00Z", "account": "111122223333", "versions": [
            version("1.30", "Unsupported", "2025-07-23", "2026-07-23"),
            version("1.32", "Extended", "2026-03-23", "2027-03-23"),
            version("1.33", "Extended", "2026-07-29", "2027-07-29"),
            version("1.34", "Standard", "2026-12-02", "2027-12-02"),
            version("1.35", "Standard", "2027-03-27", "2028-03-27"),
            version("1.36", "Standard", "2027-08-02", "2028-08-02"),
        ]},
    }))
    .unwrap()
}

fn offers() -> Vec<EksVersionOffer> {
    calendar("eu-central-1").spec.versions
}

fn cluster(tenant: &str, want: &str, have: Option<&str>, more: &Value) -> TenantCluster {
    let mut value = json!({
        "apiVersion": "tenantfleet.dev/v1alpha1",
        "kind": "TenantCluster",
        "metadata": {"name": tenant},
        "spec": {
            "tenant": tenant, "tenantUid": "uid", "class": "eks-standard", "clusterName": format!("{tenant}-1"),
            "owner": {"team": "t", "contact": "c"}, "version": want,
            "hardening": {"baseline": "standard", "namespaces": [tenant]},
            "eks": {
                "account": "111122223333", "region": "eu-central-1",
                "roleArn": "arn:aws:iam::111122223333:role/f", "clusterRoleArn": "arn:aws:iam::111122223333:role/c",
                "network": {"subnetIds": ["subnet-1", "subnet-2"]}, "supportType": "EXTENDED",
            },
        },
        "status": {
            "versions": {"nodes": [], "addons": []},
            "baseline": {"revision": "r1", "appliedRevision": "r1", "provenRevision": "r1"},
        },
    });
    if let Some(have) = have {
        value["status"]["versions"]["controlPlane"] = json!(have);
    }
    merge(&mut value, more);
    serde_json::from_value(value).unwrap()
}

fn merge(into: &mut Value, more: &Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more.clone(),
    }
}

fn of(clusters: &[TenantCluster]) -> FleetVersions {
    fleet_versions(clusters, &[calendar("eu-central-1")], &[], &Costs::default(), now())
}

#[test]
fn support_goes_by_the_days_and_the_price_changes_at_midnight_in_utc() {
    let at = |moment: &str| support(&offers(), minor(34), moment.parse().unwrap());
    let before = at("2026-12-01T23:59:59Z");
    assert_eq!((before.state, before.days_of_standard), (SupportState::Standard, Some(1)));
    assert_eq!(at("2026-12-02T00:00:00Z").state, SupportState::Extended, "whatever was read the day before");
    assert_eq!(at("2027-12-01T23:59:59Z").state, SupportState::Extended);
    assert_eq!(at("2027-12-02T00:00:00Z").state, SupportState::Unsupported);
    assert_eq!(support(&offers(), minor(37), now()).state, SupportState::Unknown, "no calendar says");
    assert_eq!(support(&[], minor(35), now()).state, SupportState::Unknown);
}

#[test]
fn the_end_of_support_that_bounds_a_deferral_comes_from_the_calendar() {
    let known = calendar("eu-central-1");
    assert_eq!(support_end(Some(&known), minor(34)), SupportEnd::On("2026-12-02".parse().unwrap()));
    assert_eq!(support_end(Some(&known), minor(37)), SupportEnd::Unknown);
    assert_eq!(support_end(None, minor(34)), SupportEnd::Unknown);
}

#[test]
fn waiting_costs_the_difference_of_the_two_prices_for_every_cluster_that_waits() {
    let nothing = json!({});
    let clusters = [
        cluster("a", "1.36", Some("1.33"), &nothing),
        cluster("b", "1.36", Some("1.32"), &nothing),
        cluster("c", "1.36", Some("1.36"), &nothing),
        cluster("d", "1.36", Some("1.34"), &nothing),
        cluster("e", "1.36", Some("1.30"), &nothing),
        cluster("f", "1.36", None, &nothing),
    ];
    let versions = of(&clusters);
    let sum = &versions.summary;
    assert_eq!((sum.clusters, sum.behind, sum.ahead), (6, 4, 0));
    let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
    assert!(close(sum.extra_per_hour, 1.5), "three of them wait: {}", sum.extra_per_hour);
    assert!(close(sum.extra_per_month, 1_095.0), "{}", sum.extra_per_month);
    assert!(close(sum.per_hour, 2.0), "five clusters run: {}", sum.per_hour);
    let counted: Vec<_> = sum.support.iter().map(|(state, count)| (state.as_str(), *count)).collect();
    assert_eq!(counted, [("standard", 2), ("extended", 2), ("unsupported", 1), ("unknown", 1)]);
    assert_eq!(sum.coming.len(), 1, "{:?}", sum.coming);
    assert_eq!((sum.coming[0].version, sum.coming[0].clusters), (minor(34), 1));
    assert!(close(sum.coming[0].extra_per_month, 365.0));
    assert!(close(versions.tenants[5].per_hour, 0.0), "what was never seen up costs nothing that is known");
}

#[test]
fn the_prices_of_the_fleet_count_and_a_lower_one_for_waiting_saves_nothing() {
    let clusters = [cluster("a", "1.36", Some("1.33"), &json!({}))];
    let calendars = [calendar("eu-central-1")];
    let costs = |standard, extended| Costs { standard_per_hour: standard, extended_per_hour: extended };
    let of = |costs| fleet_versions(&clusters, &calendars, &[], &costs, now()).summary.extra_per_hour;
    assert!((of(costs(0.2, 1.0)) - 0.8).abs() < 1e-9);
    assert!(of(costs(0.6, 0.1)).abs() < 1e-9);
}

#[test]
fn nodes_and_kube_proxy_that_do_not_fit_the_control_plane_are_found() {
    let status = json!({"status": {"versions": {
        "nodes": [
            {"name": "new", "version": "1.36"}, {"name": "level", "version": "1.35"},
            {"name": "behind", "version": "1.34"}, {"name": "last", "version": "1.32"},
            {"name": "lost", "version": "1.31"}, {"name": "unseen", "version": "unknown"}],
        "addons": [
            {"name": "kube-proxy", "version": "v1.36.0-eksbuild.1"},
            {"name": "coredns", "version": "v1.12.4-eksbuild.1"}],
    }}});
    let found =
        tenant_versions(&cluster("a", "1.35", Some("1.35"), &status), &offers(), &Costs::default(), now())
            .findings;
    let told: Vec<(Level, &str)> = found.iter().map(|one| (one.level, one.part.as_str())).collect();
    assert_eq!(
        told,
        [
            (Level::Error, "node group new"),
            (Level::Error, "node group lost"),
            (Level::Error, "add-on kube-proxy"),
            (Level::Warning, "node group last"),
            (Level::Note, "node group behind"),
        ]
    );
}

#[test]
fn what_keeps_the_next_minor_away_is_told_from_the_clusters_own_report() {
    let status = json!({"status": {"report": [
        {"code": "AddonBlocksUpgrade", "message": "add-on x has no version", "who": "operator"},
        {"code": "AsWanted", "message": "fine", "who": "nobody"},
    ]}});
    let cluster = cluster("a", "1.35", Some("1.35"), &status);
    let found = tenant_versions(&cluster, &offers(), &Costs::default(), now()).findings;
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].level, found[0].message.as_str()), (Level::Warning, "add-on x has no version"));
}

#[test]
fn a_cluster_that_eks_will_upgrade_by_itself_says_when() {
    let standard = json!({"spec": {"eks": {"supportType": "STANDARD"}}});
    let cases = [("1.34", &standard, "on 2026-12-02"), ("1.30", &standard, "at any time")];
    for (have, more, told) in cases {
        let cluster = cluster("a", "1.36", Some(have), more);
        let found = tenant_versions(&cluster, &offers(), &Costs::default(), now()).findings;
        assert!(found.iter().any(|one| one.message.contains(told)), "{have}: {found:?}");
    }
    let extended = cluster("a", "1.36", Some("1.34"), &json!({}));
    assert!(tenant_versions(&extended, &offers(), &Costs::default(), now()).findings.is_empty());
}

#[test]
fn a_cluster_ahead_of_its_spec_comes_with_the_command_that_adopts_it() {
    let ahead = cluster("a", "1.35", Some("1.36"), &json!({}));
    let adopt = tenant_versions(&ahead, &offers(), &Costs::default(), now()).adopt;
    assert_eq!(adopt.unwrap(), "kubectl annotate tenantcluster a tenantfleet.dev/adopt-version=1.36");
    let adopted = json!({"metadata": {"annotations": {"tenantfleet.dev/adopt-version": "1.36"}}});
    let adopted = cluster("a", "1.35", Some("1.36"), &adopted);
    assert_eq!(tenant_versions(&adopted, &offers(), &Costs::default(), now()).adopt, None);
}

#[test]
fn nobody_is_told_to_adopt_what_a_rollout_moves() {
    let under = |stage: &str, version: &str, want: &str| {
        let by = json!({"rollout": "up", "rolloutUid": "r", "seq": 1, "id": "r-1", "stage": stage, "version": version});
        let cluster = cluster("a", want, Some("1.36"), &json!({"spec": {"rollout": by}}));
        let sum = of(std::slice::from_ref(&cluster)).summary;
        (tenant_versions(&cluster, &offers(), &Costs::default(), now()), sum.ahead, sum.going_back)
    };
    let (back, ahead, going_back) = under("Back", "1.35", "1.35");
    assert_eq!((back.adopt, back.goes_back_by.as_deref(), back.wanted), (None, Some("up"), minor(35)));
    assert_eq!((ahead, going_back), (0, 1));
    // It has arrived before its tenant was composed again.
    let (gone, ahead, going_back) = under("Go", "1.36", "1.35");
    assert_eq!((gone.adopt, gone.goes_back_by, gone.wanted), (None, None, minor(36)));
    assert_eq!((ahead, going_back), (0, 0));
    // A rollout that only looks moves nobody.
    assert!(under("Prepare", "1.36", "1.35").0.adopt.is_some());
}

#[test]
fn a_cluster_that_is_being_deleted_waits_for_nothing() {
    let going = json!({"metadata": {"deletionTimestamp": NOW}});
    assert_eq!(of(&[cluster("a", "1.36", Some("1.33"), &going)]).summary.clusters, 0);
}

#[test]
fn a_baseline_counts_as_current_only_when_it_was_proven_at_the_wanted_revision() {
    let stale = json!({"status": {"baseline": {"provenRevision": "r0"}}});
    let versions =
        of(&[cluster("a", "1.36", Some("1.36"), &stale), cluster("b", "1.36", Some("1.36"), &json!({}))]);
    let current: Vec<bool> = versions.tenants.iter().map(|tenant| tenant.baseline_current).collect();
    assert_eq!(current, [false, true]);
}

#[test]
fn a_channel_that_offers_what_eks_does_not_is_found_with_the_region() {
    let channel: VersionChannel = serde_json::from_value(json!({
        "apiVersion": "tenantfleet.dev/v1alpha1",
        "kind": "VersionChannel",
        "metadata": {"name": "stable"},
        "spec": {"versions": [
            {"version": "1.30"},
            {"version": "1.33", "until": "2026-12-31"},
            {"version": "1.35", "from": "2026-11-01"},
            {"version": "1.36", "from": "2027-09-01"},
            {"version": "1.37", "from": "2027-10-01"},
        ]},
    }))
    .unwrap();
    let told: Vec<String> = channel_findings(&channel, "eu-central-1", &offers(), now())
        .into_iter()
        .map(|finding| finding.message)
        .collect();
    assert_eq!(
        told,
        [
            "1.33 may be kept until 2026-12-31, and its standard support ends on 2026-07-29",
            "the channel offers 1.36 from 2027-09-01 on, when its standard support is over",
            "EKS does not offer 1.37 yet, and the channel does from 2027-10-01 on",
        ],
        "1.30 is behind the newest, so that nobody comes to it"
    );
    let nobody = fleet_versions(&[], &[calendar("us-east-1")], &[channel], &Costs::default(), now());
    assert!(nobody.channels.is_empty(), "no cluster is in the region");
}

#[test]
fn the_matrix_of_ten_thousand_clusters_has_a_line_for_each() {
    let clusters: Vec<TenantCluster> = (0..10_000)
        .map(|index| {
            cluster(
                &format!("t{index:05}"),
                "1.36",
                Some(if index % 2 == 0 { "1.33" } else { "1.36" }),
                &json!({}),
            )
        })
        .collect();
    let versions = of(&clusters);
    assert_eq!(versions.tenants.len(), 10_000);
    assert!((versions.summary.extra_per_hour - 2_500.0).abs() < 1e-6, "{}", versions.summary.extra_per_hour);
}
