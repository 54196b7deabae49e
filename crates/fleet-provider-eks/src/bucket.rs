//! A token bucket per account and region, shared by every tenant in it: EKS counts calls by account and region,
//! so one tenant's reads must not use up another's.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How many calls an account and region may take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Calls each second, in the long run.
    pub per_second: f64,
    /// Calls at once, after a pause.
    pub burst: f64,
}

impl Default for Rate {
    /// EKS publishes no figures. A hundred DescribeCluster calls at once were seen to lose a fifth to throttling
    /// (fidelity/kconnect#751), so the burst stays well below that.
    fn default() -> Self {
        Self { per_second: 20.0, burst: 60.0 }
    }
}

/// The bucket itself: pure, with the time as an argument.
#[derive(Debug, Clone)]
pub struct Bucket {
    rate: Rate,
    tokens: f64,
    at: Duration,
}

impl Bucket {
    /// A full bucket. Times are counted from any fixed moment.
    pub const fn full(rate: Rate, now: Duration) -> Self {
        Self { rate, tokens: rate.burst, at: now }
    }

    /// Takes one token, and says how long to wait before the call. Callers are served in the order they ask.
    pub fn take(&mut self, now: Duration) -> Duration {
        self.refill(now);
        self.tokens -= 1.0;
        if self.tokens >= 0.0 {
            return Duration::ZERO;
        }
        Duration::from_secs_f64(-self.tokens / self.rate.per_second)
    }

    /// The cloud asked to slow down: nobody calls for a second.
    pub fn throttled(&mut self, now: Duration) {
        self.refill(now);
        self.tokens = self.tokens.min(-self.rate.per_second);
    }

    fn refill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.tokens = (self.tokens + passed * self.rate.per_second).min(self.rate.burst);
    }
}

/// The bucket of one account and region, for callers that can wait.
#[derive(Debug)]
pub(crate) struct Pace {
    bucket: Mutex<Bucket>,
    began: Instant,
}

impl Pace {
    /// A full bucket.
    pub(crate) fn new(rate: Rate) -> Self {
        Self { bucket: Mutex::new(Bucket::full(rate, Duration::ZERO)), began: Instant::now() }
    }

    /// Waits for this caller's turn.
    pub(crate) async fn turn(&self) {
        let wait = self.with(|bucket, now| bucket.take(now));
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Tells every caller of the account and region to hold back.
    pub(crate) fn throttled(&self) {
        self.with(|bucket, now| bucket.throttled(now));
    }

    fn with<T>(&self, act: impl FnOnce(&mut Bucket, Duration) -> T) -> T {
        let now = self.began.elapsed();
        act(&mut self.bucket.lock().unwrap_or_else(PoisonError::into_inner), now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 10.0, burst: 3.0 };

    #[test]
    fn a_burst_goes_through_and_the_next_calls_queue_up() {
        let mut bucket = Bucket::full(RATE, Duration::ZERO);
        let waits: Vec<u128> = (0..5).map(|_| bucket.take(Duration::ZERO).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 100, 200]);
    }

    #[test]
    fn a_pause_fills_the_bucket_up_to_its_burst() {
        let mut bucket = Bucket::full(RATE, Duration::ZERO);
        for _ in 0..3 {
            bucket.take(Duration::ZERO);
        }
        let later = Duration::from_secs(60);
        let waits: Vec<u128> = (0..4).map(|_| bucket.take(later).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 100]);
    }

    #[test]
    fn a_throttle_holds_everybody_back_for_a_second() {
        let mut bucket = Bucket::full(RATE, Duration::ZERO);
        bucket.throttled(Duration::ZERO);
        assert_eq!(bucket.take(Duration::ZERO), Duration::from_millis(1100));
        assert_eq!(bucket.take(Duration::from_millis(1200)), Duration::ZERO);
    }

    #[test]
    fn a_clock_that_steps_back_gives_nothing_away() {
        let mut bucket = Bucket::full(RATE, Duration::from_secs(10));
        for _ in 0..3 {
            bucket.take(Duration::from_secs(10));
        }
        assert!(!bucket.take(Duration::from_secs(5)).is_zero());
        assert!(!bucket.take(Duration::from_secs(10)).is_zero());
    }
}
