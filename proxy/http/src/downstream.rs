//! One accepted connection as pingora sees it.
//!
//! [`Downstream`] wraps a plain or TLS socket and implements pingora's IO
//! traits, so that our own accept loop can hand it to pingora's HTTP code. It
//! adds two things in front of the socket:
//!
//! - a **read-ahead buffer**: the request head is read and judged by us
//!   ([`crate::head`]) and then given back, byte for byte;
//! - a **gate**: how many more bytes belong to the current request. pingora
//!   probes the socket while it waits for the upstream, to notice a client that
//!   left; without the gate that probe would swallow the first byte of a
//!   pipelined request and kill the connection.
//!
//! Limits: the buffer holds at most one head plus what one read brought along
//! (`limits.head_bytes`, [`READ_AHEAD_BYTES`]).

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use meridian_accept::Rewound;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::tls::SslDigest;
use pingora_core::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType,
};
use pingora_http::ResponseHeader;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tokio_util::io::poll_read_buf;

use crate::info::ConnectionInfo;

/// Bytes asked of the socket in one read of a request head.
pub(crate) const READ_AHEAD_BYTES: usize = 4096;

/// How long a client may take the end of a TLS session.
const LAST_WORD: Duration = Duration::from_secs(1);

/// The bytes' way to the client.
pub(crate) enum Transport {
    /// Clear text.
    Plain(Rewound<TcpStream>),
    /// TLS ended here. Boxed: a rustls connection is about 1 KiB in place.
    Tls(Box<TlsStream<Rewound<TcpStream>>>),
}

impl Transport {
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream.get_ref(),
            Self::Tls(stream) => stream.get_ref().0.get_ref(),
        }
    }
}

/// How many bytes pingora may still read before the next request begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Everything: chunked bodies, upgraded connections, HTTP/2.
    Open,
    /// Exactly this many; what comes after belongs to the next request.
    Bytes(u64),
}

/// The protocol pingora shall speak on the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1 or 1.0.
    Http1,
    /// HTTP/2, by ALPN or by its preface in clear text.
    Http2,
}

/// See the module's documentation.
pub(crate) struct Downstream {
    transport: Transport,
    ahead: BytesMut,
    gate: Gate,
    protocol: Protocol,
    info: ConnectionInfo,
    /// Made when pingora first sees the connection.
    digests: Option<Digests>,
}

/// What pingora asks about a connection.
struct Digests {
    socket: Arc<SocketDigest>,
    tls: Option<Arc<SslDigest>>,
    info: Arc<ProxyDigest>,
}

impl Digests {
    fn of(transport: &Transport, info: &ConnectionInfo) -> Self {
        let socket = SocketDigest::from_raw_fd(transport.socket().as_raw_fd());
        // Set now, so that nobody asks the kernel and everybody sees the same.
        let _ = socket.peer_addr.set(Some(info.peer.into()));
        let local = transport.socket().local_addr().ok();
        let _ = socket.local_addr.set(local.map(Into::into));
        Self {
            socket: Arc::new(socket),
            tls: match transport {
                Transport::Plain(_) => None,
                Transport::Tls(stream) => Some(Arc::new(tls_digest(stream))),
            },
            info: Arc::new(ProxyDigest::new(
                Box::new(empty_response()),
                Some(Box::new(info.clone())),
            )),
        }
    }
}

impl Downstream {
    /// Wraps an established connection.
    pub(crate) fn new(transport: Transport, info: ConnectionInfo, protocol: Protocol) -> Self {
        Self {
            transport,
            ahead: BytesMut::new(),
            gate: Gate::Open,
            protocol,
            info,
            digests: None,
        }
    }

    /// Makes ready for pingora's questions.
    pub(crate) fn introduce(&mut self) {
        if self.digests.is_none() {
            self.digests = Some(Digests::of(&self.transport, &self.info));
        }
    }

    /// What is known of the connection.
    pub(crate) fn info(&self) -> &ConnectionInfo {
        &self.info
    }

    /// The bytes read ahead, and what is known of the connection.
    pub(crate) fn ahead_and_info(&self) -> (&[u8], &ConnectionInfo) {
        (&self.ahead, &self.info)
    }

    /// The bytes read ahead of pingora.
    pub(crate) fn ahead(&mut self) -> &mut BytesMut {
        &mut self.ahead
    }

    /// Reads once from the socket behind the bytes already read ahead.
    /// `Ok(0)` is the end of the stream.
    pub(crate) async fn read_ahead(&mut self) -> io::Result<usize> {
        poll_fn(|context| self.poll_read_ahead(context)).await
    }

    /// The same; memory is taken only when there is something to read.
    pub(crate) fn poll_read_ahead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Transport::Plain(stream) = &self.transport
            && stream.is_drained()
        {
            ready!(stream.get_ref().poll_read_ready(context))?;
        }
        self.ahead.reserve(READ_AHEAD_BYTES);
        let read = match &mut self.transport {
            Transport::Plain(stream) => poll_read_buf(Pin::new(stream), context, &mut self.ahead),
            Transport::Tls(stream) => poll_read_buf(Pin::new(stream), context, &mut self.ahead),
        };
        if read.is_pending() {
            self.release_buffer();
        }
        read
    }

    /// Resolves when the client has closed its side. What it sends early is kept for the next request.
    pub(crate) fn poll_left(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.ahead.len() < READ_AHEAD_BYTES {
            match ready!(self.poll_read_ahead(context)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
        // Whoever waits here is woken by the answer.
        Poll::Pending
    }

    /// Closes a connection on which nothing more is expected. Without TLS there is nothing to say first:
    /// closing the socket says it.
    pub(crate) async fn end(mut self) {
        let says_nothing = matches!(self.transport, Transport::Plain(_)) && self.ahead.is_empty();
        if !says_nothing {
            // A client that reads nothing does not read this either.
            let _ = timeout(LAST_WORD, Shutdown::shutdown(&mut self)).await;
        }
    }

    /// Writes all of these bytes.
    pub(crate) async fn write_whole(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes).await?;
        self.flush().await
    }

    /// Gives the memory of an empty buffer back while the connection idles.
    pub(crate) fn release_buffer(&mut self) {
        if self.ahead.is_empty() {
            self.ahead = BytesMut::new();
        }
    }

    /// Says how much of what follows belongs to the request about to be served.
    pub(crate) fn set_gate(&mut self, gate: Gate) {
        self.gate = gate;
    }

    /// Switches to HTTP/2 after its preface was seen in clear text.
    pub(crate) fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// What the connection speaks.
    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    fn poll_transport_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Transport::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }

    /// Reads at most `allowed` bytes from the socket; says how many.
    fn poll_limited_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
        allowed: usize,
    ) -> Poll<io::Result<usize>> {
        let before = buffer.filled().len();
        if allowed >= buffer.remaining() {
            ready!(self.poll_transport_read(context, buffer))?;
            return Poll::Ready(Ok(buffer.filled().len() - before));
        }
        // Without `unsafe` a part of a buffer can be lent only once it is
        // initialized; that is the tail of one body, so it costs little.
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(allowed));
        ready!(self.poll_transport_read(context, &mut part))?;
        let taken = part.filled().len();
        buffer.advance(taken);
        Poll::Ready(Ok(taken))
    }

    /// The request is complete: pingora only wants to know whether the client
    /// is still there. Early bytes are the next request and are kept for it.
    fn poll_beyond_request(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            return Poll::Pending;
        }
        let mut early = [0_u8; 512];
        let mut buffer = ReadBuf::new(&mut early);
        ready!(self.poll_transport_read(context, &mut buffer))?;
        if buffer.filled().is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.ahead.extend_from_slice(buffer.filled());
        // Whoever waits here is woken by the response, not by more of the next
        // request, so no waker is needed.
        Poll::Pending
    }
}

impl AsyncRead for Downstream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let allowed = match self.gate {
            Gate::Open => buffer.remaining(),
            Gate::Bytes(0) => return self.poll_beyond_request(context),
            Gate::Bytes(left) => usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(buffer.remaining()),
        };
        let taken = if self.ahead.is_empty() {
            ready!(self.poll_limited_read(context, buffer, allowed))?
        } else {
            let taken = allowed.min(self.ahead.len());
            buffer.put_slice(&self.ahead[..taken]);
            self.ahead.advance(taken);
            taken
        };
        if let Gate::Bytes(left) = &mut self.gate {
            *left = left.saturating_sub(taken as u64);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Downstream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Transport::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Transport::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(context),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

impl fmt::Debug for Downstream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Downstream")
            .field("fd", &self.id())
            .field("protocol", &self.protocol)
            .field("gate", &self.gate)
            .field("ahead", &self.ahead.len())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Shutdown for Downstream {
    async fn shutdown(&mut self) {
        // The other end may be gone already: nothing to do about it.
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

impl UniqueID for Downstream {
    fn id(&self) -> UniqueIDType {
        let fd: RawFd = self.transport.socket().as_raw_fd();
        fd
    }
}

impl Ssl for Downstream {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.digests.as_ref()?.tls.clone()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        match self.protocol {
            Protocol::Http1 => None,
            Protocol::Http2 => Some(ALPN::H2),
        }
    }
}

impl GetTimingDigest for Downstream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Downstream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        Some(Arc::clone(&self.digests.as_ref()?.info))
    }
}

impl GetSocketDigest for Downstream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(Arc::clone(&self.digests.as_ref()?.socket))
    }
}

// The preface of HTTP/2 is recognised by our own head reader: no peeking.
impl Peek for Downstream {}

/// pingora's digest of a CONNECT proxy is the only place of a connection that
/// carries a caller's data; the response in it is never looked at.
fn empty_response() -> ResponseHeader {
    ResponseHeader::build_no_case(200, Some(0)).expect("200 is a status code")
}

fn tls_digest(stream: &TlsStream<Rewound<TcpStream>>) -> SslDigest {
    let session = stream.get_ref().1;
    let cipher = session
        .negotiated_cipher_suite()
        .and_then(|suite| suite.suite().as_str())
        .unwrap_or("unknown");
    let version = session
        .protocol_version()
        .and_then(|version| version.as_str())
        .unwrap_or("unknown");
    SslDigest::new(cipher, version, None, None, Vec::new())
}
