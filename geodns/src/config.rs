//! The `dns:` section of `meridian.yaml`: as written ([`DnsConfig`]) and as used ([`DnsSettings`]).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use meridian_topology::{Millis, Ttl};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::alias::{AliasBook, RESOLVERS_MAX};
use crate::dnssec::{DnssecConfig, DnssecConfigError, DnssecSettings};
use crate::dnstap::config::DnstapConfig;
use crate::guard::{CookieSettings, CookiesConfig, Guard, RateLimitConfig, RateSettings};
use crate::identity::IdentityConfig;
use crate::master::{FolderError, ZoneFolder};
use crate::responder::{AnswerRules, EcsTrust};
use crate::server::xdp::config::XdpSettings;
pub use crate::server::xdp::config::{
    BusyPollConfig, XdpConfig, XdpConfigError, XdpMode, XdpZeroCopy,
};
use crate::transfer::config::{Sections, TransferSettings};
use crate::transfer::{
    SecondaryConfig, TransferConfigError, TransfersConfig, TsigKeyConfig, UpdateConfig,
};
use crate::zone::{ShelfSnapshot, ZoneShelf};

mod encrypted;

pub use encrypted::{HttpsConfig, PATH_BYTES_MAX, QuicConfig, STREAMS_RANGE, TlsConfig};

/// Where DNS listens when nothing is said.
pub const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5353);
/// Most listening addresses.
pub const LISTENERS_MAX: usize = 64;
/// Most UDP threads.
pub const WORKERS_MAX: usize = 256;
/// Bounds on the size of UDP responses: RFC 6891 §6.2.3 and §6.2.5.
pub const UDP_BYTES_RANGE: RangeInclusive<u16> = 512..=4096;
/// Most networks whose client subnets are believed; each query walks the list.
pub const ECS_NETWORKS_MAX: usize = 64;
/// Bounds on TCP connections: each holds about 10 KiB.
pub const TCP_CONNECTIONS_RANGE: RangeInclusive<usize> = 1..=65_536;
/// Bounds on a connection's idle time.
pub const TCP_IDLE_RANGE: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(600);

/// The GeoDNS server of this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DnsConfig {
    /// Addresses for UDP and TCP. Default `["127.0.0.1:5353"]`. A socket on a wildcard answers from
    /// the address that was asked.
    pub listen: Vec<SocketAddr>,
    /// UDP threads for each address, each with a socket of its own (`SO_REUSEPORT`). Default: one
    /// per core this process may use.
    pub workers: Option<NonZeroUsize>,
    /// Largest UDP response, 512 to 4096 bytes. Default 1232, which is not fragmented anywhere.
    pub udp_bytes_max: u16,
    /// Whose EDNS client subnets (RFC 7871) are believed: `everybody` (default), `nobody`, or
    /// `from: ["192.0.2.0/24"]`, the networks of resolvers, or `except: ["203.0.113.7/32"]`, all but
    /// these.
    pub client_subnet: ClientSubnetConfig,
    /// Largest TTL of an answer while a stand-in serves it. Default `"5s"`.
    #[serde(deserialize_with = "ttl_from_text", serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub failover_ttl: Ttl,
    /// Bounds on TCP, and on everything else that has connections.
    pub tcp: TcpConfig,
    /// DNS cookies. Default on, with a random secret.
    pub cookies: CookiesConfig,
    /// Response rate limiting. Default off, as in BIND and Knot; `rate_limit: {}` switches it on.
    pub rate_limit: Option<RateLimitConfig>,
    /// DNS over TLS. Default off.
    pub tls: Option<TlsConfig>,
    /// DNS over HTTPS. Default off.
    pub https: Option<HttpsConfig>,
    /// DNS over QUIC. Default off.
    pub quic: Option<QuicConfig>,
    /// Keys shared with other servers (TSIG). Default: none.
    pub tsig_keys: Vec<TsigKeyConfig>,
    /// Who may transfer zones out, and who is told of changes. Default: nobody.
    pub transfers: TransfersConfig,
    /// Zones taken from primaries elsewhere. Default: none.
    pub secondaries: Vec<SecondaryConfig>,
    /// Who may change which names by dynamic update. Default: nobody.
    pub updates: Vec<UpdateConfig>,
    /// The node's state folder; zones are kept in `zones/` below it. Not read from the file: see
    /// [`DnsConfig::keep_zones_in`].
    #[serde(skip)]
    pub state: Option<PathBuf>,
    /// Queries and responses as dnstap frames, for whoever looks at traffic. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dnstap: Option<DnstapConfig>,
    /// Queries taken from network cards before the kernel's stack (AF_XDP). Default off.
    pub xdp: XdpConfig,
    /// Zones to sign, and where their keys are.
    pub dnssec: DnssecConfig,
    /// A folder of master files (RFC 1035): every `*.zone` in it is served beside the topology's
    /// zones, and read again when it changes. A relative path is relative to the deployment's
    /// directory. Default: none.
    pub zone_files: Option<PathBuf>,
    /// What the server says of itself.
    pub identity: IdentityConfig,
    /// Resolvers that are asked for the targets of ALIAS records that lie in none of our zones, in their
    /// order, at most 8: `["127.0.0.1:53"]`. Default: none, and such a record is answered SERVFAIL.
    pub alias_resolvers: Vec<SocketAddr>,
}

/// See [`DnsConfig::client_subnet`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientSubnetConfig {
    /// Everybody's.
    #[default]
    Everybody,
    /// Nobody's: clients are located by their resolver.
    Nobody,
    /// Those of resolvers in these networks.
    From(#[schemars(with = "Vec<String>")] Vec<IpNet>),
    /// Those of all resolvers but in these networks, whose clients are located by the resolver.
    Except(#[schemars(with = "Vec<String>")] Vec<IpNet>),
}

/// Bounds on DNS over TCP (RFC 7766).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TcpConfig {
    /// Open connections over all addresses and transports, 1 to 65536; more are closed at once.
    /// Default 1024.
    pub connections: usize,
    /// Open connections of one client (an IPv4 address, an IPv6 /56), 1 to 65536. Default 128.
    pub connections_per_client: usize,
    /// Queries answered on one connection before it is closed. Default 10000.
    pub queries_per_connection: NonZeroUsize,
    /// How long a connection may be silent, and how long a client may take to send a query or to
    /// take a response. It shrinks, down to a tenth, while more than half of the connections are
    /// open. Default `"10s"`.
    #[serde(deserialize_with = "millis_from_text", serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub idle_timeout: Millis,
}

impl Default for DnsConfig {
    fn default() -> Self {
        Self {
            listen: vec![LISTEN_DEFAULT],
            workers: None,
            udp_bytes_max: 1232,
            client_subnet: ClientSubnetConfig::default(),
            failover_ttl: Ttl(5),
            tcp: TcpConfig::default(),
            cookies: CookiesConfig::default(),
            rate_limit: None,
            tls: None,
            https: None,
            quic: None,
            tsig_keys: Vec::new(),
            transfers: TransfersConfig::default(),
            secondaries: Vec::new(),
            updates: Vec::new(),
            state: None,
            dnstap: None,
            xdp: XdpConfig::default(),
            dnssec: DnssecConfig::default(),
            zone_files: None,
            identity: IdentityConfig::default(),
            alias_resolvers: Vec::new(),
        }
    }
}

impl Default for TcpConfig {
    fn default() -> Self {
        Self {
            connections: 1024,
            connections_per_client: 128,
            queries_per_connection: NonZeroUsize::MIN.saturating_add(9_999),
            idle_timeout: Millis(10_000),
        }
    }
}

/// A `dns:` section that cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// `listen` is empty.
    #[error("dns: `listen` names no address; leave the section out to switch DNS off")]
    NoListener,
    /// Something about transfers, secondaries or updates.
    #[error(transparent)]
    Transfers(#[from] TransferConfigError),
    /// A number outside its bounds.
    #[error("dns: `{field}` is {value}, allowed is {min} to {max}")]
    OutOfRange {
        /// The configuration key.
        field: &'static str,
        /// What was given.
        value: u64,
        /// Its lower bound.
        min: u64,
        /// Its upper bound.
        max: u64,
    },
    /// A path that no request can have.
    #[error(
        "dns: `https.path` is {path:?}, it must begin with `/` and be a path alone, as `/dns-query`"
    )]
    Path {
        /// What was given.
        path: String,
    },
    /// `xdp` cannot be used as it is.
    #[error(transparent)]
    Xdp(#[from] XdpConfigError),
    /// The `dnssec` section is wrong.
    #[error(transparent)]
    Dnssec(#[from] DnssecConfigError),
}

/// A checked configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsSettings {
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) workers: usize,
    pub(crate) rules: AnswerRules,
    pub(crate) tcp: TcpSettings,
    pub(crate) cookies: Option<CookieSettings>,
    pub(crate) rate: Option<RateSettings>,
    pub(crate) tls: Option<TlsConfig>,
    pub(crate) https: Option<HttpsConfig>,
    pub(crate) quic: Option<QuicConfig>,
    pub(crate) transfers: TransferSettings,
    pub(crate) dnstap: Option<DnstapConfig>,
    pub(crate) xdp: Option<XdpSettings>,
    pub(crate) dnssec: DnssecSettings,
    pub(crate) zone_files: Option<PathBuf>,
    pub(crate) alias_resolvers: Vec<SocketAddr>,
}

/// Checked bounds on connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TcpSettings {
    pub(crate) connections_max: usize,
    pub(crate) per_client_max: usize,
    pub(crate) queries_max: usize,
    pub(crate) idle_timeout: Duration,
}

impl DnsSettings {
    /// What decides answers, without a server: for `meridian dns query`.
    #[must_use]
    pub fn rules(&self) -> &AnswerRules {
        &self.rules
    }

    /// The master files as a start reads them, on a shelf of their own: for checks before it.
    ///
    /// # Errors
    /// [`FolderError`]; a file with mistakes is only left out, as at a start.
    pub fn read_zone_files(&self) -> Result<Arc<ShelfSnapshot>, FolderError> {
        let shelf = ZoneShelf::new();
        if let Some(folder) = &self.zone_files {
            ZoneFolder::new(folder.clone(), shelf.clone()).scan()?;
        }
        Ok(shelf.snapshot())
    }

    /// What signs zones: for tools that answer without a server.
    #[must_use]
    pub fn dnssec(&self) -> &DnssecSettings {
        &self.dnssec
    }
}

impl DnsConfig {
    /// Names the state folder: secondaries and updates are kept below it.
    pub fn keep_zones_in(&mut self, state: &Path) {
        self.state = Some(state.to_path_buf());
    }

    /// Every path that the section names, to be made absolute.
    pub fn paths_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let dnstap = self.dnstap.iter_mut().filter_map(DnstapConfig::path_mut);
        let keys = self.tsig_keys.iter_mut().map(|key| &mut key.secret_file);
        let tls = self.tls.iter_mut().map(|tls| &mut tls.certificates);
        let https = self.https.iter_mut().map(|https| &mut https.certificates);
        let quic = self.quic.iter_mut().map(|quic| &mut quic.certificates);
        let certificates = tls.chain(https).chain(quic).flatten();
        let certificates = certificates.flat_map(|pair| [&mut pair.certificate, &mut pair.key]);
        keys.chain(dnstap)
            .chain(&mut self.cookies.secret_file)
            .chain(certificates)
            .chain([&mut self.dnssec.keys])
            .chain(&mut self.zone_files)
    }

    /// Checks every bound. `cores` is the number of cores this process may use.
    ///
    /// # Errors
    /// The first bound that is broken.
    pub fn validate(&self, cores: NonZeroUsize) -> Result<DnsSettings, ConfigError> {
        if self.listen.is_empty() {
            return Err(ConfigError::NoListener);
        }
        let ecs = self.ecs()?;
        in_range("listen", self.listen.len(), 1..=LISTENERS_MAX)?;
        let workers = self.workers.unwrap_or(cores).get();
        // A machine may have more cores than we want threads; a person may not ask for them.
        let workers = if self.workers.is_none() {
            workers.min(WORKERS_MAX)
        } else {
            workers
        };
        in_range("workers", workers, 1..=WORKERS_MAX)?;
        let resolvers = self.alias_resolvers.len();
        in_range("alias_resolvers", resolvers, 0..=RESOLVERS_MAX)?;
        let udp = usize::from(*UDP_BYTES_RANGE.start())..=usize::from(*UDP_BYTES_RANGE.end());
        in_range("udp_bytes_max", usize::from(self.udp_bytes_max), udp)?;
        let tcp = self.tcp.validate()?;
        self.tls.as_ref().map_or(Ok(()), TlsConfig::check)?;
        self.https.as_ref().map_or(Ok(()), HttpsConfig::check)?;
        self.quic.as_ref().map_or(Ok(()), QuicConfig::check)?;
        self.dnstap.as_ref().map_or(Ok(()), DnstapConfig::check)?;
        let rate = self.rate_limit.as_ref();
        let transfers = Sections {
            tsig_keys: &self.tsig_keys,
            transfers: &self.transfers,
            secondaries: &self.secondaries,
            updates: &self.updates,
            state: self.state.as_deref(),
        }
        .check()?;
        Ok(DnsSettings {
            dnstap: self.dnstap.clone(),
            listen: self.listen.clone(),
            workers,
            rules: AnswerRules {
                udp_bytes_max: self.udp_bytes_max,
                ecs,
                failover_ttl_seconds: self.failover_ttl.0,
                guard: Guard::default(),
                identity: self.identity.validate()?,
                aliases: AliasBook::default(),
            },
            tcp,
            cookies: self.cookies.validate()?,
            rate: rate.map(RateLimitConfig::validate).transpose()?,
            tls: self.tls.clone(),
            https: self.https.clone(),
            quic: self.quic.clone(),
            transfers,
            xdp: self.xdp.validate(&self.listen)?,
            dnssec: self.dnssec.validate()?,
            zone_files: self.zone_files.clone(),
            alias_resolvers: self.alias_resolvers.clone(),
        })
    }

    fn ecs(&self) -> Result<EcsTrust, ConfigError> {
        Ok(match &self.client_subnet {
            ClientSubnetConfig::Everybody => EcsTrust::Everybody,
            ClientSubnetConfig::Nobody => EcsTrust::Nobody,
            ClientSubnetConfig::From(networks) => {
                in_range("client_subnet.from", networks.len(), 1..=ECS_NETWORKS_MAX)?;
                EcsTrust::From(networks.clone())
            }
            ClientSubnetConfig::Except(networks) => {
                in_range("client_subnet.except", networks.len(), 1..=ECS_NETWORKS_MAX)?;
                EcsTrust::Except(networks.clone())
            }
        })
    }
}

impl TcpConfig {
    fn validate(&self) -> Result<TcpSettings, ConfigError> {
        for (field, connections) in [
            ("tcp.connections", self.connections),
            ("tcp.connections_per_client", self.connections_per_client),
        ] {
            in_range(field, connections, TCP_CONNECTIONS_RANGE)?;
        }
        time_in_range("tcp.idle_timeout (ms)", self.idle_timeout, TCP_IDLE_RANGE)?;
        Ok(TcpSettings {
            connections_max: self.connections,
            per_client_max: self.connections_per_client,
            queries_max: self.queries_per_connection.get(),
            idle_timeout: self.idle_timeout.as_duration(),
        })
    }
}

pub(crate) fn time_in_range(
    field: &'static str,
    value: Millis,
    range: RangeInclusive<Duration>,
) -> Result<(), ConfigError> {
    if range.contains(&value.as_duration()) {
        return Ok(());
    }
    Err(ConfigError::OutOfRange {
        field,
        value: value.0,
        min: range.start().as_millis() as u64,
        max: range.end().as_millis() as u64,
    })
}

pub(crate) fn in_range(
    field: &'static str,
    value: usize,
    range: RangeInclusive<usize>,
) -> Result<(), ConfigError> {
    if range.contains(&value) {
        return Ok(());
    }
    let (min, max) = (*range.start() as u64, *range.end() as u64);
    Err(ConfigError::OutOfRange {
        field,
        value: value as u64,
        min,
        max,
    })
}

/// YAML writes times as text with a unit (`"10s"`).
pub(crate) fn millis_from_text<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Millis, D::Error> {
    String::deserialize(deserializer)?
        .parse()
        .map_err(serde::de::Error::custom)
}

fn ttl_from_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Ttl, D::Error> {
    String::deserialize(deserializer)?
        .parse()
        .map_err(serde::de::Error::custom)
}

pub(crate) fn as_text<T: std::fmt::Display, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

#[cfg(test)]
mod tests;
