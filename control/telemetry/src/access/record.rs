//! What one line of the access log says.

use std::net::SocketAddr;

use jiff::Timestamp;
use meridian_topology::{EndpointId, RegionId, ServiceId};
use serde::{Serialize, Serializer};

use crate::decision::DecisionId;

/// Longest text that is kept of anything a client chose, in bytes; the rest is cut off.
pub const FIELD_BYTES_MAX: usize = 1_024;

/// One finished request or connection.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AccessRecord {
    /// When it began, microseconds since 1970; written as RFC 3339 `time`.
    #[serde(rename = "time", serialize_with = "rfc3339")]
    pub at_unix_us: u64,
    /// The service, if one was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceId>,
    /// The client as we believe it (socket, PROXY header or trusted forwarding).
    pub client: SocketAddr,
    /// The peer of the socket, if that is somebody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<SocketAddr>,
    /// Class of the client in the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<u32>,
    /// The decision in the decision log and in `explain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision_id: Option<DecisionId>,
    /// Plan that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_generation: Option<u64>,
    /// The endpoint that served it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<EndpointId>,
    /// That endpoint's region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionId>,
    /// How it ended.
    pub outcome: Outcome,
    /// Endpoints tried; 0 when it never got that far.
    pub attempts: u8,
    /// From first byte in to last byte out, microseconds.
    pub duration_us: u64,
    /// From first byte in to the endpoint's first byte, microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte_us: Option<u64>,
    /// Bytes from the client.
    pub bytes_in: u64,
    /// Bytes to the client.
    pub bytes_out: u64,
    /// Facts of a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpDetails>,
    /// Facts of a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamDetails>,
}

/// How a request or connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Served by an endpoint (whatever its status).
    Served,
    /// Answered by ourselves: no route, a redirect, a static answer.
    Local,
    /// The policy left nobody and says to fail closed.
    NoEndpoint,
    /// No endpoint could be connected to.
    ConnectFailed,
    /// An endpoint broke off.
    UpstreamReset,
    /// A time limit of ours passed.
    Timeout,
    /// The client broke off.
    ClientReset,
    /// The client's bytes were not the protocol.
    Malformed,
    /// A limit of ours refused it.
    Limited,
}

/// What only requests have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HttpDetails {
    /// Method as sent.
    #[serde(serialize_with = "cut")]
    pub method: String,
    /// Host as sent.
    #[serde(serialize_with = "cut")]
    pub host: String,
    /// Path without the query: queries carry secrets.
    #[serde(serialize_with = "cut")]
    pub path: String,
    /// `HTTP/1.1`, `HTTP/2`.
    pub version: &'static str,
    /// Status sent to the client; 0 when the connection broke before one.
    pub status: u16,
    /// User agent as sent.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "cut_option")]
    pub user_agent: Option<String>,
}

/// What only streams have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamDetails {
    /// Listener that accepted it.
    pub listener: SocketAddr,
    /// Transport.
    pub transport: StreamTransport,
    /// Server name of a TLS stream passed through, as sent.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "cut_option")]
    pub server_name: Option<String>,
}

/// What carries a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamTransport {
    /// A TCP connection.
    Tcp,
    /// TLS passed through unread, routed by its server name.
    TlsPassthrough,
    /// A UDP flow.
    Udp,
}

impl AccessRecord {
    /// Appends the record as one line with its newline.
    pub fn append_line(&self, out: &mut Vec<u8>) {
        let start = out.len();
        match serde_json::to_writer(&mut *out, self) {
            Ok(()) => out.push(b'\n'),
            // Half a line would break the reader's next one as well.
            Err(_) => out.truncate(start),
        }
    }
}

fn rfc3339<S: Serializer>(at_unix_us: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    let us = i64::try_from(*at_unix_us).unwrap_or(i64::MAX);
    serializer.collect_str(&Timestamp::from_microsecond(us).unwrap_or(Timestamp::MAX))
}

fn cut<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text[..text.floor_char_boundary(FIELD_BYTES_MAX)])
}

// serde hands over a reference to the field, whatever clippy prefers.
#[allow(clippy::ref_option, reason = "the signature is serde's")]
fn cut_option<S: Serializer>(text: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    match text {
        Some(text) => cut(text, serializer),
        None => serializer.serialize_none(),
    }
}
