//! DNS zones.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::door::Field;
use crate::model::{DnsName, RecordKind};
use crate::units::{Millis, Ttl};

/// A zone that Meridian answers for.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DnsZone")]
pub struct RawZone {
    /// Its apex.
    pub origin: Field<DnsName>,
    /// The time to live of records that name none. Default 5m.
    pub ttl: Option<Field<Ttl>>,
    /// Its start of authority.
    pub soa: RawSoa,
    /// Its name servers.
    pub ns: Vec<Field<DnsName>>,
    /// Its static records; the names of services are answered beside them.
    #[serde(default)]
    pub records: Vec<RawRecord>,
}

/// The start of authority (RFC 1035, RFC 2308).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Soa")]
pub struct RawSoa {
    /// The primary name server.
    pub mname: Field<DnsName>,
    /// The mailbox of the responsible person: `hostmaster.example.com`.
    pub rname: Field<DnsName>,
    /// The serial. Default: derived from the plan, so that it grows with every change.
    pub serial: Option<Field<u32>>,
    /// How often secondaries look. Default 1h.
    pub refresh: Option<Field<Millis>>,
    /// How soon they look again after a failure. Default 10m.
    pub retry: Option<Field<Millis>>,
    /// When they stop answering without the primary. Default 14d.
    pub expire: Option<Field<Millis>>,
    /// How long a negative answer may be cached. Default 1m.
    pub minimum: Option<Field<Ttl>>,
}

/// A static record.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Record")]
pub struct RawRecord {
    /// Its owner relative to the zone: `www`, `*.dev`, or `@` for the apex.
    pub name: Field<String>,
    /// Its type: `A`, `SRV`, `CAA`, `HTTPS`, …; `TYPE65280` is a type without a name (RFC 3597).
    #[serde(rename = "type")]
    pub rtype: Field<RecordKind>,
    /// How long it may be cached. Default: the zone's.
    pub ttl: Option<Field<Ttl>>,
    /// What it says, as in a zone file: an address, an absolute name, `10 mail.example.com` for MX,
    /// `0 issue "ca.example.net"` for CAA, `\# 2 0102` for any type. A TXT is the text itself.
    pub data: Field<String>,
}
