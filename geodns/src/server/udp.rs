//! A UDP worker: receive, answer, send, on a thread of its own.
//!
//! This loop is the seam for what comes after it: batched receive and send (`recvmmsg`) and AF_XDP
//! replace [`Worker::run`] and call the same [`Responder::answer`].
//!
//! Limits: a datagram longer than [`QUERY_BYTES_MAX`] arrives cut and is answered FORMERR; a
//! worker gives up after [`ERRORS_MAX`] failed receives in a row.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::SockRef;

use crate::config::UDP_BYTES_RANGE;
use crate::responder::{Outcome, Responder, Transport};
use crate::transfer::SlowPath;

/// Longest query read whole.
pub(super) const QUERY_BYTES_MAX: usize = 4096;
/// Socket buffer asked for, so that a burst survives the thread being descheduled; the system caps it.
const RECEIVE_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// How soon an idle worker sees that it should stop.
const STOP_POLL: Duration = Duration::from_millis(100);
/// Failed receives in a row after which the socket counts as broken.
const ERRORS_MAX: u32 = 1000;
/// Datagrams still answered after the stop.
const LAST_DATAGRAMS_MAX: usize = 4096;

/// Makes a socket ready for a worker's blocking loop.
pub(super) fn prepare(socket: tokio::net::UdpSocket) -> io::Result<UdpSocket> {
    let socket = socket.into_std()?;
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(STOP_POLL))?;
    // Best effort: the default also works, with fewer datagrams in a burst.
    let _ = SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
    Ok(socket)
}

/// One thread's socket and what it answers with.
pub(super) struct Worker {
    socket: Arc<UdpSocket>,
    responder: Arc<Responder>,
    slow: SlowPath,
    stop: Arc<AtomicBool>,
}

/// What a receive brought.
enum Received {
    Query(usize, SocketAddr),
    Nothing,
}

impl Worker {
    pub(super) fn new(
        socket: UdpSocket,
        responder: Arc<Responder>,
        slow: SlowPath,
        stop: Arc<AtomicBool>,
    ) -> Self {
        Self {
            socket: Arc::new(socket),
            responder,
            slow,
            stop,
        }
    }

    /// Serves until told to stop, then answers what the socket already holds.
    pub(super) fn run(self) -> io::Result<()> {
        let mut packet = [0; QUERY_BYTES_MAX];
        let mut out = [0; *UDP_BYTES_RANGE.end() as usize];
        let mut errors = 0;
        while !self.stop.load(Ordering::Relaxed) {
            match self.receive(&mut packet) {
                Ok(Received::Query(bytes, source)) => {
                    errors = 0;
                    self.answer(&packet[..bytes], source, &mut out);
                }
                Ok(Received::Nothing) => errors = 0,
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
        for _ in 0..LAST_DATAGRAMS_MAX {
            let Received::Query(bytes, source) = self.receive(&mut packet)? else {
                break;
            };
            self.answer(&packet[..bytes], source, &mut out);
        }
        Ok(())
    }

    fn receive(&self, packet: &mut [u8]) -> io::Result<Received> {
        match self.socket.recv_from(packet) {
            Ok((bytes, source)) => Ok(Received::Query(bytes, source)),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) =>
            {
                Ok(Received::Nothing)
            }
            Err(error) => Err(error),
        }
    }

    fn answer(&self, packet: &[u8], source: SocketAddr, out: &mut [u8]) {
        // Nobody can receive on port 0: the source is forged.
        if source.port() == 0 {
            return;
        }
        match self.responder.answer(packet, source, Transport::Udp, out) {
            Outcome::Reply(reply) => {
                if self.socket.send_to(&out[..reply.bytes], source).is_err() {
                    self.responder.metrics().send_errors.inc();
                }
            }
            Outcome::Slow => self.slow.datagram(packet, source, &self.socket),
            Outcome::Drop => {}
        }
    }
}
