//! Runs commands as named stages, with the time that each took, so that a long wait always says what it waits for.

use std::{
    ffi::OsStr,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

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

/// Runs a command to its end and turns a failure into an error that names it.
pub(crate) fn must(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    let status = command.status().with_context(|| format!("`{shown}` could not be started"))?;
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
        Err(error) => eprintln!("==> {name}: FAILED after {elapsed}: {error:#}"),
    }
    result
}
