//! gRPC calls: HTTP/2 from end to end, trailers included.
//!
//! A worker keeps up to [`CONNECTIONS_MAX`] connections to each endpoint and sends calls side by side over
//! them. A call is not sent again once an endpoint may have seen it: it may have done its work.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use h2::client::SendRequest;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Request, Response, Uri, Version};
use tokio::time::timeout;

use super::super::attempts::{self, Leg, Until};
use super::super::pool::Place;
use super::super::upstream::Target;
use super::super::wire::{Elapsed, Patience, Trouble, patiently};
use super::{Finish, Moved, head};
use crate::attempt::Failure;
use crate::exchange::{Exchange, Origin, Routed};
use crate::info::ConnectionInfo;
use crate::worker::Shared;

/// Connections of a worker to one endpoint.
const CONNECTIONS_MAX: usize = 8;
/// Bytes of all answers on a connection that wait for clients: one that does not read is not to stop the
/// calls of others, each of which may have 64 KiB waiting.
const ANSWER_BYTES_MAX: u32 = 16 * 1024 * 1024;
/// Bytes by which small messages may weigh on memory beside what they carry, for a connection.
const SMALL_FRAMES_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Connections that take calls. The lock is only ever taken by the worker's own thread.
#[derive(Debug, Default)]
pub(in super::super) struct GrpcPool(Mutex<HashMap<Place, Vec<Kept>>>);

#[derive(Debug)]
struct Kept {
    connection: SendRequest<Bytes>,
    /// Held by each call on it.
    calls: Arc<()>,
    used: Instant,
}

/// A connection for one call.
pub(super) struct Lent {
    connection: SendRequest<Bytes>,
    calls: Arc<()>,
}

impl GrpcPool {
    /// The connection with the fewest calls, unless all have as many as their endpoint takes and another one
    /// may be opened.
    fn take(&self, place: Place, now: Instant) -> Option<Lent> {
        let mut places = self.0.lock().ok()?;
        let kept = places.get_mut(&place)?;
        // What is over says so at once.
        kept.retain(|kept| {
            let ready = kept.connection.clone().ready().now_or_never();
            !matches!(ready, Some(Err(_)))
        });
        let may_grow = kept.len() < CONNECTIONS_MAX;
        let calls = |kept: &Kept| Arc::strong_count(&kept.calls) - 1;
        let least = kept.iter_mut().min_by_key(|kept| calls(kept))?;
        if may_grow && calls(least) >= least.connection.current_max_send_streams() {
            return None;
        }
        least.used = now;
        Some(Lent {
            connection: least.connection.clone(),
            calls: Arc::clone(&least.calls),
        })
    }

    /// Keeps a new connection; beyond the bound it carries its one call.
    fn keep(&self, place: Place, connection: SendRequest<Bytes>, now: Instant) -> Lent {
        let lent = Lent {
            connection,
            calls: Arc::default(),
        };
        if let Ok(mut places) = self.0.lock() {
            let kept = places.entry(place).or_default();
            if kept.len() < CONNECTIONS_MAX {
                kept.push(Kept {
                    connection: lent.connection.clone(),
                    calls: Arc::clone(&lent.calls),
                    used: now,
                });
            }
        }
        lent
    }

    /// Takes no more calls to a connection that leaves them unanswered; the network may have lost it.
    fn forget(&self, place: Place, calls: &Arc<()>) {
        if let Ok(mut places) = self.0.lock()
            && let Some(kept) = places.get_mut(&place)
        {
            kept.retain(|kept| !Arc::ptr_eq(&kept.calls, calls));
        }
    }

    /// Lets go of connections that took no call for so long; they end with the last call on them.
    pub(in super::super) fn sweep(&self, now: Instant, idle_time: Duration) {
        if let Ok(mut places) = self.0.lock() {
            places.retain(|_, kept| {
                kept.retain(|kept| now.saturating_duration_since(kept.used) < idle_time);
                !kept.is_empty()
            });
        }
    }
}

/// One direction of a call.
struct Way {
    from: RecvStream,
    to: SendStream<Bytes>,
    /// What was taken and does not fit yet.
    pending: Bytes,
    is_done: bool,
    bytes: u64,
}

/// Which end of a way broke.
enum Broken {
    From,
    To,
}

impl Way {
    fn new(from: RecvStream, to: SendStream<Bytes>, is_done: bool) -> Self {
        Self {
            from,
            to,
            pending: Bytes::new(),
            is_done,
            bytes: 0,
        }
    }

    /// Moves something; pending while nothing can be moved, or all was.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if self.is_done {
            return Poll::Pending;
        }
        if self.pending.is_empty() {
            return self.poll_take(context);
        }
        self.to.reserve_capacity(self.pending.len());
        if self.to.capacity() == 0 {
            let Some(Ok(_)) = ready!(self.to.poll_capacity(context)) else {
                return Poll::Ready(Err(Broken::To));
            };
        }
        let piece = self
            .pending
            .split_to(self.to.capacity().min(self.pending.len()));
        let count = piece.len();
        if self.to.send_data(piece, false).is_err() {
            return Poll::Ready(Err(Broken::To));
        }
        self.bytes += count as u64;
        // Nobody is left to hear of it where the stream is gone.
        let _ = self.from.flow_control().release_capacity(count);
        Poll::Ready(Ok(()))
    }

    fn poll_take(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        match ready!(self.from.poll_data(context)) {
            Some(Ok(data)) => self.pending = data,
            Some(Err(_)) => return Poll::Ready(Err(Broken::From)),
            None => {
                let Ok(trailers) = ready!(self.from.poll_trailers(context)) else {
                    return Poll::Ready(Err(Broken::From));
                };
                self.is_done = true;
                let ended = match trailers {
                    Some(trailers) => self.to.send_trailers(trailers),
                    None => self.to.send_data(Bytes::new(), true),
                };
                if ended.is_err() {
                    return Poll::Ready(Err(Broken::To));
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The request's way: an endpoint that takes no more may answer all the same.
    fn poll_up(&mut self, context: &mut Context<'_>, body_max: u64) -> Poll<Result<(), Trouble>> {
        match ready!(self.poll(context)) {
            Ok(()) if self.bytes > body_max => Poll::Ready(Err(Trouble::ClientTooLarge)),
            Ok(()) => Poll::Ready(Ok(())),
            Err(Broken::From) => Poll::Ready(Err(Trouble::Client)),
            Err(Broken::To) => {
                self.is_done = true;
                Poll::Ready(Ok(()))
            }
        }
    }

    /// The answer's way.
    fn poll_down(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Trouble>> {
        match self.poll(context) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Ready(Err(Broken::From)) => Poll::Ready(Err(Trouble::Upstream(Failure::Closed))),
            Poll::Ready(Err(Broken::To)) => Poll::Ready(Err(Trouble::Client)),
            Poll::Pending => self.to.poll_reset(context).map(|_| Err(Trouble::Client)),
        }
    }
}

/// See the module's documentation.
pub(super) struct GrpcLeg<'s> {
    shared: &'s Shared,
    info: &'s ConnectionInfo,
    parts: Parts,
    /// Until it is on its way.
    body: Option<RecvStream>,
    respond: SendResponse<Bytes>,
    up: Option<Way>,
    down: Option<Way>,
    status: u16,
    /// The most bytes of the request's messages.
    body_max: u64,
}

impl<'s> GrpcLeg<'s> {
    pub(super) fn new(
        shared: &'s Shared,
        info: &'s ConnectionInfo,
        parts: Parts,
        body: RecvStream,
        respond: SendResponse<Bytes>,
    ) -> Self {
        Self {
            shared,
            info,
            parts,
            body: Some(body),
            respond,
            up: None,
            down: None,
            status: 0,
            body_max: u64::MAX,
        }
    }

    /// The request for the endpoint.
    fn request(&self, routed: &Routed, is_tls: bool) -> Option<Request<()>> {
        let route = routed.route();
        let host = head::host(&self.parts).ok().flatten()?;
        let fields = head::WithHost {
            fields: &self.parts.headers,
            host,
        };
        let told = self.shared.common.told(self.info, routed, &fields);
        let host = route
            .target
            .host
            .as_ref()
            .and_then(|host| host.to_str().ok())
            .unwrap_or(host);
        let target = self
            .parts
            .uri
            .path_and_query()
            .map_or("/", PathAndQuery::as_str);
        let scheme = if is_tls { Scheme::HTTPS } else { Scheme::HTTP };
        let uri = Uri::builder()
            .scheme(scheme)
            .authority(host.parse::<Authority>().ok()?)
            .path_and_query(route.target.of(target).parse::<PathAndQuery>().ok()?)
            .build()
            .ok()?;
        let mut request = Request::new(());
        *request.method_mut() = self.parts.method.clone();
        *request.uri_mut() = uri;
        *request.version_mut() = Version::HTTP_2;
        *request.headers_mut() = head::grpc_fields(&self.parts, route, &told);
        Some(request)
    }

    /// Waits for the answer to begin while the request goes on.
    async fn answer(
        &mut self,
        response: h2::client::ResponseFuture,
        patience: Patience,
    ) -> Result<Response<RecvStream>, Trouble> {
        let mut response = response;
        loop {
            let moved = patiently(patience.first_byte, patience.deadline, |context| {
                if let Poll::Ready(answer) = Pin::new(&mut response).poll(context) {
                    let closed = |_| Trouble::Upstream(Failure::Closed);
                    return Poll::Ready(answer.map(Some).map_err(closed));
                }
                if let Some(up) = &mut self.up
                    && let Poll::Ready(moved) = up.poll_up(context, self.body_max)
                {
                    return Poll::Ready(moved.map(|()| None));
                }
                let reset = self.respond.poll_reset(context);
                reset.map(|_| Err(Trouble::Client))
            });
            match moved.await {
                Ok(Ok(Some(answer))) => return Ok(answer),
                Ok(Ok(None)) => {}
                Ok(Err(trouble)) => return Err(trouble),
                Err(_) => return Err(Trouble::Upstream(Failure::Timeout)),
            }
        }
    }

    /// Passes everything on until the answer is over.
    async fn relay(&mut self, patience: Patience) -> Result<(), Trouble> {
        loop {
            let body_max = self.body_max;
            let (Some(up), Some(down)) = (&mut self.up, &mut self.down) else {
                return Ok(());
            };
            if down.is_done {
                return Ok(());
            }
            let moved = patiently(patience.first_byte, patience.deadline, |context| {
                let went_up = up.poll_up(context, body_max)?;
                match down.poll_down(context) {
                    Poll::Pending if went_up.is_ready() => Poll::Ready(Ok(())),
                    moved => moved,
                }
            });
            match moved.await {
                Ok(moved) => moved?,
                Err(Elapsed::Silence | Elapsed::Deadline) => {
                    return Err(Trouble::Upstream(Failure::Timeout));
                }
            }
        }
    }

    /// An answer's head for the client.
    fn head(
        &self,
        exchange: &Exchange,
        status: http::StatusCode,
        fields: &HeaderMap,
    ) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = status;
        let passes = |name: &str| {
            let routed = exchange.routed.as_ref();
            routed.is_none_or(|routed| routed.route().response.passes(name))
        };
        let headers = response.headers_mut();
        for (name, value) in fields {
            if passes(name.as_str()) {
                headers.append(name.clone(), HeaderValue::clone(value));
            }
        }
        for (name, value) in self.shared.common.own_fields(exchange) {
            headers.append(name, value);
        }
        response
    }
}

impl Leg for GrpcLeg<'_> {
    type Connection = Lent;

    fn is_repeatable(&self) -> bool {
        self.up.is_none()
    }

    fn is_read(&self) -> bool {
        self.up.as_ref().is_some_and(|up| up.is_done)
    }

    fn rewind(&mut self) {}

    async fn connect(&mut self, target: &Target, until: Until) -> Result<(Lent, Origin), Failure> {
        let pool = &self.shared.lane.grpc;
        if let Some(connection) = pool.take(target.place, until.now) {
            return Ok((connection, Origin::Pooled));
        }
        let patience = until.patience();
        let stream = target.connect_grpc(patience).await?;
        let mut builder = h2::client::Builder::new();
        builder
            .enable_push(false)
            .initial_connection_window_size(ANSWER_BYTES_MAX)
            .data_frame_budget(SMALL_FRAMES_BYTES_MAX);
        let handshake = builder.handshake::<_, Bytes>(stream);
        match timeout(patience, handshake).await {
            Ok(Ok((connection, driver))) => {
                tokio::spawn(async move {
                    // Calls on it learn of its end themselves.
                    let _ = driver.await;
                });
                Ok((
                    pool.keep(target.place, connection, until.now),
                    Origin::Fresh,
                ))
            }
            Ok(Err(_)) => Err(Failure::Connect),
            Err(_) => Err(Failure::ConnectTimeout),
        }
    }

    async fn pass(
        &mut self,
        lent: Lent,
        target: &Target,
        exchange: &mut Exchange,
    ) -> Result<(), Trouble> {
        let Lent { connection, calls } = lent;
        let patience = attempts::patience(self.shared, exchange)?;
        self.body_max = super::super::body_max(exchange);
        let closed = Trouble::Upstream(Failure::Closed);
        let request = exchange
            .routed
            .as_ref()
            .and_then(|routed| self.request(routed, target.tls.is_some()))
            .ok_or(Trouble::Upstream(Failure::Local))?;
        let ready = timeout(patience.first_byte, connection.ready()).await;
        let mut connection = match ready {
            Ok(Ok(connection)) => connection,
            Ok(Err(_)) => return Err(closed),
            Err(_) => return Err(Trouble::Upstream(Failure::Timeout)),
        };
        let ends = self.body.as_ref().is_none_or(RecvStream::is_end_stream);
        let (response, to) = connection.send_request(request, ends).map_err(|_| closed)?;
        let from = self.body.take().ok_or(closed)?;
        self.up = Some(Way::new(from, to, ends));
        let answer = self.answer(response, patience).await;
        if let Err(Trouble::Upstream(Failure::Timeout)) = answer {
            self.shared.lane.grpc.forget(target.place, &calls);
        }
        let answer = answer?;
        let (answer, body) = answer.into_parts();
        let status = answer.status.as_u16();
        attempts::answered(exchange, status, false)?;
        let ends = body.is_end_stream();
        let head = self.head(exchange, answer.status, &answer.headers);
        let to = self.respond.send_response(head, ends);
        let to = to.map_err(|_| Trouble::Client)?;
        self.status = status;
        self.down = Some(Way::new(body, to, ends));
        self.relay(patience).await
    }
}

impl Finish for GrpcLeg<'_> {
    /// What the endpoint did not want to hear it is not to be sent.
    fn leave(&mut self) {
        if let Some(up) = self.up.as_mut().filter(|up| !up.is_done) {
            up.to.send_reset(Reason::CANCEL);
        }
    }

    fn moved(&self) -> Moved {
        let bytes = |way: &Option<Way>| way.as_ref().map_or(0, |way| way.bytes);
        Moved {
            status: self.status,
            bytes_in: bytes(&self.up),
            bytes_out: bytes(&self.down),
        }
    }

    fn cut(&mut self, reason: Reason) {
        match &mut self.down {
            Some(down) => down.to.send_reset(reason),
            None => self.respond.send_reset(reason),
        }
        if let Some(up) = &mut self.up {
            up.to.send_reset(Reason::CANCEL);
        }
    }

    fn respond(&mut self) -> &mut SendResponse<Bytes> {
        &mut self.respond
    }

    fn to_head(&self) -> bool {
        false
    }
}
