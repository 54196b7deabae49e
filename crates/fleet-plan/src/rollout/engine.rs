//! The engine's tick.

use super::{Tick, World};

pub(super) fn tick(_: &World<'_>) -> Tick {
    Tick { status: None, members: Vec::new(), moves: Vec::new(), wake_at: None }
}
