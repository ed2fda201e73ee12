//! Health checks.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::door::{Field, Spanned};
use crate::model::{DnsName, RecordType, Scheme, StatusRange};
use crate::units::{Millis, Ratio};

/// An active check. It names exactly one of `http`, `tcp`, `dns` and `exec`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "HealthCheck")]
pub struct RawCheck {
    /// Ask for a page.
    pub http: Option<Spanned<RawHttpCheck>>,
    /// Connect: `tcp: {}`.
    pub tcp: Option<Spanned<RawTcpCheck>>,
    /// Ask a DNS question.
    pub dns: Option<Spanned<RawDnsCheck>>,
    /// Run a program; exit code 0 is healthy.
    pub exec: Option<Spanned<RawExecCheck>>,
    /// From one probe's start to the next. Default: `health_check_interval` of
    /// `multi_region_config`, else 1s. At least 10ms.
    pub interval: Option<Field<Millis>>,
    /// When a probe has failed; shorter than the interval. Default 500ms, or half the interval if
    /// that is shorter.
    pub timeout: Option<Field<Millis>>,
    /// How far the interval is spread at random. Default 10%.
    pub jitter: Option<Field<Ratio>>,
    /// Successes in a row until up, 1 to 20. Default 2.
    pub rise: Option<Field<u8>>,
    /// Failures in a row until down, 1 to 20. Default 2.
    pub fall: Option<Field<u8>>,
    /// The port to probe. Default: the endpoint's own.
    pub port: Option<Field<u16>>,
}

/// An HTTP GET that must be answered with one of some statuses.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "HttpCheck")]
pub struct RawHttpCheck {
    /// Path and query, beginning with `/`. Default `/`.
    pub path: Option<Field<String>>,
    /// The Host header. Default: the endpoint's address.
    pub host: Option<Field<DnsName>>,
    /// Statuses that are healthy: `200`, `200-299` or `2xx`. Default `[2xx]`.
    #[serde(default)]
    pub expect_status: Vec<Field<StatusRange>>,
    /// Clear text or TLS. Default `http`.
    pub scheme: Option<Field<Scheme>>,
}

/// A TCP connection. Nothing to set.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TcpCheck")]
pub struct RawTcpCheck {}

/// A DNS question; any answer without an error code is healthy.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DnsCheck")]
pub struct RawDnsCheck {
    /// The name to ask for.
    pub name: Field<DnsName>,
    /// The type to ask for. Default `A`.
    #[serde(rename = "type")]
    pub rtype: Option<Field<RecordType>>,
}

/// A program; exit code 0 is healthy.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ExecCheck")]
pub struct RawExecCheck {
    /// An absolute path. No shell is involved.
    pub command: Field<String>,
    /// Its arguments. `ADDRESS` and `PORT` are in its environment.
    #[serde(default)]
    pub args: Vec<Field<String>>,
}
