//! Latency of an endpoint, as peak-sensitive balancing wants it.
//!
//! Finagle's "peak EWMA": a sample above the average replaces it at once, one below pulls it down with
//! the time constant [`DECAY`]. An endpoint that becomes slow loses requests after its first slow answer,
//! and gets them back only as it proves to be fast again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How slowly a bad sample is forgotten.
const DECAY: Duration = Duration::from_secs(10);

/// Average in µs (upper half) and when it was made, in ms of the node's clock (lower half); 0 is never.
#[derive(Debug, Default)]
pub(crate) struct PeakEwma(AtomicU64);

impl PeakEwma {
    /// Takes a sample. Two at the same moment may leave one of them.
    pub(crate) fn observe(&self, sample_us: u32, now_ms: u32) {
        let packed = self.0.load(Ordering::Relaxed);
        let (average_us, at_ms) = (packed >> 32, packed as u32);
        let sample = f64::from(sample_us);
        let average = average_us as f64;
        let next = if packed == 0 || sample >= average {
            sample
        } else {
            let idle_s = f64::from(now_ms.wrapping_sub(at_ms)) / 1e3;
            let keep = (-idle_s / DECAY.as_secs_f64()).exp();
            average * keep + sample * (1.0 - keep)
        };
        // Between 0 and the larger of two numbers of 32 bits; 1 keeps it apart from "never".
        let packed = (next as u64).max(1) << 32 | u64::from(now_ms);
        self.0.store(packed, Ordering::Relaxed);
    }

    /// The average in µs; `None` before the first sample.
    pub(crate) fn us(&self) -> Option<u32> {
        let packed = self.0.load(Ordering::Relaxed);
        (packed != 0).then_some((packed >> 32) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_counts_at_once_and_is_forgotten_slowly() {
        let ewma = PeakEwma::default();
        assert_eq!(ewma.us(), None);
        ewma.observe(1_000, 0);
        assert_eq!(ewma.us(), Some(1_000));
        ewma.observe(50_000, 1);
        assert_eq!(ewma.us(), Some(50_000));
        ewma.observe(1_000, 2);
        let after = ewma.us().unwrap();
        assert!(after > 49_000, "{after}: one fast answer forgives little");
        // Ten seconds: 1/e of the difference is left.
        ewma.observe(1_000, 10_002);
        let later = ewma.us().unwrap();
        assert!((18_500..19_500).contains(&later), "{later}");
    }

    #[test]
    fn a_sample_of_nothing_is_a_sample() {
        let ewma = PeakEwma::default();
        ewma.observe(0, 0);
        assert_eq!(ewma.us(), Some(1));
    }
}
