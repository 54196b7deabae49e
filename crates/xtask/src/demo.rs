//! The main job from nothing: build, start the sandbox, apply the example fleet, wait, show.

use std::{
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::Instant,
};

use anyhow::Result;

use crate::{
    interrupts,
    stages::{Profile, advise, build_programs, must, program, root, stage, took},
};

/// Builds what is needed, starts the sandbox, applies `fleet/demo` and waits until every tenant is ready.
pub(crate) fn run() -> Result<ExitCode> {
    let began = Instant::now();
    eprintln!(
        "The first run builds the programs (about 5 minutes on two cores) and, from Go modules, etcd and two minors of \
         the Kubernetes servers (about 12 minutes). Later runs are ready in under a minute."
    );
    let built = stage("build", "fleet, fleet-controller, eks-emulator", || build_programs(Profile::Debug));
    advise(built, || {
        "what cargo said stands above; the README names what has to be installed, among it a C compiler"
            .to_owned()
    })?;
    let fleet = program("fleet", Profile::Debug)?;
    let spec = root()?.join("fleet/demo");
    let ran_before = runs(&fleet);
    let shown = show(&fleet, &spec);
    if interrupts::asked() {
        eprintln!("{}", leave(&fleet, ran_before));
        return Ok(interrupts::exit_code());
    }
    shown?;
    println!("\nReady after {}. The sandbox goes on running. {}", took(began.elapsed()), next(&fleet, &spec));
    Ok(ExitCode::SUCCESS)
}

/// Starts the sandbox, applies the example fleet and prints how it stands.
fn show(fleet: &Path, spec: &Path) -> Result<()> {
    let name = relative(fleet);
    let up = stage("sandbox", "a management control plane, the EKS emulator and the controller", || {
        must(Command::new(fleet).args(["sandbox", "up"]))
    });
    advise(up, || {
        format!(
            "`{name} sandbox logs` shows what its processes said; `{name} sandbox down` removes what is left of it, \
             and `cargo xtask demo` tries again"
        )
    })?;
    let applied = stage("apply", "the example fleet: three tenants, two classes, two minors", || {
        let arguments = ["--yes", "--wait", "--timeout", "10m"];
        must(Command::new(fleet).arg("apply").arg("-f").arg(spec).args(arguments))
    });
    if !interrupts::asked() {
        must(Command::new(fleet).arg("status"))?;
    }
    advise(applied, || {
        format!(
            "`{name} why TENANT` says what holds a tenant up, `{name} sandbox logs fleet-controller` what the controller \
             did; the sandbox goes on running until `{name} sandbox down`"
        )
    })
}

/// Whether a sandbox is ready.
fn runs(fleet: &Path) -> bool {
    let mut status = Command::new(fleet);
    status.args(["sandbox", "status"]).stdout(Stdio::null()).stderr(Stdio::null());
    status.status().is_ok_and(|status| status.success())
}

/// After an interruption: removes the sandbox, unless it ran before, and says what became of it.
fn leave(fleet: &Path, ran_before: bool) -> String {
    let name = relative(fleet);
    if ran_before {
        return format!(
            "interrupted: the sandbox ran before and goes on running; `{name} sandbox down` removes it"
        );
    }
    let mut down = Command::new(fleet);
    down.args(["sandbox", "down"]).stdout(Stdio::null());
    match down.status() {
        Ok(status) if status.success() => {
            "interrupted: nothing that the demo started goes on running".to_owned()
        }
        _ => format!("interrupted: the sandbox could not be removed; `{name} sandbox down` tries again"),
    }
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
         \n  sed -i 's/channel: stable/channel: regular/' {spec}/tenants/initech-batch.yaml\
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
