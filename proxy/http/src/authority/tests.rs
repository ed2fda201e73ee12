#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests stop at the first surprise"
)]

use super::*;

#[test]
fn authorities_are_taken_apart() {
    type Parts = (&'static str, Option<u16>);
    let cases: &[(&str, Option<Parts>)] = &[
        ("example.com", Some(("example.com", None))),
        ("Example.com:8080", Some(("Example.com", Some(8080)))),
        ("example.com.", Some(("example.com", None))),
        ("example.com.:80", Some(("example.com", Some(80)))),
        ("a_b-c.example", Some(("a_b-c.example", None))),
        ("192.0.2.1:80", Some(("192.0.2.1", Some(80)))),
        ("[2001:db8::1]", Some(("[2001:db8::1]", None))),
        ("[2001:db8::1]:443", Some(("[2001:db8::1]", Some(443)))),
        ("", None),
        (".", None),
        (":80", None),
        ("example.com:", Some(("example.com", None))),
        ("example.com:+1", None),
        ("example.com:65536", None),
        ("example.com:80:80", None),
        ("a..b", None),
        ("user@example.com", None),
        ("exa mple.com", None),
        ("example.com/", None),
        ("example%2ecom", None),
        ("[2001:db8::1", None),
        ("[2001:db8::1]x", None),
        ("[not-an-address]", None),
        ("2001:db8::1", None),
        ("\u{e9}xample.com", None),
    ];
    for (text, expected) in cases {
        let parsed = parse(text.as_bytes()).map(|authority| (authority.host, authority.port));
        assert_eq!(parsed, *expected, "{text:?}");
    }
    assert_eq!(parse(&vec![b'a'; HOST_BYTES_MAX + 1]), None);
}
