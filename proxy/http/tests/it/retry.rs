//! What happens when an upstream fails a request.

use std::time::Duration;

use meridian_engine::EndpointState;
use meridian_live::PassiveKind;
use meridian_topology::EndpointIdx;

use crate::client::{connect, get};
use crate::node::{Node, SHOP, WorldText, one_region, region_each};
use crate::upstream::{Manner, Upstream};

const RETRY_ALL: &str = "timeouts: { connect: 2s, first_byte: 300ms, total: 10s }, \
     retries: { attempts: 2, on: [connect_failure, reset, timeout, gateway] }";

/// The first upstream misbehaves; a GET is answered by another one of its
/// region, and the failure is counted under its reason.
#[tokio::test]
async fn a_repeatable_request_goes_to_another_endpoint() {
    let cases = [
        (Manner::Hang, "timeout"),
        (Manner::CloseInHead, "closed"),
        (Manner::CloseSilently, "closed"),
        (Manner::Babble, "malformed"),
        (Manner::Status(503), "status"),
    ];
    let upstreams = [
        Upstream::start("u0").await,
        Upstream::start("u1").await,
        Upstream::start("u2").await,
    ];
    let all: Vec<_> = upstreams.iter().collect();
    for (manner, reason) in cases {
        let node = Node::start(&one_region(&all, RETRY_ALL), "");
        let order = node.order(&all);
        order
            .iter()
            .for_each(|upstream| upstream.behave(Manner::Serve));
        order[0].behave(manner.clone());
        let before = order[1].requests();
        let answer = get(node.address, SHOP, "/").await;
        assert_eq!(answer.status, 200, "{manner:?}");
        assert_eq!(order[1].requests(), before + 1, "{manner:?}");
        let line =
            format!("meridian_http_upstream_retries_total{{reason=\"{reason}\",service=\"shop\"}}");
        node.metric_becomes(&line, 1.0).await;
        node.metric_becomes(
            "meridian_http_upstream_attempts_total{service=\"shop\"}",
            2.0,
        )
        .await;
    }
}

#[tokio::test]
async fn a_refused_connection_is_retried_for_every_method() {
    let upstreams = [Upstream::start("u0").await, Upstream::start("u1").await];
    let all: Vec<_> = upstreams.iter().collect();
    let node = Node::start(&one_region(&all, RETRY_ALL), "");
    let order = node.order(&all);
    order[0].die().await;
    for method in ["GET", "POST", "PUT", "DELETE"] {
        let mut client = connect(node.address).await;
        client
            .send(format!(
                "{method} / HTTP/1.1\r\nHost: {SHOP}\r\nContent-Length: 5\r\n\r\nhello"
            ))
            .await;
        let answer = client.answer().await.expect("an answer");
        assert_eq!(answer.status, 200, "{method}");
        assert_eq!(order[1].bodies().pop().unwrap(), b"hello", "{method}");
    }
    assert_eq!(order[0].requests(), 0);
}

#[tokio::test]
async fn a_post_that_reached_an_upstream_is_never_repeated() {
    let upstreams = [Upstream::start("u0").await, Upstream::start("u1").await];
    let all: Vec<_> = upstreams.iter().collect();
    let node = Node::start(&one_region(&all, RETRY_ALL), "");
    let order = node.order(&all);
    let cases = [
        (Manner::CloseSilently, 502),
        (Manner::CloseInHead, 502),
        (Manner::Hang, 504),
        // The upstream's own answer, because there will be no better one.
        (Manner::Status(503), 503),
    ];
    for (number, (manner, status)) in cases.into_iter().enumerate() {
        order[0].behave(manner.clone());
        let mut client = connect(node.address).await;
        client
            .send(format!(
                "POST / HTTP/1.1\r\nHost: {SHOP}\r\nContent-Length: 5\r\n\r\nhello"
            ))
            .await;
        let answer = client.answer().await.expect("an answer");
        assert_eq!(answer.status, status, "{manner:?}");
        assert_eq!(order[0].requests(), number + 1, "{manner:?}");
        assert_eq!(order[1].requests(), 0, "{manner:?}");
    }
}

#[tokio::test]
async fn a_body_is_repeated_only_while_it_is_whole() {
    let upstreams = [Upstream::start("u0").await, Upstream::start("u1").await];
    let all: Vec<_> = upstreams.iter().collect();
    let node = Node::start(&one_region(&all, RETRY_ALL), "");
    let order = node.order(&all);
    // Reads the body, then answers 503.
    order[0].behave(Manner::Status(503));
    for (length, status) in [(1000, 200), (200_000, 503)] {
        let body = vec![b'x'; length];
        let mut client = connect(node.address).await;
        client
            .send(format!(
                "PUT / HTTP/1.1\r\nHost: {SHOP}\r\nContent-Length: {length}\r\n\r\n"
            ))
            .await;
        client.send(&body).await;
        let answer = client.answer().await.expect("an answer");
        assert_eq!(answer.status, status, "{length} bytes");
        if status == 200 {
            assert_eq!(order[1].bodies().pop().unwrap(), body);
        }
    }
}

#[tokio::test]
async fn attempts_are_bounded_and_the_client_is_told() {
    let upstreams = [
        Upstream::start("u0").await,
        Upstream::start("u1").await,
        Upstream::start("u2").await,
        Upstream::start("u3").await,
    ];
    let all: Vec<_> = upstreams.iter().collect();
    let node = Node::start(&one_region(&all, RETRY_ALL), "");
    for (manner, status, text) in [
        (
            Manner::CloseSilently,
            502,
            "no endpoint of the service gave an answer (tried 3)\n",
        ),
        (
            Manner::Hang,
            504,
            "no endpoint of the service answered in time (tried 3)\n",
        ),
    ] {
        all.iter()
            .for_each(|upstream| upstream.behave(manner.clone()));
        let before: usize = all.iter().map(|upstream| upstream.requests()).sum();
        let answer = get(node.address, SHOP, "/").await;
        assert_eq!((answer.status, answer.text().as_str()), (status, text));
        let after: usize = all.iter().map(|upstream| upstream.requests()).sum();
        assert_eq!(after - before, 3, "{manner:?}");
    }
}

#[tokio::test]
async fn the_total_timeout_bounds_all_attempts_and_the_body() {
    let upstreams = [Upstream::start("u0").await, Upstream::start("u1").await];
    let all: Vec<_> = upstreams.iter().collect();
    let route = "timeouts: { connect: 400ms, first_byte: 400ms, total: 400ms }, \
         retries: { attempts: 5, on: [timeout, reset] }";
    let node = Node::start(&one_region(&all, route), "");
    all.iter()
        .for_each(|upstream| upstream.behave(Manner::Hang));
    let answer = get(node.address, SHOP, "/").await;
    assert_eq!(answer.status, 504);
    assert_eq!(
        all[0].requests() + all[1].requests(),
        1,
        "no time was left for another attempt"
    );

    all.iter()
        .for_each(|upstream| upstream.behave(Manner::Trickle(Duration::from_millis(100))));
    let mut client = connect(node.address).await;
    client
        .send(format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\n\r\n"))
        .await;
    assert!(client.head().await.expect("a head").contains(" 200 "));
    let body = client.rest().await;
    assert!(body.len() < 10, "cut after {} of 10 bytes", body.len());
}

#[tokio::test]
async fn a_cut_answer_is_cut_for_the_client_too() {
    let upstream = Upstream::start("u0").await;
    let node = Node::start(&one_region(&[&upstream], RETRY_ALL), "");
    upstream.behave(Manner::CloseInBody);
    let mut client = connect(node.address).await;
    client
        .send(format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\n\r\n"))
        .await;
    assert!(client.head().await.expect("a head").contains(" 200 "));
    assert_eq!(client.rest().await, b"half.");
    assert_eq!(upstream.requests(), 1, "what was begun is not begun again");
}

#[tokio::test]
async fn a_dead_pooled_connection_is_not_held_against_its_endpoint() {
    let upstream = Upstream::start("u0").await;
    let route = "retries: { attempts: 0 }";
    let node = Node::start(&one_region(&[&upstream], route), "worker_threads: 1");
    for _ in 0..20 {
        upstream.behave(Manner::Serve);
        let mut client = connect(node.address).await;
        assert_eq!(client.get(SHOP, "/").await.status, 200);
        // The pooled connection takes one more request and closes on it; the
        // fresh one is closed as well, so both attempts fail.
        upstream.behave(Manner::CloseSilently);
        assert_eq!(client.get(SHOP, "/").await.status, 502);
    }
    assert_eq!(
        upstream.requests(),
        60,
        "each failing request was sent twice"
    );
}

#[tokio::test]
async fn a_dead_pooled_connection_does_not_move_the_client() {
    let upstreams = [Upstream::start("u0").await, Upstream::start("u1").await];
    let all: Vec<_> = upstreams.iter().collect();
    let node = Node::start(&one_region(&all, RETRY_ALL), "worker_threads: 1");
    let order = node.order(&all);
    order[0].behave(Manner::OncePerConnection);
    let mut client = connect(node.address).await;
    for number in 0..10 {
        assert_eq!(client.get(SHOP, "/").await.status, 200, "request {number}");
    }
    assert_eq!(order[1].requests(), 0);
    assert_eq!(
        order[0].requests(),
        10 + 9,
        "each but the first met a dead connection and was sent again"
    );
}

/// Clients that stall their uploads or take their answers slowly make the
/// endpoint look silent or absent; it must not be blamed for them.
#[tokio::test]
async fn slow_clients_do_not_eject_a_healthy_endpoint() {
    let upstream = Upstream::start("u0").await;
    let route = "timeouts: { first_byte: 200ms, total: 300ms }, retries: { attempts: 0 }";
    let config = "ejection: { timeouts: 1, connect_failures: 1 }";
    let node = Node::start(&one_region(&[&upstream], route), config);
    let stalled = format!("POST / HTTP/1.1\r\nHost: {SHOP}\r\nContent-Length: 9\r\n\r\n");
    let whole = format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\n\r\n");
    let cases = [
        (Manner::Serve, &stalled),
        (Manner::CloseSilently, &stalled),
        (Manner::Trickle(Duration::from_millis(50)), &whole),
        (Manner::CloseInBody, &whole),
    ];
    for (manner, request) in cases {
        upstream.behave(manner.clone());
        let before = upstream.requests();
        let mut client = connect(node.address).await;
        client.send(request).await;
        client.rest().await;
        assert_eq!(upstream.requests(), before + 1, "{manner:?}");
        assert_eq!(node.reports.all(), [], "{manner:?}");
    }
    upstream.behave(Manner::Hang);
    assert_eq!(get(node.address, SHOP, "/").await.status, 504);
    let silent = ("a-0".to_owned(), PassiveKind::Timeout);
    assert_eq!(node.reports.all(), [silent]);
}

/// A whole region goes: with requests on their way, none of them fails.
#[tokio::test]
async fn a_region_dies_and_no_get_fails() {
    const CLIENTS: usize = 8;
    const REQUESTS: usize = 60;
    let near = [
        Upstream::start("near").await,
        Upstream::start("near").await,
        Upstream::start("near").await,
    ];
    let far = Upstream::start("far").await;
    let near_endpoints: Vec<_> = near
        .iter()
        .map(|upstream| (upstream.address, "shop"))
        .collect();
    let world = WorldText::new()
        .region("near", "DE", "", &near_endpoints)
        .region("far", "FR", "", &[(far.address, "shop")])
        .service(
            "shop",
            "tiers: [[near], [far]]",
            &format!("[{{ hosts: [{SHOP}] }}]"),
        );
    let node = Node::start(&world, "");
    let address = node.address;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            tokio::spawn(async move {
                let mut client = connect(address).await;
                let mut names = Vec::new();
                for number in 0..REQUESTS {
                    let answer = client.get(SHOP, &format!("/{number}")).await;
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    names.push(answer.text());
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                names
            })
        })
        .collect();
    // Some requests are served before the region goes.
    crate::node::eventually("requests near", || {
        near.iter().any(|upstream| upstream.requests() > 40)
    })
    .await;
    for upstream in &near {
        upstream.die().await;
    }
    for client in clients {
        let names = client.await.unwrap();
        assert_eq!(names.len(), REQUESTS);
        assert_eq!(names.last().unwrap(), "far");
    }
    // The writer is told, once its threshold is reached.
    let reports = node.reports.all();
    assert!(
        reports
            .iter()
            .all(|(endpoint, _)| endpoint.starts_with("near-")),
        "{reports:?}"
    );
    assert!(
        reports
            .iter()
            .any(|(_, kind)| *kind == PassiveKind::ConnectFailed),
        "{reports:?}"
    );
}

#[tokio::test]
async fn health_bits_are_obeyed_without_a_new_plan() {
    let upstreams = [Upstream::start("u0").await, Upstream::start("u1").await];
    let all: Vec<_> = upstreams.iter().collect();
    let node = Node::start(&region_each(&all, RETRY_ALL), "");
    assert_eq!(get(node.address, SHOP, "/").await.text(), "u0");
    let published = node.plan.full();
    published
        .bits
        .set_endpoint(&published.plan, EndpointIdx(0), EndpointState::Down);
    assert_eq!(get(node.address, SHOP, "/").await.text(), "u1");
    published
        .bits
        .set_endpoint(&published.plan, EndpointIdx(0), EndpointState::Up);
    assert_eq!(get(node.address, SHOP, "/").await.text(), "u0");
}

#[tokio::test]
async fn runs_of_failures_are_reported_by_kind() {
    let cases = [
        (Manner::Status(500), PassiveKind::Status5xx, "server_errors"),
        (Manner::Hang, PassiveKind::Timeout, "timeouts"),
        (
            Manner::CloseInHead,
            PassiveKind::ConnectFailed,
            "connect_failures",
        ),
    ];
    for (manner, kind, key) in cases {
        let upstream = Upstream::start("u0").await;
        let route = "timeouts: { first_byte: 100ms }, retries: { attempts: 0 }";
        let config = format!("ejection: {{ {key}: 3 }}");
        let node = Node::start(&one_region(&[&upstream], route), &config);
        upstream.behave(manner.clone());
        for request in 1..=2 {
            get(node.address, SHOP, "/").await;
            assert_eq!(node.reports.all(), [], "{manner:?} after {request}");
        }
        upstream.behave(Manner::Serve);
        get(node.address, SHOP, "/").await;
        upstream.behave(manner.clone());
        for _ in 0..3 {
            assert_eq!(node.reports.all(), [], "{manner:?}: a success ends the run");
            get(node.address, SHOP, "/").await;
        }
        assert_eq!(node.reports.all(), [("a-0".to_owned(), kind)], "{manner:?}");
    }
}
