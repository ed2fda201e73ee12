//! The hooks by which pingora asks us: where to, what to send, what went wrong.
//!
//! Thin on purpose: [`crate::exchange`] decides, this file translates. The
//! order for one request is `request_filter` → `upstream_peer` →
//! `upstream_request_filter` → `upstream_response_filter` → `response_filter`
//! → `logging`; a failed attempt goes through `fail_to_connect` or
//! `error_while_proxy` back to `upstream_peer`, or on to `fail_to_proxy`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Version, header};
use meridian_telemetry::access::HttpDetails;
use pingora_core::protocols::ALPN;
use pingora_core::protocols::http::ServerSession;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorSource, ErrorType, Result as PingoraResult};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};

use crate::answer::{self, Answer};
use crate::attempt::{Failure, Sent, Stage};
use crate::authority::{self, Authority};
use crate::common::Common;
use crate::exchange::{Asked, Exchange, Origin, Routed, note};
use crate::fields::Fields;
use crate::forward;
use crate::info::{ConnectionInfo, connection_info};
use crate::metrics::Unrouted;
use crate::record::{Fault, Seen};
use crate::target::Target;
use crate::websocket::{is_for_this_hop, is_websocket};

/// How long an unread request body may still be read so that the connection can
/// be used again after we answered without it.
const BODY_DISCARD: Duration = Duration::from_secs(1);

/// One worker's side of pingora's proxy.
pub(crate) struct Proxy {
    pub(crate) common: Arc<Common>,
    pub(crate) tunnel_timeout: Duration,
    pub(crate) upstream_idle_timeout: Duration,
}

impl Proxy {
    /// The request with a route and a pick, or the answer to one that goes nowhere.
    fn admit(&self, session: &Session, exchange: &mut Exchange) -> Result<(), Answer> {
        let request = session.req_header();
        let target = target(request);
        let host = host(request, &target);
        let asked = Asked {
            scheme: target.scheme,
            host: host.map_or("", |host| host.host),
            port: host.and_then(|host| host.port),
            path: target.path().as_bytes(),
            target: &target.path_and_query,
            method: &request.method,
            fields: request,
        };
        let admitted = match info(session) {
            Some(connection) => self.common.admit(connection, &asked, exchange),
            None => Err(Unrouted::UnknownHost),
        };
        let routed = admitted.map_err(|unrouted| {
            self.common.metrics.unrouted(unrouted);
            self.common.unrouted_answer(unrouted, &asked)
        })?;
        let refused = answer::refused(&routed);
        exchange.routed = Some(routed);
        refused.map_or(Ok(()), Err)
    }

    fn set_client_timeouts(&self, session: &mut Session) {
        let patience = if is_websocket(session.req_header()) {
            self.tunnel_timeout
        } else {
            self.common.body_timeout
        };
        session.set_read_timeout(Some(patience));
        session.set_write_timeout(Some(patience));
        session.set_total_drain_timeout(Some(BODY_DISCARD));
    }

    fn peer(&self, session: &Session, routed: &mut Routed) -> Option<HttpPeer> {
        let left = routed.time_left(Instant::now());
        let tls = routed.tls().ok()?;
        let address = routed.begin_attempt()?.socket_addr();
        let route = routed.route();
        let name = tls
            .as_ref()
            .map_or_else(String::new, |tls| tls.name_text.clone());
        let mut peer = HttpPeer::new(address, tls.is_some(), name);
        if let Some(tls) = tls {
            peer.group_key = tls.number;
            peer.options.ca.clone_from(&tls.authorities);
            peer.client_cert_key.clone_from(&tls.identity);
        }
        let connect = Some(route.connect_timeout.min(left));
        peer.options.connection_timeout = connect;
        peer.options.total_connection_timeout = connect;
        peer.options.read_timeout = Some(if is_websocket(session.req_header()) {
            self.tunnel_timeout
        } else {
            route.first_byte_timeout.min(left)
        });
        peer.options.write_timeout = Some(self.common.body_timeout);
        peer.options.idle_timeout = Some(self.upstream_idle_timeout);
        if is_grpc(session.req_header()) {
            // gRPC exists over HTTP/2 alone: the upstream gets its preface.
            peer.options.alpn = ALPN::H2;
        }
        Some(peer)
    }
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = Exchange;

    fn new_ctx(&self) -> Exchange {
        self.common.begin()
    }

    fn init_downstream_modules(&self, _modules: &mut pingora_core::modules::http::HttpModules) {
        // Compression is not asked for, and every module costs each request.
    }

    async fn request_filter(
        &self,
        session: &mut Session,
        exchange: &mut Exchange,
    ) -> PingoraResult<bool> {
        let request = session.req_header_mut();
        if !is_for_this_hop(&request.headers) {
            // RFC 9110, section 7.8: it came from an earlier hop.
            request.remove_header(&header::UPGRADE);
        }
        self.set_client_timeouts(session);
        match self.admit(session, exchange) {
            Ok(()) => {
                if let Some(routed) = exchange.routed.as_mut() {
                    routed.wait().await;
                }
                Ok(false)
            }
            Err(answer) => {
                answer::respond(session, &answer).await?;
                Ok(true)
            }
        }
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        _body: &mut Option<Bytes>,
        _end_of_stream: bool,
        exchange: &mut Exchange,
    ) -> PingoraResult<()> {
        let routed = exchange.routed.as_ref();
        let body_max = routed.map_or(u64::MAX, |routed| routed.route().body_max);
        if !session.was_upgraded() && session.body_bytes_read() as u64 > body_max {
            return Err(Error::new_down(ErrorType::HTTPStatus(413)));
        }
        Ok(())
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        exchange: &mut Exchange,
    ) -> PingoraResult<Box<HttpPeer>> {
        // An earlier attempt's answer may have begun and been thrown away.
        exchange.first_byte = None;
        exchange
            .routed
            .as_mut()
            .and_then(|routed| self.peer(session, routed))
            .map(Box::new)
            .ok_or_else(|| Error::new_in(ErrorType::InternalError))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        exchange: &mut Exchange,
    ) -> PingoraResult<()> {
        let (Some(connection), Some(routed)) = (info(session), exchange.routed.as_ref()) else {
            return Ok(());
        };
        let told = self.common.told(connection, routed, request).into_owned();
        forward::write(request, &told, session.req_header().version)?;
        let asked = target(session.req_header());
        if let Some(authority) = asked.authority {
            // RFC 9112, section 3.2.2: only proxies are asked like that.
            if let Ok(uri) = asked.path_and_query.parse() {
                request.set_uri(uri);
            }
            request.insert_header(header::HOST, authority)?;
        }
        let route = routed.route();
        route.target.change_request(request)?;
        route.request.change_request(request)
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        exchange: &mut Exchange,
    ) -> PingoraResult<()> {
        if response.status.is_informational() && response.status != 101 {
            return Ok(());
        }
        let now = Instant::now();
        exchange.first_byte = Some(now);
        let Some(routed) = exchange.routed.as_ref() else {
            return Ok(());
        };
        if !response.status.is_server_error() {
            routed.succeeded(now);
            return Ok(());
        }
        let failure = Failure::Status(response.status.as_u16());
        if routed.wants_another(failure, sent(session), now) {
            let status = ErrorType::HTTPStatus(response.status.as_u16());
            return Err(Error::new_up(status));
        }
        routed.answered_badly(failure, now);
        Ok(())
    }

    async fn response_filter(
        &self,
        _session: &mut Session,
        response: &mut ResponseHeader,
        exchange: &mut Exchange,
    ) -> PingoraResult<()> {
        if let Some(routed) = &exchange.routed {
            routed.route().response.strip(response);
        }
        if response.status == 204 {
            // RFC 9110, section 8.6; RFC 9112, section 6.1.
            response.remove_header(&header::CONTENT_LENGTH);
            response.remove_header(&header::TRANSFER_ENCODING);
        }
        for (name, value) in self.common.own_fields(exchange) {
            response.append_header(name, value)?;
        }
        Ok(())
    }

    fn upstream_response_body_filter(
        &self,
        session: &mut Session,
        _body: &mut Option<Bytes>,
        end_of_stream: bool,
        exchange: &mut Exchange,
    ) -> PingoraResult<Option<Duration>> {
        let late = exchange
            .routed
            .as_ref()
            .is_some_and(|routed| routed.time_left(Instant::now()).is_zero());
        if late && !end_of_stream && !session.was_upgraded() {
            return Err(Error::new_up(ErrorType::ReadTimedout));
        }
        Ok(None)
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        exchange: &mut Exchange,
        mut error: Box<Error>,
    ) -> Box<Error> {
        let failure = Failure::of_connect(&error);
        let again = exchange.routed.as_mut().is_some_and(|routed| {
            note(
                routed,
                failure,
                Sent::Nothing,
                Origin::Fresh,
                Stage::Connecting,
            )
        });
        error.set_retry(again);
        error
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        exchange: &mut Exchange,
        client_reused: bool,
    ) -> Box<Error> {
        let origin = if client_reused {
            Origin::Pooled
        } else {
            Origin::Fresh
        };
        let stage = stage(session, exchange);
        let again = match (Failure::of_exchange(&error), exchange.routed.as_mut()) {
            (Some(failure), Some(routed)) => note(routed, failure, sent(session), origin, stage),
            _ => false,
        };
        error.set_retry(again);
        error
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        exchange: &mut Exchange,
    ) -> FailToProxy {
        let status = answer::final_status(error, exchange);
        if status != 0 && session.response_written().is_none() {
            // pingora does not use the connection again after a failed attempt;
            // the client is to know.
            session.set_keepalive(None);
            let answer = Answer::new(status, answer::final_text(status, exchange));
            // A client that is gone misses the answer.
            let _ = answer::respond(session, &answer).await;
        }
        FailToProxy {
            error_code: status,
            can_reuse_downstream: false,
        }
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, exchange: &mut Exchange) {
        let status = session
            .response_written()
            .map_or(0, |response| response.status.as_u16());
        let fault = match error.map(Error::esource) {
            None => Fault::None,
            Some(ErrorSource::Downstream) => Fault::Client,
            Some(_) => Fault::Upstream,
        };
        let recorder = &self.common.recorder;
        recorder.finished(exchange, status, fault, || seen(session, status));
    }

    // Metrics, the access log and a debug event say all that pingora would.
    fn suppress_error_log(&self, _: &Session, _: &Exchange, _: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _: &Session,
        _: &Exchange,
        _: &Error,
        _: ProxyWarnLogContext,
    ) -> bool {
        true
    }
}

/// What the session's connection is.
pub(crate) fn info(session: &Session) -> Option<&ConnectionInfo> {
    let session: &ServerSession = session.as_ref();
    connection_info(session.digest())
}

/// How far the current attempt has come.
fn stage(session: &mut Session, exchange: &Exchange) -> Stage {
    if exchange.first_byte.is_some() {
        Stage::Answering
    } else if session.is_body_done() {
        Stage::Waiting
    } else {
        Stage::Uploading
    }
}

/// Whether the request may be sent again after it reached an upstream.
fn sent(session: &Session) -> Sent {
    let repeatable = session.req_header().method.is_idempotent()
        && !session.as_ref().retry_buffer_truncated()
        && session.response_written().is_none();
    Sent::Perhaps { repeatable }
}

fn is_grpc(request: &RequestHeader) -> bool {
    request.version == Version::HTTP_2
        && request
            .headers
            .get(http::header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// What is asked for: HTTP/1's target as it came, or HTTP/2's path.
fn target(request: &RequestHeader) -> Target<'_> {
    let raw = match request.version {
        Version::HTTP_2 => None,
        _ => str::from_utf8(request.raw_path()).ok(),
    };
    let path = || {
        request
            .uri
            .path_and_query()
            .map_or("/", |path| path.as_str())
    };
    Target::of(raw.unwrap_or_else(path), &request.method)
}

/// The host a request is for: HTTP/2's `:authority` or an absolute target, else
/// `Host`. `None` where there is none (HTTP/1.0).
fn host<'r>(request: &'r RequestHeader, target: &Target<'r>) -> Option<Authority<'r>> {
    let named = request
        .uri
        .authority()
        .map(|authority| authority.as_str())
        .or(target.authority)
        .map(str::as_bytes)
        .or_else(|| request.values("host").next());
    named.and_then(authority::parse)
}

/// What the access log wants to know.
fn seen(session: &Session, status: u16) -> Option<Seen<'_>> {
    let request = session.req_header();
    let field = |name| {
        let value = request.values(name).next()?;
        Some(String::from_utf8_lossy(value).into_owned())
    };
    let authority = request.uri.authority();
    Some(Seen {
        connection: info(session)?,
        bytes_in: session.body_bytes_read() as u64,
        bytes_out: session.body_bytes_sent() as u64,
        http: HttpDetails {
            method: request.method.as_str().to_owned(),
            host: authority
                .map(|authority| authority.as_str().to_owned())
                .or_else(|| field("host"))
                .unwrap_or_default(),
            path: request.uri.path().to_owned(),
            version: match request.version {
                Version::HTTP_10 => "HTTP/1.0",
                Version::HTTP_2 => "HTTP/2",
                _ => "HTTP/1.1",
            },
            status,
            user_agent: field("user-agent"),
        },
    })
}
