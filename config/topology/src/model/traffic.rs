//! How the HTTP proxy treats a service's requests: spread, bounds, rules.

use std::fmt;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::DnsName;
use crate::ids::ServiceIdx;
use crate::units::{ByteCount, Millis, Ratio};
use crate::words;

words! {
    /// Which endpoint of the chosen region gets a request.
    Balance, "way to balance" {
        /// The one that the client's key falls to: by the policy's stickiness, else by chance.
        Hash = "hash",
        /// Of two drawn by weight, the one with fewer requests in flight.
        LeastRequest = "least_request",
        /// Of two drawn by weight, the one whose latency × requests in flight is lower.
        PeakEwma = "peak_ewma",
    }, default Hash
}

words! {
    /// Who is refused first when a service is full.
    Priority, "priority" {
        /// Refused only at the limit itself.
        Critical = "critical",
        /// Refused from 90 % of the limit.
        Default = "default",
        /// Refused from 70 % of the limit.
        Sheddable = "sheddable",
    }, default Default
}

/// How much of a service's load retries may be, at one node.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RetryBudget {
    /// Share of the requests of the last ten seconds.
    pub share: Ratio,
    /// So many a second are allowed beside that, so that a quiet service can retry at all.
    pub at_least: u32,
}

impl RetryBudget {
    /// The highest `at_least`.
    pub const MAX_AT_LEAST: u32 = 1_000_000;
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self {
            share: Ratio::new(0.2).unwrap_or(Ratio::ZERO),
            at_least: 10,
        }
    }
}

/// How each node spreads and bounds a service's HTTP requests.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// Which endpoint of the chosen region gets a request.
    pub balance: Balance,
    /// Requests of the service on their way through a node at once; `None` is without bound.
    pub max_in_flight: Option<u32>,
    /// Requests at one endpoint at once from a node; an endpoint that has so many is passed over.
    pub max_in_flight_per_endpoint: Option<u32>,
    /// Bound of the retries.
    pub retry_budget: RetryBudget,
    /// How its endpoints are spoken to; `None` is clear text.
    #[serde(default)]
    pub tls: Option<UpstreamTls>,
}

/// TLS to a service's endpoints. The files are the node's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamTls {
    /// Asked for (SNI), and what the endpoint's certificate must be for.
    pub server_name: DnsName,
    /// PEM file with the authorities that are believed; `None` is the system's.
    pub authorities: Option<String>,
    /// PEM files of the chain and the private key that are shown to endpoints that ask.
    pub identity: Option<(String, String)>,
}

/// Why a text is no header field's name or value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Not a token (RFC 9110, section 5.1).
    #[error("`{0}` is no header field's name: it may hold letters, digits and !#$%&'*+-.^_`|~")]
    Name(String),
    /// A field that belongs to the connection or frames the message.
    #[error(
        "the field `{0}` is the proxy's own: it frames the message or belongs to the connection"
    )]
    Own(String),
    /// A character that no field value has (RFC 9110, section 5.5).
    #[error("a header field's value may hold visible ASCII characters, blanks and tabs only")]
    Value,
    /// The name or value is too long.
    #[error("at most {HEADER_LEN_MAX} characters are allowed")]
    TooLong,
}

/// The longest name or value of a header field in a rule.
pub const HEADER_LEN_MAX: usize = 4_096;

/// Fields that no rule may touch: they frame a message, belong to a hop, or name the target
/// (a route's `rewrite` does that).
const OWN_FIELDS: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// A header field's name, in lower case; none of those that frame a message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HeaderName(String);

impl HeaderName {
    /// The name, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for HeaderName {
    type Err = HeaderError;

    fn from_str(text: &str) -> Result<Self, HeaderError> {
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if text.is_empty() || !text.bytes().all(is_token) {
            return Err(HeaderError::Name(text.to_owned()));
        }
        if text.len() > HEADER_LEN_MAX {
            return Err(HeaderError::TooLong);
        }
        let name = text.to_ascii_lowercase();
        if OWN_FIELDS.contains(&name.as_str()) {
            return Err(HeaderError::Own(name));
        }
        Ok(Self(name))
    }
}

impl TryFrom<String> for HeaderName {
    type Error = HeaderError;

    fn try_from(text: String) -> Result<Self, HeaderError> {
        text.parse()
    }
}

impl From<HeaderName> for String {
    fn from(name: HeaderName) -> Self {
        name.0
    }
}

/// A header field's value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HeaderValue(String);

impl HeaderValue {
    /// The value as it is sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HeaderValue {
    type Err = HeaderError;

    fn from_str(text: &str) -> Result<Self, HeaderError> {
        let is_sent = |byte: u8| byte == b'\t' || (b' '..=b'~').contains(&byte);
        if !text.bytes().all(is_sent) {
            return Err(HeaderError::Value);
        }
        if text.len() > HEADER_LEN_MAX {
            return Err(HeaderError::TooLong);
        }
        Ok(Self(text.trim_matches([' ', '\t']).to_owned()))
    }
}

impl TryFrom<String> for HeaderValue {
    type Error = HeaderError;

    fn try_from(text: String) -> Result<Self, HeaderError> {
        text.parse()
    }
}

impl From<HeaderValue> for String {
    fn from(value: HeaderValue) -> Self {
        value.0
    }
}

/// What is done to the header fields of a message, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderRules {
    /// Fields that do not pass.
    pub remove: Vec<HeaderName>,
    /// Fields that have this value, whatever came.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Fields that are there beside those that came.
    pub add: Vec<(HeaderName, HeaderValue)>,
}

impl HeaderRules {
    /// The most rules of a list.
    pub const MAX: usize = 64;
}

/// What keeps a client at its endpoint, beside the policy's stickiness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Affinity {
    /// Requests with the same value of this field go to the same endpoint.
    Header(HeaderName),
    /// Clients are given this cookie; its value decides from then on.
    Cookie(HeaderName),
}

/// An answer that sends the client elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirect {
    /// The status: 301, 302, 303, 307 or 308.
    pub status: u16,
    /// `http` or `https`; `None` is the request's own.
    pub scheme: Option<super::Scheme>,
    /// The host; `None` is the request's own.
    pub host: Option<DnsName>,
    /// The port; `None` is the scheme's usual one.
    pub port: Option<u16>,
    /// What stands in the place of the route's `path_prefix`; `None` leaves it.
    pub path_prefix: Option<String>,
}

impl Redirect {
    /// The statuses that send a client elsewhere (RFC 9110, section 15.4).
    pub const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];
}

/// What the upstream is asked for, where that is not what the client asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewrite {
    /// The host; `None` leaves the client's.
    pub host: Option<DnsName>,
    /// What stands in the place of the route's `path_prefix`; `None` leaves it.
    pub path_prefix: Option<String>,
}

/// Another service that takes a share of a route's clients.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TrafficSplit {
    /// Which.
    pub service: ServiceIdx,
    /// Its share.
    pub share: Ratio,
}

/// Whose requests are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RateKey {
    /// Everybody's.
    Route,
    /// Those of one client: an IPv4 address or an IPv6 /64.
    Client,
    /// Those with one value of a header field; requests without it are one client's.
    Header(HeaderName),
}

/// How many requests a route takes at one node.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RateLimit {
    /// So many...
    pub requests: u32,
    /// ...in this time.
    pub per: Millis,
    /// So many at once after a pause.
    pub burst: u32,
    /// Whose requests are counted together.
    pub key: RateKey,
}

impl RateLimit {
    /// The most requests and the largest burst.
    pub const MAX_REQUESTS: u32 = 10_000_000;
}

/// Harm done on purpose, to see what clients make of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// How long a request waits, and which share of them.
    pub delay: Option<(Millis, Ratio)>,
    /// What is answered in place of the upstream, and to which share of the requests.
    pub abort: Option<(u16, Ratio)>,
}

/// What a request must have beside host, path and method to take a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// A header field, with this value or any.
    Header(HeaderName, Option<String>),
    /// A cookie, with this value or any.
    Cookie(HeaderName, Option<String>),
    /// A parameter of the query, with this value or any; compared as it was sent.
    Query(String, Option<String>),
}

/// Which clients a route serves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientRules {
    /// Only these; empty is all.
    pub allow: Vec<IpNet>,
    /// Not these.
    pub deny: Vec<IpNet>,
}

impl ClientRules {
    /// The most networks of a list.
    pub const MAX: usize = 256;
}

words! {
    /// How a route's path is compared.
    PathMatch, "way to compare paths" {
        /// The request's path begins with it, segment by segment.
        Prefix = "prefix",
        /// The request's path is it.
        Exact = "exact",
    }, default Prefix
}

words! {
    /// A coding of content (RFC 9110, section 8.4.1; brotli: RFC 7932; zstd: RFC 8878).
    Coding, "coding" {
        /// Zstandard.
        Zstd = "zstd",
        /// Brotli.
        Brotli = "br",
        /// gzip.
        Gzip = "gzip",
    }
}

/// Which answers of a route are compressed, for clients that take them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compression {
    /// In which codings, best first.
    pub codings: Vec<Coding>,
    /// Of which media types; `*` at the beginning or the end stands for anything.
    pub types: Vec<String>,
    /// Shorter ones are left alone.
    pub min: ByteCount,
}

impl Default for Compression {
    fn default() -> Self {
        let types = [
            "text/*",
            "application/json",
            "application/javascript",
            "application/xml",
            "application/wasm",
            "image/svg+xml",
            "*+json",
            "*+xml",
        ];
        Self {
            codings: Coding::ALL.to_vec(),
            types: types.map(str::to_owned).to_vec(),
            min: ByteCount(1_024),
        }
    }
}
