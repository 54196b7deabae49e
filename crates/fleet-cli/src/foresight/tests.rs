use fleet_api::{
    conditions::{Verdict, reason},
    v1alpha1::TenantClusterStatus,
};
use fleet_plan::diff::Diff;
use fleet_spec::{Context, Input, check, load};

use super::*;
use crate::output::plan::Plan;

fn demo() -> ValidatedFleet {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fleet/demo").into();
    check(&load(&[Input::Path(folder)]), &Context::on("2026-11-24".parse().unwrap())).unwrap().fleet
}

/// A management cluster on which the controller has brought every tenant of the spec to rest.
fn at_rest_with(fleet: &ValidatedFleet) -> Inventory {
    let now = moment();
    let mut inventory = Inventory {
        fleet: Some(fleet.fleet.clone()),
        classes: fleet.classes.values().cloned().collect(),
        channels: fleet.channels.values().cloned().collect(),
        baselines: fleet.baselines.values().cloned().collect(),
        ..Inventory::default()
    };
    for (name, tenant) in &fleet.tenants {
        let mut stored = tenant.clone();
        stored.metadata.uid = Some(format!("uid-{name}"));
        let spec = composed(tenant, Some(&stored), None, fleet, &inventory, now).unwrap().spec;
        inventory.tenants.push(stored);
        inventory.clusters.push(at_rest(name, spec));
    }
    inventory
}

/// A cluster whose status says that it is as wanted.
fn at_rest(name: &str, spec: TenantClusterSpec) -> TenantCluster {
    let mut status = TenantClusterStatus { arn: Some("arn".to_owned()), ..TenantClusterStatus::default() };
    status.versions.control_plane = Some(spec.version);
    for type_ in [conditions::PROVISIONED, conditions::UP_TO_DATE, conditions::PROVEN] {
        let verdict = Verdict::holds(type_, reason::AS_WANTED, "");
        conditions::set(&mut status.conditions, &verdict, Some(1), moment());
    }
    let mut cluster = TenantCluster::new(name, spec);
    cluster.status = Some(status);
    cluster
}

/// The cluster of a tenant in an inventory.
fn cluster<'a>(inventory: &'a mut Inventory, tenant: &str) -> &'a mut TenantCluster {
    inventory.clusters.iter_mut().find(|cluster| cluster.spec.tenant == tenant).unwrap()
}

/// A fleet in which the tenants of a class want other settings.
fn with_class(
    fleet: &ValidatedFleet,
    class: &str,
    change: impl FnOnce(&mut fleet_api::v1alpha1::EksClass),
) -> ValidatedFleet {
    let mut wanted = fleet.clone();
    change(wanted.classes.get_mut(class).unwrap().spec.eks.as_mut().unwrap());
    wanted
}

fn moment() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn summaries(foreseen: &[Foreseen], tenant: &str) -> Vec<String> {
    let found = foreseen.iter().filter(|foreseen| foreseen.tenant == tenant);
    found.flat_map(|foreseen| &foreseen.steps).map(|step| step.summary.clone()).collect()
}

#[tokio::test]
async fn a_new_fleet_is_foreseen_from_the_first_cluster_to_the_access_that_comes_last() {
    let foreseen = foresee(&demo(), &Inventory::default(), moment()).await;
    assert_eq!(foreseen.len(), 3);
    let steps = summaries(&foreseen, "initech-batch");
    assert_eq!(steps.first().map(String::as_str), Some("Create cluster initech-batch at 1.35"));
    assert!(steps.contains(&"Apply the baseline and prove it".to_owned()), "{steps:?}");
    assert!(steps.last().unwrap().contains("initech-batch-admin"), "{steps:?}");
    let regulated = summaries(&foreseen, "acme-payments");
    assert!(regulated.contains(&"Install add-on coredns".to_owned()), "{regulated:?}");
    assert_eq!(foreseen.iter().find(|one| !one.notes.is_empty()), None);
}

#[tokio::test]
async fn a_fleet_at_rest_has_nothing_to_come() {
    let fleet = demo();
    assert_eq!(foresee(&fleet, &at_rest_with(&fleet), moment()).await, []);
}

#[tokio::test]
async fn an_upgrade_is_foreseen_with_the_window_that_it_waits_for() {
    let fleet = demo();
    let inventory = at_rest_with(&fleet);
    let mut wanted = fleet.clone();
    wanted.channels.get_mut("stable").unwrap().spec.versions[0].version = "1.36".parse().unwrap();
    let foreseen = foresee(&wanted, &inventory, moment()).await;
    let tenants: Vec<&str> = foreseen.iter().map(|foreseen| foreseen.tenant.as_str()).collect();
    assert_eq!(tenants, ["acme-payments", "initech-batch"]);
    let steps = summaries(&foreseen, "acme-payments");
    assert_eq!(steps[0], "Upgrade the control plane from 1.35 to 1.36", "{steps:?}");
    assert!(steps.iter().any(|step| step.contains("node group workers")), "{steps:?}");
    // Tuesday, 22:00 in Berlin.
    let opens = "2026-11-24T21:00:00Z".parse().ok();
    for step in &foreseen[0].steps {
        assert_eq!(step.not_before, if step.disruptive { opens } else { None }, "{step:?}");
    }
    // Each version has a baseline of its own, and it comes right after the control plane.
    let ids: Vec<&str> = foreseen[0].steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(ids[..2], ["update-version", "baseline"], "{ids:?}");
    assert_eq!(steps[1], "Apply the baseline for 1.36 and prove it");
}

#[tokio::test]
async fn an_upgrade_that_is_blocked_is_not_foreseen_and_its_obstacle_is() {
    let fleet = demo();
    let inventory = at_rest_with(&fleet);
    let mut wanted = with_class(&fleet, "eks-regulated", |eks| {
        eks.cluster_role_arn = "arn:aws:iam::444455556666:role/another".to_owned();
    });
    wanted.channels.get_mut("stable").unwrap().spec.versions[0].version = "1.36".parse().unwrap();
    let foreseen = foresee(&wanted, &inventory, moment()).await;
    assert_eq!(summaries(&foreseen, "acme-payments"), Vec::<String>::new());
    assert!(foreseen[0].notes[0].contains("`clusterRoleArn` cannot be changed"), "{:?}", foreseen[0].notes);
}

#[tokio::test]
async fn a_change_of_an_add_ons_settings_is_called_one() {
    let fleet = demo();
    let wanted = with_class(&fleet, "eks-regulated", |eks| {
        eks.addons.retain(|addon| addon.name != "coredns");
        let choice = serde_json::json!({"name": "coredns", "configuration": "{\"replicaCount\":3}"});
        eks.addons.push(serde_json::from_value(choice).unwrap());
    });
    let foreseen = foresee(&wanted, &at_rest_with(&fleet), moment()).await;
    assert_eq!(summaries(&foreseen, "acme-payments"), ["Change the settings of add-on coredns"]);
}

#[tokio::test]
async fn a_minor_that_only_a_newer_eks_offers_is_foreseen_all_the_same() {
    let fleet = demo();
    let mut inventory = at_rest_with(&fleet);
    let acme = cluster(&mut inventory, "acme-payments");
    acme.spec.version = "1.37".parse().unwrap();
    acme.status.as_mut().unwrap().versions.control_plane = "1.37".parse().ok();
    let mut wanted = fleet.clone();
    wanted.channels.get_mut("stable").unwrap().spec.versions[0].version = "1.39".parse().unwrap();
    let foreseen = foresee(&wanted, &inventory, moment()).await;
    let hops = foreseen.iter().find(|one| one.tenant == "acme-payments").unwrap();
    let hops: Vec<&str> = hops
        .steps
        .iter()
        .filter(|step| step.id == "update-version")
        .map(|step| step.summary.as_str())
        .collect();
    assert_eq!(
        hops,
        ["Upgrade the control plane from 1.37 to 1.38", "Upgrade the control plane from 1.38 to 1.39"]
    );
}

#[tokio::test]
async fn a_cluster_that_is_being_made_is_not_made_once_more() {
    let fleet = demo();
    let mut inventory = at_rest_with(&fleet);
    let acme = cluster(&mut inventory, "acme-payments");
    acme.status = Some(TenantClusterStatus { arn: Some("arn".to_owned()), ..TenantClusterStatus::default() });
    let wanted = with_class(&fleet, "eks-regulated", |eks| eks.logging.truncate(1));
    let foreseen = foresee(&wanted, &inventory, moment()).await;
    let steps = summaries(&foreseen, "acme-payments");
    assert!(!steps.iter().any(|step| step.starts_with("Create cluster")), "{steps:?}");
    assert!(steps.contains(&"Install add-on coredns".to_owned()), "{steps:?}");
    assert!(steps.contains(&"Apply the baseline and prove it".to_owned()), "{steps:?}");
    assert_eq!(foreseen[0].notes, ["the cloud is creating the cluster already"]);
}

#[tokio::test]
async fn what_a_half_built_cluster_lacks_is_foreseen_and_what_it_has_is_not() {
    let fleet = demo();
    let mut inventory = at_rest_with(&fleet);
    let acme = cluster(&mut inventory, "acme-payments");
    let status = acme.status.as_mut().unwrap();
    status.conditions.clear();
    status.versions.addons = ["vpc-cni", "kube-proxy"]
        .map(|name| ComponentVersion { name: name.to_owned(), version: "v1".to_owned() })
        .to_vec();
    let wanted = with_class(&fleet, "eks-regulated", |eks| eks.logging.truncate(1));
    let steps = summaries(&foresee(&wanted, &inventory, moment()).await, "acme-payments");
    for there in ["Create cluster", "Install add-on vpc-cni", "Install add-on kube-proxy"] {
        assert!(!steps.iter().any(|step| step.starts_with(there)), "{there}: {steps:?}");
    }
    for missing in ["Install add-on coredns", "Make node group workers", "Apply the baseline and prove it"] {
        assert!(steps.iter().any(|step| step.starts_with(missing)), "{missing}: {steps:?}");
    }
    assert!(steps.iter().any(|step| step.contains("acme-payments-admin")), "{steps:?}");
}

#[tokio::test]
async fn a_changed_baseline_is_applied_to_every_tenant_that_has_it() {
    let fleet = demo();
    let inventory = at_rest_with(&fleet);
    let mut wanted = fleet.clone();
    let parameters = &mut wanted.baselines.get_mut("standard").unwrap().spec.parameters;
    parameters.allowed_registries.push("registry.example.com/".to_owned());
    let foreseen = foresee(&wanted, &inventory, moment()).await;
    for tenant in ["globex-web", "initech-batch"] {
        assert_eq!(summaries(&foreseen, tenant), ["Apply the baseline and prove it"]);
    }
    assert_eq!(foreseen.len(), 2);
}

/// What the plan says to people of what is to come.
fn told(title: &str, foreseen: Vec<Foreseen>) -> String {
    let diff = Diff { changes: Vec::new(), unchanged: 0, brake: None };
    let plan = Plan { made_at: moment(), prune: false, diff, foreseen, objects: Vec::new() };
    format!("# {title}\n{}\n\n", anstream::adapter::strip_str(&plan.to_text()))
}

/// Every kind of what can be to come, as it is printed. With `UPDATE_GOLDEN=1` the text is written anew, to be read
/// before it is committed.
#[tokio::test]
async fn what_is_to_come_is_told_in_these_words() {
    let fleet = demo();
    let rest = || at_rest_with(&fleet);
    let mut text = told("a new fleet", foresee(&fleet, &Inventory::default(), moment()).await);
    let mut upgraded = fleet.clone();
    upgraded.channels.get_mut("stable").unwrap().spec.versions[0].version = "1.36".parse().unwrap();
    text += &told("an upgrade whose window is shut", foresee(&upgraded, &rest(), moment()).await);
    let mut blocked = upgraded.clone();
    let class = blocked.classes.get_mut("eks-regulated").unwrap().spec.eks.as_mut().unwrap();
    class.cluster_role_arn = "arn:aws:iam::444455556666:role/another".to_owned();
    text += &told("an upgrade that is blocked", foresee(&blocked, &rest(), moment()).await);
    let settings = with_class(&fleet, "eks-regulated", |eks| eks.logging.truncate(1));
    text += &told("other settings", foresee(&settings, &rest(), moment()).await);
    let mut half = rest();
    let status = cluster(&mut half, "acme-payments").status.as_mut().unwrap();
    status.conditions.clear();
    status.versions.addons = vec![ComponentVersion { name: "vpc-cni".to_owned(), version: "v1".to_owned() }];
    text +=
        &told("other settings of a cluster that is half built", foresee(&settings, &half, moment()).await);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/foreseen.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(path).unwrap_or_default(), "UPDATE_GOLDEN=1 writes it anew");
}
