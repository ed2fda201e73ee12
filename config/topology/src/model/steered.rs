//! Records other than addresses that a service's picks fill: SRV, HTTPS and SVCB.

use serde::{Deserialize, Serialize};

use super::DnsName;
use crate::words;

words! {
    /// What an SRV record leads to.
    SrvTarget, "kind of SRV target" {
        /// One endpoint.
        Endpoint = "endpoint",
        /// The endpoints of one region.
        Region = "region",
    }, default Endpoint
}

/// A name that answers SRV (RFC 2782).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SrvName {
    /// The name: `_sip._udp.example.com`.
    pub name: DnsName,
    /// What its records lead to.
    pub per: SrvTarget,
    /// Their targets are one label below this: the id of the endpoint or region.
    pub targets: DnsName,
    /// The port to say; the endpoint's own when absent.
    pub port: Option<u16>,
    /// The priority of the endpoints that share the clients; stand-ins have one more.
    pub priority: u16,
    /// How many records one answer holds at most.
    pub at_most: u8,
    /// The fewest for which an answer stays in the regions it began with.
    pub at_least: Option<u8>,
}

impl SrvName {
    /// The priority of records that name none.
    pub const DEFAULT_PRIORITY: u16 = 10;
}

/// What an HTTPS or SVCB record says (RFC 9460).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Svcb {
    /// Lower is tried first; 1 to 65535.
    pub priority: u16,
    /// The name that serves; the record's own when absent.
    pub target: Option<DnsName>,
    /// Protocols by their registered names, in order of preference.
    pub alpn: Vec<String>,
    /// The port, when it is not the protocol's usual one.
    pub port: Option<u16>,
    /// How many addresses of each family are given as hints; 0 is none.
    pub hints: u8,
    /// The encrypted client hello configuration, as it goes on the wire; empty is none.
    pub ech: Vec<u8>,
}

impl Svcb {
    /// The most protocols of one record.
    pub const MAX_ALPN: usize = 8;
    /// The longest name of a protocol (RFC 9460 section 7.1.1).
    pub const MAX_ALPN_LEN: usize = 255;
    /// The longest encrypted client hello configuration.
    pub const MAX_ECH_LEN: usize = 1_024;
}

/// A name that answers SVCB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SvcbName {
    /// The name: `_dns.resolver.example.com`.
    pub name: DnsName,
    /// What it says.
    pub record: Svcb,
}
