//! The main job from nothing: build, start the sandbox, apply the example fleet, wait, show.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Instant,
};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::stages::{cargo, must, root, stage, took};

/// Builds what is needed, starts the sandbox, applies `fleet/demo` and waits until every tenant is ready.
pub(crate) fn run() -> Result<ExitCode> {
    let began = Instant::now();
    eprintln!(
        "The first run builds the programs (about 5 minutes on two cores) and, from Go modules, etcd and two minors of \
         the Kubernetes servers (about 12 minutes). Later runs are ready in under a minute."
    );
    stage("build", "fleet, fleet-controller and eks-emulator", || {
        must(cargo(["build", "--bins"])?.args([
            "--package",
            "fleet-cli",
            "--package",
            "fleet-controller",
            "--package",
            "eks-emulator",
        ]))
    })?;
    let fleet = program()?;
    let spec = root()?.join("fleet/demo");
    stage("sandbox", "a management control plane, the EKS emulator and the controller", || {
        must(Command::new(&fleet).args(["sandbox", "up"]))
    })?;
    let applied = stage("apply", "the example fleet: three tenants, two classes, two minors", || {
        must(Command::new(&fleet).arg("apply").arg("-f").arg(&spec).args([
            "--yes",
            "--wait",
            "--timeout",
            "10m",
        ]))
    });
    must(Command::new(&fleet).arg("status"))?;
    applied?;
    println!("\nReady after {}. The sandbox goes on running. {}", took(began.elapsed()), next(&fleet, &spec));
    Ok(ExitCode::SUCCESS)
}

/// Where cargo put `fleet`.
fn program() -> Result<PathBuf> {
    let output = cargo(["metadata", "--format-version", "1", "--no-deps"])?.output()?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("`cargo metadata` gave no JSON")?;
    let target =
        metadata["target_directory"].as_str().context("`cargo metadata` names no target directory")?;
    Ok(Path::new(target).join("debug").join("fleet"))
}

/// What to try next, as commands that can be pasted.
fn next(fleet: &Path, spec: &Path) -> String {
    let fleet = relative(fleet);
    let spec = relative(spec);
    format!(
        "Try next:\n\
         \n  {fleet} describe acme-payments            # one tenant: conditions, versions, probes\
         \n  {fleet} why initech-batch                 # why it is where it is\
         \n  {fleet} kubeconfig acme-payments --role-arn arn:aws:iam::444455556666:role/platform-admin > acme.kubeconfig\
         \n  sed -i 's/version: \"1.35\"/version: \"1.36\"/' {spec}/tenants/initech-batch.yaml\
         \n  {fleet} plan -f {spec}                 # what an upgrade by a minor would do\
         \n  {fleet} apply -f {spec} --yes --wait   # and do it\
         \n  {fleet} delete initech-batch --confirm initech-batch --wait\
         \n  {fleet} sandbox down                      # removes every process and file of the sandbox\n"
    )
}

/// A path as somebody at the root of the checkout would type it.
fn relative(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}
