//! The listeners of the admin API.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use meridian_live::LiveHandle;
use meridian_telemetry::Metrics;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::api::{self, Api};
use crate::auth::{Gate, guard};
use crate::config::AdminConfig;
use crate::dns::DnsFacts;
use crate::serve::serve;
use crate::socket::{self, Socket};
use crate::token::Token;
use crate::work::Work;

/// Why the admin API cannot start.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The TCP address cannot be bound.
    #[error("admin: cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The socket or the token file cannot be made.
    #[error("admin: {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// Bound and ready to serve.
#[derive(Debug)]
pub struct AdminServer {
    tcp: TcpListener,
    address: SocketAddr,
    unix: Option<Socket>,
    open: Router,
    gate: Gate,
    event_streams: usize,
    stopping: CancellationToken,
}

impl AdminServer {
    /// Binds the listeners and reads or makes the token. `dns` is the DNS room of a node that has one.
    ///
    /// # Errors
    /// When an address, the socket or the token file cannot be had: see [`AdminError`].
    pub async fn bind(
        config: &AdminConfig,
        live: LiveHandle,
        dns: Option<Arc<dyn DnsFacts>>,
        metrics: Metrics,
    ) -> Result<Self, AdminError> {
        let listen = |source| AdminError::Listen {
            address: config.listen,
            source,
        };
        let tcp = TcpListener::bind(config.listen).await.map_err(listen)?;
        let address = tcp.local_addr().map_err(listen)?;
        let path = config
            .token_file
            .clone()
            .unwrap_or_else(|| "admin.token".into());
        let token =
            Token::load_or_create(&path).map_err(|source| AdminError::File { path, source })?;
        let unix = match &config.socket {
            Some(path) => Some(socket::bind(path).await.map_err(|source| {
                let path = path.clone();
                AdminError::File { path, source }
            })?),
            None => None,
        };
        let event_streams = config.event_streams.min(Semaphore::MAX_PERMITS);
        let stopping = CancellationToken::new();
        let open = api::router(Api {
            live,
            dns,
            metrics,
            work: Work::new(),
            streams: Arc::new(Semaphore::new(event_streams)),
            stopping: stopping.clone(),
        });
        Ok(Self {
            tcp,
            address,
            unix,
            open,
            gate: Gate::tcp(token, &config.hosts),
            event_streams,
            stopping,
        })
    }

    /// Where it listens: the TCP address, then the socket's path.
    pub fn local_addrs(&self) -> Vec<String> {
        let socket = self
            .unix
            .iter()
            .map(|socket| format!("unix:{}", socket.file.path().display()));
        std::iter::once(self.address.to_string())
            .chain(socket)
            .collect()
    }

    /// Serves until `shutdown`; requests in flight get a second.
    pub async fn run(self, shutdown: CancellationToken) {
        let guarded = |gate| self.open.clone().layer(from_fn_with_state(gate, guard));
        let (streams, stop) = (self.event_streams, &self.stopping);
        let over_tcp = serve(self.tcp, guarded(self.gate.clone()), streams, stop.clone());
        let over_unix = async {
            let Some(Socket { listener, file }) = self.unix else {
                return;
            };
            serve(listener, guarded(Gate::Owner), streams, stop.clone()).await;
            drop(file);
        };
        let forward = async {
            shutdown.cancelled().await;
            stop.cancel();
        };
        tokio::join!(over_tcp, over_unix, forward);
    }
}
