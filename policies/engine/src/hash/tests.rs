use super::*;

/// A change here moves every client of every deployment.
#[test]
fn keys_never_change() {
    let check = |key: ClientKey, golden: u64| assert_eq!(key.0, golden, "0x{:016x}", key.0);
    check(ClientKey::from_bytes(b""), bytes(b""));
    for (address, prefix_len, golden) in GOLDEN_KEYS {
        check(
            ClientKey::from_ip(address.parse().unwrap(), *prefix_len),
            *golden,
        );
    }
}

const GOLDEN_KEYS: &[(&str, u8, u64)] = &[];

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
        ClientKey::from_ip("203.0.113.9".parse().unwrap(), prefix_len);
        ClientKey::from_ip("2001:db8::1".parse().unwrap(), prefix_len);
    }
}
