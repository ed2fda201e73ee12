//! Which upstream a request reaches, and what is said when none.

use crate::client::{connect, get};
use crate::node::{Node, WorldText};
use crate::upstream::Upstream;

#[tokio::test]
async fn host_path_and_method_choose_the_service() {
    let (shop, api, wild) = (
        Upstream::start("shop").await,
        Upstream::start("api").await,
        Upstream::start("wild").await,
    );
    let world = WorldText::new()
        .region(
            "a",
            "DE",
            "",
            &[(shop.address, "shop"), (api.address, "api"), (wild.address, "wild")],
        )
        .service("shop", "", "[{ hosts: [shop.example] }]")
        .service(
            "api",
            "",
            "[{ hosts: [shop.example], path_prefix: /api }, { hosts: [rpc.example], methods: [POST] }]",
        )
        .service("wild", "", "[{ hosts: [\"*.shop.example\"] }]");
    let node = Node::start(&world, "");
    let cases = [
        ("GET / HTTP/1.1\r\nHost: shop.example", 200, "shop"),
        ("GET /apis HTTP/1.1\r\nHost: SHOP.example:80", 200, "shop"),
        ("GET /api HTTP/1.1\r\nHost: shop.example", 200, "api"),
        (
            "GET /api/v1?q=/x HTTP/1.1\r\nHost: shop.example.",
            200,
            "api",
        ),
        (
            "GET http://shop.example/api HTTP/1.1\r\nHost: shop.example",
            200,
            "api",
        ),
        ("GET / HTTP/1.1\r\nHost: de.shop.example", 200, "wild"),
        (
            "POST / HTTP/1.1\r\nContent-Length: 0\r\nHost: rpc.example",
            200,
            "api",
        ),
        (
            "GET / HTTP/1.1\r\nHost: rpc.example",
            405,
            "no service answers for this method here\n",
        ),
        (
            "GET / HTTP/1.1\r\nHost: other.example",
            404,
            "no service answers for this host\n",
        ),
        ("GET / HTTP/1.0", 404, "no service answers for this host\n"),
        ("GET / HTTP/1.0\r\nHost: shop.example", 200, "shop"),
    ];
    for (head, status, body) in cases {
        let mut client = connect(node.address).await;
        client.send(format!("{head}\r\n\r\n")).await;
        let answer = client.answer().await.expect("an answer");
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (status, body),
            "{head}"
        );
        let allow = (status == 405).then_some("POST");
        assert_eq!(answer.header("allow"), allow, "{head}");
    }
    assert_eq!(
        node.metric("meridian_http_unrouted_requests_total{reason=\"unknown_host\"}"),
        2.0
    );
    assert_eq!(
        node.metric("meridian_http_unrouted_requests_total{reason=\"method\"}"),
        1.0
    );
}

#[tokio::test]
async fn a_new_plan_routes_new_requests_of_open_connections() {
    let (old, new) = (Upstream::start("old").await, Upstream::start("new").await);
    let world = |upstream: &Upstream, host: &str| {
        WorldText::new()
            .region("a", "DE", "", &[(upstream.address, "shop")])
            .service("shop", "", &format!("[{{ hosts: [{host}] }}]"))
    };
    let node = Node::start(&world(&old, "shop.example"), "");
    let mut client = connect(node.address).await;
    assert_eq!(client.get("shop.example", "/").await.text(), "old");
    node.plan.replace(world(&new, "store.example").build());
    loop {
        let answer = client.get("store.example", "/").await;
        if answer.status == 200 {
            assert_eq!(answer.text(), "new");
            break;
        }
        assert_eq!(answer.status, 404);
    }
    assert_eq!(client.get("shop.example", "/").await.status, 404);
}

#[tokio::test]
async fn connections_are_kept_on_both_sides() {
    let shop = Upstream::start("shop").await;
    let world = crate::node::one_region(&[&shop], "path_prefix: /");
    let node = Node::start(&world, "worker_threads: 1");
    let mut client = connect(node.address).await;
    for number in 0..20 {
        let answer = client.get("shop.example", &format!("/{number}")).await;
        assert_eq!(answer.status, 200);
    }
    assert_eq!(shop.requests(), 20);
    assert_eq!(shop.connections(), 1, "one connection carried all requests");
    assert_eq!(node.metric("meridian_http_connections_accepted_total"), 1.0);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let shop = Upstream::start("shop").await;
    let node = Node::start(&crate::node::one_region(&[&shop], "path_prefix: /"), "");
    let mut client = connect(node.address).await;
    client
        .send(
            "GET /1 HTTP/1.1\r\nHost: shop.example\r\n\r\n\
             POST /2 HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 4\r\n\r\nbody\
             GET /3 HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n",
        )
        .await;
    for number in 1..=3 {
        let answer = client
            .answer()
            .await
            .unwrap_or_else(|| panic!("answer {number}"));
        assert_eq!(answer.status, 200);
    }
    assert!(
        client.answer().await.is_none(),
        "the last request asked for a close"
    );
    let paths: Vec<_> = shop
        .heads()
        .iter()
        .map(|head| head.split(' ').nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(paths, ["/1", "/2", "/3"]);
    assert_eq!(shop.bodies()[1], b"body");
}

#[tokio::test]
async fn decision_headers_are_written_when_asked_for() {
    let shop = Upstream::start("shop").await;
    let world = crate::node::one_region(&[&shop], "path_prefix: /");
    let silent = Node::start(&world, "");
    let answer = get(silent.address, "shop.example", "/").await;
    assert_eq!(answer.header("x-meridian-endpoint"), None);
    let node = Node::start(&world, "decision_headers: on");
    let answer = get(node.address, "shop.example", "/").await;
    assert_eq!(answer.header("x-meridian-endpoint"), Some("a-0"));
    assert_eq!(answer.header("x-meridian-region"), Some("a"));
    let decision = answer.header("x-meridian-decision").unwrap();
    assert!(
        decision.len() == 16 && decision.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{decision}"
    );
}
