//! Our own lane: HTTP/1.1 and HTTP/2 requests that need nothing of pingora's.
//!
//! ```text
//! head (judged) ─ Request::read ─ admit ─ head for the upstream ─┐
//!                                                                │  Upload
//!   client ⇄ Downstream                     pooled or fresh TcpStream
//!                                                                │  Buffer
//! head for the client ─ Response::read ──────────────────────────┘
//! ```
//!
//! One task drives both directions of a connection: no channel, no spawned task, no copy of the header map.
//! What is decided (route, client, pick, retries) and what is told (metrics, logs) is the same code as in
//! pingora's lane: [`crate::exchange`], [`crate::forward`], [`crate::record`].
//!
//! - `attempts`: endpoints are tried until one answers.
//! - `request`, `response`, `hop`: heads, each read and rewritten in one pass.
//! - `body`, `chunked`: where a body ends.
//! - `upload`, `outgoing`: the request's way; what of it can be sent again.
//! - `wire`: both ways at once, with their timeouts.
//! - `upstream`: a connection to an endpoint, in clear text or TLS.
//! - `http2`: the same for clients that speak HTTP/2, and gRPC.
//! - `mirror`: copies of requests for another service.
//! - `pool`, `buffer`: what a worker keeps between requests.
//!
//! Limits: a request is sent again only while head and body are below 64 KiB; a head of an answer has
//! the bound of a request's (`limits.head_bytes`).

mod attempts;
mod body;
mod buffer;
mod chunked;
mod hop;
pub(crate) mod http2;
mod mirror;
mod outgoing;
mod pool;
mod request;
mod response;
mod upload;
mod upstream;
mod wire;

use std::time::{Duration, Instant};

use bytes::Buf;
use http::Method;
use meridian_telemetry::access::HttpDetails;
use meridian_topology::Coding;
use tokio::time::timeout;

use crate::answer::{self, Answer};
use crate::attempt::Failure;
use crate::common::Common;
use crate::compress::{Encoder, Seats};
use crate::downstream::Downstream;
use crate::exchange::{Asked, Exchange, Origin};
use crate::fields::{Fields, write_field};
use crate::head::Head;
use crate::record::{Fault, Seen};
use crate::worker::Shared;
use attempts::{Leg, Until};
use body::Rest;
use buffer::Buffers;
use http2::GrpcPool;
use mirror::Mirrors;
use pool::Pool;
use request::Request;
use response::Reading;
use upload::Upload;
use upstream::{Target, Upstream};
use wire::{Trouble, Wire};

/// How often idle upstream connections are looked at.
pub(crate) const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// What the fields that we add to a request usually take.
const OWN_FIELDS_BYTES: usize = 160;
/// What a head of an answer usually takes.
const HEAD_BYTES_TYPICAL: usize = 512;

/// What a worker keeps for its lane.
#[derive(Debug)]
pub(crate) struct Lane {
    pool: Pool,
    grpc: GrpcPool,
    buffers: Buffers,
    seats: Seats,
    mirrors: Mirrors,
    idle_time: Duration,
}

impl Lane {
    /// Keeps up to `idle_max` upstream connections, each for at most `idle_time`.
    pub(crate) fn new(idle_max: usize, idle_time: Duration) -> Self {
        Self {
            pool: Pool::new(idle_max, idle_time),
            grpc: GrpcPool::default(),
            idle_time,
            buffers: Buffers::default(),
            seats: Seats::default(),
            mirrors: Mirrors::default(),
        }
    }

    /// A connection to an endpoint, from the pool or new.
    async fn connect(&self, target: &Target, until: Until) -> Result<(Upstream, Origin), Failure> {
        match self.pool.take(target.place, until.now) {
            Some(stream) => Ok((stream, Origin::Pooled)),
            None => {
                // Seldom, and large.
                let connected = Box::pin(target.connect(until.patience())).await?;
                Ok((connected, Origin::Fresh))
            }
        }
    }

    /// The encoder of an answer that goes out in another coding.
    fn encoder(&self, coding: Option<Coding>) -> Result<Option<Box<Encoder>>, Trouble> {
        let encoder = coding.map(|coding| Encoder::new(coding, &self.seats).map(Box::new));
        let encoder = encoder.transpose();
        encoder.map_err(|_| Trouble::Upstream(Failure::Local))
    }

    /// Closes upstream connections that are of no more use, from time to time. Never ends.
    pub(crate) async fn sweep(&self) {
        loop {
            tokio::time::sleep(SWEEP_EVERY).await;
            let now = Instant::now();
            self.pool.sweep(now);
            self.grpc.sweep(now, self.idle_time);
        }
    }
}

/// What becomes of the client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// It may carry another request.
    Keep,
    /// It is to be closed; the client knows, or is gone.
    Close,
    /// The same, and the client may still be sending: it is read a little longer, so that the answer reaches
    /// it (RFC 9112, section 9.6).
    Linger,
}

/// Serves the request whose head stands at the beginning of the bytes read ahead.
pub(crate) async fn serve(shared: &Shared, client: &mut Downstream, head: Head) -> After {
    let common = &*shared.common;
    let mut exchange = common.begin();
    let prepared = prepare(common, client, &head, &mut exchange);
    client.ahead().advance(head.bytes);
    let Some(prepared) = prepared else {
        // Judge and reader are one parser: this does not happen.
        return After::Close;
    };
    let mut passage = Passage {
        shared,
        client,
        upload: Upload::new(prepared.head, request::rest_of(&head), body_max(&exchange)),
        closing: !prepared.keeps_connection || shared.stop.is_cancelled(),
        to_head: prepared.to_head,
        idempotent: prepared.idempotent,
        status: 0,
        body_out: 0,
    };
    let (after, fault) = match prepared.refused {
        Some(answer) => (passage.answer(&answer).await, Fault::None),
        None => passage.run(&mut exchange).await,
    };
    let (status, bytes_out) = (passage.status, passage.body_out);
    let bytes_in = passage.upload.body_bytes();
    common.recorder.finished(&exchange, status, fault, || {
        Some(Seen {
            connection: client.info(),
            bytes_in,
            bytes_out,
            http: HttpDetails {
                status,
                ..prepared.details?
            },
        })
    });
    after
}

/// The most bytes of a body that a request's route takes; for who is refused anyway, any.
fn body_max(exchange: &Exchange) -> u64 {
    let routed = exchange.routed.as_ref();
    routed.map_or(u64::MAX, |routed| routed.route().body_max)
}

/// A request that was read.
struct Prepared {
    /// For the upstream; empty when it is refused.
    head: Vec<u8>,
    keeps_connection: bool,
    to_head: bool,
    idempotent: bool,
    /// For the access log, if it is on.
    details: Option<HttpDetails>,
    /// It goes nowhere: this is the answer.
    refused: Option<Answer>,
}

/// Route, client, pick, and the head for the upstream.
fn prepare(
    common: &Common,
    client: &mut Downstream,
    head: &Head,
    exchange: &mut Exchange,
) -> Option<Prepared> {
    let (ahead, connection) = client.ahead_and_info();
    Request::read(&ahead[..head.bytes], |request| {
        let mut prepared = Prepared {
            head: Vec::new(),
            keeps_connection: request.keeps_connection(),
            to_head: request.method == Method::HEAD,
            idempotent: request.method.is_idempotent(),
            details: common.recorder.access.is_on().then(|| details(request)),
            refused: None,
        };
        let asked = Asked {
            host: request.host,
            port: request.port,
            scheme: request.target.scheme,
            path: request.target.path().as_bytes(),
            target: &request.target.path_and_query,
            method: &request.method,
            fields: request.fields,
        };
        match common.admit(connection, &asked, exchange) {
            Ok(routed) => {
                prepared.refused = answer::refused(&routed);
                if prepared.refused.is_none() {
                    let told = common.told(connection, &routed, request.fields);
                    prepared.head.reserve(head.bytes + OWN_FIELDS_BYTES);
                    request.write(&told, routed.route(), &mut prepared.head);
                }
                exchange.routed = Some(routed);
            }
            Err(unrouted) => {
                common.metrics.unrouted(unrouted);
                prepared.refused = Some(common.unrouted_answer(unrouted, &asked));
            }
        }
        prepared
    })
}

fn details(request: &Request<'_>) -> HttpDetails {
    let text = |name| {
        let value = request.fields.values(name).next()?;
        Some(String::from_utf8_lossy(value).into_owned())
    };
    HttpDetails {
        method: request.method.as_str().to_owned(),
        host: text("host").unwrap_or_default(),
        path: request.target.path().to_owned(),
        version: "HTTP/1.1",
        status: 0,
        user_agent: text("user-agent"),
    }
}

/// One request on its way.
struct Passage<'p> {
    shared: &'p Shared,
    client: &'p mut Downstream,
    upload: Upload,
    /// The client's connection ends with this answer.
    closing: bool,
    to_head: bool,
    idempotent: bool,
    /// Of the answer that was begun; 0 before.
    status: u16,
    body_out: u64,
}

impl Leg for Passage<'_> {
    type Connection = Upstream;

    fn is_repeatable(&self) -> bool {
        self.idempotent && self.upload.is_whole() && self.status == 0
    }

    fn is_read(&self) -> bool {
        self.upload.is_read()
    }

    fn rewind(&mut self) {
        self.upload.rewind();
    }

    async fn connect(
        &mut self,
        target: &Target,
        until: Until,
    ) -> Result<(Upstream, Origin), Failure> {
        self.shared.lane.connect(target, until).await
    }

    async fn pass(
        &mut self,
        mut connection: Upstream,
        target: &Target,
        exchange: &mut Exchange,
    ) -> Result<(), Trouble> {
        if self.exchange_with(&mut connection, exchange).await? {
            let now = exchange.first_byte.unwrap_or_else(Instant::now);
            self.shared.lane.pool.keep(target.place, connection, now);
        }
        Ok(())
    }
}

impl Passage<'_> {
    /// Has the request answered, by an endpoint or by us.
    async fn run(&mut self, exchange: &mut Exchange) -> (After, Fault) {
        let outcome = match self.upload.take_ahead(self.client) {
            Ok(()) => {
                let outcome = attempts::run(self, exchange).await;
                self.shared.lane.mirrors.send(exchange, self.upload.whole());
                outcome
            }
            Err(broken) => Err(broken.into()),
        };
        let Err(trouble) = outcome else {
            return (self.after(), Fault::None);
        };
        let (status, fault) = attempts::verdict(trouble);
        if status == 0 || self.status != 0 {
            // What was begun can only be cut.
            return (After::Close, fault);
        }
        let text = answer::final_text(status, exchange);
        (self.answer(&Answer::new(status, text)).await, fault)
    }

    /// Sends the request and passes the answer on; says whether the upstream takes another request.
    async fn exchange_with(
        &mut self,
        stream: &mut Upstream,
        exchange: &mut Exchange,
    ) -> Result<bool, Trouble> {
        let mut wire = Wire {
            patience: attempts::patience(self.shared, exchange)?,
            client: self.client,
            upstream: stream,
            upload: &mut self.upload,
            buffers: &self.shared.lane.buffers,
            incoming: None,
        };
        let (response, mut head) = loop {
            let mut head = Vec::with_capacity(HEAD_BYTES_TYPICAL);
            let reading = Reading::of(exchange, self.to_head, self.shared)?;
            let response = wire.response(&reading, &mut head).await?;
            if !response.is_interim() {
                break (response, head);
            }
            head.extend_from_slice(b"\r\n");
            wire.replace_head(response.head_bytes, &head);
            wire.pass_on(head.len()).await?;
        };
        let repeatable = self.idempotent && wire.upload.is_whole();
        attempts::answered(exchange, response.status, repeatable)?;
        let encoder = self.shared.lane.encoder(response.coding)?;
        self.closing |= matches!(response.rest, Rest::UntilClose) && encoder.is_none();
        finish_head(&mut head, self.shared, exchange, self.closing);
        self.status = response.status;
        wire.replace_head(response.head_bytes, &head);
        let mut rest = response.rest;
        let (head_bytes, body_out) = (head.len(), &mut self.body_out);
        let only_body = match encoder {
            None => wire.deliver(head_bytes, &mut rest, body_out).await?,
            Some(encoder) => {
                // Rare, and large.
                Box::pin(wire.deliver_coded(head_bytes, &mut rest, body_out, encoder)).await?
            }
        };
        Ok(only_body && response.keeps_connection && wire.upload.is_complete())
    }

    /// What becomes of the client's connection after an answer.
    fn after(&self) -> After {
        match (self.upload.is_complete(), self.closing) {
            (true, false) => After::Keep,
            (true, true) => After::Close,
            (false, _) => After::Linger,
        }
    }

    /// Answers in place of an upstream.
    async fn answer(&mut self, answer: &Answer) -> After {
        // A body that came along is no reason to part.
        let read = self.upload.take_ahead(self.client).is_ok() && self.upload.is_read();
        self.closing |= !read;
        self.status = answer.status;
        let bytes = answer.bytes(self.closing, self.to_head);
        self.body_out = answer.body_bytes(self.to_head);
        let patience = self.shared.common.body_timeout;
        let written = timeout(patience, self.client.write_whole(&bytes)).await;
        match written {
            Ok(Ok(())) if !read => After::Linger,
            Ok(Ok(())) if !self.closing => After::Keep,
            _ => After::Close,
        }
    }
}

/// Ends the client's head with what is ours to say.
fn finish_head(head: &mut Vec<u8>, shared: &Shared, exchange: &Exchange, closing: bool) {
    for (name, value) in shared.common.own_fields(exchange) {
        write_field(head, name.as_str(), value.as_bytes());
    }
    if closing {
        head.extend_from_slice(b"connection: close\r\n");
    }
    head.extend_from_slice(b"\r\n");
}
