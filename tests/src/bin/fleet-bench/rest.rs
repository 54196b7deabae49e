//! The controller at rest, with a sandbox of as many tenants as asked for.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{
    Arguments,
    figures::{Figures, mib},
    say,
};

/// A sandbox of the benchmark's own, which goes with it.
struct Sandbox<'a> {
    fleet: &'a Path,
    folder: tempfile::TempDir,
}

impl Sandbox<'_> {
    fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(self.fleet);
        command.args(arguments).env("FLEET_SANDBOX_DIR", self.folder.path().join("sandbox"));
        let output = command.env_remove("KUBECONFIG").output()?;
        if !output.status.success() {
            bail!("`fleet {}` failed: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

impl Drop for Sandbox<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.run(&["sandbox", "down"]) {
            say(&format!("the sandbox is still there: {error}"));
        }
    }
}

/// Measures memory and processor time of the controller with tenants that are ready and at rest.
pub(crate) fn measure(root: &Path, arguments: &Arguments, figures: &mut Figures) -> Result<()> {
    let own = std::env::current_exe()?;
    let fleet = own.parent().context("the program lies in a folder")?.join("fleet");
    let sandbox = Sandbox { fleet: &fleet, folder: tempfile::tempdir()? };
    say(&format!("starting a sandbox with {} tenants", arguments.clusters));
    sandbox.run(&["sandbox", "up"])?;
    let spec = sandbox.folder.path().join("fleet");
    fs::create_dir_all(&spec)?;
    for file in ["fleet.yaml", "channels.yaml", "classes.yaml", "baselines.yaml"] {
        fs::copy(root.join("fleet/demo").join(file), spec.join(file))?;
    }
    for number in 0..arguments.clusters {
        let tenant = format!(
            "apiVersion: tenantfleet.dev/v1alpha1\nkind: Tenant\nmetadata: {{name: bench-{number}}}\nspec:\n  \
             owner: {{team: bench, contact: bench@acme.example}}\n  class: eks-standard\n  kubernetes: {{channel: stable}}\n"
        );
        fs::write(spec.join(format!("tenant-{number}.yaml")), tenant)?;
    }
    let folder = spec.to_str().context("the folder's name is no text")?;
    let began = std::time::Instant::now();
    sandbox.run(&["apply", "-f", folder, "--yes", "--wait", "--timeout", "15m"])?;
    figures.add(
        format!(
            "{} tenants from nothing to ready on the sandbox (emulated EKS, shortened waits)",
            arguments.clusters
        ),
        format!("{:.0} s", began.elapsed().as_secs_f64()),
    );
    let status: Value = serde_json::from_str(&sandbox.run(&["sandbox", "status", "-o", "json"])?)?;
    let services = status["services"].as_array().context("the sandbox lists no services")?;
    let controller = services
        .iter()
        .find(|service| service["name"] == "fleet-controller")
        .and_then(|service| service["process"]["identity"]["pid"].as_u64())
        .context("the sandbox has no controller")?;
    std::thread::sleep(Duration::from_secs(20));
    let before = ticks(controller)?;
    std::thread::sleep(Duration::from_secs(arguments.rest));
    let spent = ticks(controller)? - before;
    // The kernel counts in hundredths of a second.
    let share = spent as f64 / arguments.rest as f64;
    figures.add(
        format!("controller at rest with {} clusters, over {} s", arguments.clusters, arguments.rest),
        format!("{share:.2} % of a core, {}", mib(resident(controller)?)),
    );
    Ok(())
}

/// Processor time of a process in hundredths of a second.
fn ticks(pid: u64) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let number = |index: usize| fields.get(index).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    Ok(number(11) + number(12))
}

/// Resident memory of a process in bytes.
fn resident(pid: u64) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kibibytes: u64 = line.split_whitespace().next().unwrap_or("0").parse()?;
    Ok(kibibytes * 1024)
}
