//! The admission policies of the management cluster, on a real API server: whose votes, whose rollouts, whose moves.

use fleet_api::v1alpha1::{Approval, Rollout, RolloutMember, TenantCluster};
use k8s_openapi::{
    api::rbac::v1::{ClusterRoleBinding, RoleRef, Subject},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, Config,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::support::{Hub, config, until};

/// A client as a user with groups, who may do anything that RBAC can say.
fn client_as(config: &Config, user: &str, groups: &[&str]) -> Client {
    let mut config = config.clone();
    config.auth_info.impersonate = Some(user.to_owned());
    let mut all: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
    all.extend(["people".to_owned(), "system:authenticated".to_owned()]);
    config.auth_info.impersonate_groups = Some(all);
    Client::try_from(config).unwrap()
}

async fn let_people_in(hub: &Hub) {
    let binding = ClusterRoleBinding {
        metadata: ObjectMeta { name: Some("people".to_owned()), ..ObjectMeta::default() },
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".to_owned(),
            kind: "ClusterRole".to_owned(),
            name: "cluster-admin".to_owned(),
        },
        subjects: Some(vec![Subject {
            kind: "Group".to_owned(),
            name: "people".to_owned(),
            api_group: Some("rbac.authorization.k8s.io".to_owned()),
            namespace: None,
        }]),
    };
    Api::<ClusterRoleBinding>::all(hub.admin.clone()).create(&PostParams::default(), &binding).await.unwrap();
}

fn vote(name: &str, approver: &str, role: &str) -> Approval {
    serde_json::from_value(json!({
        "apiVersion": "tenantfleet.dev/v1alpha1", "kind": "Approval", "metadata": { "name": name },
        "spec": { "rollout": "to-136", "gate": "go", "planHash": "0".repeat(64), "role": role, "approver": approver },
    }))
    .unwrap()
}

/// A rollout of one wave, by an author.
pub(crate) fn rollout(author: &str, wave: &Value) -> Rollout {
    serde_json::from_value(json!({
        "apiVersion": "tenantfleet.dev/v1alpha1", "kind": "Rollout", "metadata": { "name": "to-136" },
        "spec": {
            "target": { "kubernetes": "1.36" }, "waves": [wave], "author": author, "planHash": "0".repeat(64),
            "run": "Running", "plannedMembers": 1,
        },
    }))
    .unwrap()
}

/// What the API server says: `None` when it takes it.
async fn refusal<K>(client: &Client, object: &K) -> Option<String>
where
    K: kube::Resource<DynamicType = ()>
        + serde::Serialize
        + Clone
        + serde::de::DeserializeOwned
        + std::fmt::Debug,
{
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    match Api::<K>::all(client.clone()).create(&dry, object).await {
        Ok(_) => None,
        Err(kube::Error::Api(status)) => Some(status.message.clone()),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vote_is_given_in_ones_own_name_and_in_a_role_that_one_has() {
    let hub = Hub::start().await;
    let_people_in(&hub).await;
    let base = config(&hub.plane.control_plane.admin_kubeconfig()).await;
    let ann = client_as(&base, "ann", &["sre"]);
    let bob = client_as(&base, "bob", &[]);
    // Without a Fleet nobody has a role. The policies take a moment until they are in force.
    until("votes without a fleet are refused", || async {
        refusal(&ann, &vote("v", "ann", "operations")).await
    })
    .await;
    hub.apply(
        "apiVersion: tenantfleet.dev/v1alpha1\nkind: Fleet\nmetadata: {name: fleet}\nspec:\n  approvers:\n  - {name: operations, groups: [sre]}\n  - {name: security, users: [bob]}\n",
    )
    .await;
    until("the roles are known", || async {
        refusal(&ann, &vote("v", "ann", "operations")).await.is_none().then_some(())
    })
    .await;
    let table = [
        (&ann, "ann", "operations", None),
        (&bob, "bob", "security", None),
        (&ann, "bob", "security", Some("own name")),
        (&bob, "bob", "operations", Some("a role that one has")),
        (&ann, "ann", "security", Some("a role that one has")),
        (&ann, "ann", "release", Some("a role that one has")),
    ];
    for (who, approver, role, refused) in table {
        let said = refusal(who, &vote("v", approver, role)).await;
        match refused {
            None => assert_eq!(said, None, "{approver} as {role}"),
            Some(why) => {
                assert!(said.as_deref().is_some_and(|said| said.contains(why)), "{approver} {role}: {said:?}")
            }
        }
    }
    // The admin of the cluster is somebody as well.
    assert!(refusal(&hub.admin, &vote("v", "ann", "operations")).await.is_some());
    hub.fleets().delete("fleet", &DeleteParams::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_has_its_author_and_a_move_comes_from_the_controller_alone() {
    let hub = Hub::start().await;
    let_people_in(&hub).await;
    let base = config(&hub.plane.control_plane.admin_kubeconfig()).await;
    let ann = client_as(&base, "ann", &[]);
    let wave = json!({ "name": "all", "selector": {} });
    let said = until("authors are judged", || async { refusal(&ann, &rollout("bob", &wave)).await }).await;
    assert!(said.contains("own name"), "{said}");
    assert_eq!(refusal(&ann, &rollout("ann", &wave)).await, None);

    let cluster: TenantCluster = serde_json::from_value(json!({
        "apiVersion": "tenantfleet.dev/v1alpha1", "kind": "TenantCluster", "metadata": { "name": "acme" },
        "spec": {
            "tenant": "acme", "tenantUid": "u", "owner": { "team": "t", "contact": "t@acme.example" }, "class": "eks",
            "clusterName": "acme-12345678", "version": "1.35", "hardening": { "baseline": "standard", "namespaces": ["acme"] },
        },
    }))
    .unwrap();
    hub.clusters().create(&PostParams::default(), &cluster).await.unwrap();
    let wanted = json!({
        "apiVersion": "tenantfleet.dev/v1alpha1", "kind": "TenantCluster", "metadata": { "name": "acme" },
        "spec": { "rollout": {
            "rollout": "to-136", "rolloutUid": "r", "seq": 2, "id": "m-1", "stage": "Go", "version": "1.36",
        } },
    });
    let set = |client: Client, wanted: Value| async move {
        let api: Api<TenantCluster> = Api::all(client);
        let answer = api.patch("acme", &PatchParams::apply("test").force(), &Patch::Apply(&wanted)).await;
        match answer {
            Ok(_) => None,
            Err(kube::Error::Api(status)) => Some(status.message.clone()),
            Err(other) => panic!("{other}"),
        }
    };
    let said = until("moves are judged", || async {
        let said = set(ann.clone(), wanted.clone()).await;
        if said.is_none() {
            // The policy was not in force yet: take it back and try again.
            let without = json!({ "spec": { "rollout": null } });
            let _ = hub.clusters().patch("acme", &PatchParams::default(), &Patch::Merge(&without)).await;
        }
        said
    })
    .await;
    assert!(said.contains("by fleet's controller alone"), "{said}");
    let controller = Client::try_from(hub.controller.clone()).unwrap();
    assert_eq!(set(controller.clone(), wanted.clone()).await, None);
    // People go on editing the rest, and cannot take the move away.
    let label = json!({ "metadata": { "labels": { "ring": "canary" } } });
    let api: Api<TenantCluster> = Api::all(ann.clone());
    api.patch("acme", &PatchParams::default(), &Patch::Merge(&label)).await.unwrap();
    let without = json!({ "spec": { "rollout": null } });
    assert!(api.patch("acme", &PatchParams::default(), &Patch::Merge(&without)).await.is_err());
    // An older decision of the same rollout does not replace a newer one.
    let mut older = wanted;
    older["spec"]["rollout"]["seq"] = json!(1);
    let said = set(controller, older).await.unwrap();
    assert!(said.contains("a newer decision of the rollout stands"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_is_what_its_plan_says_and_stays_once_it_has_taken_part() {
    let hub = Hub::start().await;
    let_people_in(&hub).await;
    let base = config(&hub.plane.control_plane.admin_kubeconfig()).await;
    let ann = client_as(&base, "ann", &[]);
    let members: Api<RolloutMember> = Api::all(ann.clone());
    let member = |name: &str| -> RolloutMember {
        serde_json::from_value(json!({
            "apiVersion": "tenantfleet.dev/v1alpha1", "kind": "RolloutMember", "metadata": { "name": name },
            "spec": {
                "rollout": "to-136", "tenant": name, "cluster": name, "clusterUid": "c", "wave": "all", "from": "1.35",
                "slot": "2026-01-02T00:00:00Z",
            },
        }))
        .unwrap()
    };
    for name in ["idle", "taken"] {
        members.create(&PostParams::default(), &member(name)).await.unwrap();
    }
    let merge = |spec: Value| {
        let members = members.clone();
        async move {
            let patch = Patch::Merge(json!({ "spec": spec }));
            members.patch("idle", &PatchParams::default(), &patch).await.map(drop).map_err(|e| e.to_string())
        }
    };
    for fixed in [
        json!({ "slot": "2026-01-01T00:00:00Z" }),
        json!({ "slot": "2026-01-03T00:00:00Z" }),
        json!({ "from": "1.34" }),
        json!({ "wave": "other" }),
    ] {
        let said = merge(fixed.clone()).await.unwrap_err();
        assert!(said.contains("a member is what its plan says"), "{fixed}: {said}");
    }
    merge(json!({ "notBefore": "2026-01-03T00:00:00Z", "skip": true, "acknowledged": 1 })).await.unwrap();

    let entries = Patch::Merge(json!({ "status": { "entries": 1 } }));
    let own: Api<RolloutMember> = Api::all(hub.admin.clone());
    own.patch_status("taken", &PatchParams::default(), &entries).await.unwrap();
    let dry = DeleteParams { dry_run: true, ..DeleteParams::default() };
    let said = until("deletions are judged", || async {
        members.delete("taken", &dry).await.err().map(|error| error.to_string())
    })
    .await;
    assert!(said.contains("part of its rollout's books"), "{said}");
    members.delete("idle", &dry).await.unwrap();
    let collector = client_as(&base, "system:serviceaccount:kube-system:generic-garbage-collector", &[]);
    Api::<RolloutMember>::all(collector).delete("taken", &dry).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_plan_is_edited_once_it_is_stored() {
    let hub = Hub::start().await;
    let_people_in(&hub).await;
    let base = config(&hub.plane.control_plane.admin_kubeconfig()).await;
    let ann = client_as(&base, "ann", &[]);
    let rollouts: Api<Rollout> = Api::all(ann.clone());
    let mut stored = rollout("ann", &json!({ "name": "all", "selector": {} }));
    stored.spec.run = fleet_api::v1alpha1::Run::Planned;
    rollouts.create(&PostParams::default(), &stored).await.unwrap();
    for fixed in [
        json!({ "holdNodes": "48h" }),
        json!({ "stepDeadline": "7h" }),
        json!({ "offlineAfter": "2h" }),
        json!({ "members": { "tenants": ["acme"] } }),
        json!({ "plannedMembers": 2 }),
        json!({ "target": { "kubernetes": "1.37" } }),
    ] {
        let patch = Patch::Merge(json!({ "spec": fixed }));
        let said = rollouts.patch("to-136", &PatchParams::default(), &patch).await.unwrap_err().to_string();
        assert!(said.contains("runs the plan that it was started with"), "{fixed}: {said}");
    }
    let patch = Patch::Merge(json!({ "spec": { "run": "Paused" } }));
    rollouts.patch("to-136", &PatchParams::default(), &patch).await.unwrap();
}
