//! The decision log: a sample of what was decided and how it turned out.
//!
//! This is what models learn from and what off-policy evaluation needs, so each row carries the
//! propensity of the pick and the rate at which rows were sampled. Rows wait in memory and are
//! written as Arrow IPC *files*, one record batch each; a file appears under its
//! final name only when it is complete ([`DecisionLog`]).
//!
//! **Sampling** is a pure function of the decision's id: an id is kept when
//! `mix(id xor SALT) < rate × 2⁶⁴` ([`SampleRate::keeps`]). Every room and every node agrees on
//! whether a decision is sampled, nothing is shared between threads to find out, and raising the
//! rate keeps every id that a lower one kept.

mod config;
mod files;
mod log;
mod schema;
#[cfg(test)]
mod tests;
mod writer;

use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use meridian_topology::{EndpointId, RegionId, ServiceId};
use serde::{Deserialize, Serialize, Serializer};

pub use config::{DecisionLogConfig, ROWS_PER_FILE_MAX};
pub use files::decision_files;
pub use log::{DecisionLog, DecisionLogError, Offered};
pub use schema::{FORMAT_VERSION, ReadError, read_decisions};

/// Names one decision across logs, traces and `explain`. In text and JSON it is 16 hexadecimal
/// digits, because JSON readers round numbers beyond 2⁵³.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DecisionId(pub u64);

impl Serialize for DecisionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl std::fmt::Display for DecisionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Hands out ids: a counter run through a bijection, so they never repeat within 2⁶⁴ and
/// generators with different seeds are unlikely to meet.
#[derive(Debug)]
pub struct DecisionIds {
    seed: u64,
    count: AtomicU64,
}

impl DecisionIds {
    /// Ids of one process (or one worker) for one seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self {
            seed,
            count: AtomicU64::new(0),
        }
    }

    /// The next id.
    pub fn next_id(&self) -> DecisionId {
        let n = self.count.fetch_add(1, Ordering::Relaxed);
        DecisionId(mix(mix(self.seed).wrapping_add(n)))
    }
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood 2014): a bijection whose outputs look
/// independent of their inputs.
const fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Keeps the choice of samples independent of how ids are made.
const SAMPLE_SALT: u64 = 0x6d65_7269_6469_616e;

/// Share of decisions that are logged: 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct SampleRate(f32);

impl SampleRate {
    /// Every decision.
    pub const ALL: Self = Self(1.0);

    /// `None` unless `rate` lies in 0..=1.
    #[must_use]
    pub fn new(rate: f32) -> Option<Self> {
        (0.0..=1.0).contains(&rate).then_some(Self(rate))
    }

    /// The rate as a number.
    #[must_use]
    pub const fn get(self) -> f32 {
        self.0
    }

    /// Whether this decision is in the sample (see the module's documentation).
    #[must_use]
    pub fn keeps(self, id: DecisionId) -> bool {
        // 2^53 steps: what an f64 holds exactly.
        const STEPS: f64 = (1_u64 << 53) as f64;
        ((mix(id.0 ^ SAMPLE_SALT) >> 11) as f64) < f64::from(self.0) * STEPS
    }
}

/// Where a decision was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Surface {
    /// A DNS answer.
    Dns,
    /// A proxied request.
    Http,
    /// A proxied connection or flow.
    Stream,
}

impl Surface {
    /// The name used in files and labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Http => "http",
            Self::Stream => "stream",
        }
    }
}

/// A text that names no surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a surface: dns, http or stream")]
pub struct UnknownSurface;

impl FromStr for Surface {
    type Err = UnknownSurface;

    fn from_str(name: &str) -> Result<Self, UnknownSurface> {
        let all = [Self::Dns, Self::Http, Self::Stream];
        all.into_iter()
            .find(|surface| surface.as_str() == name)
            .ok_or(UnknownSurface)
    }
}

/// One decision and, where it is known, its outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// When it was made, microseconds since 1970.
    pub at_unix_us: u64,
    /// Its id.
    pub decision_id: DecisionId,
    /// Who asked.
    pub surface: Surface,
    /// For which service.
    pub service: ServiceId,
    /// For which class of clients: the engine's `ClassId`, valid within `plan_generation`.
    pub class: u32,
    /// By which plan.
    pub plan_generation: u64,
    /// What was picked; `None` when the policy left nobody.
    pub endpoint: Option<EndpointId>,
    /// Where that is.
    pub region: Option<RegionId>,
    /// Probability with which the plan picks this endpoint for this class, over all client keys.
    pub propensity: f32,
    /// Time to the first byte from the endpoint, microseconds; `None` where nobody can see it.
    pub latency_us: Option<u32>,
    /// Status of the answer: HTTP status; for streams 0 is connected and 1 failed; `None` for DNS.
    pub status: Option<u16>,
    /// Share of decisions that were logged when this one was: weight rows by its inverse.
    pub sample_rate: SampleRate,
}
