//! The clock as an argument, and jitter without a source of randomness.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// Tells the time. Tests hand in one that they move themselves.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The machine's clock.
pub fn system_clock() -> Clock {
    Arc::new(Timestamp::now)
}

/// Spreads a period over 80 to 120 percent of itself, by what is to be spread and how often it has come round.
///
/// The same seed and round give the same answer, and different seeds fall evenly: ten thousand clusters that
/// start in the same second do not come back in the same second.
pub fn jittered(period: Duration, seed: &str, round: u64) -> Duration {
    let mut hash = Sha256::new();
    hash.update(seed.as_bytes());
    hash.update(round.to_be_bytes());
    let digest = hash.finalize();
    let spread = digest.iter().take(4).fold(0_u32, |sum, byte| (sum << 8) | u32::from(*byte));
    period.mul_f64(0.8 + 0.4 * f64::from(spread) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_near_the_period_and_differs_by_seed_and_round() {
        let hour = Duration::from_secs(3600);
        let mut seen = std::collections::BTreeSet::new();
        for cluster in 0..100 {
            for round in 0..3 {
                let spread = jittered(hour, &format!("cluster-{cluster}"), round);
                assert!(spread >= hour.mul_f64(0.8) && spread <= hour.mul_f64(1.2), "{spread:?}");
                seen.insert(spread);
            }
        }
        assert!(seen.len() > 290, "{} of 300 differ", seen.len());
        assert_eq!(jittered(hour, "a", 1), jittered(hour, "a", 1));
    }
}
