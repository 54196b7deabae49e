//! How long a plan takes and how much memory, by the number of members. Each size has a process of its own, so that the
//! peak of its memory is that of this plan.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use super::made_fleet::{MadeFleet, Windows};
use crate::{
    figures::{Figures, Spread, mib, millis, time},
    processes::own_peak,
};

/// The sizes.
const SIZES: [usize; 3] = [100, 1_000, 10_000];
/// How often each is planned; the median is told.
const TIMES: usize = 5;

/// What one process found.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Found {
    milliseconds: f64,
    /// The peak of the memory with the fleet in it, before anything was planned.
    fleet_bytes: u64,
    /// The peak of the memory in the end.
    peak_bytes: u64,
}

/// Plans a rollout of so many members in this process, and prints what was found.
pub(crate) fn alone(members: usize) -> Result<Found> {
    let fleet = MadeFleet::of(members, Windows::Nights)?;
    let fleet_bytes = own_peak()?;
    let mut times = Vec::new();
    for _ in 0..TIMES {
        let began = Instant::now();
        let plan = fleet.plan(Timestamp::now())?;
        times.push(began.elapsed());
        if plan.members.len() != members {
            bail!("{} of {members} members were planned", plan.members.len());
        }
    }
    Ok(Found { milliseconds: millis(Spread::of(times).median()), fleet_bytes, peak_bytes: own_peak()? })
}

/// Plans every size.
pub(crate) async fn measure(figures: &mut Figures) -> Result<()> {
    for (members, id) in SIZES.into_iter().zip(["plan100", "plan1000", "plan10000"]) {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--plan-alone", &members.to_string()]).stderr(Stdio::inherit()).kill_on_drop(true);
        let output = command.output().await?;
        let found: Found = serde_json::from_slice(&output.stdout).context("no plan was made")?;
        let plan_bytes = found.peak_bytes - found.fleet_bytes;
        figures.add(
            id,
            format!("plan of a rollout of {members} members in three waves, windows in four zones"),
            format!(
                "{}; {} beside the fleet's own {}",
                time(Duration::from_secs_f64(found.milliseconds / 1000.0)),
                mib(plan_bytes),
                mib(found.fleet_bytes)
            ),
            [
                ("milliseconds", found.milliseconds),
                ("planBytes", plan_bytes as f64),
                ("fleetBytes", found.fleet_bytes as f64),
            ],
        );
    }
    Ok(())
}
