//! `dns.tls`, `dns.https` and `dns.quic`: as written and as used.

use std::net::SocketAddr;

use meridian_accept::CertSource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ConfigError, LISTENERS_MAX, in_range};

/// Bounds on requests under way on one HTTPS or QUIC connection.
pub const STREAMS_RANGE: std::ops::RangeInclusive<usize> = 1..=1000;
/// Longest path of the HTTPS service.
pub const PATH_BYTES_MAX: usize = 255;

/// DNS over TLS (RFC 7858). The bounds under `tcp` hold for it too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// Addresses; the port is usually 853.
    pub listen: Vec<SocketAddr>,
    /// Certificates by name, read again when their files change; the first serves unknown names.
    pub certificates: Vec<CertSource>,
}

/// DNS over HTTPS (RFC 8484) by HTTP/2. The bounds under `tcp` hold for it too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpsConfig {
    /// Addresses; the port is usually 443.
    pub listen: Vec<SocketAddr>,
    /// See [`TlsConfig::certificates`].
    pub certificates: Vec<CertSource>,
    /// Path of the service. Default `/dns-query`.
    #[serde(default = "path_default")]
    pub path: String,
    /// Requests under way on one connection, 1 to 1000. Default 100.
    #[serde(default = "streams_default")]
    pub streams: usize,
}

/// DNS over QUIC (RFC 9250). The bounds under `tcp` hold for it too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuicConfig {
    /// Addresses; the port is usually 853.
    pub listen: Vec<SocketAddr>,
    /// See [`TlsConfig::certificates`].
    pub certificates: Vec<CertSource>,
    /// Queries under way on one connection, 1 to 1000. Default 100.
    #[serde(default = "streams_default")]
    pub streams: usize,
}

fn path_default() -> String {
    "/dns-query".to_owned()
}

const fn streams_default() -> usize {
    100
}

impl TlsConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        check("tls.listen", &self.listen)?;
        has_certificate("tls.certificates", &self.certificates)
    }
}

impl HttpsConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        check("https.listen", &self.listen)?;
        has_certificate("https.certificates", &self.certificates)?;
        in_range("https.streams", self.streams, STREAMS_RANGE)?;
        let lawful = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'{');
        if !self.path.starts_with('/')
            || self.path.len() > PATH_BYTES_MAX
            || !self.path.bytes().all(lawful)
        {
            return Err(ConfigError::Path {
                path: self.path.clone(),
            });
        }
        Ok(())
    }
}

impl QuicConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        check("quic.listen", &self.listen)?;
        has_certificate("quic.certificates", &self.certificates)?;
        in_range("quic.streams", self.streams, STREAMS_RANGE)
    }
}

fn check(field: &'static str, listen: &[SocketAddr]) -> Result<(), ConfigError> {
    in_range(field, listen.len(), 1..=LISTENERS_MAX)
}

fn has_certificate(field: &'static str, sources: &[CertSource]) -> Result<(), ConfigError> {
    in_range(
        field,
        sources.len(),
        1..=meridian_accept::certs::CERTIFICATES_MAX,
    )
}
