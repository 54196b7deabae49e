//! An emulator, a provider that reaches it, and the steps of a small cluster.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test file uses its share of the support, and support may fail the test"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sdk_eks::config::retry::RetryConfig;
use eks_emulator::{Backend, Config, Durations, Emulator, Running, Seed, Work};
use fleet_api::{
    KubernetesVersion,
    eks::{
        AddonRequest, ClusterTarget, CreateClusterRequest, EksAction, EksClusterStatus, EksObservation,
        EksUpdateStatus, Focus, LaunchTemplateRequest, NodegroupRequest, Part, PartStatus,
    },
    labels, names,
    step::{Action, Expectation, Outcome, Seen, Step},
    v1alpha1::{EksLogType, NodeScaling, SupportType},
};
use fleet_provider::{ClusterProvider, ErrorClass, ProviderError};
use fleet_provider_eks::{EksProvider, Rate, policy};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub(crate) const ACCOUNT: &str = "111122223333";
pub(crate) const REGION: &str = "eu-central-1";

/// A running emulator and a provider that reaches it. The manager's role may do what the IAM policy says, and
/// nothing else.
pub(crate) struct Stage {
    emulator: Running,
    _state: TempDir,
    pub(crate) provider: EksProvider,
    pub(crate) target: ClusterTarget,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::without_rights(&[]).await
    }

    /// The manager's role lacks some actions of its policy.
    pub(crate) async fn without_rights(denied: &[&str]) -> Self {
        let state = tempfile::tempdir().unwrap();
        let config = Config {
            seed: seed_with_policy(denied),
            durations: durations(),
            backend: Backend::None,
            ..Config::new(state.path()).unwrap()
        };
        let emulator = Emulator::start(config).await.unwrap();
        let provider = provider_at(&emulator.endpoint_url()).await;
        Self { emulator, _state: state, provider, target: target("acme", "uid-1") }
    }

    pub(crate) async fn run(
        &self,
        action: EksAction,
        expects: Expectation,
    ) -> Result<Outcome, ProviderError> {
        self.run_as(&self.target, action, expects).await
    }

    pub(crate) async fn run_as(
        &self,
        target: &ClusterTarget,
        action: EksAction,
        expects: Expectation,
    ) -> Result<Outcome, ProviderError> {
        self.provider.carry_out(target, &step(target, action, expects, 1)).await
    }

    pub(crate) async fn observe(&self, focus: &Focus) -> EksObservation {
        self.provider.observe(&self.target, focus).await.unwrap()
    }

    /// Looks until what is seen is as wanted, and moves the emulator's clock on between looks.
    pub(crate) async fn until(
        &self,
        focus: &Focus,
        what: &str,
        wanted: impl Fn(&EksObservation) -> bool,
    ) -> EksObservation {
        let mut last = None;
        for _ in 0..10 {
            let seen = self.observe(focus).await;
            if wanted(&seen) {
                return seen;
            }
            last = Some(seen);
            self.control("/_emulator/clock", &json!({"advanceSeconds": 7})).await;
        }
        panic!("never seen: {what}; last seen: {last:#?}");
    }

    /// Makes the cluster and waits for it.
    pub(crate) async fn active(&self) -> EksObservation {
        self.run(create_cluster(&self.target), Expectation::ClusterAbsent).await.unwrap();
        self.until(&Focus::default(), "an active cluster", |seen| {
            status(seen) == Some(EksClusterStatus::Active)
        })
        .await
    }

    /// Waits for the update of an outcome, and returns how it ended.
    pub(crate) async fn finished(&self, outcome: Outcome, part: Option<Part>) -> EksUpdateStatus {
        let focus = Focus {
            update_id: Some(outcome.update_id.unwrap()),
            update_part: part.map(|part| part.to_string()),
            ..Focus::default()
        };
        let ended = |seen: &EksObservation| {
            seen.update.present().is_some_and(|update| update.status != EksUpdateStatus::InProgress)
        };
        let seen = self.until(&focus, "the end of an update", ended).await;
        seen.update.present().unwrap().status.clone()
    }

    /// Plans a fault.
    pub(crate) async fn fault(&self, fault: Value) {
        self.control("/_emulator/faults", &fault).await;
    }

    /// Posts to the control API and returns the answer.
    pub(crate) async fn control(&self, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let mut stream = TcpStream::connect(self.emulator.address()).await.unwrap();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 2"), "{answer}");
        serde_json::from_str(body).unwrap_or(Value::Null)
    }
}

/// A provider that is sent to `url` for everything and gives up quickly.
pub(crate) async fn provider_at(url: &str) -> EksProvider {
    EksProvider::new(ambient_at(url).await, Rate { per_second: 500.0, burst: 500.0 }).unwrap()
}

/// The controller's keys, at `url`.
pub(crate) async fn ambient_at(url: &str) -> SdkConfig {
    let keys = Credentials::new(
        "AKIAFLEETCONTROLLER0",
        "sandbox-controller-secret-key-00000000000",
        None,
        None,
        "test",
    );
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::from_static(REGION))
        .endpoint_url(url)
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .retry_config(
            RetryConfig::standard().with_max_attempts(4).with_initial_backoff(Duration::from_millis(20)),
        )
        .load()
        .await
}

/// Long enough for nothing to happen by itself in a test, and short beside the five minutes that a signature may
/// be off the emulator's clock.
fn durations() -> Durations {
    [
        Work::ClusterCreate,
        Work::ClusterDelete,
        Work::ClusterConfig,
        Work::ClusterUpgrade,
        Work::NodegroupCreate,
        Work::NodegroupUpdate,
        Work::NodegroupDelete,
        Work::AddonCreate,
        Work::AddonUpdate,
        Work::AddonDelete,
    ]
    .into_iter()
    .fold(Durations::instant(), |durations, work| durations.with(work, jiff::SignedDuration::from_secs(20)))
}

/// The builtin seed, in which the manager's roles may do what the policy allows less `denied`.
fn seed_with_policy(denied: &[&str]) -> Seed {
    let mut seed = serde_json::to_value(Seed::builtin().unwrap()).unwrap();
    let policy = policy::manager_policy();
    let allow: Vec<&Value> = policy["Statement"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|statement| statement["Action"].as_array().unwrap())
        .filter(|action| !denied.contains(&action.as_str().unwrap()))
        .collect();
    for account in seed["accounts"].as_object_mut().unwrap().values_mut() {
        if let Some(role) = account["roles"].get_mut("fleet-manager") {
            role["allow"] = json!(allow);
        }
    }
    serde_json::from_value(seed).unwrap()
}

pub(crate) fn target(tenant: &str, owner_uid: &str) -> ClusterTarget {
    ClusterTarget {
        owner_uid: owner_uid.to_owned(),
        tenant: tenant.to_owned(),
        cluster_name: format!("{tenant}-0a1b2c3d"),
        account: ACCOUNT.to_owned(),
        region: REGION.to_owned(),
        role_arn: format!("arn:aws:iam::{ACCOUNT}:role/fleet-manager"),
        external_id: "external-id-of-the-class".to_owned(),
    }
}

pub(crate) fn step(target: &ClusterTarget, action: EksAction, expects: Expectation, attempt: i32) -> Step {
    let hash = names::content_hash(&(&action, attempt)).unwrap();
    let id = format!("{}/{}", action.part(), action.operation());
    Step {
        token: names::client_token(&target.owner_uid, &id, &hash),
        id,
        summary: String::new(),
        action: Action::Eks(action),
        expects,
        disruptive: false,
        expected_minutes: 1,
        attempt,
    }
}

pub(crate) fn minor(minor: u16) -> KubernetesVersion {
    KubernetesVersion::from_minor(minor)
}

pub(crate) fn tags(target: &ClusterTarget) -> BTreeMap<String, String> {
    BTreeMap::from([
        (labels::TAG_OWNER.to_owned(), target.owner_uid.clone()),
        (labels::TAG_TENANT.to_owned(), target.tenant.clone()),
    ])
}

pub(crate) fn subnets() -> BTreeSet<String> {
    BTreeSet::from(["subnet-0aa000000000000a1".to_owned(), "subnet-0bb000000000000b1".to_owned()])
}

pub(crate) fn create_cluster(target: &ClusterTarget) -> EksAction {
    EksAction::CreateCluster(Box::new(CreateClusterRequest {
        version: minor(35),
        role_arn: format!("arn:aws:iam::{ACCOUNT}:role/eks-cluster"),
        subnet_ids: subnets(),
        security_group_ids: BTreeSet::from(["sg-0aa00000000000001".to_owned()]),
        public_cidrs: BTreeSet::new(),
        service_cidr: Some("10.100.0.0/16".to_owned()),
        kms_key_arn: Some(format!("arn:aws:kms:{REGION}:{ACCOUNT}:key/0a1b2c3d-0000-4000-8000-000000000001")),
        logging: EksLogType::all().into_iter().collect(),
        support_type: SupportType::Extended,
        deletion_protection: false,
        auto_mode: None,
        tags: tags(target),
    }))
}

pub(crate) fn active_at(version: u16) -> Expectation {
    Expectation::Cluster { status: EksClusterStatus::Active, version: minor(version) }
}

pub(crate) fn absent(part: &Part) -> Expectation {
    Expectation::PartAbsent { part: part.to_string() }
}

/// The part as it was seen.
pub(crate) fn as_seen(seen: &EksObservation, part: &Part) -> Expectation {
    let Seen::Present(fingerprint) = seen.part_fingerprint(part) else { panic!("{part} was not seen") };
    Expectation::Part { part: part.to_string(), fingerprint }
}

pub(crate) fn addon(target: &ClusterTarget, name: &str, version: &str) -> AddonRequest {
    AddonRequest {
        name: name.to_owned(),
        version: version.to_owned(),
        configuration: None,
        role_arn: None,
        tags: tags(target),
    }
}

pub(crate) fn launch_template(target: &ClusterTarget) -> LaunchTemplateRequest {
    LaunchTemplateRequest {
        name: format!("{}-workers", target.cluster_name),
        disk_gib: 80,
        bottlerocket: true,
        tags: tags(target),
    }
}

pub(crate) fn nodegroup(target: &ClusterTarget, launch_template: (String, String)) -> NodegroupRequest {
    NodegroupRequest {
        name: "workers".to_owned(),
        version: minor(35),
        ami_type: "BOTTLEROCKET_x86_64".to_owned(),
        instance_types: vec!["m7i.large".to_owned()],
        scaling: NodeScaling { min: 1, max: 3, desired: 2 },
        node_role_arn: format!("arn:aws:iam::{ACCOUNT}:role/eks-node"),
        subnet_ids: subnets(),
        labels: BTreeMap::from([("pool".to_owned(), "workers".to_owned())]),
        taints: Vec::new(),
        remove_labels: BTreeSet::new(),
        remove_taints: Vec::new(),
        launch_template,
        max_unavailable_percent: 33,
        tags: tags(target),
    }
}

/// The offer of an add-on that is the default of a minor.
pub(crate) fn default_version(seen: &EksObservation, name: &str, version: u16) -> String {
    let offers = &seen.addon_offers[name];
    offers.iter().find(|offer| offer.default_for.contains(&minor(version))).unwrap().version.clone()
}

pub(crate) fn status(seen: &EksObservation) -> Option<EksClusterStatus> {
    seen.cluster.present().map(|cluster| cluster.status.clone())
}

pub(crate) fn addon_status(seen: &EksObservation, name: &str) -> Option<PartStatus> {
    seen.addons.present()?.iter().find(|addon| addon.name == name).map(|addon| addon.status.clone())
}

pub(crate) fn nodegroup_status(seen: &EksObservation) -> Option<PartStatus> {
    seen.nodegroups.present()?.first().map(|group| group.status.clone())
}

pub(crate) fn class<T: std::fmt::Debug>(result: Result<T, ProviderError>) -> ErrorClass {
    result.unwrap_err().class
}
