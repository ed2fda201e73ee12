//! What the room counts, with handles resolved before the first request.
//!
//! Per service the handles are looked up once per plan ([`HttpMetrics::service`]);
//! a request then only adds to atomics. Names follow the contract:
//! `meridian_http_<what>`.

use meridian_telemetry::metrics::{
    Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, LATENCY_SECONDS,
};
use meridian_telemetry::{MetricError, Metrics, Unit};

use crate::attempt::Reason;
use crate::head::Refusal;

/// The room's metrics.
#[derive(Clone)]
pub(crate) struct HttpMetrics {
    requests: IntCounterVec,
    seconds: HistogramVec,
    attempts: IntCounterVec,
    retries: IntCounterVec,
    failures: IntCounterVec,
    refused: IntCounterVec,
    budget_empty: IntCounterVec,
    in_flight: IntGaugeVec,
    mirrored: IntCounterVec,
    unrouted: IntCounterVec,
    malformed: IntCounterVec,
    closed: IntCounterVec,
    /// Open client connections.
    pub(crate) connections: IntGauge,
    /// Connections accepted.
    pub(crate) accepted: IntCounter,
    /// Connections cut at the end of a drain.
    pub(crate) cut: IntCounter,
}

/// The handles of one service.
pub(crate) struct ServiceMetrics {
    /// Requests by the first digit of their status; 0 is a client that left.
    requests: [IntCounter; STATUS_CLASSES.len()],
    /// From the request's head to its last byte.
    pub(crate) seconds: Histogram,
    /// Upstreams tried.
    pub(crate) attempts: IntCounter,
    retries: [IntCounter; Reason::ALL.len()],
    failures: [IntCounter; Reason::ALL.len()],
    refused: [IntCounter; RefusedFor::ALL.len()],
    /// Retries that the budget did not allow.
    pub(crate) budget_empty: IntCounter,
    /// Requests on their way, as of the last second.
    pub(crate) in_flight: IntGauge,
    /// Copies of other services' requests.
    pub(crate) mirrored: MirrorMetrics,
}

/// Copies of requests by what became of them.
#[derive(Debug, Clone)]
pub(crate) struct MirrorMetrics {
    /// An answer began.
    pub(crate) sent: IntCounter,
    /// None did.
    pub(crate) failed: IntCounter,
    /// The request was not there as a whole, or too many copies were on their way.
    pub(crate) left_out: IntCounter,
}

/// Why a request that has a route was answered without an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefusedFor {
    /// The policy leaves nobody.
    Nobody,
    /// Every endpoint is at its bound.
    EndpointsFull,
    /// The service is at its bound.
    ServiceFull,
    /// Too many in too short a time.
    RateLimit,
    /// A fault, on purpose.
    Fault,
    /// The route does not serve the client.
    Client,
    /// The body is too long.
    BodyTooLarge,
}

impl RefusedFor {
    /// Every reason, in the order of their numbers.
    const ALL: [Self; 7] = [
        Self::Nobody,
        Self::EndpointsFull,
        Self::ServiceFull,
        Self::RateLimit,
        Self::Fault,
        Self::Client,
        Self::BodyTooLarge,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::EndpointsFull => "endpoints_full",
            Self::ServiceFull => "service_full",
            Self::RateLimit => "rate_limit",
            Self::Fault => "fault",
            Self::Client => "client",
            Self::BodyTooLarge => "body_too_large",
        }
    }
}

/// Values of the label `status`.
const STATUS_CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// Why a request was answered without looking at any policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unrouted {
    /// No route has the host.
    UnknownHost,
    /// The host has no such path.
    UnknownPath,
    /// Not for this method.
    Method,
    /// The certificate shown was another host's.
    Misdirected,
}

impl Unrouted {
    fn as_str(self) -> &'static str {
        match self {
            Self::UnknownHost => "unknown_host",
            Self::UnknownPath => "unknown_path",
            Self::Method => "method",
            Self::Misdirected => "misdirected",
        }
    }
}

/// Why a connection ended before or between requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    /// `limits.connections` are open.
    Limit,
    /// The PROXY header was missing, malformed or from a stranger.
    ProxyHeader,
    /// The TLS handshake failed or took too long.
    Handshake,
    /// The head did not arrive in time.
    HeaderTimeout,
}

impl Closed {
    fn as_str(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::ProxyHeader => "proxy_header",
            Self::Handshake => "handshake",
            Self::HeaderTimeout => "header_timeout",
        }
    }
}

impl HttpMetrics {
    /// Registers the room's metrics.
    pub(crate) fn register(metrics: &Metrics) -> Result<Self, MetricError> {
        let room = metrics.room("http")?;
        let count = Unit::Count;
        Ok(Self {
            requests: room.counter_vec(
                "requests",
                count,
                "Requests answered, by the class of their status; `none` is a client that left",
                &["service", "status"],
            )?,
            seconds: room.histogram_vec(
                "request_duration",
                Unit::Seconds,
                "From a request's head to the last byte of its answer",
                &["service"],
                LATENCY_SECONDS,
            )?,
            attempts: room.counter_vec(
                "upstream_attempts",
                count,
                "Endpoints tried, the first one of each request included",
                &["service"],
            )?,
            retries: room.counter_vec(
                "upstream_retries",
                count,
                "Attempts that followed a failed one, by what had failed",
                &["service", "reason"],
            )?,
            failures: room.counter_vec(
                "upstream_failures",
                count,
                "Attempts that failed",
                &["service", "reason"],
            )?,
            refused: room.counter_vec(
                "refused_requests",
                count,
                "Requests answered without an upstream, although they have a route",
                &["service", "reason"],
            )?,
            budget_empty: room.counter_vec(
                "retry_budget_exhausted",
                count,
                "Retries that the service's budget did not allow",
                &["service"],
            )?,
            in_flight: room.int_gauge_vec(
                "requests_in_flight",
                count,
                "Requests on their way, as of the last second",
                &["service"],
            )?,
            mirrored: room.counter_vec(
                "mirrored_requests",
                count,
                "Copies of requests, by the service that gets them and what became of them",
                &["service", "outcome"],
            )?,
            unrouted: room.counter_vec(
                "unrouted_requests",
                count,
                "Requests that no route takes",
                &["reason"],
            )?,
            malformed: room.counter_vec(
                "malformed_requests",
                count,
                "Request heads refused before they reached an upstream",
                &["reason"],
            )?,
            closed: room.counter_vec(
                "connections_closed_early",
                count,
                "Connections closed before a request was read",
                &["reason"],
            )?,
            connections: room.int_gauge(
                "connections_open",
                count,
                "Client connections open now",
            )?,
            accepted: room.counter("connections_accepted", count, "Client connections accepted")?,
            cut: room.counter(
                "connections_cut",
                count,
                "Connections still busy when the drain deadline passed",
            )?,
        })
    }

    /// The handles of one service.
    pub(crate) fn service(&self, id: &str) -> ServiceMetrics {
        ServiceMetrics {
            requests: STATUS_CLASSES.map(|class| self.requests.with_label_values(&[id, class])),
            seconds: self.seconds.with_label_values(&[id]),
            attempts: self.attempts.with_label_values(&[id]),
            retries: Reason::ALL
                .map(|reason| self.retries.with_label_values(&[id, reason.as_str()])),
            failures: Reason::ALL
                .map(|reason| self.failures.with_label_values(&[id, reason.as_str()])),
            refused: RefusedFor::ALL
                .map(|reason| self.refused.with_label_values(&[id, reason.as_str()])),
            budget_empty: self.budget_empty.with_label_values(&[id]),
            in_flight: self.in_flight.with_label_values(&[id]),
            mirrored: MirrorMetrics {
                sent: self.mirrored.with_label_values(&[id, "sent"]),
                failed: self.mirrored.with_label_values(&[id, "failed"]),
                left_out: self.mirrored.with_label_values(&[id, "left_out"]),
            },
        }
    }

    /// Counts a request that no route takes.
    pub(crate) fn unrouted(&self, why: Unrouted) {
        self.unrouted.with_label_values(&[why.as_str()]).inc();
    }

    /// Counts a refused head.
    pub(crate) fn malformed(&self, why: Refusal) {
        self.malformed.with_label_values(&[why.label()]).inc();
    }

    /// Counts a connection closed before a request.
    pub(crate) fn closed(&self, why: Closed) {
        self.closed.with_label_values(&[why.as_str()]).inc();
    }
}

impl ServiceMetrics {
    /// Counts a finished request; 0 is a client that left before an answer.
    pub(crate) fn answered(&self, status: u16) {
        if let Some(counter) = self.requests.get(usize::from(status / 100)) {
            counter.inc();
        }
    }

    /// Counts a failed attempt.
    pub(crate) fn failed(&self, reason: Reason) {
        if let Some(counter) = self.failures.get(reason as usize) {
            counter.inc();
        }
    }

    /// Counts a request that goes to no upstream.
    pub(crate) fn refused(&self, reason: Option<RefusedFor>) {
        if let Some(counter) = reason.and_then(|reason| self.refused.get(reason as usize)) {
            counter.inc();
        }
    }

    /// Counts an attempt that follows one that failed for `reason`.
    pub(crate) fn retried(&self, reason: Reason) {
        if let Some(counter) = self.retries.get(reason as usize) {
            counter.inc();
        }
    }
}
