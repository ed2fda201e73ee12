//! What of a request is on its way to the upstream, and what of it can be sent again.
//!
//! What was sent is kept while it is small.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use super::upstream::Upstream;

/// Bytes of a request that are kept to be sent again, head included.
const REPLAY_BYTES_MAX: usize = 64 * 1024;

/// See the module's documentation.
pub(super) struct Outgoing {
    /// Head and body as far as they were read, or only what is not sent yet.
    bytes: Vec<u8>,
    sent: usize,
    /// What was sent has left: TLS keeps what the socket did not take.
    flushed: bool,
    /// `bytes` begins with the head.
    whole: bool,
    /// The upstream takes no more.
    refused: bool,
}

impl Outgoing {
    /// A head, ready to be sent.
    pub(super) fn new(head: Vec<u8>) -> Self {
        Self {
            bytes: head,
            sent: 0,
            flushed: false,
            whole: true,
            refused: false,
        }
    }

    /// Whether all of it can be sent again.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether the upstream takes no more.
    pub(super) fn is_refused(&self) -> bool {
        self.refused
    }

    /// Whether everything that was added has left.
    pub(super) fn has_left(&self) -> bool {
        self.sent == self.bytes.len() && self.flushed
    }

    /// All of it so far; `None` where the beginning was forgotten.
    pub(super) fn whole(&self) -> Option<&[u8]> {
        self.whole.then_some(&self.bytes)
    }

    /// Begins again, for another connection.
    pub(super) fn rewind(&mut self) {
        self.sent = 0;
        self.flushed = false;
        self.refused = false;
    }

    /// Adds what is put together of parts. What was sent is forgotten where it would be too much to keep.
    pub(super) fn add(&mut self, parts: &[&[u8]]) {
        let count: usize = parts.iter().map(|part| part.len()).sum();
        if self.sent == self.bytes.len() && self.bytes.len() + count > REPLAY_BYTES_MAX {
            self.whole = false;
            self.bytes.clear();
            self.sent = 0;
        }
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
    }

    /// Sends something of it, or has what was sent leave; pending while neither can be done.
    pub(super) fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        upstream: &mut Upstream,
    ) -> Poll<()> {
        if self.sent < self.bytes.len() {
            let rest = &self.bytes[self.sent..];
            match ready!(Pin::new(&mut *upstream).poll_write(context, rest)) {
                Ok(count) if count > 0 => self.sent += count,
                // It may have answered before it stopped reading.
                _ => self.refused = true,
            }
            self.flushed = false;
            if self.refused || self.sent < self.bytes.len() {
                return Poll::Ready(());
            }
        }
        match ready!(Pin::new(upstream).poll_flush(context)) {
            Ok(()) => self.flushed = true,
            Err(_) => self.refused = true,
        }
        Poll::Ready(())
    }
}
