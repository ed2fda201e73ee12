//! What is written down of a finished request: metrics, access log, decision log.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Version;
use meridian_telemetry::access::{HttpDetails, Outcome};
use meridian_telemetry::{AccessLog, AccessRecord, Decision, DecisionLog, Surface};
use pingora_core::{Error, ErrorSource};
use pingora_proxy::Session;

use crate::attempt::Failure;
use crate::exchange::{Exchange, Routed};
use crate::proxy::info;

/// Writes the logs.
#[derive(Clone)]
pub(crate) struct Recorder {
    pub(crate) access: AccessLog,
    pub(crate) decisions: DecisionLog,
}

impl Recorder {
    /// Records a request that is over, however it ended.
    pub(crate) fn finished(&self, session: &Session, error: Option<&Error>, exchange: &Exchange) {
        let status = session
            .response_written()
            .map_or(0, |response| response.status.as_u16());
        let took = exchange.started.elapsed();
        if let Some(routed) = &exchange.routed {
            let metrics = routed.metrics();
            metrics.answered(status);
            metrics.seconds.observe(took.as_secs_f64());
            self.decision(routed, exchange, status, took);
        }
        if self.access.is_on() {
            let outcome = outcome(error, exchange);
            if let Some(record) = access_record(session, exchange, (status, outcome, took)) {
                self.access.record(record);
            }
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
    session: &Session,
    exchange: &Exchange,
    (status, outcome, took): (u16, Outcome, Duration),
) -> Option<AccessRecord> {
    let connection = info(session)?;
    let request = session.req_header();
    let routed = exchange.routed.as_ref();
    let client = match routed {
        Some(routed) if routed.client != connection.peer.ip().to_canonical() => {
            SocketAddr::new(routed.client, 0)
        }
        _ => connection.peer,
    };
    let endpoint = routed
        .filter(|routed| routed.attempts > 0)
        .and_then(Routed::endpoint);
    let region = routed.zip(endpoint).map(|(routed, endpoint)| {
        routed.table.topology().regions[endpoint.region.index()]
            .id
            .clone()
    });
    let header = |name| {
        request
            .headers
            .get(name)
            .map(|value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let authority = request
        .uri
        .authority()
        .map(|authority| authority.as_str().to_owned());
    Some(AccessRecord {
        at_unix_us: began(took),
        service: routed.map(|routed| routed.service_id().clone()),
        client,
        peer: (client != connection.peer).then_some(connection.peer),
        class: routed.map(|routed| routed.class.0),
        decision_id: Some(exchange.decision),
        plan_generation: routed.map(|routed| routed.table.published.plan.generation()),
        endpoint: endpoint.map(|endpoint| endpoint.id.clone()),
        region,
        outcome,
        attempts: routed.map_or(0, |routed| routed.attempts),
        duration_us: micros(took),
        first_byte_us: exchange.first_byte.map(|at| micros(at - exchange.started)),
        bytes_in: session.body_bytes_read() as u64,
        bytes_out: session.body_bytes_sent() as u64,
        http: Some(HttpDetails {
            method: request.method.as_str().to_owned(),
            host: authority
                .or_else(|| header(http::header::HOST))
                .unwrap_or_default(),
            path: request.uri.path().to_owned(),
            version: version(request.version),
            status,
            user_agent: header(http::header::USER_AGENT),
        }),
        stream: None,
    })
}

fn outcome(error: Option<&Error>, exchange: &Exchange) -> Outcome {
    let Some(routed) = &exchange.routed else {
        return Outcome::Local;
    };
    if routed.attempts == 0 {
        return Outcome::NoEndpoint;
    }
    let Some(error) = error else {
        return Outcome::Served;
    };
    match (error.esource(), routed.last_failure) {
        (ErrorSource::Downstream, _) => Outcome::ClientReset,
        (_, Some(Failure::Connect | Failure::Local)) => Outcome::ConnectFailed,
        (_, Some(Failure::ConnectTimeout | Failure::Timeout)) => Outcome::Timeout,
        _ => Outcome::UpstreamReset,
    }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
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
