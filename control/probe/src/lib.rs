//! meridian-probe: active health checks → observations.
//!
//! One task owns every check: a [`table`](mod@table) of slots (pure, time is an argument), a queue
//! of due times, and the probes under way. Probes are short tasks of their own that only do I/O
//! and return what they saw, so nothing is shared and nothing is locked. What comes out is a
//! [`Transition`] per change of an endpoint's verdict, and a [`ProbeStatus`] per check to look at.
//!
//! **How a verdict is reached** ([`Hysteresis`]): an endpoint nobody has probed is `Unknown`, which
//! everybody treats as up. Its first success makes it `Up` at once; from `Unknown` or `Up` it takes
//! `fall` failures in a row to make it `Down`, and then `rise` successes in a row to bring it back.
//! An endpoint with several checks is down while any of them is.
//!
//! **How fast** ([`Schedule`]): probes start `interval` apart, spread by `jitter`. After a failure
//! that does not decide yet the next probe does not wait its turn: it starts a quarter of the
//! interval later (at least [`schedule::RECHECK_MIN`], at most [`schedule::RECHECK_MAX`]), so that
//! detection takes about `interval + (fall − 1) × interval / 4` and not `interval × fall`.
//!
//! **Bounds**: `max_concurrent` probes at a time (late starts are measured), one probe per check,
//! one waiting transition per endpoint, 16 KiB of an HTTP head, 4 KiB of a DNS answer.
//!
//! Left out on purpose: skipping certificate verification (a check that anybody can satisfy is
//! none), following redirects (the redirect is the answer), reading bodies.

mod check;
mod config;
pub mod hysteresis;
mod metrics;
mod outbox;
mod prober;
pub mod schedule;
mod status;
pub mod table;
mod target;
#[cfg(test)]
mod testing;

pub use check::{Failure, Phase, TrustError};
pub use config::{ExecChecks, ProbeConfig};
pub use hysteresis::{Hysteresis, Verdict};
pub use prober::{ProbeError, Prober, StatusReader};
pub use schedule::Schedule;
pub use status::{LastProbe, ProbeStatus};
pub use target::{Health, Target, Transition};
