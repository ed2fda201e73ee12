//! A connection to an endpoint, in clear text or TLS.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::pool::Place;
use crate::attempt::Failure;
use crate::upstream_tls::Ready;

/// See the module's documentation.
#[derive(Debug)]
pub(super) enum Upstream {
    Plain(TcpStream),
    /// Boxed: a rustls connection is about 1 KiB in place.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Where an endpoint is, and how it is spoken to.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) place: Place,
    pub(super) tls: Option<Arc<Ready>>,
}

impl Target {
    pub(super) fn new(address: SocketAddr, tls: Option<Arc<Ready>>) -> Self {
        Self {
            place: Place {
                address,
                tls: tls.as_ref().map_or(0, |tls| tls.number),
            },
            tls,
        }
    }

    /// A new connection for HTTP/1.1, within `patience`.
    pub(super) async fn connect(&self, patience: Duration) -> Result<Upstream, Failure> {
        let config = self.tls.as_ref().map(|tls| &tls.config);
        self.connect_with(patience, config).await
    }

    /// A new connection for HTTP/2.
    pub(super) async fn connect_grpc(&self, patience: Duration) -> Result<Upstream, Failure> {
        let config = self.tls.as_ref().map(|tls| &tls.grpc);
        self.connect_with(patience, config).await
    }

    async fn connect_with(
        &self,
        patience: Duration,
        config: Option<&Arc<ClientConfig>>,
    ) -> Result<Upstream, Failure> {
        let began = Instant::now();
        let stream = match timeout(patience, TcpStream::connect(self.place.address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(Failure::of_connecting(&error)),
            Err(_) => return Err(Failure::ConnectTimeout),
        };
        // Requests are written whole. A socket that refuses is about to fail anyway.
        let _ = stream.set_nodelay(true);
        let (Some(tls), Some(config)) = (&self.tls, config) else {
            return Ok(Upstream::Plain(stream));
        };
        let connector = TlsConnector::from(Arc::clone(config));
        let handshake = Box::pin(connector.connect(tls.name.clone(), stream));
        match timeout(patience.saturating_sub(began.elapsed()), handshake).await {
            Ok(Ok(stream)) => Ok(Upstream::Tls(Box::new(stream))),
            Ok(Err(error)) => {
                tracing::debug!(%error, address = %self.place.address, "TLS handshake with an endpoint failed");
                Err(Failure::Connect)
            }
            Err(_) => Err(Failure::ConnectTimeout),
        }
    }
}

impl Upstream {
    /// Nothing has come from the other end: no byte that nobody asked for, and no end. Costs a system call
    /// only when something has.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        match self {
            Self::Plain(stream) => matches!(
                stream.try_read(&mut byte),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock
            ),
            // Session tickets are taken in on the way.
            Self::Tls(stream) => stream.read(&mut byte).now_or_never().is_none(),
        }
    }

    /// Whether a read might yield something. TLS may hold what the socket no longer has.
    pub(super) fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => stream.poll_read_ready(context),
            Self::Tls(_) => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncRead for Upstream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        space: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, space),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, space),
        }
    }
}

impl AsyncWrite for Upstream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
