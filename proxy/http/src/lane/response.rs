//! From an upstream's head to the head for the client, in one pass.

use std::mem::MaybeUninit;

use httparse::Header;
use meridian_topology::Coding;

use super::body::Rest;
use super::chunked::Scanner;
use super::hop::{self, Connection};
use super::wire::Trouble;
use crate::attempt::Failure;
use crate::compress::{Accepts, Offer, Verdict};
use crate::exchange::Exchange;
use crate::fields::write_field;
use crate::head::HEADERS_MAX;
use crate::traffic::Headers;
use crate::worker::Shared;

/// The head of an answer as far as it decides something.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    /// Bytes of the head.
    pub(super) head_bytes: usize,
    /// What comes after it.
    pub(super) rest: Rest,
    /// Whether the upstream takes another request on this connection.
    pub(super) keeps_connection: bool,
    /// The head says that the body is coded like this; it is still to be done.
    pub(super) coding: Option<Coding>,
}

/// How an answer is read.
#[derive(Debug)]
pub(super) struct Reading<'r> {
    /// It is one to HEAD: none of these has a body.
    pub(super) to_head: bool,
    /// A longer head is refused.
    pub(super) head_bytes_max: usize,
    /// Which fields the client gets.
    pub(super) rules: &'r Headers,
    /// In which codings it may go out.
    pub(super) offer: Option<Offer<'r>>,
}

impl<'r> Reading<'r> {
    /// How the answer to a request is read.
    pub(super) fn of(
        exchange: &'r Exchange,
        to_head: bool,
        shared: &Shared,
    ) -> Result<Self, Trouble> {
        let has_seat = shared.lane.seats.is_free();
        let head_bytes_max = shared.head_bytes_max;
        let routed = exchange.routed.as_ref();
        let routed = routed.ok_or(Trouble::Upstream(Failure::Local))?;
        Ok(Self {
            to_head,
            head_bytes_max,
            rules: &routed.route().response,
            offer: routed.offer().map(|offer| Offer {
                accepts: if has_seat {
                    offer.accepts
                } else {
                    Accepts::default()
                },
                ..offer
            }),
        })
    }
}

/// Where the head for the client is put.
pub(super) trait HeadSink {
    /// The first line.
    fn status(&mut self, status: u16, reason: &str);

    /// A field that passes.
    fn field(&mut self, name: &str, value: &[u8]);
}

/// As HTTP/1.1 has it, without the last empty line.
impl HeadSink for Vec<u8> {
    fn status(&mut self, status: u16, reason: &str) {
        let digits = [status / 100, status / 10 % 10, status % 10];
        self.extend_from_slice(b"HTTP/1.1 ");
        // Below ten each.
        self.extend(digits.map(|digit| b'0' + digit as u8));
        self.push(b' ');
        self.extend_from_slice(reason.as_bytes());
        self.extend_from_slice(b"\r\n");
    }

    fn field(&mut self, name: &str, value: &[u8]) {
        write_field(self, name, value);
    }
}

/// What is no answer, or one that two readers could end at different places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

impl Response {
    /// Reads a head and writes the client's into `out`; `None` while there is more to come.
    pub(super) fn read(
        bytes: &[u8],
        reading: &Reading<'_>,
        out: &mut impl HeadSink,
    ) -> Result<Option<Self>, Malformed> {
        let mut space = [const { MaybeUninit::uninit() }; HEADERS_MAX];
        let mut parsed = httparse::Response::new(&mut []);
        let head_bytes = httparse::ParserConfig::default()
            .parse_response_with_uninit_headers(&mut parsed, bytes, &mut space)
            .map_err(|_| Malformed)?;
        let head_bytes = match head_bytes {
            httparse::Status::Complete(bytes) => bytes,
            httparse::Status::Partial => return Ok(None),
        };
        let (Some(status), Some(minor)) = (parsed.code, parsed.version) else {
            return Err(Malformed);
        };
        // We never ask for another protocol here.
        if !(100..=599).contains(&status) || status == 101 {
            return Err(Malformed);
        }
        let fields = &*parsed.headers;
        let connection = Connection::of(fields);
        let rest = rest(fields, status, minor, reading.to_head)?;
        let verdict = reading.offer.map_or(Verdict::Never, |offer| {
            // To HEAD the head is what it would be to GET.
            offer.judge(fields, status, length(fields))
        });
        out.status(status, parsed.reason.unwrap_or(""));
        for field in fields {
            let stays = hop::is_hop_by_hop(field.name)
                || connection.lists(field.name)
                || (frames_nothing(status) && is_framing(field.name));
            if !stays && reading.rules.passes(field.name) {
                pass_on(out, field, verdict);
            }
        }
        if verdict != Verdict::Never {
            out.field("vary", b"accept-encoding");
        }
        let coding = match verdict {
            Verdict::Now(coding) => {
                out.field("content-encoding", coding.word().as_bytes());
                if reading.to_head {
                    None
                } else {
                    out.field("transfer-encoding", b"chunked");
                    Some(coding)
                }
            }
            Verdict::Never | Verdict::NotForThisClient | Verdict::Told => None,
        };
        Ok(Some(Self {
            status,
            head_bytes,
            keeps_connection: minor == 1 && !connection.closes && !matches!(rest, Rest::UntilClose),
            rest,
            coding,
        }))
    }

    /// Whether another head comes after this one.
    pub(super) fn is_interim(&self) -> bool {
        self.status < 200
    }
}

/// A field as it is, or as it is once the body is coded: without what says how long or how to ask for parts
/// of it, and its tag a weak one, for other bytes (RFC 9110, section 8.8.3.3).
fn pass_on(out: &mut impl HeadSink, field: &Header<'_>, verdict: Verdict) {
    let is = |name: &str| field.name.eq_ignore_ascii_case(name);
    let (is_coded, is_told) = (matches!(verdict, Verdict::Now(_)), verdict == Verdict::Told);
    if !is_coded && !is_told {
        return out.field(field.name, field.value);
    }
    if is_coded && (is_framing(field.name) || is("accept-ranges") || is("content-encoding")) {
        return;
    }
    if is("etag") && field.value.starts_with(b"\"") {
        return out.field(field.name, &[b"W/", field.value].concat());
    }
    out.field(field.name, field.value);
}

/// What `Content-Length` says.
fn length(fields: &[Header<'_>]) -> Option<u64> {
    let is_length = |field: &&Header<'_>| field.name.eq_ignore_ascii_case("content-length");
    let field = fields.iter().find(is_length)?;
    crate::head::content_length(field.value).ok()
}

/// Answers that say nothing of a body: RFC 9110, section 8.6; RFC 9112, section 6.1.
fn frames_nothing(status: u16) -> bool {
    status < 200 || status == 204
}

fn is_framing(name: &str) -> bool {
    name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding")
}

/// RFC 9112, section 6.3, without its leniencies.
fn rest(fields: &[Header<'_>], status: u16, minor: u8, to_head: bool) -> Result<Rest, Malformed> {
    let (mut length, mut encoding) = (None, None);
    for field in fields {
        let slot = if field.name.eq_ignore_ascii_case("content-length") {
            &mut length
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            &mut encoding
        } else {
            continue;
        };
        if slot.replace(field.value).is_some() {
            return Err(Malformed);
        }
    }
    let length = length.map(crate::head::content_length).transpose();
    let length = length.map_err(|_| Malformed)?;
    let rest = match (length, encoding) {
        (Some(_), Some(_)) => return Err(Malformed),
        (None, Some(encoding)) if minor == 1 && encoding.eq_ignore_ascii_case(b"chunked") => {
            Rest::Chunked(Scanner::new())
        }
        (None, Some(_)) => return Err(Malformed),
        (Some(length), None) => Rest::Length(length),
        (None, None) => Rest::UntilClose,
    };
    let has_none = to_head || status < 200 || matches!(status, 204 | 304);
    Ok(if has_none { Rest::NONE } else { rest })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(to_head: bool) -> Reading<'static> {
        Reading {
            to_head,
            head_bytes_max: 1_024,
            rules: Box::leak(Box::default()),
            offer: None,
        }
    }

    fn read(text: &str) -> Result<Option<(Response, String)>, Malformed> {
        let mut out = Vec::new();
        let response = Response::read(text.as_bytes(), &reading(false), &mut out)?;
        let out = String::from_utf8(out).map_err(|_| Malformed)?;
        Ok(response.map(|response| (response, out)))
    }

    #[test]
    fn fields_of_the_hop_stay_behind() {
        let (response, out) = read(
            "HTTP/1.1 200 Fine\r\nContent-Length: 3\r\nConnection: keep-alive, x-own\r\nX-Own: 1\r\n\
             Keep-Alive: timeout=5\r\nServer: s\r\n\r\nabc",
        )
        .unwrap()
        .unwrap();
        assert_eq!(
            out,
            "HTTP/1.1 200 Fine\r\nContent-Length: 3\r\nServer: s\r\n"
        );
        assert!(response.keeps_connection && matches!(response.rest, Rest::Length(3)));
    }

    #[test]
    fn the_connection_is_kept_only_where_the_end_is_known() {
        for (text, keeps) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                true,
            ),
            ("HTTP/1.1 204 No\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\n\r\n", false),
            ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                false,
            ),
        ] {
            let (response, _) = read(text).unwrap().unwrap();
            assert_eq!(response.keeps_connection, keeps, "{text}");
        }
    }

    #[test]
    fn what_is_no_answer_is_malformed() {
        for text in [
            "220 mail.example ESMTP\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 099 Odd\r\n\r\n",
            "HTTP/1.1 600 Odd\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nname : value\r\n\r\n",
            "HTTP/1.1 200 OK\r\nname: value\r\n folded\r\n\r\n",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(read("HTTP/1.1 200 OK\r\nContent-Le").unwrap().is_none());
    }

    #[test]
    fn an_answer_to_head_has_no_body() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
        let response = Response::read(text, &reading(true), &mut Vec::new())
            .unwrap()
            .unwrap();
        assert!(response.rest.is_done() && response.keeps_connection);
    }
}
