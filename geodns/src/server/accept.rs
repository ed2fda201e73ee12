//! Accepting connections: one loop for TCP, DoT and DoH, which differ in what a connection becomes.
//!
//! Limits: seats over all transports and per client ([`crate::guard`]); a TLS handshake has the
//! patience that a query has. A connection without a seat is closed at once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::{https, tcp};
use crate::guard::{NoSeat, Seat, Seats};
use crate::responder::{Outcome, Reply, Responder, Transport};
use crate::transfer::{SlowMessage, SlowPath};

/// How long open connections may take to finish what they are at when the server stops.
pub(super) const DRAIN: Duration = Duration::from_secs(2);
/// Pause after a failed accept: the usual cause, no free descriptors, does not pass sooner.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What every connection needs, of whatever transport. Clones share it.
#[derive(Clone)]
pub(super) struct House {
    pub(super) responder: Arc<Responder>,
    pub(super) slow: SlowPath,
    pub(super) seats: Seats,
    /// Queries answered on one connection before it is closed.
    pub(super) queries_max: usize,
}

impl House {
    /// Seats a new connection, or counts the refusal.
    pub(super) fn seat(&self, transport: Transport, source: SocketAddr) -> Option<Seated> {
        match self.seats.take(source.ip()) {
            Ok(seat) => {
                self.responder.metrics().connections(transport).inc();
                Some(Seated {
                    responder: Arc::clone(&self.responder),
                    transport,
                    _seat: seat,
                })
            }
            Err(reason) => {
                self.refused(transport, reason);
                None
            }
        }
    }

    /// Answers a message where one message is all there is room for: HTTP's body is one (RFC 8484 §6), so
    /// the slow path refuses there what takes several.
    pub(super) async fn answer_one(
        &self,
        query: &[u8],
        source: SocketAddr,
        transport: Transport,
    ) -> Option<(Vec<u8>, Option<Reply>)> {
        let mut message = vec![0; tcp::RESPONSE_BYTES];
        let outcome = self
            .responder
            .answer_stream(query, source, transport, &mut message);
        match outcome {
            Outcome::Reply(reply) => {
                message.truncate(reply.bytes);
                Some((message, Some(reply)))
            }
            Outcome::Slow => {
                let packet = query.to_vec();
                let mut answers = self.slow.stream(SlowMessage {
                    packet,
                    source,
                    transport,
                });
                Some((answers.next().await?, None))
            }
            Outcome::Drop => None,
        }
    }

    fn refused(&self, transport: Transport, reason: NoSeat) {
        self.responder.metrics().count_refused(transport, reason);
    }
}

/// An open connection's seat; keeps the gauge right whatever way the connection ends.
pub(super) struct Seated {
    responder: Arc<Responder>,
    transport: Transport,
    _seat: Seat,
}

impl Drop for Seated {
    fn drop(&mut self) {
        self.responder.metrics().connections(self.transport).dec();
    }
}

/// What a TCP connection becomes.
#[derive(Clone)]
pub(super) enum Front {
    Tcp,
    Tls(TlsAcceptor),
    Https(TlsAcceptor, Arc<https::Service>),
}

impl Front {
    pub(super) const fn transport(&self) -> Transport {
        match self {
            Self::Tcp => Transport::Tcp,
            Self::Tls(_) => Transport::Tls,
            Self::Https(..) => Transport::Https,
        }
    }
}

/// Accepts on one address until `stop`, then gives open connections a moment.
pub(super) async fn accept(
    listener: TcpListener,
    front: Front,
    house: House,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            // Reaps ended connections, so that the set holds only open ones.
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, source) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "dns: accepting failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if let Some(seated) = house.seat(front.transport(), source) {
            // Best effort: without it answers may wait for acknowledgements.
            let _ = stream.set_nodelay(true);
            let (front, house, stop) = (front.clone(), house.clone(), stop.clone());
            connections.spawn(async move {
                serve(stream, source, front, house, stop).await;
                drop(seated);
            });
        }
    }
    let drained = async { while connections.join_next().await.is_some() {} };
    if timeout(DRAIN, drained).await.is_err() {
        connections.shutdown().await;
    }
}

async fn serve(
    stream: TcpStream,
    source: SocketAddr,
    front: Front,
    house: House,
    stop: CancellationToken,
) {
    let transport = front.transport();
    match front {
        Front::Tcp => {
            tcp::Connection::new(stream, source, transport, house)
                .serve(stop)
                .await;
        }
        Front::Tls(acceptor) => {
            if let Some(stream) = handshake(&acceptor, stream, transport, &house, &stop).await {
                tcp::Connection::new(stream, source, transport, house)
                    .serve(stop)
                    .await;
            }
        }
        Front::Https(acceptor, service) => {
            if let Some(stream) = handshake(&acceptor, stream, transport, &house, &stop).await {
                https::serve(stream, source, &service, &house, &stop).await;
            }
        }
    }
}

async fn handshake(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    transport: Transport,
    house: &House,
    stop: &CancellationToken,
) -> Option<TlsStream<TcpStream>> {
    let shaken = tokio::select! {
        () = stop.cancelled() => return None,
        shaken = house.seats.wait_for(acceptor.accept(stream)) => shaken,
    };
    let stream = shaken.and_then(Result::ok);
    if stream.is_none() {
        house.responder.metrics().count_handshake_failure(transport);
    }
    stream
}
