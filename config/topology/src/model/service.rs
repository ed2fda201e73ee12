//! What clients ask for: names, hosts and paths, listeners, virtual addresses.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::{
    Affinity, ClientRules, Compression, Condition, DnsName, Fault, HeaderRules, HealthCheck,
    PathMatch, Priority, RateLimit, Redirect, Rewrite, SrvName, Svcb, SvcbName, Traffic,
    TrafficSplit,
};
use crate::ids::{PolicyId, RegionIdx, ServiceId};
use crate::units::{ByteCount, Millis, Ttl};
use crate::words;

/// What a service's names are answered with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DnsAnswer {
    /// The addresses of the endpoints picked.
    Addresses {
        /// How many addresses one answer holds at most.
        at_most: u8,
        /// The fewest for which an answer stays in the regions it began with.
        at_least: Option<u8>,
    },
    /// A name for the region picked.
    Cname {
        /// The name of each region, sorted by region.
        targets: Vec<(RegionIdx, DnsName)>,
    },
}

/// How a service appears in DNS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceDns {
    /// Its names, each inside one of the topology's zones.
    pub names: Vec<DnsName>,
    /// How long answers may be cached.
    pub ttl: Ttl,
    /// What they hold.
    pub answer: DnsAnswer,
    /// Names that answer SRV.
    pub srv: Vec<SrvName>,
    /// What the names answer to HTTPS.
    pub https: Option<Svcb>,
    /// Names that answer SVCB.
    pub svcb: Vec<SvcbName>,
}

impl ServiceDns {
    /// The time to live of answers that name none: failover through DNS takes this long.
    pub const DEFAULT_TTL: Ttl = Ttl(30);
    /// The most addresses in one answer: as many as fit into 512 bytes beside a long name.
    pub const MAX_ADDRESSES: u8 = 8;
}

/// A host that a route answers to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum HostPattern {
    /// This name.
    Exact(DnsName),
    /// Every name below this one: `*.example.com`.
    Suffix(DnsName),
    /// Every host: `*`.
    Any,
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => name.fmt(f),
            Self::Suffix(name) => write!(f, "*.{name}"),
            Self::Any => f.write_str("*"),
        }
    }
}

words! {
    /// A request method that a route can ask for.
    Method, "method" {
        /// GET.
        Get = "GET",
        /// HEAD.
        Head = "HEAD",
        /// POST.
        Post = "POST",
        /// PUT.
        Put = "PUT",
        /// DELETE.
        Delete = "DELETE",
        /// PATCH.
        Patch = "PATCH",
        /// OPTIONS.
        Options = "OPTIONS",
    }
}

words! {
    /// What makes a proxy try another endpoint.
    RetryOn, "retry reason" {
        /// No connection came about: nothing was sent, so every method may be retried.
        ConnectFailure = "connect_failure",
        /// The connection broke before a response began; idempotent methods only.
        Reset = "reset",
        /// No response began in time; idempotent methods only.
        Timeout = "timeout",
        /// 502, 503 or 504; idempotent methods only.
        Gateway = "gateway",
        /// Any status from 500; idempotent methods only.
        Status5xx = "status_5xx",
    }
}

words! {
    /// What proxies do with `X-Forwarded-For`, `-Proto` and `-Host`.
    Forwarded, "forwarded-header mode" {
        /// Append the client's address to what came from trusted hops; drop the rest.
        Append = "append",
        /// Send only what this proxy saw.
        Replace = "replace",
        /// Send none.
        Remove = "remove",
    }, default Append
}

/// How long each part of an exchange may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// Until the upstream connection stands.
    pub connect: Millis,
    /// Until the first byte of the response.
    pub first_byte: Millis,
    /// Until the exchange is over, retries included; 0 is without end.
    pub total: Millis,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Millis(500),
            first_byte: Millis(10_000),
            total: Millis(60_000),
        }
    }
}

/// When and how often a request is tried elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retries {
    /// Further attempts after the first; 0 is never.
    pub attempts: u8,
    /// What is retried.
    pub on: Vec<RetryOn>,
}

impl Retries {
    /// The most further attempts: more would multiply an outage's load.
    pub const MAX_ATTEMPTS: u8 = 5;
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            attempts: 2,
            on: vec![RetryOn::ConnectFailure, RetryOn::Reset, RetryOn::Gateway],
        }
    }
}

/// One HTTP route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HttpRoute {
    /// Its hosts; never empty.
    pub hosts: Vec<HostPattern>,
    /// Its paths: those that begin with this, segment by segment. Begins with `/`.
    pub path_prefix: String,
    /// How it compares them.
    #[serde(default)]
    pub path_match: PathMatch,
    /// Its methods; empty is all.
    pub methods: Vec<Method>,
    /// What a request must have beside that.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// Which clients it serves.
    #[serde(default)]
    pub clients: ClientRules,
    /// Which answers are compressed; `None` is none.
    #[serde(default)]
    pub compression: Option<Compression>,
    /// The most bytes of a request's body; `None` is without bound.
    #[serde(default)]
    pub max_body: Option<ByteCount>,
    /// Its patience.
    pub timeouts: Timeouts,
    /// Its persistence.
    pub retries: Retries,
    /// What it tells the upstream of the client.
    pub forwarded: Forwarded,
    /// Who is refused first when the service is full.
    #[serde(default)]
    pub priority: Priority,
    /// What keeps a client at its endpoint.
    #[serde(default)]
    pub affinity: Option<Affinity>,
    /// Where it sends clients instead of serving them.
    #[serde(default)]
    pub redirect: Option<Redirect>,
    /// What the upstream is asked for instead.
    #[serde(default)]
    pub rewrite: Rewrite,
    /// What is done to the request's header fields.
    #[serde(default)]
    pub request_headers: HeaderRules,
    /// What is done to the response's header fields.
    #[serde(default)]
    pub response_headers: HeaderRules,
    /// Services that take a share of its clients; the rest is the service's own.
    #[serde(default)]
    pub split: Vec<TrafficSplit>,
    /// A service that gets copies of a share of its requests.
    #[serde(default)]
    pub mirror: Option<TrafficSplit>,
    /// How many requests it takes.
    #[serde(default)]
    pub rate_limit: Option<RateLimit>,
    /// Harm done on purpose.
    #[serde(default)]
    pub fault: Fault,
}

words! {
    /// Whether a listener expects the PROXY protocol.
    ProxyProtocolIn, "PROXY protocol mode" {
        /// The client is the peer.
        Off = "off",
        /// Read a header when there is one. Trusted sources only.
        Optional = "optional",
        /// Close connections without a header.
        Required = "required",
    }, default Off
}

words! {
    /// Whether an upstream is sent the PROXY protocol.
    ProxyProtocolOut, "PROXY protocol version" {
        /// Nothing is sent.
        Off = "off",
        /// The text header.
        V1 = "v1",
        /// The binary header.
        V2 = "v2",
    }, default Off
}

/// A TCP port that is passed through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpListener {
    /// Where it listens.
    pub listen: SocketAddr,
    /// TLS clients that ask for one of these names; empty is everybody whom no other listener of the
    /// same address names.
    #[serde(default)]
    pub server_names: Vec<HostPattern>,
    /// What it expects of clients.
    pub proxy_protocol_in: ProxyProtocolIn,
    /// What it sends upstream.
    pub proxy_protocol_out: ProxyProtocolOut,
    /// When a silent connection is closed.
    pub idle_timeout: Millis,
    /// Until the upstream connection stands.
    pub connect_timeout: Millis,
}

impl TcpListener {
    /// The idle timeout of a listener that names none.
    pub const DEFAULT_IDLE_TIMEOUT: Millis = Millis(300_000);
    /// The connect timeout of a listener that names none.
    pub const DEFAULT_CONNECT_TIMEOUT: Millis = Millis(500);
}

/// A UDP port that is passed through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UdpListener {
    /// Where it listens.
    pub listen: SocketAddr,
    /// When a silent session is forgotten.
    pub idle_timeout: Millis,
    /// How many sessions are kept at once.
    pub max_sessions: u32,
}

impl UdpListener {
    /// The idle timeout of a listener that names none.
    pub const DEFAULT_IDLE_TIMEOUT: Millis = Millis(30_000);
    /// The session bound of a listener that names none.
    pub const DEFAULT_MAX_SESSIONS: u32 = 65_536;
}

words! {
    /// The protocol of a virtual address.
    VipProtocol, "protocol" {
        /// TCP.
        Tcp = "tcp",
        /// UDP.
        Udp = "udp",
    }
}

/// An address that stands for a service on the packet path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vip {
    /// The address.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// The protocol.
    pub protocol: VipProtocol,
}

/// What clients ask for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Its name.
    pub id: ServiceId,
    /// How its endpoints are chosen.
    pub policy: PolicyId,
    /// How it appears in DNS.
    pub dns: Option<ServiceDns>,
    /// How each node spreads and bounds its HTTP requests.
    #[serde(default)]
    pub traffic: Traffic,
    /// Its HTTP routes.
    pub http: Vec<HttpRoute>,
    /// Its TCP ports.
    pub tcp: Vec<TcpListener>,
    /// Its UDP ports.
    pub udp: Vec<UdpListener>,
    /// Its virtual addresses.
    pub vips: Vec<Vip>,
    /// The checks of its endpoints that have none of their own.
    pub health_checks: Vec<HealthCheck>,
}
