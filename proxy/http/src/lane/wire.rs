//! Both ways of a request at once: what the client still sends goes up while the answer comes down.
//!
//! Timers are made only when there is something to wait for. Silence of the upstream is bounded by the
//! route's `first_byte`, silence of the client by `timeouts.body`, and all of it by the route's `total`.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::body::Rest;
use super::buffer::{Buffer, Buffers};
use super::response::{Reading, Response};
use super::upload::{Broken, Upload};
use super::upstream::Upstream;
use crate::attempt::Failure;
use crate::compress::Encoder;
use crate::downstream::Downstream;

/// Why a passage ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The attempt failed.
    Upstream(Failure),
    /// The client is gone, or does not take the answer.
    Client,
    /// The client owes a part of its body for too long.
    ClientSlow,
    /// The client's body breaks the rules.
    ClientMalformed,
    /// The client's body is longer than its route takes.
    ClientTooLarge,
}

impl From<Broken> for Trouble {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Client => Self::Client,
            Broken::Malformed => Self::ClientMalformed,
            Broken::TooLarge => Self::ClientTooLarge,
        }
    }
}

/// How long who may be silent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// The client.
    pub(super) body: Duration,
    /// The upstream.
    pub(super) first_byte: Duration,
    /// Both.
    pub(super) deadline: Instant,
}

/// A client and an upstream, and what is on its way between them.
pub(super) struct Wire<'w> {
    pub(super) patience: Patience,
    pub(super) client: &'w mut Downstream,
    pub(super) upstream: &'w mut Upstream,
    pub(super) upload: &'w mut Upload,
    pub(super) buffers: &'w Buffers,
    /// Bytes of the answer; lent while there are some.
    pub(super) incoming: Option<Buffer<'w>>,
}

/// What a turn moved.
enum Moved {
    /// Something of the request.
    Up,
    /// So many bytes of the answer; 0 is its end.
    Down(usize),
}

impl Wire<'_> {
    /// Waits for a head, and writes what the client is to see of it into `head`.
    pub(super) async fn response(
        &mut self,
        reading: &Reading<'_>,
        head: &mut Vec<u8>,
    ) -> Result<Response, Trouble> {
        loop {
            if let Some(incoming) = &mut self.incoming {
                let response = Response::read(incoming.filled(), reading, head);
                match response.map_err(|_| Trouble::Upstream(Failure::Malformed))? {
                    Some(response) => return Ok(response),
                    None if incoming.filled().len() >= reading.head_bytes_max => {
                        return Err(Trouble::Upstream(Failure::Malformed));
                    }
                    None if incoming.space().is_empty() => incoming.grow(reading.head_bytes_max),
                    None => {}
                }
            }
            if self.read().await? == 0 {
                return Err(Trouble::Upstream(Failure::Closed));
            }
        }
    }

    /// Puts the client's head where the upstream's was.
    pub(super) fn replace_head(&mut self, head_bytes: usize, head: &[u8]) {
        let incoming = self.incoming.get_or_insert_with(|| self.buffers.lend());
        incoming.replace_front(head_bytes, head);
    }

    /// Passes on the head and then the body as it comes. Says whether the upstream sent just that.
    pub(super) async fn deliver(
        &mut self,
        head_bytes: usize,
        rest: &mut Rest,
        body_bytes: &mut u64,
    ) -> Result<bool, Trouble> {
        let mut head_bytes = head_bytes;
        loop {
            let there = self.incoming.as_ref().map_or(&[][..], Buffer::filled);
            let count = rest
                .take(&there[head_bytes..])
                .map_err(|_| Trouble::Upstream(Failure::Malformed))?;
            let extra = there.len() - head_bytes - count;
            self.pass_on(head_bytes + count).await?;
            *body_bytes += count as u64;
            head_bytes = 0;
            if rest.is_done() {
                return Ok(extra == 0);
            }
            if self.read().await? == 0 {
                return match rest {
                    Rest::UntilClose => Ok(true),
                    _ => Err(Trouble::Upstream(Failure::Closed)),
                };
            }
        }
    }

    /// Passes on the head and then the body as it comes, coded anew and in chunks. Says whether the upstream
    /// sent just that.
    pub(super) async fn deliver_coded(
        &mut self,
        head_bytes: usize,
        rest: &mut Rest,
        body_bytes: &mut u64,
        mut encoder: Box<Encoder>,
    ) -> Result<bool, Trouble> {
        let broken = |_| Trouble::Upstream(Failure::Local);
        self.pass_on(head_bytes).await?;
        loop {
            let mut piece = Vec::new();
            let extra = match &mut self.incoming {
                None => 0,
                Some(incoming) => {
                    let there = incoming.filled();
                    let count = rest
                        .decode(there, &mut piece)
                        .map_err(|_| Trouble::Upstream(Failure::Malformed))?;
                    let extra = there.len() - count;
                    incoming.take(count);
                    extra
                }
            };
            self.incoming = None;
            let coded = encoder.push(&piece).map_err(broken)?;
            self.send_chunk(&coded, body_bytes).await?;
            let is_whole = if rest.is_done() {
                true
            } else if self.read().await? > 0 {
                continue;
            } else if matches!(rest, Rest::UntilClose) {
                false
            } else {
                return Err(Trouble::Upstream(Failure::Closed));
            };
            let coded = encoder.finish().map_err(broken)?;
            self.send_chunk(&coded, body_bytes).await?;
            self.send_bytes(b"0\r\n\r\n").await?;
            self.flush().await?;
            return Ok(is_whole && extra == 0);
        }
    }

    /// One chunk to the client (RFC 9112, section 7.1); of nothing there is none.
    async fn send_chunk(&mut self, bytes: &[u8], body_bytes: &mut u64) -> Result<(), Trouble> {
        if bytes.is_empty() {
            return Ok(());
        }
        *body_bytes += bytes.len() as u64;
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.send_bytes(&chunk).await?;
        self.flush().await
    }

    /// Writes bytes of our own to the client.
    async fn send_bytes(&mut self, mut bytes: &[u8]) -> Result<(), Trouble> {
        while !bytes.is_empty() {
            let patience = self.patience;
            let written = patiently(patience.body, patience.deadline, |context| {
                let moved = self.poll_upload(context)?.is_ready();
                match Pin::new(&mut *self.client).poll_write(context, bytes) {
                    Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(Err(Trouble::Client)),
                    Poll::Ready(Ok(count)) => Poll::Ready(Ok(count)),
                    Poll::Pending if moved => Poll::Ready(Ok(0)),
                    Poll::Pending => Poll::Pending,
                }
            });
            let written = match written.await {
                Ok(written) => written?,
                Err(Elapsed::Silence) => return Err(Trouble::Client),
                Err(Elapsed::Deadline) => return Err(Trouble::Upstream(Failure::Timeout)),
            };
            bytes = &bytes[written..];
        }
        Ok(())
    }

    /// Reads more of the answer; 0 at its end.
    async fn read(&mut self) -> Result<usize, Trouble> {
        loop {
            let (patience, client_owes) = (self.patience, self.upload.waits_for_client());
            let silence = if client_owes {
                patience.body
            } else {
                patience.first_byte
            };
            let moved = patiently(silence, patience.deadline, |context| {
                self.poll_read(context)
            });
            match moved.await {
                Ok(moved) => match moved? {
                    Moved::Down(count) => return Ok(count),
                    Moved::Up => {}
                },
                Err(Elapsed::Silence) if client_owes => return Err(Trouble::ClientSlow),
                Err(_) => return Err(Trouble::Upstream(Failure::Timeout)),
            }
        }
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<Moved, Trouble>> {
        let moved = self.poll_upload(context)?.is_ready();
        match self.poll_upstream(context) {
            Poll::Ready(count) => Poll::Ready(count.map(Moved::Down)),
            Poll::Pending if moved => Poll::Ready(Ok(Moved::Up)),
            Poll::Pending if !self.upload.is_over() => Poll::Pending,
            Poll::Pending => self
                .client
                .poll_left(context)
                .map(|()| Err(Trouble::Client)),
        }
    }

    /// Ready when something was moved.
    fn poll_upload(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Trouble>> {
        if self.upload.is_over() {
            return Poll::Pending;
        }
        let upload = self.upload.poll(context, self.client, self.upstream);
        upload.map(|result| result.map_err(Trouble::from))
    }

    fn poll_upstream(&mut self, context: &mut Context<'_>) -> Poll<Result<usize, Trouble>> {
        let closed = |_| Trouble::Upstream(Failure::Closed);
        if self.incoming.is_none() {
            ready!(self.upstream.poll_read_ready(context)).map_err(closed)?;
        }
        let incoming = self.incoming.get_or_insert_with(|| self.buffers.lend());
        let mut space = ReadBuf::new(incoming.space());
        let read = Pin::new(&mut *self.upstream).poll_read(context, &mut space);
        let count = space.filled().len();
        if read.is_pending() && incoming.filled().is_empty() {
            self.incoming = None;
            return Poll::Pending;
        }
        ready!(read).map_err(closed)?;
        incoming.add(count);
        Poll::Ready(Ok(count))
    }

    /// Writes so many bytes of the answer to the client.
    pub(super) async fn pass_on(&mut self, count: usize) -> Result<(), Trouble> {
        let Some(mut outgoing) = self.incoming.take() else {
            return Ok(());
        };
        self.send_bytes(&outgoing.filled()[..count]).await?;
        outgoing.take(count);
        if !outgoing.filled().is_empty() {
            self.incoming = Some(outgoing);
        }
        self.flush().await
    }

    /// TLS keeps what the socket did not take.
    async fn flush(&mut self) -> Result<(), Trouble> {
        let Patience { body, deadline, .. } = self.patience;
        loop {
            let flushed = patiently(body, deadline, |context| {
                let moved = self.poll_upload(context)?.is_ready();
                match Pin::new(&mut *self.client).poll_flush(context) {
                    Poll::Ready(flushed) => {
                        Poll::Ready(flushed.map(|()| true).map_err(|_| Trouble::Client))
                    }
                    Poll::Pending if moved => Poll::Ready(Ok(false)),
                    Poll::Pending => Poll::Pending,
                }
            });
            match flushed.await {
                Ok(Ok(true)) => return Ok(()),
                Ok(Ok(false)) => {}
                Ok(Err(trouble)) => return Err(trouble),
                Err(Elapsed::Deadline) => return Err(Trouble::Upstream(Failure::Timeout)),
                Err(Elapsed::Silence) => return Err(Trouble::Client),
            }
        }
    }
}

/// Which time was over.
pub(super) enum Elapsed {
    Silence,
    Deadline,
}

/// Waits for `poll` until nothing has moved for so long, or the deadline has passed. Reads no clock unless
/// there is something to wait for.
pub(super) async fn patiently<T>(
    silence: Duration,
    deadline: Instant,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Result<T, Elapsed> {
    let mut sleep = pin!(None::<Sleep>);
    let mut by_deadline = false;
    poll_fn(|context| {
        if let Poll::Ready(value) = poll(context) {
            return Poll::Ready(Ok(value));
        }
        if sleep.is_none() {
            let until = Instant::now() + silence;
            by_deadline = deadline <= until;
            sleep.set(Some(tokio::time::sleep_until(until.min(deadline).into())));
        }
        if let Some(sleep) = sleep.as_mut().as_pin_mut() {
            ready!(sleep.poll(context));
        }
        Poll::Ready(Err(if by_deadline {
            Elapsed::Deadline
        } else {
            Elapsed::Silence
        }))
    })
    .await
}
