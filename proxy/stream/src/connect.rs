//! From a client to a connection with one of the service's endpoints.
//!
//! Endpoints that refuse or stay silent are excluded and the plan is asked
//! again, at most `attempts` times: the client of a service with one living
//! endpoint within reach never notices the dead ones.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use meridian_accept::{Version, proxy_protocol};
use meridian_live::PassiveKind;
use meridian_telemetry::DecisionId;
use meridian_topology::{EndpointIdx, ProxyProtocolOut, RegionId};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::config::ATTEMPTS_MAX;
use crate::listener::TcpRoute;
use crate::shared::{Attempt, Chosen, Question, Shared};

/// Both ends as the client sees them: what a PROXY header announces.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends {
    pub client: SocketAddr,
    pub destination: SocketAddr,
}

/// What trying led to, for the access log.
#[derive(Debug)]
pub(crate) struct Trail {
    /// The last endpoint tried.
    pub last: Option<Chosen>,
    /// The decision that led to it.
    pub decision: DecisionId,
    /// How many were tried.
    pub attempts: u8,
}

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreachable {
    /// The policy left nobody to try.
    NoEndpoint,
    /// Everybody tried failed; the last one so.
    Failed(Failure),
}

/// How one endpoint failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No answer within the connect timeout.
    TimedOut,
    /// Refused, reset or unroutable.
    Refused,
    /// Our own lack of descriptors, ports or memory: says nothing of the
    /// endpoint, and another one would fail alike.
    Ours,
}

impl Failure {
    fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable => Self::Refused,
            io::ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Ours,
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::TimedOut => "timeout",
            Self::Refused => "refused",
            Self::Ours => "local",
        }
    }

    const fn passive(self) -> Option<PassiveKind> {
        match self {
            Self::TimedOut => Some(PassiveKind::Timeout),
            Self::Refused => Some(PassiveKind::ConnectFailed),
            Self::Ours => None,
        }
    }
}

/// Connects to an endpoint for `question` and announces the client to it.
pub(crate) async fn connect(
    shared: &Shared,
    route: &TcpRoute,
    question: &Question,
    ends: Ends,
    first_decision: DecisionId,
) -> (Result<TcpStream, Unreachable>, Trail) {
    let mut excluded = [EndpointIdx::default(); ATTEMPTS_MAX as usize];
    let mut trail = Trail {
        last: None,
        decision: first_decision,
        attempts: 0,
    };
    let mut outcome = Unreachable::NoEndpoint;
    while trail.attempts < shared.settings.attempts {
        let tried = usize::from(trail.attempts);
        if tried > 0 {
            trail.decision = shared.ids.next_id();
        }
        let decision = trail.decision;
        let Some(chosen) = question.ask(&excluded[..tried]) else {
            if tried == 0 {
                shared.log_decision(decision, &route.service, question, None, Attempt::Failed);
            }
            break;
        };
        excluded[tried] = chosen.pick.endpoint;
        trail.attempts += 1;
        let result = attempt(route, &chosen, ends).await;
        settle(shared, route, question, decision, &chosen, &result);
        trail.last = Some(chosen);
        match result {
            Ok((stream, _)) => return (Ok(stream), trail),
            Err(failure) => outcome = Unreachable::Failed(failure),
        }
        if outcome == Unreachable::Failed(Failure::Ours) {
            break;
        }
    }
    (Err(outcome), trail)
}

/// One endpoint: connection and PROXY header within the connect timeout.
async fn attempt(
    route: &TcpRoute,
    chosen: &Chosen,
    ends: Ends,
) -> Result<(TcpStream, Duration), Failure> {
    let address = SocketAddr::new(chosen.endpoint.address, chosen.endpoint.port);
    let began = Instant::now();
    let work = async {
        let mut stream = TcpStream::connect(address).await?;
        let took = began.elapsed();
        // Small writes of interactive protocols must not wait for each other.
        stream.set_nodelay(true)?;
        if let Some(version) = announced(route.header_out) {
            let header = proxy_protocol::encode(version, ends.client, ends.destination);
            stream.write_all(&header).await?;
        }
        Ok((stream, took))
    };
    match tokio::time::timeout(route.connect, work).await {
        Ok(Ok(connected)) => Ok(connected),
        Ok(Err(error)) => Err(Failure::of(&error)),
        Err(_) => Err(Failure::TimedOut),
    }
}

const fn announced(header: ProxyProtocolOut) -> Option<Version> {
    match header {
        ProxyProtocolOut::Off => None,
        ProxyProtocolOut::V1 => Some(Version::V1),
        ProxyProtocolOut::V2 => Some(Version::V2),
    }
}

/// Tells metrics, the decision log, the load meter and the health ledger.
fn settle(
    shared: &Shared,
    route: &TcpRoute,
    question: &Question,
    decision: DecisionId,
    chosen: &Chosen,
    result: &Result<(TcpStream, Duration), Failure>,
) {
    let endpoint = &chosen.endpoint.id;
    let attempt = match result {
        Ok((_, took)) => {
            shared.passive.succeeded(endpoint);
            question.published.meter.record(chosen.pick.region);
            shared
                .metrics
                .connect_seconds
                .with_label_values(&[route.service.as_str()])
                .observe(took.as_secs_f64());
            Attempt::Answered(u32::try_from(took.as_micros()).unwrap_or(u32::MAX))
        }
        Err(failure) => {
            if let Some(kind) = failure.passive() {
                shared.passive.failed(endpoint, kind);
            }
            count_failure(shared, question, chosen, *failure);
            tracing::debug!(%endpoint, reason = failure.as_str(), "endpoint not reached");
            Attempt::Failed
        }
    };
    shared.log_decision(decision, &route.service, question, Some(chosen), attempt);
}

pub(crate) fn count_failure(
    shared: &Shared,
    question: &Question,
    chosen: &Chosen,
    failure: Failure,
) {
    let region = region_id(question, chosen);
    let region = region.as_ref().map_or("unknown", RegionId::as_str);
    shared
        .metrics
        .connect_failures
        .with_label_values(&[region, failure.as_str()])
        .inc();
}

/// The id of a pick's region.
pub(crate) fn region_id(question: &Question, chosen: &Chosen) -> Option<RegionId> {
    let regions = &question.published.world.topology.regions;
    regions
        .get(chosen.pick.region.index())
        .map(|region| region.id.clone())
}
