//! What connections tell about endpoints without asking: when several in a row
//! fail, the writer of the plan hears of it and takes the endpoint out.
//!
//! The usual case, nobody failing, costs one relaxed load per connection. Only
//! while some endpoint fails is a table of at most [`FAILING_MAX`] counters
//! looked into.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use meridian_live::{PassiveKind, PassiveReport};
use meridian_topology::EndpointId;

/// Failures in a row after which an endpoint is reported. One refused
/// connection may be an accept queue that was full for a moment.
pub const FAILURES_TO_REPORT: u32 = 3;

/// Failing endpoints that are counted at once. Beyond it the counts start
/// over: so many failing at once are for the active probes to sort out.
pub const FAILING_MAX: usize = 4096;

/// Takes a report; must not block. `LiveHandle::report` is one.
pub type Reporter = Arc<dyn Fn(PassiveReport) + Send + Sync>;

/// Failures in a row, by endpoint.
pub(crate) struct Passive {
    failing: Mutex<HashMap<EndpointId, u32>>,
    count: AtomicUsize,
    report: Reporter,
}

impl fmt::Debug for Passive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passive")
            .field("failing", &self.count)
            .finish_non_exhaustive()
    }
}

impl Passive {
    pub(crate) fn new(report: Reporter) -> Self {
        Self {
            failing: Mutex::default(),
            count: AtomicUsize::new(0),
            report,
        }
    }

    /// A connection stood: its endpoint starts over.
    pub(crate) fn succeeded(&self, endpoint: &EndpointId) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        failing.remove(endpoint);
        self.count.store(failing.len(), Ordering::Relaxed);
    }

    /// A connection failed; every [`FAILURES_TO_REPORT`]th in a row is reported.
    pub(crate) fn failed(&self, endpoint: &EndpointId, kind: PassiveKind) {
        let reached = {
            let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
            if failing.len() >= FAILING_MAX && !failing.contains_key(endpoint) {
                failing.clear();
            }
            let failures = failing.entry(endpoint.clone()).or_insert(0);
            *failures += 1;
            let reached = *failures >= FAILURES_TO_REPORT;
            if reached {
                failing.remove(endpoint);
            }
            self.count.store(failing.len(), Ordering::Relaxed);
            reached
        };
        if reached {
            (self.report)(PassiveReport {
                endpoint: endpoint.clone(),
                kind,
            });
        }
    }
}

#[cfg(test)]
mod tests;
