//! The request on its way to the upstream: its head, and its body as the client sends it.

use std::task::{Context, Poll, ready};

use super::body::Rest;
use super::chunked::Malformed;
use super::outgoing::Outgoing;
use super::upstream::Upstream;
use crate::downstream::Downstream;

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
    outgoing: Outgoing,
    /// What the client still owes.
    rest: Rest,
    body_bytes: u64,
    /// The most there may be of them.
    body_max: u64,
}

impl Upload {
    /// A head, ready to be sent, and what is to come after it.
    pub(super) fn new(head: Vec<u8>, rest: Rest, body_max: u64) -> Self {
        Self {
            outgoing: Outgoing::new(head),
            rest,
            body_bytes: 0,
            body_max,
        }
    }

    /// Whether all of it can be sent again.
    pub(super) fn is_whole(&self) -> bool {
        self.outgoing.is_whole()
    }

    /// The whole request, where all of it is there.
    pub(super) fn whole(&self) -> Option<&[u8]> {
        self.outgoing.whole().filter(|_| self.is_read())
    }

    /// Whether the client owes nothing more.
    pub(super) fn is_read(&self) -> bool {
        self.rest.is_done()
    }

    /// Whether there is nothing more to do.
    pub(super) fn is_over(&self) -> bool {
        self.outgoing.is_refused() || (self.is_read() && self.outgoing.has_left())
    }

    /// Whether it is the client who keeps it from going on, and not the upstream.
    pub(super) fn waits_for_client(&self) -> bool {
        !self.outgoing.is_refused() && !self.is_read() && self.outgoing.has_left()
    }

    /// Whether the upstream has all of it.
    pub(super) fn is_complete(&self) -> bool {
        !self.outgoing.is_refused() && self.is_over()
    }

    /// Bytes of the body read from the client.
    pub(super) fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// Begins again, for another connection.
    pub(super) fn rewind(&mut self) {
        self.outgoing.rewind();
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
        if !self.outgoing.has_left() {
            return self.outgoing.poll_send(context, upstream).map(Ok);
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
        self.outgoing.add(&[&ahead[..count]]);
        self.body_bytes += carried;
        bytes::Buf::advance(ahead, count);
        if self.body_bytes > self.body_max {
            return Err(Broken::TooLarge);
        }
        Ok(())
    }
}
