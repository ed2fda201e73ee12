//! `dns.cookies` and `dns.rate_limit`: as written and as used.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use meridian_topology::Millis;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rate::{DEBT_MAX, SLIP_MAX};
use crate::config::{ConfigError, as_text, in_range, millis_from_text, time_in_range};

/// Bounds on how often random secrets change; a cookie lives for an hour.
pub const ROTATE_RANGE: RangeInclusive<Duration> =
    Duration::from_secs(3600)..=Duration::from_secs(366 * 24 * 3600);
/// Bounds on rates; 0 is no limit.
pub const RATE_RANGE: RangeInclusive<usize> = 0..=100_000;
/// Bounds on the window.
pub const WINDOW_RANGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(60);
/// Bounds on the table: 8 bytes an account.
pub const ACCOUNTS_RANGE: RangeInclusive<usize> = 1024..=16 * 1024 * 1024;
/// Most exempt networks; each limited response walks the list.
pub const EXEMPT_MAX: usize = 64;

/// DNS cookies (RFC 7873, RFC 9018).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CookiesConfig {
    /// Whether cookies are answered. Default true: it costs only clients that send one.
    pub enabled: bool,
    /// A file of secrets, one a line in 32 hexadecimal digits: the first signs, all verify. Servers
    /// that share an address share it. It is read again when it changes. Default: a random secret.
    pub secret_file: Option<PathBuf>,
    /// How often a random secret changes, an hour to a year; the one before stays valid. Default
    /// `"24h"`.
    #[serde(deserialize_with = "millis_from_text", serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub rotate: Millis,
    /// Of whom a valid cookie is required: `never` (default), or `over_udp`: a client that sends a
    /// cookie over UDP without a valid server part gets `BADCOOKIE` and a fresh one, and no answer
    /// before it comes back. Clients that know no cookies are answered all the same.
    pub require: CookieRequire,
}

/// See [`CookiesConfig::require`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CookieRequire {
    /// Of nobody.
    #[default]
    Never,
    /// Of those who speak cookies, over UDP.
    OverUdp,
}

impl Default for CookiesConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            secret_file: None,
            rotate: Millis(24 * 3600 * 1000),
            require: CookieRequire::Never,
        }
    }
}

/// Checked settings of cookies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CookieSettings {
    pub(crate) secret_file: Option<PathBuf>,
    pub(crate) rotate: Duration,
    pub(crate) require: CookieRequire,
}

impl CookiesConfig {
    pub(crate) fn validate(&self) -> Result<Option<CookieSettings>, ConfigError> {
        time_in_range("cookies.rotate (ms)", self.rotate, ROTATE_RANGE)?;
        Ok(self.enabled.then(|| CookieSettings {
            secret_file: self.secret_file.clone(),
            rotate: self.rotate.as_duration(),
            require: self.require,
        }))
    }
}

/// Response rate limiting. Rates are per client network, 0 is no limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimitConfig {
    /// Answers for one name, 0 to 100000. Default 200.
    pub responses_per_second: u32,
    /// `NXDOMAIN` for one zone. Default 200.
    pub nxdomains_per_second: u32,
    /// Errors of any kind. Default 50.
    pub errors_per_second: u32,
    /// Every so many withheld responses one goes out truncated, so that a real client turns to TCP:
    /// 1 for each, 2 (default) for every second, 0 for none, at most 15.
    pub slip: u32,
    /// For how long a network's excess is remembered, `"1s"` to `"60s"`. Default `"15s"`.
    #[serde(deserialize_with = "millis_from_text", serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub window: Millis,
    /// Leading bits of an IPv4 address that make a client network. Default 24.
    pub ipv4_prefix: u8,
    /// The same for IPv6. Default 56.
    pub ipv6_prefix: u8,
    /// Networks without limits, at most 64. Default none.
    #[schemars(with = "Vec<String>")]
    pub exempt: Vec<IpNet>,
    /// Accounts kept, 1024 to 16777216, 8 bytes each, rounded up to a power of two. Default 131072.
    pub accounts: usize,
}

impl Default for RateLimitConfig {
    fn default() -> Self {
        Self {
            responses_per_second: 200,
            nxdomains_per_second: 200,
            errors_per_second: 50,
            slip: 2,
            window: Millis(15_000),
            ipv4_prefix: 24,
            ipv6_prefix: 56,
            exempt: Vec::new(),
            accounts: 131_072,
        }
    }
}

/// Checked settings of rate limiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RateSettings {
    pub(crate) responses_per_second: u32,
    pub(crate) nxdomains_per_second: u32,
    pub(crate) errors_per_second: u32,
    pub(crate) slip: u32,
    pub(crate) window_seconds: u32,
    pub(crate) ipv4_prefix: u8,
    pub(crate) ipv6_prefix: u8,
    pub(crate) exempt: Vec<IpNet>,
    pub(crate) accounts: usize,
}

// Any rate within its bounds, over the longest window, fits into an account.
const _: () = assert!(100_000 * 60 <= DEBT_MAX);

impl RateLimitConfig {
    pub(crate) fn validate(&self) -> Result<RateSettings, ConfigError> {
        for (field, rate) in [
            ("rate_limit.responses_per_second", self.responses_per_second),
            ("rate_limit.nxdomains_per_second", self.nxdomains_per_second),
            ("rate_limit.errors_per_second", self.errors_per_second),
        ] {
            in_range(field, rate as usize, RATE_RANGE)?;
        }
        in_range("rate_limit.slip", self.slip as usize, 0..=SLIP_MAX as usize)?;
        time_in_range("rate_limit.window (ms)", self.window, WINDOW_RANGE)?;
        in_range("rate_limit.ipv4_prefix", self.ipv4_prefix.into(), 1..=32)?;
        in_range("rate_limit.ipv6_prefix", self.ipv6_prefix.into(), 1..=128)?;
        in_range("rate_limit.exempt", self.exempt.len(), 0..=EXEMPT_MAX)?;
        in_range("rate_limit.accounts", self.accounts, ACCOUNTS_RANGE)?;
        Ok(RateSettings {
            responses_per_second: self.responses_per_second,
            nxdomains_per_second: self.nxdomains_per_second,
            errors_per_second: self.errors_per_second,
            slip: self.slip,
            // At most 60.
            window_seconds: self.window.as_duration().as_secs().max(1) as u32,
            ipv4_prefix: self.ipv4_prefix,
            ipv6_prefix: self.ipv6_prefix,
            exempt: self.exempt.clone(),
            accounts: self.accounts,
        })
    }
}
