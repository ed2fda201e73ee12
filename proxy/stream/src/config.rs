//! What an operator may say about streams: `stream:` in `meridian.yaml`.
//!
//! Which ports are open is not said here: listeners belong to services and
//! come with the topology. These are the node's own bounds and beliefs.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use meridian_accept::TrustedSources;
use meridian_topology::Millis;
use serde::{Deserialize, Deserializer};

/// Most connections an operator may allow: what file descriptors (two each)
/// and buffers of one process can carry.
pub const CONNECTIONS_MAX: usize = 1 << 20;

/// Most endpoints one connection may try.
pub const ATTEMPTS_MAX: u8 = 8;

/// Longest of the configured times.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(60 * 60);

/// The stream proxy of this node.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StreamConfig {
    /// Networks whose PROXY headers are believed. Default: nobody.
    pub trusted_proxies: Vec<IpNet>,
    /// TCP connections open at once; more are closed at once. Default 16384.
    pub connections: usize,
    /// Endpoints tried for one connection before it is given up, 1 to 8. Default 3.
    pub attempts: u8,
    /// From accept to the end of the PROXY header. Default `"5s"`.
    #[serde(deserialize_with = "in_text")]
    pub proxy_header: Millis,
    /// How long open connections may take to finish at shutdown. Default `"30s"`.
    #[serde(deserialize_with = "in_text")]
    pub drain: Millis,
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            trusted_proxies: Vec::new(),
            connections: 16_384,
            attempts: 3,
            proxy_header: Millis(5_000),
            drain: Millis(30_000),
        }
    }
}

/// A value outside its bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stream: `{field}` is {value}, allowed is {allowed}")]
pub struct ConfigError {
    /// The key.
    pub field: &'static str,
    /// What was given.
    pub value: String,
    /// What is allowed.
    pub allowed: String,
}

/// A validated [`StreamConfig`].
#[derive(Debug, Clone)]
pub struct StreamSettings {
    pub(crate) trusted: TrustedSources,
    pub(crate) connections: usize,
    pub(crate) attempts: u8,
    pub(crate) proxy_header: Duration,
    pub(crate) drain: Duration,
}

impl StreamConfig {
    /// Checks every bound.
    ///
    /// # Errors
    /// The first value outside its bounds.
    pub fn validate(self) -> Result<StreamSettings, ConfigError> {
        let connections = within("connections", self.connections, 1, CONNECTIONS_MAX)?;
        let attempts = within("attempts", self.attempts, 1, ATTEMPTS_MAX)?;
        Ok(StreamSettings {
            trusted: TrustedSources::new(self.trusted_proxies),
            connections,
            attempts,
            proxy_header: time("proxy_header", self.proxy_header, Millis(1))?,
            drain: time("drain", self.drain, Millis(0))?,
        })
    }
}

fn within<T: PartialOrd + Copy + fmt::Display>(
    field: &'static str,
    value: T,
    min: T,
    max: T,
) -> Result<T, ConfigError> {
    if value >= min && value <= max {
        return Ok(value);
    }
    Err(ConfigError {
        field,
        value: value.to_string(),
        allowed: format!("{min} to {max}"),
    })
}

fn time(field: &'static str, value: Millis, min: Millis) -> Result<Duration, ConfigError> {
    if value >= min && value.as_duration() <= TIMEOUT_MAX {
        return Ok(value.as_duration());
    }
    Err(ConfigError {
        field,
        value: value.to_string(),
        allowed: format!("{min} to {}s", TIMEOUT_MAX.as_secs()),
    })
}

/// Reads a unit from its text (`"5s"`); its serde form is a bare number.
fn in_text<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err: fmt::Display>,
    D: Deserializer<'de>,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests;
