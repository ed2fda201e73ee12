//! DNS over TCP (RFC 7766) and over TLS (RFC 7858): two bytes of length before every message, many
//! messages a connection.
//!
//! A connection is one task that reads, answers and writes in order; answers to pipelined queries
//! are collected while a whole next query is already buffered and written together. A query takes
//! microseconds, so nothing is gained by answering out of order.
//!
//! Limits: queries per connection and patience by configuration; the whole next query must be there
//! before the patience ends, so a byte now and then keeps no connection; a query longer than
//! [`QUERY_BYTES_MAX`] ends the connection; collected answers are written from [`FLUSH_BYTES`] on.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio_util::sync::CancellationToken;

use super::accept::House;
use super::udp::QUERY_BYTES_MAX;
use crate::responder::{Outcome, Transport};
use crate::transfer::SlowMessage;
use crate::wire::PADDING_BLOCK_BYTES;

/// Collected answers are written when they reach this size.
const FLUSH_BYTES: usize = 16 * 1024;
/// Buffer a response is first tried in; nearly all fit, and every padded one that does ends at a
/// whole block.
pub(super) const RESPONSE_BYTES: usize = 5 * PADDING_BLOCK_BYTES;

/// One connection and its buffers, about 10 KiB.
pub(super) struct Connection<S> {
    stream: BufReader<S>,
    source: SocketAddr,
    transport: Transport,
    house: House,
    query: Vec<u8>,
    response: Vec<u8>,
    /// Answers waiting to be written, each with its length before it.
    outgoing: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn new(stream: S, source: SocketAddr, transport: Transport, house: House) -> Self {
        Self {
            stream: BufReader::with_capacity(QUERY_BYTES_MAX, stream),
            source,
            transport,
            house,
            query: Vec::new(),
            response: vec![0; RESPONSE_BYTES],
            outgoing: Vec::new(),
        }
    }

    /// Serves queries until the client leaves, breaks a limit or the server stops.
    pub(super) async fn serve(mut self, stop: CancellationToken) {
        let seats = self.house.seats.clone();
        for _ in 0..self.house.queries_max {
            let read = tokio::select! {
                // What has arrived is answered first.
                () = stop.cancelled(), if self.stream.buffer().is_empty() => break,
                read = seats.wait_for(read_query(&mut self.stream, &mut self.query)) => read,
            };
            let Some(Ok(())) = read else { break };
            if self.answer() == Answered::Slowly && self.answer_slowly().await.is_none() {
                return;
            }
            if (!holds_whole_query(self.stream.buffer()) || self.outgoing.len() >= FLUSH_BYTES)
                && self.flush().await.is_none()
            {
                return;
            }
        }
        // The client may have left already.
        if self.flush().await.is_some() {
            let _ = seats.wait_for(self.stream.get_mut().shutdown()).await;
        }
    }

    /// Writes the collected answers; `None` ends the connection.
    async fn flush(&mut self) -> Option<()> {
        let stream = self.stream.get_mut();
        let written = self.house.seats.wait_for(async {
            stream.write_all(&self.outgoing).await?;
            // TLS keeps what it has not sealed yet.
            stream.flush().await
        });
        written.await?.ok()?;
        self.outgoing.clear();
        Some(())
    }

    /// Takes the answer from the slow path, message by message as the client takes them; `None` ends
    /// the connection.
    async fn answer_slowly(&mut self) -> Option<()> {
        let mut answers = self.house.slow.stream(SlowMessage {
            packet: self.query.clone(),
            source: self.source,
            transport: self.transport,
        });
        while let Some(answer) = answers.next().await {
            // A message is at most 65,535 bytes: `TCP_BYTES_MAX`.
            self.outgoing
                .extend_from_slice(&(answer.len() as u16).to_be_bytes());
            self.outgoing.extend_from_slice(&answer);
            if self.outgoing.len() >= FLUSH_BYTES {
                self.flush().await?;
            }
        }
        Some(())
    }

    /// Appends the answer to the query that was read.
    fn answer(&mut self) -> Answered {
        let outcome = self.house.responder.answer_stream(
            &self.query,
            self.source,
            self.transport,
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
async fn read_query<S: AsyncRead + Unpin>(
    stream: &mut BufReader<S>,
    query: &mut Vec<u8>,
) -> io::Result<()> {
    let bytes = usize::from(stream.read_u16().await?);
    if bytes > QUERY_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    query.resize(bytes, 0);
    stream.read_exact(query).await?;
    Ok(())
}
