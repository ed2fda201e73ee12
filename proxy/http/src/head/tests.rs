#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests stop at the first surprise"
)]

use proptest::prelude::*;

use super::*;

const MAX: usize = 4096;

fn complete(bytes: usize, body: Body, is_plain: bool) -> Result<Parsed, Refusal> {
    Ok(Parsed::Complete(Head {
        bytes,
        body,
        is_plain,
    }))
}

/// Heads that pass, with how their body is framed.
#[test]
fn heads_that_are_passed_on() {
    let cases: &[(&str, Body)] = &[
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Body::Length(0)),
        ("GET / HTTP/1.0\r\n\r\n", Body::Length(0)),
        (
            "GET /?q=%20 HTTP/1.1\r\nhost: a.example:80\r\n\r\n",
            Body::Length(0),
        ),
        (
            "GET / HTTP/1.1\r\nHost:a\r\nX:\r\nY: \t v \t\r\n\r\n",
            Body::Length(0),
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
            Body::Length(5),
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            Body::Chunked,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: CHUNKED\r\n\r\n",
            Body::Chunked,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            Body::Upgrade,
        ),
        (
            "GET http://a.example/x HTTP/1.1\r\nHost: A.example\r\n\r\n",
            Body::Length(0),
        ),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", Body::Length(0)),
        (
            "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n",
            Body::Length(0),
        ),
        (
            "PATCH / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
            Body::Length(0),
        ),
    ];
    for (head, body) in cases {
        let is_plain = !["HTTP/1.0", "CONNECT", "Upgrade"]
            .iter()
            .any(|word| head.contains(word));
        assert_eq!(
            parse(head.as_bytes(), MAX),
            complete(head.len(), *body, is_plain),
            "{head:?}"
        );
        let followed = format!("{head}GET /next HTTP/1.1\r\n");
        assert_eq!(
            parse(followed.as_bytes(), MAX),
            complete(head.len(), *body, is_plain),
            "{head:?} and more"
        );
        let after_empty_line = format!("\r\n{head}");
        assert_eq!(
            parse(after_empty_line.as_bytes(), MAX),
            complete(head.len() + 2, *body, is_plain),
            "an empty line and {head:?}"
        );
        for end in 0..head.len() {
            assert_eq!(
                parse(&head.as_bytes()[..end], MAX),
                Ok(Parsed::Partial),
                "the first {end} bytes of {head:?}"
            );
        }
    }
}

/// Heads that never reach an upstream (RFC 9112, sections 2.2, 3, 5 and 6).
#[test]
fn heads_that_are_refused() {
    use Refusal::{
        BareLineEnd, ContentLength, Field, Host, HostDiffers, LengthAndEncoding, Method,
        RequestLine, Target, TransferEncoding, Version,
    };
    let cases: &[(&[u8], Refusal)] = &[
        (b"GET / HTTP/1.1\nHost: a\n\n", BareLineEnd),
        (b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", BareLineEnd),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: b\rY: c\r\n\r\n", BareLineEnd),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\n", BareLineEnd),
        (b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", BareLineEnd),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n folded\r\n\r\n", Field),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", Field),
        (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", Field),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", Field),
        (b"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", Field),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", Field),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX(: b\r\n\r\n", Field),
        (b"GET / HTTP/1.1\r\n\r\n", Host),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Host),
        (b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", Host),
        (b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", Host),
        (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", Host),
        (b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", HostDiffers),
        (b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", Target),
        (b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", Target),
        (b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", Target),
        (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", Target),
        (b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", Target),
        (b"CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", Target),
        (b"GET / x HTTP/1.1\r\nHost: a\r\n\r\n", Version),
        (b"GET /\r\nHost: a\r\n\r\n", RequestLine),
        (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine),
        (b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine),
        (b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine),
        (b"GETGETGETGETGETGETGETGETGETGETGETGET / HTTP/1.1\r\nHost: a\r\n\r\n", Method),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", Version),
        (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", Version),
        (b"GET / http/1.1\r\nHost: a\r\n\r\n", Version),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", RequestLine),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", LengthAndEncoding),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", ContentLength),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", ContentLength),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", ContentLength),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\n", ContentLength),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", ContentLength),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\n", ContentLength),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", TransferEncoding),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", TransferEncoding),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", TransferEncoding),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", TransferEncoding),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", TransferEncoding),
        (b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", TransferEncoding),
    ];
    for (head, refusal) in cases {
        assert_eq!(
            parse(head, MAX),
            Err(*refusal),
            "{:?}",
            head.escape_ascii().to_string()
        );
    }
}

#[test]
fn a_head_may_be_as_large_as_allowed_and_no_larger() {
    let head = |padding: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
            "y".repeat(padding)
        )
    };
    let fixed = head(0).len();
    let fits = head(MAX - fixed);
    assert_eq!(
        parse(fits.as_bytes(), MAX),
        complete(MAX, Body::Length(0), true)
    );
    let large = head(MAX - fixed + 1);
    assert_eq!(parse(large.as_bytes(), MAX), Err(Refusal::HeadTooLarge));
    // Refused as soon as the bound is reached, not when the head ends.
    assert_eq!(
        parse(&large.as_bytes()[..MAX], MAX),
        Err(Refusal::HeadTooLarge)
    );
}

#[test]
fn header_fields_are_counted() {
    let head = |count: usize| {
        let mut head = String::from("GET / HTTP/1.1\r\nHost: a\r\n");
        for field in 1..count {
            head.push_str(&format!("x-{field}: y\r\n"));
        }
        head + "\r\n"
    };
    let most = head(HEADERS_MAX);
    assert_eq!(
        parse(most.as_bytes(), MAX),
        complete(most.len(), Body::Length(0), true)
    );
    assert_eq!(
        parse(head(HEADERS_MAX + 1).as_bytes(), MAX),
        Err(Refusal::TooManyHeaders)
    );
}

#[test]
fn the_preface_of_http2_is_told_from_a_request() {
    assert_eq!(parse(H2_PREFACE, MAX), Ok(Parsed::Http2Preface));
    for end in 0..H2_PREFACE.len() {
        assert_eq!(
            parse(&H2_PREFACE[..end], MAX),
            Ok(Parsed::Partial),
            "{end} bytes"
        );
    }
    assert_eq!(
        parse(b"PRI * HTTP/2.0\r\n\r\nXX", MAX),
        Err(Refusal::Version)
    );
}

/// Bytes that are often nearly a request.
fn near_heads() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(&b"GET / HTTP/1.1\r\n"[..]),
        Just(&b"POST /x HTTP/1.0\r\n"[..]),
        Just(&b"Host: a.example\r\n"[..]),
        Just(&b"Content-Length: 5\r\n"[..]),
        Just(&b"Transfer-Encoding: chunked\r\n"[..]),
        Just(&b"Upgrade: websocket\r\n"[..]),
        Just(&b"\r\n"[..]),
        Just(&b"\n"[..]),
        Just(&b"\r"[..]),
        Just(&b" "[..]),
        Just(&b":"[..]),
        Just(&b"\0"[..]),
        Just(&b"\xff"[..]),
        Just(H2_PREFACE),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// What was said of the first bytes stays true of more of them, however
    /// the network cuts them up.
    #[test]
    fn a_verdict_is_final(bytes in near_heads(), cut in 0_usize..400) {
        let cut = cut.min(bytes.len());
        let (early, late) = (parse(&bytes[..cut], MAX), parse(&bytes, MAX));
        match early {
            Ok(Parsed::Partial) => {}
            Err(_) => prop_assert!(late.is_err(), "{:?}", bytes.escape_ascii().to_string()),
            verdict => prop_assert_eq!(verdict, late),
        }
        if let Ok(Parsed::Complete(head)) = late {
            prop_assert!(head.bytes <= bytes.len());
            prop_assert_eq!(parse(&bytes[..head.bytes], MAX), late);
            prop_assert!(bytes[..head.bytes].ends_with(b"\r\n\r\n"));
        }
    }
}
