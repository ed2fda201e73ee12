//! The access log: one JSON object a line, one schema for HTTP requests and streams.
//!
//! [`AccessLog::record`] puts an [`AccessRecord`] into a channel of [`AccessLogConfig::queue`]
//! places and returns; a full channel drops the record and counts it. One thread owns the file
//! ([`RotatingFile`]), turns records into lines and writes them whenever it has caught up with the
//! channel, so a quiet node's log is current and a busy one's writes are large.
//!
//! Limits: [`FIELD_BYTES_MAX`] bytes of each text a client chose, the channel's length, and
//! `max_files` files of `max_bytes` each.

mod record;
mod rotating;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::metrics::{IntCounter, MetricError, Metrics, Unit};
pub use record::{
    AccessRecord, FIELD_BYTES_MAX, HttpDetails, Outcome, StreamDetails, StreamTransport,
};
pub use rotating::{FILES_MAX, RotatingFile};

/// Where and how much.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AccessLogConfig {
    /// `off`, `stdout`, or `file: PATH`. Default: `off`.
    pub to: AccessTarget,
    /// A file is rotated before it would exceed this many bytes. Default: 104857600 (100 MiB).
    pub max_bytes: u64,
    /// How many files are kept, the current one included: 1 to 100. Default: 8.
    pub max_files: usize,
    /// How many records may wait for the writer before new ones are dropped. Default: 8192.
    pub queue: usize,
}

impl Default for AccessLogConfig {
    fn default() -> Self {
        Self {
            to: AccessTarget::Off,
            max_bytes: 100 << 20,
            max_files: 8,
            queue: 8_192,
        }
    }
}

/// Where access records go.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccessTarget {
    /// Nowhere; recording costs one comparison.
    #[default]
    Off,
    /// The process's standard output; never rotated.
    Stdout,
    /// A file, rotated by size to `PATH.1`, `PATH.2`, ….
    File(PathBuf),
}

/// Why the access log could not start.
#[derive(Debug, thiserror::Error)]
pub enum AccessLogError {
    /// A limit that is zero or beyond its bound.
    #[error("access log: `{field}` is {value}, allowed is {allowed}")]
    OutOfRange {
        /// The configuration key.
        field: &'static str,
        /// What was given.
        value: u64,
        /// What is allowed.
        allowed: &'static str,
    },
    /// The file cannot be opened for appending.
    #[error("access log: cannot open {path}")]
    Open {
        /// The configured path.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The writer thread cannot be started.
    #[error("access log: cannot start the writer thread")]
    Thread(#[source] io::Error),
    /// A metric could not be registered.
    #[error(transparent)]
    Metric(#[from] MetricError),
}

/// What the writer thread is asked to do.
enum Command {
    Record(Box<AccessRecord>),
    Reopen,
    Flush(SyncSender<()>),
    Stop,
}

struct Running {
    commands: SyncSender<Command>,
    dropped: IntCounter,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// The access log of one process (see the module's documentation). Cheap to clone.
#[derive(Clone, Default)]
pub struct AccessLog {
    running: Option<Arc<Running>>,
}

impl std::fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessLog")
            .field("on", &self.is_on())
            .finish()
    }
}

impl AccessLog {
    /// A log that keeps nothing.
    #[must_use]
    pub fn off() -> Self {
        Self::default()
    }

    /// Opens the target and starts the writer.
    ///
    /// # Errors
    /// [`AccessLogError`].
    pub fn start(config: &AccessLogConfig, metrics: &Metrics) -> Result<Self, AccessLogError> {
        check(config)?;
        let sink = match &config.to {
            AccessTarget::Off => return Ok(Self::off()),
            AccessTarget::Stdout => Sink::Stdout(io::stdout()),
            AccessTarget::File(path) => Sink::File(
                RotatingFile::open(path.clone(), config.max_bytes, config.max_files).map_err(
                    |source| AccessLogError::Open {
                        path: path.clone(),
                        source,
                    },
                )?,
            ),
        };
        let room = metrics.room("telemetry")?;
        let dropped = room.counter(
            "access_records_dropped",
            Unit::Count,
            "Access records lost because the writer was behind",
        )?;
        let writer = Writer {
            sink,
            line: Vec::with_capacity(BATCH_BYTES),
            written: room.counter(
                "access_records_written",
                Unit::Count,
                "Access records handed to the system",
            )?,
            failed: room.counter(
                "access_write_errors",
                Unit::Count,
                "Writes or rotations of the access log that failed",
            )?,
        };
        let (commands, inbox) = sync_channel(config.queue);
        let handle = std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || writer.run(&inbox))
            .map_err(AccessLogError::Thread)?;
        Ok(Self {
            running: Some(Arc::new(Running {
                commands,
                dropped,
                writer: Mutex::new(Some(handle)),
            })),
        })
    }

    /// Whether records are kept. Ask before building one.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.running.is_some()
    }

    /// Queues a record, or drops and counts it. Never blocks.
    pub fn record(&self, record: AccessRecord) {
        let Some(running) = &self.running else { return };
        let queued = running.commands.try_send(Command::Record(Box::new(record)));
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = queued {
            running.dropped.inc();
        }
    }

    /// Closes and opens the file again under its name: for an outside rotation tool. Blocks until
    /// there is room in the channel.
    pub fn reopen(&self) {
        if let Some(running) = &self.running {
            // A writer that is gone has nothing to reopen.
            let _ = running.commands.send(Command::Reopen);
        }
    }

    /// Returns once everything recorded before is with the system. Blocks: not for the data path.
    pub fn flush(&self) {
        let Some(running) = &self.running else { return };
        let (done, wait) = sync_channel(1);
        if running.commands.send(Command::Flush(done)).is_ok() {
            // An error means that the writer stopped, and it flushes when it does.
            let _ = wait.recv();
        }
    }

    /// Writes what is queued and stops the writer. Later records are dropped and counted.
    pub fn shutdown(&self) {
        if let Some(running) = &self.running {
            running.stop();
        }
    }
}

impl Running {
    fn stop(&self) {
        let handle = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(handle) = handle {
            // Fails only if the writer is gone, and then the join returns at once.
            let _ = self.commands.send(Command::Stop);
            if handle.join().is_err() {
                tracing::error!("the access log's writer panicked");
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

fn check(config: &AccessLogConfig) -> Result<(), AccessLogError> {
    let out_of_range = |field, value, allowed| AccessLogError::OutOfRange {
        field,
        value,
        allowed,
    };
    if config.max_bytes < 4_096 {
        return Err(out_of_range("max_bytes", config.max_bytes, "4096 or more"));
    }
    if !(1..=FILES_MAX).contains(&config.max_files) {
        return Err(out_of_range(
            "max_files",
            config.max_files as u64,
            "1 to 100",
        ));
    }
    if !(1..=QUEUE_MAX).contains(&config.queue) {
        return Err(out_of_range("queue", config.queue as u64, "1 to 1048576"));
    }
    Ok(())
}

/// Longest channel an operator may ask for.
pub const QUEUE_MAX: usize = 1 << 20;

/// The writer hands lines to the system at this size, or earlier when the channel is empty.
const BATCH_BYTES: usize = 64 << 10;

enum Sink {
    Stdout(io::Stdout),
    File(RotatingFile),
}

struct Writer {
    sink: Sink,
    line: Vec<u8>,
    written: IntCounter,
    failed: IntCounter,
}

impl Writer {
    fn run(mut self, inbox: &Receiver<Command>) {
        let mut waiting = 0;
        loop {
            let command = match inbox.try_recv() {
                Ok(command) => command,
                Err(TryRecvError::Empty) => {
                    self.write_out(&mut waiting);
                    match inbox.recv() {
                        Ok(command) => command,
                        Err(_) => return,
                    }
                }
                Err(TryRecvError::Disconnected) => return self.write_out(&mut waiting),
            };
            match command {
                Command::Record(record) => {
                    record.append_line(&mut self.line);
                    waiting += 1;
                    if self.line.len() >= BATCH_BYTES {
                        self.write_out(&mut waiting);
                    }
                }
                Command::Reopen => {
                    self.write_out(&mut waiting);
                    self.reopen();
                }
                Command::Flush(done) => {
                    self.write_out(&mut waiting);
                    // The asker may have gone away; nothing is lost by that.
                    let _ = done.send(());
                }
                Command::Stop => return self.write_out(&mut waiting),
            }
        }
    }

    fn write_out(&mut self, waiting: &mut u64) {
        if self.line.is_empty() {
            return;
        }
        let result = match &mut self.sink {
            Sink::Stdout(out) => out.write_all(&self.line).and_then(|()| out.flush()),
            Sink::File(file) => file.write_lines(&self.line),
        };
        match result {
            Ok(()) => self.written.inc_by(*waiting),
            Err(error) => self.report("write", &error),
        }
        self.line.clear();
        *waiting = 0;
    }

    fn reopen(&mut self) {
        if let Sink::File(file) = &mut self.sink
            && let Err(error) = file.reopen()
        {
            self.report("reopen", &error);
        }
    }

    fn report(&self, what: &str, error: &io::Error) {
        self.failed.inc();
        tracing::warn!(%error, "access log: cannot {what}");
    }
}
