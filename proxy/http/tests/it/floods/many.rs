//! More of something than any client needs: resets, pings, settings, empty frames, streams, fields.
//!
//! One worker serves the flood and everybody else: what holds up the one holds up the other.

use std::time::Duration;

use tokio::net::TcpStream;

use super::frames::{
    Connection, Outcome, code, data, field, flag, frame, integer, kind, narrow, ping, request,
    reset, setting, settings, streams, string, window_update,
};
use super::is_second_run;
use crate::client::{Client, connect, get};
use crate::node::{Node, SHOP, eventually, one_region};
use crate::upstream::{Manner, Upstream};

const ONE_WORKER: &str = "worker_threads: 1";

/// More than the kernel holds for one connection in both directions.
const FLOOD_BYTES_MAX: usize = 128 * 1024 * 1024;

/// A shop, and somebody who was its client before the flood.
struct Scene {
    upstream: Upstream,
    node: Node,
    bystander: Client<TcpStream>,
}

impl Scene {
    async fn start(config: &str) -> Self {
        let upstream = Upstream::start("u0").await;
        let node = Node::start(&one_region(&[&upstream], "path_prefix: /"), config);
        let mut bystander = connect(node.address).await;
        assert_eq!(bystander.get(SHOP, "/").await.text(), "u0");
        Self {
            upstream,
            node,
            bystander,
        }
    }

    /// Others are served, on old connections and new ones.
    async fn goes_on(&mut self) {
        for _ in 0..3 {
            assert_eq!(self.bystander.get(SHOP, "/").await.text(), "u0");
            assert_eq!(get(self.node.address, SHOP, "/").await.text(), "u0");
        }
        let mut other = Connection::open(self.node.address).await;
        other.send(request("GET", "/").alone(1)).await;
        assert_eq!(other.outcome(1).await, Outcome::Answered(200));
    }

    /// Requests of the flood that reached the upstream.
    fn heard(&self) -> usize {
        let heads = self.upstream.heads();
        heads.iter().filter(|head| head.contains(" /flood")).count()
    }
}

/// A reset may overtake the GOAWAY.
fn is_calm_or_unsaid(code: Option<u32>) -> bool {
    code.is_none_or(|named| named == code::ENHANCE_YOUR_CALM)
}

/// CVE-2023-44487, as fast as it can be written.
#[tokio::test]
async fn a_burst_of_resets_ends_the_connection() {
    const STREAMS: usize = 5_000;
    if is_second_run() {
        return;
    }
    let mut scene = Scene::start(ONE_WORKER).await;
    let mut flood = Connection::open(scene.node.address).await;
    let head = request("GET", "/flood");
    let burst = streams(STREAMS)
        .flat_map(|stream| [head.alone(stream), reset(stream, code::CANCEL)].concat());
    flood.send(burst.collect::<Vec<u8>>()).await;
    let code = flood.ended().await;
    assert!(is_calm_or_unsaid(code), "{code:?}");
    // `limits.h2_streams` at the same time, and 20 that were reset before anybody looked at them.
    let heard = scene.heard();
    assert!(heard <= 120, "the upstream heard {heard} requests");
    scene.goes_on().await;
}

/// The same, slowly enough that each request is on its way before it is reset.
#[tokio::test]
async fn resets_one_by_one_end_the_connection() {
    const STREAMS: usize = 1_500;
    if is_second_run() {
        return;
    }
    let mut scene = Scene::start(ONE_WORKER).await;
    scene
        .upstream
        .behave(Manner::Slow(Duration::from_millis(200)));
    let mut flood = Connection::open(scene.node.address).await;
    let head = request("GET", "/flood");
    let mut ended = false;
    for stream in streams(STREAMS) {
        flood.send(head.alone(stream)).await;
        ended = !flood.round_trip().await;
        if ended {
            break;
        }
        flood.send(reset(stream, code::CANCEL)).await;
    }
    scene.upstream.behave(Manner::Serve);
    scene.goes_on().await;
    let (heard, connections) = (scene.heard(), scene.upstream.connections());
    assert!(
        ended,
        "still open after {STREAMS} resets: {heard} requests on {connections} connections"
    );
}

/// A stream that is reset no longer counts for the library; what is done for it does for us.
#[tokio::test]
async fn requests_of_streams_that_were_reset_are_bounded() {
    const LIMIT: f64 = 10.0;
    if is_second_run() {
        return;
    }
    let upstream = Upstream::start("u0").await;
    let route = "path_prefix: /, fault: { delay: { time: 4s } }";
    let node = Node::start(
        &one_region(&[&upstream], route),
        "worker_threads: 1\nlimits: { h2_streams: 10 }",
    );
    let mut flood = Connection::open(node.address).await;
    let head = request("GET", "/flood");
    for stream in streams(100) {
        flood.send(head.alone(stream)).await;
        if !flood.round_trip().await {
            break;
        }
        flood.send(reset(stream, code::CANCEL)).await;
    }
    // The gauge is set each second.
    let mut most = 0.0_f64;
    for _ in 0..25 {
        most = most.max(node.metric("meridian_http_requests_in_flight{service=\"shop\"}"));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(get(node.address, "other.example", "/").await.status, 404);
    assert!(most <= LIMIT, "{most} requests of one connection in flight");
}

/// CVE-2024-27316 and its kin.
#[tokio::test]
async fn a_head_without_end_ends_the_connection() {
    if is_second_run() {
        return;
    }
    let endless = [vec![0], string("x-endless"), integer(0, 7, 100_000_000)].concat();
    for (what, begin, more) in [
        ("of one value", endless, vec![b'a'; 16_000]),
        ("of fields", Vec::new(), field("x", "").repeat(4_000)),
        ("of nothing", Vec::new(), Vec::new()),
    ] {
        let mut scene = Scene::start(ONE_WORKER).await;
        let mut flood = Connection::open(scene.node.address).await;
        let block = [request("GET", "/flood").block(), begin].concat();
        flood
            .send(frame(kind::HEADERS, flag::END_STREAM, 1, block))
            .await;
        // 128 KiB where the limit of a head is 32 KiB.
        flood
            .send(frame(kind::CONTINUATION, 0, 1, more).repeat(8))
            .await;
        let code = flood.ended().await;
        assert!(is_calm_or_unsaid(code), "{what}: {code:?}");
        assert_eq!(scene.heard(), 0, "{what}");
        scene.goes_on().await;
    }
}

/// A field of 3000 bytes, once sent and then named by one byte each time.
#[tokio::test]
async fn a_few_bytes_do_not_become_many() {
    if is_second_run() {
        return;
    }
    // With indexing (RFC 7541, section 6.2.1); the first entry of the dynamic table is number 62.
    let kept = [vec![0x40], string("x-bomb"), string("b".repeat(3_000))].concat();
    let again = vec![0x80 | 62; 8_000];
    let flags = flag::END_STREAM | flag::END_HEADERS;
    let mut scene = Scene::start(ONE_WORKER).await;
    let mut flood = Connection::open(scene.node.address).await;
    let block = |rest: &[u8]| [request("GET", "/flood").block(), rest.to_vec()].concat();
    flood
        .send(frame(kind::HEADERS, flags, 1, block(&kept)))
        .await;
    assert_eq!(flood.outcome(1).await, Outcome::Answered(200));
    flood
        .send(frame(kind::HEADERS, flags, 3, block(&again)))
        .await;
    assert_eq!(
        flood.outcome(3).await,
        Outcome::GoAway(code::ENHANCE_YOUR_CALM)
    );
    assert_eq!(scene.heard(), 1);
    scene.goes_on().await;
}

/// CVE-2019-9512 and CVE-2019-9515: answers that nobody reads are not kept.
#[tokio::test]
async fn a_client_that_reads_no_answers_is_not_read() {
    if is_second_run() {
        return;
    }
    let values = settings(&[(setting::INITIAL_WINDOW_SIZE, 1_000)]);
    for (what, one) in [
        ("PING", ping()),
        ("empty SETTINGS", settings(&[])),
        ("SETTINGS", values),
    ] {
        let mut scene = Scene::start(ONE_WORKER).await;
        let mut flood = Connection::over(narrow(scene.node.address).await).await;
        let many = one.repeat(1_000);
        let (taken, ()) = tokio::join!(flood.pour(&many, FLOOD_BYTES_MAX), scene.goes_on());
        assert!(taken.is_some(), "{what}: all of it was taken");
        scene.goes_on().await;
    }
}

/// A connection without a stream is idle, however much it says.
#[tokio::test]
async fn chatter_does_not_keep_a_connection_open() {
    if is_second_run() {
        return;
    }
    let upstream = Upstream::start("u0").await;
    let node = Node::start(
        &one_region(&[&upstream], "path_prefix: /"),
        "worker_threads: 1\ntimeouts: { keepalive: 500ms }",
    );
    let mut flood = Connection::open(node.address).await;
    let open = "meridian_http_connections_open";
    node.metric_becomes(open, 1.0).await;
    let mut pings = 0;
    while flood.round_trip().await {
        pings += 1;
        assert!(pings < 10_000, "still open");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(pings > 1, "closed at once");
    node.metric_becomes(open, 0.0).await;
    assert_eq!(get(node.address, SHOP, "/").await.status, 200);
}

/// CVE-2019-9518.
#[tokio::test]
async fn empty_frames_of_a_body_are_counted() {
    // What h2 allows on one connection.
    const MOST: usize = 100;
    if is_second_run() {
        return;
    }
    let mut scene = Scene::start(ONE_WORKER).await;
    let head = request("POST", "/flood").open(1);
    let mut honest = Connection::open(scene.node.address).await;
    let few = data(1, 0, "").repeat(MOST);
    let end = data(1, flag::END_STREAM, "hello");
    honest.send([head.clone(), few.clone(), end].concat()).await;
    assert_eq!(honest.outcome(1).await, Outcome::Answered(200));
    let mut flood = Connection::open(scene.node.address).await;
    flood.send([head, few, data(1, 0, "")].concat()).await;
    assert_eq!(
        flood.outcome(1).await,
        Outcome::GoAway(code::ENHANCE_YOUR_CALM)
    );
    assert!(scene.heard() <= 2);
    scene.goes_on().await;
}

/// What a client that streams small messages (gRPC) sends at once waits to be taken.
#[tokio::test]
async fn small_messages_of_an_honest_client_are_taken() {
    const MESSAGES: usize = 1_000;
    const MESSAGE: &str = "a message of thirty-two letters.";
    if is_second_run() {
        return;
    }
    let mut scene = Scene::start(ONE_WORKER).await;
    let mut client = Connection::open(scene.node.address).await;
    let length = (MESSAGES * MESSAGE.len()).to_string();
    let head = request("POST", "/flood").and("content-length", length);
    let all = [
        head.open(1),
        data(1, 0, MESSAGE).repeat(MESSAGES - 1),
        data(1, flag::END_STREAM, MESSAGE),
    ];
    client.send(all.concat()).await;
    assert_eq!(client.outcome(1).await, Outcome::Answered(200));
    let whole = MESSAGE.repeat(MESSAGES).into_bytes();
    assert!(scene.upstream.bodies().contains(&whole));
    scene.goes_on().await;
}

/// CVE-2019-9513 and its kin: frames that are not answered cost no more than their reading.
#[tokio::test]
async fn frames_that_say_nothing_are_read_and_forgotten() {
    const MANY: usize = 20_000;
    if is_second_run() {
        return;
    }
    for (what, one) in [
        ("PRIORITY", frame(kind::PRIORITY, 0, 1, [0_u8, 0, 0, 0, 16])),
        ("WINDOW_UPDATE", window_update(0, 1)),
        ("of no known type", frame(kind::UNKNOWN, 0, 0, "what?")),
    ] {
        let mut scene = Scene::start(ONE_WORKER).await;
        let mut flood = Connection::open(scene.node.address).await;
        let many = one.repeat(MANY);
        tokio::join!(flood.send(&many), scene.goes_on());
        flood.send(request("GET", "/flood").alone(1)).await;
        let outcome = flood.outcome(1).await;
        assert!(
            matches!(
                outcome,
                Outcome::Answered(200) | Outcome::GoAway(code::ENHANCE_YOUR_CALM) | Outcome::Closed
            ),
            "{what}: {outcome:?}"
        );
        scene.goes_on().await;
    }
}

#[tokio::test]
async fn streams_beyond_the_limit_are_refused() {
    const LIMIT: usize = 10;
    if is_second_run() {
        return;
    }
    let config = "worker_threads: 1\nlimits: { h2_streams: 10, head_bytes: 4096 }";
    let mut scene = Scene::start(config).await;
    scene.upstream.behave(Manner::Hang);
    let mut client = Connection::open(scene.node.address).await;
    let said = client.frame().await.expect("SETTINGS");
    assert_eq!(said.kind, kind::SETTINGS);
    assert_eq!(said.setting(setting::MAX_CONCURRENT_STREAMS), Some(10));
    assert_eq!(said.setting(setting::MAX_HEADER_LIST_SIZE), Some(4096));
    let head = request("GET", "/flood");
    let some = streams(LIMIT + 5).flat_map(|stream| head.alone(stream));
    client.send(some.collect::<Vec<u8>>()).await;
    for stream in streams(LIMIT + 5).skip(LIMIT) {
        let refused = Outcome::Reset(code::REFUSED_STREAM);
        assert_eq!(client.outcome(stream).await, refused, "stream {stream}");
    }
    eventually("all others are on their way", || scene.heard() == LIMIT).await;
    // h2 refuses 1024 times.
    let many = streams(LIMIT + 3_000).skip(LIMIT + 5);
    let many = many.flat_map(|stream| head.alone(stream));
    client.send(many.collect::<Vec<u8>>()).await;
    let code = client.ended().await;
    assert!(is_calm_or_unsaid(code), "{code:?}");
    assert_eq!(scene.heard(), LIMIT);
    scene.upstream.behave(Manner::Serve);
    scene.goes_on().await;
}

/// Each is cheap to send; the answer to it is not free.
#[tokio::test]
async fn malformed_requests_one_after_the_other_end_the_connection() {
    const AT_ONCE: usize = 20;
    if is_second_run() {
        return;
    }
    let user = request("GET", "/flood").with(":authority", "user@shop.example");
    let coding = request("GET", "/flood").and("te", "gzip");
    // What we answer with 400, and what h2 resets.
    for (what, head, most) in [("a user", user, 128), ("a coding", coding, 1_024)] {
        let mut scene = Scene::start(ONE_WORKER).await;
        let mut flood = Connection::open(scene.node.address).await;
        let mut sent = 0;
        let all: Vec<u32> = streams(3_000).collect();
        for some in all.chunks(AT_ONCE) {
            let some = some.iter().flat_map(|stream| head.alone(*stream));
            flood.send(some.collect::<Vec<u8>>()).await;
            sent += AT_ONCE;
            if !flood.round_trip().await {
                break;
            }
        }
        // It may end while the next ones are written.
        assert!(sent <= most + 3 * AT_ONCE, "{what}: {sent} were taken");
        assert_eq!(scene.heard(), 0, "{what}");
        scene.goes_on().await;
    }
}
