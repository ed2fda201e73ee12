//! Who the client is, and what its policy then allows.

use std::net::Ipv4Addr;

use meridian_engine::EndpointState;
use meridian_topology::EndpointIdx;

use crate::client::{connect, connect_from, get};
use crate::node::{Node, SHOP, WorldText};
use crate::upstream::Upstream;

const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const TRUSTING: &str = "trusted_proxies: [\"127.0.0.2/32\"]";

/// Clients of 203.0.113.0/24 are German and may only be served in the EU;
/// everybody else prefers the United States.
fn world(eu: &Upstream, us: &Upstream) -> WorldText {
    WorldText::new()
        .region("us", "US", "", &[(us.address, "shop")])
        .region("eu", "DE", "gdpr", &[(eu.address, "shop")])
        .clients("203.0.113.0/24", "DE")
        .service(
            "shop",
            "tiers: [[us], [eu]]\n\
             eligible: [{ compliance: { require: [gdpr], when: { client_in: [EU], unknown: skip } } }]\n\
             when_none: { fail: closed }",
            &format!("[{{ hosts: [{SHOP}] }}]"),
        )
}

#[tokio::test]
async fn forwarded_headers_are_believed_from_trusted_proxies_only() {
    let (eu, us) = (Upstream::start("eu").await, Upstream::start("us").await);
    let world = world(&eu, &us);
    let x_forwarded_for = Node::start(&world, TRUSTING);
    let forwarded = Node::start(&world, &format!("{TRUSTING}\nclient_from: forwarded"));
    let german = "203.0.113.9";
    let cases = [
        (&x_forwarded_for, STRANGER, String::new(), "us"),
        (
            &x_forwarded_for,
            STRANGER,
            format!("X-Forwarded-For: {german}\r\n"),
            "us",
        ),
        (
            &x_forwarded_for,
            STRANGER,
            format!("Forwarded: for={german}\r\n"),
            "us",
        ),
        (&x_forwarded_for, PROXY, String::new(), "us"),
        (
            &x_forwarded_for,
            PROXY,
            format!("X-Forwarded-For: {german}\r\n"),
            "eu",
        ),
        (
            &x_forwarded_for,
            PROXY,
            format!("X-Forwarded-For: {german}, 127.0.0.2\r\n"),
            "eu",
        ),
        // What a client wrote itself stands left of what the proxy saw.
        (
            &x_forwarded_for,
            PROXY,
            format!("X-Forwarded-For: {german}, 198.51.100.1\r\n"),
            "us",
        ),
        (
            &x_forwarded_for,
            PROXY,
            format!("X-Forwarded-For: {german}\r\nX-Forwarded-For: 198.51.100.1\r\n"),
            "us",
        ),
        // The header that this proxy does not manage may be the client's.
        (
            &x_forwarded_for,
            PROXY,
            format!("Forwarded: for={german}\r\n"),
            "us",
        ),
        (
            &forwarded,
            PROXY,
            format!("Forwarded: for={german}\r\n"),
            "eu",
        ),
        (
            &forwarded,
            PROXY,
            format!("Forwarded: for=\"[2001:db8::1]\", for={german}\r\n"),
            "eu",
        ),
        (
            &forwarded,
            PROXY,
            format!("X-Forwarded-For: {german}\r\n"),
            "us",
        ),
        (
            &forwarded,
            STRANGER,
            format!("Forwarded: for={german}\r\n"),
            "us",
        ),
    ];
    for (node, from, header, expected) in cases {
        let mut client = connect_from(from, node.address).await;
        client
            .send(format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\n{header}\r\n"))
            .await;
        let answer = client.answer().await.expect("an answer");
        assert_eq!(answer.text(), expected, "from {from} with {header:?}");
    }
    // What the upstreams were told of a stranger who wrote headers.
    let told = us.heads();
    let spoofed = told.iter().find(|head| head.contains("127.0.0.1")).unwrap();
    assert!(
        !told
            .iter()
            .any(|head| head.contains("X-Forwarded-For: 203.0.113.9\r\n")),
        "{told:?}"
    );
    assert!(
        spoofed
            .to_ascii_lowercase()
            .contains("x-forwarded-for: 127.0.0.1\r\n"),
        "{spoofed}"
    );
}

#[tokio::test]
async fn the_proxy_protocol_names_the_client() {
    const V2: &[u8] =
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x09\x7f\0\0\x01\x30\x39\x1f\x90";
    const V1: &[u8] = b"PROXY TCP4 203.0.113.9 127.0.0.1 4711 8080\r\n";
    let (eu, us) = (Upstream::start("eu").await, Upstream::start("us").await);
    let world = world(&eu, &us);
    let required = Node::start(&world, &format!("{TRUSTING}\nproxy_protocol: required"));
    let optional = Node::start(&world, &format!("{TRUSTING}\nproxy_protocol: optional"));
    let off = Node::start(&world, TRUSTING);
    type Expected = Option<(u16, &'static str)>;
    let cases: [(&Node, Ipv4Addr, &[u8], Expected); 10] = [
        (&required, PROXY, V1, Some((200, "eu"))),
        (&required, PROXY, V2, Some((200, "eu"))),
        (&required, PROXY, b"", None),
        (&required, STRANGER, V1, None),
        (&required, STRANGER, b"", None),
        (&optional, PROXY, V2, Some((200, "eu"))),
        (&optional, PROXY, b"", Some((200, "us"))),
        (&optional, STRANGER, b"", Some((200, "us"))),
        // To whom it is no header it is a malformed request.
        (&optional, STRANGER, V1, Some((400, ""))),
        (&off, PROXY, V1, Some((400, ""))),
    ];
    for (node, from, header, expected) in cases {
        let mut client = connect_from(from, node.address).await;
        let mut bytes = header.to_vec();
        bytes.extend(format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\n\r\n").bytes());
        client.send(&bytes).await;
        let answer = client.answer().await;
        let case = format!("from {from} with {}", header.escape_ascii());
        match (answer, expected) {
            (None, None) => {}
            (Some(answer), Some((status, text))) => {
                assert_eq!(answer.status, status, "{case}");
                assert!(
                    status != 200 || answer.text() == text,
                    "{case}: {}",
                    answer.text()
                );
            }
            (answer, expected) => panic!("{case}: {answer:?}, expected {expected:?}"),
        }
    }
}

#[tokio::test]
async fn a_policy_that_fails_closed_sends_nobody_elsewhere() {
    let (eu, us) = (Upstream::start("eu").await, Upstream::start("us").await);
    let node = Node::start(&world(&eu, &us), TRUSTING);
    let german = |path: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: {SHOP}\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n")
    };

    // Dead, and known to be: nobody is asked.
    let published = node.plan.full();
    published
        .bits
        .set_endpoint(&published.plan, eu_endpoint(&node), EndpointState::Down);
    let mut client = connect_from(PROXY, node.address).await;
    client.send(german("/")).await;
    let answer = client.answer().await.expect("an answer");
    assert_eq!(answer.status, 503);
    assert_eq!(
        answer.text(),
        "no endpoint of service shop may serve this client now: its policy fails closed\n"
    );
    // The connection is still good, for clients the policy lets through as well.
    assert_eq!(client.get(SHOP, "/").await.text(), "us");

    // Dead, and not known to be: the retry stays inside the wall too.
    published
        .bits
        .set_endpoint(&published.plan, eu_endpoint(&node), EndpointState::Up);
    eu.die().await;
    client.send(german("/")).await;
    let answer = client.answer().await.expect("an answer");
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert_eq!(us.requests(), 1, "only the request that may go there");
    let line = "meridian_http_requests_total{service=\"shop\",status=\"5xx\"}";
    node.metric_becomes(line, 2.0).await;
}

fn eu_endpoint(node: &Node) -> EndpointIdx {
    let published = node.plan.full();
    let id = "eu-0".parse().unwrap();
    published.world.topology.endpoint(&id).unwrap()
}

#[tokio::test]
async fn everybody_else_is_served_where_the_policy_prefers() {
    let (eu, us) = (Upstream::start("eu").await, Upstream::start("us").await);
    let node = Node::start(&world(&eu, &us), "");
    assert_eq!(get(node.address, SHOP, "/").await.text(), "us");
    us.die().await;
    assert_eq!(get(node.address, SHOP, "/").await.text(), "eu");
    drop(connect(node.address).await);
}
