//! Finds the servers of every minor, or builds them, so that no test waits for a build without a word.
#![expect(clippy::print_stderr, reason = "a program of the command line")]

use local_control_plane::{Assets, Minor};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let assets = Assets::ensure(&[Minor::V1_35, Minor::V1_36], &|progress| eprintln!("{progress}")).await?;
    eprintln!("the servers are there: {assets:?}");
    Ok(())
}
