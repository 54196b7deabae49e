//! What the provider does when the world is not as expected, and when the cloud fails.

mod support;

use std::collections::BTreeSet;

use aws_credential_types::{
    credential_fn::provide_credentials_fn,
    provider::{SharedCredentialsProvider, error::CredentialsError},
};
use fleet_api::{
    eks::{
        AccessEntryRequest, ClusterTarget, ConfigChange, EksAction, EksClusterStatus, EksUpdateStatus, Focus,
        Part, PolicyAssociation,
    },
    step::{Expectation, Seen},
    v1alpha1::SupportType,
};
use fleet_provider::{ClusterProvider, ErrorClass};
use fleet_provider_eks::{EksProvider, Rate};
use serde_json::json;
use support::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

#[tokio::test]
async fn a_creation_whose_answer_was_lost_is_made_once() {
    let stage = Stage::new().await;
    stage.fault(json!({"operation": "CreateCluster", "effect": "reset-after"})).await;
    let seen = stage.active().await;
    assert_eq!(seen.cluster.present().unwrap().tags, tags(&stage.target));
}

#[tokio::test]
async fn a_creation_of_which_no_answer_ever_came_is_found_by_its_tag() {
    let stage = Stage::new().await;
    stage.fault(json!({"operation": "CreateCluster", "effect": "reset-after", "times": 100})).await;
    let lost = stage.run(create_cluster(&stage.target), Expectation::ClusterAbsent).await;
    assert_eq!(class(lost), ErrorClass::Transient);
    let seen = stage.observe(&Focus::default()).await;
    assert!(fleet_provider::is_ours(seen.cluster.present().unwrap(), &stage.target));
    let again = stage.run(create_cluster(&stage.target), Expectation::ClusterAbsent).await;
    assert_eq!(class(again), ErrorClass::WorldMoved);
}

#[tokio::test]
async fn a_launch_template_whose_answer_was_lost_is_made_once() {
    let stage = Stage::new().await;
    stage.fault(json!({"operation": "CreateLaunchTemplate", "effect": "reset-after"})).await;
    let template = launch_template(&stage.target);
    let part = Part::LaunchTemplate(template.name.clone());
    stage.run(EksAction::CreateLaunchTemplate(template), absent(&part)).await.unwrap();
    let seen = stage.observe(&Focus::default()).await;
    assert_eq!(seen.launch_templates.present().unwrap().len(), 1);
}

#[tokio::test]
async fn two_who_make_the_same_cluster_at_once_end_with_one() {
    let stage = Stage::new().await;
    let target = &stage.target;
    let steps =
        [1, 2].map(|attempt| step(target, create_cluster(target), Expectation::ClusterAbsent, attempt));
    let (first, second) = tokio::join!(
        stage.provider.carry_out(target, &steps[0]),
        stage.provider.carry_out(target, &steps[1])
    );
    // Whoever comes second adopts what is there, or was told before that it is there.
    for result in [first, second] {
        assert!(result.is_ok() || class(result) == ErrorClass::WorldMoved);
    }
    assert_eq!(status(&stage.observe(&Focus::default()).await), Some(EksClusterStatus::Creating));
}

#[tokio::test]
async fn what_belongs_to_somebody_else_is_never_touched() {
    let stage = Stage::new().await;
    stage.active().await;
    let other = ClusterTarget { owner_uid: "uid-2".to_owned(), ..stage.target.clone() };
    for (action, expects) in [
        (create_cluster(&other), Expectation::ClusterAbsent),
        (EksAction::DeleteCluster, Expectation::Nothing),
        (EksAction::UpdateVersion { from: minor(35), to: minor(36) }, active_at(35)),
        (EksAction::DeleteAddon { name: "vpc-cni".to_owned() }, Expectation::Nothing),
    ] {
        assert_eq!(class(stage.run_as(&other, action, expects).await), ErrorClass::NotOurs);
    }
    let template = launch_template(&stage.target);
    let part = Part::LaunchTemplate(template.name.clone());
    stage.run(EksAction::CreateLaunchTemplate(template.clone()), absent(&part)).await.unwrap();
    let mut theirs = template;
    theirs.tags = tags(&other);
    let taken = stage.run_as(&other, EksAction::CreateLaunchTemplate(theirs), absent(&part)).await;
    assert_eq!(class(taken), ErrorClass::NotOurs);
    assert_eq!(status(&stage.observe(&Focus::default()).await), Some(EksClusterStatus::Active));
}

#[tokio::test]
async fn a_world_that_moved_is_left_as_it_is() {
    let stage = Stage::new().await;
    let seen = stage.active().await;
    let up = EksAction::UpdateVersion { from: minor(34), to: minor(35) };
    assert_eq!(class(stage.run(up, active_at(34)).await), ErrorClass::WorldMoved);

    stage
        .run(
            EksAction::CreateAddon(addon(&stage.target, "vpc-cni", &cni(&stage).await)),
            Expectation::Nothing,
        )
        .await
        .unwrap();
    let part = Part::Addon("vpc-cni".to_owned());
    let again = EksAction::CreateAddon(addon(&stage.target, "vpc-cni", &cni(&stage).await));
    assert_eq!(class(stage.run(again, absent(&part)).await), ErrorClass::WorldMoved);
    let stale = Expectation::Part { part: part.to_string(), fingerprint: "0123456789abcdef".to_owned() };
    let delete = EksAction::DeleteAddon { name: "vpc-cni".to_owned() };
    assert_eq!(class(stage.run(delete, stale).await), ErrorClass::WorldMoved);
    let after = stage.observe(&Focus::default()).await;
    assert_eq!(after.cluster, seen.cluster);
    assert_eq!(after.addons.present().unwrap().len(), 1);
}

async fn cni(stage: &Stage) -> String {
    let focus = Focus { addons: vec!["vpc-cni".to_owned()], ..Focus::default() };
    default_version(&stage.observe(&focus).await, "vpc-cni", 35)
}

#[tokio::test]
async fn an_add_on_that_is_there_and_ours_is_adopted_and_one_of_another_is_not() {
    let stage = Stage::new().await;
    stage.active().await;
    let request = addon(&stage.target, "vpc-cni", &cni(&stage).await);
    stage.run(EksAction::CreateAddon(request.clone()), Expectation::Nothing).await.unwrap();
    let create = |request| step(&stage.target, EksAction::CreateAddon(request), Expectation::Nothing, 2);
    stage.provider.carry_out(&stage.target, &create(request.clone())).await.unwrap();

    let part = Part::Addon("vpc-cni".to_owned());
    stage.run(EksAction::DeleteAddon { name: "vpc-cni".to_owned() }, Expectation::Nothing).await.unwrap();
    stage.until(&Focus::default(), "no add-on", |seen| seen.part_fingerprint(&part) == Seen::Absent).await;
    let mut theirs = request.clone();
    theirs.tags.clear();
    let by_hand = step(&stage.target, EksAction::CreateAddon(theirs), Expectation::Nothing, 3);
    stage.provider.carry_out(&stage.target, &by_hand).await.unwrap();
    let mut ours = create(request);
    ours.token = fleet_api::names::client_token("uid-1", "another", "call");
    assert_eq!(class(stage.provider.carry_out(&stage.target, &ours).await), ErrorClass::NotOurs);
}

#[tokio::test]
async fn an_access_entry_that_was_cut_in_half_is_made_whole() {
    let stage = Stage::new().await;
    stage.active().await;
    let principal_arn = format!("arn:aws:iam::{ACCOUNT}:role/platform-admin");
    let policy = PolicyAssociation {
        policy_arn: "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy".to_owned(),
        namespaces: BTreeSet::new(),
    };
    let request = AccessEntryRequest {
        principal_arn: principal_arn.clone(),
        groups: BTreeSet::new(),
        policies: vec![policy.clone()],
        tags: tags(&stage.target),
    };
    let part = Part::AccessEntry(principal_arn.clone());
    let create = EksAction::CreateAccessEntry(request);
    stage.fault(json!({"operation": "AssociateAccessPolicy", "effect": "reset-before", "times": 4})).await;
    assert_eq!(class(stage.run(create.clone(), absent(&part)).await), ErrorClass::Transient);
    assert_eq!(class(stage.run(create.clone(), absent(&part)).await), ErrorClass::WorldMoved);
    let half = stage.observe(&Focus::default()).await;
    assert_eq!(half.access_entries.present().unwrap()[0].policies, []);
    // The plan that follows adds what is missing; the first step, repeated unseen, would do the same.
    let add = EksAction::AssociateAccessPolicy { principal_arn, policy: policy.clone() };
    stage.run(add, as_seen(&half, &part)).await.unwrap();
    stage.run(create, Expectation::Nothing).await.unwrap();
    let whole = stage.observe(&Focus::default()).await;
    assert_eq!(whole.access_entries.present().unwrap()[0].policies, [policy]);
}

#[tokio::test]
async fn a_second_change_waits_for_the_first() {
    let stage = Stage::new().await;
    stage.active().await;
    let first = EksAction::UpdateConfig(ConfigChange::DeletionProtection(true));
    let second = EksAction::UpdateConfig(ConfigChange::SupportType(SupportType::Standard));
    stage.run(first, active_at(35)).await.unwrap();
    assert_eq!(class(stage.run(second.clone(), active_at(35)).await), ErrorClass::WorldMoved);
    assert_eq!(class(stage.run(second, Expectation::Nothing).await), ErrorClass::Transient);
}

#[tokio::test]
async fn a_few_throttles_pass_and_many_are_reported_as_such() {
    let stage = Stage::new().await;
    stage.fault(json!({"operation": "DescribeCluster", "effect": "throttle", "times": 2})).await;
    assert_eq!(stage.observe(&Focus::default()).await.cluster, Seen::Absent);
    stage.fault(json!({"operation": "DescribeCluster", "effect": "throttle", "times": 4})).await;
    let throttled = stage.provider.observe(&stage.target, &Focus::default()).await;
    assert_eq!(class(throttled), ErrorClass::Throttled);
    stage.fault(json!({"operation": "DescribeLaunchTemplates", "effect": "throttle", "times": 2})).await;
    assert_eq!(stage.observe(&Focus::default()).await.launch_templates, Seen::Present(vec![]));
}

#[tokio::test]
async fn what_could_not_be_read_is_unknown_and_says_why() {
    let stage = Stage::without_rights(&["eks:ListAddons", "tag:GetResources"]).await;
    let seen = stage.active().await;
    let Seen::Unknown { why } = &seen.addons else { panic!("{:?}", seen.addons) };
    assert!(why.contains("ListAddons") && why.contains("AccessDenied"), "{why}");
    assert_eq!(seen.nodegroups, Seen::Present(vec![]));
    let focus = Focus { leftovers: true, ..Focus::default() };
    let swept = stage.observe(&focus).await;
    assert!(matches!(swept.leftovers, Seen::Unknown { .. }), "a list of which a part is missing is no list");
}

#[tokio::test]
async fn an_update_that_fails_says_so_under_its_id() {
    let stage = Stage::new().await;
    stage.active().await;
    let error =
        json!({"errorCode": "IpNotAvailable", "errorMessage": "no address", "resourceIds": ["subnet-1"]});
    stage.fault(json!({"operation": "UpdateClusterVersion", "effect": "fail-update", "error": error})).await;
    stage.fault(json!({"operation": "UpdateClusterVersion", "effect": "stale-active", "reads": 2})).await;
    let up = EksAction::UpdateVersion { from: minor(35), to: minor(36) };
    let outcome = stage.run(up, active_at(35)).await.unwrap();
    let focus = Focus { update_id: outcome.update_id.clone(), ..Focus::default() };
    let seen = stage.observe(&focus).await;
    assert_eq!(status(&seen), Some(EksClusterStatus::Active), "the cluster's status lags behind");
    assert_eq!(seen.update.present().unwrap().status, EksUpdateStatus::InProgress);
    let by_search = stage.observe(&Focus::default()).await;
    assert_eq!(by_search.update.present().map(|update| &update.id), outcome.update_id.as_ref());
    assert_eq!(stage.finished(outcome, None).await, EksUpdateStatus::Failed);
    let seen = stage.observe(&focus).await;
    assert_eq!(seen.update.present().unwrap().errors[0].code, "IpNotAvailable");
    assert_eq!(seen.cluster.present().unwrap().version, minor(35));
}

#[tokio::test]
async fn a_role_that_may_not_be_assumed_is_denied_and_named() {
    let stage = Stage::new().await;
    let stranger = ClusterTarget {
        role_arn: format!("arn:aws:iam::{ACCOUNT}:role/platform-admin"),
        ..stage.target.clone()
    };
    let error = stage.provider.observe(&stranger, &Focus::default()).await.unwrap_err();
    assert_eq!((error.class, error.operation.as_str()), (ErrorClass::Denied, "AssumeRole"));
}

#[tokio::test]
async fn a_controller_without_credentials_is_told_so() {
    let ambient = ambient_at("http://127.0.0.1:9")
        .await
        .into_builder()
        .credentials_provider(SharedCredentialsProvider::new(provide_credentials_fn(|| async {
            Err(CredentialsError::not_loaded("nothing is configured"))
        })))
        .build();
    let provider = EksProvider::new(ambient, Rate::default()).unwrap();
    let error = provider.observe(&target("acme", "uid-1"), &Focus::default()).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Denied);
    assert!(error.to_string().contains("no credentials were found"), "{error}");
}

#[tokio::test]
async fn a_404_of_somebody_else_is_not_an_absent_cluster() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 8192];
            let length = stream.read(&mut request).await.unwrap();
            // Roles are assumed as usual; everything else is a page of a proxy.
            let text = String::from_utf8_lossy(&request[..length]);
            let (status, body) = if text.contains("Action=AssumeRole") || text.contains("/sts/") {
                ("200 OK", ASSUMED)
            } else {
                ("404 Not Found", "<html><body>no such page</body></html>")
            };
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let provider = provider_at(&url).await;
    let seen = provider.observe(&target("acme", "uid-1"), &Focus::default()).await;
    let error = seen.unwrap_err();
    assert_eq!((error.class, error.operation.as_str()), (ErrorClass::Unknown, "DescribeCluster"));
    server.abort();
}

const ASSUMED: &str = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>\
    <Credentials><AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>\
    <SessionToken>token</SessionToken><Expiration>2126-11-24T09:00:00Z</Expiration></Credentials>\
    </AssumeRoleResult></AssumeRoleResponse>";

#[tokio::test]
async fn a_token_of_the_provider_is_taken_by_the_authenticator() {
    let stage = Stage::new().await;
    stage.active().await;
    let role = stage.target.role_arn.clone();
    let entry = AccessEntryRequest {
        principal_arn: role.clone(),
        groups: BTreeSet::from(["tenantfleet.dev:controllers".to_owned()]),
        policies: vec![],
        tags: tags(&stage.target),
    };
    let part = Part::AccessEntry(role);
    stage.run(EksAction::CreateAccessEntry(entry), absent(&part)).await.unwrap();
    let token = stage.provider.token(&stage.target).await.unwrap();
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token.secret},
    });
    let name = &stage.target.cluster_name;
    let path = format!("/_emulator/clusters/{ACCOUNT}/{REGION}/{name}/token");
    let answer = stage.control(&path, &review).await;
    assert_eq!(answer["status"]["authenticated"], true, "{answer}");
    let groups = answer["status"]["user"]["groups"].as_array().unwrap();
    assert!(groups.contains(&json!("tenantfleet.dev:controllers")), "{answer}");
}
