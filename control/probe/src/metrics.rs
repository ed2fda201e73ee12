//! What `/metrics` shows of probing. Endpoint ids are labels: operators choose them, not clients.

use std::time::Duration;

use meridian_telemetry::metrics::{
    Histogram, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, LATENCY_SECONDS,
};
use meridian_telemetry::{MetricError, Metrics, Unit};
use meridian_topology::EndpointId;

use crate::check::Failure;
use crate::target::Health;

/// Upper bounds of detection times, seconds.
const DETECTION_SECONDS: &[f64] = &[0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];

#[derive(Debug, Clone)]
pub(crate) struct ProbeMetrics {
    probes: IntCounterVec,
    duration: HistogramVec,
    late: Histogram,
    up: IntGaugeVec,
    transitions: IntCounterVec,
    detection: HistogramVec,
    pub(crate) checks: IntGauge,
    pub(crate) running: IntGauge,
}

impl ProbeMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Result<Self, MetricError> {
        let room = metrics.room("probe")?;
        Ok(Self {
            probes: room.counter_vec(
                "probes",
                Unit::Count,
                "Finished probes by kind of check and result",
                &["kind", "result"],
            )?,
            duration: room.histogram_vec(
                "duration",
                Unit::Seconds,
                "How long probes took",
                &["kind"],
                LATENCY_SECONDS,
            )?,
            late: room.histogram(
                "start_delay",
                Unit::Seconds,
                "How long due probes waited for their turn",
                LATENCY_SECONDS,
            )?,
            up: room.int_gauge_vec(
                "endpoint_up",
                Unit::Count,
                "1 for an endpoint that is up, 0 for one that is down",
                &["endpoint"],
            )?,
            transitions: room.counter_vec(
                "transitions",
                Unit::Count,
                "Changed verdicts of endpoints",
                &["to"],
            )?,
            detection: room.histogram_vec(
                "detection",
                Unit::Seconds,
                "From the first deciding probe to the changed verdict",
                &["to"],
                DETECTION_SECONDS,
            )?,
            checks: room.int_gauge("checks", Unit::Count, "Checks of this node")?,
            running: room.int_gauge("running", Unit::Count, "Probes under way")?,
        })
    }

    pub(crate) fn started(&self, delay: Duration) {
        self.late.observe(delay.as_secs_f64());
    }

    pub(crate) fn finished(&self, kind: &str, took: Duration, result: &Result<(), Failure>) {
        let word = result.as_ref().map_or_else(Failure::word, |()| "ok");
        self.probes.with_label_values(&[kind, word]).inc();
        self.duration
            .with_label_values(&[kind])
            .observe(took.as_secs_f64());
    }

    pub(crate) fn changed(&self, endpoint: &EndpointId, to: Health, detection: Duration) {
        let up = i64::from(to == Health::Up);
        self.up.with_label_values(&[endpoint.as_str()]).set(up);
        self.transitions.with_label_values(&[to.word()]).inc();
        self.detection
            .with_label_values(&[to.word()])
            .observe(detection.as_secs_f64());
    }

    pub(crate) fn forgotten(&self, endpoint: &EndpointId) {
        // An endpoint that never changed has no gauge to remove.
        let _ = self.up.remove_label_values(&[endpoint.as_str()]);
    }
}
