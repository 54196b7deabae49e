//! Rollouts by the command line, on a real API server that has fleet's kinds and no controller: every change of the
//! world is the test's own.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so by panicking")]

use std::{fs, path::PathBuf, process::Command, time::Duration};

use fleet_api::{
    labels,
    v1alpha1::{Approval, Rollout, RolloutMember, Run, Tenant, TenantCluster, definitions},
};
use fleet_exec::hub::{self, ApplyOptions};
use kube::{
    Api, Client, Config, Resource,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use local_control_plane::{Minor, test_support::TestControlPlane};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A management cluster without a controller, and files for two people.
struct World {
    _plane: TestControlPlane,
    client: Client,
    dir: tempfile::TempDir,
}

/// What a command printed, and its exit code.
struct Said {
    out: String,
    err: String,
    code: i32,
}

impl World {
    async fn start() -> Self {
        let plane = TestControlPlane::start(Minor::V1_36).await.expect("a control plane starts");
        let text = plane.control_plane.admin_kubeconfig();
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("admin.kubeconfig"), &text).unwrap();
        let config = Kubeconfig::from_yaml(&text).unwrap();
        // The same credentials under another name: the API server takes them for jane.
        let mut jane = config.clone();
        for user in &mut jane.auth_infos {
            let info = user.auth_info.get_or_insert_default();
            info.impersonate = Some("jane".to_owned());
            info.impersonate_groups = Some(vec!["system:masters".to_owned()]);
        }
        fs::write(dir.path().join("jane.kubeconfig"), serde_yaml::to_string(&jane).unwrap()).unwrap();
        let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await.unwrap();
        let client = Client::try_from(config).unwrap();
        let options = ApplyOptions::new(labels::CLI_MANAGER);
        for definition in definitions() {
            hub::apply(&client, &serde_json::to_value(&definition).unwrap(), &options).await.unwrap();
        }
        let world = Self { _plane: plane, client, dir };
        let mut tries = 0;
        while hub::inventory(&world.client).await.is_err() || world.list::<Rollout>().await.is_none() {
            tries += 1;
            assert!(tries < 300, "every kind is served within a minute");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        world
    }

    async fn list<K>(&self) -> Option<Vec<K>>
    where
        K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
    {
        Api::<K>::all(self.client.clone()).list(&ListParams::default()).await.ok().map(|list| list.items)
    }

    async fn create<K>(&self, object: Value) -> K
    where
        K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + serde::Serialize,
    {
        let object: K = serde_json::from_value(object).unwrap();
        Api::<K>::all(self.client.clone()).create(&PostParams::default(), &object).await.unwrap()
    }

    async fn status<K>(&self, name: &str, status: Value)
    where
        K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
    {
        let patch = Patch::Merge(json!({ "status": status }));
        let api: Api<K> = Api::all(self.client.clone());
        api.patch_status(name, &PatchParams::default(), &patch).await.unwrap();
    }

    async fn rollout(&self) -> Rollout {
        Api::all(self.client.clone()).get("up").await.unwrap()
    }

    async fn member(&self, tenant: &str) -> RolloutMember {
        Api::all(self.client.clone()).get(&format!("up.{tenant}")).await.unwrap()
    }

    /// A tenant at 1.35 that may be disturbed at any time, with its cluster.
    async fn tenant(&self, name: &str, ring: &str) {
        self.create::<Tenant>(json!({
            "apiVersion": "tenantfleet.dev/v1alpha1", "kind": "Tenant",
            "metadata": {"name": name, "labels": {"ring": ring}},
            "spec": {"owner": {"team": "t", "contact": "c"}, "class": "eks-standard"},
        }))
        .await;
        self.create::<TenantCluster>(json!({
            "apiVersion": "tenantfleet.dev/v1alpha1", "kind": "TenantCluster", "metadata": {"name": name},
            "spec": {
                "tenant": name, "tenantUid": "u", "owner": {"team": "t", "contact": "c"}, "class": "eks-standard",
                "clusterName": name, "version": "1.35", "hardening": {"baseline": "standard", "namespaces": [name]},
            },
        }))
        .await;
        self.status::<TenantCluster>(
            name,
            json!({"versions": {"controlPlane": "1.35", "createdAt": "1.35"}}),
        )
        .await;
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs a command as somebody; `@NAME` is a file of the test.
    fn fleet_as(&self, who: &str, line: &str) -> Said {
        let words = line.split_whitespace().map(|word| match word.strip_prefix('@') {
            Some(name) => self.path(name).display().to_string(),
            None => word.to_owned(),
        });
        let output = Command::new(env!("CARGO_BIN_EXE_fleet"))
            .args(words)
            .env_clear()
            .env("HOME", self.dir.path())
            .env("KUBECONFIG", self.path(&format!("{who}.kubeconfig")))
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Said { out: text(output.stdout), err: text(output.stderr), code: output.status.code().unwrap() }
    }

    fn fleet(&self, line: &str) -> Said {
        self.fleet_as("admin", line)
    }
}

impl Said {
    /// The exit code and a part of what was printed.
    #[track_caller]
    fn is(&self, code: i32, part: &str) -> &Self {
        let Self { out, err, code: was } = self;
        assert_eq!(*was, code, "stdout:\n{out}\nstderr:\n{err}");
        assert!(out.contains(part) || err.contains(part), "no `{part}` in stdout:\n{out}\nstderr:\n{err}");
        self
    }
}

fn spec(name: &str) -> String {
    let wave = |ring: &str, before: Value| {
        json!({
            "name": ring, "selector": {"labels": {"matchLabels": {"ring": ring}}}, "before": before,
            "maxFailures": 1, "minSuccesses": 1,
        })
    };
    let votes = json!([{"name": "sign-off", "approval": {"roles": ["security"]}}]);
    json!({
        "apiVersion": "tenantfleet.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": name},
        "spec": {"target": {"kubernetes": "1.36"}, "waves": [wave("first", json!([])), wave("second", votes)]},
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_is_planned_started_and_steered() {
    let world = World::start().await;
    world
        .create::<fleet_api::v1alpha1::Fleet>(json!({
            "apiVersion": "tenantfleet.dev/v1alpha1", "kind": "Fleet", "metadata": {"name": "fleet"},
            "spec": {"approvers": [{"name": "security", "groups": ["system:masters"]}]},
        }))
        .await;
    for (name, ring) in [("acme", "first"), ("globex", "first"), ("initech", "second")] {
        world.tenant(name, ring).await;
    }
    fs::write(world.path("up.yaml"), spec("up")).unwrap();
    world.fleet("rollout status").is(1, "no rollout is under way");
    world
        .fleet("rollout plan -f @up.yaml --out @plan.yaml --html @plan.html")
        .is(0, "3 members to Kubernetes 1.36 in 2 waves");
    assert!(fs::read_to_string(world.path("plan.html")).unwrap().contains("<svg"));

    // A plan is started only in the fleet that it was made for.
    world.tenant("umbrella", "second").await;
    world
        .fleet("rollout start --plan @plan.yaml --yes")
        .is(1, "umbrella takes part now, and the plan has no slot");
    assert!(world.list::<Rollout>().await.unwrap().is_empty(), "nothing was written");
    let tenants: Api<Tenant> = Api::all(world.client.clone());
    tenants.delete("umbrella", &DeleteParams::default()).await.unwrap();
    world.fleet("rollout start --plan @plan.yaml").is(2, "confirm it with `--yes`");
    world.fleet("rollout start --plan @plan.yaml --yes").is(0, "rollout/up started with 3 members");
    let rollout = world.rollout().await;
    assert_eq!(rollout.spec.run, Run::Running);
    let uid = rollout.metadata.uid.clone().unwrap();
    let members: Vec<RolloutMember> = world.list().await.unwrap();
    assert_eq!(members.len(), 3);
    for member in &members {
        assert_eq!(member.metadata.owner_references.as_ref().unwrap()[0].uid, uid);
        assert_eq!(member.metadata.labels.as_ref().unwrap()[labels::ROLLOUT], "up");
    }

    // Again, and after a crash that left a member out, it comes to the same.
    world.fleet("rollout start --plan @plan.yaml --yes").is(0, "was started already");
    let api: Api<RolloutMember> = Api::all(world.client.clone());
    api.delete("up.globex", &DeleteParams::default()).await.unwrap();
    let said = world.fleet("rollout start --plan @plan.yaml --yes -o json");
    let told: Value = serde_json::from_str(&said.is(0, "RolloutStarted").out).unwrap();
    assert_eq!((&told["created"], &told["members"]), (&json!(1), &json!(3)));

    // No other rollout gets its tenants.
    fs::write(world.path("other.yaml"), spec("other")).unwrap();
    world
        .fleet("rollout plan -f @other.yaml")
        .is(2, "acme, globex, initech are in rollout up, which is not over");

    world.fleet("rollout pause").is(0, "rollout/up paused");
    assert_eq!(world.rollout().await.spec.run, Run::Paused);
    world.fleet("rollout resume").is(0, "rollout/up resumed");
    assert_eq!(world.rollout().await.spec.run, Run::Running);

    votes(&world).await;
    failures(&world).await;
    ways_back(&world).await;

    world.fleet("rollout abort").is(2, "confirm it with `--yes`");
    world.fleet("rollout abort --yes").is(0, "rollout/up aborted");
    assert_eq!(world.rollout().await.spec.run, Run::Aborted);
    world.status::<Rollout>("up", json!({"phase": "Aborted", "endedAt": "2026-11-24T12:00:00Z"})).await;
    world.fleet("rollout history").is(0, "aborted");
    world.fleet("rollout pause up").is(1, "rollout `up` is over");
    after_the_end(&world).await;
}

/// What has moved may go back after the end as well, and what could not is tried again.
async fn after_the_end(world: &World) {
    world.fleet("rollout status").is(1, "no rollout is under way; this one ended last").is(1, "aborted");
    world.fleet("rollout retry acme --rollout up").is(1, "`fleet rollout rollback --rollout up`");
    let stuck =
        json!({"state": "Failed", "message": "cannot go back", "backStartedAt": "2026-11-24T13:00:00Z"});
    world.status::<RolloutMember>("up.acme", stuck.clone()).await;
    world
        .fleet("rollout rollback acme --rollout up --yes")
        .is(1, "tried again with `fleet rollout retry acme --rollout up`");
    world.fleet("rollout retry acme --rollout up").is(0, "acme is to be tried again");
    assert!(world.member("acme").await.spec.rollback);
    let soaking = json!({"state": "Soaking", "message": "soaks", "backStartedAt": null});
    world.status::<RolloutMember>("up.acme", soaking).await;
    world.fleet("rollout rollback acme --yes").is(1, "name one that is over with `--rollout NAME`");
    world.fleet("rollout status up -o wide").is(1, "ROLL BACK UNTIL").is(1, "2126-01-08");
    world.fleet("rollout rollback --rollout up --yes").is(0, "acme is to be rolled back");
    assert_eq!(world.rollout().await.spec.run, Run::RollingBack);
    world.status::<Rollout>("up", json!({"phase": "RolledBack"})).await;
    world.status::<RolloutMember>("up.acme", stuck).await;
    world.fleet("rollout skip acme --rollout up").is(1, "rollout `up` is over");
    world.fleet("rollout retry acme --rollout up").is(0, "acme is to be tried again");
}

/// Votes: only while the gate can open, never by the author, once.
async fn votes(world: &World) {
    world.fleet_as("jane", "rollout approve --gate sing-off").is(1, "did you mean `sign-off`?");
    world
        .fleet_as("jane", "rollout approve --gate sign-off")
        .is(1, "cannot open yet: wave first has not passed");
    let waves = |since: &str| {
        let gate = json!({"name": "sign-off", "openableSince": since, "message": "0 of 1 approvals"});
        json!([
            {"name": "first", "passedAt": "2026-11-24T12:00:00Z"},
            {"name": "second", "gates": [gate]},
        ])
    };
    let openable = waves("2026-11-24T12:00:00Z");
    world
        .status::<Rollout>("up", json!({"phase": "WaitingForGate", "wave": "second", "waves": openable}))
        .await;
    world
        .fleet("rollout approve --gate sign-off")
        .is(1, "you started rollout `up`, so you have no vote on it");
    world
        .fleet_as("jane", "rollout approve --gate sign-off --role platform")
        .is(1, "does not ask for the role `platform`");
    world.fleet_as("jane", "rollout approve --gate sign-off -m looked-at-it").is(0, "for this plan alone");
    let approvals: Vec<Approval> = world.list().await.unwrap();
    assert_eq!(approvals.len(), 1);
    assert_eq!(approvals[0].spec.approver, "jane");
    assert_eq!(approvals[0].spec.plan_hash, world.rollout().await.spec.plan_hash);
    world.fleet_as("jane", "rollout approve --gate sign-off").is(1, "you have voted on this gate already");
    // A gate that can open anew needs a vote anew, and an earlier one does not stand in its way.
    let anew = waves(&(jiff::Timestamp::now() + jiff::SignedDuration::from_secs(2)).to_string());
    world.status::<Rollout>("up", json!({"phase": "WaitingForGate", "wave": "second", "waves": anew})).await;
    world.fleet_as("jane", "rollout approve --gate sign-off").is(0, "for this plan alone");
    let again: Vec<Approval> = world.list().await.unwrap();
    assert_eq!(again.len(), 1);
    assert_ne!(again[0].metadata.uid, approvals[0].metadata.uid);
    world.fleet("rollout status").is(0, "waiting for a gate").is(0, "before second");
}

/// Failures are looked at before a rollout goes on.
async fn failures(world: &World) {
    let failed = json!({"state": "Failed", "attempt": 1, "message": "it did not arrive within 6h", "startedAt": "2026-11-24T12:00:00Z"});
    world.status::<RolloutMember>("up.acme", failed).await;
    world.status::<Rollout>("up", json!({"phase": "Stopped"})).await;
    world.fleet("rollout status").is(1, "stopped").is(1, "it did not arrive within 6h");
    world.fleet("why acme").is(1, "in rollout up to Kubernetes 1.36 (stopped), wave first: Failed");
    world.fleet("rollout resume").is(1, "has 1 failure that nobody has said to have looked at");
    world.fleet("rollout resume --acknowledge-failures").is(0, "rollout/up resumed");
    assert_eq!(world.member("acme").await.spec.acknowledged, Some(1));
    world.fleet("rollout retry globex").is(1, "globex is Pending: only a member that failed is tried again");
    world.fleet("rollout retry acme").is(0, "acme is to be tried again");
    assert!(world.member("acme").await.spec.retry.is_some());
    world.fleet("rollout skip initch").is(1, "did you mean `initech`?");
    world.fleet("rollout skip initech").is(0, "initech is to be skipped");
    assert!(world.member("initech").await.spec.skip);
}

/// What has moved goes back, as long as EKS allows it.
async fn ways_back(world: &World) {
    world.fleet("rollout rollback globex --yes").is(1, "it has not moved");
    let long_ago = json!({
        "state": "Succeeded", "startedAt": "2026-01-01T12:00:00Z", "rollbackUntil": "2026-01-08T12:00:00Z",
    });
    world.status::<RolloutMember>("up.globex", long_ago).await;
    world
        .fleet("rollout rollback globex --yes")
        .is(1, "EKS rolls back within 7 days, and they ended at 2026-01-08");
    world.fleet("rollout skip globex").is(1, "globex is Succeeded");
    let lately = json!({"state": "Soaking", "rollbackUntil": "2126-01-08T12:00:00Z"});
    world.status::<RolloutMember>("up.acme", lately).await;
    world.fleet("rollout rollback --wave third --yes").is(1, "its waves are first, second");
    world.fleet("rollout rollback --wave first --yes").is(0, "acme is to be rolled back").is(0, "globex");
    assert!(world.member("acme").await.spec.rollback);
    assert!(!world.member("globex").await.spec.rollback);
    assert_eq!(world.rollout().await.spec.run, Run::Running);
}
