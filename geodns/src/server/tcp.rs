//! DNS over TCP (RFC 7766): two bytes of length before every message, many messages a connection.
//!
//! A connection is one task that reads, answers and writes in order; answers to pipelined queries
//! are collected while a whole next query is already buffered and written together. A query takes
//! microseconds, so nothing is gained by answering out of order.
//!
//! Limits: connections, queries per connection and silence by configuration; a query longer than
//! [`QUERY_BYTES_MAX`] ends the connection; collected answers are written from [`FLUSH_BYTES`] on.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use meridian_accept::{ConnectionLimit, ConnectionPermit};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::udp::QUERY_BYTES_MAX;
use crate::config::TcpSettings;
use crate::responder::{Outcome, Responder, Transport};
use crate::transfer::{SlowMessage, SlowPath};

/// Collected answers are written when they reach this size.
const FLUSH_BYTES: usize = 16 * 1024;
/// Buffer a response is first tried in; nearly all fit.
const RESPONSE_BYTES: usize = 2 * 1024;
/// How long open connections may take to finish their query at shutdown.
const DRAIN: Duration = Duration::from_secs(2);
/// Pause after a failed accept: the usual cause, no free descriptors, does not pass sooner.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections on one address.
pub(super) struct Acceptor {
    responder: Arc<Responder>,
    slow: SlowPath,
    settings: TcpSettings,
    limit: ConnectionLimit,
}

impl Acceptor {
    pub(super) fn new(
        responder: Arc<Responder>,
        slow: SlowPath,
        settings: TcpSettings,
        limit: ConnectionLimit,
    ) -> Self {
        Self {
            responder,
            slow,
            settings,
            limit,
        }
    }

    /// Serves until `stop`, then gives open connections a moment.
    pub(super) async fn run(self, listener: TcpListener, stop: CancellationToken) {
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                // Reaps ended connections, so that the set holds only open ones.
                Some(_) = connections.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            let (stream, source) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "dns: accepting failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Some(permit) = self.limit.try_acquire() else {
                self.responder.metrics().tcp_refused.inc();
                continue;
            };
            let connection = Connection::new(
                stream,
                source,
                Arc::clone(&self.responder),
                self.slow.clone(),
                permit,
            );
            connections.spawn(connection.serve(self.settings, stop.clone()));
        }
        let drained = async { while connections.join_next().await.is_some() {} };
        if timeout(DRAIN, drained).await.is_err() {
            connections.shutdown().await;
        }
    }
}

/// One connection and its buffers, about 10 KiB.
struct Connection {
    stream: BufReader<TcpStream>,
    source: SocketAddr,
    responder: Arc<Responder>,
    slow: SlowPath,
    query: Vec<u8>,
    response: Vec<u8>,
    /// Answers waiting to be written, each with its length before it.
    outgoing: Vec<u8>,
    open: OpenGauge,
}

/// Keeps the gauge right whatever way a connection ends.
struct OpenGauge {
    responder: Arc<Responder>,
    _permit: ConnectionPermit,
}

impl OpenGauge {
    fn new(responder: Arc<Responder>, permit: ConnectionPermit) -> Self {
        responder.metrics().tcp_connections.inc();
        Self {
            responder,
            _permit: permit,
        }
    }
}

impl Drop for OpenGauge {
    fn drop(&mut self) {
        self.responder.metrics().tcp_connections.dec();
    }
}

impl Connection {
    fn new(
        stream: TcpStream,
        source: SocketAddr,
        responder: Arc<Responder>,
        slow: SlowPath,
        permit: ConnectionPermit,
    ) -> Self {
        // Best effort: without it answers may wait for acknowledgements.
        let _ = stream.set_nodelay(true);
        Self {
            stream: BufReader::with_capacity(QUERY_BYTES_MAX, stream),
            source,
            open: OpenGauge::new(Arc::clone(&responder), permit),
            responder,
            slow,
            query: Vec::new(),
            response: vec![0; RESPONSE_BYTES],
            outgoing: Vec::new(),
        }
    }

    /// Serves queries until the client leaves, breaks a limit or the server stops.
    async fn serve(mut self, settings: TcpSettings, stop: CancellationToken) {
        for _ in 0..settings.queries_max {
            let read = tokio::select! {
                // What has arrived is answered first.
                () = stop.cancelled(), if self.stream.buffer().is_empty() => break,
                read = timeout(settings.idle_timeout, read_query(&mut self.stream, &mut self.query)) => read,
            };
            let Ok(Ok(())) = read else { break };
            if self.answer() == Answered::Slowly && self.answer_slowly(settings).await.is_err() {
                return;
            }
            if (!holds_whole_query(self.stream.buffer()) || self.outgoing.len() >= FLUSH_BYTES)
                && self.flush(settings).await.is_err()
            {
                return;
            }
        }
        // The client may have left already.
        let _ = timeout(settings.idle_timeout, async {
            self.stream.get_mut().write_all(&self.outgoing).await?;
            self.stream.get_mut().shutdown().await
        })
        .await;
        drop(self.open);
    }

    /// Writes the collected answers; an error ends the connection.
    async fn flush(&mut self, settings: TcpSettings) -> io::Result<()> {
        let write = self.stream.get_mut().write_all(&self.outgoing);
        timeout(settings.idle_timeout, write).await??;
        self.outgoing.clear();
        Ok(())
    }

    /// Takes the answer from the slow path, message by message as the client takes them.
    async fn answer_slowly(&mut self, settings: TcpSettings) -> io::Result<()> {
        let mut answers = self.slow.stream(SlowMessage {
            packet: self.query.clone(),
            source: self.source,
            transport: Transport::Tcp,
        });
        while let Some(answer) = answers.next().await {
            // A message is at most 65,535 bytes: `TCP_BYTES_MAX`.
            self.outgoing
                .extend_from_slice(&(answer.len() as u16).to_be_bytes());
            self.outgoing.extend_from_slice(&answer);
            if self.outgoing.len() >= FLUSH_BYTES {
                self.flush(settings).await?;
            }
        }
        Ok(())
    }

    /// Appends the answer to the query that was read.
    fn answer(&mut self) -> Answered {
        let outcome = self.responder.answer_stream(
            &self.query,
            self.source,
            Transport::Tcp,
            &mut self.response,
        );
        let reply = match outcome {
            Outcome::Reply(reply) => reply,
            Outcome::Slow => return Answered::Slowly,
            Outcome::Drop => return Answered::Here,
        };
        // A response is at most 65,535 bytes: `TCP_BYTES_MAX`.
        self.outgoing
            .extend_from_slice(&(reply.bytes as u16).to_be_bytes());
        self.outgoing
            .extend_from_slice(&self.response[..reply.bytes]);
        Answered::Here
    }
}

/// Who answers a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answered {
    /// The packet path did, if at all.
    Here,
    /// The slow path has to.
    Slowly,
}

/// Whether the next query has arrived to its end, so that its answer may go out with the last one. A
/// client may wait for that one before it sends the rest.
fn holds_whole_query(buffer: &[u8]) -> bool {
    buffer
        .split_first_chunk()
        .is_some_and(|(length, rest)| rest.len() >= usize::from(u16::from_be_bytes(*length)))
}

/// Reads one message with its length.
async fn read_query(stream: &mut BufReader<TcpStream>, query: &mut Vec<u8>) -> io::Result<()> {
    let bytes = usize::from(stream.read_u16().await?);
    if bytes > QUERY_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    query.resize(bytes, 0);
    stream.read_exact(query).await?;
    Ok(())
}
