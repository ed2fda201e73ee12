#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

use axum::body::Body;
use axum::http::Request;

use super::{meant_for, name_of};

#[test]
fn names_of_hosts() {
    for (host, name) in [
        ("localhost:9443", Some("localhost")),
        ("127.0.0.1", Some("127.0.0.1")),
        ("[::1]:9443", Some("::1")),
        ("", None),
        ("a b", None),
        ("localhost@evil.example", None),
    ] {
        assert_eq!(name_of(host).as_deref(), name, "{host:?}");
    }
}

#[test]
fn only_requests_meant_for_this_listener() {
    let names = ["localhost".to_owned(), "Admin.Example".to_owned()];
    for (target, hosts, ours) in [
        ("/", &["localhost:9443"][..], true),
        ("/", &["admin.example"], true),
        ("/", &["10.0.0.7:9443"], true),
        ("/", &["[::1]:9443"], true),
        ("/", &["evil.example"], false),
        ("/", &["localhost.evil.example"], false),
        ("/", &[], false),
        ("/", &["localhost", "evil.example"], false),
        ("http://evil.example/", &["localhost"], false),
        ("http://localhost/", &["localhost"], true),
    ] {
        let request = hosts
            .iter()
            .fold(Request::get(target), |request, host| {
                request.header("host", *host)
            })
            .body(Body::empty())
            .unwrap();
        let admitted = meant_for(&request, &names).is_ok();
        assert_eq!(admitted, ours, "{target} {hosts:?}");
    }
}
