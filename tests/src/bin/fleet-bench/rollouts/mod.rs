//! Figures of rollouts: planning, ticking, a hundred clusters on a real management cluster, the simulator.

mod hundred;
mod made_fleet;
pub(crate) mod planning;
mod simulating;
mod ticking;

use anyhow::Result;
use local_control_plane::Assets;

use crate::{figures::Figures, say};

/// Takes all of them.
pub(crate) async fn measure(assets: &Assets, seeds: u64, figures: &mut Figures) -> Result<()> {
    say("planning rollouts");
    planning::measure(figures).await?;
    say("ticking through a rollout in memory");
    tokio::task::block_in_place(|| ticking::measure(figures))?;
    say("moving a hundred clusters that move at once, on a real management cluster");
    hundred::measure(assets, figures).await?;
    say(&format!("simulating {seeds} rollouts"));
    tokio::task::block_in_place(|| simulating::measure(seeds, figures));
    Ok(())
}
