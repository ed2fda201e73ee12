//! A request's body from HTTP/2 frames to HTTP/1.1.
//!
//! The client may send as much as its window allows; the window opens again as the endpoint takes what came.
//! What was sent is kept while it is small, so that it can be sent again.

use std::fmt::Write;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::HeaderMap;
use tokio::io::AsyncWrite;

use super::super::upstream::Upstream;
use super::super::wire::Trouble;
use super::head::Framing;

/// Bytes of a request that are kept to be sent again, head included.
const REPLAY_BYTES_MAX: usize = 64 * 1024;

/// See the module's documentation.
pub(super) struct Upload {
    /// Head and body as far as they were read, or only what is not sent yet.
    bytes: Vec<u8>,
    sent: usize,
    /// What was sent has left: TLS keeps what the socket did not take.
    flushed: bool,
    /// `bytes` begins with the head.
    whole: bool,
    framing: Framing,
    body: RecvStream,
    /// The client's last frame was taken.
    is_read: bool,
    /// The endpoint takes no more.
    refused: bool,
    body_bytes: u64,
    /// The most there may be of them.
    body_max: u64,
}

impl Upload {
    /// A head, ready to be sent, and the body that comes after it.
    pub(super) fn new(head: Vec<u8>, framing: Framing, body: RecvStream, body_max: u64) -> Self {
        let is_read = body.is_end_stream();
        Self {
            bytes: head,
            sent: 0,
            flushed: false,
            whole: true,
            framing,
            body,
            is_read,
            refused: false,
            body_bytes: 0,
            body_max,
        }
    }

    /// Whether all of it can be sent again.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether the client owes nothing more.
    pub(super) fn is_read(&self) -> bool {
        self.is_read
    }

    /// Whether there is nothing more to do.
    pub(super) fn is_over(&self) -> bool {
        self.refused || (self.is_read && self.has_left())
    }

    fn has_left(&self) -> bool {
        self.sent == self.bytes.len() && self.flushed
    }

    /// Whether it is the client who keeps it from going on, and not the endpoint.
    pub(super) fn waits_for_client(&self) -> bool {
        !self.refused && !self.is_read && self.has_left()
    }

    /// Whether the endpoint has all of it.
    pub(super) fn is_complete(&self) -> bool {
        !self.refused && self.is_over()
    }

    /// Bytes of the body read from the client.
    pub(super) fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// Begins again, for another connection.
    pub(super) fn rewind(&mut self) {
        self.sent = 0;
        self.flushed = false;
        self.refused = false;
    }

    /// Moves something; pending while nothing can be moved.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        upstream: &mut Upstream,
    ) -> Poll<Result<(), Trouble>> {
        if self.sent < self.bytes.len() {
            let written = Pin::new(&mut *upstream).poll_write(context, &self.bytes[self.sent..]);
            match ready!(written) {
                Ok(count) if count > 0 => self.sent += count,
                // It may have answered before it stopped reading.
                _ => self.refused = true,
            }
            self.flushed = false;
            if self.refused || self.sent < self.bytes.len() {
                return Poll::Ready(Ok(()));
            }
        }
        if !self.flushed {
            match ready!(Pin::new(&mut *upstream).poll_flush(context)) {
                Ok(()) => self.flushed = true,
                Err(_) => self.refused = true,
            }
            return Poll::Ready(Ok(()));
        }
        match ready!(self.body.poll_data(context)) {
            Some(Ok(data)) => {
                self.add(&data);
                if self.body_bytes > self.body_max {
                    return Poll::Ready(Err(Trouble::ClientTooLarge));
                }
            }
            Some(Err(_)) => return Poll::Ready(Err(Trouble::Client)),
            None => match ready!(self.body.poll_trailers(context)) {
                Ok(trailers) => self.end(trailers.as_ref()),
                Err(_) => return Poll::Ready(Err(Trouble::Client)),
            },
        }
        Poll::Ready(Ok(()))
    }

    fn add(&mut self, data: &Bytes) {
        // Nobody is left to hear of it where the stream is gone.
        let _ = self.body.flow_control().release_capacity(data.len());
        if data.is_empty() {
            return;
        }
        self.body_bytes += data.len() as u64;
        if self.bytes.len() + data.len() > REPLAY_BYTES_MAX {
            self.whole = false;
            self.bytes.clear();
            self.sent = 0;
        }
        match self.framing {
            Framing::Chunked => {
                let mut size = String::new();
                // Writing into a string does not fail.
                let _ = write!(size, "{:x}\r\n", data.len());
                self.bytes.extend_from_slice(size.as_bytes());
                self.bytes.extend_from_slice(data);
                self.bytes.extend_from_slice(b"\r\n");
            }
            Framing::None | Framing::Length => self.bytes.extend_from_slice(data),
        }
    }

    fn end(&mut self, trailers: Option<&HeaderMap>) {
        self.is_read = true;
        if self.framing != Framing::Chunked {
            // HTTP/1.1 has trailers after chunks alone.
            return;
        }
        self.bytes.extend_from_slice(b"0\r\n");
        for (name, value) in trailers.into_iter().flatten() {
            crate::fields::write_field(&mut self.bytes, name.as_str(), value.as_bytes());
        }
        self.bytes.extend_from_slice(b"\r\n");
    }
}
