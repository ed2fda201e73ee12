//! A request's body from HTTP/2 frames to HTTP/1.1.
//!
//! The client may send as much as its window allows; the window opens again as the endpoint takes what came.

use std::task::{Context, Poll, ready};

use super::super::outgoing::Outgoing;
use super::super::upstream::Upstream;
use super::super::wire::Trouble;
use super::head::Framing;
use crate::fields::write_field;
use bytes::Bytes;
use h2::RecvStream;
use http::HeaderMap;

/// See the module's documentation.
pub(super) struct Upload {
    outgoing: Outgoing,
    framing: Framing,
    body: RecvStream,
    /// The client's last frame was taken.
    is_read: bool,
    body_bytes: u64,
    /// The most there may be of them.
    body_max: u64,
}

impl Upload {
    /// A head, ready to be sent, and the body that comes after it.
    pub(super) fn new(head: Vec<u8>, framing: Framing, body: RecvStream, body_max: u64) -> Self {
        let is_read = body.is_end_stream();
        Self {
            outgoing: Outgoing::new(head),
            framing,
            body,
            is_read,
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
        self.is_read
    }

    /// Whether there is nothing more to do.
    pub(super) fn is_over(&self) -> bool {
        self.outgoing.is_refused() || (self.is_read && self.outgoing.has_left())
    }

    /// Whether it is the client who keeps it from going on, and not the endpoint.
    pub(super) fn waits_for_client(&self) -> bool {
        !self.outgoing.is_refused() && !self.is_read && self.outgoing.has_left()
    }

    /// Whether the endpoint has all of it.
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

    /// Moves something; pending while nothing can be moved.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        upstream: &mut Upstream,
    ) -> Poll<Result<(), Trouble>> {
        if !self.outgoing.has_left() {
            return self.outgoing.poll_send(context, upstream).map(Ok);
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
        match self.framing {
            Framing::Chunked => {
                let size = format!("{:x}\r\n", data.len());
                self.outgoing.add(&[size.as_bytes(), data, b"\r\n"]);
            }
            Framing::None | Framing::Length => self.outgoing.add(&[data]),
        }
    }

    fn end(&mut self, trailers: Option<&HeaderMap>) {
        self.is_read = true;
        if self.framing != Framing::Chunked {
            // HTTP/1.1 has trailers after chunks alone.
            return;
        }
        let mut last = b"0\r\n".to_vec();
        for (name, value) in trailers.into_iter().flatten() {
            write_field(&mut last, name.as_str(), value.as_bytes());
        }
        last.extend_from_slice(b"\r\n");
        self.outgoing.add(&[&last]);
    }
}
