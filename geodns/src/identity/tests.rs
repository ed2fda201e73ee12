#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot build its input has failed"
)]

use super::{IDENTITY_BYTES_MAX, IdentityConfig};
use crate::fixture::world;
use crate::responder::tests::{rules, zones_of};
use crate::responder::{AnswerRules, Asked, Outcome, Transport, answer};

/// The response to a question in class CHAOS, with an NSID option in the query.
fn ask(config: &IdentityConfig, name: &[u8], rtype: u8) -> Vec<u8> {
    let rules = AnswerRules {
        identity: config.validate().unwrap(),
        ..rules()
    };
    let mut packet = vec![0x4d, 0x52, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    packet.extend_from_slice(name);
    packet.extend([0, rtype, 0, 3]);
    packet.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 4, 0, 3, 0, 0]);
    let source = "192.0.2.1:5300".parse().unwrap();
    let asked = Asked {
        packet: &packet,
        source: &source,
        transport: Transport::Udp,
        now_unix_seconds: 1_700_000_000,
    };
    let mut out = vec![0; 512];
    match answer(&zones_of(world()), &rules, &asked, &mut out) {
        Outcome::Reply(reply) => out[..reply.bytes].to_vec(),
        other => panic!("{other:?}"),
    }
}

fn has(message: &[u8], part: &[u8]) -> bool {
    message.windows(part.len()).any(|window| window == part)
}

#[test]
fn the_server_says_what_it_was_told_to_say() {
    let named = IdentityConfig {
        id: Some("fra1".into()),
        version: None,
    };
    for name in [&b"\x02ID\x06server\0"[..], b"\x08hostname\x04bind\0"] {
        let message = ask(&named, name, 16);
        assert_eq!((message[3] & 0x0f, message[7]), (0, 1));
        // TXT, CHAOS, TTL 0, five bytes of data.
        assert!(has(&message, b"\xc0\x0c\0\x10\0\x03\0\0\0\0\0\x05\x04fra1"));
        // NSID (RFC 5001).
        assert!(has(&message, b"\0\x03\0\x04fra1"));
    }
    // Another type of the same name: it exists and has none.
    let message = ask(&named, b"\x02id\x06server\0", 1);
    assert_eq!((message[3] & 0x0f, message[7]), (0, 0));
    for name in [&b"\x07version\x04bind\0"[..], b"\x04else\x04bind\0"] {
        assert_eq!(ask(&named, name, 16)[3] & 0x0f, 5);
    }
    let silent = ask(&IdentityConfig::default(), b"\x02id\x06server\0", 16);
    assert_eq!(silent[3] & 0x0f, 5);
    assert!(!has(&silent, b"\0\x03\0\x04"));
}

#[test]
fn what_it_says_has_a_bound() {
    let long = IdentityConfig {
        id: None,
        version: Some("v".repeat(IDENTITY_BYTES_MAX + 1)),
    };
    let error = long.validate().unwrap_err().to_string();
    assert!(error.contains("identity.version"), "{error}");
}
