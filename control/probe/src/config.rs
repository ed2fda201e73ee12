//! What an operator may say about probing as a whole; each check has its own settings.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// The first probes of new checks are spread over this many milliseconds, or over the check's
    /// interval if that is shorter. Default: 1000.
    pub start_spread_ms: u64,
    /// Seed of jitter and spread; equal seeds give equal schedules. Nodes should differ. Default: 0.
    pub seed: u64,
}

impl ProbeConfig {
    pub(crate) const fn start_spread(&self) -> Duration {
        Duration::from_millis(self.start_spread_ms)
    }
}

impl Default for ProbeConfig {
    fn default() -> Self {
        Self {
            max_concurrent: 256,
            exec_checks: ExecChecks::Refuse,
            ca_file: None,
            start_spread_ms: 1_000,
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
