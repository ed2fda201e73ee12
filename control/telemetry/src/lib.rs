//! meridian-telemetry: metrics, traces, access and decision logs, one schema.
//!
//! Four things live here, each with one entry point:
//!
//! * [`Metrics`]: the Prometheus registry. Names are checked when a metric is registered, so
//!   `/metrics` cannot show a name that breaks the contract.
//! * [`logging::init`]: `tracing` to stderr as text or JSON.
//! * [`AccessLog`]: one JSON line per request or connection, for people and log pipelines.
//! * [`DecisionLog`]: a sample of routing decisions as Arrow files, for the models.
//!
//! Invariant: nothing here may slow the data path. Both logs hand a record to a bounded channel
//! and count what does not fit; files are written by a thread of their own.

pub mod access;
pub mod decision;
pub mod logging;
pub mod metrics;

pub use access::{AccessLog, AccessLogConfig, AccessRecord};
pub use decision::{Decision, DecisionId, DecisionLog, DecisionLogConfig, Surface, read_decisions};
pub use metrics::{MetricError, Metrics, Room, Unit};
