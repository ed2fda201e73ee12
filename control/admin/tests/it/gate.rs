//! Who may do what.

use std::os::unix::fs::PermissionsExt;

use meridian_admin::limits;

use crate::node::Node;
use crate::wire::request;

const DRAIN: &str = "/v1/drains/endpoint/use1-1";

#[tokio::test]
async fn changes_need_the_token() {
    let mut node = Node::start().await;
    let token = std::fs::read_to_string(node.token_file()).unwrap();
    let (most, last) = token.split_at(token.len() - 1);
    let near = format!("Bearer {most}{}", if last == "0" { "1" } else { "0" });
    for (authorization, status, code) in [
        ("", 401, "token"),
        ("Basic dXNlcjpwYXNz", 401, "token"),
        (&near, 403, "token"),
        ("Bearer x", 403, "token"),
        ("Bearer", 401, "token"),
    ] {
        for (method, path) in [
            ("PUT", DRAIN),
            ("DELETE", DRAIN),
            ("PUT", "/v1/sources"),
            ("POST", "/v1/nothing"),
        ] {
            let answer = node.change_as(method, path, "{}", authorization).await;
            answer.expect(status, code);
            let challenged = answer
                .head
                .to_lowercase()
                .contains("www-authenticate: bearer");
            assert_eq!(challenged, status == 401, "{answer:?}");
        }
    }
    assert_eq!(node.facts("/v1/drains").await, serde_json::json!([]));

    for scheme in ["Bearer", "bearer"] {
        let authorization = format!("{scheme} {token}");
        let answer = node.change_as("PUT", DRAIN, "{}", &authorization).await;
        answer.expect(204, "");
    }
    let mode = std::fs::metadata(node.token_file())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    node.restart_admin().await;
    let held = node
        .change_as("DELETE", DRAIN, "", &format!("Bearer {token}"))
        .await;
    held.expect(204, "");
}

#[tokio::test]
async fn the_socket_belongs_to_the_nodes_user() {
    let mut node = Node::start().await;
    let mode = std::fs::metadata(&node.socket)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    node.over_socket("PUT", DRAIN, "{}").await.expect(204, "");
    node.over_socket("DELETE", DRAIN, "").await.expect(204, "");
    node.stop_admin().await;
    assert!(!node.socket.exists(), "the socket goes with the server");
}

#[tokio::test]
async fn requests_for_another_host_are_misdirected() {
    let node = Node::start().await;
    let own = node.address.to_string();
    for (fields, status) in [
        (&[("Host", own.as_str())][..], 200),
        (&[("Host", "localhost")], 200),
        (&[("Host", "ADMIN.example:9443")], 200),
        (&[("Host", "evil.example")], 421),
        (&[("Host", "localhost.evil.example")], 421),
        (&[], 421),
        (&[("Host", "localhost"), ("Host", "evil.example")], 421),
    ] {
        let answer = node.raw(&request("GET", "/v1/status", fields, "")).await;
        answer.expect(status, if status == 421 { "host" } else { "" });
    }
}

#[tokio::test]
async fn heads_and_bodies_have_bounds() {
    let node = Node::start().await;
    let body = format!("{{\"reason\": \"{}\"}}", "x".repeat(20 << 10));
    node.change("PUT", DRAIN, &body)
        .await
        .expect(413, "too_large");
    let body = format!("{{\"reason\": \"{}\"}}", "x".repeat(2_000));
    node.change("PUT", DRAIN, &body)
        .await
        .expect(400, "bad_request");
    let long = "x".repeat(1 << 20);
    let fields = [("Host", "localhost"), ("X-Long", long.as_str())];
    let answer = node.raw(&request("GET", "/healthz", &fields, "")).await;
    assert_eq!(answer.status, 431, "{}", answer.head);
}

#[tokio::test]
async fn silent_connections_are_closed() {
    let node = Node::start().await;
    let started = std::time::Instant::now();
    // One that never asks, one that goes on holding after its answer, one that asks by the byte.
    let kept = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let (never, after, begun) =
        tokio::join!(node.closes(""), node.closes(kept), node.closes("GET /"));
    assert_eq!(never, "");
    assert!(after.starts_with("HTTP/1.1 200"), "{after}");
    assert!(!begun.contains(" 200 "), "{begun}");
    assert!(started.elapsed() >= limits::HEAD_PATIENCE / 2, "too hasty");
}
