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
use meridian_accept::Unmatched;
use meridian_topology::Millis;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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
    /// Who drives HTTP/1.1 requests: `own` (default), the lane made for them, which leaves to pingora what
    /// it does not do itself (HTTP/1.0, upgrades); or `pingora`, all of them.
    pub lane: LaneChoice,
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
    /// Certificates of clients. Default: none is asked for.
    pub clients: Option<ClientsConfig>,
}

/// Whose certificates clients may show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientsConfig {
    /// PEM file with the certificates of the authorities that are believed.
    pub ca: PathBuf,
    /// `required` (default): without a good certificate there is no connection; `optional`: one that is
    /// shown must be good.
    #[serde(default)]
    pub demand: ClientDemand,
}

/// See [`ClientsConfig::demand`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientDemand {
    /// None is as good as a good one.
    Optional,
    /// A good one.
    #[default]
    Required,
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

/// See [`HttpConfig::lane`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LaneChoice {
    /// Ours, and pingora for the rest.
    #[default]
    Own,
    /// pingora.
    Pingora,
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
    /// `on` also ejects an endpoint that fails a larger share of its requests, or answers much later, than
    /// its peers: those of its region that serve the same services, three at least. Default `on`.
    pub outliers: Toggle,
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
            lane: LaneChoice::Own,
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
            outliers: Toggle::On,
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

mod validate;

pub use validate::{ConfigError, HttpSettings};

#[cfg(test)]
mod tests;
