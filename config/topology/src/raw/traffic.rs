//! How the HTTP proxy treats a service's requests.

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::door::{Field, Mistake, Scalar};
use crate::ids::ServiceId;
use crate::model::{Balance, Coding, DnsName, HeaderName, HeaderValue, Scheme};
use crate::units::{ByteCount, Millis, Ratio};

/// How each node spreads and bounds a service's HTTP requests.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Traffic")]
pub struct RawTraffic {
    /// Which endpoint of the chosen region gets a request. Default `hash`.
    pub balance: Option<Field<Balance>>,
    /// Requests of the service on their way through a node at once; what comes beyond is answered 503
    /// at once, by the routes' `priority`. Default: no bound.
    pub max_in_flight: Option<Field<u32>>,
    /// Requests at one endpoint at once, from one node. An endpoint that has so many is passed over;
    /// when all have, the answer is 503. Default: no bound.
    pub max_in_flight_per_endpoint: Option<Field<u32>>,
    /// How much of the load retries may be.
    pub retry_budget: Option<RawRetryBudget>,
    /// TLS to its endpoints. Default: clear text.
    pub tls: Option<RawUpstreamTls>,
}

/// TLS to a service's endpoints. Files are read by each node, again when they change.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "UpstreamTls")]
pub struct RawUpstreamTls {
    /// The name that is asked for (SNI), and that the endpoint's certificate must be for.
    pub server_name: Field<DnsName>,
    /// PEM file with the certificates of the authorities that are believed. Default: the system's.
    pub ca: Option<Field<String>>,
    /// PEM file with the certificate chain that is shown to endpoints that ask for one.
    pub certificate: Option<Field<String>>,
    /// PEM file with its private key.
    pub key: Option<Field<String>>,
}

/// How much of a service's load retries may be, at one node.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RetryBudget")]
pub struct RawRetryBudget {
    /// Share of the requests of the last ten seconds. Default 20%.
    pub share: Option<Field<Ratio>>,
    /// So many a second are allowed beside that. Default 10.
    pub at_least: Option<Field<u32>>,
}

/// What is done to the header fields of a message: removed, then set, then added.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "HeaderRules")]
pub struct RawHeaderRules {
    /// Fields that do not pass.
    #[serde(default)]
    pub remove: Vec<Field<HeaderName>>,
    /// Fields that have this value, whatever came.
    #[serde(default)]
    pub set: Vec<RawHeader>,
    /// Fields that are there beside those that came.
    #[serde(default)]
    pub add: Vec<RawHeader>,
}

/// A header field.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Header")]
pub struct RawHeader {
    /// Its name. None of those that frame a message or belong to the connection.
    pub name: Field<HeaderName>,
    /// Its value.
    pub value: Field<HeaderValue>,
}

/// What keeps a client at its endpoint, beside the policy's stickiness: one of the two.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Affinity")]
pub struct RawAffinity {
    /// Requests with the same value of this field go to the same endpoint.
    pub header: Option<Field<HeaderName>>,
    /// Clients are given a cookie of this name; its value decides from then on.
    pub cookie: Option<Field<HeaderName>>,
}

/// An answer that sends the client elsewhere; what is not named stays as it was asked for.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Redirect")]
pub struct RawRedirect {
    /// 301, 302, 303, 307 or 308. Default 308.
    pub status: Option<Field<u16>>,
    /// `http` or `https`.
    pub scheme: Option<Field<Scheme>>,
    /// The host.
    pub host: Option<Field<DnsName>>,
    /// The port. Default: the scheme's usual one.
    pub port: Option<Field<u16>>,
    /// What stands in the place of the route's `path_prefix`.
    pub path_prefix: Option<Field<String>>,
}

/// What the upstream is asked for, where that is not what the client asked for.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Rewrite")]
pub struct RawRewrite {
    /// The host.
    pub host: Option<Field<DnsName>>,
    /// What stands in the place of the route's `path_prefix`.
    pub path_prefix: Option<Field<String>>,
}

/// Another service that takes a share of a route's clients. A client stays where it is as long as
/// the shares do.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TrafficSplit")]
pub struct RawTrafficSplit {
    /// Which.
    pub service: Field<ServiceId>,
    /// Its share.
    pub share: Field<Ratio>,
}

/// What a request must have beside host, path and method: all of it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Match")]
pub struct RawMatch {
    /// Header fields.
    #[serde(default)]
    pub headers: Vec<RawNamed>,
    /// Cookies.
    #[serde(default)]
    pub cookies: Vec<RawNamed>,
    /// Parameters of the query, compared as they are sent.
    #[serde(default)]
    pub query: Vec<RawParameter>,
}

/// A header field or cookie, with a value or any.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NamedField")]
pub struct RawNamed {
    /// Its name.
    pub name: Field<HeaderName>,
    /// Its value. Default: any.
    pub value: Option<Field<String>>,
}

/// A parameter of the query, with a value or any.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Parameter")]
pub struct RawParameter {
    /// Its name.
    pub name: Field<String>,
    /// Its value. Default: any.
    pub value: Option<Field<String>>,
}

/// Which clients a route serves, by address.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Clients")]
pub struct RawClients {
    /// Only these networks. Default all.
    #[serde(default)]
    pub allow: Vec<Field<IpNet>>,
    /// Not these networks, whatever `allow` says.
    #[serde(default)]
    pub deny: Vec<Field<IpNet>>,
}

/// How many requests a route takes at one node; what comes beyond is answered 429.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RateLimit")]
pub struct RawRateLimit {
    /// So many requests...
    pub requests: Field<u32>,
    /// ...in this time. Default 1s.
    pub per: Option<Field<Millis>>,
    /// So many at once after a pause. Default: as `requests`.
    pub burst: Option<Field<u32>>,
    /// Whose requests are counted together. Default `client`.
    pub each: Option<Field<RateEach>>,
    /// The header field of `each: header`.
    pub header: Option<Field<HeaderName>>,
}

crate::words! {
    /// Whose requests are counted together.
    RateEach, "key" {
        /// Everybody's.
        Route = "route",
        /// Those of one client: an IPv4 address or an IPv6 /64.
        Client = "client",
        /// Those with one value of the field that `header` names.
        Header = "header",
    }, default Client
}

/// Harm done on purpose, to see what clients make of it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Fault")]
pub struct RawFault {
    /// Requests that wait.
    pub delay: Option<RawDelay>,
    /// Requests that are answered in place of the upstream.
    pub abort: Option<RawAbort>,
}

/// Requests that wait.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Delay")]
pub struct RawDelay {
    /// How long.
    pub time: Field<Millis>,
    /// Which share of them. Default 100%.
    pub share: Option<Field<Ratio>>,
}

/// Requests that are answered in place of the upstream.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Abort")]
pub struct RawAbort {
    /// With which status, 400 to 599. Default 503.
    pub status: Option<Field<u16>>,
    /// Which share of them. Default 100%.
    pub share: Option<Field<Ratio>>,
}

impl Scalar for HeaderName {
    fn read(text: &str) -> Result<Self, Mistake> {
        text.parse()
            .map_err(|error: crate::model::HeaderError| Mistake::new(error.to_string()))
    }

    fn schema() -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "examples": ["x-request-id"] })
    }
}

impl Scalar for HeaderValue {
    fn read(text: &str) -> Result<Self, Mistake> {
        text.parse()
            .map_err(|error: crate::model::HeaderError| Mistake::new(error.to_string()))
    }

    fn schema() -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "examples": ["max-age=31536000"] })
    }
}

/// Which answers are compressed. `{}` is a good beginning.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Compression")]
pub struct RawCompression {
    /// In which codings, best first. Default `[zstd, br, gzip]`.
    pub codings: Option<Vec<Field<Coding>>>,
    /// Of which media types; `*` at the beginning or the end stands for anything. Default text, JSON,
    /// JavaScript, XML, WebAssembly and SVG.
    pub types: Option<Vec<Field<String>>>,
    /// Shorter ones are left alone. Default 1KiB.
    pub min: Option<Field<ByteCount>>,
}
