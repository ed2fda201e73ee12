//! Limits, patience, and the end.

use std::time::Duration;

use tokio::net::TcpStream;

use crate::client::{PATIENCE, connect};
use crate::node::{Node, SHOP, one_region};
use crate::upstream::{Manner, Upstream};

#[tokio::test]
async fn shutdown_loses_no_request_on_its_way() {
    const CLIENTS: usize = 20;
    let upstream = Upstream::start("u0").await;
    let mut node = Node::start(&one_region(&[&upstream], "path_prefix: /"), "drain: 20s");
    let mut idle = connect(node.address).await;
    assert_eq!(idle.get(SHOP, "/").await.status, 200);
    upstream.behave(Manner::Slow(Duration::from_millis(500)));
    let address = node.address;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            tokio::spawn(async move {
                let mut client = connect(address).await;
                let answer = client.get(SHOP, "/").await;
                (answer, client.rest().await)
            })
        })
        .collect();
    crate::node::eventually("all on their way", || upstream.requests() == CLIENTS + 1).await;
    node.shutdown.cancel();
    for client in clients {
        let (answer, rest) = client.await.unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "u0"));
        assert_eq!(rest, b"", "then the connection ends");
    }
    assert_eq!(idle.rest().await, b"", "an idle connection ends");
    let ended = tokio::time::timeout(PATIENCE, &mut node.task)
        .await
        .expect("the proxy ends");
    ended.unwrap().unwrap();
    assert!(
        TcpStream::connect(address).await.is_err(),
        "nobody listens any more"
    );
    assert_eq!(node.metric("meridian_http_connections_cut_total"), 0.0);
    assert_eq!(node.metric("meridian_http_connections_open"), 0.0);
}

#[tokio::test]
async fn shutdown_loses_no_request_of_an_http2_client() {
    let upstream = Upstream::start("u0").await;
    let mut node = Node::start(&one_region(&[&upstream], "path_prefix: /"), "drain: 20s");
    upstream.behave(Manner::Slow(Duration::from_millis(500)));
    let client = crate::http2::client(node.address).await;
    let requests: Vec<_> = (0..10)
        .map(|number| {
            let client = client.clone();
            tokio::spawn(async move {
                let uri = format!("http://{SHOP}/{number}");
                let request = http::Request::get(uri).body(()).unwrap();
                crate::http2::send(&client, request, b"").await
            })
        })
        .collect();
    crate::node::eventually("all on their way", || upstream.requests() == 10).await;
    node.shutdown.cancel();
    for request in requests {
        let (response, body, _) = request.await.unwrap();
        assert_eq!(
            (response.status().as_u16(), body.as_slice()),
            (200, &b"u0"[..])
        );
    }
    let ended = tokio::time::timeout(PATIENCE, &mut node.task)
        .await
        .expect("the proxy ends");
    ended.unwrap().unwrap();
    assert_eq!(node.metric("meridian_http_connections_cut_total"), 0.0);
}

#[tokio::test]
async fn the_drain_deadline_cuts_what_does_not_end() {
    let upstream = Upstream::start("u0").await;
    let mut node = Node::start(&one_region(&[&upstream], "path_prefix: /"), "drain: 200ms");
    upstream.behave(Manner::Hang);
    let mut client = connect(node.address).await;
    client
        .send(format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\n\r\n"))
        .await;
    crate::node::eventually("on its way", || upstream.requests() == 1).await;
    node.shutdown.cancel();
    assert_eq!(client.rest().await, b"");
    let ended = tokio::time::timeout(PATIENCE, &mut node.task)
        .await
        .expect("the proxy ends");
    ended.unwrap().unwrap();
    assert_eq!(node.metric("meridian_http_connections_cut_total"), 1.0);
}

#[tokio::test]
async fn connections_are_limited() {
    let upstream = Upstream::start("u0").await;
    let node = Node::start(
        &one_region(&[&upstream], "path_prefix: /"),
        "limits: { connections: 2 }",
    );
    let mut first = connect(node.address).await;
    let mut second = connect(node.address).await;
    assert_eq!(first.get(SHOP, "/").await.status, 200);
    assert_eq!(second.get(SHOP, "/").await.status, 200);
    let mut third = connect(node.address).await;
    assert_eq!(third.rest().await, b"");
    node.metric_becomes(
        "meridian_http_connections_closed_early_total{reason=\"limit\"}",
        1.0,
    )
    .await;
    drop(first);
    node.metric_becomes("meridian_http_connections_open", 1.0)
        .await;
    let mut fourth = connect(node.address).await;
    assert_eq!(fourth.get(SHOP, "/").await.status, 200);
}

#[tokio::test]
async fn a_slow_head_is_not_waited_for() {
    let upstream = Upstream::start("u0").await;
    let node = Node::start(
        &one_region(&[&upstream], "path_prefix: /"),
        "timeouts: { header: 300ms }",
    );
    let mut client = connect(node.address).await;
    client.send("GET / HTTP/1.1\r\n").await;
    // Each piece comes in time; the head as a whole does not.
    let feeder = async {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            node.metric("meridian_http_connections_open");
        }
    };
    let answer = tokio::select! {
        answer = client.answer() => answer.expect("an answer"),
        () = feeder => unreachable!("the feeder does not end"),
    };
    assert_eq!(answer.status, 408);
    assert_eq!(client.rest().await, b"");
    assert_eq!(upstream.requests(), 0);
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let upstream = Upstream::start("u0").await;
    let node = Node::start(
        &one_region(&[&upstream], "path_prefix: /"),
        "timeouts: { keepalive: 200ms }",
    );
    let mut client = connect(node.address).await;
    assert_eq!(client.get(SHOP, "/").await.status, 200);
    assert_eq!(client.rest().await, b"", "closed without a word");
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_request() {
    let upstream = Upstream::start("u0").await;
    let node = Node::start(&one_region(&[&upstream], "path_prefix: /"), "");
    upstream.behave(Manner::Hang);
    let mut client = connect(node.address).await;
    client
        .send(format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\n\r\n"))
        .await;
    crate::node::eventually("on its way", || upstream.requests() == 1).await;
    drop(client);
    node.metric_becomes(
        "meridian_http_requests_total{service=\"shop\",status=\"none\"}",
        1.0,
    )
    .await;
    node.metric_becomes("meridian_http_connections_open", 0.0)
        .await;
    assert_eq!(node.reports.all(), [], "the endpoint is not to blame");
}
