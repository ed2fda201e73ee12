//! A TCP port: accept, believe or refuse a PROXY header, pick, connect, relay.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use meridian_accept::proxy_protocol::{ReadError, read_header};
use meridian_accept::{ConnectionPermit, Expect, Header};
use meridian_telemetry::access::{AccessRecord, Outcome, StreamDetails, StreamTransport};
use meridian_topology::ProxyProtocolIn;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::connect::{Ends, Failure, Trail, Unreachable, connect, region_id};
use crate::listener::{TcpSpec, Transport};
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
    spec: watch::Receiver<TcpSpec>,
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
    spec: &watch::Receiver<TcpSpec>,
) {
    let Some(permit) = shared.limit.try_acquire() else {
        shared.metrics.over_limit.inc();
        return;
    };
    let connection = Connection {
        shared: Arc::clone(shared),
        spec: spec.borrow().clone(),
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
    spec: TcpSpec,
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
        let labels = [self.spec.service.as_str(), Transport::Tcp.as_str()];
        let open = self.shared.metrics.open.with_label_values(&labels);
        open.inc();
        let cut = self.shared.cut.clone();
        // Everything before the relay is bounded by its own timeouts, but a
        // deadline that has passed does not wait for them.
        let ready = tokio::select! {
            ready = self.prepare(stream) => ready,
            () = cut.cancelled() => Err(Outcome::Timeout),
        };
        let outcome = match ready {
            Ok((head, client, upstream)) => {
                let idle = self.spec.idle;
                match relay(head, client, upstream, &self.flow, self.began, idle, &cut).await {
                    End::Finished => Outcome::Served,
                    End::Idle | End::Cut => Outcome::Timeout,
                    End::ClientBroke => Outcome::ClientReset,
                    End::UpstreamBroke => Outcome::UpstreamReset,
                }
            }
            Err(outcome) => outcome,
        };
        open.dec();
        self.finish(outcome);
    }

    /// Everything up to the first byte passed on.
    async fn prepare(
        &mut self,
        mut stream: TcpStream,
    ) -> Result<(Bytes, TcpStream, TcpStream), Outcome> {
        let (header, head) = self.header(&mut stream).await?;
        let addresses = header.and_then(|header| header.addresses);
        let destination = match addresses {
            Some(addresses) => {
                self.client = addresses.source;
                addresses.destination
            }
            None => stream.local_addr().unwrap_or(self.listen),
        };
        let decision = self.shared.ids.next_id();
        let published = self.shared.plan.full();
        let question = Question::new(published, &self.spec.service, self.client.ip(), decision)
            .ok_or(Outcome::NoEndpoint)?;
        let ends = Ends {
            client: self.client,
            destination,
        };
        let (result, trail) = connect(&self.shared, &self.spec, &question, ends, decision).await;
        self.asked = Some((question, trail));
        match result {
            Ok(upstream) => Ok((head, stream, upstream)),
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
        let service = self.spec.service.as_str();
        let labels = [service, Transport::Tcp.as_str(), outcome_label(outcome)];
        metrics.finished.with_label_values(&labels).inc();
        let (bytes_in, bytes_out) = (self.flow.bytes_in(), self.flow.bytes_out());
        metrics
            .bytes
            .with_label_values(&[service, "in"])
            .inc_by(bytes_in);
        metrics
            .bytes
            .with_label_values(&[service, "out"])
            .inc_by(bytes_out);
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
                server_name: None,
            }),
            service: Some(self.spec.service),
        });
    }
}
