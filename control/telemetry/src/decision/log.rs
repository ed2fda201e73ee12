//! The side of the decision log that the data path sees.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::config::DecisionLogConfig;
use super::files::DecisionDirectory;
use super::writer::{Command, Counters, Writer};
use super::{Decision, DecisionId, SampleRate};
use crate::metrics::{IntCounter, MetricError, Metrics, Unit};

/// Why the decision log could not start.
#[derive(Debug, thiserror::Error)]
pub enum DecisionLogError {
    /// A limit that is zero or beyond its bound.
    #[error("decision log: `{field}` is {value}, allowed is 1 to {max}")]
    OutOfRange {
        /// The configuration key.
        field: &'static str,
        /// What was given.
        value: u64,
        /// Its upper bound.
        max: u64,
    },
    /// A rate outside 0 to 1.
    #[error("decision log: `sample_rate` is {0}, allowed is 0 to 1")]
    BadSampleRate(f32),
    /// The directory cannot be made, read or cleaned.
    #[error("decision log: cannot use directory {path}")]
    Directory {
        /// The configured path.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The writer thread cannot be started.
    #[error("decision log: cannot start the writer thread")]
    Thread(#[source] io::Error),
    /// A metric could not be registered.
    #[error(transparent)]
    Metric(#[from] MetricError),
}

/// What became of an offered decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "only tests and benchmarks care; write `let _ =`"]
pub enum Offered {
    /// It will be in a file.
    Queued,
    /// The writer is behind; counted.
    Dropped,
    /// There is no log.
    Off,
}

struct Running {
    rate: SampleRate,
    commands: SyncSender<Command>,
    dropped: IntCounter,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// The decision log of one process. Cheap to clone.
///
/// ```
/// # use meridian_telemetry::{DecisionId, DecisionLog};
/// let log = DecisionLog::off();
/// if let Some(sample_rate) = log.sample(DecisionId(7)) {
///     // build the `Decision` with `sample_rate` and `log.offer(decision)` it
/// #   let _ = sample_rate;
/// }
/// ```
#[derive(Clone, Default)]
pub struct DecisionLog {
    running: Option<Arc<Running>>,
}

impl std::fmt::Debug for DecisionLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DecisionLog")
            .field("on", &self.running.is_some())
            .finish()
    }
}

impl DecisionLog {
    /// A log that keeps nothing.
    #[must_use]
    pub fn off() -> Self {
        Self::default()
    }

    /// Opens the directory, removes what a crash left half written, and starts the writer.
    ///
    /// # Errors
    /// [`DecisionLogError`].
    pub fn start(config: &DecisionLogConfig, metrics: &Metrics) -> Result<Self, DecisionLogError> {
        let rate = config.check()?;
        let Some(path) = &config.directory else {
            return Ok(Self::off());
        };
        let directory =
            DecisionDirectory::open(path.clone(), config.max_files).map_err(|source| {
                DecisionLogError::Directory {
                    path: path.clone(),
                    source,
                }
            })?;
        let room = metrics.room("telemetry")?;
        let counters = Counters {
            rows: room.counter(
                "decisions_written",
                Unit::Count,
                "Decisions in finished files",
            )?,
            lost: room.counter(
                "decisions_lost",
                Unit::Count,
                "Decisions lost because their file could not be written",
            )?,
            files: room.counter(
                "decision_files_written",
                Unit::Count,
                "Decision files finished",
            )?,
            errors: room.counter(
                "decision_write_errors",
                Unit::Count,
                "Decision files that could not be written or removed",
            )?,
        };
        let dropped = room.counter(
            "decisions_dropped",
            Unit::Count,
            "Sampled decisions lost because the writer was behind",
        )?;
        let age_max = config.age_per_file.as_duration();
        let writer = Writer::new(directory, config.rows_per_file, age_max, counters);
        let (commands, inbox) = sync_channel(config.queue);
        let handle = std::thread::Builder::new()
            .name("decision-log".into())
            .spawn(move || writer.run(&inbox))
            .map_err(DecisionLogError::Thread)?;
        let writer = Mutex::new(Some(handle));
        Ok(Self {
            running: Some(Arc::new(Running {
                rate,
                commands,
                dropped,
                writer,
            })),
        })
    }

    /// Whether anything is logged at all: without a log no decision needs an id.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.running.is_some()
    }

    /// Whether this decision is to be logged, and at which rate. `None`: do not build the record.
    #[must_use]
    pub fn sample(&self, id: DecisionId) -> Option<SampleRate> {
        let running = self.running.as_ref()?;
        running.rate.keeps(id).then_some(running.rate)
    }

    /// Queues a decision that [`DecisionLog::sample`] chose. Never blocks and never allocates: the
    /// channel's places exist from the start.
    pub fn offer(&self, decision: Decision) -> Offered {
        let Some(running) = &self.running else {
            return Offered::Off;
        };
        match running.commands.try_send(Command::Row(decision)) {
            Ok(()) => Offered::Queued,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                running.dropped.inc();
                Offered::Dropped
            }
        }
    }

    /// Closes the current file, whatever its age, and returns when it is there. Blocks: not for
    /// the data path.
    pub fn flush(&self) {
        let Some(running) = &self.running else { return };
        let (done, wait) = sync_channel(1);
        if running.commands.send(Command::Flush(done)).is_ok() {
            // An error means that the writer stopped, and it flushes when it does.
            let _ = wait.recv();
        }
    }

    /// Writes what is queued and stops the writer. Later decisions are dropped and counted.
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
                tracing::error!("the decision log's writer panicked");
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}
