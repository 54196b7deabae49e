//! How many requests one tenant's API server is sent at once, learnt from how it answers.
//!
//! A fresh EKS control plane refuses a plain burst of applies with 429 (its etcd throttles, and its limits grow
//! with the cluster), so the number starts low, grows by one for every full round of good answers, and halves
//! when the server asks to slow down.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use tokio::sync::Notify;

/// Answers that ask to slow down within this time belong to one burst, and halve the number once.
const ONE_BURST: Duration = Duration::from_millis(250);

/// The number of requests in flight, and its bounds.
#[derive(Debug)]
pub(crate) struct Pacer {
    state: Mutex<State>,
    freed: Notify,
    most: f64,
}

#[derive(Debug)]
struct State {
    limit: f64,
    in_flight: u32,
    halved_at: Option<Instant>,
}

impl Pacer {
    pub(crate) fn new(most: u32) -> Self {
        let most = f64::from(most.max(1));
        let state = State { limit: (most / 2.0).max(1.0), in_flight: 0, halved_at: None };
        Self { state: Mutex::new(state), freed: Notify::new(), most }
    }

    /// Waits for a place.
    pub(crate) async fn enter(&self) -> Place<'_> {
        loop {
            let freed = self.freed.notified();
            if self.with(|state| {
                let free = f64::from(state.in_flight) < state.limit.floor();
                state.in_flight += u32::from(free);
                free
            }) {
                return Place { pacer: self };
            }
            freed.await;
        }
    }

    /// The server asked to slow down.
    pub(crate) fn slow_down(&self, now: Instant) {
        self.with(|state| {
            let same_burst = state.halved_at.is_some_and(|at| now.duration_since(at) < ONE_BURST);
            if !same_burst {
                state.limit = (state.limit / 2.0).max(1.0);
                state.halved_at = Some(now);
            }
        });
    }

    /// The server answered well.
    pub(crate) fn speed_up(&self) {
        let most = self.most;
        let grew = self.with(|state| {
            let before = state.limit.floor();
            state.limit = (state.limit + 1.0 / state.limit).min(most);
            state.limit.floor() > before
        });
        if grew {
            self.freed.notify_one();
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        // A poisoned lock holds numbers that are still numbers.
        change(&mut self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// A place among the requests in flight; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    pacer: &'a Pacer,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.pacer.with(|state| state.in_flight = state.in_flight.saturating_sub(1));
        self.pacer.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn a_storm_halves_the_number_once_per_burst_and_never_below_one() {
        let pacer = Pacer::new(16);
        let start = Instant::now();
        for millisecond in 0..200 {
            pacer.slow_down(start + Duration::from_millis(millisecond));
        }
        assert_eq!(pacer.with(|state| state.limit), 4.0);
        for burst in 1..20 {
            pacer.slow_down(start + ONE_BURST * burst);
        }
        assert_eq!(pacer.with(|state| state.limit), 1.0);
        for _ in 0..1_000 {
            pacer.speed_up();
        }
        assert_eq!(pacer.with(|state| state.limit), 16.0);
    }

    #[tokio::test]
    async fn nobody_is_left_waiting_when_places_are_given_back() {
        let pacer = Arc::new(Pacer::new(2));
        let tasks: Vec<_> = (0..200)
            .map(|_| {
                let pacer = Arc::clone(&pacer);
                tokio::spawn(async move {
                    let place = pacer.enter().await;
                    assert!(pacer.with(|state| state.in_flight) <= 2);
                    tokio::task::yield_now().await;
                    drop(place);
                    pacer.speed_up();
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(pacer.with(|state| state.in_flight), 0);
    }
}
