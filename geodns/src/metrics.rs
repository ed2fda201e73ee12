//! Counters of the DNS room, resolved before the packet path needs them.
//!
//! A label costs a lookup under a lock, so every labelled counter is taken out of its family once:
//! those of transports and response codes at start, those of services and regions when zones are
//! built. No label has values that clients choose.

use meridian_engine::Pick;
use meridian_telemetry::metrics::{IntCounter, IntCounterVec, IntGauge};
use meridian_telemetry::{MetricError, Metrics, Unit};
use meridian_topology::{ServiceId, Topology};

use crate::responder::Transport;
use crate::wire::Rcode;

/// The room's counters. Cheap to clone.
#[derive(Clone, Debug)]
pub struct DnsMetrics {
    queries: [IntCounter; Transport::ALL.len()],
    responses: [IntCounter; Rcode::ALL.len()],
    dropped: IntCounter,
    truncated: IntCounter,
    dynamic_answers: IntCounterVec,
    dynamic_failures: IntCounterVec,
    /// Responses the system would not send.
    pub(crate) send_errors: IntCounter,
    /// Open TCP connections.
    pub(crate) tcp_connections: IntGauge,
    /// TCP connections closed at once because the limit was reached.
    pub(crate) tcp_refused: IntCounter,
    zone_problems: IntGauge,
}

/// What one batch counted, in the worker's own memory: counters that all workers share are touched
/// once a batch.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    queries: [u32; Transport::ALL.len()],
    responses: [u32; Rcode::ALL.len()],
    dropped: u32,
    truncated: u32,
}

impl Tally {
    pub(crate) fn query(&mut self, transport: Transport) {
        self.queries[transport as usize] += 1;
    }

    pub(crate) fn response(&mut self, rcode: Rcode, truncated: bool) {
        self.responses[rcode.index()] += 1;
        self.truncated += u32::from(truncated);
    }

    pub(crate) fn dropped(&mut self) {
        self.dropped += 1;
    }
}

/// The counters of one steered service.
#[derive(Clone, Debug)]
pub(crate) struct SteeredCounters {
    /// By region.
    answers: Box<[IntCounter]>,
    failures: IntCounter,
}

impl SteeredCounters {
    /// Counts one steered question.
    pub(crate) fn count(&self, pick: Option<Pick>) {
        match pick.and_then(|pick| self.answers.get(pick.region.index())) {
            Some(counter) => counter.inc(),
            None => self.failures.inc(),
        }
    }
}

impl DnsMetrics {
    /// Registers the room's metrics as `meridian_dns_…`.
    ///
    /// # Errors
    /// [`MetricError`] when a name is taken by a metric of another shape.
    pub fn register(metrics: &Metrics) -> Result<Self, MetricError> {
        let room = metrics.room("dns")?;
        let queries = room.counter_vec(
            "queries",
            Unit::Count,
            "Packets and messages received",
            &["transport"],
        )?;
        let responses = room.counter_vec(
            "responses",
            Unit::Count,
            "Responses by response code",
            &["rcode"],
        )?;
        Ok(Self {
            queries: Transport::ALL
                .map(|transport| queries.with_label_values(&[transport.as_str()])),
            responses: Rcode::ALL.map(|rcode| responses.with_label_values(&[rcode.as_str()])),
            dropped: room.counter("dropped", Unit::Count, "Packets that got no response")?,
            truncated: room.counter("truncated", Unit::Count, "Responses with TC set")?,
            dynamic_answers: room.counter_vec(
                "dynamic_answers",
                Unit::Count,
                "Steered answers by the region of their first endpoint",
                &["service", "region"],
            )?,
            dynamic_failures: room.counter_vec(
                "dynamic_failures",
                Unit::Count,
                "Steered questions for which nobody could serve",
                &["service"],
            )?,
            send_errors: room.counter(
                "send_errors",
                Unit::Count,
                "Responses the system would not send",
            )?,
            tcp_connections: room.int_gauge(
                "tcp_connections",
                Unit::Count,
                "Open TCP connections",
            )?,
            tcp_refused: room.counter(
                "tcp_connections_refused",
                Unit::Count,
                "TCP connections closed at once because the limit was reached",
            )?,
            zone_problems: room.int_gauge(
                "zone_problems",
                Unit::Count,
                "Names and records left out of the zones in force; the log names them",
            )?,
        })
    }

    /// The counters of one service.
    pub(crate) fn steered(&self, service: &ServiceId, topology: &Topology) -> SteeredCounters {
        let service = service.as_str();
        let of_region = |region: &str| self.dynamic_answers.with_label_values(&[service, region]);
        SteeredCounters {
            answers: topology
                .regions
                .iter()
                .map(|region| of_region(region.id.as_str()))
                .collect(),
            failures: self.dynamic_failures.with_label_values(&[service]),
        }
    }

    /// Adds what a batch counted: one atomic addition for each counter that moved.
    pub(crate) fn add(&self, tally: &Tally) {
        let add = |counter: &IntCounter, count: u32| {
            if count > 0 {
                counter.inc_by(u64::from(count));
            }
        };
        for (counter, count) in self.queries.iter().zip(tally.queries) {
            add(counter, count);
        }
        for (counter, count) in self.responses.iter().zip(tally.responses) {
            add(counter, count);
        }
        add(&self.dropped, tally.dropped);
        add(&self.truncated, tally.truncated);
    }

    /// A response of the slow path, which has no batch.
    pub(crate) fn count_response(&self, rcode: Rcode, truncated: bool) {
        let mut tally = Tally::default();
        tally.response(rcode, truncated);
        self.add(&tally);
    }

    /// A message that the slow path gives no response.
    pub(crate) fn count_dropped(&self) {
        self.dropped.inc();
    }

    pub(crate) fn set_zone_problems(&self, count: usize) {
        self.zone_problems
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}
