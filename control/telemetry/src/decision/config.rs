//! What an operator may say about the decision log.

use std::path::PathBuf;

use meridian_topology::Millis;
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::SampleRate;
use super::log::DecisionLogError;

/// Most rows of one file, and so most rows in memory: about 6 MB.
pub const ROWS_PER_FILE_MAX: usize = 1 << 16;

/// Longest a row may wait in memory for its file.
pub const AGE_PER_FILE_MAX: Millis = Millis(86_400_000);

/// Longest channel an operator may ask for: about 150 bytes a place.
pub const QUEUE_MAX: usize = 1 << 18;

/// Most files an operator may ask to keep.
pub const FILES_MAX: usize = 10_000;

/// Where decisions go, how many, and for how long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DecisionLogConfig {
    /// Directory of the files; without one no decision is logged.
    pub directory: Option<PathBuf>,
    /// Share of decisions that are logged, 0 to 1. Default: 0.01.
    pub sample_rate: f32,
    /// A file is closed at this many rows: 1 to 65536. Default: 65536.
    pub rows_per_file: usize,
    /// A file is closed when its first row is this old: up to `"1d"`. Default: `"5m"`.
    #[serde(serialize_with = "as_text", deserialize_with = "from_text")]
    #[schemars(with = "String")]
    pub age_per_file: Millis,
    /// How many files are kept: 1 to 10000. Default: 256.
    pub max_files: usize,
    /// How many decisions may wait for the writer before new ones are dropped. Default: 16384.
    pub queue: usize,
}

impl Default for DecisionLogConfig {
    fn default() -> Self {
        Self {
            directory: None,
            sample_rate: 0.01,
            rows_per_file: ROWS_PER_FILE_MAX,
            age_per_file: Millis(300_000),
            max_files: 256,
            queue: 16_384,
        }
    }
}

impl DecisionLogConfig {
    /// Checks every limit and returns the rate.
    pub(super) fn check(&self) -> Result<SampleRate, DecisionLogError> {
        let limits = [
            (
                "rows_per_file",
                self.rows_per_file as u64,
                ROWS_PER_FILE_MAX as u64,
            ),
            ("age_per_file", self.age_per_file.0, AGE_PER_FILE_MAX.0),
            ("max_files", self.max_files as u64, FILES_MAX as u64),
            ("queue", self.queue as u64, QUEUE_MAX as u64),
        ];
        for (field, value, max) in limits {
            if !(1..=max).contains(&value) {
                return Err(DecisionLogError::OutOfRange { field, value, max });
            }
        }
        SampleRate::new(self.sample_rate).ok_or(DecisionLogError::BadSampleRate(self.sample_rate))
    }
}

/// Durations carry their unit: `"30s"`, `"5m"`.
fn from_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Millis, D::Error> {
    String::deserialize(deserializer)?
        .parse()
        .map_err(D::Error::custom)
}

fn as_text<S: Serializer>(value: &Millis, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
