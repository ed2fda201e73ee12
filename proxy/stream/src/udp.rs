//! A UDP port: datagrams of one client address belong to one session, and a
//! session to one endpoint.
//!
//! The port's task owns the table (client address → queue of the session's
//! task) and never waits for a session: a full queue drops the datagram, as a
//! full socket buffer would. Each session has a socket of its own, connected
//! to its endpoint, so that answers need no lookup and ICMP errors are seen.
//!
//! Bounds: `max_sessions` of the listener, [`QUEUE_DATAGRAMS`] waiting per
//! session, [`DATAGRAM_BYTES_MAX`] per datagram. A session is forgotten after
//! `idle_timeout` without a datagram in either direction.

mod session;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::listener::UdpSpec;
use crate::shared::Shared;
use session::Session;

/// Largest payload of a UDP datagram over IPv4 or IPv6 without jumbograms.
pub const DATAGRAM_BYTES_MAX: usize = 65_535;

/// Datagrams of one client that wait for its session's task.
pub const QUEUE_DATAGRAMS: usize = 64;

/// Wait after a receive that failed: the error is the kernel's, not a datagram's.
const RECEIVE_PAUSE: Duration = Duration::from_millis(50);

/// A UDP port.
pub(crate) struct Port {
    pub shared: Arc<Shared>,
    pub socket: Arc<UdpSocket>,
    pub listen: SocketAddr,
    pub spec: watch::Receiver<UdpSpec>,
    /// No new sessions; the port closes with its last one.
    pub closing: CancellationToken,
    /// Sessions end at once.
    pub cut: CancellationToken,
}

type Table = HashMap<SocketAddr, mpsc::Sender<Bytes>>;

impl Port {
    /// Passes datagrams on until closed.
    pub(crate) async fn serve(self) {
        let mut table = Table::new();
        let (ended, mut endings) = mpsc::unbounded_channel();
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        while !(self.closing.is_cancelled() && table.is_empty()) {
            tokio::select! {
                () = self.cut.cancelled() => return,
                () = self.closing.cancelled(), if !self.closing.is_cancelled() => {}
                Some(client) = endings.recv() => forget(&mut table, client),
                received = self.socket.recv_from(&mut buffer) => match received {
                    Ok((length, client)) => {
                        self.take(&mut table, client, &buffer[..length], &ended);
                    }
                    Err(error) => {
                        tracing::warn!(listen = %self.listen, %error, "receive failed");
                        tokio::time::sleep(RECEIVE_PAUSE).await;
                    }
                },
            }
        }
    }

    fn take(
        &self,
        table: &mut Table,
        client: SocketAddr,
        datagram: &[u8],
        ended: &mpsc::UnboundedSender<SocketAddr>,
    ) {
        let datagram = Bytes::copy_from_slice(datagram);
        let datagram = match table
            .get(&client)
            .map(|queue| queue.try_send(datagram.clone()))
        {
            Some(Ok(())) => return,
            Some(Err(mpsc::error::TrySendError::Full(_))) => return self.drop_one("queue_full"),
            // The session ended; its notice has not been read yet.
            Some(Err(mpsc::error::TrySendError::Closed(datagram))) => datagram,
            None => datagram,
        };
        if self.closing.is_cancelled() {
            return self.drop_one("closing");
        }
        let spec = self.spec.borrow().clone();
        if table.len() >= spec.sessions_max && !table.contains_key(&client) {
            return self.drop_one("sessions_max");
        }
        let (queue, inbox) = mpsc::channel(QUEUE_DATAGRAMS);
        let session = Session::new(self, spec, client, inbox);
        let ended = ended.clone();
        self.shared.tasks.spawn(async move {
            session.run(datagram).await;
            // The port may be gone already.
            let _ = ended.send(client);
        });
        table.insert(client, queue);
    }

    fn drop_one(&self, reason: &str) {
        drop_datagram(&self.shared, reason);
    }
}

fn drop_datagram(shared: &Shared, reason: &str) {
    let dropped = &shared.metrics.datagrams_dropped;
    dropped.with_label_values(&[reason]).inc();
}

/// Removes a session that ended, unless its client has begun another.
fn forget(table: &mut Table, client: SocketAddr) {
    if table.get(&client).is_some_and(mpsc::Sender::is_closed) {
        table.remove(&client);
    }
}
