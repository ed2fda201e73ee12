//! The strict reading of an HTTP/1 request head (RFC 9112).
//!
//! pingora's parser is lenient where leniency lets two servers disagree about
//! where a request ends (bare LF, a length beside a transfer coding). So every
//! head is judged here first; what passes is handed to pingora unchanged, and
//! what does not is answered with 400 and a close before any upstream hears of
//! it. Tokenizing is httparse's; the rules on top are ours and are listed at
//! [`Refusal`].
//!
//! [`parse`] is a pure function over bytes: it can be called again as more of
//! the head arrives. Limits: [`HEADERS_MAX`] fields, and the number of bytes
//! the caller allows.

use std::fmt;

use crate::authority::{self, Authority};
use crate::target;

/// Most header fields of one request.
pub(crate) const HEADERS_MAX: usize = 128;

/// Longest method we pass on. The longest registered one has 16 letters
/// (`UPDATEREDIRECTREF`, RFC 4437, has 17).
pub(crate) const METHOD_BYTES_MAX: usize = 32;

/// The client connection preface of HTTP/2 (RFC 9113, section 3.4).
pub(crate) const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the bytes so far are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// No decision yet: read more.
    Partial,
    /// A whole head that keeps every rule.
    Complete(Head),
    /// The preface of HTTP/2.
    Http2Preface,
}

/// A head that may be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// Bytes of the head with its last empty line, and empty lines before it.
    pub(crate) bytes: usize,
    /// How the body is delimited.
    pub(crate) body: Body,
    /// Neither HTTP/1.0, nor CONNECT, nor a wish for another protocol: our own lane can take it.
    pub(crate) is_plain: bool,
}

/// How the end of the request is found (RFC 9112, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// Exactly so many bytes; 0 where neither field is there.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// The connection may change its protocol: no end.
    Upgrade,
}

/// Why a head is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// More bytes than `limits.head_bytes`.
    HeadTooLarge,
    /// More than [`HEADERS_MAX`] fields.
    TooManyHeaders,
    /// A line ends in LF alone, or CR stands alone (section 2.2).
    BareLineEnd,
    /// Not a request line (section 3).
    RequestLine,
    /// A method that is no token, or is longer than [`METHOD_BYTES_MAX`].
    Method,
    /// A request target with a character that must be percent-encoded, or of
    /// no form section 3.2 knows.
    Target,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    Version,
    /// A field name or value with a forbidden byte, a space before the colon,
    /// or a folded line (section 5).
    Field,
    /// No `Host`, several, or one that is no host name (section 3.2).
    Host,
    /// The target names another host than `Host` does.
    HostDiffers,
    /// `Content-Length` that is no number, or stands twice (section 6.2).
    ContentLength,
    /// `Content-Length` beside `Transfer-Encoding` (section 6.1).
    LengthAndEncoding,
    /// A transfer coding other than one `chunked`, or one in HTTP/1.0.
    TransferEncoding,
}

impl Refusal {
    /// A sentence for the response's body and the log.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::HeadTooLarge => "the request head is larger than this proxy accepts",
            Self::TooManyHeaders => "the request has more header fields than this proxy accepts",
            Self::BareLineEnd => "a line of the request head does not end in CRLF",
            Self::RequestLine => "the request line is malformed",
            Self::Method => "the method is malformed",
            Self::Target => "the request target is malformed",
            Self::Version => "the protocol version is not HTTP/1.0 or HTTP/1.1",
            Self::Field => "a header field is malformed",
            Self::Host => "the request needs exactly one valid Host",
            Self::HostDiffers => "the request target and Host name different hosts",
            Self::ContentLength => "Content-Length is malformed or repeated",
            Self::LengthAndEncoding => "Content-Length and Transfer-Encoding exclude each other",
            Self::TransferEncoding => "the only transfer coding accepted is one `chunked`",
        }
    }
}

impl Refusal {
    /// The label `reason` of the metric.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::HeadTooLarge => "head_too_large",
            Self::TooManyHeaders => "too_many_headers",
            Self::BareLineEnd => "bare_line_end",
            Self::RequestLine => "request_line",
            Self::Method => "method",
            Self::Target => "target",
            Self::Version => "version",
            Self::Field => "field",
            Self::Host => "host",
            Self::HostDiffers => "host_differs",
            Self::ContentLength => "content_length",
            Self::LengthAndEncoding => "length_and_encoding",
            Self::TransferEncoding => "transfer_encoding",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Judges the bytes of a connection from the start of a request.
///
/// # Errors
/// The rule that is broken, as soon as that is certain.
pub(crate) fn parse(bytes: &[u8], bytes_max: usize) -> Result<Parsed, Refusal> {
    if let Some(verdict) = preface(bytes) {
        return Ok(verdict);
    }
    let skipped = leading_empty_line(bytes);
    let head = &bytes[skipped..];
    let within = &head[..head.len().min(bytes_max)];

    let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    let length = match request.parse(within) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => {
            line_ends(within)?;
            return if head.len() >= bytes_max {
                Err(Refusal::HeadTooLarge)
            } else {
                Ok(Parsed::Partial)
            };
        }
        Err(error) => {
            line_ends(within)?;
            return Err(refusal_of(error));
        }
    };
    line_ends(&within[..length])?;
    let body = judge(&request)?;
    let is_plain =
        request.version == Some(1) && request.method != Some("CONNECT") && body != Body::Upgrade;
    Ok(Parsed::Complete(Head {
        bytes: skipped + length,
        body,
        is_plain,
    }))
}

/// The whole preface, or a beginning that can only become it.
fn preface(bytes: &[u8]) -> Option<Parsed> {
    if bytes.starts_with(H2_PREFACE) {
        return Some(Parsed::Http2Preface);
    }
    (bytes.len() > 4 && H2_PREFACE.starts_with(bytes)).then_some(Parsed::Partial)
}

/// Section 2.2: a server should ignore one empty line before the request line.
fn leading_empty_line(bytes: &[u8]) -> usize {
    if bytes.starts_with(b"\r\n") { 2 } else { 0 }
}

/// Every LF follows a CR and every CR precedes an LF.
///
/// Counted, because a compiler counts many bytes at a time: as many pairs as there are of each. The last
/// byte may be a CR whose LF is still to come.
fn line_ends(bytes: &[u8]) -> Result<(), Refusal> {
    let count = |wanted: u8| bytes.iter().filter(|byte| **byte == wanted).count();
    let next = bytes.get(1..).unwrap_or_default();
    let pairs = bytes.iter().zip(next);
    let pairs = pairs
        .filter(|(one, two)| (**one == b'\r') & (**two == b'\n'))
        .count();
    let unfinished = usize::from(bytes.last() == Some(&b'\r'));
    if count(b'\n') == pairs && count(b'\r') == pairs + unfinished {
        Ok(())
    } else {
        Err(Refusal::BareLineEnd)
    }
}

fn refusal_of(error: httparse::Error) -> Refusal {
    match error {
        httparse::Error::HeaderName | httparse::Error::HeaderValue => Refusal::Field,
        httparse::Error::NewLine => Refusal::BareLineEnd,
        httparse::Error::Status | httparse::Error::Token => Refusal::RequestLine,
        httparse::Error::TooManyHeaders => Refusal::TooManyHeaders,
        httparse::Error::Version => Refusal::Version,
    }
}

/// The rules on a head that tokenizes.
fn judge(request: &httparse::Request<'_, '_>) -> Result<Body, Refusal> {
    let (Some(method), Some(target), Some(version)) =
        (request.method, request.path, request.version)
    else {
        return Err(Refusal::RequestLine);
    };
    if method.is_empty() || method.len() > METHOD_BYTES_MAX {
        return Err(Refusal::Method);
    }
    if !target.bytes().all(is_target) {
        return Err(Refusal::Target);
    }
    let fields = Fields::collect(request.headers)?;
    let minor = if version == 0 {
        Minor::Zero
    } else {
        Minor::One
    };
    host(method, target, minor, fields.host)?;
    framing(minor, &fields)
}

/// Visible ASCII without what ends a target elsewhere or stands in none (RFC 3986, appendices A and C): a
/// fragment is the client's own, angle brackets and the grave accent are nobody's. Others that should be
/// percent-encoded are in use as they are.
pub(crate) fn is_target(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'#' | b'<' | b'>' | b'`')
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Minor {
    Zero,
    One,
}

/// The fields that decide framing and routing, each at most once.
#[derive(Default)]
struct Fields<'a> {
    host: Option<&'a [u8]>,
    length: Option<&'a [u8]>,
    encoding: Option<&'a [u8]>,
    upgrade: Option<&'a [u8]>,
    /// `Connection` lists `upgrade`.
    for_this_hop: bool,
}

impl<'a> Fields<'a> {
    fn collect(headers: &[httparse::Header<'a>]) -> Result<Self, Refusal> {
        let mut fields = Self::default();
        for header in headers {
            let (slot, repeated) = if header.name.eq_ignore_ascii_case("host") {
                (&mut fields.host, Refusal::Host)
            } else if header.name.eq_ignore_ascii_case("content-length") {
                (&mut fields.length, Refusal::ContentLength)
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                (&mut fields.encoding, Refusal::TransferEncoding)
            } else if header.name.eq_ignore_ascii_case("upgrade") {
                // A list; that it is there is all we need to know.
                fields.upgrade = Some(header.value);
                continue;
            } else if header.name.eq_ignore_ascii_case("connection") {
                let mut words = header.value.split(|byte| *byte == b',');
                fields.for_this_hop |=
                    words.any(|word| word.trim_ascii().eq_ignore_ascii_case(b"upgrade"));
                continue;
            } else {
                continue;
            };
            if slot.replace(header.value).is_some() {
                return Err(repeated);
            }
        }
        Ok(fields)
    }
}

/// Section 3.2: the four forms of a target and what `Host` must say.
fn host(method: &str, target: &str, minor: Minor, host: Option<&[u8]>) -> Result<(), Refusal> {
    let named = match host {
        Some(value) => Some(authority::parse(value).ok_or(Refusal::Host)?),
        None if minor == Minor::One => return Err(Refusal::Host),
        None => None,
    };
    if method == "CONNECT" {
        let wanted = authority::parse(target.as_bytes()).ok_or(Refusal::Target)?;
        return if wanted.port.is_some() {
            Ok(())
        } else {
            Err(Refusal::Target)
        };
    }
    if target.starts_with('/') || (target == "*" && method == "OPTIONS") {
        return Ok(());
    }
    let wanted = absolute(target).ok_or(Refusal::Target)?;
    match named {
        Some(named) if !named.same_host(&wanted) => Err(Refusal::HostDiffers),
        _ => Ok(()),
    }
}

fn absolute(target: &str) -> Option<Authority<'_>> {
    let (_, authority, _) = target::absolute(target)?;
    authority::parse(authority.as_bytes())
}

/// Section 6.3, without its leniencies.
fn framing(minor: Minor, fields: &Fields<'_>) -> Result<Body, Refusal> {
    let length = fields.length.map(content_length).transpose()?;
    let body = match (length, fields.encoding) {
        (Some(_), Some(_)) => return Err(Refusal::LengthAndEncoding),
        (None, Some(encoding)) => {
            if minor == Minor::Zero || !encoding.eq_ignore_ascii_case(b"chunked") {
                return Err(Refusal::TransferEncoding);
            }
            Body::Chunked
        }
        (length, None) => Body::Length(length.unwrap_or(0)),
    };
    // RFC 9110, section 7.8: without `Connection` the field came from an earlier hop.
    Ok(if fields.upgrade.is_some() && fields.for_this_hop {
        Body::Upgrade
    } else {
        body
    })
}

/// Digits only: no sign, no list, no blanks inside; at most `i64::MAX`, which
/// every server behind us can represent.
pub(crate) fn content_length(value: &[u8]) -> Result<u64, Refusal> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::ContentLength);
    }
    str::from_utf8(value)
        .ok()
        .and_then(|digits| digits.parse::<u64>().ok())
        .filter(|length| i64::try_from(*length).is_ok())
        .ok_or(Refusal::ContentLength)
}

#[cfg(test)]
mod tests;
