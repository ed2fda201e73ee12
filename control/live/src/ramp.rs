//! Graceful return of a region: after a hold, its share of clients grows in steps.
//!
//! Pure: time is an argument. A region that lost every endpoint of its own and then got one
//! back takes nothing for `hold`, then each share of `steps` for another `hold`, until it is
//! whole again. A region that dies meanwhile starts over.

use std::time::{Duration, Instant};

use meridian_topology::Ratio;

/// How a region comes back.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Failback {
    /// How long it has to be healthy before each step.
    pub hold: Duration,
    /// Shares of its clients, growing; the last is usually 100 %.
    pub steps: Vec<Ratio>,
}

/// Where one region is on its way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ramp {
    /// It never left, or is back whole.
    Whole,
    /// It has no serving endpoint.
    Gone,
    /// It recovered at this time.
    Returning(Instant),
}

impl Ramp {
    /// The region now has, or has not, serving endpoints.
    #[must_use]
    pub fn observe(self, serves: bool, now: Instant) -> Self {
        match (self, serves) {
            (_, false) => Self::Gone,
            (Self::Gone, true) => Self::Returning(now),
            (state, true) => state,
        }
    }

    /// The share of its clients the region takes at `now`, and the state to go on with.
    pub fn share(self, failback: &Failback, now: Instant) -> (Self, Ratio) {
        let Self::Returning(since) = self else {
            return (self, Ratio::ONE);
        };
        let elapsed = now.duration_since(since);
        let hold = failback.hold.max(Duration::from_millis(1));
        let held = usize::try_from(elapsed.as_nanos() / hold.as_nanos()).unwrap_or(usize::MAX);
        if failback.hold > Duration::ZERO && held == 0 {
            return (self, Ratio::ZERO);
        }
        match failback.steps.get(held.saturating_sub(1)) {
            Some(share) if *share < Ratio::ONE => (self, *share),
            _ => (Self::Whole, Ratio::ONE),
        }
    }
}

#[cfg(test)]
mod tests;
