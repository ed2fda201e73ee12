//! Clients that speak HTTP/2: each stream is a request of its own, driven by a task of its own.
//!
//! The `h2` crate does the framing and its flow control; what it defends against (floods of resets, settings,
//! empty frames, headers without end) ends the connection. Endpoints are asked in HTTP/1.1 over the worker's
//! pool, the same as for HTTP/1.1 clients; gRPC calls go to them in HTTP/2 ([`grpc`]).
//!
//! - `head`: a request's head for an endpoint, an answer's for the client.
//! - `upload`: the request's body on its way.
//! - `leg`: one attempt.
//!
//! Limits: `limits.h2_streams` requests at once on a connection, `limits.head_bytes` of fields, and
//! [`SEND_BYTES_MAX`] of an answer that wait for the client.

mod grpc;
mod head;
mod leg;
mod upload;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::{Method, Request, Version};
use meridian_telemetry::access::HttpDetails;
use tokio::time::timeout;

use super::attempts::{self, Leg};
use crate::answer::{self, Answer};
use crate::authority;
use crate::downstream::Downstream;
use crate::exchange::{Asked, Exchange};
use crate::fields::Fields;
use crate::head::Refusal;
use crate::info::ConnectionInfo;
use crate::metrics::Closed;
use crate::record::{Fault, Seen};
use crate::worker::Shared;
pub(super) use grpc::GrpcPool;
use leg::StreamLeg;

/// Bytes of an answer that wait for the client, for each stream.
const SEND_BYTES_MAX: usize = 64 * 1024;

/// Bytes by which small frames of bodies may weigh on memory beside what they carry, for a connection: a
/// client may send many small messages at once.
const SMALL_FRAMES_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of all uploads of a connection that wait for endpoints: one that stands still is not to stop the
/// others, each of which may send 64 KiB ahead.
const UPLOAD_BYTES_MAX: u32 = 4 * 1024 * 1024;
/// Requests of a connection that came to nothing by its client's doing (malformed, or taken back before their
/// answer) for which it is not ended yet, if they are not more than those that were served.
const NUISANCE_MAX: u32 = 100;

/// What the requests of a connection came to.
#[derive(Debug, Default)]
struct Ledger {
    open: AtomicU32,
    served: AtomicU32,
    nuisance: AtomicU32,
}

impl Ledger {
    fn begin(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    fn end(&self, told: &Told) {
        let count = if told.is_nuisance {
            &self.nuisance
        } else {
            &self.served
        };
        count.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    fn open(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }

    /// Whether the client makes work for nothing (RFC 9113, section 10.5).
    fn is_abused(&self) -> bool {
        let nuisance = self.nuisance.load(Ordering::Relaxed);
        nuisance > NUISANCE_MAX && nuisance > self.served.load(Ordering::Relaxed)
    }
}

/// Serves a connection until either side ends it. Its preface may have been read ahead.
pub(crate) async fn serve(shared: Arc<Shared>, client: Downstream) {
    let info = Arc::new(client.info().clone());
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(shared.h2_streams_max)
        .max_header_list_size(u32::try_from(shared.head_bytes_max).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BYTES_MAX)
        .data_frame_budget(SMALL_FRAMES_BYTES_MAX)
        .initial_connection_window_size(UPLOAD_BYTES_MAX);
    let handshake = builder.handshake::<_, Bytes>(client);
    match timeout(shared.header_timeout, handshake).await {
        Ok(Ok(connection)) => accept(&shared, &info, connection).await,
        // It has said what it had to say.
        Ok(Err(_)) => {}
        Err(_) => shared.metrics.closed(Closed::HeaderTimeout),
    }
}

/// Takes requests until the connection is over, or was idle for `timeouts.keepalive` to twice that.
async fn accept(
    shared: &Arc<Shared>,
    info: &Arc<ConnectionInfo>,
    mut connection: Connection<Downstream, Bytes>,
) {
    let ledger = Arc::new(Ledger::default());
    let mut is_ending = false;
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = timeout(shared.keepalive_timeout, connection.accept()) => accepted,
            () = shared.stop.cancelled(), if !is_ending => {
                is_ending = true;
                connection.graceful_shutdown();
                continue;
            }
        };
        match accepted {
            // The library counts streams until they are reset, we count what is still done for them.
            Ok(Some(Ok((_, mut respond)))) if ledger.open() >= shared.h2_streams_max => {
                respond.send_reset(Reason::REFUSED_STREAM);
            }
            Ok(Some(Ok((request, respond)))) => {
                let (shared, info) = (Arc::clone(shared), Arc::clone(info));
                let ledger = Arc::clone(&ledger);
                ledger.begin();
                tokio::spawn(async move {
                    let told = stream(shared, info, request, respond).await;
                    ledger.end(&told);
                });
            }
            Ok(None | Some(Err(_))) => return,
            Err(_) if ledger.open() > 0 => {}
            // It had its time for a last word.
            Err(_) if is_ending => return,
            Err(_) => {
                is_ending = true;
                connection.graceful_shutdown();
            }
        }
        if !is_ending && ledger.is_abused() {
            is_ending = true;
            connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
        }
    }
}

/// Serves one request.
async fn stream(
    shared: Arc<Shared>,
    info: Arc<ConnectionInfo>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) -> Told {
    let common = &*shared.common;
    let mut exchange = common.begin();
    let (parts, body) = request.into_parts();
    let details = common.recorder.access.is_on().then(|| details(&parts));
    let to_head = parts.method == Method::HEAD;
    let mut told = Told {
        is_nuisance: false,
        status: 0,
        fault: Fault::None,
        bytes_in: 0,
        bytes_out: 0,
    };
    match admit(&shared, &info, &parts, &mut exchange) {
        Err(answer) => {
            told.is_nuisance = answer.status == 400;
            told.answered(&mut respond, &answer, to_head);
        }
        Ok(()) if head::is_grpc(&parts) => {
            let leg = grpc::GrpcLeg::new(&shared, &info, parts, body, respond);
            // What is rarer and larger has its room elsewhere: every stream's future is moved when it begins.
            Box::pin(told.passed(leg, &mut exchange)).await;
        }
        Ok(()) => {
            let leg = StreamLeg::new(&shared, &info, &exchange, &parts, body, respond);
            told.passed(leg, &mut exchange).await;
        }
    }
    common
        .recorder
        .finished(&exchange, told.status, told.fault, || {
            Some(Seen {
                connection: &info,
                bytes_in: told.bytes_in,
                bytes_out: told.bytes_out,
                http: HttpDetails {
                    status: told.status,
                    ..details?
                },
            })
        });
    told
}

/// What the logs are told in the end.
struct Told {
    /// It came to nothing by its client's doing.
    is_nuisance: bool,
    status: u16,
    fault: Fault,
    bytes_in: u64,
    bytes_out: u64,
}

/// What a leg has moved.
struct Moved {
    /// The status that was sent; 0 before.
    status: u16,
    bytes_in: u64,
    bytes_out: u64,
}

/// What this module needs of a leg beside its attempts.
trait Finish {
    fn moved(&self) -> Moved;

    /// The answer is whole.
    fn leave(&mut self) {}

    /// Sends a copy to whom the route wants to have one.
    fn copy(&self, _exchange: &Exchange) {}

    /// Ends the stream that was begun and cannot be finished.
    fn cut(&mut self, reason: Reason);

    fn respond(&mut self) -> &mut SendResponse<Bytes>;

    fn to_head(&self) -> bool;
}

impl Told {
    /// Has endpoints answer.
    async fn passed<L: Leg + Finish + Send>(&mut self, mut leg: L, exchange: &mut Exchange) {
        let outcome = attempts::run(&mut leg, exchange).await;
        leg.copy(exchange);
        let moved = leg.moved();
        (self.status, self.bytes_in, self.bytes_out) =
            (moved.status, moved.bytes_in, moved.bytes_out);
        let Err(trouble) = outcome else {
            // Where the request goes on, the library resets the stream once the answer has left (RFC 9113,
            // section 8.1); a reset by us would overtake it.
            leg.leave();
            return;
        };
        let (status, fault) = attempts::verdict(trouble);
        self.fault = fault;
        self.is_nuisance = moved.status == 0 && fault == Fault::Client;
        if status == 0 {
            leg.cut(Reason::CANCEL);
        } else if moved.status != 0 {
            leg.cut(Reason::INTERNAL_ERROR);
        } else {
            let answer = Answer::new(status, answer::final_text(status, exchange));
            let to_head = leg.to_head();
            self.answered(leg.respond(), &answer, to_head);
        }
    }

    /// Answers in place of an endpoint.
    fn answered(&mut self, respond: &mut SendResponse<Bytes>, answer: &Answer, to_head: bool) {
        self.status = answer.status;
        let (head, body) = answer.http2();
        let body = (!to_head).then_some(body);
        self.bytes_out = body.as_ref().map_or(0, |body| body.len() as u64);
        // A client that is gone misses the answer.
        if let Ok(mut stream) = respond.send_response(head, body.is_none())
            && let Some(body) = body
        {
            let _ = stream.send_data(body, true);
        }
    }
}

/// Finds route, client and first endpoint; the answer to a request that goes nowhere.
fn admit(
    shared: &Shared,
    info: &ConnectionInfo,
    parts: &http::request::Parts,
    exchange: &mut Exchange,
) -> Result<(), Answer> {
    let common = &*shared.common;
    let refused = |refusal: Refusal| {
        common.metrics.malformed(refusal);
        Answer::new(400, refusal.as_str())
    };
    head::judge(parts).map_err(refused)?;
    let host = head::host(parts).map_err(refused)?;
    if parts.method == Method::CONNECT {
        return Err(Answer::new(405, "this proxy opens no tunnels"));
    }
    let host = host.and_then(|host| authority::parse(host.as_bytes()));
    let asked = Asked {
        scheme: None,
        host: host.map_or("", |host| host.host),
        port: host.and_then(|host| host.port),
        path: parts.uri.path().as_bytes(),
        target: parts
            .uri
            .path_and_query()
            .map_or("/", |target| target.as_str()),
        method: &parts.method,
        fields: &parts.headers,
    };
    match common.admit(info, &asked, exchange) {
        Ok(routed) => {
            let refused = answer::refused(&routed);
            exchange.routed = Some(routed);
            refused.map_or(Ok(()), Err)
        }
        Err(unrouted) => {
            common.metrics.unrouted(unrouted);
            Err(common.unrouted_answer(unrouted, &asked))
        }
    }
}

fn details(parts: &http::request::Parts) -> HttpDetails {
    debug_assert_eq!(parts.version, Version::HTTP_2);
    let text = |name| {
        let value = Fields::values(&parts.headers, name).next()?;
        Some(String::from_utf8_lossy(value).into_owned())
    };
    let authority = parts
        .uri
        .authority()
        .map(|authority| authority.as_str().to_owned());
    HttpDetails {
        method: parts.method.as_str().to_owned(),
        host: authority.or_else(|| text("host")).unwrap_or_default(),
        path: parts.uri.path().to_owned(),
        version: "HTTP/2",
        status: 0,
        user_agent: text("user-agent"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What every request's future takes, which is moved when it begins.
    #[test]
    fn a_stream_takes_little_room() {
        fn size<A, B, C, D, T>(_: fn(A, B, C, D) -> T) -> usize {
            size_of::<T>()
        }
        assert!(size(stream) <= 3_000, "{}", size(stream));
    }
}
