//! Growing, jittered waits between attempts.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// First wait.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// Longest wait.
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// The wait that comes next: doubled each time, up to [`BACKOFF_MAX`].
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: BACKOFF_MIN }
    }
}

impl Backoff {
    /// Takes the next wait. `chance` spreads it over its upper half, so that a fleet that lost the
    /// same member does not return as one.
    pub(super) fn step(&mut self, chance: u64) -> Duration {
        let full = self.next;
        self.next = (full * 2).min(BACKOFF_MAX);
        let half_us = u64::try_from(full.as_micros() / 2).unwrap_or(u64::MAX);
        full / 2 + Duration::from_micros(chance % (half_us + 1))
    }

    /// Sleeps for the next wait.
    pub(super) async fn wait(&mut self) {
        // A fresh `RandomState` is seeded by the system: chance enough for jitter.
        let chance = RandomState::new().hash_one(());
        tokio::time::sleep(self.step(chance)).await;
    }

    /// Starts over after a success.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}
