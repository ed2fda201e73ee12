//! How many requests each region was sent: atomics that data planes add to and the
//! writer reads once a second.

use std::sync::atomic::{AtomicU64, Ordering};

use meridian_topology::RegionIdx;

/// One counter a region.
#[derive(Debug)]
pub struct LoadMeter {
    requests: Box<[AtomicU64]>,
}

impl LoadMeter {
    /// Counters for `regions` regions, all zero.
    pub fn new(regions: usize) -> Self {
        Self {
            requests: (0..regions).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// One more request was sent to `region`. One relaxed atomic addition.
    pub fn record(&self, region: RegionIdx) {
        if let Some(counter) = self.requests.get(region.index()) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Requests of every region since the last call, in the topology's order.
    pub fn take(&self) -> Vec<u64> {
        self.requests
            .iter()
            .map(|counter| counter.swap(0, Ordering::Relaxed))
            .collect()
    }
}
