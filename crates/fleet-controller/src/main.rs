//! The controller of a fleet.

use clap::Parser as _;
use fleet_controller::{args::Args, run, telemetry};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    telemetry::init(&args.log, args.log_format)?;
    Ok(run::from_environment(args).await?)
}
