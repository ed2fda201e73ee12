//! The listeners of the admin API.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use axum::Router;
use axum::middleware::from_fn_with_state;
use meridian_live::LiveHandle;
use meridian_telemetry::Metrics;
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;

use crate::api;
use crate::auth::{Gate, guard};
use crate::config::AdminConfig;
use crate::token::Token;

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
    unix: Option<(UnixListener, PathBuf)>,
    open: Router,
    gate: Gate,
}

impl AdminServer {
    /// Binds the listeners and reads or makes the token.
    pub async fn bind(
        config: &AdminConfig,
        live: LiveHandle,
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
        let unix = config.socket.as_deref().map(bind_unix).transpose()?;
        let open = api::router(live, metrics, config.event_streams);
        Ok(Self {
            tcp,
            address,
            unix,
            open,
            gate: Gate::tcp(token, address, &config.hosts),
        })
    }

    /// Where it listens: the TCP address, then the socket's path.
    pub fn local_addrs(&self) -> Vec<String> {
        let socket = self
            .unix
            .iter()
            .map(|(_, path)| format!("unix:{}", path.display()));
        std::iter::once(self.address.to_string())
            .chain(socket)
            .collect()
    }

    /// Serves until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let guarded = |gate: Gate| self.open.clone().layer(from_fn_with_state(gate, guard));
        let over_tcp = axum::serve(self.tcp, guarded(self.gate.clone()))
            .with_graceful_shutdown(until(&shutdown));
        let over_unix = async {
            let Some((listener, path)) = self.unix else {
                return Ok(());
            };
            let served = axum::serve(listener, guarded(Gate::Owner))
                .with_graceful_shutdown(until(&shutdown))
                .await;
            // Gone already when an operator removed it.
            let _gone = std::fs::remove_file(path);
            served
        };
        let serving = async { tokio::join!(async { over_tcp.await }, over_unix) };
        // Event streams never end by themselves: after the signal nobody waits for them.
        let stop = async {
            shutdown.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            (tcp, unix) = serving => {
                for error in [tcp.err(), unix.err()].into_iter().flatten() {
                    tracing::error!(%error, "admin listener failed");
                }
            }
            () = stop => {}
        }
    }
}

/// What requests in flight get at shutdown.
const GRACE: std::time::Duration = std::time::Duration::from_secs(1);

fn until(shutdown: &CancellationToken) -> impl Future<Output = ()> + Send + 'static {
    shutdown.clone().cancelled_owned()
}

/// A socket that only this user can open. A leftover of a node that died is replaced, a live one is not.
fn bind_unix(path: &Path) -> Result<(UnixListener, PathBuf), AdminError> {
    let failed = |source| AdminError::File {
        path: path.to_path_buf(),
        source,
    };
    if path.exists() {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            let source = std::io::Error::new(
                std::io::ErrorKind::AddrInUse,
                "another node serves this socket",
            );
            return Err(failed(source));
        }
        std::fs::remove_file(path).map_err(failed)?;
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok((listener, path.to_path_buf()))
}
