//! When a check is due: interval, jitter, spread and the early second look.
//!
//! All chance is a hash of (seed, endpoint, kind of check, number of the probe): two runs with one
//! seed probe at the same offsets, and no generator is shared.

#[cfg(test)]
mod tests;

use std::time::Duration;

use meridian_topology::HealthCheck;
use tokio::time::Instant;

use crate::target::Target;

/// The second look never comes sooner than this after a failure.
pub const RECHECK_MIN: Duration = Duration::from_millis(5);

/// The second look never waits longer than this.
pub const RECHECK_MAX: Duration = Duration::from_secs(1);

/// The second look waits this part of the interval.
const RECHECK_DIVISOR: u32 = 4;

/// When checks are due. Pure; the seed is its only state.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    seed: u64,
    start_spread: Duration,
}

impl Schedule {
    /// Equal seeds give equal schedules. First probes are spread over `start_spread`, or over the
    /// check's interval if that is shorter.
    #[must_use]
    pub const fn new(seed: u64, start_spread: Duration) -> Self {
        Self { seed, start_spread }
    }

    /// The number that stands for a target in every draw.
    #[must_use]
    pub fn identity(&self, target: &Target) -> u64 {
        let parts = [
            target.endpoint.as_str(),
            target
                .service
                .as_ref()
                .map_or("", |service| service.as_str()),
            target.check.kind.word(),
        ];
        parts
            .iter()
            .fold(self.seed, |hash, part| mix(fnv1a(hash, part.as_bytes())))
    }

    /// How long after `now` a new check is first probed.
    #[must_use]
    pub fn first(&self, identity: u64, check: &HealthCheck) -> Duration {
        self.start_spread
            .min(check.interval.as_duration())
            .mul_f64(unit(identity, 0))
    }

    /// When probe number `n` (from 1) of a check is due, if the one before began at `began`: the
    /// interval, give or take its jitter.
    #[must_use]
    pub fn next(&self, identity: u64, n: u64, check: &HealthCheck, began: Instant) -> Instant {
        let swing = check.jitter.get() * (2.0 * unit(identity, n) - 1.0);
        began + check.interval.as_duration().mul_f64(1.0 + swing)
    }

    /// When to look again after a failure that does not decide yet, seen at `ended`. Never later
    /// than the regular turn.
    #[must_use]
    pub fn recheck(
        &self,
        identity: u64,
        n: u64,
        check: &HealthCheck,
        began: Instant,
        ended: Instant,
    ) -> Instant {
        let wait = check.interval.as_duration() / RECHECK_DIVISOR;
        let soon = ended + wait.clamp(RECHECK_MIN, RECHECK_MAX);
        soon.min(self.next(identity, n, check, began))
    }
}

/// A number in 0..1 that looks random.
fn unit(identity: u64, n: u64) -> f64 {
    const STEPS: f64 = (1_u64 << 53) as f64;
    (mix(identity.wrapping_add(n)) >> 11) as f64 / STEPS
}

/// FNV-1a, continued from `hash`, over the bytes and a separator.
fn fnv1a(hash: u64, bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .chain(&[0xff])
        .fold(hash ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood 2014).
const fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
