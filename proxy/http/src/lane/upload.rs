//! The request on its way to the upstream: its head, and its body as the client sends it.
//!
//! What was sent is kept while it is small, so that it can be sent again.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use super::body::Rest;
use super::chunked::Malformed;
use super::upstream::Upstream;
use crate::downstream::Downstream;

/// Bytes of a request that are kept to be sent again, head included.
const REPLAY_BYTES_MAX: usize = 64 * 1024;

/// Why an upload ended before its time.
#[derive(Debug)]
pub(super) enum Broken {
    /// The client closed, or cannot be read.
    Client,
    /// The body breaks the rules of its coding.
    Malformed,
    /// It is longer than is taken.
    TooLarge,
}

impl From<Malformed> for Broken {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// See the module's documentation.
pub(super) struct Upload {
    /// Head and body as far as they were read, or only what is not sent yet.
    bytes: Vec<u8>,
    sent: usize,
    /// What was sent has left: TLS keeps what the socket did not take.
    flushed: bool,
    /// `bytes` begins with the head.
    whole: bool,
    /// What the client still owes.
    rest: Rest,
    /// The upstream takes no more.
    refused: bool,
    body_bytes: u64,
    /// The most there may be of them.
    body_max: u64,
}

impl Upload {
    /// A head, ready to be sent, and what is to come after it.
    pub(super) fn new(head: Vec<u8>, rest: Rest, body_max: u64) -> Self {
        Self {
            bytes: head,
            sent: 0,
            flushed: false,
            whole: true,
            rest,
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
        self.rest.is_done()
    }

    /// Whether there is nothing more to do.
    pub(super) fn is_over(&self) -> bool {
        self.refused || (self.is_read() && self.has_left())
    }

    fn has_left(&self) -> bool {
        self.sent == self.bytes.len() && self.flushed
    }

    /// Whether it is the client who keeps it from going on, and not the upstream.
    pub(super) fn waits_for_client(&self) -> bool {
        !self.refused && !self.is_read() && self.has_left()
    }

    /// Whether the upstream has all of it.
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

    /// Takes what the client has sent already: a small body goes out together with the head.
    pub(super) fn take_ahead(&mut self, client: &mut Downstream) -> Result<(), Broken> {
        if !self.rest.is_done() && !client.ahead().is_empty() {
            self.read_from(client)?;
        }
        Ok(())
    }

    /// Moves something; pending while nothing can be moved.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        client: &mut Downstream,
        upstream: &mut Upstream,
    ) -> Poll<Result<(), Broken>> {
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
        if client.ahead().is_empty() {
            match ready!(client.poll_read_ahead(context)) {
                Ok(count) if count > 0 => {}
                Ok(_) | Err(_) => return Poll::Ready(Err(Broken::Client)),
            }
        }
        Poll::Ready(self.read_from(client))
    }

    /// Takes what belongs to the body from the bytes read ahead.
    fn read_from(&mut self, client: &mut Downstream) -> Result<(), Broken> {
        let ahead = client.ahead();
        let (count, carried) = self.rest.take_counted(ahead)?;
        if self.sent == self.bytes.len() && self.bytes.len() + count > REPLAY_BYTES_MAX {
            self.whole = false;
            self.bytes.clear();
            self.sent = 0;
        }
        self.bytes.extend_from_slice(&ahead[..count]);
        self.body_bytes += carried;
        bytes::Buf::advance(ahead, count);
        if self.body_bytes > self.body_max {
            return Err(Broken::TooLarge);
        }
        Ok(())
    }
}
