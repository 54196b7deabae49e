//! Runs commands as named stages, with the time that each took, so that a long wait always says what it waits for.

use std::{
    ffi::OsStr,
    fmt,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::interrupts;

/// The checkout that this program was built from.
pub(crate) fn root() -> Result<PathBuf> {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).map(PathBuf::from).context("the task runner lies two folders below the root")
}

/// `cargo`, as the one that started this program, at the root of the checkout.
pub(crate) fn cargo<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Result<Command> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root()?);
    // The task runner's own crate variables must not reach the builds that it starts.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") {
            command.env_remove(name);
        }
    }
    Ok(command)
}

/// How something is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    Debug,
    Release,
}

/// Builds every program of the workspace.
///
/// Packages are never chosen with `--package`: a chosen one would get its dependencies with fewer features than the
/// whole workspace has, and cargo would compile them anew each time that the choice changes.
pub(crate) fn build_programs(profile: Profile) -> Result<()> {
    let mut command = cargo(["build", "--workspace", "--bins"])?;
    if profile == Profile::Release {
        command.arg("--release");
    }
    must(&mut command)
}

/// Where cargo puts a program.
pub(crate) fn program(name: &str, profile: Profile) -> Result<PathBuf> {
    let output = cargo(["metadata", "--format-version", "1", "--no-deps"])?.output()?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("`cargo metadata` gave no JSON")?;
    let target =
        metadata["target_directory"].as_str().context("`cargo metadata` names no target directory")?;
    let folder = match profile {
        Profile::Debug => "debug",
        Profile::Release => "release",
    };
    Ok([target, folder, name].iter().collect())
}

/// Runs a command to its end and turns a failure into an error that names it.
pub(crate) fn must(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    let mut child = command.spawn().with_context(|| format!("`{shown}` could not be started"))?;
    let status = interrupts::wait(&mut child)?;
    if interrupts::asked() {
        bail!("`{shown}` was interrupted");
    }
    if !status.success() {
        bail!("`{shown}` failed with {status}");
    }
    Ok(())
}

/// A command as somebody would type it.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Times as `7s` or `4m 05s`.
pub(crate) fn took(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    if seconds < 60 { format!("{seconds}s") } else { format!("{}m {:02}s", seconds / 60, seconds % 60) }
}

/// Runs one stage under a heading and says how it ended.
pub(crate) fn stage<T>(name: &str, does: &str, act: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("\n==> {name}: {does}");
    let began = Instant::now();
    let result = act();
    let elapsed = took(began.elapsed());
    match &result {
        Ok(_) => eprintln!("==> {name}: done in {elapsed}"),
        Err(_) if interrupts::asked() => eprintln!("==> {name}: interrupted after {elapsed}"),
        Err(error) => eprintln!("==> {name}: FAILED after {elapsed}: {error:#}"),
    }
    result
}

/// An error with what to do about it.
#[derive(Debug)]
pub(crate) struct Advised {
    error: anyhow::Error,
    pub(crate) hint: String,
}

impl fmt::Display for Advised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Advised {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// Gives an error a hint.
pub(crate) fn advise<T>(result: Result<T>, hint: impl FnOnce() -> String) -> Result<T> {
    result.map_err(|error| anyhow::Error::new(Advised { error, hint: hint() }))
}
