//! Requests that must not reach an upstream.

use crate::client::connect;
use crate::node::{Node, SHOP, one_region};
use crate::upstream::Upstream;

/// Every refusal of the head's own table once more, over the wire: an answer
/// of 400, a close, and an upstream that never heard of it.
#[tokio::test]
async fn malformed_heads_get_400_and_a_close() {
    let long = format!(
        "GET / HTTP/1.1\r\nHost: {SHOP}\r\nX: {}\r\n\r\n",
        "x".repeat(40_000)
    );
    let endless = format!("GET /{}", "x".repeat(40_000));
    let many = format!(
        "GET / HTTP/1.1\r\nHost: {SHOP}\r\n{}\r\n",
        "x: y\r\n".repeat(200)
    );
    let cases: &[(&str, &[u8])] = &[
        ("CL and TE", b"POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("TE and CL", b"POST / HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
        ("two lengths", b"POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
        ("a list of lengths", b"POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 5, 5\r\n\r\nhello"),
        ("a negative length", b"POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: -1\r\n\r\n"),
        ("two codings", b"POST / HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        ("an unknown coding", b"POST / HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n"),
        ("chunked in 1.0", b"POST / HTTP/1.0\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("bare LF", b"GET / HTTP/1.1\nHost: shop.example\n\n"),
        ("one bare LF", b"GET / HTTP/1.1\r\nHost: shop.example\nX: y\r\n\r\n"),
        ("bare CR", b"GET / HTTP/1.1\r\nHost: shop.example\r\nX: a\rb\r\n\r\n"),
        ("folded", b"GET / HTTP/1.1\r\nHost: shop.example\r\nX: a\r\n b\r\n\r\n"),
        ("blank before the colon", b"GET / HTTP/1.1\r\nHost : shop.example\r\n\r\n"),
        ("no host", b"GET / HTTP/1.1\r\n\r\n"),
        ("two hosts", b"GET / HTTP/1.1\r\nHost: shop.example\r\nHost: shop.example\r\n\r\n"),
        ("a bad host", b"GET / HTTP/1.1\r\nHost: shop.example/x\r\n\r\n"),
        ("another host", b"GET http://other.example/ HTTP/1.1\r\nHost: shop.example\r\n\r\n"),
        ("a bad method", b"G(T / HTTP/1.1\r\nHost: shop.example\r\n\r\n"),
        ("a bad target", b"GET x HTTP/1.1\r\nHost: shop.example\r\n\r\n"),
        ("a blank in the target", b"GET /a b HTTP/1.1\r\nHost: shop.example\r\n\r\n"),
        ("another version", b"GET / HTTP/3.0\r\nHost: shop.example\r\n\r\n"),
        ("no version", b"GET /\r\n\r\n"),
        ("a NUL", b"GET / HTTP/1.1\r\nHost: shop.example\r\nX: \0\r\n\r\n"),
        ("garbage", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03garbage"),
        ("a large head", long.as_bytes()),
        ("an endless line", endless.as_bytes()),
        ("many fields", many.as_bytes()),
    ];
    let upstream = Upstream::start("u0").await;
    let node = Node::start(&one_region(&[&upstream], "path_prefix: /"), "");
    for (name, bytes) in cases {
        let mut client = connect(node.address).await;
        client.send(bytes).await;
        let answer = client
            .answer()
            .await
            .unwrap_or_else(|| panic!("{name}: closed without an answer"));
        assert_eq!(answer.status, 400, "{name}: {}", answer.text());
        assert_eq!(answer.header("connection"), Some("close"), "{name}");
        assert_eq!(client.rest().await, b"", "{name}: nothing follows");
    }
    assert_eq!(upstream.requests(), 0, "{:?}", upstream.heads());
    let text = node.metrics.render().unwrap();
    let counted: f64 = text
        .lines()
        .filter(|line| line.starts_with("meridian_http_malformed_requests_total{"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum();
    assert_eq!(counted, cases.len() as f64);
}

/// The bytes of a smuggled request stay where the first one's framing puts
/// them: in its body.
#[tokio::test]
async fn a_request_in_a_body_is_a_body() {
    let upstream = Upstream::start("u0").await;
    let node = Node::start(&one_region(&[&upstream], "path_prefix: /"), "");
    let inner = "GET /inner HTTP/1.1\r\nHost: shop.example\r\n\r\n";
    let mut client = connect(node.address).await;
    let length = inner.len();
    client
        .send(format!(
            "POST /outer HTTP/1.1\r\nHost: {SHOP}\r\nContent-Length: {length}\r\n\r\n{inner}"
        ))
        .await;
    assert_eq!(client.answer().await.expect("an answer").status, 200);
    let chunk = format!("{length:x}\r\n{inner}\r\n0\r\n\r\n");
    client
        .send(format!(
            "POST /outer HTTP/1.1\r\nHost: {SHOP}\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}"
        ))
        .await;
    assert_eq!(client.answer().await.expect("an answer").status, 200);
    assert_eq!(client.get(SHOP, "/last").await.status, 200);
    let lines: Vec<_> = upstream
        .heads()
        .iter()
        .map(|head| head.lines().next().unwrap().to_owned())
        .collect();
    assert_eq!(
        lines,
        [
            "POST /outer HTTP/1.1",
            "POST /outer HTTP/1.1",
            "GET /last HTTP/1.1"
        ]
    );
    assert_eq!(upstream.bodies()[0], inner.as_bytes());
}

#[tokio::test]
async fn hop_by_hop_fields_stay_on_their_hop() {
    let upstream = Upstream::start("u0").await;
    let node = Node::start(&one_region(&[&upstream], "path_prefix: /"), "");
    let mut client = connect(node.address).await;
    client
        .send(format!(
            "GET / HTTP/1.1\r\nHost: {SHOP}\r\nConnection: keep-alive, x-private\r\nX-Private: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: trailers\r\nX-Public: 1\r\n\r\n"
        ))
        .await;
    assert_eq!(client.answer().await.expect("an answer").status, 200);
    let head = upstream.heads().pop().unwrap().to_ascii_lowercase();
    for gone in ["x-private", "keep-alive:", "proxy-connection"] {
        assert!(!head.contains(gone), "{gone} in {head}");
    }
    for kept in [
        "x-public: 1",
        "via: 1.1 meridian",
        "x-forwarded-proto: http\r\n",
        "x-forwarded-host: shop.example",
    ] {
        assert!(head.contains(kept), "{kept} not in {head}");
    }
}
