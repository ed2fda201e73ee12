#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests stop at the first surprise"
)]

use std::fmt::Write;
use std::net::Ipv4Addr;

use expect_test::{Expect, expect};

use super::*;
use crate::info::Scheme;

const BY_LIST: Trust = Trust::Trusted {
    header: ClientFrom::XForwardedFor,
    client: CLIENT,
};
const BY_FORWARDED: Trust = Trust::Trusted {
    header: ClientFrom::Forwarded,
    client: CLIENT,
};
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));

const NAMES: [&str; 5] = [
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "forwarded",
    "via",
];

fn check(received: &[(&'static str, &str)], trust: Trust, mode: Forwarded, expected: &Expect) {
    let mut request = RequestHeader::build("GET", b"/", None).unwrap();
    request.insert_header("host", "shop.example").unwrap();
    for (name, value) in received {
        request.append_header(*name, *value).unwrap();
    }
    let connection = ConnectionInfo::new(
        "192.0.2.7:4711".parse().unwrap(),
        Scheme::Https { server_name: None },
    );
    let told = told(&request, &connection, trust, mode).into_owned();
    write(&mut request, &told, Version::HTTP_11).unwrap();
    let mut lines = String::new();
    for name in NAMES {
        for value in request.headers.get_all(name) {
            writeln!(lines, "{name}: {}", value.to_str().unwrap()).unwrap();
        }
    }
    expected.assert_eq(&lines);
}

const FROM_A_PROXY: &[(&str, &str)] = &[
    ("x-forwarded-for", "203.0.113.9"),
    ("x-forwarded-for", "198.51.100.1, 198.51.100.2"),
    ("x-forwarded-proto", "http"),
    ("x-forwarded-host", "front.example"),
    ("forwarded", "for=203.0.113.9"),
    ("via", "1.1 front"),
];

#[test]
fn a_client_without_headers() {
    for trust in [BY_LIST, Trust::Stranger] {
        check(
            &[],
            trust,
            Forwarded::Append,
            &expect![[r#"
                x-forwarded-for: 192.0.2.7
                x-forwarded-proto: https
                x-forwarded-host: shop.example
                via: 1.1 meridian
            "#]],
        );
    }
}

#[test]
fn a_trusted_proxy_is_added_to_the_list_it_vouches_for() {
    check(
        FROM_A_PROXY,
        BY_LIST,
        Forwarded::Append,
        &expect![[r#"
            x-forwarded-for: 203.0.113.9, 198.51.100.1, 198.51.100.2, 192.0.2.7
            x-forwarded-proto: http
            x-forwarded-host: front.example
            via: 1.1 front
            via: 1.1 meridian
        "#]],
    );
}

#[test]
fn a_list_beside_the_vouched_header_gives_way_to_the_client() {
    check(
        FROM_A_PROXY,
        BY_FORWARDED,
        Forwarded::Append,
        &expect![[r#"
            x-forwarded-for: 203.0.113.9
            x-forwarded-proto: http
            x-forwarded-host: front.example
            forwarded: for=203.0.113.9
            via: 1.1 front
            via: 1.1 meridian
        "#]],
    );
}

#[test]
fn nothing_a_stranger_says_passes() {
    for (trust, mode) in [
        (Trust::Stranger, Forwarded::Append),
        (Trust::Stranger, Forwarded::Replace),
        (BY_LIST, Forwarded::Replace),
        (BY_FORWARDED, Forwarded::Replace),
    ] {
        check(
            FROM_A_PROXY,
            trust,
            mode,
            &expect![[r#"
                x-forwarded-for: 192.0.2.7
                x-forwarded-proto: https
                x-forwarded-host: shop.example
                via: 1.1 front
                via: 1.1 meridian
            "#]],
        );
    }
}

#[test]
fn a_route_may_tell_nothing() {
    for trust in [BY_LIST, BY_FORWARDED, Trust::Stranger] {
        check(
            FROM_A_PROXY,
            trust,
            Forwarded::Remove,
            &expect![[r#"
                via: 1.1 front
                via: 1.1 meridian
            "#]],
        );
    }
}
