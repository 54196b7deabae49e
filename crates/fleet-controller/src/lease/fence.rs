//! The fence: whether this replica may still write, judged by its own monotonic clock.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

/// Says whether this replica may still change the world. It is asked before every cloud call and every write.
///
/// A lease is a hint and never mutual exclusion: a replica that was frozen for a minute wakes up believing that
/// it leads. The fence therefore goes by the time since the last renewal that succeeded, measured from before the
/// renewal was sent, and closes a margin earlier than the lease ends for everybody else. What is in flight at
/// that moment is caught by the state that each step expects and by its idempotency token.
#[derive(Debug, Clone)]
pub struct Fence {
    state: Arc<RwLock<State>>,
}

/// Until when the fence is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// This replica does not lead.
    Closed,
    /// It leads until this moment, unless it renews.
    Until(Instant),
    /// There is no lease: whoever runs this promises that there is one replica.
    Alone,
}

/// This replica may not write: it does not hold the lease, or could not renew it in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this replica does not hold the lease, so it changes nothing")]
pub struct FenceClosed;

impl Fence {
    /// A fence that stays closed until the lease is won.
    pub fn closed() -> Self {
        Self::with(State::Closed)
    }

    /// A fence that is always open, for a controller that runs without a lease.
    pub fn alone() -> Self {
        Self::with(State::Alone)
    }

    fn with(state: State) -> Self {
        Self { state: Arc::new(RwLock::new(state)) }
    }

    /// Keeps the fence open until `held_for` after the renewal was sent.
    pub(crate) fn renewed(&self, sent_at: Instant, held_for: Duration) {
        self.set(State::Until(sent_at + held_for));
    }

    /// Closes the fence at once.
    pub(crate) fn close(&self) {
        self.set(State::Closed);
    }

    fn set(&self, state: State) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
    }

    fn state(&self) -> State {
        *self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails unless this replica may write at this moment.
    pub fn check(&self) -> Result<(), FenceClosed> {
        self.check_at(Instant::now())
    }

    /// Fails unless this replica may write at the given moment.
    pub fn check_at(&self, now: Instant) -> Result<(), FenceClosed> {
        match self.state() {
            State::Alone => Ok(()),
            State::Until(end) if now < end => Ok(()),
            State::Until(_) | State::Closed => Err(FenceClosed),
        }
    }

    /// How long the fence stays open without a further renewal; `None` when nothing ever closes it.
    pub(crate) fn open_for(&self, now: Instant) -> Option<Duration> {
        match self.state() {
            State::Alone => None,
            State::Until(end) => Some(end.saturating_duration_since(now)),
            State::Closed => Some(Duration::ZERO),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_that_was_frozen_past_its_renewal_may_not_write() {
        let fence = Fence::closed();
        let sent = Instant::now();
        assert!(fence.check_at(sent).is_err());
        fence.renewed(sent, Duration::from_secs(12));
        assert!(fence.check_at(sent + Duration::from_secs(11)).is_ok());
        assert_eq!(fence.check_at(sent + Duration::from_secs(12)), Err(FenceClosed));
    }

    #[test]
    fn every_copy_of_the_fence_closes_together() {
        let fence = Fence::closed();
        let copy = fence.clone();
        fence.renewed(Instant::now(), Duration::from_secs(60));
        assert!(copy.check().is_ok());
        copy.close();
        assert!(fence.check().is_err());
    }

    #[test]
    fn without_a_lease_the_fence_never_closes() {
        let fence = Fence::alone();
        assert!(fence.check_at(Instant::now() + Duration::from_secs(1_000_000)).is_ok());
        assert_eq!(fence.open_for(Instant::now()), None);
    }
}
