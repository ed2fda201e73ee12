//! Chance that is the same on every machine and in every version.
//!
//! SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), written out because artifacts are compared
//! byte for byte: a random number crate may change its stream with a new version.

/// A stream of numbers from a seed.
#[derive(Clone, Debug)]
pub(crate) struct SplitMix(u64);

impl SplitMix {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in 0 to 1, without 1: the upper 53 bits.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform from `low` to `high`.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Exponentially distributed with a mean.
    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// `count` distinct positions below `len`, sorted; all of them when `len` is smaller.
    pub(crate) fn sample(&mut self, len: usize, count: usize) -> Vec<usize> {
        let mut positions: Vec<usize> = (0..len).collect();
        let count = count.min(len);
        for at in 0..count {
            // The bias of the remainder is below len / 2^64.
            let other = at + (self.next() % (len - at) as u64) as usize;
            positions.swap(at, other);
        }
        positions.truncate(count);
        positions.sort_unstable();
        positions
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::SplitMix;

    #[test]
    fn the_stream_is_the_published_one() {
        let mut random = SplitMix::new(1_234_567);
        let numbers: Vec<u64> = (0..3).map(|_| random.next()).collect();
        assert_eq!(
            numbers,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn samples_are_distinct_sorted_and_bounded() {
        let mut random = SplitMix::new(7);
        for len in [0, 1, 5, 40] {
            let sample = random.sample(len, 8);
            assert_eq!(sample.len(), len.min(8));
            assert!(sample.is_sorted_by(|a, b| a < b));
            assert!(sample.iter().all(|position| *position < len));
        }
    }
}
