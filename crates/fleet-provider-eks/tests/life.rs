//! The whole life of a cluster, step by step, against the emulator with the rights of the IAM policy.

mod support;

use std::collections::BTreeSet;

use fleet_api::{
    eks::{
        AccessEntryRequest, ConfigChange, EksAction, EksClusterStatus, EksUpdateStatus, Focus, Part,
        PartStatus, PodIdentityRequest, PolicyAssociation,
    },
    step::{Expectation, Seen},
    v1alpha1::{AutoMode, EksLogType, SupportType},
};
use fleet_provider::ClusterProvider as _;
use serde_json::json;
use support::*;

const ADMIN: &str = "arn:aws:iam::111122223333:role/platform-admin";

fn policy_arn(name: &str) -> String {
    format!("arn:aws:eks::aws:cluster-access-policy/{name}")
}

#[tokio::test]
async fn a_cluster_is_made_as_the_request_says() {
    let stage = Stage::new().await;
    let before = stage.observe(&Focus::default()).await;
    assert_eq!(before.cluster, Seen::Absent);
    assert!(before.versions.iter().any(|offer| offer.version == minor(36)));
    let seen = stage.active().await;
    let cluster = seen.cluster.present().unwrap();
    assert_eq!(cluster.version, minor(35));
    assert_eq!(cluster.authentication_mode.as_deref(), Some("API"));
    assert!(cluster.endpoint_private && !cluster.endpoint_public);
    assert_eq!(cluster.public_cidrs, BTreeSet::new());
    assert_eq!(cluster.subnet_ids, subnets());
    assert_eq!(cluster.logging.len(), 5);
    assert_eq!(cluster.support_type, Some(SupportType::Extended));
    assert_eq!(cluster.service_cidr.as_deref(), Some("10.100.0.0/16"));
    assert!(cluster.kms_key_arn.is_some() && cluster.endpoint.is_some());
    assert!(cluster.certificate_authority.is_some() && cluster.vpc_id.is_some());
    assert_eq!(cluster.tags, tags(&stage.target));
    assert_eq!(seen.access_entries, Seen::Present(vec![]), "whoever makes a cluster is nobody in it");
    assert_eq!(seen.addons, Seen::Present(vec![]));
    assert_eq!(seen.update, Seen::Absent);
}

#[tokio::test]
async fn the_calendar_has_every_minor_of_the_region_oldest_first_with_its_dates() {
    let stage = Stage::new().await;
    let calendar = stage.provider.calendar(&stage.target).await.unwrap();
    let minors: Vec<_> = calendar.iter().map(|offer| offer.version).collect();
    assert_eq!(minors, (30..=36).map(minor).collect::<Vec<_>>(), "those that are no longer supported too");
    let oldest = &calendar[0];
    assert_eq!(oldest.end_of_standard, Some("2025-07-23".parse().unwrap()));
    assert_eq!(oldest.end_of_extended, Some("2026-07-23".parse().unwrap()));
    let offered = stage.observe(&Focus::default()).await.versions;
    assert!(offered.iter().all(|offer| calendar.contains(offer)));
    assert!(offered.len() < calendar.len(), "what is planned with is what is supported");
}

#[tokio::test]
async fn an_insight_that_does_not_pass_comes_with_what_it_names() {
    let stage = Stage::new().await;
    stage.active().await;
    let old = "/apis/flowcontrol.apiserver.k8s.io/v1beta3/flowschemas";
    let found = json!({
        "id": "deprecated", "name": "Deprecated APIs", "category": "UPGRADE_READINESS", "kubernetesVersion": "1.36",
        "lastRefreshTime": 0, "lastTransitionTime": 0, "description": "", "recommendation": "Move to the new API.",
        "insightStatus": { "status": "ERROR", "reason": "Deprecated API usage detected." },
        "resources": [{ "insightStatus": { "status": "ERROR" }, "kubernetesResourceUri": format!("{old}/mine") }],
        "categorySpecificSummary": { "deprecationDetails": [
            { "usage": old, "clientStats": [{ "userAgent": "kubectl/v1.29.0" }] }] },
    });
    stage.control(&format!("/_emulator/insights/{}", stage.target.cluster_name), &found).await;
    let seen = stage.observe(&Focus { readiness: true, ..Focus::default() }).await;
    let insight = seen.insights.present().unwrap().iter().find(|insight| insight.id == "deprecated").unwrap();
    assert_eq!(insight.resources, [format!("{old}/mine")]);
    assert_eq!(
        (insight.deprecated[0].usage.as_str(), &insight.deprecated[0].clients[..]),
        (old, &["kubectl/v1.29.0".to_owned()][..])
    );
}

#[tokio::test]
async fn add_ons_and_nodes_come_up_and_move_to_the_next_minor() {
    let stage = Stage::new().await;
    let target = &stage.target;
    stage.active().await;
    let names = ["vpc-cni", "kube-proxy", "coredns"].map(str::to_owned).to_vec();
    let focus = Focus { addons: names.clone(), readiness: true, ..Focus::default() };
    let seen = stage.observe(&focus).await;
    assert!(seen.subnets.present().unwrap().iter().all(|subnet| subnet.free_addresses > 5));
    assert!(seen.insights.present().is_some());

    for name in &names {
        let request = addon(target, name, &default_version(&seen, name, 35));
        let part = Part::Addon(name.clone());
        stage.run(EksAction::CreateAddon(request), absent(&part)).await.unwrap();
    }
    stage
        .until(&focus, "the network and the proxy", |seen| {
            addon_status(seen, "vpc-cni") == Some(PartStatus::Active)
                && addon_status(seen, "kube-proxy") == Some(PartStatus::Active)
        })
        .await;

    let template = launch_template(target);
    let part = Part::LaunchTemplate(template.name.clone());
    stage.run(EksAction::CreateLaunchTemplate(template.clone()), absent(&part)).await.unwrap();
    let seen = stage.observe(&focus).await;
    let made = &seen.launch_templates.present().unwrap()[0];
    assert_eq!((made.imds_v2_required, made.hop_limit, made.disk_gib), (true, Some(1), Some(80)));

    let group = nodegroup(target, (made.id.clone(), made.version.clone()));
    let part = Part::Nodegroup("workers".to_owned());
    stage.run(EksAction::CreateNodegroup(Box::new(group.clone())), absent(&part)).await.unwrap();
    let seen = stage
        .until(&focus, "nodes and coredns", |seen| {
            nodegroup_status(seen) == Some(PartStatus::Active)
                && addon_status(seen, "coredns") == Some(PartStatus::Active)
        })
        .await;
    let found = &seen.nodegroups.present().unwrap()[0];
    assert_eq!(found.scaling, Some(group.scaling));
    assert_eq!(found.labels, group.labels);
    assert_eq!(found.launch_template.as_ref(), Some(&group.launch_template));
    assert_eq!(found.max_unavailable_percent, Some(33));

    let up = EksAction::UpdateVersion { from: minor(35), to: minor(36) };
    let outcome = stage.run(up, active_at(35)).await.unwrap();
    assert_eq!(stage.finished(outcome, None).await, EksUpdateStatus::Successful);
    let seen = stage.observe(&focus).await;
    assert_eq!(seen.cluster.present().unwrap().version, minor(36));

    let proxy = Part::Addon("kube-proxy".to_owned());
    let next = addon(target, "kube-proxy", &default_version(&seen, "kube-proxy", 36));
    let outcome = stage.run(EksAction::UpdateAddon(next.clone()), as_seen(&seen, &proxy)).await.unwrap();
    assert_eq!(stage.finished(outcome, Some(proxy)).await, EksUpdateStatus::Successful);

    let bigger = EksAction::CreateLaunchTemplateVersion {
        id: group.launch_template.0.clone(),
        request: fleet_api::eks::LaunchTemplateRequest { disk_gib: 120, ..template },
    };
    stage.run(bigger, as_seen(&seen, &Part::LaunchTemplate(launch_template(target).name))).await.unwrap();
    let seen = stage.observe(&focus).await;
    let made = &seen.launch_templates.present().unwrap()[0];
    assert_eq!((made.version.as_str(), made.disk_gib), ("2", Some(120)));

    let workers = Part::Nodegroup("workers".to_owned());
    let roll = EksAction::UpdateNodegroupVersion {
        name: "workers".to_owned(),
        to: minor(36),
        launch_template: Some((made.id.clone(), made.version.clone())),
    };
    let outcome = stage.run(roll, as_seen(&seen, &workers)).await.unwrap();
    assert_eq!(stage.finished(outcome, Some(workers.clone())).await, EksUpdateStatus::Successful);
    let seen = stage.observe(&focus).await;
    let found = &seen.nodegroups.present().unwrap()[0];
    assert_eq!(found.version, Some(minor(36)));
    assert_eq!(found.launch_template.as_ref().map(|(_, version)| version.as_str()), Some("2"));

    let mut wider = group;
    wider.scaling.max = 5;
    wider.labels.insert("team".to_owned(), "payments".to_owned());
    wider.remove_labels = BTreeSet::from(["pool".to_owned()]);
    wider.labels.remove("pool");
    let change = EksAction::UpdateNodegroupConfig(Box::new(wider.clone()));
    let outcome = stage.run(change, as_seen(&seen, &workers)).await.unwrap();
    assert_eq!(stage.finished(outcome, Some(workers)).await, EksUpdateStatus::Successful);
    let seen = stage.observe(&focus).await;
    let found = &seen.nodegroups.present().unwrap()[0];
    assert_eq!((found.scaling, &found.labels), (Some(wider.scaling), &wider.labels));
}

#[tokio::test]
async fn settings_change_one_kind_at_a_time_and_a_repeated_change_is_done_already() {
    let stage = Stage::new().await;
    stage.active().await;
    let changes = [
        ConfigChange::Logging(BTreeSet::from([EksLogType::Audit])),
        ConfigChange::Endpoint { public_cidrs: BTreeSet::from(["203.0.113.0/24".to_owned()]) },
        ConfigChange::Network {
            subnet_ids: BTreeSet::from([
                "subnet-0aa000000000000a1".to_owned(),
                "subnet-0cc000000000000c1".to_owned(),
            ]),
            security_group_ids: BTreeSet::new(),
        },
        ConfigChange::SupportType(SupportType::Standard),
        ConfigChange::DeletionProtection(true),
    ];
    for change in &changes {
        let outcome = stage.run(EksAction::UpdateConfig(change.clone()), active_at(35)).await.unwrap();
        assert_eq!(stage.finished(outcome, None).await, EksUpdateStatus::Successful, "{change:?}");
    }
    let seen = stage.observe(&Focus::default()).await;
    let cluster = seen.cluster.present().unwrap();
    assert_eq!(cluster.logging, BTreeSet::from([EksLogType::Audit]));
    assert!(cluster.endpoint_public && cluster.endpoint_private);
    assert_eq!(cluster.public_cidrs, BTreeSet::from(["203.0.113.0/24".to_owned()]));
    assert!(cluster.subnet_ids.contains("subnet-0cc000000000000c1"));
    assert_eq!(cluster.support_type, Some(SupportType::Standard));
    assert!(cluster.deletion_protection);

    let again = step(&stage.target, EksAction::UpdateConfig(changes[0].clone()), active_at(35), 2);
    let outcome = fleet_provider::ClusterProvider::carry_out(&stage.provider, &stage.target, &again).await;
    assert_eq!(outcome.unwrap().update_id, None, "EKS refuses a change that changes nothing");

    let refused = stage.run(EksAction::DeleteCluster, Expectation::Nothing).await;
    assert_eq!(class(refused), fleet_provider::ErrorClass::Invalid);
}

#[tokio::test]
async fn auto_mode_is_made_with_the_cluster_and_switched_off_again() {
    let stage = Stage::new().await;
    let EksAction::CreateCluster(mut request) = create_cluster(&stage.target) else { panic!("no creation") };
    let auto_mode = AutoMode {
        node_role_arn: format!("arn:aws:iam::{ACCOUNT}:role/eks-node"),
        node_pools: vec!["general-purpose".to_owned(), "system".to_owned()],
    };
    request.auto_mode = Some(auto_mode.clone());
    stage.run(EksAction::CreateCluster(request), Expectation::ClusterAbsent).await.unwrap();
    let active = |seen: &fleet_api::eks::EksObservation| status(seen) == Some(EksClusterStatus::Active);
    let seen = stage.until(&Focus::default(), "an active cluster", active).await;
    assert_eq!(seen.cluster.present().unwrap().auto_mode, Some(auto_mode));
    let off = EksAction::UpdateConfig(ConfigChange::AutoMode(None));
    let outcome = stage.run(off, active_at(35)).await.unwrap();
    assert_eq!(stage.finished(outcome, None).await, EksUpdateStatus::Successful);
    let seen = stage.observe(&Focus::default()).await;
    assert_eq!(seen.cluster.present().unwrap().auto_mode, None);
}

#[tokio::test]
async fn access_and_pod_identities_are_made_changed_and_taken_away() {
    let stage = Stage::new().await;
    let target = &stage.target;
    stage.active().await;
    let part = Part::AccessEntry(ADMIN.to_owned());
    let edit = PolicyAssociation {
        policy_arn: policy_arn("AmazonEKSEditPolicy"),
        namespaces: BTreeSet::from(["shop".to_owned()]),
    };
    let request = AccessEntryRequest {
        principal_arn: ADMIN.to_owned(),
        groups: BTreeSet::from(["platform".to_owned()]),
        policies: vec![
            PolicyAssociation {
                policy_arn: policy_arn("AmazonEKSClusterAdminPolicy"),
                namespaces: BTreeSet::new(),
            },
            edit.clone(),
        ],
        tags: tags(target),
    };
    stage.run(EksAction::CreateAccessEntry(request.clone()), absent(&part)).await.unwrap();
    let seen = stage.observe(&Focus::default()).await;
    let entry = &seen.access_entries.present().unwrap()[0];
    assert_eq!((&entry.groups, &entry.policies), (&request.groups, &request.policies));

    let groups = BTreeSet::from(["auditors".to_owned()]);
    let renamed = AccessEntryRequest { groups: groups.clone(), ..request };
    stage.run(EksAction::UpdateAccessEntry(renamed), as_seen(&seen, &part)).await.unwrap();
    let drop = EksAction::DisassociateAccessPolicy {
        principal_arn: ADMIN.to_owned(),
        policy_arn: policy_arn("AmazonEKSClusterAdminPolicy"),
    };
    stage.run(drop, Expectation::Nothing).await.unwrap();
    let view =
        PolicyAssociation { policy_arn: policy_arn("AmazonEKSViewPolicy"), namespaces: BTreeSet::new() };
    let add = EksAction::AssociateAccessPolicy { principal_arn: ADMIN.to_owned(), policy: view.clone() };
    stage.run(add.clone(), Expectation::Nothing).await.unwrap();
    stage.run(add, Expectation::Nothing).await.unwrap();
    let seen = stage.observe(&Focus::default()).await;
    let entry = &seen.access_entries.present().unwrap()[0];
    assert_eq!((&entry.groups, &entry.policies), (&groups, &vec![edit, view]));

    let role = |name: &str| format!("arn:aws:iam::{ACCOUNT}:role/{name}");
    let identity = PodIdentityRequest {
        namespace: "kube-system".to_owned(),
        service_account: "ebs-csi".to_owned(),
        role_arn: role("eks-pod"),
        tags: tags(target),
    };
    let part = Part::PodIdentity {
        namespace: identity.namespace.clone(),
        service_account: identity.service_account.clone(),
    };
    stage.run(EksAction::CreatePodIdentity(identity.clone()), absent(&part)).await.unwrap();
    let seen = stage.observe(&Focus::default()).await;
    let found = seen.pod_identities.present().unwrap()[0].clone();
    assert_eq!(found.role_arn, role("eks-pod"));
    let delete = EksAction::DeletePodIdentity {
        association_id: found.association_id,
        name: "kube-system/ebs-csi".to_owned(),
    };
    stage.run(delete.clone(), as_seen(&seen, &part)).await.unwrap();
    stage.run(delete, as_seen(&seen, &part)).await.unwrap();
    let leave = EksAction::DeleteAccessEntry { principal_arn: ADMIN.to_owned() };
    stage.run(leave.clone(), Expectation::Nothing).await.unwrap();
    stage.run(leave, Expectation::Nothing).await.unwrap();
    let seen = stage.observe(&Focus::default()).await;
    assert_eq!((seen.access_entries, seen.pod_identities), (Seen::Present(vec![]), Seen::Present(vec![])));
}

#[tokio::test]
async fn a_deleted_cluster_leaves_what_the_sweep_names() {
    let stage = Stage::new().await;
    let target = &stage.target;
    let name = &target.cluster_name;
    let seen = stage.active().await;
    assert_eq!(status(&seen), Some(EksClusterStatus::Active));
    let template = launch_template(target);
    let part = Part::LaunchTemplate(template.name.clone());
    stage.run(EksAction::CreateLaunchTemplate(template.clone()), absent(&part)).await.unwrap();

    let owned = format!("kubernetes.io/cluster/{name}");
    for (kind, id, key, value) in [
        ("volume", "vol-0a1", owned.as_str(), "owned"),
        ("volume", "vol-0ours", "tenantfleet.dev/cluster-uid", "uid-1"),
        ("volume", "vol-0other", "tenantfleet.dev/cluster-uid", "uid-2"),
        ("network-interface", "eni-0a1", "cluster.k8s.amazonaws.com/name", name.as_str()),
        ("security-group", "sg-0elb", owned.as_str(), "owned"),
        ("load-balancer", "k8s-shop-web", owned.as_str(), "owned"),
        ("instance", "i-0a1", owned.as_str(), "owned"),
    ] {
        let left =
            json!({"account": ACCOUNT, "region": REGION, "kind": kind, "id": id, "tags": {key: value}});
        stage.control("/_emulator/leftovers", &left).await;
    }

    stage.run(EksAction::DeleteCluster, active_at(35)).await.unwrap();
    stage.run(EksAction::DeleteCluster, Expectation::Nothing).await.unwrap();
    let focus = Focus { leftovers: true, ..Focus::default() };
    let seen = stage.until(&focus, "no cluster", |seen| seen.cluster == Seen::Absent).await;
    let kinds = |seen: &fleet_api::eks::EksObservation| -> Vec<String> {
        let mut kinds: Vec<String> =
            seen.leftovers.present().unwrap().iter().map(|left| left.kind.clone()).collect();
        kinds.sort();
        kinds
    };
    assert_eq!(
        kinds(&seen),
        [
            "instance",
            "launch template",
            "load balancer",
            "log group",
            "network interface",
            "security group",
            "volume",
            "volume"
        ]
    );
    assert!(seen.leftovers.present().unwrap().iter().all(|left| left.id != "vol-0other"));

    let id = seen.launch_templates.present().unwrap()[0].id.clone();
    let delete = EksAction::DeleteLaunchTemplate { id, name: template.name };
    stage.run(delete.clone(), as_seen(&seen, &part)).await.unwrap();
    stage.run(delete, as_seen(&seen, &part)).await.unwrap();
    stage.run(EksAction::DeleteCluster, Expectation::Nothing).await.unwrap();
    let seen = stage.observe(&focus).await;
    assert!(!kinds(&seen).contains(&"launch template".to_owned()));
}
