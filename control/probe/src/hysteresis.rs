//! Rise and fall: when results become a verdict.
//!
//! ```text
//!            1 success                    fall failures in a row
//! Unknown ───────────────> Up <─────────────────────────────────────> Down
//!    └──────── fall failures in a row ────────────────────────────────^
//!                             rise successes in a row bring it back up
//! ```
//!
//! Pure: results and times come in, changes come out. The state is a verdict and the current run
//! of equal results; a run's length saturates, so it never wraps.

#[cfg(test)]
mod tests;

use std::time::Duration;

use meridian_topology::HealthCheck;
use serde::Serialize;
use tokio::time::Instant;

use crate::target::Health;

/// What is believed of a check's endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Not decided yet; treated as up.
    Unknown,
    /// Healthy.
    Up,
    /// Not healthy.
    Down,
}

/// What one probe saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The answer was as expected.
    Success,
    /// It was not, or there was none.
    Failure,
}

/// A verdict that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The new verdict.
    pub to: Health,
    /// From the start of the first probe of the deciding run to the end of the last.
    pub detection: Duration,
    /// How many results in a row decided it.
    pub results: u32,
}

/// The state of one check (see the module's documentation).
#[derive(Debug, Clone)]
pub struct Hysteresis {
    rise: u32,
    fall: u32,
    verdict: Verdict,
    run: Option<Run>,
}

#[derive(Debug, Clone, Copy)]
struct Run {
    outcome: Outcome,
    results: u32,
    began: Instant,
}

impl Hysteresis {
    /// Nothing is known yet. A threshold of 0 means 1.
    #[must_use]
    pub fn new(rise: u8, fall: u8) -> Self {
        Self::believing(Verdict::Unknown, rise, fall)
    }

    /// Starts from what an earlier check of the same endpoint found, so that editing a check does
    /// not send clients back to a dead endpoint.
    #[must_use]
    pub fn believing(verdict: Verdict, rise: u8, fall: u8) -> Self {
        Self {
            rise: u32::from(rise.max(1)),
            fall: u32::from(fall.max(1)),
            verdict,
            run: None,
        }
    }

    pub(crate) fn for_check(check: &HealthCheck, verdict: Verdict) -> Self {
        Self::believing(verdict, check.rise, check.fall)
    }

    /// The current verdict.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Equal results in a row, the latest included.
    #[must_use]
    pub fn consecutive(&self) -> u32 {
        self.run.map_or(0, |run| run.results)
    }

    /// Whether failures have begun that do not decide yet: worth looking again soon.
    #[must_use]
    pub fn is_suspicious(&self) -> bool {
        self.verdict != Verdict::Down && self.run.is_some_and(|run| run.outcome == Outcome::Failure)
    }

    /// Takes the result of a probe that ran from `began` to `ended`.
    pub fn observe(&mut self, outcome: Outcome, began: Instant, ended: Instant) -> Option<Change> {
        let run = match self.run {
            Some(run) if run.outcome == outcome => Run {
                results: run.results.saturating_add(1),
                ..run
            },
            _ => Run {
                outcome,
                results: 1,
                began,
            },
        };
        self.run = Some(run);
        let to = match (outcome, self.verdict) {
            (Outcome::Success, Verdict::Unknown) => Health::Up,
            (Outcome::Success, Verdict::Down) if run.results >= self.rise => Health::Up,
            (Outcome::Failure, Verdict::Unknown | Verdict::Up) if run.results >= self.fall => {
                Health::Down
            }
            _ => return None,
        };
        self.verdict = match to {
            Health::Up => Verdict::Up,
            Health::Down => Verdict::Down,
        };
        let detection = ended.saturating_duration_since(run.began);
        Some(Change {
            to,
            detection,
            results: run.results,
        })
    }
}
