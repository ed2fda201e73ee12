//! One attempt for an HTTP/2 client at an endpoint that speaks HTTP/1.1.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tokio_util::io::poll_read_buf;

use super::super::attempts::{self, Leg, Until};
use super::super::body::Rest;
use super::super::chunked::ChunkSink;
use super::super::response::{Reading, Response};
use super::super::upstream::{Target, Upstream};
use super::super::wire::{Elapsed, Patience, Trouble, patiently};
use super::head::{self, AnswerHead, Framing};
use super::upload::Upload;
use super::{Finish, Moved};
use crate::attempt::Failure;
use crate::compress::Encoder;
use crate::exchange::{Exchange, Origin};
use crate::info::ConnectionInfo;
use crate::worker::Shared;

/// Room for the first read of an answer: most are whole then.
const FIRST_BYTES: usize = 4 * 1024;
/// Room for each further one.
const READ_BYTES: usize = 16 * 1024;

/// See the module's documentation.
pub(super) struct StreamLeg<'s> {
    shared: &'s Shared,
    respond: SendResponse<Bytes>,
    /// The way to the client, once an answer has begun.
    sending: Option<SendStream<Bytes>>,
    upload: Upload,
    to_head: bool,
    idempotent: bool,
    /// Of the answer that was begun; 0 before.
    status: u16,
    body_out: u64,
}

impl<'s> StreamLeg<'s> {
    pub(super) fn new(
        shared: &'s Shared,
        info: &ConnectionInfo,
        exchange: &Exchange,
        parts: &Parts,
        body: RecvStream,
        respond: SendResponse<Bytes>,
    ) -> Self {
        let framing = Framing::of(parts, body.is_end_stream());
        let head = match (exchange.routed.as_ref(), head::host(parts)) {
            (Some(routed), Ok(Some(host))) => {
                let fields = head::WithHost {
                    fields: &parts.headers,
                    host,
                };
                let told = shared.common.told(info, routed, &fields);
                head::write_http1(parts, host, framing, routed.route(), &told)
            }
            // Who is admitted has a route and a host.
            _ => Vec::new(),
        };
        Self {
            shared,
            respond,
            sending: None,
            upload: Upload::new(head, framing, body, super::super::body_max(exchange)),
            to_head: parts.method == Method::HEAD,
            idempotent: parts.method.is_idempotent(),
            status: 0,
            body_out: 0,
        }
    }

    fn poll_upload(
        &mut self,
        context: &mut Context<'_>,
        upstream: &mut Upstream,
    ) -> Poll<Result<(), Trouble>> {
        if self.upload.is_over() {
            return Poll::Pending;
        }
        self.upload.poll(context, upstream)
    }

    /// Ready when the client wants no answer any more.
    fn poll_left(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.sending {
            Some(sending) => sending.poll_reset(context).map(|_| ()),
            None => self.respond.poll_reset(context).map(|_| ()),
        }
    }

    /// Reads more of the answer while the request goes on; 0 at its end.
    async fn read(
        &mut self,
        upstream: &mut Upstream,
        incoming: &mut BytesMut,
        patience: Patience,
    ) -> Result<usize, Trouble> {
        let room = if self.status == 0 {
            FIRST_BYTES
        } else {
            READ_BYTES
        };
        loop {
            let client_owes = self.upload.waits_for_client();
            let silence = if client_owes {
                patience.body
            } else {
                patience.first_byte
            };
            let moved = patiently(silence, patience.deadline, |context| {
                let moved = self.poll_upload(context, upstream)?.is_ready();
                match poll_more(context, upstream, incoming, room) {
                    Poll::Ready(count) => Poll::Ready(count.map(Some)),
                    Poll::Pending if moved => Poll::Ready(Ok(None)),
                    Poll::Pending => self.poll_left(context).map(|()| Err(Trouble::Client)),
                }
            });
            match moved.await {
                Ok(moved) => {
                    if let Some(count) = moved? {
                        return Ok(count);
                    }
                }
                Err(Elapsed::Silence) if client_owes => return Err(Trouble::ClientSlow),
                Err(_) => return Err(Trouble::Upstream(Failure::Timeout)),
            }
        }
    }

    /// Gives the client a piece of the answer, as fast as it takes it.
    async fn send(
        &mut self,
        upstream: &mut Upstream,
        mut data: Bytes,
        ends: bool,
        patience: Patience,
    ) -> Result<(), Trouble> {
        self.body_out += data.len() as u64;
        while !data.is_empty() {
            let Some(sending) = &mut self.sending else {
                return Err(Trouble::Client);
            };
            sending.reserve_capacity(data.len());
            if sending.capacity() == 0 {
                Box::pin(self.capacity(upstream, patience)).await?;
            }
            let Some(sending) = &mut self.sending else {
                return Err(Trouble::Client);
            };
            let piece = data.split_to(sending.capacity().min(data.len()));
            let is_last = ends && data.is_empty();
            sending
                .send_data(piece, is_last)
                .map_err(|_| Trouble::Client)?;
        }
        Ok(())
    }

    /// Waits until the client takes more.
    async fn capacity(
        &mut self,
        upstream: &mut Upstream,
        patience: Patience,
    ) -> Result<(), Trouble> {
        loop {
            let waiting = patiently(patience.body, patience.deadline, |context| {
                let moved = self.poll_upload(context, upstream)?.is_ready();
                let Some(sending) = &mut self.sending else {
                    return Poll::Ready(Err(Trouble::Client));
                };
                match sending.poll_capacity(context) {
                    Poll::Ready(Some(Ok(count))) => Poll::Ready(Ok(count > 0)),
                    Poll::Ready(_) => Poll::Ready(Err(Trouble::Client)),
                    Poll::Pending if moved => Poll::Ready(Ok(false)),
                    Poll::Pending => Poll::Pending,
                }
            });
            match waiting.await {
                Ok(Ok(true)) => return Ok(()),
                Ok(Ok(false)) => {}
                Ok(Err(trouble)) => return Err(trouble),
                Err(Elapsed::Silence) => return Err(Trouble::Client),
                Err(Elapsed::Deadline) => return Err(Trouble::Upstream(Failure::Timeout)),
            }
        }
    }

    /// Passes an answer on; whether the endpoint takes another request.
    async fn exchange_with(
        &mut self,
        upstream: &mut Upstream,
        exchange: &mut Exchange,
    ) -> Result<bool, Trouble> {
        let patience = attempts::patience(self.shared, exchange)?;
        let mut incoming = BytesMut::new();
        let (response, head) = self
            .head(upstream, exchange, &mut incoming, patience)
            .await?;
        let repeatable = self.idempotent && self.upload.is_whole();
        attempts::answered(exchange, response.status, repeatable)?;
        let mut rest = response.rest;
        let head = head.finish(&self.shared.common, exchange);
        let ends = rest.is_done();
        let sending = self.respond.send_response(head, ends);
        self.sending = Some(sending.map_err(|_| Trouble::Client)?);
        self.status = response.status;
        let mut lines = Vec::new();
        let mut encoder = self.shared.lane.encoder(response.coding)?;
        while !rest.is_done() {
            let mut piece = Piece::take(&mut rest, &mut incoming, &mut lines)?;
            piece.code(&mut encoder)?;
            match (piece.ends, piece.trailers) {
                (true, Some(trailers)) => {
                    self.send(upstream, piece.data, false, patience).await?;
                    let sending = self.sending.as_mut().ok_or(Trouble::Client)?;
                    sending
                        .send_trailers(trailers)
                        .map_err(|_| Trouble::Client)?;
                }
                (true, None) if piece.data.is_empty() => self.end()?,
                (ends, _) => self.send(upstream, piece.data, ends, patience).await?,
            }
            if rest.is_done() {
                break;
            }
            if self.read(upstream, &mut incoming, patience).await? == 0 {
                if !matches!(rest, Rest::UntilClose) {
                    return Err(Trouble::Upstream(Failure::Closed));
                }
                if let Some(encoder) = encoder.take() {
                    let last = encoder.finish().map_err(broken)?;
                    self.send(upstream, last, false, patience).await?;
                }
                self.end()?;
                return Ok(false);
            }
        }
        Ok(incoming.is_empty() && response.keeps_connection && self.upload.is_complete())
    }

    /// Ends the answer with an empty frame.
    fn end(&mut self) -> Result<(), Trouble> {
        let sending = self.sending.as_mut().ok_or(Trouble::Client)?;
        sending
            .send_data(Bytes::new(), true)
            .map_err(|_| Trouble::Client)
    }

    /// Waits for the head of the answer; what comes before it is passed on.
    async fn head(
        &mut self,
        upstream: &mut Upstream,
        exchange: &Exchange,
        incoming: &mut BytesMut,
        patience: Patience,
    ) -> Result<(Response, AnswerHead), Trouble> {
        let head_bytes_max = self.shared.head_bytes_max;
        loop {
            if !incoming.is_empty() {
                let mut head = AnswerHead::default();
                let reading = Reading::of(exchange, self.to_head, self.shared)?;
                let response = Response::read(incoming, &reading, &mut head);
                match response.map_err(|_| Trouble::Upstream(Failure::Malformed))? {
                    Some(response) => {
                        incoming.advance(response.head_bytes);
                        if !response.is_interim() {
                            return Ok((response, head));
                        }
                        let interim = self.respond.send_informational(head.interim());
                        interim.map_err(|_| Trouble::Client)?;
                        continue;
                    }
                    None if incoming.len() >= head_bytes_max => {
                        return Err(Trouble::Upstream(Failure::Malformed));
                    }
                    None => {}
                }
            }
            if self.read(upstream, incoming, patience).await? == 0 {
                return Err(Trouble::Upstream(Failure::Closed));
            }
        }
    }
}

impl Leg for StreamLeg<'_> {
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

impl Finish for StreamLeg<'_> {
    fn copy(&self, exchange: &Exchange) {
        self.shared.lane.mirrors.send(exchange, self.upload.whole());
    }

    fn moved(&self) -> Moved {
        Moved {
            status: self.status,
            bytes_in: self.upload.body_bytes(),
            bytes_out: self.body_out,
        }
    }

    fn cut(&mut self, reason: Reason) {
        match &mut self.sending {
            Some(sending) => sending.send_reset(reason),
            None => self.respond.send_reset(reason),
        }
    }

    fn respond(&mut self) -> &mut SendResponse<Bytes> {
        &mut self.respond
    }

    fn to_head(&self) -> bool {
        self.to_head
    }
}

/// Reads what there is; memory is taken only when something is.
fn poll_more(
    context: &mut Context<'_>,
    upstream: &mut Upstream,
    incoming: &mut BytesMut,
    room: usize,
) -> Poll<Result<usize, Trouble>> {
    let closed = |_| Trouble::Upstream(Failure::Closed);
    ready!(upstream.poll_read_ready(context)).map_err(closed)?;
    incoming.reserve(room);
    let read = poll_read_buf(Pin::new(upstream), context, incoming);
    Poll::Ready(ready!(read).map_err(closed))
}

/// A piece of an answer's body, out of whatever coding it came in.
struct Piece {
    data: Bytes,
    ends: bool,
    trailers: Option<HeaderMap>,
}

fn broken(_: std::io::Error) -> Trouble {
    Trouble::Upstream(Failure::Local)
}

impl Piece {
    /// Puts it into another coding.
    fn code(&mut self, encoder: &mut Option<Box<Encoder>>) -> Result<(), Trouble> {
        let Some(open) = encoder else {
            return Ok(());
        };
        let mut data = open.push(&self.data).map_err(broken)?;
        if self.ends
            && let Some(encoder) = encoder.take()
        {
            let last = encoder.finish().map_err(broken)?;
            data = [data, last].concat().into();
        }
        self.data = data;
        Ok(())
    }

    /// Takes what is there; `lines` are the trailers so far.
    fn take(
        rest: &mut Rest,
        incoming: &mut BytesMut,
        lines: &mut Vec<u8>,
    ) -> Result<Self, Trouble> {
        let malformed = |_| Trouble::Upstream(Failure::Malformed);
        if let Rest::Chunked(scanner) = rest {
            let mut inside = Inside {
                data: BytesMut::new(),
                lines,
            };
            let count = scanner
                .feed_into(incoming, &mut inside)
                .map_err(malformed)?;
            incoming.advance(count);
            let ends = scanner.is_done();
            return Ok(Self {
                trailers: if ends { inside.trailers() } else { None },
                data: inside.data.freeze(),
                ends,
            });
        }
        let count = rest.take(incoming).map_err(malformed)?;
        Ok(Self {
            data: incoming.split_to(count).freeze(),
            ends: rest.is_done(),
            trailers: None,
        })
    }
}

/// What is inside of chunks.
struct Inside<'l> {
    data: BytesMut,
    /// Trailer lines, each ended by CR.
    lines: &'l mut Vec<u8>,
}

impl Inside<'_> {
    /// The trailers, if there are any that HTTP/2 has too.
    fn trailers(&self) -> Option<HeaderMap> {
        let mut trailers = HeaderMap::new();
        for line in self.lines.split(|byte| *byte == b'\r') {
            let Some(colon) = line.iter().position(|byte| *byte == b':') else {
                continue;
            };
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if let (Ok(name), Ok(value)) =
                (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
            {
                trailers.append(name, value);
            }
        }
        (!trailers.is_empty()).then_some(trailers)
    }
}

impl ChunkSink for Inside<'_> {
    fn data(&mut self, bytes: &[u8]) {
        self.data.extend_from_slice(bytes);
    }

    fn trailer(&mut self, byte: u8) {
        self.lines.push(byte);
    }
}
