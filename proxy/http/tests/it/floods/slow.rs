//! Heads, bodies and readers that take their time.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::frames::{
    Connection, Outcome, WINDOW, WINDOW_MAX, code, data, flag, frame, kind, narrow, request,
    setting, settings, window_update,
};
use super::{BUFFERS_MAX, Torrent, is_second_run};
use crate::client::{Client, PATIENCE, connect, get};
use crate::node::{Node, SHOP, eventually, one_region};
use crate::upstream::{Manner, Upstream};

/// What ends a stalled exchange ends it within this time, although other timeouts are far longer.
const SOON: Duration = Duration::from_secs(5);

/// Open client connections.
const OPEN: &str = "meridian_http_connections_open";

/// Sends a piece again and again until the proxy has said all it has to say; says what that was.
async fn drip(socket: &mut TcpStream, piece: &str, pause: Duration) -> String {
    let (mut read, mut write) = socket.split();
    let mut said = Vec::new();
    let feed = async {
        while write.write_all(piece.as_bytes()).await.is_ok() {
            tokio::time::sleep(pause).await;
        }
        std::future::pending::<()>().await;
    };
    // A reset is an end too.
    let listen = async { while read.read_buf(&mut said).await.is_ok_and(|count| count > 0) {} };
    let both = async {
        tokio::select! {
            () = feed => {}
            () = listen => {}
        }
    };
    timeout(PATIENCE, both)
        .await
        .expect("the proxy says something or closes");
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test]
async fn heads_that_trickle_in_hold_up_nobody_else() {
    const MANY: usize = 200;
    const HEADER: Duration = Duration::from_millis(500);
    if is_second_run() {
        return;
    }
    let upstream = Upstream::start("u0").await;
    let node = Node::start(
        &one_region(&[&upstream], "path_prefix: /"),
        "worker_threads: 1\ntimeouts: { header: 500ms }",
    );
    let (address, began) = (node.address, Instant::now());
    let slow: Vec<_> = (0..MANY)
        .map(|_| {
            tokio::spawn(async move {
                let mut socket = TcpStream::connect(address).await.unwrap();
                let begin = b"GET /slow HTTP/1.1\r\nHost: shop.example\r\nX-Slow: ";
                socket.write_all(begin).await.unwrap();
                let said = drip(&mut socket, "a", Duration::from_millis(50)).await;
                (said, began.elapsed())
            })
        })
        .collect();
    let mut served = 0;
    while began.elapsed() < HEADER {
        assert_eq!(get(address, SHOP, "/").await.status, 200);
        served += 1;
    }
    for client in slow {
        let (said, after) = client.await.unwrap();
        assert!(said.starts_with("HTTP/1.1 408 "), "{said:?}");
        assert!(said.to_ascii_lowercase().contains("connection: close\r\n"));
        assert!(after >= HEADER, "ended after {after:?}");
    }
    let line = "meridian_http_connections_closed_early_total{reason=\"header_timeout\"}";
    node.metric_becomes(line, 200.0).await;
    node.metric_becomes(OPEN, 0.0).await;
    assert_eq!(get(address, SHOP, "/").await.status, 200);
    assert_eq!(
        upstream.requests(),
        served + 1,
        "nobody heard of the others"
    );
}

#[tokio::test]
async fn a_body_that_trickles_in_is_ended() {
    for (framing, piece) in [
        ("Content-Length: 1000", "x"),
        ("Transfer-Encoding: chunked", "1\r\nx\r\n"),
    ] {
        let upstream = Upstream::start("u0").await;
        let node = Node::start(
            &one_region(&[&upstream], "retries: { attempts: 0 }"),
            "worker_threads: 1\ntimeouts: { body: 30ms }",
        );
        let mut client = connect(node.address).await;
        client
            .send(format!(
                "POST /slow HTTP/1.1\r\nHost: {SHOP}\r\n{framing}\r\n\r\n"
            ))
            .await;
        let mut socket = client.into_stream();
        let said = drip(&mut socket, piece, Duration::from_millis(100)).await;
        assert!(
            said.is_empty() || said.starts_with("HTTP/1.1 408 "),
            "{framing}: {said}"
        );
        assert_eq!(get(node.address, SHOP, "/").await.status, 200, "{framing}");
        assert_eq!(
            (upstream.requests(), upstream.connections()),
            (2, 2),
            "{framing}: half a request stays alone on its connection"
        );
        assert_eq!(node.reports.all(), [], "the endpoint is not to blame");
        node.metric_becomes(OPEN, 0.0).await;
    }
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_cut() {
    const BODY: Duration = Duration::from_millis(300);
    let torrent = Torrent::start().await;
    let node = Node::start(
        &torrent.world(),
        "worker_threads: 1\ntimeouts: { body: 300ms }",
    );
    let began = Instant::now();
    let mut client = Client::over(narrow(node.address).await);
    client
        .send(format!("GET /torrent HTTP/1.1\r\nHost: {SHOP}\r\n\r\n"))
        .await;
    eventually("the answer is cut", || torrent.cut() == 1).await;
    let after = began.elapsed();
    assert!(after >= BODY, "cut after {after:?}");
    let taken = torrent.taken();
    assert!(taken < BUFFERS_MAX, "{taken} bytes were read ahead");
    node.metric_becomes(OPEN, 0.0).await;
    assert_eq!(get(node.address, SHOP, "/").await.text(), "u0");
    drop(client);
}

/// Answers pile up nowhere: a request is read when the answers before it are on their way.
#[tokio::test]
async fn requests_of_a_client_that_reads_no_answer_are_not_read() {
    const ANSWER: usize = 64 * 1024;
    const REQUESTS: usize = 5_000;
    let upstream = Upstream::start("u0").await;
    let node = Node::start(
        &one_region(&[&upstream], "path_prefix: /"),
        "worker_threads: 1\ntimeouts: { body: 300ms }",
    );
    let body = ".".repeat(ANSWER);
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {ANSWER}\r\n\r\n{body}");
    upstream.behave(Manner::Say(answer.leak()));
    let mut client = Client::over(narrow(node.address).await);
    let one = format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\n\r\n");
    client.send(one.repeat(REQUESTS)).await;
    node.metric_becomes(OPEN, 0.0).await;
    // The kernel takes 64 answers, or a few hundred where it is generous.
    let heard = upstream.requests();
    assert!(heard < REQUESTS / 5, "{heard} requests were passed on");
    upstream.behave(Manner::Serve);
    assert_eq!(get(node.address, SHOP, "/").await.text(), "u0");
    drop(client);
}

#[tokio::test]
async fn an_http2_client_without_a_window_is_cut() {
    if is_second_run() {
        return;
    }
    let torrent = Torrent::start().await;
    let node = Node::start(
        &torrent.world(),
        "worker_threads: 1\ntimeouts: { body: 300ms }",
    );
    let mut client = Connection::open(node.address).await;
    let closed = settings(&[(setting::INITIAL_WINDOW_SIZE, 0)]);
    client
        .send([closed, request("GET", "/torrent").alone(1)].concat())
        .await;
    let outcome = client.outcome(1).await;
    assert!(matches!(outcome, Outcome::Reset(_)), "{outcome:?}");
    eventually("the answer is cut", || torrent.cut() == 1).await;
    let taken = torrent.taken();
    assert!(taken < BUFFERS_MAX, "{taken} bytes were read ahead");
    // Its other streams live.
    let opened = settings(&[(setting::INITIAL_WINDOW_SIZE, WINDOW)]);
    client
        .send([opened, request("GET", "/").alone(3)].concat())
        .await;
    assert_eq!(client.outcome(3).await, Outcome::Answered(200));
}

/// The window says that there is room, and the socket that there is none.
#[tokio::test]
async fn an_http2_client_that_reads_nothing_is_cut() {
    if is_second_run() {
        return;
    }
    let torrent = Torrent::start().await;
    let node = Node::start(
        &torrent.world(),
        "worker_threads: 1\ntimeouts: { body: 300ms, keepalive: 300ms }",
    );
    let mut client = Connection::over(narrow(node.address).await).await;
    let opened = [
        settings(&[(setting::INITIAL_WINDOW_SIZE, WINDOW_MAX)]),
        window_update(0, WINDOW_MAX - WINDOW),
        request("GET", "/torrent").alone(1),
    ];
    client.send(opened.concat()).await;
    eventually("the answer is cut", || torrent.cut() == 1).await;
    let taken = torrent.taken();
    assert!(taken < BUFFERS_MAX, "{taken} bytes were read ahead");
    node.metric_becomes(OPEN, 0.0).await;
    assert_eq!(get(node.address, SHOP, "/").await.text(), "u0");
    drop(client);
}

#[tokio::test]
async fn an_http2_body_that_stalls_is_ended() {
    if is_second_run() {
        return;
    }
    let upstream = Upstream::start("u0").await;
    let node = Node::start(
        &one_region(&[&upstream], "retries: { attempts: 0 }"),
        "worker_threads: 1\ntimeouts: { body: 200ms }",
    );
    let mut client = Connection::open(node.address).await;
    let head = request("POST", "/slow").and("content-length", "100");
    client.send([head.open(1), data(1, 0, "x")].concat()).await;
    let outcome = timeout(SOON, client.outcome(1)).await;
    let outcome = outcome.expect("the request ends soon after `timeouts.body`");
    assert!(
        matches!(outcome, Outcome::Answered(408) | Outcome::Reset(_)),
        "{outcome:?}"
    );
    client.send(request("GET", "/").alone(3)).await;
    assert_eq!(client.outcome(3).await, Outcome::Answered(200));
    assert_eq!(upstream.connections(), 2);
    assert_eq!(node.reports.all(), [], "the endpoint is not to blame");
}

/// Half a field block, and then nothing.
async fn half_a_head(config: &str) -> Option<u32> {
    let upstream = Upstream::start("u0").await;
    let node = Node::start(&one_region(&[&upstream], "path_prefix: /"), config);
    let mut client = Connection::open(node.address).await;
    let block = request("GET", "/slow").block();
    client
        .send(frame(kind::HEADERS, flag::END_STREAM, 1, block))
        .await;
    let code = timeout(SOON, client.ended()).await;
    let code = code.expect("the connection ends soon after its timeout");
    node.metric_becomes(OPEN, 0.0).await;
    assert_eq!(get(node.address, SHOP, "/").await.status, 200);
    assert_eq!(upstream.requests(), 1, "nobody heard of half a head");
    code
}

#[tokio::test]
async fn half_an_http2_head_ends_with_the_idle_connection() {
    if is_second_run() {
        return;
    }
    let code = half_a_head("worker_threads: 1\ntimeouts: { keepalive: 300ms }").await;
    assert!(code.is_none_or(|named| named == code::NO_ERROR), "{code:?}");
}
