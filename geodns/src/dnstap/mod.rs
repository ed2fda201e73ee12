//! dnstap: every query and response (or a sample of them) as structured frames, for whoever looks
//! at traffic: `dns.dnstap` in `meridian.yaml`.
//!
//! ```text
//! packet path ──Tap::offer──> bounded queue ──Writer thread──> file │ unix socket │ TCP
//!                 │                 ^                 │
//!                 └── free buffers ─┴─────────────────┘
//! ```
//!
//! The packet path pays only when dnstap is on and a query is in the sample: then it reads the clock
//! once and encodes up to two messages ([`message`]) into recycled buffers. Both queues are lock-free
//! rings; it never waits, what finds no room is dropped and counted. One thread frames ([`frame`])
//! and writes, reconnects when a reader goes away, and rotates files ([`sink`]).
//!
//! Bounds: [`config::QUEUE_RANGE`] frames and [`QUEUED_BYTES_MAX`] bytes wait; a file is rotated at
//! `max_bytes` and `max_files` are kept; a reader that takes nothing for [`sink::PATIENCE`] is left.
//!
//! Left out on purpose: the server's own address in the messages (the packet path does not know which
//! socket it serves; `identity` names the node), and message types other than `AUTH_QUERY` and
//! `AUTH_RESPONSE`, because this is an authoritative server.

pub mod config;
mod frame;
mod message;
mod sink;
mod writer;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use crossbeam_queue::ArrayQueue;
use meridian_telemetry::metrics::{IntCounter, IntGauge};
use meridian_telemetry::{MetricError, Metrics, Unit};

use crate::responder::Transport;
use config::{DnstapConfig, SampleRate};
use message::{Encoder, Kind, Moment};

/// Bytes that may wait for the writer, whatever their number.
pub const QUEUED_BYTES_MAX: usize = 32 << 20;
/// Buffers larger than this are not kept for the next message.
const BUFFER_KEPT_BYTES: usize = 4 << 10;

/// Counters of dnstap.
#[derive(Clone, Debug)]
pub(crate) struct TapMetrics {
    pub(crate) written: IntCounter,
    pub(crate) dropped: IntCounter,
    pub(crate) failures: IntCounter,
    pub(crate) connected: IntGauge,
}

impl TapMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Result<Self, MetricError> {
        let room = metrics.room("dns")?;
        Ok(Self {
            written: room.counter("dnstap_frames", Unit::Count, "dnstap frames written")?,
            dropped: room.counter(
                "dnstap_dropped",
                Unit::Count,
                "dnstap frames that found no room or whose reader went away",
            )?,
            failures: room.counter(
                "dnstap_failures",
                Unit::Count,
                "Times that the dnstap output could not be opened or broke",
            )?,
            connected: room.int_gauge(
                "dnstap_connected",
                Unit::Count,
                "1 while the dnstap output is open",
            )?,
        })
    }
}

/// What the packet path and the writer share.
#[derive(Debug)]
struct Shared {
    /// Frames to be written.
    full: ArrayQueue<Vec<u8>>,
    /// Buffers to be filled again.
    free: ArrayQueue<Vec<u8>>,
    queued_bytes: AtomicUsize,
    stop: AtomicBool,
    metrics: TapMetrics,
}

/// The packet path's end, and the owner of the writer's thread.
#[derive(Debug)]
pub struct Tap {
    shared: Arc<Shared>,
    encoder: Encoder,
    sample_rate: SampleRate,
    queries: bool,
    responses: bool,
    writer: Option<JoinHandle<()>>,
}

/// One query as dnstap sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tapped<'a> {
    pub(crate) query: &'a [u8],
    /// `None` when nothing was answered.
    pub(crate) response: Option<&'a [u8]>,
    pub(crate) source: SocketAddr,
    pub(crate) transport: Transport,
}

impl Tap {
    /// Starts the writer. Whether its output can be opened shows in the metrics and the log: a reader
    /// may come later.
    ///
    /// # Errors
    /// The system's, when there is no thread to be had; [`MetricError`] as text when a metric's name
    /// is taken.
    pub fn start(config: &DnstapConfig, metrics: &Metrics) -> std::io::Result<Self> {
        let metrics = TapMetrics::register(metrics).map_err(std::io::Error::other)?;
        let shared = Arc::new(Shared {
            full: ArrayQueue::new(config.queue),
            free: ArrayQueue::new(config.queue),
            queued_bytes: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            metrics,
        });
        let writer = writer::Writer::new(Arc::clone(&shared), config.to.clone());
        let writer = std::thread::Builder::new()
            .name("dnstap".into())
            .spawn(move || writer.run())?;
        Ok(Self {
            shared,
            encoder: Encoder::new(config.identity.as_bytes()),
            sample_rate: config.sample_rate,
            queries: config.queries,
            responses: config.responses,
            writer: Some(writer),
        })
    }

    /// Hands a query and its response over, if they are in the sample. Never blocks.
    pub(crate) fn offer(&self, tapped: &Tapped<'_>) {
        // Id and port are the client's fresh choice for each query: no state is needed to sample.
        let id = tapped
            .query
            .first_chunk()
            .map_or(0, |id| u16::from_be_bytes(*id));
        let draw = u64::from(id) << 16 | u64::from(tapped.source.port());
        if !self.sample_rate.takes(draw) {
            return;
        }
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let moment = Moment {
            seconds: now.as_secs(),
            nanos: now.subsec_nanos(),
        };
        if self.queries {
            self.push(Kind::AuthQuery, tapped.query, tapped, moment);
        }
        if self.responses
            && let Some(response) = tapped.response
        {
            self.push(Kind::AuthResponse, response, tapped, moment);
        }
    }

    fn push(&self, kind: Kind, dns: &[u8], tapped: &Tapped<'_>, moment: Moment) {
        let shared = &self.shared;
        if shared.queued_bytes.load(Ordering::Relaxed) > QUEUED_BYTES_MAX {
            shared.metrics.dropped.inc();
            return;
        }
        let mut buffer = shared.free.pop().unwrap_or_default();
        buffer.clear();
        self.encoder.encode(
            &mut buffer,
            kind,
            dns,
            tapped.source,
            tapped.transport,
            moment,
        );
        let bytes = buffer.len();
        shared.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        if shared.full.push(buffer).is_err() {
            shared.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            shared.metrics.dropped.inc();
        }
    }
}

impl Shared {
    /// Gives a written frame's buffer back.
    fn recycle(&self, frame: Vec<u8>) {
        self.queued_bytes.fetch_sub(frame.len(), Ordering::Relaxed);
        if frame.capacity() <= BUFFER_KEPT_BYTES {
            // A full ring of free buffers has enough of them.
            let _enough = self.free.push(frame);
        }
    }
}

impl Drop for Tap {
    /// What waits is written, within the writer's own bounds.
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(writer) = self.writer.take() {
            writer.thread().unpark();
            // A writer that panicked has said so already.
            let _panicked = writer.join();
        }
    }
}

#[cfg(test)]
mod tests;
