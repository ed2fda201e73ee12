//! The event stream.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::node::Node;
use crate::wire::{PATIENCE, request};

/// An open stream.
struct Events(BufReader<TcpStream>);

impl Events {
    async fn open(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let text = request("GET", "/v1/events", &[("Host", "localhost")], "");
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut events = Self(BufReader::new(stream));
        let status = events.line().await;
        assert!(status.contains(" 200 "), "{status}");
        events
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.0.read_line(&mut line);
        tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
        line
    }

    /// The next event of a kind; others are passed over.
    async fn next(&mut self, kind: &str) -> Value {
        loop {
            let line = self.line().await;
            assert!(!line.is_empty(), "the stream ended before {kind}");
            if let Some(data) = line.strip_prefix("data: ") {
                let event: Value = serde_json::from_str(data).unwrap();
                if event["kind"] == kind {
                    return event;
                }
            }
        }
    }
}

#[tokio::test]
async fn plans_and_flips_are_told() {
    let mut node = Node::start().await;
    let mut events = Events::open(node.address).await;
    node.change("PUT", "/v1/drains/endpoint/use1-3", "{}")
        .await
        .expect(204, "");
    let drains = events.next("drains_changed").await;
    assert_eq!(drains["active"], serde_json::json!(["endpoint use1-3"]));

    node.kill([127, 10, 5, 2]).await;
    let flip = events.next("endpoint_flipped").await;
    assert_eq!(
        (&flip["endpoint"], &flip["serves"]),
        (&"asne1-2".into(), &false.into())
    );
    assert_eq!(flip["region"], "asia-northeast1");

    let mut sources = node.facts("/v1/sources").await;
    let text = sources["topology"][0]["text"].as_str().unwrap();
    sources["topology"][0]["text"] = text.replace("ttl: 5s", "ttl: 6s").into();
    node.change("PUT", "/v1/sources", &sources.to_string())
        .await
        .expect(200, "");
    let plan = events.next("plan_published").await;
    assert!(plan["sequence"].as_u64().unwrap() > 1, "{plan}");
}

#[tokio::test]
async fn streams_are_bounded_and_end_with_the_node() {
    let mut node = Node::start().await;
    let mut first = Events::open(node.address).await;
    let second = Events::open(node.address).await;
    let refused = node.get("/v1/events").await;
    refused.expect(503, "event_streams");
    assert!(refused.head.to_lowercase().contains("retry-after: 1"));
    drop(second);
    // The place is free as soon as the server has seen the close.
    let free = async {
        loop {
            let mut stream = TcpStream::connect(node.address).await.unwrap();
            let text = request("GET", "/v1/events", &[("Host", "localhost")], "");
            stream.write_all(text.as_bytes()).await.unwrap();
            let mut status = String::new();
            let mut reader = BufReader::new(stream);
            reader.read_line(&mut status).await.unwrap();
            if status.contains(" 200 ") {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, free).await.unwrap();

    node.stop_admin().await;
    while !first.line().await.is_empty() {}
}
