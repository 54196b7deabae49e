//! A sandbox of a test's own, driven by the built programs as somebody at a terminal would.
#![expect(clippy::unwrap_used, reason = "what cannot go on ends its test")]

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

use local_control_plane::ProcessIdentity;
use serde::Deserialize as _;
use serde_json::Value;

/// How long anything may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(240);

/// A sandbox in a folder of its own. It is taken down when this is dropped, whatever happened.
pub struct World {
    folder: tempfile::TempDir,
    fleet: PathBuf,
    kubectl: PathBuf,
}

impl World {
    /// The programs that were built, and no sandbox yet.
    pub fn new(kubectl: PathBuf) -> Self {
        let root = root();
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let fleet = target.join("debug/fleet");
        for program in ["fleet", "fleet-controller", "eks-emulator"] {
            let path = target.join("debug").join(program);
            let hint = "build it with `cargo build --bins -p fleet-cli -p fleet-controller -p eks-emulator`";
            assert!(path.is_file(), "{} is missing; {hint}", path.display());
        }
        Self { folder: tempfile::tempdir().unwrap(), fleet, kubectl }
    }

    /// The state folder of the sandbox.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("sandbox")
    }

    /// A folder for specs and kubeconfigs.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `fleet` with these arguments.
    pub fn fleet(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(&self.fleet);
        command.args(arguments).env("FLEET_SANDBOX_DIR", self.state()).env("HOME", self.folder.path());
        // Assets are found by the real home; everything else of the user's must not reach the test.
        command.env("XDG_CACHE_HOME", cache());
        for name in ["KUBECONFIG", "AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID"] {
            command.env_remove(name);
        }
        command.output().unwrap()
    }

    /// Runs `fleet` and expects it to end well; gives stdout.
    pub fn must(&self, arguments: &[&str]) -> String {
        let output = self.fleet(arguments);
        assert!(output.status.success(), "`fleet {}` failed: {}", arguments.join(" "), text(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs `fleet` with `-o json` and gives what it printed.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let mut all = arguments.to_vec();
        all.extend(["-o", "json"]);
        serde_json::from_str(&self.must(&all)).unwrap()
    }

    /// kubectl, of the minor of the servers.
    pub fn kubectl_program(&self) -> &Path {
        &self.kubectl
    }

    /// The processes that the sandbox has, as it recorded them.
    pub fn processes(&self) -> Vec<ProcessIdentity> {
        let mut found = Vec::new();
        identities(&self.json(&["sandbox", "status"]), &mut found);
        found
    }

    /// Writes a kubeconfig for a tenant's cluster as a role, and gives its path.
    pub fn enter(&self, tenant: &str, role: &str) -> PathBuf {
        let path = self.path(&format!("{tenant}-{}.kubeconfig", role.rsplit('/').next().unwrap()));
        std::fs::write(&path, self.must(&["kubeconfig", tenant, "--role-arn", role])).unwrap();
        path
    }

    /// Runs kubectl with a kubeconfig.
    pub fn kubectl(&self, kubeconfig: &Path, arguments: &[&str]) -> Output {
        let mut command = Command::new(&self.kubectl);
        command.arg("--kubeconfig").arg(kubeconfig).args(arguments);
        command.env("HOME", self.folder.path()).env("FLEET_SANDBOX_DIR", self.state());
        command.output().unwrap()
    }

    /// Runs kubectl and expects it to end well; gives stdout.
    pub fn kubectl_must(&self, kubeconfig: &Path, arguments: &[&str]) -> String {
        let output = self.kubectl(kubeconfig, arguments);
        assert!(output.status.success(), "`kubectl {}` failed: {}", arguments.join(" "), text(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The status of one tenant, as `fleet status` has it.
    pub fn tenant(&self, name: &str) -> Value {
        let status = self.json(&["status"]);
        let tenants = status["tenants"].as_array().unwrap();
        tenants.iter().find(|tenant| tenant["name"] == name).cloned().unwrap_or(Value::Null)
    }

    /// Waits until a tenant is as it should be.
    pub fn until_tenant(&self, name: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        until(&format!("{name} {what}"), || Some(self.tenant(name)).filter(|tenant| is_so(tenant)))
    }

    /// Kills the controller as a crash would.
    pub fn kill_controller(&self) {
        let pid = self.controller_pid().unwrap();
        let killed = Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
        assert!(killed.success());
        until("another controller runs", || self.controller_pid().filter(|now| *now != pid));
    }

    fn controller_pid(&self) -> Option<u64> {
        let status = self.json(&["sandbox", "status"]);
        let services = status["services"].as_array()?;
        let controller = services.iter().find(|service| service["name"] == "fleet-controller")?;
        controller["process"]["identity"]["pid"].as_u64()
    }

    /// The names of the clusters that the emulator has.
    pub fn clusters(&self) -> Vec<String> {
        let state: Value = serde_json::from_str(&self.emulator("GET", "state")).unwrap();
        let clusters = state["clusters"].as_array().unwrap();
        clusters.iter().map(|cluster| cluster["name"].as_str().unwrap().to_owned()).collect()
    }

    /// One call of the emulator's control API.
    pub fn emulator(&self, method: &str, path: &str) -> String {
        self.tell_emulator(method, path, "")
    }

    /// Plans something to go wrong in the emulator.
    pub fn plan_fault(&self, fault: &Value) {
        self.tell_emulator("POST", "faults", &fault.to_string());
    }

    fn tell_emulator(&self, method: &str, path: &str, body: &str) -> String {
        let environment = self.must(&["sandbox", "env"]);
        let address = environment.split("http://").nth(1).unwrap().split('\'').next().unwrap().to_owned();
        let mut stream = TcpStream::connect(&address).unwrap();
        let request = format!(
            "{method} /_emulator/{path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 2"), "{method} {path}: {head}");
        body.to_owned()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.fleet(&["sandbox", "down"]);
    }
}

/// Every process that is named anywhere in a status.
fn identities(status: &Value, found: &mut Vec<ProcessIdentity>) {
    match status {
        Value::Object(members) => match ProcessIdentity::deserialize(status) {
            Ok(identity) => found.push(identity),
            Err(_) => members.values().for_each(|member| identities(member, found)),
        },
        Value::Array(items) => items.iter().for_each(|item| identities(item, found)),
        _ => {}
    }
}

/// Waits until a look gives something.
pub fn until<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::park_timeout(Duration::from_millis(200));
    }
}

/// Everything that a command printed.
pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The root of the checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn cache() -> PathBuf {
    std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"))
}

/// Copies a folder with everything in it.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
