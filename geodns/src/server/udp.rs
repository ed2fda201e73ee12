//! A UDP worker: receive, answer, send, a batch at a time, on a thread of its own.
//!
//! One round costs two system calls, one load of the zones and one reading of the clock for as many
//! datagrams as wait in the socket, up to [`meridian_mmsg::BATCH_MAX`].
//!
//! Limits: a datagram longer than [`QUERY_BYTES_MAX`] arrives cut and is answered FORMERR; a
//! worker gives up after [`ERRORS_MAX`] failed receives in a row.

use std::io::{self, ErrorKind};
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use meridian_mmsg::{Batch, Destination};
use rustix::net::sockopt::{self, Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery};
use socket2::SockRef;

use crate::config::UDP_BYTES_RANGE;
use crate::responder::{Outcome, Responder, Transport};
use crate::transfer::SlowPath;

/// Longest query read whole.
pub(super) const QUERY_BYTES_MAX: usize = meridian_mmsg::QUERY_BYTES_MAX;
const _: () = assert!(*UDP_BYTES_RANGE.end() as usize <= meridian_mmsg::REPLY_BYTES_MAX);
/// Socket buffer asked for, so that a burst survives the thread being descheduled; the system caps it.
const RECEIVE_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// Longest reply that fits into one packet of every link: the least MTU of IPv6 (RFC 8200 §5) without the
/// headers of IPv6 and UDP.
const UNFRAGMENTED_BYTES_MAX: u16 = 1280 - 40 - 8;
/// How soon an idle worker sees that it should stop.
const STOP_POLL: Duration = Duration::from_millis(100);
/// Failed receives in a row after which the socket counts as broken.
const ERRORS_MAX: u32 = 1000;
/// Batches still answered after the stop.
const LAST_BATCHES_MAX: usize = 64;

/// Has replies of `bytes_max` at most leave whole where every link carries them, and in fragments else;
/// in either case whatever an ICMP message says of the path, as anybody can send one (RFC 9715 §3.1).
/// A whole one saves Linux the choice of an identification for its fragments, too.
fn ignore_path_mtu(socket: &UdpSocket, bytes_max: u16) -> io::Result<()> {
    let whole = bytes_max <= UNFRAGMENTED_BYTES_MAX;
    if socket.local_addr()?.is_ipv6() {
        let way = if whole {
            Ipv6PathMtuDiscovery::PROBE
        } else {
            Ipv6PathMtuDiscovery::OMIT
        };
        sockopt::set_ipv6_mtu_discover(socket, way)?;
    } else {
        let way = if whole {
            Ipv4PathMtuDiscovery::PROBE
        } else {
            Ipv4PathMtuDiscovery::OMIT
        };
        sockopt::set_ip_mtu_discover(socket, way)?;
    }
    Ok(())
}

/// A socket and the slots for its datagrams.
#[derive(Debug)]
pub(super) struct Prepared {
    socket: UdpSocket,
    datagrams: Batch,
}

impl Prepared {
    pub(super) fn socket(&self) -> &UdpSocket {
        &self.socket
    }
}

/// Makes a socket ready for a worker's blocking loop, with replies of `bytes_max` at most. Nobody has
/// been told of it yet: what arrives before the kernel is asked for destinations has none.
pub(super) fn prepare(socket: tokio::net::UdpSocket, bytes_max: u16) -> io::Result<Prepared> {
    let socket = socket.into_std()?;
    socket.set_nonblocking(false)?;
    ignore_path_mtu(&socket, bytes_max)?;
    socket.set_read_timeout(Some(STOP_POLL))?;
    // Best effort: the default also works, with fewer datagrams in a burst.
    let _ = SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
    // Only a wildcard socket has to be told which address was asked.
    let destination = if socket.local_addr()?.ip().is_unspecified() {
        Destination::Any
    } else {
        Destination::Bound
    };
    let datagrams = Batch::new(&socket, destination)?;
    Ok(Prepared { socket, datagrams })
}

/// One thread's socket and what it answers with.
pub(super) struct Worker {
    socket: Arc<UdpSocket>,
    datagrams: Batch,
    responder: Arc<Responder>,
    slow: SlowPath,
    stop: Arc<AtomicBool>,
}

impl Worker {
    pub(super) fn new(
        prepared: Prepared,
        responder: Arc<Responder>,
        slow: SlowPath,
        stop: Arc<AtomicBool>,
    ) -> Self {
        Self {
            datagrams: prepared.datagrams,
            socket: Arc::new(prepared.socket),
            responder,
            slow,
            stop,
        }
    }

    /// Serves until told to stop, then answers what the socket already holds.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut errors = 0;
        while !self.stop.load(Ordering::Relaxed) {
            match self.receive() {
                Ok(0) => errors = 0,
                Ok(_) => {
                    errors = 0;
                    self.answer();
                }
                Err(error) => {
                    errors += 1;
                    if errors == 1 {
                        tracing::warn!(%error, "dns: receiving failed");
                    }
                    if errors == ERRORS_MAX {
                        return Err(error);
                    }
                }
            }
        }
        self.socket.set_nonblocking(true)?;
        for _ in 0..LAST_BATCHES_MAX {
            if self.receive()? == 0 {
                break;
            }
            self.answer();
        }
        Ok(())
    }

    /// How many datagrams came; none when the wait was cut short.
    fn receive(&mut self) -> io::Result<usize> {
        match self.datagrams.receive(&self.socket) {
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) =>
            {
                Ok(0)
            }
            received => received,
        }
    }

    fn answer(&mut self) {
        let mut batch = self.responder.batch();
        batch.look_ahead(self.datagrams.queries());
        self.datagrams.answer_each(|packet, source, out| {
            // Nobody can receive on port 0: the source is forged.
            if source.port() == 0 {
                return None;
            }
            match batch.answer(packet, &source, Transport::Udp, out) {
                Outcome::Reply(reply) => return Some(reply.bytes),
                Outcome::Slow => self.slow.datagram(packet, source, &self.socket),
                Outcome::Drop => {}
            }
            None
        });
        // Counted before the answers are on their way: who has one finds it counted.
        drop(batch);
        let sent = self.datagrams.send(&self.socket);
        if sent.failed > 0 {
            let metrics = self.responder.metrics();
            metrics.send_errors.inc_by(sent.failed as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn small_replies_are_never_fragmented_and_large_ones_may_be() {
        for (bytes_max, way4, way6) in [
            (
                1232,
                Ipv4PathMtuDiscovery::PROBE,
                Ipv6PathMtuDiscovery::PROBE,
            ),
            (1233, Ipv4PathMtuDiscovery::OMIT, Ipv6PathMtuDiscovery::OMIT),
        ] {
            let bind = async |address| tokio::net::UdpSocket::bind(address).await.unwrap();
            let four = prepare(bind("127.0.0.1:0").await, bytes_max).unwrap();
            assert_eq!(sockopt::ip_mtu_discover(&four.socket), Ok(way4));
            let six = prepare(bind("[::1]:0").await, bytes_max).unwrap();
            assert_eq!(sockopt::ipv6_mtu_discover(&six.socket), Ok(way6));
        }
    }
}
