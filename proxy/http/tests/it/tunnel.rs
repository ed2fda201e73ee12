//! Connections that change their protocol.

use crate::client::connect;
use crate::node::{Node, SHOP, one_region};
use crate::upstream::{Manner, Upstream};

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

#[tokio::test]
async fn a_websocket_carries_bytes_both_ways_beyond_the_routes_timeouts() {
    let upstream = Upstream::start("u0").await;
    let route = "timeouts: { first_byte: 200ms, total: 300ms }";
    let node = Node::start(
        &one_region(&[&upstream], route),
        "timeouts: { body: 200ms }",
    );
    upstream.behave(Manner::Upgrade);
    let mut client = connect(node.address).await;
    client
        .send(format!(
            "GET /chat HTTP/1.1\r\nHost: {SHOP}\r\n{UPGRADE}\r\n"
        ))
        .await;
    let head = client.head().await.expect("a head").to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(head.contains("upgrade: websocket"), "{head}");
    for (message, pause_ms) in [
        ("ping", 0),
        ("after every timeout", 600),
        ("\r\n\r\n\0\u{1}", 0),
    ] {
        tokio::time::sleep(std::time::Duration::from_millis(pause_ms)).await;
        client.send(message).await;
        assert_eq!(
            client.take(message.len()).await.expect("an echo"),
            message.as_bytes()
        );
    }
    let seen = upstream.heads().pop().unwrap().to_ascii_lowercase();
    assert!(seen.contains("sec-websocket-key"), "{seen}");
    drop(client);
    node.metric_becomes(
        "meridian_http_requests_total{service=\"shop\",status=\"1xx\"}",
        1.0,
    )
    .await;
}

#[tokio::test]
async fn a_refused_upgrade_is_an_answer() {
    let upstream = Upstream::start("u0").await;
    let node = Node::start(&one_region(&[&upstream], "path_prefix: /"), "");
    let mut client = connect(node.address).await;
    client
        .send(format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\n{UPGRADE}\r\n"))
        .await;
    assert_eq!(client.answer().await.expect("an answer").text(), "u0");
}

#[tokio::test]
async fn connect_is_refused() {
    let upstream = Upstream::start("u0").await;
    let node = Node::start(&one_region(&[&upstream], "path_prefix: /"), "");
    let mut client = connect(node.address).await;
    client
        .send("CONNECT shop.example:443 HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.expect("an answer").status, 405);
    assert_eq!(upstream.requests(), 0);
}
