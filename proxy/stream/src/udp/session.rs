//! One client's datagrams to one endpoint and back.
//!
//! A session stays with its endpoint as long as that makes sense: it moves
//! when the endpoint refuses (ICMP port unreachable; the refused datagram is
//! sent again, nobody has read it), when the endpoint is found dead by its
//! probes, and when a new plan does not allow the endpoint for this client any
//! more. A drained endpoint keeps its sessions.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use meridian_engine::Pick;
use meridian_live::{PassiveKind, Published};
use meridian_telemetry::DecisionId;
use meridian_telemetry::access::{AccessRecord, Outcome, StreamDetails, StreamTransport};
use meridian_topology::EndpointIdx;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{DATAGRAM_BYTES_MAX, Port, drop_datagram};
use crate::connect::{Failure, count_failure, region_id};
use crate::listener::{Transport, UdpSpec};
use crate::metrics::outcome_label;
use crate::shared::{Attempt, Chosen, Question, Shared, unix_us};

/// Answers passed on before other work of the session gets its turn.
const ANSWERS_PER_TURN: usize = 64;

/// What a session waits for on its endpoint's socket.
const ANSWER_OR_ERROR: Interest = Interest::READABLE.add(Interest::ERROR);

pub(super) struct Session {
    shared: Arc<Shared>,
    spec: UdpSpec,
    port: Arc<UdpSocket>,
    listen: SocketAddr,
    client: SocketAddr,
    inbox: mpsc::Receiver<Bytes>,
    cut: CancellationToken,
    began: Instant,
    began_unix_us: u64,
    /// Sticky over the life of the session, also for services that are not.
    nonce: DecisionId,
    excluded: Excluded,
    attempts: u8,
    bytes_in: u64,
    bytes_out: u64,
    first_byte_us: Option<u64>,
}

/// The endpoint a session is with.
struct Upstream {
    socket: UdpSocket,
    question: Question,
    chosen: Chosen,
    decision: DecisionId,
    since: Instant,
    /// Whether the decision has been logged with its outcome.
    settled: bool,
}

/// Endpoints that failed this session. Indices mean something within one
/// publication only, so a new one begins with none. At most as many as there
/// are attempts.
#[derive(Debug, Default)]
struct Excluded {
    sequence: u64,
    endpoints: Vec<EndpointIdx>,
}

impl Excluded {
    fn push(&mut self, published: &Published, endpoint: EndpointIdx) {
        if self.sequence != published.sequence {
            self.sequence = published.sequence;
            self.endpoints.clear();
        }
        self.endpoints.push(endpoint);
    }

    /// Those that count under this publication.
    fn under(&self, published: &Published) -> &[EndpointIdx] {
        if self.sequence == published.sequence {
            &self.endpoints
        } else {
            &[]
        }
    }
}

/// What woke a session.
enum Event {
    FromClient(Bytes),
    FromEndpoint,
    Idle,
    Cut,
}

impl Session {
    pub(super) fn new(
        port: &Port,
        spec: UdpSpec,
        client: SocketAddr,
        inbox: mpsc::Receiver<Bytes>,
    ) -> Self {
        Self {
            shared: Arc::clone(&port.shared),
            spec,
            port: Arc::clone(&port.socket),
            listen: port.listen,
            client,
            inbox,
            cut: port.cut.clone(),
            began: Instant::now(),
            began_unix_us: unix_us(),
            nonce: port.shared.ids.next_id(),
            excluded: Excluded::default(),
            attempts: 0,
            bytes_in: 0,
            bytes_out: 0,
            first_byte_us: None,
        }
    }

    pub(super) async fn run(mut self, first: Bytes) {
        let labels = [self.spec.service.as_str(), Transport::Udp.as_str()];
        let open = self.shared.metrics.open.with_label_values(&labels);
        open.inc();
        let mut upstream = None;
        let outcome = match self.converse(&mut upstream, first).await {
            Ok(()) if self.bytes_out == 0 => Outcome::Timeout,
            Ok(()) => Outcome::Served,
            Err(outcome) => outcome,
        };
        if let Some(upstream) = &mut upstream {
            self.settle(upstream, Attempt::Silent);
        }
        open.dec();
        self.finish(outcome, upstream.as_ref());
    }

    /// Passes datagrams until the session is idle or cut.
    async fn converse(
        &mut self,
        place: &mut Option<Upstream>,
        first: Bytes,
    ) -> Result<(), Outcome> {
        let mut last = first;
        let mut current = self.deliver(place.take(), &last).await?;
        let idle = tokio::time::sleep(self.spec.idle);
        tokio::pin!(idle);
        loop {
            let event = tokio::select! {
                () = self.cut.cancelled() => Event::Cut,
                Some(datagram) = self.inbox.recv() => Event::FromClient(datagram),
                _ = current.socket.ready(ANSWER_OR_ERROR) => Event::FromEndpoint,
                () = &mut idle => Event::Idle,
            };
            match event {
                Event::FromClient(datagram) => {
                    last = datagram;
                    let stay = self.may_stay(&mut current);
                    let kept = if stay { Some(current) } else { None };
                    current = self.deliver(kept, &last).await?;
                }
                Event::FromEndpoint => match self.answers(&mut current) {
                    Ok(()) => {}
                    Err(_) => {
                        self.give_up(&mut current, Failure::Refused);
                        current = self.deliver(None, &last).await?;
                    }
                },
                Event::Idle | Event::Cut => {
                    *place = Some(current);
                    return Ok(());
                }
            }
            idle.as_mut()
                .reset(tokio::time::Instant::now() + self.spec.idle);
        }
    }

    /// Sends a datagram to the session's endpoint, or to the next one that
    /// takes it.
    async fn deliver(
        &mut self,
        mut current: Option<Upstream>,
        datagram: &Bytes,
    ) -> Result<Upstream, Outcome> {
        loop {
            let mut upstream = match current.take() {
                Some(upstream) => upstream,
                None => self.choose().await?,
            };
            match upstream.socket.send(datagram).await {
                Ok(_) => {
                    self.bytes_in += datagram.len() as u64;
                    return Ok(upstream);
                }
                // Larger than the path takes: this datagram's fault, as it
                // would be without us in between.
                Err(error) if is_too_large(&error) => {
                    drop_datagram(&self.shared, "too_large");
                    return Ok(upstream);
                }
                Err(_) => self.give_up(&mut upstream, Failure::Refused),
            }
        }
    }

    /// A socket to the endpoint that the newest plan picks.
    async fn choose(&mut self) -> Result<Upstream, Outcome> {
        if self.attempts >= self.shared.settings.attempts {
            return Err(Outcome::ConnectFailed);
        }
        let published = self.shared.plan.full();
        let service = &self.spec.service;
        let client = self.client.ip();
        let question = Question::new(published, service, client, self.nonce);
        let question = question.ok_or(Outcome::NoEndpoint)?;
        let decision = match self.attempts {
            0 => self.nonce,
            _ => self.shared.ids.next_id(),
        };
        let Some(chosen) = question.ask(self.excluded.under(&question.published)) else {
            self.shared
                .log_decision(decision, service, &question, None, Attempt::Failed);
            return Err(Outcome::NoEndpoint);
        };
        self.attempts += 1;
        let address = SocketAddr::new(chosen.endpoint.address, chosen.endpoint.port);
        let socket = socket_to(address).await.map_err(|error| {
            tracing::warn!(%address, %error, "no socket for a UDP session");
            Outcome::Limited
        })?;
        question.published.meter.record(chosen.pick.region);
        Ok(Upstream {
            socket,
            question,
            chosen,
            decision,
            since: Instant::now(),
            settled: false,
        })
    }

    /// Whether the session remains with its endpoint, in the newest plan's view.
    fn may_stay(&mut self, upstream: &mut Upstream) -> bool {
        let newest = self.shared.plan.load();
        if newest.sequence != upstream.question.published.sequence {
            let client = self.client.ip();
            let newest = Arc::clone(&newest);
            let Some(question) = Question::new(newest, &self.spec.service, client, self.nonce)
            else {
                return false;
            };
            let Some(chosen) = still_allowed(&question, &upstream.chosen) else {
                self.start_over(upstream);
                return false;
            };
            upstream.chosen = chosen;
            upstream.question = question;
        }
        let published = &upstream.question.published;
        let available = published.bits.is_available(upstream.chosen.pick.endpoint);
        if !available && !is_drained(published, &upstream.chosen) {
            self.start_over(upstream);
            return false;
        }
        true
    }

    /// The next choice is not a retry: the endpoint served until now.
    fn start_over(&mut self, upstream: &mut Upstream) {
        self.settle(upstream, Attempt::Silent);
        self.excluded = Excluded::default();
        self.attempts = 0;
    }

    /// Passes on what the endpoint has answered. An error is the endpoint's.
    fn answers(&mut self, upstream: &mut Upstream) -> io::Result<()> {
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        for _ in 0..ANSWERS_PER_TURN {
            let length = match upstream.socket.try_recv(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return pending_error(&upstream.socket);
                }
                Err(error) => return Err(error),
            };
            if !upstream.settled {
                let us = upstream.since.elapsed().as_micros();
                self.shared.passive.succeeded(&upstream.chosen.endpoint.id);
                self.settle(
                    upstream,
                    Attempt::Answered(u32::try_from(us).unwrap_or(u32::MAX)),
                );
            }
            if self.first_byte_us.is_none() {
                let us = self.began.elapsed().as_micros();
                self.first_byte_us = Some(u64::try_from(us).unwrap_or(u64::MAX));
            }
            self.bytes_out += length as u64;
            // A refusal long after answers is a restart: try everybody again.
            self.attempts = 1;
            if self
                .port
                .try_send_to(&buffer[..length], self.client)
                .is_err()
            {
                drop_datagram(&self.shared, "client_unreachable");
            }
        }
        Ok(())
    }

    fn give_up(&mut self, upstream: &mut Upstream, failure: Failure) {
        let chosen = &upstream.chosen;
        self.shared
            .passive
            .failed(&chosen.endpoint.id, PassiveKind::ConnectFailed);
        count_failure(&self.shared, &upstream.question, chosen, failure);
        self.excluded
            .push(&upstream.question.published, chosen.pick.endpoint);
        self.settle(upstream, Attempt::Failed);
    }

    /// Logs the decision that led to this endpoint, once.
    fn settle(&self, upstream: &mut Upstream, attempt: Attempt) {
        if upstream.settled {
            return;
        }
        upstream.settled = true;
        let service = &self.spec.service;
        let Upstream {
            question,
            chosen,
            decision,
            ..
        } = upstream;
        self.shared
            .log_decision(*decision, service, question, Some(chosen), attempt);
    }

    fn finish(self, outcome: Outcome, upstream: Option<&Upstream>) {
        let metrics = &self.shared.metrics;
        let service = self.spec.service.as_str();
        let labels = [service, Transport::Udp.as_str(), outcome_label(outcome)];
        metrics.finished.with_label_values(&labels).inc();
        metrics
            .bytes
            .with_label_values(&[service, "in"])
            .inc_by(self.bytes_in);
        metrics
            .bytes
            .with_label_values(&[service, "out"])
            .inc_by(self.bytes_out);
        if !self.shared.access.is_on() {
            return;
        }
        self.shared.access.record(AccessRecord {
            at_unix_us: self.began_unix_us,
            client: self.client,
            peer: None,
            class: upstream.map(|upstream| upstream.question.class.0),
            decision_id: upstream.map(|upstream| upstream.decision),
            plan_generation: upstream.map(|upstream| upstream.question.published.plan.generation()),
            endpoint: upstream.map(|upstream| upstream.chosen.endpoint.id.clone()),
            region: upstream.and_then(|upstream| region_id(&upstream.question, &upstream.chosen)),
            outcome,
            attempts: self.attempts,
            duration_us: u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX),
            first_byte_us: self.first_byte_us,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            http: None,
            stream: Some(StreamDetails {
                listener: self.listen,
                transport: StreamTransport::Udp,
                server_name: None,
            }),
            service: Some(self.spec.service),
        });
    }
}

/// The ICMP error that waits on a socket. Linux reports it as an error only,
/// not as something to read, so a receive would not see it.
fn pending_error(socket: &UdpSocket) -> io::Result<()> {
    match socket.take_error()? {
        Some(error) => Err(error),
        None => {
            // Nothing waits: forget the readiness, or it would wake us for ever.
            let nothing = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
            let _ = socket.try_io(Interest::ERROR, nothing);
            Ok(())
        }
    }
}

/// The choice in a newer plan's terms, if that plan still has the endpoint for
/// this client, at the same address. Every index in it is the newer plan's.
fn still_allowed(question: &Question, chosen: &Chosen) -> Option<Chosen> {
    let Published { plan, world, .. } = &*question.published;
    let mut candidates = plan.candidates(question.service, question.class);
    candidates.find_map(|index| {
        let endpoint = world.topology.endpoints.get(index.index())?;
        let same = endpoint.id == chosen.endpoint.id
            && endpoint.address == chosen.endpoint.address
            && endpoint.port == chosen.endpoint.port;
        same.then(|| Chosen {
            pick: Pick {
                endpoint: index,
                region: endpoint.region,
                ..chosen.pick
            },
            endpoint: endpoint.clone(),
        })
    })
}

fn is_drained(published: &Published, chosen: &Chosen) -> bool {
    let world = &published.world;
    let region = world.topology.regions.get(chosen.endpoint.region.index());
    chosen.endpoint.drain.is_draining()
        || world.admin.drained_endpoints.contains(&chosen.endpoint.id)
        || region.is_some_and(|region| {
            region.drain.is_draining() || world.admin.drained_regions.contains(&region.id)
        })
}

async fn socket_to(address: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    Ok(socket)
}

fn is_too_large(error: &io::Error) -> bool {
    // EMSGSIZE has no stable kind of its own.
    const EMSGSIZE: i32 = 90;
    cfg!(target_os = "linux") && error.raw_os_error() == Some(EMSGSIZE)
}
