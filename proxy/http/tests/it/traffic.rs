//! How requests are spread, bounded and changed on their way: `traffic` of a service and the keys of its
//! routes, through either lane.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use meridian_live::PassiveKind;

use crate::client::{Answer, connect, get};
use crate::node::{LANE, Node, SHOP, WorldText, eventually};
use crate::upstream::{Manner, Upstream};

/// One region, a service with this `traffic`, and one route.
fn shop(upstreams: &[Upstream], traffic: &str, route: &str) -> WorldText {
    let endpoints: Vec<_> = upstreams
        .iter()
        .map(|upstream| (upstream.address, "shop"))
        .collect();
    let routes = format!("[{{ hosts: [{SHOP}], {route} }}], traffic: {{ {traffic} }}");
    WorldText::new().region("a", "DE", "", &endpoints).service(
        "shop",
        "spread: { sticky: none }",
        &routes,
    )
}

async fn upstreams<const N: usize>() -> [Upstream; N] {
    let mut started = Vec::new();
    for number in 0..N {
        started.push(Upstream::start(&format!("u{number}")).await);
    }
    started.try_into().unwrap_or_else(|_| unreachable!())
}

fn refused(reason: &str) -> String {
    format!("meridian_http_refused_requests_total{{reason=\"{reason}\",service=\"shop\"}}")
}

async fn ask(node: &Node, fields: &str) -> Answer {
    let mut client = connect(node.address).await;
    client
        .send(format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\n{fields}\r\n"))
        .await;
    client.answer().await.expect("an answer")
}

#[tokio::test]
async fn a_route_rewrites_target_and_fields() {
    let upstreams = upstreams::<1>().await;
    upstreams[0].behave(Manner::Say(
        "HTTP/1.1 200 OK\r\nServer: secret\r\nX-Old: 1\r\nContent-Length: 2\r\n\r\nok",
    ));
    let route = "path_prefix: /api, rewrite: { host: inner.example, path_prefix: /v2 }, \
        request_headers: { remove: [x-drop], set: [{ name: x-env, value: prod }], add: [{ name: x-hop, value: edge }] }, \
        response_headers: { remove: [server], set: [{ name: x-old, value: new }] }";
    let node = Node::start(&shop(&upstreams, "", route), "");
    let mut client = connect(node.address).await;
    client
        .send(format!(
            "GET /api/users?a=/api HTTP/1.1\r\nHost: {SHOP}\r\nX-Drop: 1\r\nX-Env: fake\r\nX-Hop: client\r\n\r\n"
        ))
        .await;
    let answer = client.answer().await.expect("an answer");
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    assert_eq!(answer.header("server"), None, "{}", answer.head);
    assert_eq!(
        answer
            .head
            .to_ascii_lowercase()
            .matches("x-old: new")
            .count(),
        1
    );
    let head = upstreams[0].heads().pop().unwrap().to_ascii_lowercase();
    assert!(
        head.starts_with("get /v2/users?a=/api http/1.1\r\n"),
        "{head}"
    );
    for (line, times) in [
        ("host: inner.example\r\n", 1),
        ("host:", 2),
        ("x-forwarded-host: shop.example", 1),
        ("x-drop", 0),
        ("x-env: prod\r\n", 1),
        ("x-env", 1),
        ("x-hop: client\r\n", 1),
        ("x-hop: edge\r\n", 1),
    ] {
        assert_eq!(head.matches(line).count(), times, "{line} in {head}");
    }
}

#[tokio::test]
async fn a_route_sends_clients_elsewhere() {
    let upstreams = upstreams::<1>().await;
    let route = "path_prefix: /old, redirect: { scheme: https, path_prefix: /new }, \
        response_headers: { set: [{ name: strict-transport-security, value: max-age=60 }] }";
    let node = Node::start(&shop(&upstreams, "", route), "");
    let mut client = connect(node.address).await;
    for _ in 0..2 {
        let answer = client.get(SHOP, "/old/x?y=1").await;
        assert_eq!(answer.status, 308);
        let location = answer.header("location");
        assert_eq!(location, Some("https://shop.example/new/x?y=1"));
        assert_eq!(
            answer.header("strict-transport-security"),
            Some("max-age=60")
        );
    }
    assert_eq!(upstreams[0].requests(), 0);
}

/// One route sends clients to HTTPS and serves those that a trusted proxy says came by it.
#[tokio::test]
async fn who_came_over_tls_is_served() {
    let upstreams = upstreams::<1>().await;
    let world = shop(&upstreams, "", "redirect: { scheme: https }");
    let node = Node::start(&world, "trusted_proxies: [127.0.0.1/32]");
    assert_eq!(ask(&node, "").await.status, 308);
    let answer = ask(&node, "X-Forwarded-Proto: https\r\n").await;
    assert_eq!(answer.status, 200);
    let node = Node::start(&world, "");
    let answer = ask(&node, "X-Forwarded-Proto: https\r\n").await;
    assert_eq!(answer.status, 308, "a stranger says so");
}

#[tokio::test]
async fn too_many_requests_get_429() {
    let upstreams = upstreams::<1>().await;
    let route = "rate_limit: { requests: 2, per: 1h, each: header, header: x-key }";
    let node = Node::start(&shop(&upstreams, "", route), "");
    for key in ["a", "b"] {
        let field = format!("X-Key: {key}\r\n");
        assert_eq!(ask(&node, &field).await.status, 200);
        assert_eq!(ask(&node, &field).await.status, 200);
        let answer = ask(&node, &field).await;
        assert_eq!(answer.status, 429, "{}", answer.text());
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1_700..=1_800).contains(&wait), "{wait}");
    }
    assert_eq!(upstreams[0].requests(), 4);
    node.metric_becomes(&refused("rate_limit"), 2.0).await;
}

#[tokio::test]
async fn a_split_takes_its_share_and_keeps_its_clients() {
    let [own, other] = upstreams::<2>().await;
    let world = WorldText::new()
        .region(
            "a",
            "DE",
            "",
            &[(own.address, "shop"), (other.address, "canary")],
        )
        .service("canary", "", "[]")
        .service(
            "shop",
            "",
            &format!("[{{ hosts: [{SHOP}], affinity: {{ header: x-user }}, split: [{{ service: canary, share: 25% }}] }}]"),
        );
    let node = Node::start(&world, "");
    let mut at_other = 0;
    for user in 0..200 {
        let field = format!("X-User: {user}\r\n");
        let first = ask(&node, &field).await.text();
        assert_eq!(first, ask(&node, &field).await.text(), "user {user}");
        at_other += usize::from(first.contains("u1"));
    }
    // 50 ± 4.7 deviations of 6.1.
    assert!((22..=78).contains(&at_other), "{at_other} of 200");
    let line = "meridian_http_requests_total{service=\"canary\",status=\"2xx\"}";
    node.metric_becomes(line, 2.0 * at_other as f64).await;
}

#[tokio::test]
async fn a_cookie_keeps_a_client_at_its_endpoint() {
    let upstreams = upstreams::<4>().await;
    let node = Node::start(&shop(&upstreams, "", "affinity: { cookie: sid }"), "");
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..40 {
        let first = ask(&node, "").await;
        let cookie = first.header("set-cookie").expect("a cookie").to_owned();
        assert!(
            cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"),
            "{cookie}"
        );
        let pair = cookie.split(';').next().unwrap();
        for _ in 0..3 {
            let again = ask(&node, &format!("Cookie: a=b; {pair}\r\n")).await;
            assert_eq!(again.header("set-cookie"), None);
            assert_eq!(again.text(), first.text());
        }
        *seen.entry(first.text()).or_default() += 1;
    }
    assert_eq!(seen.len(), 4, "new clients are spread: {seen:?}");
}

#[tokio::test]
async fn the_least_busy_endpoint_gets_the_request() {
    let upstreams = upstreams::<2>().await;
    let node = Node::start(&shop(&upstreams, "balance: least_request", ""), "");
    upstreams[0].behave(Manner::Hang);
    upstreams[1].behave(Manner::Slow(Duration::from_secs(3)));
    let mut clients = Vec::new();
    for number in 0..4 {
        let mut client = connect(node.address).await;
        client
            .send(format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\n\r\n"))
            .await;
        let arrived = || upstreams.iter().map(Upstream::requests).sum::<usize>() > number;
        eventually("it arrives", arrived).await;
        clients.push(client);
    }
    let each: Vec<_> = upstreams.iter().map(Upstream::requests).collect();
    assert_eq!(each, [2, 2]);
    node.metric_becomes("meridian_http_requests_in_flight{service=\"shop\"}", 2.0)
        .await;
    upstreams[1].behave(Manner::Serve);
    for _ in 0..30 {
        assert!(ask(&node, "").await.text().contains("u1"));
    }
}

#[tokio::test]
async fn a_slow_endpoint_is_avoided() {
    let upstreams = upstreams::<2>().await;
    let node = Node::start(&shop(&upstreams, "balance: peak_ewma", ""), "");
    upstreams[0].behave(Manner::Slow(Duration::from_secs(1)));
    for _ in 0..40 {
        ask(&node, "").await;
    }
    // One to learn of it; a hiccup of this machine may make the other one look slow once.
    let slow = upstreams[0].requests();
    assert!(slow <= 5, "{slow} of 40 at the slow endpoint");
}

#[tokio::test]
async fn a_full_endpoint_is_passed_over_and_a_full_service_says_so() {
    let upstreams = upstreams::<3>().await;
    let traffic = "max_in_flight_per_endpoint: 1";
    let node = Node::start(&shop(&upstreams, traffic, ""), "");
    for upstream in &upstreams {
        upstream.behave(Manner::Slow(Duration::from_secs(3)));
    }
    let mut clients = Vec::new();
    for number in 0..3 {
        let mut client = connect(node.address).await;
        client
            .send(format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\n\r\n"))
            .await;
        let arrived = || upstreams.iter().map(Upstream::requests).sum::<usize>() > number;
        eventually("it arrives", arrived).await;
        clients.push(client);
    }
    let each: Vec<_> = upstreams.iter().map(Upstream::requests).collect();
    assert_eq!(each, [1, 1, 1]);
    let answer = ask(&node, "").await;
    assert_eq!(answer.status, 503);
    assert_eq!(
        answer.text(),
        "every endpoint of the service is at its limit\n"
    );
    node.metric_becomes(&refused("endpoints_full"), 1.0).await;
    for mut client in clients {
        assert_eq!(client.answer().await.expect("an answer").status, 200);
    }
    // What was counted is given back.
    assert_eq!(ask(&node, "").await.status, 200);
}

#[tokio::test]
async fn the_less_important_is_refused_first() {
    let [upstream] = upstreams::<1>().await;
    let routes = ["critical", "default", "sheddable"]
        .map(|priority| format!("{{ hosts: [{priority}.example], priority: {priority} }}"))
        .join(", ");
    let world = WorldText::new()
        .region("a", "DE", "", &[(upstream.address, "shop")])
        .service(
            "shop",
            "",
            &format!("[{routes}], traffic: {{ max_in_flight: 10 }}"),
        );
    let node = Node::start(&world, "");
    upstream.behave(Manner::Hang);
    let mut hanging = Vec::new();
    // Each priority as far as it gets.
    for (priority, most) in [("sheddable", 7), ("default", 9), ("critical", 10)] {
        let host = format!("{priority}.example");
        while hanging.len() < most {
            let mut client = connect(node.address).await;
            client
                .send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"))
                .await;
            eventually("it arrives", || upstream.requests() > hanging.len()).await;
            hanging.push(client);
        }
        let answer = get(node.address, &host, "/").await;
        assert_eq!(answer.status, 503, "{priority}");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    assert_eq!(upstream.requests(), 10);
    node.metric_becomes(&refused("service_full"), 3.0).await;
}

#[tokio::test]
async fn retries_stay_within_their_budget() {
    let upstreams = upstreams::<3>().await;
    let traffic = "retry_budget: { share: 10%, at_least: 0 }";
    let route = "retries: { attempts: 2, on: [gateway] }";
    let config = "ejection: { server_errors: 100000, outliers: off }";
    let node = Node::start(&shop(&upstreams, traffic, route), config);
    for upstream in &upstreams {
        upstream.behave(Manner::Status(503));
    }
    for _ in 0..100 {
        assert_eq!(ask(&node, "").await.status, 503);
    }
    // Without a budget it would be 300.
    let attempts: usize = upstreams.iter().map(Upstream::requests).sum();
    assert!((105..=111).contains(&attempts), "{attempts}");
    let line = "meridian_http_retry_budget_exhausted_total{service=\"shop\"}";
    assert!(node.metric(line) >= 89.0, "{}", node.metric(line));
}

#[tokio::test]
async fn a_fault_is_done_on_purpose() {
    let upstreams = upstreams::<1>().await;
    let route = "fault: { delay: { time: 300ms }, abort: { status: 418, share: 50% } }";
    let node = Node::start(&shop(&upstreams, "", route), "");
    let (mut served, mut aborted) = (0, 0);
    let mut client = connect(node.address).await;
    for _ in 0..24 {
        let began = Instant::now();
        match client.get(SHOP, "/").await.status {
            200 => {
                assert!(began.elapsed() >= Duration::from_millis(300));
                served += 1;
            }
            418 => aborted += 1,
            other => panic!("{other}"),
        }
    }
    assert!(
        served > 1 && aborted > 1,
        "{served} served, {aborted} aborted"
    );
    assert_eq!(upstreams[0].requests(), served);
}

#[tokio::test]
async fn who_fails_more_than_its_peers_is_reported() {
    let upstreams = upstreams::<4>().await;
    let config = "ejection: { server_errors: 100000 }";
    let node = Node::start(&shop(&upstreams, "", "retries: { attempts: 0 }"), config);
    upstreams[2].behave(Manner::Status(500));
    let mut client = connect(node.address).await;
    for round in 0.. {
        assert!(round < 100, "never reported");
        for _ in 0..50 {
            client.get(SHOP, "/").await;
        }
        if !node.reports.all().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let expected = ("a-2".to_owned(), PassiveKind::FailureShare);
    assert!(
        node.reports.all().iter().all(|report| *report == expected),
        "{:?}",
        node.reports.all()
    );
}

#[tokio::test]
async fn a_route_may_ask_for_more_than_host_and_path() {
    let [own, beta, exact] = upstreams::<3>().await;
    let endpoints = [
        (own.address, "shop"),
        (beta.address, "beta"),
        (exact.address, "exact"),
    ];
    let world = WorldText::new()
        .region("a", "DE", "", &endpoints)
        .service("shop", "", &format!("[{{ hosts: [{SHOP}] }}]"))
        .service(
            "beta",
            "",
            &format!(
                "[{{ hosts: [{SHOP}], match: {{ headers: [{{ name: x-beta }}], query: [{{ name: v, value: '2' }}] }} }}, \
                  {{ hosts: [{SHOP}], match: {{ cookies: [{{ name: beta, value: 'yes' }}] }} }}]"
            ),
        )
        .service(
            "exact",
            "",
            &format!("[{{ hosts: [{SHOP}], path_prefix: /status, path_match: exact }}]"),
        );
    let node = Node::start(&world, "");
    for (target, fields, upstream) in [
        ("/", "", "u0"),
        ("/?v=2", "", "u0"),
        ("/?v=2", "X-Beta: 1\r\n", "u1"),
        ("/?v=3", "X-Beta: 1\r\n", "u0"),
        ("/", "Cookie: a=b; beta=yes\r\n", "u1"),
        ("/", "Cookie: beta=no\r\n", "u0"),
        ("/status", "", "u2"),
        ("/status?x", "", "u2"),
        ("/status/", "", "u0"),
        ("/statuses", "", "u0"),
    ] {
        let mut client = connect(node.address).await;
        client
            .send(format!(
                "GET {target} HTTP/1.1\r\nHost: {SHOP}\r\n{fields}\r\n"
            ))
            .await;
        let answer = client.answer().await.expect("an answer");
        assert!(answer.text().contains(upstream), "{target} {fields}");
    }
}

#[tokio::test]
async fn a_route_may_serve_some_clients_only() {
    let upstreams = upstreams::<1>().await;
    let route = "clients: { allow: [127.0.0.0/8], deny: [127.0.0.1/32] }";
    let node = Node::start(
        &shop(&upstreams, "", route),
        "trusted_proxies: [127.0.0.1/32]",
    );
    assert_eq!(ask(&node, "").await.status, 403);
    for (client, status) in [("127.0.0.2", 200), ("192.0.2.1", 403)] {
        let field = format!("X-Forwarded-For: {client}\r\n");
        assert_eq!(ask(&node, &field).await.status, status, "{client}");
    }
    node.metric_becomes(&refused("client"), 2.0).await;
    assert_eq!(upstreams[0].requests(), 1);
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused() {
    let upstreams = upstreams::<1>().await;
    let node = Node::start(&shop(&upstreams, "", "max_body: 1KiB"), "");
    let body = "x".repeat(2_000);
    let mut client = connect(node.address).await;
    client
        .send(format!(
            "POST / HTTP/1.1\r\nHost: {SHOP}\r\nContent-Length: 2000\r\n\r\n{body}"
        ))
        .await;
    assert_eq!(client.answer().await.expect("an answer").status, 413);
    assert_eq!(upstreams[0].requests(), 0);
    node.metric_becomes(&refused("body_too_large"), 1.0).await;
    // In chunks it shows as it comes.
    let mut client = connect(node.address).await;
    client
        .send(format!(
            "POST / HTTP/1.1\r\nHost: {SHOP}\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n{body}\r\n0\r\n\r\n"
        ))
        .await;
    assert_eq!(client.answer().await.expect("an answer").status, 413);
    let small = format!("POST / HTTP/1.1\r\nHost: {SHOP}\r\nContent-Length: 3\r\n\r\nabc");
    let mut client = connect(node.address).await;
    client.send(small).await;
    assert_eq!(client.answer().await.expect("an answer").status, 200);
    let http2 = crate::http2::client(node.address).await;
    let call = http::Request::post(format!("http://{SHOP}/"))
        .body(())
        .unwrap();
    let long: &'static [u8] = Box::leak(body.into_bytes().into_boxed_slice());
    let (response, ..) = crate::http2::send(&http2, call, long).await;
    assert_eq!(response.status(), 413);
}

/// `total: 0s` leaves an answer as long as it goes on; its silence is bounded all the same.
#[tokio::test]
async fn an_answer_without_end_ends_when_it_is_silent() {
    let upstreams = upstreams::<1>().await;
    let route = "timeouts: { first_byte: 400ms, total: 0s }, retries: { attempts: 0 }";
    let node = Node::start(&shop(&upstreams, "", route), "");
    upstreams[0].behave(Manner::Trickle(Duration::from_millis(100)));
    let answer = ask(&node, "").await;
    assert_eq!((answer.status, answer.body.len()), (200, 10));
    upstreams[0].behave(Manner::Hang);
    assert_eq!(ask(&node, "").await.status, 504);
}

/// What a client reads of a coded body.
fn decoded(answer: &Answer) -> String {
    use std::io::Read;
    let bytes = &answer.body[..];
    let mut text = String::new();
    match answer.header("content-encoding") {
        Some("gzip") => flate2::read::GzDecoder::new(bytes).read_to_string(&mut text),
        Some("br") => brotli::Decompressor::new(bytes, 4096).read_to_string(&mut text),
        Some("zstd") => zstd::stream::read::Decoder::new(bytes)
            .unwrap()
            .read_to_string(&mut text),
        other => panic!("{other:?}"),
    }
    .unwrap();
    text
}

/// pingora's lane leaves answers as they are.
#[tokio::test]
async fn answers_are_compressed_for_clients_that_take_it() {
    if LANE != "own" {
        return;
    }
    let text = "hello ".repeat(2_000);
    let length = text.len();
    let plain = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nETag: \"a\"\r\nAccept-Ranges: bytes\r\nContent-Length: {length}\r\n\r\n{text}"
    );
    let half = &text[..6_000];
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{half}\r\n{:x}\r\n{half}\r\n0\r\nx-sum: 1\r\n\r\n",
        half.len(),
        half.len()
    );
    let upstreams = upstreams::<1>().await;
    let node = Node::start(&shop(&upstreams, "", "compression: {}"), "");
    for bytes in [plain, chunked] {
        upstreams[0].behave(Manner::Say(Box::leak(bytes.into_boxed_str())));
        for (accepted, coding) in [("gzip", "gzip"), ("br, gzip", "br"), ("*", "zstd")] {
            let mut client = connect(node.address).await;
            // The connection stays: the end of each answer is known.
            for _ in 0..2 {
                client
                    .send(format!(
                        "GET / HTTP/1.1\r\nHost: {SHOP}\r\nAccept-Encoding: {accepted}\r\n\r\n"
                    ))
                    .await;
                let answer = client.answer().await.expect("an answer");
                assert_eq!(answer.header("content-encoding"), Some(coding));
                assert_eq!(answer.header("vary"), Some("accept-encoding"));
                assert_eq!(answer.header("content-length"), None);
                assert_eq!(answer.header("accept-ranges"), None);
                if let Some(tag) = answer.header("etag") {
                    assert_eq!(tag, "W/\"a\"");
                }
                assert!(answer.body.len() < length / 10);
                assert!(decoded(&answer) == text);
            }
            let http2 = crate::http2::client(node.address).await;
            let call = http::Request::get(format!("http://{SHOP}/"))
                .header("accept-encoding", accepted)
                .body(())
                .unwrap();
            let (response, body, _) = crate::http2::send(&http2, call, b"").await;
            assert_eq!(response.headers()["content-encoding"], coding);
            assert!(!response.headers().contains_key("content-length"));
            let answer = Answer {
                status: 200,
                head: format!("HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\n\r\n"),
                body,
            };
            assert!(decoded(&answer) == text);
        }
        let answer = ask(&node, "").await;
        assert_eq!(answer.header("content-encoding"), None);
        assert_eq!(answer.header("vary"), Some("accept-encoding"));
        assert!(answer.text() == text);
    }
    // What tells of a coded answer looks like one.
    upstreams[0].behave(Manner::Say("HTTP/1.1 304 Same\r\nETag: \"a\"\r\n\r\n"));
    let answer = ask(&node, "Accept-Encoding: gzip\r\nIf-None-Match: W/\"a\"\r\n").await;
    assert_eq!(
        (answer.status, answer.header("etag")),
        (304, Some("W/\"a\""))
    );
    assert_eq!(answer.header("vary"), Some("accept-encoding"));
    upstreams[0].behave(Manner::Say(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 9000\r\n\r\n",
    ));
    let mut client = connect(node.address).await;
    client
        .send(format!(
            "HEAD / HTTP/1.1\r\nHost: {SHOP}\r\nAccept-Encoding: gzip\r\n\r\n"
        ))
        .await;
    let head = client.head().await.expect("a head").to_ascii_lowercase();
    assert!(head.contains("content-encoding: gzip\r\n"), "{head}");
    assert!(!head.contains("content-length"), "{head}");
    // An end that is the connection's, and pieces that come slowly.
    upstreams[0].behave(Manner::SayAndClose(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n",
    ));
    let answer = ask(&node, "Accept-Encoding: gzip\r\n").await;
    assert_eq!(decoded(&answer), "data: 1\n\n");
    upstreams[0].behave(Manner::SayAndClose(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5000\r\n\r\ncut",
    ));
    let mut client = connect(node.address).await;
    client
        .send(format!(
            "GET / HTTP/1.1\r\nHost: {SHOP}\r\nAccept-Encoding: gzip\r\n\r\n"
        ))
        .await;
    assert!(client.answer().await.is_none(), "what was cut has no end");
}

/// pingora's lane sends no copies.
#[tokio::test]
async fn a_copy_goes_to_another_service() {
    if LANE != "own" {
        return;
    }
    let [own, other] = upstreams::<2>().await;
    let world = WorldText::new()
        .region(
            "a",
            "DE",
            "",
            &[(own.address, "shop"), (other.address, "next")],
        )
        .service("next", "", "[]")
        .service(
            "shop",
            "",
            &format!("[{{ hosts: [{SHOP}], mirror: {{ service: next, share: 100% }} }}]"),
        );
    let node = Node::start(&world, "");
    other.behave(Manner::Slow(Duration::from_millis(300)));
    let mut client = connect(node.address).await;
    client
        .send(format!(
            "POST /a?b HTTP/1.1\r\nHost: {SHOP}\r\nContent-Length: 5\r\n\r\nhello"
        ))
        .await;
    let answer = client.answer().await.expect("an answer");
    assert_eq!((answer.status, answer.text().as_str()), (200, "u0"));
    let http2 = crate::http2::client(node.address).await;
    let call = http::Request::get(format!("http://{SHOP}/c"))
        .body(())
        .unwrap();
    let (response, ..) = crate::http2::send(&http2, call, b"").await;
    assert_eq!(response.status(), 200);
    let line = |outcome: &str| {
        format!("meridian_http_mirrored_requests_total{{outcome=\"{outcome}\",service=\"next\"}}")
    };
    node.metric_becomes(&line("sent"), 2.0).await;
    let heads = other.heads();
    assert!(heads[0].starts_with("POST /a?b HTTP/1.1\r\n"), "{heads:?}");
    assert_eq!(other.bodies()[0], b"hello");
    assert!(heads[1].starts_with("GET /c HTTP/1.1\r\n"), "{heads:?}");
    // Whoever gets the copies may be gone.
    other.die().await;
    assert_eq!(client.get(SHOP, "/").await.status, 200);
    node.metric_becomes(&line("failed"), 1.0).await;
    assert_eq!(own.requests(), 3);
}
