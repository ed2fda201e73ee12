//! The life of one client connection.
//!
//! PROXY header, TLS handshake, then requests: HTTP/2 connections go to pingora
//! whole; on HTTP/1 we read each head ourselves ([`crate::head`]), refuse what
//! is malformed, and serve it in our own lane ([`crate::lane`]) or lend the
//! connection to pingora for one request at a time.
//! Between requests nothing of pingora is alive, so an idle connection costs
//! its socket, its task and (TLS) its session.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use meridian_accept::proxy_protocol::read_header;
use meridian_accept::{ConnectionPermit, Expect, Rewound};
use meridian_telemetry::metrics::IntGauge;
use pingora_core::apps::{HttpServerApp, ServerApp};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::{Shutdown, Stream};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;

use crate::answer::{Answer, part, refuse};
use crate::config::{LaneChoice, Toggle};
use crate::downstream::{Downstream, Gate, Protocol, Transport};
use crate::head::{self, Body, H2_PREFACE, Head, Parsed, Refusal};
use crate::info::{ConnectionInfo, Scheme};
use crate::lane::{self, After};
use crate::metrics::Closed;
use crate::worker::Shared;

/// A connection as the listener took it.
pub(crate) struct Accepted {
    pub(crate) socket: TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) tls: Option<TlsAcceptor>,
    /// Its place among `limits.connections`.
    pub(crate) permit: ConnectionPermit,
}

/// How the wait for a request ended.
enum Next {
    /// A head that may be passed on.
    Request(Head),
    /// The client speaks HTTP/2 in clear text.
    Http2,
    /// Nothing more to come, or the node shuts down.
    Close,
    /// The head broke a rule.
    Refuse(Refusal),
    /// The head began and did not end in time.
    TooSlow,
}

/// Which request of its connection is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    First,
    Later,
}

/// Serves a connection until either side ends it.
pub(crate) async fn serve(shared: Arc<Shared>, accepted: Accepted) {
    let Accepted {
        socket,
        peer,
        tls,
        permit,
    } = accepted;
    let _open = Open::new(&shared.metrics.connections);
    // What is short or rare has its room elsewhere: the room of this future is
    // what every idle connection costs.
    match Box::pin(establish(&shared, socket, peer, tls)).await {
        Ok(downstream) if downstream.protocol() == Protocol::Http2 => {
            Box::pin(negotiated_http2(&shared, downstream)).await;
        }
        Ok(downstream) => http1(&shared, downstream).await,
        Err(closed) => shared.metrics.closed(closed),
    }
    drop(permit);
}

/// Keeps the gauge of open connections right, also when a connection is cut.
struct Open(IntGauge);

impl Open {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// PROXY header and TLS, each within its time.
async fn establish(
    shared: &Shared,
    mut socket: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
) -> Result<Downstream, Closed> {
    let (peer, rest) = proxied_peer(shared, &mut socket, peer).await?;
    let stream = Rewound::new(rest, socket);
    let Some(acceptor) = tls else {
        let info = ConnectionInfo::new(peer, Scheme::Http);
        return Ok(Downstream::new(
            Transport::Plain(stream),
            info,
            Protocol::Http1,
        ));
    };
    let stream = timeout(shared.handshake_timeout, acceptor.accept(stream))
        .await
        .map_err(|_| Closed::Handshake)?
        .map_err(|_| Closed::Handshake)?;
    let session = stream.get_ref().1;
    let server_name = session
        .server_name()
        .map(|name| name.to_ascii_lowercase().into());
    let protocol = match session.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        _ => Protocol::Http1,
    };
    let info = ConnectionInfo::new(peer, Scheme::Https { server_name });
    Ok(Downstream::new(
        Transport::Tls(Box::new(stream)),
        info,
        protocol,
    ))
}

/// The client a trusted proxy announces, and the bytes read past its header.
async fn proxied_peer(
    shared: &Shared,
    socket: &mut TcpStream,
    peer: SocketAddr,
) -> Result<(SocketAddr, bytes::Bytes), Closed> {
    let expect = match (shared.proxy_protocol, shared.trusted.contains(peer.ip())) {
        (Expect::Required, false) => return Err(Closed::ProxyHeader),
        (_, false) => Expect::Off,
        (expect, true) => expect,
    };
    let (header, rest) = read_header(socket, expect, shared.handshake_timeout)
        .await
        .map_err(|_| Closed::ProxyHeader)?;
    let announced = header.and_then(|header| header.addresses);
    Ok((announced.map_or(peer, |addresses| addresses.source), rest))
}

/// HTTP/2 by ALPN: pingora waits for the preface without a limit, so it gets
/// the connection only once the preface is there.
async fn negotiated_http2(shared: &Arc<Shared>, mut downstream: Downstream) {
    let outcome = tokio::select! {
        biased;
        read = timeout(shared.header_timeout, preface(&mut downstream)) => read,
        () = shared.idle_connections_end(true) => Ok(Ok(false)),
    };
    match outcome {
        Ok(Ok(true)) => http2(shared, downstream).await,
        Ok(Ok(false) | Err(_)) => Shutdown::shutdown(&mut downstream).await,
        Err(_) => {
            shared.metrics.closed(Closed::HeaderTimeout);
            Shutdown::shutdown(&mut downstream).await;
        }
    }
}

/// Reads until the preface is complete, or the bytes cannot become it: HTTP/2
/// has its own answer to that, and pingora gives it. `false` at the end of the
/// stream.
async fn preface(downstream: &mut Downstream) -> io::Result<bool> {
    loop {
        let ahead = downstream.ahead();
        if ahead.len() >= H2_PREFACE.len() || !H2_PREFACE.starts_with(ahead) {
            return Ok(true);
        }
        if downstream.read_ahead().await? == 0 {
            return Ok(false);
        }
    }
}

async fn http2(shared: &Arc<Shared>, mut downstream: Downstream) {
    if shared.lane_choice == LaneChoice::Own {
        return lane::http2::serve(Arc::clone(shared), downstream).await;
    }
    downstream.introduce();
    let stream: Stream = Box::new(downstream);
    shared.proxy.process_new(stream, &shared.stopping).await;
}

async fn http1(shared: &Arc<Shared>, mut downstream: Downstream) {
    let mut turn = Turn::First;
    loop {
        match next(shared, &mut downstream, turn).await {
            Next::Request(head) if head.is_plain && shared.lane_choice == LaneChoice::Own => {
                match Box::pin(lane::serve(shared, &mut downstream, head)).await {
                    After::Keep => turn = Turn::Later,
                    After::Close => return Box::pin(downstream.end()).await,
                    After::Linger => return Box::pin(part(&mut downstream)).await,
                }
            }
            Next::Request(head) => {
                let Some(back) = Box::pin(lend(shared, downstream, head)).await else {
                    return;
                };
                downstream = back;
                turn = Turn::Later;
            }
            Next::Http2 => {
                downstream.set_gate(Gate::Open);
                downstream.set_protocol(Protocol::Http2);
                return Box::pin(http2(shared, downstream)).await;
            }
            Next::Close => return Shutdown::shutdown(&mut downstream).await,
            Next::Refuse(refusal) => {
                shared.metrics.malformed(refusal);
                let answer = Answer::new(400, refusal.as_str());
                return Box::pin(refuse(&mut downstream, &answer)).await;
            }
            Next::TooSlow => {
                shared.metrics.closed(Closed::HeaderTimeout);
                let text = "the request head did not arrive in time";
                return Box::pin(refuse(&mut downstream, &Answer::new(408, text))).await;
            }
        }
    }
}

/// Lets pingora serve one request. The connection comes back when it may carry
/// another one.
async fn lend(shared: &Shared, mut downstream: Downstream, head: Head) -> Option<Downstream> {
    downstream.set_gate(match head.body {
        Body::Length(length) => Gate::Bytes(head.bytes as u64 + length),
        Body::Chunked | Body::Upgrade => Gate::Open,
    });
    downstream.introduce();
    let session = ServerSession::new_http1(Box::new(downstream));
    let reused = shared
        .proxy
        .process_new_http(session, &shared.stopping)
        .await?;
    let (stream, _settings) = reused.consume();
    stream
        .into_any()
        .downcast::<Downstream>()
        .ok()
        .map(|downstream| *downstream)
}

/// Waits for the next request's head, judging it as it arrives.
async fn next(shared: &Shared, downstream: &mut Downstream, turn: Turn) -> Next {
    if downstream.ahead().is_empty() {
        downstream.release_buffer();
        if !first_bytes(shared, downstream, turn).await {
            return Next::Close;
        }
    }
    let mut deadline = None;
    loop {
        match head::parse(downstream.ahead(), shared.head_bytes_max) {
            Ok(Parsed::Complete(head)) => return Next::Request(head),
            Ok(Parsed::Http2Preface) if turn == Turn::First && shared.h2c == Toggle::On => {
                return Next::Http2;
            }
            Ok(Parsed::Http2Preface) => return Next::Refuse(Refusal::Version),
            Ok(Parsed::Partial) => {}
            Err(refusal) => return Next::Refuse(refusal),
        }
        let deadline = *deadline.get_or_insert_with(|| Instant::now() + shared.header_timeout);
        match timeout_at(deadline, more_lines(downstream, shared.head_bytes_max)).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false) | Err(_)) => return Next::Close,
            Err(_) => return Next::TooSlow,
        }
    }
}

/// Waits between requests. `false` when the connection is to be closed.
async fn first_bytes(shared: &Shared, downstream: &mut Downstream, turn: Turn) -> bool {
    let patience = match turn {
        Turn::First => shared.header_timeout,
        Turn::Later => shared.keepalive_timeout,
    };
    let read = tokio::select! {
        biased;
        read = timeout(patience, downstream.read_ahead()) => read,
        () = shared.idle_connections_end(turn == Turn::First) => return false,
    };
    matches!(read, Ok(Ok(count)) if count > 0)
}

/// Reads until another line has ended, or as much as a head may have: judging
/// after every byte would let a client make us do quadratic work.
async fn more_lines(downstream: &mut Downstream, bytes_max: usize) -> io::Result<bool> {
    loop {
        let before = downstream.ahead().len();
        if downstream.read_ahead().await? == 0 {
            return Ok(false);
        }
        let ahead = downstream.ahead();
        if ahead.len() >= bytes_max || ahead[before..].contains(&b'\n') {
            return Ok(true);
        }
    }
}

/// After shutdown began, how long a connection that never carried a request may
/// still send its first one.
pub(crate) const FIRST_REQUEST_GRACE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    /// What an idle connection costs beside its socket (and TLS): whoever adds to it should know.
    #[test]
    fn a_connection_takes_little_room() {
        fn size<A, B, T>(_: fn(A, B) -> T) -> usize {
            size_of::<T>()
        }
        assert!(size(serve) <= 1_400, "{}", size(serve));
    }
}
