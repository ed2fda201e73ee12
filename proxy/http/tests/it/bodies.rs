//! Bodies in every framing; `vectors` has the dishonest ones.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::connect;
use crate::node::{LANE, Node, SHOP, one_region};
use crate::upstream::{Manner, Upstream};

async fn node_with(upstream: &Upstream) -> Node {
    let route = "path_prefix: /, retries: { attempts: 0 }";
    Node::start(&one_region(&[upstream], route), "worker_threads: 1")
}

/// What a client is told of an answer, and whether both connections carry the next request.
#[tokio::test]
async fn answers_end_where_they_say() {
    let cases = [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            (200, "hello", true),
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            (200, "hello", true),
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", (204, "", true)),
        (
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
            (304, "", true),
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            (200, "", false),
        ),
        // Bytes that nobody asked for are not the next request's answer.
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
            (200, "hello", false),
        ),
        (
            "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil",
            (204, "", false),
        ),
    ];
    for (text, (status, body, kept)) in cases {
        let upstream = Upstream::start("u0").await;
        let node = node_with(&upstream).await;
        upstream.behave(Manner::Say(text));
        let mut client = connect(node.address).await;
        let answer = client.get(SHOP, "/").await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (status, body),
            "{text}"
        );
        assert_ne!(answer.header("connection"), Some("close"), "{text}");
        upstream.behave(Manner::Serve);
        assert_eq!(client.get(SHOP, "/").await.text(), "u0", "{text}");
        assert_eq!(upstream.connections(), if kept { 1 } else { 2 }, "{text}");
    }
}

#[tokio::test]
async fn an_answer_without_a_length_ends_with_its_connection() {
    let upstream = Upstream::start("u0").await;
    let node = node_with(&upstream).await;
    for text in [
        "HTTP/1.1 200 OK\r\nServer: s\r\n\r\nuntil the end",
        "HTTP/1.0 200 OK\r\n\r\nuntil the end",
    ] {
        upstream.behave(Manner::SayAndClose(text));
        let mut client = connect(node.address).await;
        let answer = client.get(SHOP, "/").await;
        let body = answer.text();
        assert_eq!(
            (answer.status, body.as_str()),
            (200, "until the end"),
            "{text}"
        );
        // pingora makes chunks of it.
        if LANE == "own" {
            assert_eq!(answer.header("connection"), Some("close"), "{text}");
            assert_eq!(client.rest().await, b"");
        }
    }
}

#[tokio::test]
async fn head_is_answered_without_a_body() {
    let upstream = Upstream::start("u0").await;
    let node = node_with(&upstream).await;
    let mut client = connect(node.address).await;
    for _ in 0..2 {
        client
            .send(format!("HEAD / HTTP/1.1\r\nHost: {SHOP}\r\n\r\n"))
            .await;
        let head = client.head().await.unwrap();
        assert!(
            head.to_ascii_lowercase().contains("content-length: 2\r\n"),
            "{head}"
        );
    }
    assert_eq!(client.get(SHOP, "/").await.text(), "u0");
    // Ours, too.
    client
        .send("HEAD / HTTP/1.1\r\nHost: nobody.example\r\n\r\n")
        .await;
    assert!(client.head().await.unwrap().contains(" 404 "));
    assert_eq!(client.get(SHOP, "/").await.text(), "u0");
}

#[tokio::test]
async fn trailers_are_kept_on_both_ways() {
    if LANE != "own" {
        return; // pingora drops them.
    }
    let upstream = Upstream::start("u0").await;
    let node = node_with(&upstream).await;
    let body = "5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n";
    upstream.behave(Manner::Say(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n",
    ));
    let mut client = connect(node.address).await;
    for _ in 0..2 {
        client
            .send(format!(
                "POST / HTTP/1.1\r\nHost: {SHOP}\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n{body}"
            ))
            .await;
        let head = client.head().await.unwrap();
        assert!(head.contains("Trailer: x-sum\r\n"), "{head}");
        assert_eq!(client.take(body.len()).await.unwrap(), body.as_bytes());
    }
    assert_eq!(upstream.bodies(), [body.as_bytes(), body.as_bytes()]);
    assert!(upstream.heads()[0].contains("Trailer: x-sum\r\n"));
    assert_eq!(upstream.connections(), 1);
}

/// The client waits for a word before it sends its body (RFC 9110, section 10.1.1).
#[tokio::test]
async fn expectations_are_the_upstreams_to_meet() {
    let upstream = Upstream::start("u0").await;
    let node = node_with(&upstream).await;
    upstream.behave(Manner::Continue);
    let mut client = connect(node.address).await;
    // pingora closes after such an exchange.
    let rounds = if LANE == "own" { 2 } else { 1 };
    for _ in 0..rounds {
        client
            .send(format!(
                "POST / HTTP/1.1\r\nHost: {SHOP}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
            ))
            .await;
        assert_eq!(client.answer().await.unwrap().status, 100);
        client.send("hello").await;
        let answer = client.answer().await.unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "u0"));
    }
    assert_eq!(upstream.bodies(), vec![b"hello"; rounds]);
    if LANE != "own" {
        return;
    }
    upstream.behave(Manner::SayEarly(
        "HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n",
    ));
    client
        .send(format!(
            "POST / HTTP/1.1\r\nHost: {SHOP}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        ))
        .await;
    assert_eq!(client.answer().await.unwrap().status, 417);
}

/// Interim answers pass; only the last one counts.
#[tokio::test]
async fn hints_come_before_the_answer() {
    let upstream = Upstream::start("u0").await;
    let node = node_with(&upstream).await;
    upstream.behave(Manner::Say(
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ));
    let mut client = connect(node.address).await;
    let hint = client.get(SHOP, "/").await;
    assert_eq!((hint.status, hint.header("link")), (103, Some("</a>")));
    let answer = client.answer().await.unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    node.metric_becomes(
        "meridian_http_requests_total{service=\"shop\",status=\"2xx\"}",
        1.0,
    )
    .await;
}

/// A client that sends and reads at the same time, and far more than any buffer holds.
#[tokio::test]
async fn bodies_flow_both_ways_at_once() {
    const BYTES: usize = 8_000_000;
    if LANE != "own" {
        return; // With both ways full, pingora stands still now and then: one time in 25 on a busy machine.
    }
    let upstream = Upstream::start("u0").await;
    let node = node_with(&upstream).await;
    upstream.behave(Manner::EchoBody);
    let mut client = connect(node.address).await;
    client
        .send(format!(
            "POST / HTTP/1.1\r\nHost: {SHOP}\r\nContent-Length: {BYTES}\r\n\r\n"
        ))
        .await;
    let stream = client.into_stream();
    let (mut read, mut write) = stream.into_split();
    let sent: Vec<u8> = (0..BYTES).map(|at| (at / 7) as u8).collect();
    let copy = sent.clone();
    let writer = tokio::spawn(async move {
        write.write_all(&copy).await.unwrap();
        write
    });
    let mut got = Vec::new();
    let whole = async {
        while got.len() < BYTES || !got.ends_with(&sent[BYTES - 100..]) {
            assert!(
                read.read_buf(&mut got).await.unwrap() > 0,
                "at {}",
                got.len()
            );
        }
    };
    tokio::time::timeout(crate::client::PATIENCE, whole)
        .await
        .expect("both ways flow");
    assert!(got.ends_with(&sent), "what came back is what was sent");
    drop(writer.await.unwrap());
}

/// An upstream that has heard enough: its answer reaches a client that still sends.
#[tokio::test]
async fn an_early_answer_ends_the_upload() {
    if LANE != "own" {
        return; // pingora waits for the rest of the body, as long as `timeouts.body`.
    }
    let upstream = Upstream::start("u0").await;
    let node = node_with(&upstream).await;
    upstream.behave(Manner::SayEarly(
        "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!",
    ));
    let mut client = connect(node.address).await;
    client
        .send(format!(
            "POST / HTTP/1.1\r\nHost: {SHOP}\r\nContent-Length: 100000\r\n\r\n{}",
            "x".repeat(20_000)
        ))
        .await;
    let answer = client.answer().await.expect("the early answer");
    assert_eq!((answer.status, answer.text().as_str()), (413, "no!"));
    assert_eq!(
        client.rest().await,
        b"",
        "what was not read cannot be skipped"
    );
}
