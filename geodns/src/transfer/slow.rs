//! The way from a packet path to the desk.
//!
//! A UDP or AF_XDP thread hands a datagram over by [`SlowPath::datagram`], which never waits: when
//! [`WAITING_MAX`] messages wait already, the datagram is dropped and counted, as the network might
//! have dropped it. A stream calls [`SlowPath::stream`] and takes answers as it can write them.
//!
//! Limits: [`WAITING_MAX`] datagrams wait, [`AT_WORK_MAX`] are worked on, [`ANSWERS_AHEAD`] messages
//! of a stream's answer are made before the first is written.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::Desk;
use crate::responder::Transport;

/// Datagrams that wait for the desk; more are dropped.
pub(crate) const WAITING_MAX: usize = 1024;
/// Datagrams worked on at once: an update waits for the disk.
const AT_WORK_MAX: usize = 32;
/// Messages made before the first of them is written.
const ANSWERS_AHEAD: usize = 2;

/// A message that the packet path does not answer.
#[derive(Debug)]
pub(crate) struct SlowMessage {
    /// As it came.
    pub(crate) packet: Vec<u8>,
    /// From where.
    pub(crate) source: SocketAddr,
    /// How.
    #[allow(dead_code, reason = "transfers look at it; they land next")]
    pub(crate) transport: Transport,
}

/// The answers to one message, made while they are taken.
#[derive(Debug)]
pub(crate) struct Answers(mpsc::Receiver<Vec<u8>>);

impl Answers {
    /// The next message; `None` when the answer is complete. An answer that had to be given up ends
    /// early, and the client sees that by what is missing.
    pub(crate) async fn next(&mut self) -> Option<Vec<u8>> {
        self.0.recv().await
    }
}

struct Datagram {
    message: SlowMessage,
    reply_by: Arc<UdpSocket>,
}

/// A handle to the desk. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct SlowPath {
    datagrams: mpsc::Sender<Datagram>,
    desk: Arc<Desk>,
}

impl SlowPath {
    /// Starts the desk's work until `shutdown`. Call it inside a tokio runtime.
    pub(crate) fn start(desk: Arc<Desk>, shutdown: CancellationToken) -> Self {
        let (datagrams, waiting) = mpsc::channel(WAITING_MAX);
        tokio::spawn(serve_datagrams(Arc::clone(&desk), waiting, shutdown));
        Self { datagrams, desk }
    }

    /// Hands a datagram over; the answer goes out by `reply_by`. Never waits.
    pub(crate) fn datagram(&self, packet: &[u8], source: SocketAddr, reply_by: &Arc<UdpSocket>) {
        let Ok(place) = self.datagrams.try_reserve() else {
            self.desk.count_overflow();
            return;
        };
        place.send(Datagram {
            message: SlowMessage {
                packet: packet.to_vec(),
                source,
                transport: Transport::Udp,
            },
            reply_by: Arc::clone(reply_by),
        });
    }

    /// Starts the answer to a stream's message; it ends when `Answers` is dropped.
    pub(crate) fn stream(&self, message: SlowMessage) -> Answers {
        let (to, answers) = mpsc::channel(ANSWERS_AHEAD);
        let desk = Arc::clone(&self.desk);
        tokio::spawn(async move { desk.serve(message, &to).await });
        Answers(answers)
    }
}

async fn serve_datagrams(
    desk: Arc<Desk>,
    mut waiting: mpsc::Receiver<Datagram>,
    shutdown: CancellationToken,
) {
    let at_work = Arc::new(Semaphore::new(AT_WORK_MAX));
    loop {
        let datagram = tokio::select! {
            () = shutdown.cancelled() => return,
            datagram = waiting.recv() => datagram,
        };
        let (Some(datagram), Ok(permit)) = (datagram, Arc::clone(&at_work).acquire_owned().await)
        else {
            return;
        };
        let desk = Arc::clone(&desk);
        tokio::spawn(async move {
            let Datagram { message, reply_by } = datagram;
            let source = message.source;
            // A datagram is answered by one message.
            let (to, mut answers) = mpsc::channel(1);
            let serve = desk.serve(message, &to);
            let send = async {
                if let Some(answer) = answers.recv().await
                    && reply_by.send_to(&answer, source).is_err()
                {
                    desk.count_send_error();
                }
            };
            tokio::join!(serve, send);
            drop(permit);
        });
    }
}

#[cfg(test)]
mod tests;
