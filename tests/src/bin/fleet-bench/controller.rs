//! The controller at rest, with a sandbox of as many tenants as asked for.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command as Blocking, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::process::Command;

use crate::{
    example::TENANT,
    figures::{Figures, mib},
    processes::resident,
    say,
};

/// After the last tenant is ready the controller still has reports to take in.
const SETTLE: Duration = Duration::from_secs(20);
/// The kernel tells processor time in these parts of a second, on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// A sandbox of the benchmark's own, which goes with it.
struct Sandbox {
    fleet: PathBuf,
    folder: tempfile::TempDir,
}

impl Sandbox {
    fn state(&self) -> PathBuf {
        self.folder.path().join("sandbox")
    }

    async fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.fleet);
        command.args(arguments).env("FLEET_SANDBOX_DIR", self.state()).env_remove("KUBECONFIG");
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
        let output = output.with_context(|| format!("`{}` could not be started", self.fleet.display()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("`fleet {}` failed: {}", arguments.join(" "), said.trim_end());
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // Whatever happened, an interruption included: the supervisor is no child of this process and stays else.
        let mut down = Blocking::new(&self.fleet);
        down.args(["sandbox", "down"]).env("FLEET_SANDBOX_DIR", self.state()).stdin(Stdio::null());
        match down.output() {
            Ok(output) if output.status.success() => {}
            Ok(output) => say(&format!(
                "the sandbox in {} is still there: {}",
                self.state().display(),
                String::from_utf8_lossy(&output.stderr).trim_end()
            )),
            Err(error) => say(&format!("the sandbox in {} is still there: {error}", self.state().display())),
        }
    }
}

/// Measures memory and processor time of the controller with tenants that are ready and at rest.
pub(crate) async fn measure(root: &Path, count: usize, rest: Duration, figures: &mut Figures) -> Result<()> {
    let own = std::env::current_exe()?;
    let fleet = own.parent().context("the program lies in a folder")?.join("fleet");
    let folder = tempfile::Builder::new().prefix("fleet-bench-").tempdir()?;
    let sandbox = Sandbox { fleet, folder };
    say(&format!("starting a sandbox with {count} tenants like {TENANT}"));
    sandbox.run(&["sandbox", "up"]).await?;
    let spec = sandbox.folder.path().join("fleet");
    write_spec(root, &spec, count)?;
    let folder = spec.to_str().context("the folder's name is no text")?;
    let began = Instant::now();
    sandbox.run(&["apply", "-f", folder, "--yes", "--wait", "--timeout", "20m"]).await?;
    let took = began.elapsed().as_secs_f64();
    figures.add(
        "tenantsReady",
        format!("{count} tenants from nothing to ready on the sandbox (emulated EKS, shortened waits)"),
        format!("{took:.0} s"),
        [("seconds", took)],
    );
    let status: Value = serde_json::from_str(&sandbox.run(&["sandbox", "status", "-o", "json"]).await?)?;
    let controller = pid_of(&status, "fleet-controller").context("the sandbox has no controller")?;
    tokio::time::sleep(SETTLE).await;
    let (before, began) = (ticks(controller)?, Instant::now());
    tokio::time::sleep(rest).await;
    let spent = (ticks(controller)? - before) as f64 / TICKS_PER_SECOND;
    let share = 100.0 * spent / began.elapsed().as_secs_f64();
    let memory = resident(controller).context("the controller is gone")?;
    figures.add(
        "controllerAtRest",
        format!("controller at rest with {count} clusters, over {} s", rest.as_secs()),
        format!("{share:.2} % of a core, {}", mib(memory)),
        [("percentOfACore", share), ("residentBytes", memory as f64)],
    );
    Ok(())
}

/// The classes, channels and baselines of the example fleet, and copies of its regulated tenant.
fn write_spec(root: &Path, folder: &Path, count: usize) -> Result<()> {
    let demo = root.join("fleet/demo");
    fs::create_dir_all(folder)?;
    for file in ["fleet.yaml", "channels.yaml", "classes.yaml", "baselines.yaml"] {
        fs::copy(demo.join(file), folder.join(file)).with_context(|| format!("{file} cannot be copied"))?;
    }
    let text = fs::read_to_string(demo.join(format!("tenants/{TENANT}.yaml")))?;
    let mut tenant: serde_yaml::Value = serde_yaml::from_str(&text)?;
    for number in 0..count {
        let name = format!("bench-{number}");
        tenant["metadata"]["name"] = name.clone().into();
        fs::write(folder.join(format!("{name}.yaml")), serde_yaml::to_string(&tenant)?)?;
    }
    Ok(())
}

fn pid_of(status: &Value, name: &str) -> Option<u64> {
    let services = status["services"].as_array()?;
    services.iter().find(|service| service["name"] == name)?["process"]["identity"]["pid"].as_u64()
}

/// Processor time of a process in hundredths of a second.
fn ticks(pid: u64) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the controller is gone")?;
    // The name in brackets may hold blanks; the fields after it are numbered from the state on.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let number = |index: usize| -> Result<u64> {
        Ok(fields.get(index).with_context(|| format!("/proc/{pid}/stat is short"))?.parse()?)
    };
    Ok(number(11)? + number(12)?)
}
