//! What is known of endpoints and services while requests are on their way.
//!
//! One entry of atomics each, shared by all workers. They are carried from plan to plan by name
//! ([`crate::table::Table::derive`]), so that a reload neither forgets what is in flight nor begins
//! averages anew.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use meridian_topology::Balance;

use super::budget::RetryWindow;
use super::ewma::PeakEwma;

/// What a failure counts as in the average of latencies.
const FAILURE_US: u32 = 1_000_000;

/// Time since the node's proxy began: what the counts are dated by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    /// Begins now.
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// A moment on this clock.
    pub(crate) fn at(self, now: Instant) -> Duration {
        now.saturating_duration_since(self.0)
    }

    /// The same in ms; goes round after 49 days.
    pub(crate) fn ms(self, now: Instant) -> u32 {
        self.at(now).as_millis() as u32
    }
}

/// One endpoint, as this node sees it. A cache line of its own: workers write to it.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct EndpointStats {
    in_flight: AtomicU32,
    ewma: PeakEwma,
    /// Answers, good or bad, and attempts that failed; goes round.
    attempts: AtomicU32,
    /// Those that failed or were answered 5xx; goes round.
    failed: AtomicU32,
    /// Time to the first byte of the others, in µs, summed up; goes round.
    latency_us: AtomicU64,
}

/// What happened at an endpoint since the node began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) attempts: u32,
    pub(crate) failed: u32,
    pub(crate) latency_us: u64,
}

impl EndpointStats {
    /// Takes one more request, unless there are `most` already.
    pub(crate) fn begin(&self, most: Option<u32>) -> bool {
        begin(&self.in_flight, most.unwrap_or(u32::MAX))
    }

    /// A request that [`Self::begin`] took is over.
    pub(crate) fn end(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Requests on their way.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// An answer below 500 began after so long.
    pub(crate) fn answered(&self, after: Duration, now_ms: u32) {
        let us = u32::try_from(after.as_micros()).unwrap_or(u32::MAX);
        self.ewma.observe(us, now_ms);
        self.attempts.fetch_add(1, Ordering::Relaxed);
        self.latency_us.fetch_add(u64::from(us), Ordering::Relaxed);
    }

    /// An attempt failed, or its answer was 5xx.
    pub(crate) fn failed(&self, now_ms: u32) {
        // Who fails fast must not look fast.
        self.ewma.observe(FAILURE_US, now_ms);
        self.attempts.fetch_add(1, Ordering::Relaxed);
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// What happened so far.
    pub(crate) fn totals(&self) -> Totals {
        Totals {
            attempts: self.attempts.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            latency_us: self.latency_us.load(Ordering::Relaxed),
        }
    }

    /// How much a further request would have to wait here, in no particular unit.
    fn cost(&self, balance: Balance) -> u64 {
        let in_flight = u64::from(self.in_flight());
        match (balance, self.ewma.us()) {
            (Balance::Hash, _) => 0,
            (Balance::LeastRequest, _) => in_flight + 1,
            (Balance::PeakEwma, Some(us)) => u64::from(us) * (in_flight + 1),
            // Never heard of: worth one request, not a crowd.
            (Balance::PeakEwma, None) if in_flight == 0 => 0,
            (Balance::PeakEwma, None) => u64::from(u32::MAX) * in_flight,
        }
    }
}

/// Whether the second of two endpoints, each with its weight, should get a request that the first would
/// get otherwise.
pub(crate) fn is_lighter(
    balance: Balance,
    (first, first_weight): (&EndpointStats, u16),
    (second, second_weight): (&EndpointStats, u16),
) -> bool {
    let cost = |stats: &EndpointStats, others: u16| {
        u128::from(stats.cost(balance)) * u128::from(others.max(1))
    };
    cost(second, first_weight) < cost(first, second_weight)
}

/// One service, as this node sees it.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct ServiceStats {
    in_flight: AtomicU32,
    pub(crate) retries: RetryWindow,
}

impl ServiceStats {
    /// Takes one more request, unless there are `most` already.
    pub(crate) fn begin(&self, most: u32) -> bool {
        begin(&self.in_flight, most)
    }

    /// A request that [`Self::begin`] took is over.
    pub(crate) fn end(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Requests on their way.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }
}

/// Counts first and looks then, so that no two threads take the last place.
fn begin(in_flight: &AtomicU32, most: u32) -> bool {
    let before = in_flight.fetch_add(1, Ordering::Relaxed);
    if before < most {
        return true;
    }
    in_flight.fetch_sub(1, Ordering::Relaxed);
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(in_flight: u32, us: u32) -> EndpointStats {
        let stats = EndpointStats::default();
        for _ in 0..in_flight {
            assert!(stats.begin(None));
        }
        if us > 0 {
            stats.answered(Duration::from_micros(us.into()), 1);
        }
        stats
    }

    #[test]
    fn no_more_than_the_bound_begin() {
        let stats = EndpointStats::default();
        assert!(stats.begin(Some(2)) && stats.begin(Some(2)) && !stats.begin(Some(2)));
        assert_eq!(stats.in_flight(), 2);
        stats.end();
        assert!(stats.begin(Some(2)));
    }

    #[test]
    fn fewer_requests_win() {
        let (busy, idle) = (with(3, 0), with(1, 0));
        let lighter = |first, second| is_lighter(Balance::LeastRequest, first, second);
        assert!(lighter((&busy, 100), (&idle, 100)));
        assert!(!lighter((&idle, 100), (&busy, 100)));
        assert!(!lighter((&idle, 100), (&idle, 100)), "a draw stays");
        // Three of four times the weight are less than one of one.
        assert!(!lighter((&busy, 400), (&idle, 100)));
    }

    #[test]
    fn a_slow_endpoint_loses_although_it_is_idle() {
        let (fast, slow) = (with(2, 1_000), with(0, 50_000));
        let lighter = |first, second| is_lighter(Balance::PeakEwma, first, second);
        assert!(lighter((&slow, 100), (&fast, 100)));
        assert!(!lighter((&fast, 100), (&slow, 100)));
        let (unknown, crowded) = (with(0, 0), with(1, 0));
        assert!(lighter((&fast, 100), (&unknown, 100)), "worth a try");
        assert!(!lighter((&slow, 100), (&crowded, 100)), "one at a time");
    }
}
