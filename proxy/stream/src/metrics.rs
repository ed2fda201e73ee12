//! The room's metrics, registered once. Labels are service ids, region ids and
//! words of ours: nothing a client chooses.

use meridian_telemetry::access::Outcome;
use meridian_telemetry::metrics::{
    HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, LATENCY_SECONDS,
};
use meridian_telemetry::{MetricError, Metrics, Unit};

#[derive(Debug, Clone)]
pub(crate) struct StreamMetrics {
    /// Finished connections and sessions: service, transport, outcome.
    pub finished: IntCounterVec,
    /// Open connections and sessions: service, transport.
    pub open: IntGaugeVec,
    /// Bytes moved: service, direction.
    pub bytes: IntCounterVec,
    /// Time to connect: service.
    pub connect_seconds: HistogramVec,
    /// Connects that failed: region, reason.
    pub connect_failures: IntCounterVec,
    /// Connections closed for their PROXY header: reason.
    pub headers_refused: IntCounterVec,
    /// Connections closed for the name they asked for, or did not: reason.
    pub unrouted: IntCounterVec,
    /// Connections closed at the bound.
    pub over_limit: IntCounter,
    /// Datagrams not passed on: reason.
    pub datagrams_dropped: IntCounterVec,
    /// Ports open.
    pub listeners: IntGauge,
    /// Ports that could not be opened, now.
    pub listeners_failed: IntGauge,
}

impl StreamMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Result<Self, MetricError> {
        use Unit::{Bytes, Count, Seconds};
        let room = metrics.room("stream")?;
        Ok(Self {
            finished: room.counter_vec(
                "connections",
                Count,
                "Connections and UDP sessions that ended",
                &["service", "transport", "outcome"],
            )?,
            open: room.int_gauge_vec(
                "open_connections",
                Count,
                "Connections and UDP sessions open now",
                &["service", "transport"],
            )?,
            bytes: room.counter_vec(
                "transferred",
                Bytes,
                "Bytes read from clients (in) and endpoints (out)",
                &["service", "direction"],
            )?,
            connect_seconds: room.histogram_vec(
                "connect",
                Seconds,
                "Time until an endpoint's connection stood",
                &["service"],
                LATENCY_SECONDS,
            )?,
            connect_failures: room.counter_vec(
                "connect_failures",
                Count,
                "Attempts to reach an endpoint that failed",
                &["region", "reason"],
            )?,
            headers_refused: room.counter_vec(
                "proxy_headers_refused",
                Count,
                "Connections closed for a PROXY header that was missing, malformed, late or not to be believed",
                &["reason"],
            )?,
            unrouted: room.counter_vec(
                "unrouted_connections",
                Count,
                "Connections closed because no service takes the server name they asked for, or they asked for none",
                &["reason"],
            )?,
            over_limit: room.counter(
                "connections_over_limit",
                Count,
                "Connections closed at once because `connections` were open",
            )?,
            datagrams_dropped: room.counter_vec(
                "datagrams_dropped",
                Count,
                "Datagrams that were not passed on",
                &["reason"],
            )?,
            listeners: room.int_gauge("listeners", Count, "Ports open now")?,
            listeners_failed: room.int_gauge(
                "listeners_failed",
                Count,
                "Ports of the topology that cannot be opened now",
            )?,
        })
    }
}

/// The label of an outcome: the word of the access log.
pub(crate) const fn outcome_label(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Served => "served",
        Outcome::Local => "local",
        Outcome::NoEndpoint => "no_endpoint",
        Outcome::ConnectFailed => "connect_failed",
        Outcome::UpstreamReset => "upstream_reset",
        Outcome::Timeout => "timeout",
        Outcome::ClientReset => "client_reset",
        Outcome::Malformed => "malformed",
        Outcome::Limited => "limited",
    }
}
