//! What the DNS room tells the admin API, crossing by the binary's wiring: rooms of one rank do not
//! import each other.
//!
//! Facts cross as JSON, because that is what they become here; their shapes are the DNS room's.

use std::net::IpAddr;

use meridian_topology::ServiceId;
use serde_json::Value;

/// The names of one page of `/v1/dns/names`.
#[derive(Debug, Clone, Default)]
pub struct NamesPage {
    /// Only names behind this one, in alphabetical order.
    pub after: Option<String>,
    /// Most names of the page; the room has a bound of its own.
    pub limit: Option<usize>,
    /// Only names of this service.
    pub service: Option<ServiceId>,
    /// Only names that contain this.
    pub contains: Option<String>,
}

/// A question to play.
#[derive(Debug, Clone)]
pub struct DnsQuestion {
    /// The name, with or without its final dot.
    pub name: String,
    /// The record type, as a word: `A`, `AAAA`, `HTTPS`.
    pub rtype: String,
    /// The client.
    pub client: IpAddr,
}

/// The DNS room as the API sees it. Every call works off the packet path and may take a moment.
pub trait DnsFacts: Send + Sync + 'static {
    /// Zones, problems, counters and what flaps: `GET /v1/dns`.
    fn summary(&self) -> Value;

    /// Steered names with members and the answers of each continent: `GET /v1/dns/names`.
    fn names(&self, page: &NamesPage) -> Value;

    /// What a client would be answered at this moment, and why: `GET /v1/dns/query`.
    ///
    /// # Errors
    /// A sentence for whoever asked.
    fn query(&self, question: &DnsQuestion) -> Result<Value, String>;

    /// Secondary zones, and zones that take updates: `GET /v1/dns/zones`.
    fn zones(&self) -> Value;

    /// Asks primaries about one secondary zone now, or about all; says of how many:
    /// `POST /v1/dns/zones/refresh`.
    ///
    /// # Errors
    /// A sentence for whoever asked.
    fn refresh(&self, zone: Option<&str>) -> Result<usize, String>;

    /// What DNS adds to an explanation: names, answers, TTL and scope, each with its reason.
    fn surface(&self, service: &ServiceId, client: IpAddr) -> Value;
}
