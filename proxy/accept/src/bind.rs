//! Listening sockets, made the same way everywhere.
//!
//! `SO_REUSEADDR` is always set so that a restart does not wait for old
//! connections in TIME_WAIT. An IPv6 socket takes IPv6 only: a wildcard
//! listener on `[::]` must not silently take the IPv4 port of another one.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};

/// Connections the kernel queues before `accept` when nothing else is asked.
pub const BACKLOG_DEFAULT: u32 = 1024;

/// Whether other sockets may listen on the same address and port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PortSharing {
    /// A second listener on the address is an error.
    #[default]
    Exclusive,
    /// `SO_REUSEPORT`: several sockets of this user share the port and the
    /// kernel spreads connections over them.
    Shared,
}

/// How a listening socket is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BindOptions {
    /// Whether the port is shared with other sockets.
    pub sharing: PortSharing,
    /// Connections waiting for `accept`; the kernel caps it at `somaxconn`.
    /// Ignored for UDP.
    pub backlog: u32,
}

impl Default for BindOptions {
    fn default() -> Self {
        Self {
            sharing: PortSharing::Exclusive,
            backlog: BACKLOG_DEFAULT,
        }
    }
}

/// A listening socket could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {transport} {address}: {source}")]
pub struct BindError {
    /// `"tcp"` or `"udp"`.
    pub transport: &'static str,
    /// The address that was asked for.
    pub address: SocketAddr,
    /// What the kernel said.
    #[source]
    pub source: io::Error,
}

/// Opens a listening TCP socket. Port 0 takes a free port; read it back with
/// `local_addr`. Must be called inside a tokio runtime.
///
/// # Errors
/// The kernel refuses the address, the port or the options.
pub fn bind_tcp(address: SocketAddr, options: BindOptions) -> Result<TcpListener, BindError> {
    let open = || {
        let socket = socket(address, Type::STREAM, Protocol::TCP, options.sharing)?;
        // Accepted connections inherit it: what is written is written whole, and waiting for more only
        // delays it.
        socket.set_tcp_nodelay(true)?;
        socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
        TcpListener::from_std(socket.into())
    };
    open().map_err(|source| BindError {
        transport: "tcp",
        address,
        source,
    })
}

/// Opens a UDP socket. Port 0 takes a free port. Must be called inside a tokio
/// runtime.
///
/// # Errors
/// The kernel refuses the address, the port or the options.
pub fn bind_udp(address: SocketAddr, options: BindOptions) -> Result<UdpSocket, BindError> {
    let open = || {
        let socket = socket(address, Type::DGRAM, Protocol::UDP, options.sharing)?;
        UdpSocket::from_std(socket.into())
    };
    open().map_err(|source| BindError {
        transport: "udp",
        address,
        source,
    })
}

fn socket(
    address: SocketAddr,
    kind: Type,
    protocol: Protocol,
    sharing: PortSharing,
) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    // On UDP, Linux would let any second socket steal the port's datagrams.
    if kind == Type::STREAM {
        socket.set_reuse_address(true)?;
    }
    if sharing == PortSharing::Shared {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests;
