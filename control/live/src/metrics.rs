//! Metrics of the writer, registered once.

use std::time::Duration;

use meridian_telemetry::{MetricError, Metrics, Unit};
use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge};

use crate::published::Published;

/// Upper bounds of the compile histogram, in seconds.
const COMPILE_SECONDS: &[f64] = &[0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];

/// Everything the writer counts.
#[derive(Debug, Clone)]
pub(crate) struct LiveMetrics {
    compile: Histogram,
    plans: IntCounter,
    sequence: IntGauge,
    plan_bytes: IntGauge,
    rejected: IntGauge,
    flips: IntCounterVec,
    /// Reports that the writer was too busy to take.
    pub reports_dropped: IntCounter,
}

impl LiveMetrics {
    /// Registers the room's metrics.
    pub fn new(metrics: &Metrics) -> Result<Self, MetricError> {
        let room = metrics.room("live")?;
        Ok(Self {
            compile: room.histogram(
                "compile",
                Unit::Seconds,
                "Time to compile a plan",
                COMPILE_SECONDS,
            )?,
            plans: room.counter("plans", Unit::Count, "Plans published")?,
            sequence: room.int_gauge(
                "plan_sequence",
                Unit::Count,
                "Publication number of the plan in force",
            )?,
            plan_bytes: room.int_gauge("plan", Unit::Bytes, "Memory of the plan in force")?,
            rejected: room.int_gauge(
                "sources_rejected",
                Unit::Count,
                "1 while the newest sources are refused",
            )?,
            flips: room.counter_vec(
                "endpoint_flips",
                Unit::Count,
                "Effective health changes",
                &["to"],
            )?,
            reports_dropped: room.counter(
                "reports_dropped",
                Unit::Count,
                "Passive reports lost to a full queue",
            )?,
        })
    }

    /// A plan went into force after a compile of `took`.
    pub fn published(&self, took: Duration, published: &Published) {
        self.compile.observe(took.as_secs_f64());
        self.plans.inc();
        self.sequence
            .set(i64::try_from(published.sequence).unwrap_or(i64::MAX));
        self.plan_bytes
            .set(i64::try_from(published.plan.memory_bytes()).unwrap_or(i64::MAX));
    }

    /// The newest sources are, or are no longer, refused.
    pub fn sources_rejected(&self, rejected: bool) {
        self.rejected.set(i64::from(rejected));
    }

    /// An endpoint changed its effective state.
    pub fn flipped(&self, serves: bool) {
        self.flips
            .with_label_values(&[if serves { "serving" } else { "down" }])
            .inc();
    }
}
