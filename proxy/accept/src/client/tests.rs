#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use super::*;
use crate::proxy_protocol::{Addresses, Version};

fn trusted() -> TrustedSources {
    ["10.0.0.0/8", "192.0.2.7/32", "2001:db8:1::/48"]
        .iter()
        .map(|network| network.parse().unwrap())
        .collect()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn header(source: &str) -> Header {
    Header {
        version: Version::V2,
        addresses: Some(Addresses {
            source: SocketAddr::new(ip(source), 4000),
            destination: SocketAddr::new(ip(source), 443),
        }),
    }
}

#[test]
fn the_walk_ends_at_the_first_hop_nobody_vouches_for() {
    // (peer, X-Forwarded-For values in order, client)
    let cases: &[(&str, &[&str], &str)] = &[
        ("203.0.113.9", &[], "203.0.113.9"),
        // Written by the client itself.
        ("203.0.113.9", &["198.51.100.1"], "203.0.113.9"),
        ("10.0.0.1", &[], "10.0.0.1"),
        ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
        // The nearest untrusted hop wins over what it claims.
        ("10.0.0.1", &["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", &["198.51.100.1, 192.0.2.7"], "198.51.100.1"),
        (
            "10.0.0.1",
            &["1.1.1.1", "198.51.100.1,10.2.3.4"],
            "198.51.100.1",
        ),
        // Everything trusted: the farthest.
        ("10.0.0.1", &["10.9.9.9, 10.2.3.4"], "10.9.9.9"),
        // A hop that is no address ends the walk at the one before it.
        ("10.0.0.1", &["198.51.100.1, unknown"], "10.0.0.1"),
        ("10.0.0.1", &["198.51.100.1, , 10.2.3.4"], "10.2.3.4"),
        ("10.0.0.1", &[""], "10.0.0.1"),
        // Ports and brackets.
        ("10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1"),
        ("10.0.0.1", &["[2001:db8:2::5]:80"], "2001:db8:2::5"),
        ("10.0.0.1", &["2001:db8:2::5"], "2001:db8:2::5"),
        ("2001:db8:1::1", &["[2001:db8:2::6]"], "2001:db8:2::6"),
        // Mapped addresses are the addresses they carry.
        ("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1"),
    ];
    for (peer, values, client) in cases {
        let hops = x_forwarded_for(values.iter().map(|value| value.as_bytes()));
        let found = client_address(ip(peer), None, hops, &trusted());
        assert_eq!(found, ip(client), "{peer} {values:?}");
    }
}

#[test]
fn forwarded_elements_are_walked_alike() {
    let cases: &[(&[&str], &str)] = &[
        (&["for=198.51.100.1"], "198.51.100.1"),
        (&["For=198.51.100.1;proto=http;by=10.0.0.1"], "198.51.100.1"),
        (&["proto=https; for=\"198.51.100.1:47011\""], "198.51.100.1"),
        (
            &["for=1.1.1.1, for=\"[2001:db8:2::17]:4711\""],
            "2001:db8:2::17",
        ),
        (&["for=198.51.100.1", "for=10.2.3.4"], "198.51.100.1"),
        (
            &["for=198.51.100.1;by=\"a,b;for=10.1.1.1\""],
            "198.51.100.1",
        ),
        (&["for=\"\\198.51.100.1\""], "198.51.100.1"),
        (&["for=_hidden"], "10.0.0.1"),
        (&["for=unknown, for=10.2.3.4"], "10.2.3.4"),
        (&["proto=https"], "10.0.0.1"),
        (&["for=\"198.51.100.1"], "10.0.0.1"),
        (&["for"], "10.0.0.1"),
    ];
    for (values, client) in cases {
        let hops = forwarded(values.iter().map(|value| value.as_bytes()));
        let found = client_address(ip("10.0.0.1"), None, hops, &trusted());
        assert_eq!(found, ip(client), "{values:?}");
    }
}

#[test]
fn a_proxy_header_counts_from_a_trusted_peer_only() {
    let none = std::iter::empty::<Option<IpAddr>>;
    let header = header("198.51.100.1");
    let from = |peer: &str| client_address(ip(peer), Some(&header), none(), &trusted());
    assert_eq!(from("10.0.0.1"), ip("198.51.100.1"));
    assert_eq!(from("203.0.113.9"), ip("203.0.113.9"));

    // The address it names is not trusted itself, so its forwarded header is
    // the client's own writing.
    let hops = x_forwarded_for([b"1.1.1.1".as_slice()].into_iter());
    let found = client_address(ip("10.0.0.1"), Some(&header), hops, &trusted());
    assert_eq!(found, ip("198.51.100.1"));

    let local = Header {
        version: Version::V2,
        addresses: None,
    };
    let found = client_address(ip("10.0.0.1"), Some(&local), none(), &trusted());
    assert_eq!(found, ip("10.0.0.1"));
}

#[test]
fn a_long_chain_is_cut() {
    let hops = std::iter::repeat_n(Some(ip("10.5.5.5")), HOPS_MAX)
        .chain(std::iter::once(Some(ip("198.51.100.1"))));
    let found = client_address(ip("10.0.0.1"), None, hops, &trusted());
    assert_eq!(found, ip("10.5.5.5"));
}

#[test]
fn nobody_is_trusted_by_default() {
    assert!(TrustedSources::default().is_empty());
    assert!(!TrustedSources::default().contains(ip("127.0.0.1")));
}
