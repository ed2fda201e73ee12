//! What an operator may say about dnstap.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::ConfigError;

/// Frames that may wait for the writer.
pub const QUEUE_RANGE: RangeInclusive<usize> = 16..=1_048_576;
/// Bytes of a file before it is rotated.
pub const FILE_BYTES_RANGE: RangeInclusive<u64> = 65_536..=1 << 40;
/// Files kept.
pub const FILES_RANGE: RangeInclusive<usize> = 1..=100;
/// Longest identity, in bytes.
pub const IDENTITY_BYTES_MAX: usize = 255;

/// Where queries and responses go as dnstap frames.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DnstapConfig {
    /// `unix: PATH`, `tcp: ADDRESS:PORT` or `file: { path: PATH }`.
    pub to: DnstapTarget,
    /// The node's name in every frame. Default: none.
    #[serde(default)]
    pub identity: String,
    /// Share of queries that are tapped, with their responses: 0 to 1. Default 1.
    #[serde(default)]
    #[schemars(with = "f64")]
    pub sample_rate: SampleRate,
    /// Whether queries are (`AUTH_QUERY`). Default `true`.
    #[serde(default = "yes")]
    pub queries: bool,
    /// Whether responses are (`AUTH_RESPONSE`). Default `true`.
    #[serde(default = "yes")]
    pub responses: bool,
    /// Frames that may wait for the writer, 16 to 1048576; more are dropped and counted. Default
    /// 8192.
    #[serde(default = "queue_default")]
    pub queue: usize,
}

/// Who takes the frames.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DnstapTarget {
    /// A reader that listens on a Unix socket.
    Unix(PathBuf),
    /// A reader that listens on a TCP address. Frames go in the clear: keep it on the host or in a
    /// network of your own.
    Tcp(SocketAddr),
    /// A file, rotated before it grows beyond a size.
    File(DnstapFile),
}

/// A file of frames.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DnstapFile {
    /// Its path; older ones get `.1`, `.2`, … behind it.
    pub path: PathBuf,
    /// It is rotated before it grows beyond this, 65536 and more. Default 104857600.
    #[serde(default = "file_bytes_default")]
    pub max_bytes: u64,
    /// Files kept, the current one included, 1 to 100. Default 8.
    #[serde(default = "files_default")]
    pub max_files: usize,
}

impl DnstapConfig {
    /// The path that is relative to the deployment directory, if one is named.
    pub fn path_mut(&mut self) -> Option<&mut PathBuf> {
        match &mut self.to {
            DnstapTarget::Unix(path) => Some(path),
            DnstapTarget::File(file) => Some(&mut file.path),
            DnstapTarget::Tcp(_) => None,
        }
    }

    /// Checks every bound.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let within = |field, value: u64, range: RangeInclusive<u64>| {
            if range.contains(&value) {
                return Ok(());
            }
            let (min, max) = (*range.start(), *range.end());
            Err(ConfigError::OutOfRange {
                field,
                value,
                min,
                max,
            })
        };
        let wide = |range: &RangeInclusive<usize>| *range.start() as u64..=*range.end() as u64;
        within("dnstap.queue", self.queue as u64, wide(&QUEUE_RANGE))?;
        within(
            "dnstap.identity (bytes)",
            self.identity.len() as u64,
            0..=IDENTITY_BYTES_MAX as u64,
        )?;
        if let DnstapTarget::File(file) = &self.to {
            within("dnstap.to.file.max_bytes", file.max_bytes, FILE_BYTES_RANGE)?;
            let files = file.max_files as u64;
            within("dnstap.to.file.max_files", files, wide(&FILES_RANGE))?;
        }
        Ok(())
    }
}

/// A share of queries, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleRate(u32);

/// All of them.
const WHOLE: u32 = 1_000_000;

impl Default for SampleRate {
    fn default() -> Self {
        Self(WHOLE)
    }
}

impl SampleRate {
    /// Whether a query with this number is in the sample.
    pub(crate) fn takes(self, draw: u64) -> bool {
        // SplitMix64's finalizer: close numbers end up far from each other.
        let mut mixed = draw.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % u64::from(WHOLE) < u64::from(self.0)
    }
}

impl<'de> Deserialize<'de> for SampleRate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let share = f64::deserialize(deserializer)?;
        if (0.0..=1.0).contains(&share) {
            // At most a million.
            return Ok(Self((share * f64::from(WHOLE)).round() as u32));
        }
        let words = format!("dnstap.sample_rate is {share}, allowed is 0 to 1");
        Err(serde::de::Error::custom(words))
    }
}

impl Serialize for SampleRate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(f64::from(self.0) / f64::from(WHOLE))
    }
}

const fn yes() -> bool {
    true
}

const fn queue_default() -> usize {
    8_192
}

const fn file_bytes_default() -> u64 {
    100 << 20
}

const fn files_default() -> usize {
    8
}
