//! Heads between HTTP/2 and HTTP/1.1 (RFC 9113, section 8).

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};

use super::super::response::HeadSink;
use crate::authority;
use crate::common::Common;
use crate::exchange::Exchange;
use crate::fields::{Fields, write_field};
use crate::forward::{Said, Told};
use crate::head::Refusal;
use crate::table::Route;

/// What of the fields usually takes room beside names and values.
const FIELD_BYTES: usize = 4;
/// What the fields that we add to a request usually take.
const OWN_BYTES: usize = 256;

impl Fields for HeaderMap {
    fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.get_all(name).iter().map(HeaderValue::as_bytes)
    }
}

/// The fields of a request as HTTP/1.1 would have them: with a `Host`.
pub(super) struct WithHost<'f> {
    pub(super) fields: &'f HeaderMap,
    pub(super) host: &'f str,
}

impl Fields for WithHost<'_> {
    fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let is_host = name == "host";
        let host = is_host.then_some(self.host.as_bytes());
        let fields = (!is_host).then(|| Fields::values(self.fields, name));
        host.into_iter().chain(fields.into_iter().flatten())
    }
}

/// The authority that is asked for, as written: `:authority`, else `Host`. Where both are there, they are
/// the same (section 8.3.1).
pub(super) fn host(parts: &Parts) -> Result<Option<&str>, Refusal> {
    let mut fields = parts.headers.get_all(header::HOST).iter();
    let field = match (fields.next(), fields.next()) {
        (_, Some(_)) => return Err(Refusal::Host),
        (Some(field), None) => Some(field.to_str().map_err(|_| Refusal::Host)?),
        (None, None) => None,
    };
    let named = parts.uri.authority().map(|authority| authority.as_str());
    let both = [named, field].map(|host| host.map(|host| authority::parse(host.as_bytes())));
    match both {
        [Some(None), _] | [_, Some(None)] | [None, None] => Err(Refusal::Host),
        [Some(Some(named)), Some(Some(field))] if !named.same_host(&field) => Err(Refusal::Host),
        _ => Ok(named.or(field)),
    }
}

/// The rules on a head that `h2` let pass, so that it means the same to an endpoint that speaks HTTP/1.1:
/// what [`crate::head`] asks of HTTP/1.1 heads, in HTTP/2's terms. A fragment is cut off by the library.
pub(super) fn judge(parts: &Parts) -> Result<(), Refusal> {
    let target = parts
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let is_form = target.starts_with('/') || (target == "*" && parts.method == Method::OPTIONS);
    if !is_form || !target.bytes().all(crate::head::is_target) {
        return Err(Refusal::Target);
    }
    let is_known = |scheme: &str| ["http", "https"].contains(&scheme);
    // Without `:authority` the library keeps no scheme.
    let tells_scheme = parts.method != Method::CONNECT && parts.uri.authority().is_some();
    if tells_scheme && !parts.uri.scheme_str().is_some_and(is_known) {
        return Err(Refusal::Target);
    }
    let mut lengths = parts.headers.get_all(header::CONTENT_LENGTH).iter();
    match (lengths.next(), lengths.next()) {
        (_, Some(_)) => return Err(Refusal::ContentLength),
        (Some(length), None) => {
            crate::head::content_length(length.as_bytes())?;
        }
        (None, None) => {}
    }
    // RFC 9113, section 8.2.1; the library takes a quotation mark for a part of a name.
    let is_padded = |value: &[u8]| {
        let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
        is_blank(value.first()) || is_blank(value.last())
    };
    for (name, value) in &parts.headers {
        if is_padded(value.as_bytes()) || name.as_str().contains('"') {
            return Err(Refusal::Field);
        }
    }
    Ok(())
}

/// Whether the request is a call of gRPC: those exist over HTTP/2 alone.
pub(super) fn is_grpc(parts: &Parts) -> bool {
    let kind = parts.headers.get(header::CONTENT_TYPE);
    // `application/grpc-web` is another thing, and goes over HTTP/1.1.
    let suffix = kind.and_then(|kind| kind.as_bytes().strip_prefix(b"application/grpc"));
    suffix.is_some_and(|suffix| matches!(suffix.first(), None | Some(b'+' | b';')))
}

/// How the body is framed towards the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none.
    None,
    /// `Content-Length` says how long it is; the client is held to it by `h2`.
    Length,
    /// Chunks.
    Chunked,
}

impl Framing {
    pub(super) fn of(parts: &Parts, ends: bool) -> Self {
        if parts.headers.contains_key(header::CONTENT_LENGTH) {
            Self::Length
        } else if ends {
            Self::None
        } else {
            Self::Chunked
        }
    }
}

/// Whether a field of an HTTP/2 message may be passed on. `h2` refuses those of a connection; `te` is for
/// us, and the others are written anew.
fn passes(name: &HeaderName) -> bool {
    ![header::HOST, header::COOKIE, header::TE, header::UPGRADE].contains(name)
}

/// The head for an endpoint that is asked in HTTP/1.1.
pub(super) fn write_http1(
    parts: &Parts,
    host: &str,
    framing: Framing,
    route: &Route,
    told: &Told<'_>,
) -> Vec<u8> {
    let fields = parts.headers.iter();
    let bytes: usize = fields
        .map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES)
        .sum();
    let target = parts
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let mut head = Vec::with_capacity(bytes + target.len() + OWN_BYTES);
    let target = route.target.of(target);
    for part in [parts.method.as_str(), " ", &target, " HTTP/1.1\r\n"] {
        head.extend_from_slice(part.as_bytes());
    }
    let host = route
        .target
        .host
        .as_ref()
        .map_or(host.as_bytes(), HeaderValue::as_bytes);
    write_field(&mut head, "host", host);
    for (name, value) in &parts.headers {
        let name_text = name.as_str();
        if passes(name) && told.passes(name_text) && route.request.passes(name_text) {
            write_field(&mut head, name_text, value.as_bytes());
        }
    }
    if route.request.passes("cookie") {
        write_cookies(&parts.headers, &mut head);
    }
    match framing {
        Framing::Chunked => head.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Framing::None if expects_body(&parts.method) => {
            head.extend_from_slice(b"content-length: 0\r\n");
        }
        Framing::None | Framing::Length => {}
    }
    for (name, value) in ours(route, told) {
        write_field(&mut head, name, value);
    }
    head.extend_from_slice(b"via: 2 meridian\r\n\r\n");
    head
}

/// RFC 9110, section 8.6: who usually sends a body says that there is none.
fn expects_body(method: &Method) -> bool {
    [Method::POST, Method::PUT, Method::PATCH].contains(method)
}

/// What is told of the client, and what the route adds.
fn ours<'a>(route: &'a Route, told: &'a Told<'_>) -> impl Iterator<Item = (&'a str, &'a [u8])> {
    let told = told
        .each()
        .into_iter()
        .filter_map(|(name, said)| match said {
            Said::New(value) if route.request.passes(name) => Some((name, &**value)),
            _ => None,
        });
    told.chain(route.request.put())
}

/// Section 8.2.3: a client may send its cookies in pieces; HTTP/1.1 knows one field.
fn write_cookies(fields: &HeaderMap, head: &mut Vec<u8>) {
    let mut cookies = fields.get_all(header::COOKIE).iter();
    let Some(first) = cookies.next() else { return };
    head.extend_from_slice(b"cookie: ");
    head.extend_from_slice(first.as_bytes());
    for cookie in cookies {
        head.extend_from_slice(b"; ");
        head.extend_from_slice(cookie.as_bytes());
    }
    head.extend_from_slice(b"\r\n");
}

/// The fields for an endpoint that is asked in HTTP/2.
pub(super) fn grpc_fields(parts: &Parts, route: &Route, told: &Told<'_>) -> HeaderMap {
    let mut fields = HeaderMap::with_capacity(parts.headers.len() + 8);
    for (name, value) in &parts.headers {
        let is_own = [header::HOST, header::UPGRADE].contains(name);
        if !is_own && told.passes(name.as_str()) && route.request.passes(name.as_str()) {
            fields.append(name.clone(), value.clone());
        }
    }
    for (name, value) in ours(route, told) {
        // Names are ours; values were received, or come from the topology.
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_bytes(value))
        {
            fields.append(name, value);
        }
    }
    fields.append(header::VIA, HeaderValue::from_static("2 meridian"));
    fields
}

/// An answer's head for the client.
#[derive(Debug, Default)]
pub(super) struct AnswerHead {
    status: u16,
    fields: HeaderMap,
}

impl AnswerHead {
    /// With what is ours to say.
    pub(super) fn finish(self, common: &Common, exchange: &Exchange) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or_default();
        *response.headers_mut() = self.fields;
        for (name, value) in common.own_fields(exchange) {
            response.headers_mut().append(name, value);
        }
        response
    }

    /// As it is: for what comes before the answer.
    pub(super) fn interim(self) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or_default();
        *response.headers_mut() = self.fields;
        response
    }
}

impl HeadSink for AnswerHead {
    fn status(&mut self, status: u16, _reason: &str) {
        self.status = status;
        self.fields.clear();
    }

    fn field(&mut self, name: &str, value: &[u8]) {
        // Frames say where an HTTP/2 message ends (section 8.2.2).
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return;
        }
        // What httparse takes for a field is one.
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_bytes(value),
        ) {
            self.fields.append(name, value);
        }
    }
}
