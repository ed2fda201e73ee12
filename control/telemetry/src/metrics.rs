//! The metrics of one process.
//!
//! A [`Metrics`] is a Prometheus registry plus a table of what was registered under each name.
//! Every name is built, never given: `meridian_<room>_<what>_<unit>[_total]`, so the contract
//! holds by construction. Asking twice for the same metric gives the same one (two listeners of a
//! room share their counters); asking for it with another shape is an error.
//!
//! Limits: at most [`METRICS_MAX`] names. Label *values* must come from configuration or code,
//! never from clients; names that only a client could fill are refused ([`CLIENT_CHOSEN_LABELS`]).

mod name;
mod room;
mod sparse;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

pub use name::{CLIENT_CHOSEN_LABELS, NAME_PART_BYTES_MAX, Unit};
use prometheus::Registry;
use prometheus::core::Collector;
pub use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
};
pub use room::Room;
pub use sparse::{CounterRow, SparseCounters};

/// Most metric names one process may register. Reached only by a bug that invents names.
pub const METRICS_MAX: usize = 1_024;

/// Bucket bounds in seconds for work on the data path: 50 µs to 10 s.
pub const LATENCY_SECONDS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 5.0, 10.0,
];

/// Bucket bounds for ratios between 0 and 1.
pub const RATIO: &[f64] = &[0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0];

/// Bucket bounds in bytes: 64 B to 64 MiB in steps of four.
pub const SIZE_BYTES: &[f64] = &[
    64.0,
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// Why a metric could not be registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetricError {
    /// A room or a `what` that is not lower-case words joined by underscores.
    #[error(
        "`{part}` cannot be part of a metric name: use lower-case letters, digits and single underscores, at most {NAME_PART_BYTES_MAX} bytes, starting with a letter"
    )]
    BadName {
        /// The offending part.
        part: String,
    },
    /// The `what` already ends in a unit or in `total`, which the registry appends itself.
    #[error("`{what}` ends in `{suffix}`: give the unit as a `Unit`, the suffix is appended")]
    SuffixGiven {
        /// The name as given.
        what: String,
        /// The suffix that must not be there.
        suffix: &'static str,
    },
    /// A label whose values clients would choose, so that they could exhaust memory.
    #[error("label `{label}` of `{name}` would hold values that clients choose")]
    ClientChosenLabel {
        /// Full name of the metric.
        name: String,
        /// The refused label.
        label: String,
    },
    /// The name exists with another kind, other labels or other buckets.
    #[error("`{name}` is already registered as {existing}, not as {wanted}")]
    Conflict {
        /// Full name of the metric.
        name: String,
        /// Shape of the registered metric.
        existing: String,
        /// Shape that was asked for.
        wanted: String,
    },
    /// More than [`METRICS_MAX`] names.
    #[error("`{name}` would be metric number {} of at most {METRICS_MAX}", METRICS_MAX + 1)]
    TooMany {
        /// Full name of the metric.
        name: String,
    },
    /// The Prometheus library refused it (for example a bad label name or unsorted buckets).
    #[error("`{name}` was refused: {reason}")]
    Refused {
        /// Full name of the metric.
        name: String,
        /// The library's reason.
        reason: String,
    },
}

/// What runs: shown as `meridian_telemetry_build_info` and by the admin API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct BuildInfo {
    /// Version of the package, such as `0.1.0`.
    pub version: &'static str,
    /// Commit it was built from, or `unknown`.
    pub commit: &'static str,
}

impl BuildInfo {
    /// This workspace's version and the commit named by `MERIDIAN_COMMIT` at build time.
    #[must_use]
    pub const fn current() -> Self {
        let commit = match option_env!("MERIDIAN_COMMIT") {
            Some(commit) => commit,
            None => "unknown",
        };
        Self {
            version: env!("CARGO_PKG_VERSION"),
            commit,
        }
    }
}

/// A registered metric, kept so that a second request returns the same one.
#[derive(Clone)]
enum Registered {
    Counter(IntCounter),
    CounterVec(IntCounterVec),
    Gauge(Gauge),
    GaugeVec(GaugeVec),
    IntGauge(IntGauge),
    IntGaugeVec(IntGaugeVec),
    Histogram(Histogram),
    HistogramVec(HistogramVec),
    SparseCounters(SparseCounters),
}

struct Entry {
    shape: String,
    metric: Registered,
}

struct Inner {
    registry: Registry,
    by_name: Mutex<BTreeMap<String, Entry>>,
}

/// The metrics of one process (see the module's documentation). Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics")
            .field("names", &self.names().len())
            .finish()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// An empty registry: nothing is global, every test and every node has its own.
    #[must_use]
    pub fn new() -> Self {
        Self {
            inner: Arc::new(Inner {
                registry: Registry::new(),
                by_name: Mutex::new(BTreeMap::new()),
            }),
        }
    }

    /// A registry that already shows what was built and when it started (seconds since 1970).
    ///
    /// # Errors
    /// Never for a fresh registry in practice; the signature keeps registration uniform.
    pub fn with_build_info(
        build: BuildInfo,
        started_unix_seconds: f64,
    ) -> Result<Self, MetricError> {
        let metrics = Self::new();
        let room = metrics.room("telemetry")?;
        room.int_gauge_vec(
            "build",
            Unit::Info,
            "What runs, as labels; always 1",
            &["version", "commit"],
        )?
        .with_label_values(&[build.version, build.commit])
        .set(1);
        room.gauge(
            "start_time",
            Unit::Seconds,
            "When this process started, in seconds since 1970",
        )?
        .set(started_unix_seconds);
        Ok(metrics)
    }

    /// The part of the registry that belongs to one room, such as `dns`, `http` or `probe`.
    ///
    /// # Errors
    /// [`MetricError::BadName`] if `room` is not a lower-case word.
    pub fn room(&self, room: &'static str) -> Result<Room, MetricError> {
        name::check_part(room)?;
        Ok(Room::new(self.clone(), room))
    }

    /// Everything in Prometheus' text format (`text/plain; version=0.0.4`), families by name.
    ///
    /// # Errors
    /// [`MetricError::Refused`] if the library cannot encode a family.
    pub fn render(&self) -> Result<String, MetricError> {
        prometheus::TextEncoder::new()
            .encode_to_string(&self.inner.registry.gather())
            .map_err(|error| MetricError::Refused {
                name: "metrics".into(),
                reason: error.to_string(),
            })
    }

    /// The names registered so far, sorted: what the documentation lists.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.table().keys().cloned().collect()
    }

    // A poisoned table is still whole: entries are inserted in one step.
    fn table(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Entry>> {
        self.inner
            .by_name
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the metric registered under `name` with this shape, or makes and registers it.
    fn get_or_register<M: Collector + Clone + 'static>(
        &self,
        name: &str,
        shape: String,
        make: impl FnOnce() -> prometheus::Result<M>,
        wrap: impl FnOnce(M) -> Registered,
    ) -> Result<Registered, MetricError> {
        let mut table = self.table();
        if let Some(entry) = table.get(name) {
            if entry.shape == shape {
                return Ok(entry.metric.clone());
            }
            return Err(MetricError::Conflict {
                name: name.into(),
                existing: entry.shape.clone(),
                wanted: shape,
            });
        }
        if table.len() >= METRICS_MAX {
            return Err(MetricError::TooMany { name: name.into() });
        }
        let refused = |error: prometheus::Error| MetricError::Refused {
            name: name.into(),
            reason: error.to_string(),
        };
        let metric = make().map_err(refused)?;
        self.inner
            .registry
            .register(Box::new(metric.clone()))
            .map_err(refused)?;
        let metric = wrap(metric);
        table.insert(
            name.into(),
            Entry {
                shape,
                metric: metric.clone(),
            },
        );
        Ok(metric)
    }
}
