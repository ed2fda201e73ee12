//! A worker: one thread, one single-threaded runtime, its own listeners and its
//! own upstream connections.
//!
//! Threads share nothing on the way of a request but the plan and the metrics.
//! The kernel spreads connections over the workers' listeners (`SO_REUSEPORT`);
//! with few connections the spread is uneven, which is the price of having no
//! lock and no task that changes cores.
//!
//! Shutdown: the accept queue is emptied and the listeners close; idle
//! connections end; busy ones finish their request; after `drain` the rest is
//! cut. pingora learns of it through its own watch channel.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use meridian_accept::{ConnectionLimit, Expect, TrustedSources};
use pingora_core::server::ShutdownWatch;
use pingora_proxy::HttpProxy;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::common::Common;
use crate::config::{HttpSettings, LaneChoice, Toggle};
use crate::connection::{Accepted, FIRST_REQUEST_GRACE, serve};
use crate::lane::Lane;
use crate::metrics::{Closed, HttpMetrics};
use crate::proxy::Proxy;

/// Pause after an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a worker is made of.
pub(crate) struct Worker {
    pub(crate) listeners: Vec<Listener>,
    pub(crate) shared: Shared,
    pub(crate) stop_sender: watch::Sender<bool>,
    pub(crate) limit: ConnectionLimit,
    pub(crate) drain: Duration,
    pub(crate) shutdown: CancellationToken,
}

/// A bound socket of a worker.
pub(crate) struct Listener {
    pub(crate) socket: StdListener,
    pub(crate) tls: Option<TlsAcceptor>,
}

/// What every connection of a worker reads.
pub(crate) struct Shared {
    pub(crate) proxy: Arc<HttpProxy<Proxy>>,
    pub(crate) common: Arc<Common>,
    pub(crate) lane: Lane,
    pub(crate) lane_choice: LaneChoice,
    pub(crate) metrics: HttpMetrics,
    /// pingora's way to be told of the shutdown: true once it began.
    pub(crate) stopping: ShutdownWatch,
    pub(crate) stop: CancellationToken,
    pub(crate) trusted: TrustedSources,
    pub(crate) proxy_protocol: Expect,
    pub(crate) h2c: Toggle,
    pub(crate) head_bytes_max: usize,
    pub(crate) h2_streams_max: u32,
    pub(crate) handshake_timeout: Duration,
    pub(crate) header_timeout: Duration,
    pub(crate) keepalive_timeout: Duration,
}

impl Shared {
    /// The settings that connections look at.
    pub(crate) fn new(
        settings: &HttpSettings,
        proxy: HttpProxy<Proxy>,
        common: Arc<Common>,
        metrics: HttpMetrics,
        stopping: ShutdownWatch,
    ) -> Self {
        Self {
            proxy: Arc::new(proxy),
            common,
            lane: Lane::new(settings.upstream_idle_max, settings.upstream_idle_timeout),
            lane_choice: settings.lane,
            metrics,
            stopping,
            stop: CancellationToken::new(),
            trusted: settings.trusted.clone(),
            proxy_protocol: settings.proxy_protocol,
            h2c: settings.h2c,
            head_bytes_max: settings.head_bytes_max,
            h2_streams_max: settings.h2_streams_max,
            handshake_timeout: settings.handshake_timeout,
            header_timeout: settings.header_timeout,
            keepalive_timeout: settings.keepalive_timeout,
        }
    }

    /// Resolves when a connection without a request on its way is to end.
    pub(crate) async fn idle_connections_end(&self, untouched: bool) {
        self.stop.cancelled().await;
        if untouched {
            // Its request may be on the wire already.
            tokio::time::sleep(FIRST_REQUEST_GRACE).await;
        }
    }
}

impl Worker {
    /// Runs until the shutdown is complete. Blocks the thread.
    ///
    /// # Errors
    /// The runtime cannot be made, or a listener cannot be registered with it.
    pub(crate) fn run(self) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        // Dropping the runtime drops connections that did not end in time, and whatever tasks pingora
        // still has.
        runtime.block_on(self.serve())
    }

    async fn serve(self) -> io::Result<()> {
        let shared = Arc::new(self.shared);
        let connections = TaskTracker::new();
        let accepting = TaskTracker::new();
        for listener in self.listeners {
            let socket = TcpListener::from_std(listener.socket)?;
            let acceptor = Acceptor {
                socket,
                tls: listener.tls,
                limit: self.limit.clone(),
                shared: Arc::clone(&shared),
                connections: connections.clone(),
            };
            accepting.spawn(acceptor.run(self.shutdown.clone()));
        }
        let sweeping = Arc::clone(&shared);
        tokio::spawn(async move { sweeping.lane.sweep().await });
        accepting.close();
        accepting.wait().await;

        self.stop_sender.send_replace(true);
        shared.stop.cancel();
        connections.close();
        if tokio::time::timeout(self.drain, connections.wait())
            .await
            .is_err()
        {
            let left = connections.len();
            tracing::warn!(connections = left, drain = ?self.drain, "cutting connections that did not finish in time");
            shared.metrics.cut.inc_by(left as u64);
        }
        Ok(())
    }
}

/// The accept loop of one listener.
struct Acceptor {
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
    limit: ConnectionLimit,
    shared: Arc<Shared>,
    connections: TaskTracker,
}

impl Acceptor {
    async fn run(self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                accepted = self.socket.accept() => match accepted {
                    Ok((socket, peer)) => self.take(socket, peer),
                    Err(error) => pause(&error).await,
                },
            }
        }
        // Connections the kernel completed before we stopped are served too.
        while let Some(Ok((socket, peer))) = self.socket.accept().now_or_never() {
            self.take(socket, peer);
        }
    }

    fn take(&self, socket: TcpStream, peer: SocketAddr) {
        self.shared.metrics.accepted.inc();
        let Some(permit) = self.limit.try_acquire() else {
            self.shared.metrics.closed(Closed::Limit);
            return;
        };
        let accepted = Accepted {
            socket,
            peer,
            tls: self.tls.clone(),
            permit,
        };
        let served = serve(Arc::clone(&self.shared), accepted);
        self.connections.spawn(served);
    }
}

/// A connection that was reset while it waited is no reason to wait; a lack of
/// descriptors is.
async fn pause(error: &io::Error) {
    match error.kind() {
        io::ErrorKind::ConnectionAborted
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::Interrupted => {}
        _ => {
            tracing::warn!(%error, "accept failed");
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    }
}
