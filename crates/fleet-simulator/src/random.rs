//! Random numbers that are the same on every machine: xoshiro256** seeded by splitmix64.

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: [u64; 4],
}

impl Random {
    /// The stream of a seed for one purpose. Streams of different purposes do not touch each other, so that leaving
    /// something out of a scenario does not change the luck of the rest.
    pub(crate) fn new(seed: u64, purpose: &str) -> Self {
        // FNV-1a tells the purposes apart.
        let mut mixed = purpose.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
        mixed ^= seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self { state: std::array::from_fn(|_| split_mix(&mut mixed)) }
    }

    /// The next 64 bits.
    pub(crate) const fn next(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A number from `low` to `high`, both of them possible.
    pub(crate) const fn between(&mut self, low: i64, high: i64) -> i64 {
        if high <= low {
            return low;
        }
        let span = (high - low) as u64 + 1;
        low + (self.next() % span) as i64
    }

    /// An index below `length`; 0 when there is none.
    pub(crate) const fn below(&mut self, length: usize) -> usize {
        if length == 0 { 0 } else { (self.next() % length as u64) as usize }
    }

    /// True in `percent` of a hundred cases.
    pub(crate) const fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    /// One of them.
    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len()))
    }
}

const fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_numbers_of_a_seed_never_change() {
        let mut random = Random::new(1, "a test");
        let first: Vec<i64> = (0..6).map(|_| random.between(1, 1000)).collect();
        let mut again = Random::new(1, "a test");
        assert_eq!(first, (0..6).map(|_| again.between(1, 1000)).collect::<Vec<_>>());
        let mut other = Random::new(1, "another test");
        assert_ne!(first, (0..6).map(|_| other.between(1, 1000)).collect::<Vec<_>>());
        assert!(first.iter().all(|number| (1..=1000).contains(number)));
    }
}
