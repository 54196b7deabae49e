//! The real SDK over the wire: what it is answered, and how refusals reach it as typed errors.

mod common;

use std::time::Duration;

use aws_sdk_eks::{
    Client,
    error::ProvideErrorMetadata,
    types::{
        AccessScope, AccessScopeType, AddonIssueCode, AddonStatus, AmiTypes, BlockStorage, ClusterStatus,
        ComputeConfigRequest, ElasticLoadBalancing, KubernetesNetworkConfigRequest, NodegroupScalingConfig,
        NodegroupStatus, StorageConfigRequest, UpdateStatus, UpdateType, VpcConfigRequest,
    },
};
use common::{
    ACCOUNT, CONTROLLER, Fixture, NODE_ROLE, OPERATOR, REGION, SUBNETS, create, describe, describe_update,
    keys, until_over, until_status,
};
use eks_emulator::{Durations, Work};

#[tokio::test]
async fn a_cluster_is_created_described_listed_and_deleted() {
    let fixture = Fixture::instant().await;
    let eks = fixture.eks().await;
    let made = create(&eks, "one", "1.35").tags("owner", "x").send().await.unwrap().cluster.unwrap();
    assert_eq!(made.status, Some(ClusterStatus::Creating));
    assert_eq!(made.endpoint, None);
    assert_eq!(made.arn.as_deref(), Some("arn:aws:eks:eu-central-1:111122223333:cluster/one"));

    let cluster = describe(&eks, "one").await;
    assert_eq!(cluster.status, Some(ClusterStatus::Active));
    assert_eq!(cluster.version.as_deref(), Some("1.35"));
    assert!(cluster.endpoint.is_some() && cluster.certificate_authority.unwrap().data.is_some());
    assert_eq!(cluster.resources_vpc_config.unwrap().vpc_id.as_deref(), Some("vpc-0f1e2d3c4b5a69780"));
    assert_eq!(cluster.tags.unwrap()["owner"], "x");

    assert_eq!(eks.list_clusters().send().await.unwrap().clusters.unwrap(), ["one"]);
    let gone = eks.delete_cluster().name("one").send().await.unwrap().cluster.unwrap();
    assert_eq!(gone.status, Some(ClusterStatus::Deleting));
    let error = eks.describe_cluster().name("one").send().await.unwrap_err().into_service_error();
    assert!(error.is_resource_not_found_exception(), "{error:?}");
}

#[tokio::test]
async fn accounts_do_not_see_each_other() {
    let fixture = Fixture::instant().await;
    let eks = fixture.eks().await;
    create(&eks, "one", "1.35").send().await.unwrap();
    let other = fixture.assume(CONTROLLER, "444455556666", "fleet-manager").await;
    let other = Client::new(&fixture.sdk(other).await);
    assert_eq!(other.list_clusters().send().await.unwrap().clusters.unwrap(), Vec::<String>::new());
    assert!(other.describe_cluster().name("one").send().await.is_err());
}

#[tokio::test]
async fn pages_follow_each_other_until_the_end() {
    let fixture = Fixture::instant().await;
    let eks = fixture.eks().await;
    for name in ["a", "b", "c", "d", "e"] {
        create(&eks, name, "1.36").send().await.unwrap();
    }
    let mut pages = eks.list_clusters().into_paginator().page_size(2).send();
    let mut sizes = Vec::new();
    let mut names = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.unwrap().clusters.unwrap();
        sizes.push(page.len());
        names.extend(page);
    }
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
    assert_eq!(sizes, [2, 2, 1]);
    let error = eks.list_clusters().next_token("nonsense").send().await.unwrap_err().into_service_error();
    assert!(error.is_invalid_parameter_exception(), "{error:?}");
}

#[tokio::test]
async fn a_repeated_token_is_answered_again_and_a_used_name_is_not() {
    let fixture = Fixture::instant().await;
    let eks = fixture.eks().await;
    let first = create(&eks, "one", "1.35").client_request_token("t").send().await.unwrap().cluster.unwrap();
    let again = create(&eks, "one", "1.35").client_request_token("t").send().await.unwrap().cluster.unwrap();
    assert_eq!(first.created_at, again.created_at);
    let other = create(&eks, "one", "1.36").client_request_token("t").send().await.unwrap_err();
    assert!(other.into_service_error().is_invalid_parameter_exception());
    let used = create(&eks, "one", "1.35").client_request_token("u").send().await.unwrap_err();
    let used = used.into_service_error();
    assert!(used.is_resource_in_use_exception(), "{used:?}");
    assert_eq!(used.message(), Some("Cluster already exists with name: one"));
}

#[tokio::test]
async fn clusters_that_eks_refuses_are_refused() {
    let fixture = Fixture::instant().await;
    let eks = fixture.eks().await;
    let network = |subnets: &[&str]| {
        VpcConfigRequest::builder()
            .set_subnet_ids(Some(subnets.iter().map(|subnet| (*subnet).to_owned()).collect()))
            .build()
    };
    let good = || create(&eks, "one", "1.35");
    for (what, request, part) in [
        ("name", good().name("-x"), "name"),
        ("version", good().version("1.29"), "unsupported Kubernetes version"),
        ("version", good().version("9.99"), "unsupported Kubernetes version"),
        ("role", good().role_arn("arn:aws:iam::111122223333:role/nobody"), "could not be assumed"),
        ("role", good().role_arn(NODE_ROLE), "could not be assumed"),
        ("one subnet", good().resources_vpc_config(network(&SUBNETS[..1])), "two different AZs"),
        (
            "unknown subnet",
            good().resources_vpc_config(network(&["subnet-1", "subnet-2"])),
            "InvalidSubnetID.NotFound",
        ),
        (
            "closed endpoint",
            good().resources_vpc_config(
                VpcConfigRequest::builder()
                    .set_subnet_ids(Some(SUBNETS.map(str::to_owned).to_vec()))
                    .endpoint_public_access(false)
                    .build(),
            ),
            "cannot be false",
        ),
        ("tags", good().tags("aws:x", "y"), "tag"),
    ] {
        let error = request.send().await.unwrap_err().into_service_error();
        assert!(error.is_invalid_parameter_exception(), "{what}: {error:?}");
        assert!(error.message().unwrap().contains(part), "{what}: {error:?}");
    }
    assert_eq!(eks.list_clusters().send().await.unwrap().clusters.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn an_upgrade_goes_one_minor_and_shows_its_way() {
    let fixture = Fixture::start(|_| ()).await;
    let eks = fixture.eks().await;
    create(&eks, "one", "1.34").send().await.unwrap();
    fixture.advance(Duration::from_secs(60)).await;
    let error = eks.update_cluster_version().name("one").version("1.36").send().await.unwrap_err();
    let error = error.into_service_error();
    assert!(error.is_invalid_parameter_exception(), "{error:?}");
    assert!(error.message().unwrap().contains("from 1.34 to 1.36"), "{error:?}");

    let update =
        eks.update_cluster_version().name("one").version("1.35").send().await.unwrap().update.unwrap();
    assert_eq!(update.r#type, Some(UpdateType::VersionUpdate));
    assert_eq!(update.status, Some(UpdateStatus::InProgress));
    assert_eq!(describe(&eks, "one").await.status, Some(ClusterStatus::Updating));
    let busy = eks.update_cluster_version().name("one").version("1.35").send().await.unwrap_err();
    let busy = busy.into_service_error();
    assert!(busy.is_resource_in_use_exception(), "{busy:?}");
    let busy = eks.update_cluster_config().name("one").deletion_protection(true).send().await.unwrap_err();
    assert!(busy.into_service_error().is_resource_in_use_exception());

    fixture.advance(Duration::from_secs(60)).await;
    let over = describe_update(&eks, "one", update.id().unwrap()).await;
    assert_eq!(over.status, Some(UpdateStatus::Successful));
    let cluster = describe(&eks, "one").await;
    assert_eq!((cluster.status, cluster.version.as_deref()), (Some(ClusterStatus::Active), Some("1.35")));
    assert_eq!(
        eks.list_updates().name("one").send().await.unwrap().update_ids.unwrap(),
        [update.id.unwrap()]
    );
}

#[tokio::test]
async fn a_rollback_is_possible_for_seven_days_after_an_upgrade_and_only_then() {
    let fixture = Fixture::instant().await;
    let eks = fixture.eks().await;
    create(&eks, "one", "1.35").send().await.unwrap();
    let back = || eks.update_cluster_version().name("one").version("1.34").send();
    // Never upgraded.
    assert!(back().await.unwrap_err().into_service_error().is_invalid_request_exception());

    let up = || eks.update_cluster_version().name("one").version("1.36").send();
    until_over(&eks, "one", up().await.unwrap().update.unwrap().id().unwrap()).await;
    let down = eks.update_cluster_version().name("one").version("1.35").send().await.unwrap().update.unwrap();
    assert_eq!(down.r#type, Some(UpdateType::VersionRollback));
    until_over(&eks, "one", down.id().unwrap()).await;
    assert_eq!(describe(&eks, "one").await.version.as_deref(), Some("1.35"));

    until_over(&eks, "one", up().await.unwrap().update.unwrap().id().unwrap()).await;
    fixture.advance(Duration::from_secs(7 * 24 * 3600 + 60)).await;
    let late = eks.update_cluster_version().name("one").version("1.35").send().await.unwrap_err();
    let late = late.into_service_error();
    assert!(late.is_invalid_request_exception(), "{late:?}");
    assert!(late.message().unwrap().contains("more than 7 days ago"), "{late:?}");
}

#[tokio::test]
async fn nodes_go_back_before_the_control_plane_and_a_rollback_of_auto_mode_can_be_cancelled_until_then() {
    let fixture = Fixture::start(|_| ()).await;
    let eks = fixture.eks().await;
    let minute = Duration::from_secs(60);
    create(&eks, "one", "1.35").send().await.unwrap();
    fixture.advance(minute).await;
    eks.update_cluster_version().name("one").version("1.36").send().await.unwrap();
    fixture.advance(minute).await;
    nodegroup(&eks, "1.36").await.unwrap();
    fixture.advance(minute).await;
    let back = || eks.update_cluster_version().name("one").version("1.35").send();
    let refused = back().await.unwrap_err().into_service_error();
    assert!(refused.message().unwrap().contains("must be at 1.35 or older first"), "{refused:?}");
    let group = eks.update_nodegroup_version().cluster_name("one").nodegroup_name("workers").version("1.35");
    group.send().await.unwrap();
    fixture.advance(minute).await;

    let auto = eks
        .update_cluster_config()
        .name("one")
        .compute_config(
            ComputeConfigRequest::builder()
                .enabled(true)
                .node_pools("system")
                .node_role_arn(NODE_ROLE)
                .build(),
        )
        .storage_config(
            StorageConfigRequest::builder()
                .block_storage(BlockStorage::builder().enabled(true).build())
                .build(),
        )
        .kubernetes_network_config(
            KubernetesNetworkConfigRequest::builder()
                .elastic_load_balancing(ElasticLoadBalancing::builder().enabled(true).build())
                .build(),
        );
    auto.send().await.unwrap();
    fixture.advance(minute).await;
    let update = back().await.unwrap().update.unwrap();
    assert_eq!(describe(&eks, "one").await.status, Some(ClusterStatus::Active));
    let busy = eks.update_cluster_config().name("one").deletion_protection(true).send().await.unwrap_err();
    assert!(busy.into_service_error().is_resource_in_use_exception());
    let cancel = || eks.cancel_update().name("one").update_id(update.id().unwrap()).send();
    assert_eq!(cancel().await.unwrap().update.unwrap().status, Some(UpdateStatus::Cancelled));
    fixture.advance(minute).await;
    assert_eq!(describe(&eks, "one").await.version.as_deref(), Some("1.36"));

    let update = back().await.unwrap().update.unwrap();
    fixture.advance(Duration::from_secs(5)).await;
    let late = eks.cancel_update().name("one").update_id(update.id().unwrap()).send().await.unwrap_err();
    assert!(late.into_service_error().message().unwrap().contains("already begun"));
    fixture.advance(minute).await;
    assert_eq!(describe(&eks, "one").await.version.as_deref(), Some("1.35"));
}

#[tokio::test]
async fn a_readiness_insight_blocks_a_rollback_unless_it_is_forced() {
    let fixture = Fixture::instant().await;
    let eks = fixture.eks().await;
    create(&eks, "one", "1.35").send().await.unwrap();
    eks.update_cluster_version().name("one").version("1.36").send().await.unwrap();
    // kube-proxy must not be newer than the control plane that it would be left with.
    eks.create_addon().cluster_name("one").addon_name("kube-proxy").send().await.unwrap();
    let back = || eks.update_cluster_version().name("one").version("1.35");
    let blocked = back().send().await.unwrap_err().into_service_error();
    assert!(blocked.is_invalid_state_exception(), "{blocked:?}");
    assert!(blocked.message().unwrap().contains("kube-proxy"), "{blocked:?}");
    back().force(true).send().await.unwrap();
}

#[tokio::test]
async fn a_token_works_when_its_principal_has_reached_the_api_server() {
    let fixture = Fixture::instant().await;
    let eks = fixture.eks().await;
    create(&eks, "one", "1.35").send().await.unwrap();
    fixture.plan(r#"{"effect": "slow-access", "seconds": 30}"#).await;
    let principal = "arn:aws:iam::111122223333:role/globex-web-admin";
    let entry =
        eks.create_access_entry().cluster_name("one").principal_arn(principal).kubernetes_groups("web");
    entry.send().await.unwrap();
    let tenant = fixture.assume(OPERATOR, ACCOUNT, "globex-web-admin").await;
    let token = common::token(&tenant, "one", &fixture.running.endpoint_url());
    let review = format!(r#"{{"spec": {{"token": "{token}"}}}}"#);
    let path = format!("/_emulator/clusters/{ACCOUNT}/{REGION}/one/token");
    let (_, answer) = fixture.http.send("POST", &path, &review).await;
    assert!(answer.contains(r#""authenticated":false"#), "{answer}");
    fixture.advance(Duration::from_secs(31)).await;
    let (_, answer) = fixture.http.send("POST", &path, &review).await;
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let user = &answer["status"]["user"];
    assert_eq!(user["username"], "arn:aws:sts::111122223333:assumed-role/globex-web-admin/test");
    assert_eq!(user["groups"], serde_json::json!(["web"]));
    assert_eq!(user["extra"]["canonicalArn"], serde_json::json!([principal]));
}

#[tokio::test]
async fn one_kind_of_change_per_call_and_never_none() {
    let fixture = Fixture::instant().await;
    let eks = fixture.eks().await;
    create(&eks, "one", "1.35").send().await.unwrap();
    let config = || eks.update_cluster_config().name("one");
    let vpc = || VpcConfigRequest::builder();
    for (request, part) in [
        (config(), "No changes"),
        (config().deletion_protection(false), "already at the desired configuration"),
        (
            config().resources_vpc_config(vpc().endpoint_private_access(true).build()),
            "endpointPrivateAccess: true , endpointPublicAccess: false",
        ),
        (
            config()
                .deletion_protection(true)
                .resources_vpc_config(vpc().endpoint_public_access(true).build()),
            "Only one type of update can be allowed.",
        ),
        (
            config().resources_vpc_config(
                vpc()
                    .endpoint_public_access(true)
                    .set_subnet_ids(Some(SUBNETS.map(str::to_owned).to_vec()))
                    .build(),
            ),
            "Only one type of update can be allowed.",
        ),
    ] {
        let error = request.send().await.unwrap_err().into_service_error();
        assert!(error.is_invalid_parameter_exception(), "{part}: {error:?}");
        assert!(error.message().unwrap().contains(part), "{part}: {error:?}");
    }

    let update = config().deletion_protection(true).send().await.unwrap().update.unwrap();
    assert_eq!(until_over(&eks, "one", update.id().unwrap()).await.status, Some(UpdateStatus::Successful));
    let kept = eks.delete_cluster().name("one").send().await.unwrap_err().into_service_error();
    assert!(kept.is_invalid_request_exception(), "{kept:?}");
    config().deletion_protection(false).send().await.unwrap();
    eks.delete_cluster().name("one").send().await.unwrap();
}

async fn nodegroup(
    eks: &Client,
    version: &str,
) -> Result<(), aws_sdk_eks::operation::create_nodegroup::CreateNodegroupError> {
    eks.create_nodegroup()
        .cluster_name("one")
        .nodegroup_name("workers")
        .node_role(NODE_ROLE)
        .subnets(SUBNETS[0])
        .ami_type(AmiTypes::BottlerocketX8664)
        .version(version)
        .scaling_config(NodegroupScalingConfig::builder().min_size(1).max_size(3).desired_size(2).build())
        .send()
        .await
        .map(|_| ())
        .map_err(aws_sdk_eks::error::SdkError::into_service_error)
}

#[tokio::test]
async fn node_groups_stand_in_the_way_of_deletion_and_never_lead_the_control_plane() {
    let fixture = Fixture::instant().await;
    let eks = fixture.eks().await;
    create(&eks, "one", "1.35").send().await.unwrap();
    let newer = nodegroup(&eks, "1.36").await.unwrap_err();
    assert!(newer.is_invalid_parameter_exception(), "{newer:?}");
    nodegroup(&eks, "1.35").await.unwrap();
    assert!(nodegroup(&eks, "1.35").await.unwrap_err().is_resource_in_use_exception());
    let group = eks.describe_nodegroup().cluster_name("one").nodegroup_name("workers").send().await.unwrap();
    assert_eq!(group.nodegroup.unwrap().status, Some(NodegroupStatus::Active));

    let busy = eks.delete_cluster().name("one").send().await.unwrap_err().into_service_error();
    assert!(busy.is_resource_in_use_exception(), "{busy:?}");
    eks.delete_nodegroup().cluster_name("one").nodegroup_name("workers").send().await.unwrap();
    eks.delete_cluster().name("one").send().await.unwrap();
}

#[tokio::test]
async fn coredns_is_degraded_until_there_are_nodes() {
    let fixture = Fixture::instant().await;
    let eks = fixture.eks().await;
    create(&eks, "one", "1.35").send().await.unwrap();
    let status = || async {
        let answer = eks.describe_addon().cluster_name("one").addon_name("coredns").send().await.unwrap();
        let addon = answer.addon.unwrap();
        let issue =
            addon.health.and_then(|health| health.issues?.first().cloned()).and_then(|issue| issue.code);
        (addon.status.unwrap(), issue)
    };
    let next =
        eks.create_addon().cluster_name("one").addon_name("coredns").addon_version("v1.14.0-eksbuild.1");
    assert!(next.send().await.unwrap_err().into_service_error().is_invalid_parameter_exception());
    eks.create_addon().cluster_name("one").addon_name("coredns").send().await.unwrap();
    assert_eq!(status().await, (AddonStatus::Degraded, Some(AddonIssueCode::InsufficientNumberOfReplicas)));
    nodegroup(&eks, "1.35").await.unwrap();
    assert_eq!(status().await, (AddonStatus::Active, None));
}

#[tokio::test]
async fn an_addon_version_for_the_next_minor_waits_for_the_control_plane() {
    let fixture = Fixture::instant().await;
    let eks = fixture.eks().await;
    create(&eks, "one", "1.35").send().await.unwrap();
    let make = |version: &str| {
        eks.create_addon().cluster_name("one").addon_name("kube-proxy").addon_version(version).send()
    };
    assert!(
        make("v1.36.3-eksbuild.2").await.unwrap_err().into_service_error().is_invalid_parameter_exception()
    );
    make("v1.35.4-eksbuild.2").await.unwrap();
    let versions =
        eks.describe_addon_versions().addon_name("kube-proxy").kubernetes_version("1.36").send().await;
    let versions = versions.unwrap().addons.unwrap()[0].addon_versions.clone().unwrap();
    assert!(versions.iter().any(|version| version.addon_version() == Some("v1.36.3-eksbuild.2")));
}

#[tokio::test]
async fn access_entries_follow_the_rules_of_eks() {
    let fixture = Fixture::instant().await;
    let eks = fixture.eks().await;
    create(&eks, "one", "1.35").send().await.unwrap();
    let principal = "arn:aws:iam::111122223333:role/globex-web-admin";
    let entry = |arn: &str| eks.create_access_entry().cluster_name("one").principal_arn(arn);
    let error = entry("arn:aws:iam::111122223333:role/nobody").send().await.unwrap_err().into_service_error();
    assert!(error.is_invalid_parameter_exception(), "{error:?}");
    let error =
        entry(principal).kubernetes_groups("system:masters").send().await.unwrap_err().into_service_error();
    assert!(error.message().unwrap().contains("cannot start with system:"), "{error:?}");
    let made = entry(principal).kubernetes_groups("web").send().await.unwrap().access_entry.unwrap();
    assert_eq!(
        made.username.as_deref(),
        Some("arn:aws:sts::111122223333:assumed-role/globex-web-admin/{{SessionName}}")
    );
    assert!(entry(principal).send().await.unwrap_err().into_service_error().is_resource_in_use_exception());

    let policy = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSEditPolicy";
    let scope = |kind| AccessScope::builder().r#type(kind);
    let associate = |scope: AccessScope| {
        eks.associate_access_policy()
            .cluster_name("one")
            .principal_arn(principal)
            .policy_arn(policy)
            .access_scope(scope)
    };
    assert!(associate(scope(AccessScopeType::Namespace).build()).send().await.is_err());
    associate(scope(AccessScopeType::Namespace).namespaces("web").build()).send().await.unwrap();
    let policies = eks.list_associated_access_policies().cluster_name("one").principal_arn(principal);
    let policies = policies.send().await.unwrap().associated_access_policies.unwrap();
    assert_eq!(policies[0].access_scope().unwrap().namespaces(), ["web"]);
    let disassociate =
        eks.disassociate_access_policy().cluster_name("one").principal_arn(principal).policy_arn(policy);
    disassociate.send().await.unwrap();
    eks.delete_access_entry().cluster_name("one").principal_arn(principal).send().await.unwrap();
    let gone =
        eks.describe_access_entry().cluster_name("one").principal_arn(principal).send().await.unwrap_err();
    assert!(gone.into_service_error().is_resource_not_found_exception());
}

#[tokio::test]
async fn planned_faults_happen_to_the_calls_they_are_planned_for() {
    let fixture = Fixture::instant().await;
    let eks = fixture.eks().await;
    fixture.plan(r#"{"effect": "throttle", "operation": "ListClusters", "times": 2}"#).await;
    for _ in 0..2 {
        let error = eks.list_clusters().send().await.unwrap_err().into_service_error();
        assert_eq!(error.code(), Some("ThrottlingException"), "{error:?}");
    }
    eks.list_clusters().send().await.unwrap();

    fixture.plan(r#"{"effect": "reset-after", "operation": "CreateCluster"}"#).await;
    let lost = create(&eks, "one", "1.35").client_request_token("t").send().await.unwrap_err();
    assert!(lost.as_service_error().is_none(), "{lost:?}");
    let made = create(&eks, "one", "1.35").client_request_token("t").send().await.unwrap();
    assert_eq!(made.cluster.unwrap().name.as_deref(), Some("one"));

    let fault =
        r#"{"effect": "fail-update", "error": {"errorCode": "IpNotAvailable", "errorMessage": "none left"}}"#;
    fixture.plan(fault).await;
    let update =
        eks.update_cluster_version().name("one").version("1.36").send().await.unwrap().update.unwrap();
    let over = until_over(&eks, "one", update.id().unwrap()).await;
    assert_eq!(over.status, Some(UpdateStatus::Failed));
    assert_eq!(over.errors.unwrap()[0].error_message.as_deref(), Some("none left"));
    assert_eq!(describe(&eks, "one").await.version.as_deref(), Some("1.35"));

    let fault = r#"{"effect": "fail-create", "issue": {"code": "InsufficientFreeAddresses", "message": "none", "resourceIds": []}}"#;
    fixture.plan(fault).await;
    create(&eks, "two", "1.35").send().await.unwrap();
    let failed = until_status(&eks, "two", ClusterStatus::Failed).await;
    assert_eq!(failed.health.unwrap().issues.unwrap()[0].message.as_deref(), Some("none"));
    eks.delete_cluster().name("two").send().await.unwrap();
    assert_eq!(eks.list_clusters().send().await.unwrap().clusters.unwrap(), ["one"]);
}

#[tokio::test]
async fn a_cluster_may_read_as_active_after_an_update_was_accepted() {
    let fixture = Fixture::start(|_| ()).await;
    let eks = fixture.eks().await;
    create(&eks, "one", "1.35").send().await.unwrap();
    fixture.advance(Duration::from_secs(60)).await;
    fixture.plan(r#"{"effect": "stale-active", "reads": 2}"#).await;
    eks.update_cluster_version().name("one").version("1.36").send().await.unwrap();
    for expected in [ClusterStatus::Active, ClusterStatus::Active, ClusterStatus::Updating] {
        assert_eq!(describe(&eks, "one").await.status, Some(expected));
    }
}

#[tokio::test]
async fn signatures_and_trust_are_checked() {
    let fixture = Fixture::instant().await;
    let wrong = Client::new(&fixture.sdk(keys((CONTROLLER.0, "not the secret"))).await);
    let error = wrong.list_clusters().send().await.unwrap_err().into_service_error();
    assert_eq!(error.code(), Some("InvalidSignatureException"), "{error:?}");
    let unknown = Client::new(&fixture.sdk(keys(("AKIANOBODY0000000000", "x"))).await);
    let error = unknown.list_clusters().send().await.unwrap_err().into_service_error();
    assert_eq!(error.code(), Some("UnrecognizedClientException"), "{error:?}");
    // A user of the management account has no rights on clusters.
    let user = Client::new(&fixture.sdk(keys(CONTROLLER)).await);
    let error = user.list_clusters().send().await.unwrap_err().into_service_error();
    assert_eq!(error.code(), Some("AccessDeniedException"), "{error:?}");

    let sts = aws_sdk_sts::Client::new(&fixture.sdk(keys(CONTROLLER)).await);
    let role = |name: &str| format!("arn:aws:iam::{ACCOUNT}:role/{name}");
    for (role, external_id) in
        [(role("fleet-manager"), None), (role("platform-admin"), Some("x1")), (role("nobody"), Some("x1"))]
    {
        let call = sts
            .assume_role()
            .role_arn(&role)
            .role_session_name("test")
            .set_external_id(external_id.map(str::to_owned));
        let error = call.send().await.unwrap_err().into_service_error();
        assert_eq!(error.code(), Some("AccessDenied"), "{role}: {error:?}");
    }
    let operator = aws_sdk_sts::Client::new(&fixture.sdk(keys(OPERATOR)).await);
    let identity = operator.get_caller_identity().send().await.unwrap();
    assert_eq!(identity.arn(), Some("arn:aws:iam::999988887777:user/operator"));
    let admin = fixture.assume(OPERATOR, ACCOUNT, "platform-admin").await;
    let admin = aws_sdk_sts::Client::new(&fixture.sdk(admin).await);
    let identity = admin.get_caller_identity().send().await.unwrap();
    assert_eq!(identity.arn(), Some("arn:aws:sts::111122223333:assumed-role/platform-admin/test"));
    assert_eq!(identity.account(), Some(ACCOUNT));
}

#[tokio::test]
async fn an_operation_that_the_emulator_does_not_have_is_unknown() {
    let fixture = Fixture::instant().await;
    let eks = fixture.eks().await;
    create(&eks, "one", "1.35").send().await.unwrap();
    let error =
        eks.list_fargate_profiles().cluster_name("one").send().await.unwrap_err().into_service_error();
    assert_eq!(error.code(), Some("UnknownOperationException"), "{error:?}");
    let (status, body) = fixture.http.send("GET", "/clusters", "").await;
    assert_eq!((status, body.contains("Missing Authentication Token")), (403, true), "{body}");
}

#[tokio::test]
async fn a_restart_keeps_clusters_sessions_clock_and_what_was_under_way() {
    let slow = |config: &mut eks_emulator::Config| {
        config.durations =
            Durations::instant().with(Work::ClusterUpgrade, jiff::SignedDuration::from_hours(1));
    };
    let fixture = Fixture::start(slow).await;
    let credentials = fixture.assume(CONTROLLER, ACCOUNT, "fleet-manager").await;
    let eks = Client::new(&fixture.sdk(credentials.clone()).await);
    create(&eks, "one", "1.35").send().await.unwrap();
    let update =
        eks.update_cluster_version().name("one").version("1.36").send().await.unwrap().update.unwrap();
    fixture.advance(Duration::from_secs(1800)).await;

    let fixture = fixture.restart(slow).await;
    let eks = Client::new(&fixture.sdk(credentials).await);
    assert_eq!(describe(&eks, "one").await.status, Some(ClusterStatus::Updating));
    fixture.advance(Duration::from_secs(1700)).await;
    assert_eq!(
        describe_update(&eks, "one", update.id().unwrap()).await.status,
        Some(UpdateStatus::InProgress)
    );
    fixture.advance(Duration::from_secs(120)).await;
    let (status, body) = fixture.http.send("GET", "/_emulator/state", "").await;
    assert_eq!(status, 200);
    assert!(body.contains(r#""version":"1.36""#), "{body}");
}
