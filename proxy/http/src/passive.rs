//! Passive health: what ordinary requests tell of an endpoint.
//!
//! One run of consecutive failures per endpoint and kind. A run that reaches
//! its threshold is reported once to `control/live`, which decides (ejection,
//! its length, re-admission) and flips the health bits; a success ends all
//! runs. Counting starts anew with each plan.
//!
//! The table has one row of three atomics per endpoint of the plan. A success
//! costs three relaxed loads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use meridian_live::{LiveHandle, PassiveKind, PassiveReport};
use meridian_topology::{EndpointId, EndpointIdx};

/// Who acts on failing endpoints.
pub trait PassiveSink: Send + Sync + 'static {
    /// Takes a report. Must not block.
    fn report(&self, report: PassiveReport);
}

impl PassiveSink for LiveHandle {
    fn report(&self, report: PassiveReport) {
        Self::report(self, report);
    }
}

/// For a proxy whose plan nobody changes.
#[derive(Debug, Clone, Copy, Default)]
pub struct IgnoreReports;

impl PassiveSink for IgnoreReports {
    fn report(&self, _report: PassiveReport) {}
}

/// Consecutive failures of one kind that are reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Thresholds {
    /// Refused, unreachable or cut connections.
    pub(crate) connect_failures: u32,
    /// Connections or answers that did not come in time.
    pub(crate) timeouts: u32,
    /// Answers of the 5xx class.
    pub(crate) server_errors: u32,
}

impl Thresholds {
    /// 1 for what comes from a comparison, not from failures in a row.
    fn of(&self, kind: PassiveKind) -> u32 {
        match kind {
            PassiveKind::ConnectFailed => self.connect_failures,
            PassiveKind::Timeout => self.timeouts,
            PassiveKind::Status5xx => self.server_errors,
            PassiveKind::FailureShare | PassiveKind::Latency => 1,
        }
    }
}

/// The runs of all endpoints of one plan.
pub(crate) struct FailureRuns {
    endpoints: Box<[Run]>,
    thresholds: Thresholds,
    sink: Arc<dyn PassiveSink>,
}

#[derive(Default)]
struct Run {
    connect_failures: AtomicU32,
    timeouts: AtomicU32,
    server_errors: AtomicU32,
}

impl Run {
    fn of(&self, kind: PassiveKind) -> &AtomicU32 {
        match kind {
            PassiveKind::ConnectFailed => &self.connect_failures,
            PassiveKind::Timeout | PassiveKind::Latency => &self.timeouts,
            PassiveKind::Status5xx | PassiveKind::FailureShare => &self.server_errors,
        }
    }
}

impl FailureRuns {
    /// Runs for `endpoints` endpoints, all empty.
    pub(crate) fn new(
        endpoints: usize,
        thresholds: Thresholds,
        sink: Arc<dyn PassiveSink>,
    ) -> Self {
        Self {
            endpoints: (0..endpoints).map(|_| Run::default()).collect(),
            thresholds,
            sink,
        }
    }

    /// The endpoint answered as it should.
    pub(crate) fn succeeded(&self, endpoint: EndpointIdx) {
        let Some(run) = self.run(endpoint) else {
            return;
        };
        for failures in [&run.connect_failures, &run.timeouts, &run.server_errors] {
            // Loading first keeps the cache line shared among the workers.
            if failures.load(Ordering::Relaxed) != 0 {
                failures.store(0, Ordering::Relaxed);
            }
        }
    }

    /// The endpoint failed; `id` is its name for the report.
    pub(crate) fn failed(&self, endpoint: EndpointIdx, id: &EndpointId, kind: PassiveKind) {
        let Some(run) = self.run(endpoint) else {
            return;
        };
        let failures = run.of(kind);
        let so_far = failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if so_far >= self.thresholds.of(kind) {
            // A new run begins: an endpoint that goes on failing is reported
            // again, and live lengthens its absence.
            failures.store(0, Ordering::Relaxed);
            self.report(id, kind);
        }
    }

    /// Reports an endpoint, whatever its runs.
    pub(crate) fn report(&self, id: &EndpointId, kind: PassiveKind) {
        self.sink.report(PassiveReport {
            endpoint: id.clone(),
            kind,
        });
    }

    fn run(&self, endpoint: EndpointIdx) -> Option<&Run> {
        self.endpoints.get(usize::try_from(endpoint.0).ok()?)
    }
}

#[cfg(test)]
mod tests;
