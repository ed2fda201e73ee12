//! Answers the proxy gives itself.
//!
//! An [`Answer`] is one line of plain text that says what happened, never a name
//! or address of an upstream. It goes out as bytes ([`refuse`], our own lane) or
//! within pingora's request phases ([`respond`]).

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, header};
use meridian_engine::Fallback;
use pingora_core::{Error, ErrorSource, ErrorType, Result};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::attempt::Failure;
use crate::downstream::Downstream;
use crate::exchange::{Exchange, Refusal, Routed};
use crate::fields::write_field;
use crate::metrics::Unrouted;

/// After a refusal, how long we read on so that the client gets to see it: a
/// close with unread bytes makes the kernel send a reset, which may overtake
/// the answer (RFC 9112, section 9.6).
const LINGER: Duration = Duration::from_secs(1);

/// Bytes thrown away in that time.
const LINGER_BYTES_MAX: usize = 256 * 1024;

/// An answer of one line.
pub(crate) struct Answer {
    pub(crate) status: u16,
    text: Cow<'static, str>,
    /// Fields beside those that every answer has.
    fields: Vec<(HeaderName, HeaderValue)>,
}

impl Answer {
    /// A line without its end.
    pub(crate) fn new(status: u16, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            text: text.into(),
            fields: Vec::new(),
        }
    }

    /// The same, with one more field; a value that may not be sent is left out.
    pub(crate) fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = value.parse() {
            self.fields.push((name, value));
        }
        self
    }

    /// The same, with the methods that are allowed: 405 must name them (RFC 9110, section 15.5.6).
    pub(crate) fn allowing(self, methods: &[Method]) -> Self {
        let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
        self.with(header::ALLOW, &names.join(", "))
    }

    /// As HTTP/1.1 has it; without its body when HEAD was asked.
    pub(crate) fn bytes(&self, closing: bool, to_head: bool) -> Vec<u8> {
        let reason = http::StatusCode::from_u16(self.status)
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or("Error");
        let head = format!(
            "HTTP/1.1 {} {reason}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\ncache-control: no-store\r\n",
            self.status,
            self.text.len() + 1,
        );
        let mut bytes = head.into_bytes();
        for (name, value) in &self.fields {
            write_field(&mut bytes, name.as_str(), value.as_bytes());
        }
        if closing {
            bytes.extend_from_slice(b"connection: close\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        if !to_head {
            bytes.extend_from_slice(self.text.as_bytes());
            bytes.push(b'\n');
        }
        bytes
    }

    /// As HTTP/2 has it: head and body.
    pub(crate) fn http2(&self) -> (http::Response<()>, Bytes) {
        let body = Bytes::from(format!("{}\n", self.text));
        let mut head = http::Response::new(());
        *head.status_mut() = http::StatusCode::from_u16(self.status).unwrap_or_default();
        let fields = head.headers_mut();
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        fields.insert(header::CONTENT_TYPE, text);
        fields.insert(header::CONTENT_LENGTH, body.len().into());
        let no_store = HeaderValue::from_static("no-store");
        fields.insert(header::CACHE_CONTROL, no_store);
        for (name, value) in &self.fields {
            fields.append(name.clone(), value.clone());
        }
        (head, body)
    }

    /// Bytes of the body that are sent.
    pub(crate) fn body_bytes(&self, to_head: bool) -> u64 {
        if to_head {
            0
        } else {
            self.text.len() as u64 + 1
        }
    }
}

/// Writes a whole answer and closes the connection.
pub(crate) async fn refuse(downstream: &mut Downstream, answer: &Answer) {
    // A client that does not take the answer in time does without.
    let _ = timeout(LINGER, downstream.write_whole(&answer.bytes(true, false))).await;
    part(downstream).await;
}

/// Closes a connection whose client may still be sending.
pub(crate) async fn part(downstream: &mut Downstream) {
    let _ = timeout(LINGER, async {
        downstream.shutdown().await?;
        linger(downstream).await
    })
    .await;
}

async fn linger(downstream: &mut Downstream) -> std::io::Result<()> {
    downstream.ahead().clear();
    downstream.set_gate(crate::downstream::Gate::Open);
    let mut discarded = [0_u8; 4096];
    let mut total = 0;
    while total < LINGER_BYTES_MAX {
        match downstream.read(&mut discarded).await? {
            0 => break,
            read => total += read,
        }
    }
    Ok(())
}

/// Answers a request in place of an upstream, in pingora's lane. The connection stays usable.
pub(crate) async fn respond(session: &mut Session, answer: &Answer) -> Result<()> {
    let body = Bytes::from(format!("{}\n", answer.text));
    let mut head = ResponseHeader::build_no_case(answer.status, Some(5))?;
    head.insert_header(header::CONTENT_TYPE, "text/plain; charset=utf-8")?;
    head.insert_header(header::CONTENT_LENGTH, body.len())?;
    head.insert_header(header::CACHE_CONTROL, "no-store")?;
    for (name, value) in &answer.fields {
        head.append_header(name.clone(), value.clone())?;
    }
    session.write_response_header(Box::new(head), false).await?;
    let body = (session.req_header().method != Method::HEAD).then_some(body);
    session.write_response_body(body, true).await
}

/// The status for the client; 0 when it is gone.
pub(crate) fn final_status(error: &Error, exchange: &Exchange) -> u16 {
    let last = exchange
        .routed
        .as_ref()
        .and_then(|routed| routed.last_failure);
    match (error.esource(), error.etype()) {
        (ErrorSource::Downstream, ErrorType::ReadTimedout) => 408,
        (
            ErrorSource::Downstream,
            ErrorType::WriteError
            | ErrorType::WriteTimedout
            | ErrorType::ReadError
            | ErrorType::ConnectionClosed,
        ) => 0,
        (ErrorSource::Downstream, ErrorType::HTTPStatus(status)) => *status,
        (ErrorSource::Downstream, _) => 400,
        (ErrorSource::Upstream, _) => last.map_or(502, Failure::status),
        _ => 500,
    }
}

/// The line that goes with it.
pub(crate) fn final_text(status: u16, exchange: &Exchange) -> String {
    let attempts = exchange.routed.as_ref().map_or(0, |routed| routed.attempts);
    match status {
        400 => "the request is malformed".to_owned(),
        408 => "the request's body did not arrive in time".to_owned(),
        413 => "the body is longer than is taken here".to_owned(),
        502 => format!("no endpoint of the service gave an answer (tried {attempts})"),
        504 => format!("no endpoint of the service answered in time (tried {attempts})"),
        _ => format!("the proxy cannot serve the request now (tried {attempts})"),
    }
}

/// The answer to a request that goes to no upstream; `None` for one that does.
pub(crate) fn refused(routed: &Routed) -> Option<Answer> {
    let answer = match routed.refusal.as_ref()? {
        Refusal::Nobody => Answer::new(503, nobody(routed)),
        Refusal::EndpointsFull => Answer::new(503, "every endpoint of the service is at its limit")
            .with(header::RETRY_AFTER, "1"),
        Refusal::ServiceFull => {
            Answer::new(503, "the service is at its limit").with(header::RETRY_AFTER, "1")
        }
        Refusal::RateLimited(refused) => {
            // Whole seconds, rounded up (RFC 9110, section 10.2.3).
            let seconds = refused.wait.as_secs() + u64::from(refused.wait.subsec_nanos() > 0);
            Answer::new(429, "too many requests in too short a time")
                .with(header::RETRY_AFTER, &seconds.to_string())
        }
        Refusal::Forbidden => Answer::new(403, "this client is not served here"),
        Refusal::BodyTooLarge => Answer::new(413, "the body is longer than is taken here"),
        Refusal::Fault(status) => Answer::new(*status, "a fault, on purpose"),
        Refusal::Redirect { status, location } => {
            let mut answer =
                Answer::new(*status, "this is elsewhere").with(header::LOCATION, location);
            answer.fields.extend(routed.route().response.fields());
            answer
        }
    };
    Some(answer)
}

/// What a client reads when the policy leaves nobody.
fn nobody(routed: &Routed) -> String {
    let service = routed.service_id();
    match routed.table.published.plan.fallback(routed.service_index()) {
        Fallback::Closed => {
            format!(
                "no endpoint of service {service} may serve this client now: its policy fails closed"
            )
        }
        Fallback::Static(_) => format!(
            "no endpoint of service {service} may serve this client now: its policy has static answers for DNS only"
        ),
    }
}

/// The answer to a request that no route takes.
pub(crate) fn unrouted_answer(unrouted: Unrouted) -> Answer {
    let (status, text) = match unrouted {
        Unrouted::UnknownHost => (404, "no service answers for this host"),
        Unrouted::UnknownPath => (404, "no service answers for this path"),
        Unrouted::Method => (405, "no service answers for this method here"),
        Unrouted::Misdirected => (421, "this connection was made for another host"),
    };
    Answer::new(status, text)
}
