//! Ports for programs that are told theirs.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};

/// A port of loopback that is free for UDP and TCP, below those that the system gives to outgoing
/// connections: one of them could take it before the program does that it is for.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        // Each test is a process of its own.
        let place = std::process::id().wrapping_mul(61).wrapping_add(step) % 20_000;
        let port = 10_000 + u16::try_from(place).unwrap();
        let address = (Ipv4Addr::LOCALHOST, port);
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return port;
        }
    }
}
