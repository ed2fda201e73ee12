//! What an operator may say about probing as a whole; each check has its own settings.

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use meridian_topology::Millis;
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Most probes that may be configured to run at a time: each may hold a file descriptor.
pub const CONCURRENT_MAX: usize = 16_384;

/// Limits and rights of this node's probing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProbeConfig {
    /// How many probes may be under way at a time: 1 to 16384. Default: 256.
    pub max_concurrent: usize,
    /// Whether `exec` checks run programs on this node: `refuse` or `run`. Default: `refuse`.
    pub exec_checks: ExecChecks,
    /// PEM file with the authorities that HTTPS checks trust. Default: the system's.
    pub ca_file: Option<PathBuf>,
    /// The first probes of new checks are spread over this time, or over the check's interval if
    /// that is shorter. Default: `"1s"`.
    #[serde(serialize_with = "as_text", deserialize_with = "from_text")]
    #[schemars(with = "String")]
    pub start_spread: Millis,
    /// Seed of jitter and spread; equal seeds give equal schedules. Nodes should differ. Default: 0.
    pub seed: u64,
}

impl Default for ProbeConfig {
    fn default() -> Self {
        Self {
            max_concurrent: 256,
            exec_checks: ExecChecks::Refuse,
            ca_file: None,
            start_spread: Millis(1_000),
            seed: 0,
        }
    }
}

/// Whether checks may run programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExecChecks {
    /// They do not run; their endpoints stay `Unknown`, which counts as up.
    #[default]
    Refuse,
    /// They run as this process's user.
    Run,
}

/// Durations carry their unit: `"250ms"`, `"1s"`.
fn from_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Millis, D::Error> {
    String::deserialize(deserializer)?
        .parse()
        .map_err(D::Error::custom)
}

fn as_text<S: Serializer>(value: &Millis, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
