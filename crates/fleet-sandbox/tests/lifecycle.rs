//! Sandboxes with real servers, and with stand-ins for the programs of fleet.
#![expect(clippy::unwrap_used, reason = "what the tests share panics as they do")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Mutex,
    time::Duration,
};

use fleet_sandbox::{
    Down, Error, Manifest, Phase, Programs, Progress, Purpose, ServiceState, Status, StatusPhase, Supervisor,
    UpOptions, down, environment, logs, status, up,
};
use local_control_plane::{ProcessIdentity, get_over_http, test_support};
use rustix::process::Signal;

const LOOK_EVERY: Duration = Duration::from_millis(20);
const STAND_IN: &str = env!("CARGO_BIN_EXE_sandbox-stand-in");

const DEFINITION: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.test}
spec:
  group: example.test
  scope: Cluster
  names: {plural: things, singular: thing, kind: Thing}
  versions:
    - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}
";

const ACCESS: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: fleet-system}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: fleet-controller, namespace: fleet-system}
";

/// A state folder whose sandbox is removed at the end, also of a test that fails.
struct Sandbox {
    root: tempfile::TempDir,
}

impl Sandbox {
    fn new() -> Self {
        Self { root: tempfile::Builder::new().prefix("fleet-").tempdir().unwrap() }
    }

    fn dir(&self) -> PathBuf {
        self.root.path().join("state")
    }

    fn options(&self, programs: Programs) -> UpOptions {
        UpOptions {
            dir: self.dir(),
            supervisor: Supervisor {
                program: STAND_IN.into(),
                args: vec!["supervise".to_owned(), self.dir().display().to_string()],
            },
            manifests: [("definition.yaml", DEFINITION), ("access.yaml", ACCESS)]
                .map(|(name, yaml)| Manifest { name: name.to_owned(), yaml: yaml.to_owned() })
                .to_vec(),
            programs,
        }
    }

    async fn status(&self) -> Status {
        status(&self.dir()).await.unwrap()
    }

    fn supervisor(&self, status: &Status) -> ProcessIdentity {
        status.holder.clone().unwrap().identity
    }

    /// Looks until something is so. Tests that wait for what never comes are ended by their runner.
    async fn until(&self, is_so: impl Fn(&Status) -> bool) -> Status {
        loop {
            let status = self.status().await;
            if is_so(&status) {
                return status;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let holder = fs::read(self.dir().join("lock")).ok();
        let holder = holder.and_then(|bytes| serde_json::from_slice::<fleet_sandbox::Holder>(&bytes).ok());
        if let Some(holder) = holder.filter(|holder| holder.purpose == Purpose::Supervise) {
            holder.identity.signal(Signal::KILL).unwrap();
        }
    }
}

fn stand_ins() -> Programs {
    Programs { emulator: Some(STAND_IN.into()), controller: Some(STAND_IN.into()) }
}

fn nothing() -> Programs {
    Programs { emulator: None, controller: None }
}

fn service<'a>(status: &'a Status, name: &str) -> &'a ServiceState {
    status.services.iter().find(|service| service.name == name).unwrap()
}

/// Every process that a status tells of, the supervisor's children.
fn children(status: &Status) -> Vec<ProcessIdentity> {
    let management = status.management.iter().flat_map(|management| &management.processes);
    let services = status.services.iter().filter_map(|service| service.process.as_ref());
    status.etcd.iter().chain(management).chain(services).map(|process| process.identity.clone()).collect()
}

async fn kubectl(kubeconfig: &Path, args: &[&str]) -> String {
    let assets = test_support::assets().await.unwrap();
    let output = Command::new(assets.kubectl().unwrap())
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args(args)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[tokio::test]
async fn a_sandbox_comes_up_whole_has_one_owner_and_goes_without_a_trace() {
    let sandbox = Sandbox::new();
    let told = Mutex::new(Vec::new());
    let tell = |progress: Progress| told.lock().unwrap().push(progress);
    let ready = up(sandbox.options(stand_ins()), &tell).await.unwrap();

    let told: Vec<String> = told.into_inner().unwrap().iter().map(Progress::to_string).collect();
    let stages: Vec<&str> = told.iter().filter_map(|line| line.strip_suffix(" ...")).collect();
    let wanted =
        ["etcd", "management API server", "custom resources and permissions", "EKS emulator", "controller"];
    assert_eq!(stages, wanted, "{told:#?}");

    let status = sandbox.status().await;
    assert!(status.is_ready(), "{status:#?}");
    assert_eq!(status.tenants_unknown, None);
    assert!(status.management.as_ref().unwrap().version.starts_with("v1.36."));
    assert!(status.rss_bytes() > 0);
    let running = children(&status);
    assert_eq!(running.len(), 5, "etcd, API server, controllers, emulator, controller");
    assert!(running.iter().all(ProcessIdentity::is_alive));
    println!("{}", told.join("\n"));

    kubectl(&ready.kubeconfig, &["get", "things"]).await;
    let whoami = ["auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"];
    let controller = kubectl(&sandbox.dir().join("controller/kubeconfig"), &whoami).await;
    assert_eq!(controller, "system:serviceaccount:fleet-system:fleet-controller");
    let secret = fs::metadata(sandbox.dir().join("controller/token")).unwrap().permissions().mode();
    assert_eq!(secret & 0o777, 0o600);
    assert_eq!(environment(&sandbox.dir()).unwrap(), Some(ready.clone()));
    let emulator = service(&status, "eks-emulator").address;
    assert_eq!(ready.aws_endpoint_url, Some(format!("http://{emulator}")));
    let processes: Vec<String> = logs(&sandbox.dir()).unwrap().into_iter().map(|log| log.process).collect();
    for process in ["supervisor", "etcd", "management/kube-apiserver", "eks-emulator", "fleet-controller"] {
        assert!(processes.iter().any(|name| name == process), "{processes:?}");
    }

    let supervisor = sandbox.supervisor(&status);
    let refused = up(sandbox.options(stand_ins()), &|_| ()).await.unwrap_err();
    let Error::Held { holder, .. } = &refused else { panic!("{refused}") };
    assert_eq!(holder.identity, supervisor);
    assert!(
        refused.to_string().contains(&format!("pid {} (its supervisor) since 20", supervisor.pid)),
        "{refused}"
    );

    assert_eq!(down(&sandbox.dir(), &|_| ()).await.unwrap(), Down::Stopped);
    assert!(!supervisor.is_alive());
    assert!(!running.iter().any(ProcessIdentity::is_alive));
    assert!(!sandbox.dir().exists());
    assert_eq!(sandbox.status().await.phase, StatusPhase::Absent);
    assert_eq!(environment(&sandbox.dir()).unwrap(), None);
    assert_eq!(down(&sandbox.dir(), &|_| ()).await.unwrap(), Down::NothingThere);
}

#[tokio::test]
async fn a_service_that_ends_is_reported_and_started_again_and_a_server_that_ends_is_reported() {
    let sandbox = Sandbox::new();
    up(sandbox.options(stand_ins()), &|_| ()).await.unwrap();
    let status = sandbox.status().await;
    let (emulator, controller) = (service(&status, "eks-emulator"), service(&status, "fleet-controller"));

    // It dies before it answers.
    get_over_http(emulator.address, "/die").await.unwrap_err();
    controller.process.as_ref().unwrap().identity.signal(Signal::KILL).unwrap();
    let again = sandbox
        .until(|status| {
            status.services.iter().all(|service| service.restarts == 1 && service.process.is_some())
        })
        .await;
    let ended = service(&again, "eks-emulator").last_exit.clone().unwrap();
    assert_eq!((ended.code, ended.signal, ended.log_end.as_str()), (Some(3), None, "told to die"));
    let killed = service(&again, "fleet-controller").last_exit.clone().unwrap();
    assert_eq!((killed.code, killed.signal), (None, Some(9)));
    assert_eq!(service(&again, "eks-emulator").address, emulator.address);
    assert!(again.is_ready());

    status.etcd.unwrap().identity.signal(Signal::KILL).unwrap();
    let failed = sandbox.until(|status| !status.crashes.is_empty()).await;
    assert_eq!((failed.crashes[0].process.as_str(), failed.crashes[0].signal), ("etcd", Some(9)));
    let StatusPhase::Supervised { phase: Phase::Failed { message, hint } } = &failed.phase else {
        panic!("{failed:#?}")
    };
    assert!(message.contains("etcd (pid") && message.contains("signal 9"), "{message}");
    assert!(hint.as_ref().unwrap().contains("fleet sandbox down"));
    assert_eq!(environment(&sandbox.dir()).unwrap(), None);
    assert_eq!(down(&sandbox.dir(), &|_| ()).await.unwrap(), Down::Stopped);
    assert!(!children(&again).iter().any(ProcessIdentity::is_alive));
}

#[tokio::test]
async fn what_a_killed_supervisor_left_is_removed_and_nothing_else_is_touched() {
    let sandbox = Sandbox::new();
    up(sandbox.options(stand_ins()), &|_| ()).await.unwrap();
    let running = sandbox.status().await;
    let killed = sandbox.supervisor(&running);
    assert!(killed.signal(Signal::KILL).unwrap());
    let left = sandbox.until(|status| matches!(status.phase, StatusPhase::LeftBehind { .. })).await;
    assert!(!left.is_ready());

    // A server that the end of its supervisor did not reach, and a record of a pid that means another process now.
    let mut survivor = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap();
    let recorded = ProcessIdentity::of(survivor.id(), Path::new("/bin/sleep")).unwrap();
    let own = ProcessIdentity::own().unwrap();
    let recycled = ProcessIdentity { pid: own.pid, start_ticks: own.start_ticks - 1, ..own.clone() };
    let plane = sandbox.dir().join("emulator/data/some-cluster");
    fs::create_dir_all(&plane).unwrap();
    for (name, identity) in [("kube-apiserver.pid", &recorded), ("kube-controller-manager.pid", &recycled)] {
        fs::write(plane.join(name), serde_json::to_vec(identity).unwrap()).unwrap();
    }

    let Down::CleanedUp { processes } = down(&sandbox.dir(), &|_| ()).await.unwrap() else {
        panic!("the supervisor was gone")
    };
    assert!(processes >= 1, "{processes}");
    assert!(!survivor.wait().unwrap().success());
    assert!(!children(&running).iter().any(ProcessIdentity::is_alive));
    assert!(!sandbox.dir().exists());
}

#[tokio::test]
async fn a_new_sandbox_takes_the_place_of_a_killed_one() {
    let sandbox = Sandbox::new();
    up(sandbox.options(nothing()), &|_| ()).await.unwrap();
    let first = sandbox.status().await;
    assert_eq!(first.services, []);
    let notes: Vec<_> = first.stages.iter().filter_map(|stage| stage.note.as_deref()).collect();
    assert!(notes.iter().any(|note| note.contains("no program eks-emulator was found")), "{notes:?}");
    sandbox.supervisor(&first).signal(Signal::KILL).unwrap();
    sandbox.until(|status| matches!(status.phase, StatusPhase::LeftBehind { .. })).await;

    let told = Mutex::new(Vec::new());
    up(sandbox.options(nothing()), &|progress| told.lock().unwrap().push(progress)).await.unwrap();
    let told = told.into_inner().unwrap();
    assert!(matches!(told.first(), Some(Progress::Cleaned { .. })), "{told:?}");
    let second = sandbox.status().await;
    assert!(second.is_ready());
    assert_ne!(sandbox.supervisor(&second), sandbox.supervisor(&first));
    assert_eq!(down(&sandbox.dir(), &|_| ()).await.unwrap(), Down::Stopped);
}

#[tokio::test]
async fn a_program_that_cannot_start_fails_the_sandbox_with_the_end_of_its_log() {
    let sandbox = Sandbox::new();
    let broken = sandbox.root.path().join("broken");
    fs::write(&broken, "#!/bin/sh\necho no seed found >&2\nexit 7\n").unwrap();
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o755)).unwrap();
    let programs = Programs { emulator: Some(broken), controller: None };
    let error = up(sandbox.options(programs), &|_| ()).await.unwrap_err();
    let message = error.to_string();
    assert!(message.contains("eks-emulator (pid") && message.contains("exit code 7"), "{message}");
    assert!(message.ends_with("no seed found"), "{message}");
    assert!(error.hint().unwrap().contains("fleet sandbox logs"));

    let left = sandbox.status().await;
    assert!(
        matches!(left.phase, StatusPhase::LeftBehind { phase: Phase::Failed { .. } }),
        "{:?}",
        left.phase
    );
    assert!(!children(&left).iter().any(ProcessIdentity::is_alive));
    assert_eq!(down(&sandbox.dir(), &|_| ()).await.unwrap(), Down::CleanedUp { processes: 0 });
}

#[tokio::test]
async fn a_supervisor_that_is_no_supervisor_is_reported() {
    let sandbox = Sandbox::new();
    let mut options = sandbox.options(nothing());
    options.supervisor.args = vec!["version".to_owned()];
    let error = up(options, &|_| ()).await.unwrap_err();
    assert!(matches!(&error, Error::SupervisorEnded { .. }), "{error}");
    assert!(error.to_string().contains("called with arguments that nobody gives"), "{error}");
}
