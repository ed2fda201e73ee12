//! SRV, HTTPS and SVCB records of services.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::door::Field;
use crate::model::{DnsName, SrvTarget};

/// A name that answers SRV with the endpoints picked.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SrvName")]
pub struct RawSrv {
    /// The name: `_sip._udp.example.com`, inside one of `dns_zones`.
    pub name: Field<DnsName>,
    /// What each record leads to. Default `endpoint`.
    pub per: Option<Field<SrvTarget>>,
    /// Targets are one label below this name: `fra-1.nodes.example.com` with `nodes.example.com`, for
    /// the endpoint `fra-1`. They are answered, too: an endpoint's name with its address, a region's
    /// with endpoints of the service there. Inside one of `dns_zones`.
    pub targets: Field<DnsName>,
    /// The port to say. Default: the endpoint's.
    pub port: Option<Field<u16>>,
    /// The priority of those that share the clients; stand-ins get one more. Default 10.
    pub priority: Option<Field<u16>>,
    /// How many records one answer holds at most, 1 to 8. Default 8.
    pub at_most: Option<Field<u8>>,
    /// While an answer has fewer records than this, endpoints of other regions join it. Default: as
    /// `at_most`.
    pub at_least: Option<Field<u8>>,
}

/// What an HTTPS or SVCB record says (RFC 9460).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ServiceBinding")]
pub struct RawSvcb {
    /// Lower is tried first, 1 to 65535. Default 1.
    pub priority: Option<Field<u16>>,
    /// The name that serves. Default: the record's own name.
    pub target: Option<Field<DnsName>>,
    /// Protocols by their registered names: `[h3, h2]`. Default: only the protocol's own.
    #[serde(default)]
    pub alpn: Vec<Field<String>>,
    /// The port, when it is not the usual one (443 for HTTPS).
    pub port: Option<Field<u16>>,
    /// How many addresses of each family go along as hints, 0 to 8, from the same picks as A and AAAA.
    /// Default: as many as `answer` holds.
    pub hints: Option<Field<u8>>,
    /// The encrypted client hello configuration list in base64.
    pub ech: Option<Field<String>>,
}

/// A name that answers SVCB with the endpoints picked.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SvcbName")]
pub struct RawSvcbName {
    /// The name: `_dns.resolver.example.com`, inside one of `dns_zones`.
    pub name: Field<DnsName>,
    /// What it says.
    pub record: RawSvcb,
}
