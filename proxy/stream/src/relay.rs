//! Bytes both ways until both ends have finished.
//!
//! Each direction copies first and is spliced in the kernel once it proves to
//! be bulk ([`one_way`]); the end of one shuts down the other side's writing
//! and leaves the other direction open. Around them, counters say what was
//! read and which side broke, and a watchdog looks at the counters
//! [`IDLE_CHECKS`] times per idle timeout: a connection is closed after between
//! one and 1¼ timeouts without a byte, and reading a byte never costs a look at
//! the clock.

mod lent;
mod one_way;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use one_way::one_way;

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

/// Passes bytes on until both directions have ended, one breaks, nothing moves for
/// `idle`, or `cut` is cancelled. `head` is what was read of the client already,
/// `began` when it was accepted.
pub(crate) async fn relay(
    head: Bytes,
    mut client: TcpStream,
    mut upstream: TcpStream,
    flow: &Flow,
    began: Instant,
    idle: Duration,
    cut: &CancellationToken,
) -> End {
    let (from_client, to_client) = client.split();
    let (from_upstream, to_upstream) = upstream.split();
    let mut asking = Way {
        from: &flow.from_client,
        to: &flow.from_upstream,
        first: None,
    };
    let mut answering = Way {
        from: &flow.from_upstream,
        to: &flow.from_client,
        first: Some((began, &flow.first_byte_us)),
    };
    let both = async {
        tokio::try_join!(
            one_way(head, from_client, to_upstream, &mut asking),
            one_way(Bytes::new(), from_upstream, to_client, &mut answering),
        )
    };
    tokio::select! {
        result = both => match result {
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

/// One direction, observed.
struct Way<'flow> {
    from: &'flow SideState,
    to: &'flow SideState,
    /// When set, the time from here to the first byte is stored there.
    first: Option<(Instant, &'flow AtomicU64)>,
}

impl Way<'_> {
    /// So many bytes were read.
    fn count(&mut self, bytes: usize) {
        let counter = &self.from.read_bytes;
        counter.fetch_add(bytes as u64, Ordering::Relaxed);
        if bytes > 0
            && let Some((began, first)) = self.first.take()
        {
            let us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            // Zero means "none yet".
            first.store(us.max(1), Ordering::Relaxed);
        }
    }

    /// Reading failed: whose fault it is.
    fn source_broke(&self, error: io::Error) -> io::Error {
        self.from.broke.store(true, Ordering::Relaxed);
        error
    }

    /// Writing failed.
    fn sink_broke(&self, error: io::Error) -> io::Error {
        self.to.broke.store(true, Ordering::Relaxed);
        error
    }
}

#[cfg(test)]
mod tests;
