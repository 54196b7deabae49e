//! The in-memory EKS behaves as the real one does where plans depend on it.
#![expect(clippy::unwrap_used, reason = "helpers of a test may fail it")]

use std::collections::{BTreeMap, BTreeSet};

use fleet_api::{
    KubernetesVersion,
    eks::{
        AddonRequest, ClusterTarget, CreateClusterRequest, EksAction, EksClusterStatus, EksUpdateStatus,
        Focus, PartStatus,
    },
    labels,
    step::{Action, Expectation, Outcome, Seen, Step},
    v1alpha1::SupportType,
};
use fleet_provider::{
    ClusterProvider, ErrorClass, ProviderError,
    fake::{FakeEks, Fault, FaultRule, ManualClock},
};
use jiff::{SignedDuration, Timestamp};

fn target(owner: &str) -> ClusterTarget {
    ClusterTarget {
        owner_uid: owner.to_owned(),
        tenant: "acme".to_owned(),
        cluster_name: "acme-1".to_owned(),
        account: "111122223333".to_owned(),
        region: "eu-central-1".to_owned(),
        role_arn: "arn:aws:iam::111122223333:role/fleet-manager".to_owned(),
        external_id: "x".to_owned(),
    }
}

fn minor(minor: u16) -> KubernetesVersion {
    KubernetesVersion::from_minor(minor)
}

fn tags(owner: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(labels::TAG_OWNER.to_owned(), owner.to_owned())])
}

fn step(action: EksAction, expects: Expectation) -> Step {
    let token = fleet_api::names::client_token("uid", action.operation(), &format!("{action:?}"));
    Step {
        id: action.operation().to_owned(),
        summary: String::new(),
        action: Action::Eks(action),
        expects,
        token,
        disruptive: false,
        expected_minutes: 1,
        attempt: 0,
    }
}

fn create(owner: &str) -> Step {
    let request = CreateClusterRequest {
        version: minor(35),
        role_arn: "arn:aws:iam::111122223333:role/eks-cluster".to_owned(),
        subnet_ids: BTreeSet::from(["subnet-a".to_owned(), "subnet-b".to_owned()]),
        security_group_ids: BTreeSet::new(),
        public_cidrs: BTreeSet::new(),
        service_cidr: None,
        kms_key_arn: None,
        logging: BTreeSet::new(),
        support_type: SupportType::Standard,
        deletion_protection: false,
        auto_mode: None,
        tags: tags(owner),
    };
    step(EksAction::CreateCluster(Box::new(request)), Expectation::ClusterAbsent)
}

fn coredns() -> Step {
    let request = AddonRequest {
        name: "coredns".to_owned(),
        version: "v1.20.4-eksbuild.1".to_owned(),
        configuration: None,
        role_arn: None,
        tags: tags("uid"),
    };
    step(EksAction::CreateAddon(request), Expectation::PartAbsent { part: "addon coredns".to_owned() })
}

struct Scene {
    clock: ManualClock,
    eks: FakeEks,
}

impl Scene {
    fn new() -> Self {
        let clock = ManualClock::at(Timestamp::UNIX_EPOCH);
        Self { eks: FakeEks::new(clock.reader()), clock }
    }

    async fn active() -> Self {
        let scene = Self::new();
        scene.run(&create("uid")).await.unwrap();
        scene.clock.advance(SignedDuration::from_mins(10));
        scene
    }

    async fn run(&self, step: &Step) -> Result<Outcome, ProviderError> {
        self.eks.carry_out(&target("uid"), step).await
    }

    async fn status(&self) -> Option<EksClusterStatus> {
        let seen = self.eks.observe(&target("uid"), &Focus::default()).await.unwrap();
        seen.cluster.present().map(|cluster| cluster.status.clone())
    }
}

fn class<T: std::fmt::Debug>(result: Result<T, ProviderError>) -> ErrorClass {
    result.unwrap_err().class
}

#[tokio::test]
async fn a_cluster_comes_up_with_time_and_not_before() {
    let scene = Scene::new();
    scene.run(&create("uid")).await.unwrap();
    assert_eq!(scene.status().await, Some(EksClusterStatus::Creating));
    scene.clock.advance(SignedDuration::from_mins(10));
    assert_eq!(scene.status().await, Some(EksClusterStatus::Active));
}

#[tokio::test]
async fn a_lost_answer_leaves_one_cluster_and_the_next_try_asks_for_a_new_plan() {
    let scene = Scene::new();
    scene.eks.inject(FaultRule::once("CreateCluster", Fault::CrashAfter));
    assert_eq!(class(scene.run(&create("uid")).await), ErrorClass::Transient);
    assert_eq!(class(scene.run(&create("uid")).await), ErrorClass::WorldMoved);
    assert_eq!(scene.eks.effects().len(), 1);
}

#[tokio::test]
async fn a_stale_read_is_caught_by_the_token() {
    let scene = Scene::new();
    scene.eks.inject(FaultRule::once("CreateCluster", Fault::StaleReads { reads: 2 }));
    scene.run(&create("uid")).await.unwrap();
    assert_eq!(scene.status().await, None);
    scene.run(&create("uid")).await.unwrap();
    assert_eq!(scene.eks.effects().len(), 1);
    assert_eq!(scene.status().await, Some(EksClusterStatus::Creating));
}

#[tokio::test]
async fn a_cluster_of_another_owner_is_left_alone() {
    let scene = Scene::active().await;
    let delete = step(EksAction::DeleteCluster, Expectation::Nothing);
    assert_eq!(class(scene.eks.carry_out(&target("other"), &delete).await), ErrorClass::NotOurs);
}

#[tokio::test]
async fn coredns_waits_for_nodes_as_degraded() {
    let scene = Scene::active().await;
    scene.run(&coredns()).await.unwrap();
    scene.clock.advance(SignedDuration::from_mins(2));
    let seen = scene.eks.observe(&target("uid"), &Focus::default()).await.unwrap();
    let addon = &seen.addons.present().unwrap()[0];
    assert_eq!(addon.status, PartStatus::Degraded);
    assert_eq!(addon.health[0].code, "InsufficientNumberOfReplicas");
}

#[tokio::test]
async fn an_update_is_one_at_a_time_and_is_followed_by_its_id() {
    let scene = Scene::active().await;
    let expects = Expectation::Cluster { status: EksClusterStatus::Active, version: minor(35) };
    let upgrade = step(EksAction::UpdateVersion { from: minor(35), to: minor(36) }, expects);
    scene.eks.inject(FaultRule::once(
        "UpdateClusterVersion",
        Fault::FailedUpdate { code: "IpNotAvailable".to_owned() },
    ));
    let update_id = scene.run(&upgrade).await.unwrap().update_id;
    assert_eq!(class(scene.run(&upgrade).await), ErrorClass::WorldMoved);
    scene.clock.advance(SignedDuration::from_mins(9));
    let focus = Focus { update_id: update_id.clone(), ..Focus::default() };
    let seen = scene.eks.observe(&target("uid"), &focus).await.unwrap();
    let update = seen.update.present().unwrap();
    assert_eq!((Some(&update.id), &update.status), (update_id.as_ref(), &EksUpdateStatus::Failed));
    assert_eq!(seen.cluster.present().unwrap().version, minor(35));
    scene.run(&upgrade).await.unwrap();
    scene.clock.advance(SignedDuration::from_mins(9));
    let seen = scene.eks.observe(&target("uid"), &Focus::default()).await.unwrap();
    assert_eq!(seen.cluster.present().unwrap().version, minor(36));
    assert_eq!(seen.update, Seen::Absent);
}

#[tokio::test]
async fn deleting_what_is_not_there_is_done_already() {
    let scene = Scene::active().await;
    let addon = step(EksAction::DeleteAddon { name: "coredns".to_owned() }, Expectation::Nothing);
    scene.run(&addon).await.unwrap();
    let delete = step(EksAction::DeleteCluster, Expectation::Nothing);
    scene.run(&delete).await.unwrap();
    scene.clock.advance(SignedDuration::from_mins(6));
    assert_eq!(scene.status().await, None);
    scene.run(&delete).await.unwrap();
}
