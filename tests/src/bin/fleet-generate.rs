//! Writes the generated files, or with `--check` compares them.
#![expect(clippy::print_stdout, reason = "a program of the command line")]

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use fleet_tests::generated::{check, files, write};

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the crate lies below the root")?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => {
            let changed = write(root, &files()?)?;
            println!("{} generated files, {} of them changed", files()?.len(), changed.len());
            for path in changed {
                println!("  {path}");
            }
            Ok(())
        }
        ["--check"] => check(root, &files()?),
        _ => bail!("usage: fleet-generate [--check]"),
    }
}
