//! When to look again: jitter and backoff as pure functions of an object and of a count.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// The first pause after a failure.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);

/// Spreads a delay by up to a fifth to either side.
///
/// The spread follows from the key (an object's UID) and the salt (a count), so that equal objects do not come
/// back together and no source of randomness is needed.
pub(crate) fn jittered(delay: Duration, key: &str, salt: u64) -> Duration {
    let mut hasher = DefaultHasher::new();
    (key, salt).hash(&mut hasher);
    let permille = 800 + hasher.finish() % 401;
    let millis = delay.as_millis().saturating_mul(u128::from(permille)) / 1000;
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

/// The shortest pause that [`jittered`] makes of a delay.
pub(crate) fn soonest(delay: Duration) -> Duration {
    delay.mul_f64(0.8)
}

/// The pause after the given number of failures in a row, which is at least 1: doubling, bounded, spread.
pub(crate) fn backoff(failures: u32, key: &str) -> Duration {
    let doubled =
        FIRST_PAUSE.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    jittered(doubled.min(LONGEST_PAUSE), key, u64::from(failures))
}

/// How often each object has failed in a row.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    by_uid: Mutex<HashMap<String, u32>>,
}

impl Failures {
    /// Counts a failure, and gives the pause before the next attempt.
    pub(crate) fn failed(&self, uid: &str) -> Duration {
        let mut by_uid = self.by_uid.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = by_uid.entry(uid.to_owned()).or_insert(0);
        *failures = failures.saturating_add(1);
        backoff(*failures, uid)
    }

    /// Forgets the failures of an object that is well, or gone.
    pub(crate) fn forget(&self, uid: &str) {
        self.by_uid.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_a_fifth_and_differs_between_objects() {
        let delay = Duration::from_secs(100);
        let spread: Vec<Duration> = (0..50).map(|n| jittered(delay, &format!("uid-{n}"), 0)).collect();
        assert!(spread.iter().all(|d| (80..=120).contains(&d.as_secs())));
        assert!(spread.iter().collect::<std::collections::BTreeSet<_>>().len() > 25);
        assert_eq!(jittered(delay, "uid-1", 3), jittered(delay, "uid-1", 3));
    }

    #[test]
    fn the_pause_doubles_up_to_its_bound() {
        let mut before = Duration::ZERO;
        for failures in 1..=6 {
            let pause = backoff(failures, "uid");
            assert!(pause > before, "{failures}: {pause:?}");
            before = pause;
        }
        for failures in [10, 31, 32, 33, u32::MAX] {
            assert!(backoff(failures, "uid") <= LONGEST_PAUSE.mul_f64(1.2), "{failures}");
        }
    }

    #[test]
    fn an_object_that_is_well_again_starts_over() {
        let failures = Failures::default();
        let first = failures.failed("uid");
        failures.failed("uid");
        failures.forget("uid");
        assert_eq!(failures.failed("uid"), first);
    }
}
