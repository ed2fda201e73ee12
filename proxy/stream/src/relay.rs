//! Bytes both ways until both ends have finished.
//!
//! Copying and half-close are tokio's: the end of one direction shuts down
//! the other side's writing and leaves the other direction open. Around it,
//! [`Side`] counts what is read and remembers which side broke, and a watchdog
//! looks at the counters [`IDLE_CHECKS`] times per idle timeout: a connection
//! is closed after between one and 1¼ timeouts without a byte, and reading a
//! byte never costs a look at the clock.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

/// Buffer of one direction of one connection.
const BUFFER_BYTES: usize = 16 * 1024;

/// Looks at the counters within one idle timeout.
const IDLE_CHECKS: u32 = 4;

/// Counters of one connection.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    from_client: SideState,
    from_upstream: SideState,
    first_byte_us: AtomicU64,
}

#[derive(Debug, Default)]
struct SideState {
    read_bytes: AtomicU64,
    broke: AtomicBool,
}

impl Flow {
    /// Bytes read from the client.
    pub(crate) fn bytes_in(&self) -> u64 {
        self.from_client.read_bytes.load(Ordering::Relaxed)
    }

    /// Bytes read from the endpoint.
    pub(crate) fn bytes_out(&self) -> u64 {
        self.from_upstream.read_bytes.load(Ordering::Relaxed)
    }

    /// From `began` to the endpoint's first byte.
    pub(crate) fn first_byte_us(&self) -> Option<u64> {
        match self.first_byte_us.load(Ordering::Relaxed) {
            0 => None,
            us => Some(us),
        }
    }

    fn moved(&self) -> (u64, u64) {
        (self.bytes_in(), self.bytes_out())
    }
}

/// Why the relay ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Both sides finished.
    Finished,
    /// Nothing moved for the idle timeout.
    Idle,
    /// The client's side broke.
    ClientBroke,
    /// The endpoint's side broke.
    UpstreamBroke,
    /// The drain deadline passed.
    Cut,
}

/// Copies until both directions have ended, one breaks, nothing moves for
/// `idle`, or `cut` is cancelled. `began` is when the client was accepted.
pub(crate) async fn relay<C, U>(
    client: C,
    upstream: U,
    flow: &Flow,
    began: Instant,
    idle: Duration,
    cut: &CancellationToken,
) -> End
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let mut client = Side {
        stream: client,
        state: &flow.from_client,
        first: None,
    };
    let mut upstream = Side {
        stream: upstream,
        state: &flow.from_upstream,
        first: Some((began, &flow.first_byte_us)),
    };
    let copy = tokio::io::copy_bidirectional_with_sizes(
        &mut client,
        &mut upstream,
        BUFFER_BYTES,
        BUFFER_BYTES,
    );
    tokio::select! {
        result = copy => match result {
            Ok(_) => End::Finished,
            Err(_) if flow.from_upstream.broke.load(Ordering::Relaxed) => End::UpstreamBroke,
            Err(_) => End::ClientBroke,
        },
        () = watch_idle(flow, idle) => End::Idle,
        () = cut.cancelled() => End::Cut,
    }
}

/// Returns once the counters stood still for `idle`.
async fn watch_idle(flow: &Flow, idle: Duration) {
    let mut seen = flow.moved();
    let mut still = 0;
    while still < IDLE_CHECKS {
        tokio::time::sleep(idle / IDLE_CHECKS).await;
        let now = flow.moved();
        still = if now == seen { still + 1 } else { 0 };
        seen = now;
    }
}

/// One end of the relay, observed.
struct Side<'flow, S> {
    stream: S,
    state: &'flow SideState,
    /// When set, the time from here to the first byte is stored there.
    first: Option<(Instant, &'flow AtomicU64)>,
}

impl<S> Side<'_, S> {
    fn observe<T>(&self, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if matches!(poll, Poll::Ready(Err(_))) {
            self.state.broke.store(true, Ordering::Relaxed);
        }
        poll
    }

    fn count(&mut self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.state
            .read_bytes
            .fetch_add(bytes as u64, Ordering::Relaxed);
        if let Some((began, first)) = self.first.take() {
            let us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            // Zero means "none yet".
            first.store(us.max(1), Ordering::Relaxed);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Side<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.count(buffer.filled().len() - before);
        self.observe(poll)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Side<'_, S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.observe(poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(context);
        self.observe(poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_shutdown(context);
        self.observe(poll)
    }
}

#[cfg(test)]
mod tests;
