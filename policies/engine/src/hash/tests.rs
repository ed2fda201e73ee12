use expect_test::expect;

use super::*;

/// A change here moves every client of every deployment.
#[test]
fn keys_never_change() {
    let key =
        |address: &str, prefix_len| ClientKey::from_ip(address.parse().unwrap(), prefix_len).0;
    let keys = [
        ClientKey::from_bytes(b"").0,
        ClientKey::from_bytes(b"session=42").0,
        ClientKey(7).with_nonce(1).0,
        key("203.0.113.9", 24),
        key("203.0.113.9", 32),
        key("2001:db8::1", 48),
        key("2001:db8::1", 128),
    ];
    let shown: Vec<String> = keys.iter().map(|key| format!("{key:016x}")).collect();
    expect![[r#"
        f52a15e9a9b5e89b
        d369f8d79ac41bf3
        044c3cd7f43c661c
        e0893bd259b60567
        9788a36d5a8c0fa4
        865618c23e830fdc
        e5bb094bd2ff7a8a"#]]
    .assert_eq(&shown.join("\n"));
}

#[test]
fn a_prefix_is_one_client() {
    let key = |text: &str| ClientKey::from_client_prefix(text.parse().unwrap());
    assert_eq!(key("203.0.113.9"), key("203.0.113.200"));
    assert_ne!(key("203.0.113.9"), key("203.0.114.9"));
    assert_eq!(key("::ffff:203.0.113.9"), key("203.0.113.77"));
    assert_eq!(key("2001:db8:1:2::3"), key("2001:db8:1:ffff::"));
    assert_ne!(key("2001:db8:1::"), key("2001:db8:2::"));
}

#[test]
fn every_prefix_length_is_accepted() {
    for prefix_len in 0..=u8::MAX {
        let _ = ClientKey::from_ip("203.0.113.9".parse().unwrap(), prefix_len);
        let _ = ClientKey::from_ip("2001:db8::1".parse().unwrap(), prefix_len);
    }
}
