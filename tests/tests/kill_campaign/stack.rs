//! What a life needs around it: a management cluster, the emulator, and the controller as a process.

use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use fleet_api::v1alpha1::{Tenant, TenantClass, TenantCluster};
use k8s_openapi::api::{coordination::v1::Lease, core::v1::ConfigMap};
use kube::{
    Api, Client, Config, ResourceExt as _,
    api::{DeleteParams, ListParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use local_control_plane::{Controllers, Minor, test_support::TestControlPlane};
use tokio::process::Child;

use crate::emulator::Emulator;

/// The controller's ServiceAccount: its requests are judged by the Roles of the manifests.
const ACCOUNT: &str = "system:serviceaccount:fleet-system:fleet-controller";
const GROUPS: [&str; 3] =
    ["system:serviceaccounts", "system:serviceaccounts:fleet-system", "system:authenticated"];
/// How much of the controller's log a failure shows.
const LOG_LINES: usize = 60;

pub struct Stack {
    /// How often the controller was killed.
    pub kills: usize,
    pub emulator: Emulator,
    client: Client,
    controller: Option<Child>,
    program: PathBuf,
    kubeconfig: PathBuf,
    log: PathBuf,
    // Dropped last: everything else talks to it, and the folder is its own.
    plane: TestControlPlane,
}

impl Stack {
    pub async fn start() -> Self {
        let plane = TestControlPlane::start_with(Minor::V1_36, |spec| spec.controllers = Controllers::None)
            .await
            .unwrap();
        let folder = plane.etcd.dir().to_owned();
        let admin = folder.join("admin.kubeconfig");
        std::fs::write(&admin, plane.control_plane.admin_kubeconfig()).unwrap();
        let kubectl = plane.etcd.assets.kubectl().unwrap().to_owned();
        apply_manifests(&kubectl, &admin);
        let kubeconfig = folder.join("controller.kubeconfig");
        std::fs::write(&kubeconfig, as_controller(&plane.control_plane.admin_kubeconfig())).unwrap();
        let read = Kubeconfig::read_from(&admin).unwrap();
        let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.unwrap();
        let emulator = Emulator::start(&folder.join("emulator"), plane.etcd.endpoint()).await;
        Self {
            kills: 0,
            emulator,
            client: Client::try_from(config).unwrap(),
            controller: None,
            program: controller_program(),
            kubeconfig,
            log: folder.join("controller.log"),
            plane,
        }
    }

    pub fn tenants(&self) -> Api<Tenant> {
        Api::all(self.client.clone())
    }

    pub fn clusters(&self) -> Api<TenantCluster> {
        Api::all(self.client.clone())
    }

    pub fn classes(&self) -> Api<TenantClass> {
        Api::all(self.client.clone())
    }

    pub fn receipts(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), fleet_api::labels::SYSTEM_NAMESPACE)
    }

    /// Applies manifests as the admin.
    pub fn apply(&self, yaml: &str) {
        let folder = self.plane.etcd.dir();
        let file = folder.join("applied.yaml");
        std::fs::write(&file, yaml).unwrap();
        let kubectl = self.plane.etcd.assets.kubectl().unwrap();
        run_kubectl(
            kubectl,
            &folder.join("admin.kubeconfig"),
            &["apply", "--server-side", "-f"],
            Some(&file),
        );
    }

    pub fn start_controller(&mut self) {
        let log = || -> File { OpenOptions::new().create(true).append(true).open(&self.log).unwrap() };
        let mut command = tokio::process::Command::new(&self.program);
        command
            .env_clear()
            .env("KUBECONFIG", &self.kubeconfig)
            .env("AWS_ENDPOINT_URL", self.emulator.url())
            .env("AWS_REGION", "eu-central-1")
            .env("AWS_ACCESS_KEY_ID", "AKIAFLEETCONTROLLER0")
            .env("AWS_SECRET_ACCESS_KEY", "sandbox-controller-secret-key-00000000000")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("FLEET_LISTEN", "127.0.0.1:0")
            .env("FLEET_ALLOW_LOOPBACK", "true")
            .env("FLEET_PACE", "1s")
            .env("FLEET_LEASE_DURATION", "10m")
            .stdin(Stdio::null())
            .stdout(log())
            .stderr(log())
            .kill_on_drop(true);
        self.controller = Some(command.spawn().unwrap());
    }

    /// Kills the controller as a crash would. Its lease goes with it, so that the next one need not wait for its end:
    /// how a lease changes hands is no subject here, and a long one is not lost on a machine that is busy otherwise.
    pub async fn kill_controller(&mut self) {
        self.controller_must_run();
        self.stop_controller().await;
        self.kills += 1;
    }

    /// Ends the controller, if one runs.
    pub async fn stop_controller(&mut self) {
        let Some(mut controller) = self.controller.take() else { return };
        controller.kill().await.unwrap();
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), fleet_api::labels::SYSTEM_NAMESPACE);
        leases.delete("fleet-controller", &DeleteParams::default()).await.unwrap();
    }

    /// A controller that ended by itself is a failure of its own.
    pub fn controller_must_run(&mut self) {
        let ended = self.controller.as_mut().unwrap().try_wait().unwrap();
        assert!(ended.is_none(), "the controller ended: {ended:?}\n{}", self.log_end());
    }

    fn log_end(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    /// For a failure: what the management cluster says of every cluster, what is held, and the controller's last words.
    pub async fn state_of_things(&self) -> String {
        let clusters = self.clusters().list(&ListParams::default()).await.unwrap();
        let mut told = String::new();
        for cluster in clusters {
            let status = cluster.status.clone().unwrap_or_default();
            let conditions: Vec<String> = status
                .conditions
                .iter()
                .map(|one| format!("{}={} ({})", one.type_, one.status, one.message))
                .collect();
            let report: Vec<&str> = status.report.iter().map(|one| one.message.as_str()).collect();
            told += &format!("{}: {conditions:#?} {report:#?}\n", cluster.name_any());
        }
        format!("{told}\nheld: {:?}\n{}", self.emulator.held().await, self.log_end())
    }

    /// Says something on the test's output, which is shown on request.
    pub fn tell(&self, line: String) {
        #[expect(clippy::print_stdout, reason = "the output of a test is captured")]
        {
            println!("{line}");
        }
    }
}

/// The built controller.
fn controller_program() -> PathBuf {
    let root = root();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let program = target.join("debug/fleet-controller");
    assert!(
        program.is_file(),
        "{} is missing; build it with `cargo build --bins -p fleet-controller`",
        program.display()
    );
    program
}

/// The root of the checkout.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Brings what is shipped to the management cluster: definitions first, then namespace and permissions.
fn apply_manifests(kubectl: &Path, kubeconfig: &Path) {
    let deploy = root().join("deploy");
    run_kubectl(kubectl, kubeconfig, &["apply", "--server-side", "-f"], Some(&deploy.join("crds")));
    let served = ["wait", "--for=condition=established", "crd", "--all", "--timeout=60s"];
    run_kubectl(kubectl, kubeconfig, &served, None);
    for file in ["1-namespace.yaml", "2-rbac.yaml"] {
        let file = deploy.join("controller").join(file);
        run_kubectl(kubectl, kubeconfig, &["apply", "--server-side", "-f"], Some(&file));
    }
}

fn run_kubectl(kubectl: &Path, kubeconfig: &Path, arguments: &[&str], file: Option<&Path>) {
    let mut command = Command::new(kubectl);
    command.arg("--kubeconfig").arg(kubeconfig).args(arguments).args(file);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "kubectl {arguments:?} {file:?}: {said}");
}

/// The admin's kubeconfig, for the controller's ServiceAccount.
fn as_controller(kubeconfig: &str) -> String {
    let mut kubeconfig: serde_yaml::Value = serde_yaml::from_str(kubeconfig).unwrap();
    let user = &mut kubeconfig["users"][0]["user"];
    user["as"] = ACCOUNT.into();
    user["as-groups"] = GROUPS.map(serde_yaml::Value::from).to_vec().into();
    serde_yaml::to_string(&kubeconfig).unwrap()
}

/// Waits a moment between two looks.
pub async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}
