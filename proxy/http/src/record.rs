//! What is written down of a finished request: metrics, access log, decision log.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::attempt::Failure;
use crate::exchange::{Exchange, Routed};
use crate::info::ConnectionInfo;
use meridian_telemetry::access::{HttpDetails, Outcome};
use meridian_telemetry::{AccessLog, AccessRecord, Decision, DecisionLog, Surface};

/// Writes the logs.
#[derive(Clone)]
pub(crate) struct Recorder {
    pub(crate) access: AccessLog,
    pub(crate) decisions: DecisionLog,
}

/// Whose fault it was that a request did not end as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It did.
    None,
    /// The client's: it left, or did not do its part.
    Client,
    /// The upstream's, or ours.
    Upstream,
}

/// What only the access log wants to know.
pub(crate) struct Seen<'a> {
    pub(crate) connection: &'a ConnectionInfo,
    /// Bytes of the request's body that were read.
    pub(crate) bytes_in: u64,
    /// Bytes of the answer's body that were sent.
    pub(crate) bytes_out: u64,
    pub(crate) http: HttpDetails,
}

impl Recorder {
    /// Records a request that is over, however it ended; `status` is 0 where the client saw none. `seen` is
    /// asked only if somebody reads it.
    pub(crate) fn finished<'a>(
        &self,
        exchange: &Exchange,
        status: u16,
        fault: Fault,
        seen: impl FnOnce() -> Option<Seen<'a>>,
    ) {
        let took = exchange.started.elapsed();
        if let Some(routed) = &exchange.routed {
            let metrics = routed.metrics();
            metrics.answered(status);
            metrics.seconds.observe(took.as_secs_f64());
            self.decision(routed, exchange, status, took);
        }
        if self.access.is_on()
            && let Some(seen) = seen()
        {
            let outcome = outcome(fault, exchange);
            self.access
                .record(access_record(seen, exchange, outcome, took));
        }
    }

    fn decision(&self, routed: &Routed, exchange: &Exchange, status: u16, took: Duration) {
        let Some(sample_rate) = self.decisions.sample(exchange.decision) else {
            return;
        };
        let endpoint = routed.endpoint();
        let region =
            endpoint.map(|endpoint| &routed.table.topology().regions[endpoint.region.index()]);
        let latency = exchange.first_byte.map(|at| micros(at - exchange.started));
        let _ = self.decisions.offer(Decision {
            at_unix_us: began(took),
            decision_id: exchange.decision,
            surface: Surface::Http,
            service: routed.service_id().clone(),
            class: routed.class.0,
            plan_generation: routed.table.published.plan.generation(),
            endpoint: endpoint.map(|endpoint| endpoint.id.clone()),
            region: region.map(|region| region.id.clone()),
            propensity: routed.pick.map_or(0.0, |pick| pick.propensity),
            latency_us: latency.and_then(|latency| u32::try_from(latency).ok()),
            status: (status != 0).then_some(status),
            sample_rate,
        });
    }
}

fn access_record(
    seen: Seen<'_>,
    exchange: &Exchange,
    outcome: Outcome,
    took: Duration,
) -> AccessRecord {
    let peer = seen.connection.peer;
    let routed = exchange.routed.as_ref();
    let client = match routed {
        Some(routed) if routed.client != peer.ip().to_canonical() => {
            SocketAddr::new(routed.client, 0)
        }
        _ => peer,
    };
    let endpoint = routed
        .filter(|routed| routed.attempts > 0)
        .and_then(Routed::endpoint);
    let region = routed.zip(endpoint).map(|(routed, endpoint)| {
        routed.table.topology().regions[endpoint.region.index()]
            .id
            .clone()
    });
    AccessRecord {
        at_unix_us: began(took),
        service: routed.map(|routed| routed.service_id().clone()),
        client,
        peer: (client != peer).then_some(peer),
        class: routed.map(|routed| routed.class.0),
        decision_id: Some(exchange.decision),
        plan_generation: routed.map(|routed| routed.table.published.plan.generation()),
        endpoint: endpoint.map(|endpoint| endpoint.id.clone()),
        region,
        outcome,
        attempts: routed.map_or(0, |routed| routed.attempts),
        duration_us: micros(took),
        first_byte_us: exchange.first_byte.map(|at| micros(at - exchange.started)),
        bytes_in: seen.bytes_in,
        bytes_out: seen.bytes_out,
        http: Some(seen.http),
        stream: None,
    }
}

fn outcome(fault: Fault, exchange: &Exchange) -> Outcome {
    let Some(routed) = &exchange.routed else {
        return Outcome::Local;
    };
    if routed.attempts == 0 {
        return Outcome::NoEndpoint;
    }
    match (fault, routed.last_failure) {
        (Fault::None, _) => Outcome::Served,
        (Fault::Client, _) => Outcome::ClientReset,
        (_, Some(Failure::Connect | Failure::Local)) => Outcome::ConnectFailed,
        (_, Some(Failure::ConnectTimeout | Failure::Timeout)) => Outcome::Timeout,
        _ => Outcome::UpstreamReset,
    }
}

/// When something began that took so long until now, in µs since 1970.
fn began(took: Duration) -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    micros(now.saturating_sub(took))
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
