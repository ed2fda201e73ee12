//! The thread behind dnstap: takes frames from the queue, opens the output, writes, tries again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Shared;
use super::config::DnstapTarget;
use super::frame::push_data;
use super::sink::Sink;

/// Pause of an idle writer: how long a frame may wait to be seen. The packet path wakes nobody, which
/// would be a system call.
const IDLE: Duration = Duration::from_millis(10);
/// Frames are written together up to this size.
const BATCH_BYTES: usize = 64 << 10;
/// Pause after the output failed, doubled each time up to [`RETRY_MAX`].
const RETRY_FIRST: Duration = Duration::from_millis(250);
/// Longest pause between two tries.
const RETRY_MAX: Duration = Duration::from_secs(10);

pub(super) struct Writer {
    shared: Arc<Shared>,
    target: DnstapTarget,
    batch: Vec<u8>,
    /// Frames in `batch`.
    frames: u64,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, target: DnstapTarget) -> Self {
        Self {
            shared,
            target,
            batch: Vec::with_capacity(BATCH_BYTES),
            frames: 0,
        }
    }

    /// Until the tap is dropped; what waits then is written if the output opens.
    pub(super) fn run(mut self) {
        let mut pause = RETRY_FIRST;
        let mut said = false;
        loop {
            match Sink::open(&self.target) {
                Ok(sink) => {
                    tracing::info!(target = ?self.target, "dnstap output is open");
                    self.shared.metrics.connected.set(1);
                    (pause, said) = (RETRY_FIRST, false);
                    let ended = self.serve(sink);
                    self.shared.metrics.connected.set(0);
                    let Err(error) = ended else { return };
                    tracing::warn!(%error, target = ?self.target, "dnstap output broke");
                    self.shared.metrics.failures.inc();
                }
                Err(error) => {
                    self.shared.metrics.failures.inc();
                    // Once: a reader that is not there would fill the log.
                    if !std::mem::replace(&mut said, true) {
                        tracing::warn!(%error, target = ?self.target, "dnstap output cannot be opened; trying on");
                    }
                }
            }
            self.wait(pause);
            if self.stopping() {
                return;
            }
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    /// Writes until the tap is dropped or the output fails.
    fn serve(&mut self, mut sink: Sink) -> std::io::Result<()> {
        loop {
            // Read before the queue: what was pushed before the order to stop is still written.
            let stopping = self.stopping();
            self.collect();
            if self.frames > 0 {
                self.flush(&mut sink)?;
            } else if stopping {
                sink.finish();
                return Ok(());
            } else {
                std::thread::park_timeout(IDLE);
            }
        }
    }

    /// Moves frames from the queue into the batch.
    fn collect(&mut self) {
        while self.batch.len() < BATCH_BYTES {
            let Some(frame) = self.shared.full.pop() else {
                return;
            };
            push_data(&mut self.batch, &frame);
            self.frames += 1;
            self.shared.recycle(frame);
        }
    }

    fn flush(&mut self, sink: &mut Sink) -> std::io::Result<()> {
        let written = sink.write(&self.batch);
        // What a reader got before it broke away is not known: all of the batch counts as lost.
        let counter = match &written {
            Ok(()) => &self.shared.metrics.written,
            Err(_) => &self.shared.metrics.dropped,
        };
        counter.inc_by(self.frames);
        self.batch.clear();
        self.frames = 0;
        written
    }

    /// Waits, unless the tap is dropped.
    fn wait(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while !self.stopping() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::park_timeout(left);
        }
    }

    fn stopping(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
    }
}
