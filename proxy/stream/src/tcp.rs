//! A TCP port: accept, believe or refuse a PROXY header, pick, connect, relay.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use meridian_accept::proxy_protocol::{ReadError, read_header};
use meridian_accept::{ConnectionPermit, Expect, Header};
use meridian_telemetry::access::{AccessRecord, Outcome, StreamDetails, StreamTransport};
use meridian_telemetry::metrics::IntGauge;
use meridian_topology::ProxyProtocolIn;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::connect::{Ends, Failure, Trail, Unreachable, connect, region_id};
use crate::hello::{Hello, HelloError, read_hello};
use crate::listener::{TcpRoute, TcpSpec, Transport};
use crate::metrics::outcome_label;
use crate::relay::{End, Flow, relay};
use crate::shared::{Question, Shared, unix_us};

/// Wait after an accept that failed for lack of descriptors or memory: the
/// connection stays queued, so trying at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts until `closing`. Connections live on: they end by themselves or
/// when the server cuts them.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    listener: TcpListener,
    listen: SocketAddr,
    spec: watch::Receiver<Arc<TcpSpec>>,
    closing: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            () = closing.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => admit(&shared, stream, peer, listen, &spec),
            Err(error) if is_clients_fault(&error) => {}
            Err(error) => {
                tracing::warn!(%listen, %error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// `accept(2)`: errors of the connection that was to be accepted.
fn is_clients_fault(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

fn admit(
    shared: &Arc<Shared>,
    stream: TcpStream,
    peer: SocketAddr,
    listen: SocketAddr,
    spec: &watch::Receiver<Arc<TcpSpec>>,
) {
    let Some(permit) = shared.limit.try_acquire() else {
        shared.metrics.over_limit.inc();
        return;
    };
    let connection = Connection {
        shared: Arc::clone(shared),
        spec: Arc::clone(&spec.borrow()),
        route: None,
        server_name: None,
        listen,
        peer,
        client: peer,
        began: Instant::now(),
        began_unix_us: unix_us(),
        flow: Flow::default(),
        asked: None,
        _permit: permit,
    };
    shared.tasks.spawn(connection.run(stream));
}

/// One accepted connection.
struct Connection {
    shared: Arc<Shared>,
    spec: Arc<TcpSpec>,
    /// Where it goes, once that is known.
    route: Option<Arc<TcpRoute>>,
    server_name: Option<String>,
    listen: SocketAddr,
    peer: SocketAddr,
    /// The peer, or whom a believed header names.
    client: SocketAddr,
    began: Instant,
    began_unix_us: u64,
    flow: Flow,
    asked: Option<(Question, Trail)>,
    _permit: ConnectionPermit,
}

impl Connection {
    async fn run(mut self, stream: TcpStream) {
        let cut = self.shared.cut.clone();
        // Everything before the relay is bounded by its own timeouts, but a
        // deadline that has passed does not wait for them.
        let ready = tokio::select! {
            ready = self.prepare(stream) => ready,
            () = cut.cancelled() => Err(Outcome::Timeout),
        };
        let outcome = match ready {
            Ok((head, client, upstream, idle)) => {
                match relay(head, client, upstream, &self.flow, self.began, idle, &cut).await {
                    End::Finished => Outcome::Served,
                    End::Idle | End::Cut => Outcome::Timeout,
                    End::ClientBroke => Outcome::ClientReset,
                    End::UpstreamBroke => Outcome::UpstreamReset,
                }
            }
            Err(outcome) => outcome,
        };
        if let Some(open) = self.open() {
            open.dec();
        }
        self.finish(outcome);
    }

    /// How many connections its service has.
    fn open(&self) -> Option<IntGauge> {
        let service = self.route.as_ref()?.service.as_str();
        let labels = [service, Transport::Tcp.as_str()];
        Some(self.shared.metrics.open.with_label_values(&labels))
    }

    /// Where the connection goes, by the name it asks for where the port tells names apart; what was read
    /// for that.
    async fn find_route(
        &mut self,
        stream: &mut TcpStream,
        head: Bytes,
    ) -> Result<(Arc<TcpRoute>, Bytes), Outcome> {
        let mut head = head;
        if self.spec.tells_names_apart() {
            let patience = self.shared.settings.proxy_header;
            let (hello, read) = match read_hello(stream, head, patience).await {
                Ok(found) => found,
                Err(error) => {
                    tracing::debug!(peer = %self.peer, listen = %self.listen, ?error, "no server name");
                    return Err(match error {
                        HelloError::Late => {
                            self.unrouted("late");
                            Outcome::Timeout
                        }
                        HelloError::Ended | HelloError::Broken => Outcome::ClientReset,
                    });
                }
            };
            head = read;
            self.server_name = match hello {
                Hello::Named(name) => Some(name),
                Hello::Nameless => None,
            };
        }
        let name = self.server_name.as_deref();
        let Some(route) = self.spec.route(name) else {
            let reason = if name.is_some() {
                "unknown_name"
            } else {
                "no_name"
            };
            self.unrouted(reason);
            return Err(Outcome::Malformed);
        };
        self.route = Some(Arc::clone(&route));
        if let Some(open) = self.open() {
            open.inc();
        }
        Ok((route, head))
    }

    fn unrouted(&self, reason: &str) {
        let unrouted = &self.shared.metrics.unrouted;
        unrouted.with_label_values(&[reason]).inc();
    }

    /// Everything up to the first byte passed on, and how long silence may last then.
    async fn prepare(
        &mut self,
        mut stream: TcpStream,
    ) -> Result<(Bytes, TcpStream, TcpStream, Duration), Outcome> {
        let (header, head) = self.header(&mut stream).await?;
        let addresses = header.and_then(|header| header.addresses);
        let destination = match addresses {
            Some(addresses) => {
                self.client = addresses.source;
                addresses.destination
            }
            None => stream.local_addr().unwrap_or(self.listen),
        };
        let (route, head) = self.find_route(&mut stream, head).await?;
        let decision = self.shared.ids.next_id();
        let published = self.shared.plan.full();
        let question = Question::new(published, &route.service, self.client.ip(), decision)
            .ok_or(Outcome::NoEndpoint)?;
        let ends = Ends {
            client: self.client,
            destination,
        };
        let (result, trail) = connect(&self.shared, &route, &question, ends, decision).await;
        self.asked = Some((question, trail));
        match result {
            Ok(upstream) => Ok((head, stream, upstream, route.idle)),
            Err(Unreachable::NoEndpoint) => Err(Outcome::NoEndpoint),
            Err(Unreachable::Failed(Failure::Ours)) => Err(Outcome::Limited),
            Err(Unreachable::Failed(_)) => Err(Outcome::ConnectFailed),
        }
    }

    /// The PROXY header, if the port takes one and the peer may write one.
    ///
    /// A peer that is not trusted and writes one all the same is refused, not
    /// passed on: an endpoint that trusts us might believe it.
    async fn header(&self, stream: &mut TcpStream) -> Result<(Option<Header>, Bytes), Outcome> {
        let expect = match self.spec.header_in {
            ProxyProtocolIn::Off => return Ok((None, Bytes::new())),
            ProxyProtocolIn::Optional => Expect::Optional,
            ProxyProtocolIn::Required => Expect::Required,
        };
        let trusted = self.shared.settings.trusted.contains(self.peer.ip());
        if expect == Expect::Required && !trusted {
            return Err(self.refuse("untrusted"));
        }
        let timeout = self.shared.settings.proxy_header;
        match read_header(stream, expect, timeout).await {
            Ok((Some(_), _)) if !trusted => Err(self.refuse("untrusted")),
            Ok(read) => Ok(read),
            Err(error) => {
                tracing::debug!(peer = %self.peer, listen = %self.listen, %error, "PROXY header refused");
                Err(match error {
                    ReadError::Malformed(_) => self.refuse("malformed"),
                    ReadError::Missing | ReadError::Ended { .. } => self.refuse("missing"),
                    ReadError::Timeout { .. } => {
                        self.refuse("late");
                        Outcome::Timeout
                    }
                    ReadError::Io(_) => Outcome::ClientReset,
                })
            }
        }
    }

    fn refuse(&self, reason: &str) -> Outcome {
        let refused = &self.shared.metrics.headers_refused;
        refused.with_label_values(&[reason]).inc();
        Outcome::Malformed
    }

    fn finish(self, outcome: Outcome) {
        let metrics = &self.shared.metrics;
        let (bytes_in, bytes_out) = (self.flow.bytes_in(), self.flow.bytes_out());
        let service = self.route.as_ref().map(|route| route.service.clone());
        if let Some(service) = &service {
            let service = service.as_str();
            let labels = [service, Transport::Tcp.as_str(), outcome_label(outcome)];
            metrics.finished.with_label_values(&labels).inc();
            for (way, count) in [("in", bytes_in), ("out", bytes_out)] {
                let bytes = metrics.bytes.with_label_values(&[service, way]);
                bytes.inc_by(count);
            }
        }
        if !self.shared.access.is_on() {
            return;
        }
        let (question, trail) = self
            .asked
            .as_ref()
            .map(|(question, trail)| (question, trail))
            .unzip();
        let last = trail.and_then(|trail| trail.last.as_ref());
        self.shared.access.record(AccessRecord {
            at_unix_us: self.began_unix_us,
            client: self.client,
            peer: (self.peer != self.client).then_some(self.peer),
            class: question.map(|question| question.class.0),
            decision_id: trail.map(|trail| trail.decision),
            plan_generation: question.map(|question| question.published.plan.generation()),
            endpoint: last.map(|chosen| chosen.endpoint.id.clone()),
            region: question
                .zip(last)
                .and_then(|(question, chosen)| region_id(question, chosen)),
            outcome,
            attempts: trail.map_or(0, |trail| trail.attempts),
            duration_us: u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX),
            first_byte_us: self.flow.first_byte_us(),
            bytes_in,
            bytes_out,
            http: None,
            stream: Some(StreamDetails {
                listener: self.listen,
                transport: StreamTransport::Tcp,
                server_name: self.server_name,
            }),
            service,
        });
    }
}
