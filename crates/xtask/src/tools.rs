//! Tools that the tests need and a fresh machine lacks: installed into a cache outside the checkout.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::stages::{cargo, must};

/// The version of cargo-deny. A newer one may judge differently, so it is fixed here.
const CARGO_DENY: &str = "0.20.2";

/// `${XDG_CACHE_HOME:-~/.cache}/fleet`.
fn cache() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME is set, so there is no place for tools")?;
    Ok(base.join("fleet"))
}

/// The path of cargo-deny, which is built (three to five minutes on two cores) when it is not there yet.
pub(crate) fn cargo_deny() -> Result<PathBuf> {
    let home = cache()?.join("tools").join(format!("cargo-deny-{CARGO_DENY}"));
    let program = home.join("bin/cargo-deny");
    if program.is_file() {
        return Ok(program);
    }
    eprintln!("building cargo-deny {CARGO_DENY} once (about 4 minutes on two cores) into {}", home.display());
    let mut install = cargo(["install", "--locked", "cargo-deny", "--version", CARGO_DENY, "--root"])?;
    must(install.arg(&home)).context(
        "cargo-deny is missing; get it with `cargo install --locked cargo-deny` when this machine reaches a registry",
    )?;
    if !program.is_file() {
        bail!("`cargo install` ended well, but {} is not there", program.display());
    }
    Ok(program)
}
