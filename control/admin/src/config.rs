//! What an operator may say about the admin API.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Where the admin API listens when nothing is said.
pub const LISTEN_DEFAULT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9443);

/// The admin API of this node.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdminConfig {
    /// TCP address. Default `127.0.0.1:9443`. It speaks plain HTTP: put a TLS proxy before any other address.
    pub listen: SocketAddr,
    /// Unix socket with mode 0600. Default `admin.sock` in the state folder.
    pub socket: Option<PathBuf>,
    /// File with the bearer token, made on first start with mode 0600. Default `admin.token` in the state folder.
    pub token_file: Option<PathBuf>,
    /// Names that clients may use in `Host`, besides the listener's own address and `localhost`.
    pub hosts: Vec<String>,
    /// Event streams open at the same time. Default 64.
    pub event_streams: usize,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self {
            listen: LISTEN_DEFAULT,
            socket: None,
            token_file: None,
            hosts: Vec::new(),
            event_streams: 64,
        }
    }
}

impl AdminConfig {
    /// Fills in and completes the paths that are relative to the node's state folder.
    pub fn relative_to(&mut self, state: &Path) {
        let complete = |path: &Option<PathBuf>, name: &str| {
            Some(state.join(path.as_deref().unwrap_or_else(|| Path::new(name))))
        };
        self.socket = complete(&self.socket, "admin.sock");
        self.token_file = complete(&self.token_file, "admin.token");
    }
}
