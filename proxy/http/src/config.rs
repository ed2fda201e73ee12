//! What an operator may say about the HTTP proxy.
//!
//! [`HttpConfig`] is the text as it stands in `meridian.yaml` under `http:`
//! (unknown keys are errors, every key has a default);
//! [`HttpConfig::validate`] turns it into [`HttpSettings`], which the rest of
//! the room uses and never checks again.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use meridian_accept::{CertConfig, CertSource, Expect, TrustedSources, Unmatched};
use meridian_topology::Millis;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::passive::Thresholds;

/// Where plain HTTP listens when nothing is said.
pub const HTTP_LISTEN_DEFAULT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// Where HTTPS listens when certificates are named and nothing else is said.
pub const HTTPS_LISTEN_DEFAULT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8443);

/// Most listening addresses of one kind.
pub const LISTENERS_MAX: usize = 64;

/// Most worker threads.
pub const WORKERS_MAX: usize = 1024;

/// Longest of any configured time.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Smallest and largest bound on a request head.
pub const HEAD_BYTES_RANGE: std::ops::RangeInclusive<usize> = 1024..=1024 * 1024 - 1;

/// The HTTP proxy of this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Addresses for plain HTTP. Default `["127.0.0.1:8080"]`; `[]` listens nowhere.
    #[schemars(with = "Vec<String>")]
    pub listen: Vec<SocketAddr>,
    /// HTTPS; without it no TLS listener is opened.
    pub https: Option<HttpsConfig>,
    /// Networks whose `X-Forwarded-For`, `Forwarded` and PROXY headers are believed. Default: nobody.
    #[schemars(with = "Vec<String>")]
    pub trusted_proxies: Vec<IpNet>,
    /// Whether connections begin with a PROXY header: `off` (default), `optional`
    /// (only looked for when the peer is a trusted proxy) or `required` (from
    /// anybody else the connection is closed).
    pub proxy_protocol: ProxyProtocol,
    /// `on` adds `x-meridian-endpoint`, `x-meridian-region` and
    /// `x-meridian-decision` to every proxied response. Default `off`.
    pub decision_headers: Toggle,
    /// `on` accepts HTTP/2 in clear text from clients that begin with its
    /// preface (gRPC without TLS). Default `on`.
    pub h2c: Toggle,
    /// Bounds on connections and heads.
    pub limits: LimitsConfig,
    /// How long each stage of a connection may take.
    pub timeouts: TimeoutsConfig,
    /// Which header names the client behind a trusted proxy: `x_forwarded_for`
    /// (default) or `forwarded` (RFC 7239). The other one is not read: a proxy
    /// that writes one of them lets the client's own copy of the other pass.
    pub client_from: ClientFrom,
    /// How many failures in a row make an endpoint suspect.
    pub ejection: EjectionConfig,
    /// How long in-flight requests may take to finish at shutdown. Default `"30s"`.
    #[serde(deserialize_with = "in_text", serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub drain: Millis,
    /// Threads, each with its own listeners (`SO_REUSEPORT`) and upstream
    /// connections. Default: one per core this process may use.
    pub worker_threads: Option<NonZeroUsize>,
}

/// The TLS listeners.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpsConfig {
    /// Addresses for HTTPS. Default `["127.0.0.1:8443"]`.
    #[serde(default = "https_listen_default")]
    #[schemars(with = "Vec<String>")]
    pub listen: Vec<SocketAddr>,
    /// Certificates, chosen by the name the client asks for; read again when
    /// the files change.
    pub certificates: Vec<CertificateConfig>,
    /// What a client gets whose name no certificate covers: `first` (default)
    /// or `refuse`.
    #[serde(default)]
    pub unmatched: Unmatched,
}

/// One certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateConfig {
    /// PEM file with the chain, leaf first.
    pub certificate: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
    /// Host names it is for, exact or `*.example.com`. Default: those in the certificate.
    #[serde(default)]
    pub names: Vec<String>,
}

/// Bounds on what clients may ask of the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Open client connections; more are closed at once. Default 65536.
    pub connections: usize,
    /// Bytes of a request head, 1024 to 1048575. Default 32768.
    pub head_bytes: usize,
    /// Requests at the same time on one HTTP/2 connection. Default 100.
    pub h2_streams: u32,
    /// Idle upstream connections kept per worker. Default 512.
    pub upstream_idle: usize,
}

/// Times a client may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TimeoutsConfig {
    /// PROXY header and TLS handshake, each. Default `"10s"`.
    #[serde(deserialize_with = "in_text", serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub handshake: Millis,
    /// A request head, from its first byte to its last. Default `"15s"`.
    #[serde(deserialize_with = "in_text", serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub header: Millis,
    /// Between two requests of a connection. Default `"60s"`.
    #[serde(deserialize_with = "in_text", serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub keepalive: Millis,
    /// Between two pieces of a request's body, and for the client to take a
    /// piece of the response. Default `"60s"`.
    #[serde(deserialize_with = "in_text", serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub body: Millis,
    /// Silence in either direction of an upgraded connection (WebSocket). Default `"1h"`.
    #[serde(deserialize_with = "in_text", serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub tunnel: Millis,
    /// An idle upstream connection in the pool. Default `"60s"`.
    #[serde(deserialize_with = "in_text", serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub upstream_idle: Millis,
}

/// `on` or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Toggle {
    /// The feature is used.
    On,
    /// The feature is not used.
    #[default]
    Off,
}

/// See [`HttpConfig::client_from`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientFrom {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// Consecutive failures of one endpoint after which `control/live` is told. It
/// ejects the endpoint for a while, longer each time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EjectionConfig {
    /// Connections refused, unreachable or cut. Default 3.
    pub connect_failures: u32,
    /// Connections or answers that did not come in time. Default 3.
    pub timeouts: u32,
    /// Answers with a status from 500. Default 5.
    pub server_errors: u32,
}

/// See [`HttpConfig::proxy_protocol`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProxyProtocol {
    /// No header is looked for.
    #[default]
    Off,
    /// A trusted proxy may send one.
    Optional,
    /// Every connection has one.
    Required,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: vec![HTTP_LISTEN_DEFAULT],
            https: None,
            trusted_proxies: Vec::new(),
            proxy_protocol: ProxyProtocol::Off,
            decision_headers: Toggle::Off,
            h2c: Toggle::On,
            limits: LimitsConfig::default(),
            timeouts: TimeoutsConfig::default(),
            client_from: ClientFrom::default(),
            ejection: EjectionConfig::default(),
            drain: Millis(30_000),
            worker_threads: None,
        }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            connections: 65_536,
            head_bytes: 32 * 1024,
            h2_streams: 100,
            upstream_idle: 512,
        }
    }
}

impl Default for EjectionConfig {
    fn default() -> Self {
        Self {
            connect_failures: 3,
            timeouts: 3,
            server_errors: 5,
        }
    }
}

impl Default for TimeoutsConfig {
    fn default() -> Self {
        Self {
            handshake: Millis(10_000),
            header: Millis(15_000),
            keepalive: Millis(60_000),
            body: Millis(60_000),
            tunnel: Millis(3_600_000),
            upstream_idle: Millis(60_000),
        }
    }
}

fn https_listen_default() -> Vec<SocketAddr> {
    vec![HTTPS_LISTEN_DEFAULT]
}

/// YAML writes quantities as text with a unit (`"30s"`).
fn in_text<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err: fmt::Display>,
    D: Deserializer<'de>,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

fn as_text<T: fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// A configuration that cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Neither `listen` nor `https.listen` names an address.
    #[error("http: no address to listen on; leave the section out to switch HTTP off")]
    NoListener,
    /// More than [`LISTENERS_MAX`] addresses.
    #[error("http.{key}: {count} addresses, at most {LISTENERS_MAX} are accepted")]
    TooManyListeners {
        /// `listen` or `https.listen`.
        key: &'static str,
        /// How many there are.
        count: usize,
    },
    /// `https` without a certificate.
    #[error("http.https.certificates: name at least one certificate and its key")]
    NoCertificate,
    /// A number outside what works.
    #[error("http.{key}: {value} is not within {allowed}")]
    OutOfRange {
        /// The key, from `http` on.
        key: &'static str,
        /// What was written.
        value: String,
        /// What may be written.
        allowed: &'static str,
    },
    /// A PROXY header is to be read but nobody is trusted to send one.
    #[error(
        "http.proxy_protocol: name the proxies in `trusted_proxies`; a PROXY header is believed from nobody else"
    )]
    NobodyTrusted,
}

/// A checked configuration. Made by [`HttpConfig::validate`].
#[derive(Debug, Clone)]
pub struct HttpSettings {
    pub(crate) plain: Vec<SocketAddr>,
    pub(crate) tls: Vec<SocketAddr>,
    pub(crate) certificates: Option<CertConfig>,
    pub(crate) trusted: TrustedSources,
    pub(crate) proxy_protocol: Expect,
    pub(crate) decision_headers: Toggle,
    pub(crate) client_from: ClientFrom,
    pub(crate) ejection: Thresholds,
    pub(crate) h2c: Toggle,
    pub(crate) connections_max: usize,
    pub(crate) head_bytes_max: usize,
    pub(crate) h2_streams_max: u32,
    pub(crate) upstream_idle_max: usize,
    pub(crate) handshake_timeout: Duration,
    pub(crate) header_timeout: Duration,
    pub(crate) keepalive_timeout: Duration,
    pub(crate) body_timeout: Duration,
    pub(crate) tunnel_timeout: Duration,
    pub(crate) upstream_idle_timeout: Duration,
    pub(crate) drain: Duration,
    pub(crate) workers: usize,
}

impl HttpConfig {
    /// Checks everything that serde cannot, and collects every mistake.
    ///
    /// # Errors
    /// All that is wrong, in the order of the keys.
    pub fn validate(self) -> Result<HttpSettings, Vec<ConfigError>> {
        let mut errors = Vec::new();
        self.check_listeners(&mut errors);
        self.limits.check(&mut errors);
        self.check_times(&mut errors);
        self.ejection.check(&mut errors);
        if self.proxy_protocol != ProxyProtocol::Off && self.trusted_proxies.is_empty() {
            errors.push(ConfigError::NobodyTrusted);
        }
        let workers = workers(self.worker_threads, &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        let (tls, certificates) = match self.https {
            None => (Vec::new(), None),
            Some(https) => (https.listen.clone(), Some(https.into_certificates())),
        };
        Ok(HttpSettings {
            plain: self.listen,
            tls,
            certificates,
            trusted: TrustedSources::new(self.trusted_proxies),
            proxy_protocol: match self.proxy_protocol {
                ProxyProtocol::Off => Expect::Off,
                ProxyProtocol::Optional => Expect::Optional,
                ProxyProtocol::Required => Expect::Required,
            },
            decision_headers: self.decision_headers,
            client_from: self.client_from,
            ejection: Thresholds {
                connect_failures: self.ejection.connect_failures,
                timeouts: self.ejection.timeouts,
                server_errors: self.ejection.server_errors,
            },
            h2c: self.h2c,
            connections_max: self.limits.connections,
            head_bytes_max: self.limits.head_bytes,
            h2_streams_max: self.limits.h2_streams,
            upstream_idle_max: self.limits.upstream_idle,
            handshake_timeout: self.timeouts.handshake.as_duration(),
            header_timeout: self.timeouts.header.as_duration(),
            keepalive_timeout: self.timeouts.keepalive.as_duration(),
            body_timeout: self.timeouts.body.as_duration(),
            tunnel_timeout: self.timeouts.tunnel.as_duration(),
            upstream_idle_timeout: self.timeouts.upstream_idle.as_duration(),
            drain: self.drain.as_duration(),
            workers,
        })
    }

    fn check_listeners(&self, errors: &mut Vec<ConfigError>) {
        let tls = self.https.as_ref().map_or(0, |https| https.listen.len());
        if self.listen.is_empty() && tls == 0 {
            errors.push(ConfigError::NoListener);
        }
        for (key, count) in [("listen", self.listen.len()), ("https.listen", tls)] {
            if count > LISTENERS_MAX {
                errors.push(ConfigError::TooManyListeners { key, count });
            }
        }
        if let Some(https) = &self.https
            && https.certificates.is_empty()
        {
            errors.push(ConfigError::NoCertificate);
        }
    }

    fn check_times(&self, errors: &mut Vec<ConfigError>) {
        for (key, time) in [
            ("timeouts.handshake", self.timeouts.handshake),
            ("timeouts.header", self.timeouts.header),
            ("timeouts.keepalive", self.timeouts.keepalive),
            ("timeouts.body", self.timeouts.body),
            ("timeouts.tunnel", self.timeouts.tunnel),
            ("timeouts.upstream_idle", self.timeouts.upstream_idle),
        ] {
            if time.0 == 0 || time.as_duration() > TIMEOUT_MAX {
                errors.push(out_of_range(key, time, "1ms to 24h"));
            }
        }
        // No time to drain is a choice: cut at once.
        if self.drain.as_duration() > TIMEOUT_MAX {
            errors.push(out_of_range("drain", self.drain, "0ms to 24h"));
        }
    }
}

impl LimitsConfig {
    fn check(&self, errors: &mut Vec<ConfigError>) {
        if self.connections == 0 {
            errors.push(out_of_range("limits.connections", 0, "1 and more"));
        }
        if !HEAD_BYTES_RANGE.contains(&self.head_bytes) {
            errors.push(out_of_range(
                "limits.head_bytes",
                self.head_bytes,
                "1024 to 1048575",
            ));
        }
        if self.h2_streams == 0 {
            errors.push(out_of_range("limits.h2_streams", 0, "1 and more"));
        }
        if self.upstream_idle == 0 {
            errors.push(out_of_range("limits.upstream_idle", 0, "1 and more"));
        }
    }
}

impl EjectionConfig {
    fn check(&self, errors: &mut Vec<ConfigError>) {
        for (key, count) in [
            ("ejection.connect_failures", self.connect_failures),
            ("ejection.timeouts", self.timeouts),
            ("ejection.server_errors", self.server_errors),
        ] {
            if count == 0 {
                errors.push(out_of_range(key, 0, "1 and more"));
            }
        }
    }
}

impl HttpsConfig {
    fn into_certificates(self) -> CertConfig {
        CertConfig {
            certificates: self
                .certificates
                .into_iter()
                .map(|source| CertSource {
                    certificate: source.certificate,
                    key: source.key,
                    names: source.names,
                })
                .collect(),
            unmatched: self.unmatched,
        }
    }
}

fn workers(configured: Option<NonZeroUsize>, errors: &mut Vec<ConfigError>) -> usize {
    match configured {
        Some(count) if count.get() > WORKERS_MAX => {
            errors.push(out_of_range("worker_threads", count, "1 to 1024"));
            WORKERS_MAX
        }
        Some(count) => count.get(),
        None => std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
    }
}

fn out_of_range(key: &'static str, value: impl fmt::Display, allowed: &'static str) -> ConfigError {
    ConfigError::OutOfRange {
        key,
        value: value.to_string(),
        allowed,
    }
}

#[cfg(test)]
mod tests;
