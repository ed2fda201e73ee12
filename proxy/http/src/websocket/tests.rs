#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

use super::*;

fn check(method: &str, version: Version, fields: &[(&'static str, &str)], expected: bool) {
    let mut request = RequestHeader::build(method, b"/", None).unwrap();
    request.set_version(version);
    for (name, value) in fields {
        request.append_header(*name, *value).unwrap();
    }
    assert_eq!(
        is_websocket(&request),
        expected,
        "{method} {version:?} {fields:?}"
    );
}

#[test]
fn only_a_whole_opening_handshake_counts() {
    let upgrade = ("upgrade", "WebSocket");
    let connection = ("connection", "keep-alive, Upgrade");
    let key = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let whole = [upgrade, connection, key];
    check("GET", Version::HTTP_11, &whole, true);
    check("POST", Version::HTTP_11, &whole, false);
    check("GET", Version::HTTP_10, &whole, false);
    check("GET", Version::HTTP_2, &whole, false);
    for missing in 0..whole.len() {
        let mut fields = whole.to_vec();
        fields.remove(missing);
        check("GET", Version::HTTP_11, &fields, false);
    }
    for body in [("content-length", "9"), ("transfer-encoding", "chunked")] {
        let fields = [upgrade, connection, key, body];
        check("GET", Version::HTTP_11, &fields, false);
    }
    let other = [("upgrade", "h2c"), connection, key];
    check("GET", Version::HTTP_11, &other, false);
    let two_fields = [
        upgrade,
        ("connection", "close"),
        ("connection", "upgrade"),
        key,
    ];
    check("GET", Version::HTTP_11, &two_fields, true);
}
