//! Requests made to reach an upstream otherwise than they should; `vectors` has the malformed ones.

use crate::client::connect;
use crate::node::{Node, SHOP, one_region};
use crate::upstream::Upstream;

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
