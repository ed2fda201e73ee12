//! Graceful return of a region: after a hold, its share of clients grows in steps.
//!
//! Pure: time is an argument. A region that lost every endpoint of its own and then got one
//! back first takes nothing for `hold`, then each share of `steps` for an equal part of
//! another `hold`, and is whole again. A region that dies meanwhile starts over.

use std::time::{Duration, Instant};

use meridian_topology::Ratio;

/// How a region comes back.
#[derive(Debug, Clone, PartialEq)]
pub struct Failback {
    /// Time without clients after recovery, to see that it lasts.
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
        let Some(climbing) = elapsed.checked_sub(failback.hold) else {
            return (self, Ratio::ZERO);
        };
        let steps = u32::try_from(failback.steps.len()).unwrap_or(u32::MAX).max(1);
        let each = (failback.hold / steps).max(Duration::from_millis(1));
        let reached = usize::try_from(climbing.as_nanos() / each.as_nanos()).unwrap_or(usize::MAX);
        match failback.steps.get(reached) {
            Some(share) if *share < Ratio::ONE => (self, *share),
            _ => (Self::Whole, Ratio::ONE),
        }
    }
}

#[cfg(test)]
mod tests;
