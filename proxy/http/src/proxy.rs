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
use http::{HeaderName, HeaderValue, Version};
use meridian_accept::{CertStore, TrustedSources};
use meridian_live::View;
use meridian_telemetry::decision::DecisionIds;
use pingora_core::protocols::ALPN;
use pingora_core::protocols::http::ServerSession;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};

use crate::answer;
use crate::attempt::{Failure, Sent, Stage};
use crate::config::{ClientFrom, Toggle};
use crate::exchange::{Admission, Exchange, Origin, Routed, admit, host};
use crate::forward::{self, Trust};
use crate::info::{ConnectionInfo, connection_info};
use crate::metrics::{HttpMetrics, Unrouted};
use crate::record::Recorder;
use crate::table::Table;
use crate::websocket::is_websocket;

const ENDPOINT: HeaderName = HeaderName::from_static("x-meridian-endpoint");
const REGION: HeaderName = HeaderName::from_static("x-meridian-region");
const DECISION: HeaderName = HeaderName::from_static("x-meridian-decision");

/// How long an unread request body may still be read so that the connection can
/// be used again after we answered without it.
const BODY_DISCARD: Duration = Duration::from_secs(1);

/// One worker's side of pingora's proxy.
pub(crate) struct Proxy {
    pub(crate) view: View<Table>,
    pub(crate) trusted: TrustedSources,
    pub(crate) client_from: ClientFrom,
    pub(crate) certificates: Option<Arc<CertStore>>,
    pub(crate) decision_headers: Toggle,
    pub(crate) body_timeout: Duration,
    pub(crate) tunnel_timeout: Duration,
    pub(crate) upstream_idle_timeout: Duration,
    pub(crate) ids: DecisionIds,
    pub(crate) metrics: HttpMetrics,
    pub(crate) recorder: Recorder,
}

impl Proxy {
    fn admit(&self, session: &Session, exchange: &Exchange) -> Result<Routed, Unrouted> {
        let Some(connection) = info(session) else {
            return Err(Unrouted::UnknownHost);
        };
        let admission = Admission {
            table: self.view.full(),
            connection,
            trusted: &self.trusted,
            client_from: self.client_from,
            certificates: self.certificates.as_deref(),
            decision: exchange.decision,
            now: exchange.started,
        };
        admit(admission, session.req_header())
    }

    async fn answer_unrouted(&self, session: &mut Session, unrouted: Unrouted) -> Result<()> {
        let (status, text) = answer::unrouted_answer(unrouted);
        if unrouted != Unrouted::Method {
            return answer::respond(session, status, text).await;
        }
        let request = session.req_header();
        let path = request.uri.path().as_bytes();
        let table = self.view.full();
        let methods = table.lookup.methods(host(request).as_bytes(), path);
        answer::respond_allowing(session, status, text, &methods).await
    }

    fn set_client_timeouts(&self, session: &mut Session) {
        let patience = if is_websocket(session.req_header()) {
            self.tunnel_timeout
        } else {
            self.body_timeout
        };
        session.set_read_timeout(Some(patience));
        session.set_write_timeout(Some(patience));
        session.set_total_drain_timeout(Some(BODY_DISCARD));
    }

    fn peer(&self, session: &Session, routed: &mut Routed) -> Option<HttpPeer> {
        let left = routed.time_left(Instant::now());
        let address = routed.begin_attempt()?.socket_addr();
        let route = routed.route();
        let mut peer = HttpPeer::new(address, false, String::new());
        let connect = Some(route.connect_timeout.min(left));
        peer.options.connection_timeout = connect;
        peer.options.total_connection_timeout = connect;
        peer.options.read_timeout = Some(if is_websocket(session.req_header()) {
            self.tunnel_timeout
        } else {
            route.first_byte_timeout.min(left)
        });
        peer.options.write_timeout = Some(self.body_timeout);
        peer.options.idle_timeout = Some(self.upstream_idle_timeout);
        if is_grpc(session.req_header()) {
            // gRPC exists over HTTP/2 alone: the upstream gets its preface.
            peer.options.alpn = ALPN::H2;
        }
        Some(peer)
    }

    fn note(
        &self,
        routed: &mut Routed,
        failure: Failure,
        sent: Sent,
        origin: Origin,
        stage: Stage,
    ) -> bool {
        let endpoint = routed.endpoint().map(|endpoint| endpoint.id.clone());
        let again = routed.after(failure, sent, origin, stage, Instant::now());
        tracing::debug!(
            service = %routed.service_id(),
            endpoint = endpoint.as_ref().map(tracing::field::display),
            ?failure,
            ?origin,
            ?stage,
            again,
            "attempt failed"
        );
        again
    }
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = Exchange;

    fn new_ctx(&self) -> Exchange {
        Exchange {
            started: Instant::now(),
            decision: self.ids.next_id(),
            routed: None,
            first_byte: None,
        }
    }

    fn init_downstream_modules(&self, _modules: &mut pingora_core::modules::http::HttpModules) {
        // Compression is not asked for, and every module costs each request.
    }

    async fn request_filter(&self, session: &mut Session, exchange: &mut Exchange) -> Result<bool> {
        self.set_client_timeouts(session);
        match self.admit(session, exchange) {
            Ok(routed) if routed.pick.is_some() => {
                exchange.routed = Some(routed);
                Ok(false)
            }
            Ok(routed) => {
                let text = answer::nobody(&routed);
                exchange.routed = Some(routed);
                answer::respond(session, 503, &text).await?;
                Ok(true)
            }
            Err(unrouted) => {
                self.metrics.unrouted(unrouted);
                self.answer_unrouted(session, unrouted).await?;
                Ok(true)
            }
        }
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        exchange: &mut Exchange,
    ) -> Result<Box<HttpPeer>> {
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
    ) -> Result<()> {
        let (Some(connection), Some(routed)) = (info(session), exchange.routed.as_ref()) else {
            return Ok(());
        };
        let trust = if self.trusted.contains(connection.peer.ip()) {
            Trust::Trusted {
                header: self.client_from,
                client: routed.client,
            }
        } else {
            Trust::Stranger
        };
        let received = session.req_header().version;
        forward::write(
            request,
            received,
            connection,
            trust,
            routed.route().forwarded,
        )
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        exchange: &mut Exchange,
    ) -> Result<()> {
        if response.status.is_informational() && response.status != 101 {
            return Ok(());
        }
        let now = Instant::now();
        exchange.first_byte = Some(now);
        let Some(routed) = exchange.routed.as_ref() else {
            return Ok(());
        };
        if !response.status.is_server_error() {
            routed.succeeded();
            return Ok(());
        }
        let failure = Failure::Status(response.status.as_u16());
        if routed.wants_another(failure, sent(session), now) {
            let status = ErrorType::HTTPStatus(response.status.as_u16());
            return Err(Error::new_up(status));
        }
        routed.answered_badly(failure);
        Ok(())
    }

    async fn response_filter(
        &self,
        _session: &mut Session,
        response: &mut ResponseHeader,
        exchange: &mut Exchange,
    ) -> Result<()> {
        if self.decision_headers == Toggle::On
            && let Some(routed) = &exchange.routed
            && let Some(endpoint) = routed.endpoint()
        {
            let region = &routed.table.topology().regions[endpoint.region.index()];
            response.insert_header(ENDPOINT, text(endpoint.id.as_str()))?;
            response.insert_header(REGION, text(region.id.as_str()))?;
            response.insert_header(DECISION, text(&exchange.decision.to_string()))?;
        }
        Ok(())
    }

    fn upstream_response_body_filter(
        &self,
        session: &mut Session,
        _body: &mut Option<Bytes>,
        end_of_stream: bool,
        exchange: &mut Exchange,
    ) -> Result<Option<Duration>> {
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
            self.note(
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
            (Some(failure), Some(routed)) => {
                self.note(routed, failure, sent(session), origin, stage)
            }
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
            let text = answer::final_text(status, exchange);
            // A client that is gone misses the answer.
            let _ = answer::respond(session, status, &text).await;
        }
        FailToProxy {
            error_code: status,
            can_reuse_downstream: false,
        }
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, exchange: &mut Exchange) {
        self.recorder.finished(session, error, exchange);
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

fn text(value: &str) -> HeaderValue {
    // Ids hold letters, digits and `-_.` only.
    HeaderValue::try_from(value).unwrap_or_else(|_| HeaderValue::from_static(""))
}
