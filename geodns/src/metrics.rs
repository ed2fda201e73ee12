//! Counters of the DNS room, resolved before the packet path needs them.
//!
//! A label costs a lookup under a lock, so every labelled counter is taken out of its family once:
//! those of transports and response codes at start, those of services and regions when zones are
//! built. No label has values that clients choose.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use meridian_telemetry::metrics::{
    CounterRow, Gauge, Histogram, IntCounter, IntCounterVec, IntGauge, SparseCounters,
};
use meridian_telemetry::{MetricError, Metrics, Unit};
use meridian_topology::{RegionIdx, ServiceId};

use crate::dnstap::TapMetrics;
use crate::guard::{CookieSeen, NoSeat, Ruling};
use crate::master::FolderReport;
use crate::responder::Transport;
use crate::wire::{RType, Rcode};
use kinds::{KINDS, kind_of};

mod kinds;

/// Upper bounds of response sizes: without EDNS, the defaults of servers and resolvers, jumbo.
const RESPONSE_BYTES: &[f64] = &[
    64.0, 128.0, 256.0, 512.0, 1_232.0, 4_096.0, 16_384.0, 65_535.0,
];

/// The room's counters. Cheap to clone.
#[derive(Clone, Debug)]
pub struct DnsMetrics {
    queries: [IntCounter; Transport::ALL.len()],
    responses: [IntCounter; Rcode::ALL.len()],
    /// By [`kinds`] of question and response code.
    answers: Box<[IntCounter]>,
    /// Of the first response of each batch.
    response_bytes: Histogram,
    subnets: IntCounter,
    dropped: IntCounter,
    truncated: IntCounter,
    dynamic_answers: SparseCounters,
    dynamic_failures: IntCounterVec,
    /// Responses the system would not send.
    pub(crate) send_errors: IntCounter,
    connections: [IntGauge; Transport::ALL.len()],
    refused_full: [IntCounter; Transport::ALL.len()],
    refused_client: [IntCounter; Transport::ALL.len()],
    /// TLS and QUIC handshakes that failed or took too long.
    handshake_failures: [IntCounter; Transport::ALL.len()],
    cookies: [IntCounter; CookieSeen::COUNTED.len()],
    rate_dropped: IntCounter,
    rate_slipped: IntCounter,
    zones_build: Gauge,
    zone_problems: IntGauge,
    aliases: [IntGauge; ALIAS_STATES.len()],
    zone_files: IntGauge,
    zone_files_refused: IntGauge,
    zone_file_reads: IntCounter,
}

// A bit of [`Tally::kinds`] for each.
const _: () = assert!(KINDS.len() <= u32::BITS as usize);

/// What one batch counted, in the worker's own memory: counters that all workers share are touched
/// once a batch.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    queries: [u32; Transport::ALL.len()],
    responses: [u32; Rcode::ALL.len()],
    answers: [[u32; Rcode::ALL.len()]; KINDS.len()],
    /// A bit for each row of `answers` that counted: a batch touches few of them.
    kinds: u32,
    /// The size of the batch's first response: a sample that costs one observation a batch.
    first_bytes: u32,
    subnets: u32,
    dropped: u32,
    truncated: u32,
    cookies: [u32; CookieSeen::COUNTED.len()],
    rate_dropped: u32,
    rate_slipped: u32,
}

impl Tally {
    pub(crate) fn query(&mut self, transport: Transport) {
        self.queries[transport as usize] += 1;
    }

    pub(crate) fn response(&mut self, rcode: Rcode, truncated: bool) {
        self.responses[rcode.index()] += 1;
        self.truncated += u32::from(truncated);
    }

    /// What was asked, and how large the response is.
    pub(crate) fn answer(&mut self, rtype: RType, rcode: Rcode, bytes: usize, subnet: bool) {
        let kind = kind_of(rtype);
        self.kinds |= 1 << kind;
        self.answers[kind][rcode.index()] += 1;
        self.subnets += u32::from(subnet);
        if self.first_bytes == 0 {
            // At most 65,535.
            self.first_bytes = bytes as u32;
        }
    }

    pub(crate) fn dropped(&mut self) {
        self.dropped += 1;
    }

    pub(crate) fn cookie(&mut self, cookie: CookieSeen) {
        if let Some(counter) = (cookie as usize).checked_sub(1) {
            self.cookies[counter] += 1;
        }
    }

    pub(crate) fn rate_limited(&mut self, ruling: Ruling) {
        match ruling {
            Ruling::Pass => {}
            Ruling::Slip => self.rate_slipped += 1,
            Ruling::Drop => self.rate_dropped += 1,
        }
    }
}

/// What is known of targets of ALIAS records: the values of the label `state`.
const ALIAS_STATES: [&str; 3] = ["fresh", "stale", "unresolved"];

/// Targets of ALIAS records, by what is known of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AliasCounts {
    /// Resolved, and the last try went well.
    pub(crate) fresh: i64,
    /// The last try failed, and an earlier answer stands.
    pub(crate) stale: i64,
    /// There never was an answer.
    pub(crate) unresolved: i64,
}

/// The counters of one steered service.
#[derive(Clone, Debug)]
pub(crate) struct SteeredCounters {
    /// By region.
    answers: CounterRow,
    failures: IntCounter,
}

impl SteeredCounters {
    /// Counts one steered question, answered with a region or not.
    pub(crate) fn count(&self, region: Option<RegionIdx>) {
        match region {
            Some(region) => self.answers.inc(region.index()),
            None => self.failures.inc(),
        }
    }

    /// How often [`Self::count`] was called for the same.
    pub(crate) fn counted(&self, region: Option<RegionIdx>) -> u64 {
        match region {
            Some(region) => self.answers.get(region.index()),
            None => self.failures.get(),
        }
    }
}

impl DnsMetrics {
    /// Registers the room's metrics as `meridian_dns_…`.
    ///
    /// # Errors
    /// [`MetricError`] when a name is taken by a metric of another shape.
    pub fn register(metrics: &Metrics) -> Result<Self, MetricError> {
        // Shown also while dnstap is off, so that an alert has something to look at.
        TapMetrics::register(metrics)?;
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
        let answers = room.counter_vec(
            "answers",
            Unit::Count,
            "Responses by the type asked for and response code",
            &["type", "rcode"],
        )?;
        let connections = room.int_gauge_vec(
            "connections",
            Unit::Count,
            "Open connections",
            &["transport"],
        )?;
        let aliases = room.int_gauge_vec(
            "alias_targets",
            Unit::Count,
            "Targets of ALIAS records outside of our zones, by what is known of them",
            &["state"],
        )?;
        let refused = room.counter_vec(
            "connections_refused",
            Unit::Count,
            "Connections closed at once: all seats taken (full), or this client's (client)",
            &["transport", "reason"],
        )?;
        let refused_for = |reason| {
            Transport::ALL.map(|transport| refused.with_label_values(&[transport.as_str(), reason]))
        };
        let handshakes = room.counter_vec(
            "handshake_failures",
            Unit::Count,
            "TLS and QUIC handshakes that failed or took too long",
            &["transport"],
        )?;
        let cookies = room.counter_vec(
            "cookies",
            Unit::Count,
            "Responses to queries with a cookie, by what it said",
            &["verdict"],
        )?;
        let rate_limited = room.counter_vec(
            "rate_limited",
            Unit::Count,
            "Responses withheld by rate limiting, and those sent truncated instead",
            &["action"],
        )?;
        Ok(Self {
            queries: Transport::ALL
                .map(|transport| queries.with_label_values(&[transport.as_str()])),
            responses: Rcode::ALL.map(|rcode| responses.with_label_values(&[rcode.as_str()])),
            answers: KINDS
                .iter()
                .flat_map(|kind| {
                    Rcode::ALL.map(|rcode| answers.with_label_values(&[kind, rcode.as_str()]))
                })
                .collect(),
            response_bytes: room.histogram(
                "response",
                Unit::Bytes,
                "Sizes of responses, of the first of each batch",
                RESPONSE_BYTES,
            )?,
            subnets: room.counter(
                "client_subnets",
                Unit::Count,
                "Responses that carry a client subnet of a resolver we believe",
            )?,
            dropped: room.counter("dropped", Unit::Count, "Packets that got no response")?,
            truncated: room.counter("truncated", Unit::Count, "Responses with TC set")?,
            dynamic_answers: room.sparse_counters(
                "dynamic_answers",
                Unit::Count,
                "Steered answers by the region of their first endpoint",
                ["service", "region"],
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
            connections: Transport::ALL
                .map(|transport| connections.with_label_values(&[transport.as_str()])),
            refused_full: refused_for("full"),
            refused_client: refused_for("client"),
            handshake_failures: Transport::ALL
                .map(|transport| handshakes.with_label_values(&[transport.as_str()])),
            cookies: CookieSeen::COUNTED.map(|(_, verdict)| cookies.with_label_values(&[verdict])),
            rate_dropped: rate_limited.with_label_values(&["dropped"]),
            rate_slipped: rate_limited.with_label_values(&["slipped"]),
            zones_build: room.gauge(
                "zones_build",
                Unit::Seconds,
                "Time that building the zones in force from their plan took",
            )?,
            aliases: ALIAS_STATES.map(|state| aliases.with_label_values(&[state])),
            zone_problems: room.int_gauge(
                "zone_problems",
                Unit::Count,
                "Names and records left out of the zones in force; the log names them",
            )?,
            zone_files: room.int_gauge("zone_files", Unit::Count, "Master files followed")?,
            zone_files_refused: room.int_gauge(
                "zone_files_refused",
                Unit::Count,
                "Master files that have mistakes as they are now; the log names them",
            )?,
            zone_file_reads: room.counter(
                "zone_file_reads",
                Unit::Count,
                "Master files read because they were new or had changed",
            )?,
        })
    }

    /// The counters of one service; `regions` are the topology's, by name.
    pub(crate) fn steered(&self, service: &ServiceId, regions: &Arc<[String]>) -> SteeredCounters {
        let service = service.as_str();
        SteeredCounters {
            answers: self.dynamic_answers.row(service, regions),
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
        let mut kinds = tally.kinds;
        while kinds != 0 {
            let kind = kinds.trailing_zeros() as usize;
            kinds &= kinds - 1;
            let counters = self.answers.chunks_exact(Rcode::ALL.len()).nth(kind);
            for (counter, count) in counters.into_iter().flatten().zip(tally.answers[kind]) {
                add(counter, count);
            }
        }
        if tally.first_bytes > 0 {
            self.response_bytes.observe(f64::from(tally.first_bytes));
        }
        add(&self.subnets, tally.subnets);
        add(&self.dropped, tally.dropped);
        add(&self.truncated, tally.truncated);
        for (counter, count) in self.cookies.iter().zip(tally.cookies) {
            add(counter, count);
        }
        add(&self.rate_dropped, tally.rate_dropped);
        add(&self.rate_slipped, tally.rate_slipped);
    }

    /// A response of the slow path, which has no batch.
    pub(crate) fn count_response(&self, rcode: Rcode, truncated: bool) {
        let mut tally = Tally::default();
        tally.response(rcode, truncated);
        self.add(&tally);
    }

    pub(crate) fn connections(&self, transport: Transport) -> &IntGauge {
        &self.connections[transport as usize]
    }

    pub(crate) fn count_refused(&self, transport: Transport, reason: NoSeat) {
        let refused = match reason {
            NoSeat::Full => &self.refused_full,
            NoSeat::Client => &self.refused_client,
        };
        refused[transport as usize].inc();
    }

    pub(crate) fn count_handshake_failure(&self, transport: Transport) {
        self.handshake_failures[transport as usize].inc();
    }

    /// What was counted since the start, by metric and label; services are not told apart.
    #[must_use]
    pub fn totals(&self) -> BTreeMap<String, u64> {
        let queries = Transport::ALL
            .iter()
            .zip(&self.queries)
            .map(|(transport, it)| (format!("queries.{}", transport.as_str()), it.get()));
        let responses = Rcode::ALL
            .iter()
            .zip(&self.responses)
            .map(|(rcode, it)| (format!("responses.{}", rcode.as_str()), it.get()));
        let others = [
            ("dropped", &self.dropped),
            ("truncated", &self.truncated),
            ("send_errors", &self.send_errors),
        ];
        let others = others.map(|(name, it)| (name.to_owned(), it.get()));
        queries.chain(responses).chain(others).collect()
    }

    pub(crate) fn set_zones_build(&self, took: Duration) {
        self.zones_build.set(took.as_secs_f64());
    }

    /// Counts a scan of the master files; `good` says of each file there is whether it is.
    pub(crate) fn count_zone_files(&self, good: impl Iterator<Item = bool>, report: FolderReport) {
        let (mut all, mut refused) = (0, 0);
        for good in good {
            all += 1;
            refused += i64::from(!good);
        }
        self.zone_files.set(all);
        self.zone_files_refused.set(refused);
        self.zone_file_reads.inc_by(report.read as u64);
    }

    pub(crate) fn set_aliases(&self, counts: AliasCounts) {
        let counts = [counts.fresh, counts.stale, counts.unresolved];
        for (gauge, count) in self.aliases.iter().zip(counts) {
            gauge.set(count);
        }
    }

    pub(crate) fn set_zone_problems(&self, count: usize) {
        self.zone_problems
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}
