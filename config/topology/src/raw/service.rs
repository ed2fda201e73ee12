//! Services.

use std::net::{IpAddr, SocketAddr};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    RawAffinity, RawCheck, RawClients, RawCompression, RawFault, RawHeaderRules, RawMatch,
    RawRateLimit, RawRedirect, RawRewrite, RawSrv, RawSvcb, RawSvcbName, RawTraffic,
    RawTrafficSplit,
};
use crate::door::{Field, Spanned};
use crate::ids::{PolicyId, RegionId, ServiceId};
use crate::model::{
    DnsName, Forwarded, HostPattern, Method, PathMatch, Priority, ProxyProtocolIn,
    ProxyProtocolOut, RetryOn, VipProtocol,
};
use crate::units::{ByteCount, Millis, Ttl};

/// What clients ask for, by a DNS name, an HTTP host, a port or a virtual address.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Service")]
pub struct RawService {
    /// Its name, unique among services.
    pub id: Field<ServiceId>,
    /// The policy that chooses its endpoints: the name of one in `policies/`.
    pub policy: Field<PolicyId>,
    /// Its names in DNS.
    pub dns: Option<RawServiceDns>,
    /// How each node spreads and bounds its HTTP requests.
    pub traffic: Option<RawTraffic>,
    /// Its HTTP hosts and paths.
    #[serde(default)]
    pub http: Vec<Spanned<RawRoute>>,
    /// Its TCP ports, passed through.
    #[serde(default)]
    pub tcp: Vec<RawTcpListener>,
    /// Its UDP ports, passed through.
    #[serde(default)]
    pub udp: Vec<RawUdpListener>,
    /// Its virtual addresses on the packet path.
    #[serde(default)]
    pub vips: Vec<RawVip>,
    /// Checks of its endpoints; endpoints with checks of their own are not checked by these.
    #[serde(default)]
    pub health_checks: Vec<Spanned<RawCheck>>,
}

/// How a service appears in DNS.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ServiceDns")]
pub struct RawServiceDns {
    /// Its names. Each lies inside one of `dns_zones`.
    pub names: Vec<Field<DnsName>>,
    /// How long answers may be cached: failover through DNS takes as long. Default 30s.
    pub ttl: Option<Field<Ttl>>,
    /// What answers hold. Default `addresses: { at_most: 1 }`.
    pub answer: Option<RawAnswer>,
    /// Names that answer SRV with the endpoints picked.
    #[serde(default)]
    pub srv: Vec<RawSrv>,
    /// What its names answer to HTTPS (RFC 9460).
    pub https: Option<Spanned<RawSvcb>>,
    /// Names that answer SVCB (RFC 9460).
    #[serde(default)]
    pub svcb: Vec<RawSvcbName>,
}

impl RawServiceDns {
    /// Every name that the service answers for, but the targets of its SRV records.
    pub(crate) fn all_names(&self) -> impl Iterator<Item = &Field<DnsName>> {
        let srv = self.srv.iter().map(|srv| &srv.name);
        let svcb = self.svcb.iter().map(|svcb| &svcb.name);
        self.names.iter().chain(srv).chain(svcb)
    }
}

/// What answers hold.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Answer")]
pub enum RawAnswer {
    /// The addresses of the endpoints picked.
    Addresses(RawAddresses),
    /// The name of the region picked.
    Cname(Vec<RawCnameTarget>),
}

/// The addresses of the endpoints picked.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Addresses")]
pub struct RawAddresses {
    /// How many addresses one answer holds at most, 1 to 8. Default 1.
    pub at_most: Option<Field<u8>>,
    /// While an answer has fewer addresses than this, other regions join it: those that share the
    /// clients, then the stand-ins in order. With this many or more it takes no further region. 1 to
    /// `at_most`. Default: as `at_most`.
    pub at_least: Option<Field<u8>>,
}

/// The name that stands for a region.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CnameTarget")]
pub struct RawCnameTarget {
    /// The region.
    pub region: Field<RegionId>,
    /// Its name.
    pub name: Field<DnsName>,
}

/// An HTTP route. The most specific host wins, then the longest path.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "HttpRoute")]
pub struct RawRoute {
    /// Its hosts: `shop.example.com`, `*.example.com` or `*`.
    pub hosts: Vec<Field<HostPattern>>,
    /// Its paths: those that begin with this. Default `/`.
    pub path_prefix: Option<Field<String>>,
    /// Whether the path is a prefix or the whole. Default `prefix`.
    pub path_match: Option<Field<PathMatch>>,
    /// Its methods. Default all.
    #[serde(default)]
    pub methods: Vec<Field<Method>>,
    /// What a request must have beside host, path and method. Of routes with one host and path, those that
    /// ask for more come first. Default nothing.
    #[serde(rename = "match")]
    pub conditions: Option<RawMatch>,
    /// Which clients it serves; others get 403. Default all.
    pub clients: Option<RawClients>,
    /// Compresses answers for clients that take them. Default: none.
    pub compression: Option<RawCompression>,
    /// The most bytes of a request's body; a longer one gets 413. Default: no bound.
    pub max_body: Option<Field<ByteCount>>,
    /// How long each part of an exchange may take.
    pub timeouts: Option<RawTimeouts>,
    /// When and how often a request is tried on another endpoint.
    pub retries: Option<RawRetries>,
    /// What is done with forwarded headers. Default `append`.
    pub forwarded: Option<Field<Forwarded>>,
    /// Who is refused first when the service's `max_in_flight` is near. Default `default`.
    pub priority: Option<Field<Priority>>,
    /// What keeps a client at its endpoint, beside the policy's stickiness.
    pub affinity: Option<Spanned<RawAffinity>>,
    /// Where it sends clients that are not there already, instead of serving them.
    pub redirect: Option<Spanned<RawRedirect>>,
    /// What the upstream is asked for, where that is not what the client asked for.
    pub rewrite: Option<RawRewrite>,
    /// What is done to the header fields of a request.
    pub request_headers: Option<Spanned<RawHeaderRules>>,
    /// What is done to the header fields of a response.
    pub response_headers: Option<Spanned<RawHeaderRules>>,
    /// Services that take a share of its clients; the rest is this service's own.
    #[serde(default)]
    pub split: Vec<RawTrafficSplit>,
    /// A service that gets copies of a share of its requests; its answers are thrown away.
    pub mirror: Option<RawTrafficSplit>,
    /// How many requests it takes.
    pub rate_limit: Option<Spanned<RawRateLimit>>,
    /// Harm done on purpose, to see what clients make of it.
    pub fault: Option<RawFault>,
}

/// How long each part of an exchange may take.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Timeouts")]
pub struct RawTimeouts {
    /// Until the upstream connection stands. Default 500ms.
    pub connect: Option<Field<Millis>>,
    /// Until the first byte of the response. Default 10s.
    pub first_byte: Option<Field<Millis>>,
    /// Until the exchange is over, retries included; `0s` is without end, for long downloads and streams,
    /// which `first_byte` still bounds by their silence. Default 60s.
    pub total: Option<Field<Millis>>,
}

/// When and how often a request is tried on another endpoint.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Retries")]
pub struct RawRetries {
    /// Further attempts after the first, 0 to 5. Default 2.
    pub attempts: Option<Field<u8>>,
    /// What is retried. Default `[connect_failure, reset, gateway]`.
    pub on: Option<Vec<Field<RetryOn>>>,
}

/// A TCP port that is passed through.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TcpListener")]
pub struct RawTcpListener {
    /// Where it listens: address and port.
    pub listen: Field<SocketAddr>,
    /// TLS clients that ask for one of these names (SNI): `shop.example.com`, `*.example.com`. TLS is
    /// passed through. Several services may share an address, each with names of its own; one of them may
    /// have none and gets whom the others do not name. Default: everybody.
    #[serde(default)]
    pub server_names: Vec<Field<HostPattern>>,
    /// Whether clients send the PROXY protocol. Default `off`.
    pub proxy_protocol_in: Option<Field<ProxyProtocolIn>>,
    /// Whether endpoints are sent the PROXY protocol. Default `off`.
    pub proxy_protocol_out: Option<Field<ProxyProtocolOut>>,
    /// When a silent connection is closed. Default 5m.
    pub idle_timeout: Option<Field<Millis>>,
    /// Until the upstream connection stands. Default 500ms.
    pub connect_timeout: Option<Field<Millis>>,
}

/// A UDP port that is passed through.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "UdpListener")]
pub struct RawUdpListener {
    /// Where it listens: address and port.
    pub listen: Field<SocketAddr>,
    /// When a silent session is forgotten. Default 30s.
    pub idle_timeout: Option<Field<Millis>>,
    /// How many sessions are kept at once. Default 65536.
    pub max_sessions: Option<Field<u32>>,
}

/// An address that stands for a service on the packet path.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Vip")]
pub struct RawVip {
    /// The address.
    pub address: Field<IpAddr>,
    /// The port.
    pub port: Field<u16>,
    /// The protocol. Default `tcp`.
    pub protocol: Option<Field<VipProtocol>>,
}
