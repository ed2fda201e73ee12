#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot set itself up has failed"
)]

use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::target::Health;

fn transition(endpoint: &str, to: Health) -> Transition {
    Transition {
        endpoint: endpoint.parse().unwrap(),
        to,
        cause: "connect refused".into(),
        at: UNIX_EPOCH,
        detection: Duration::ZERO,
    }
}

#[test]
fn the_latest_takes_the_earlier_place() {
    let mut outbox = Outbox::default();
    for (endpoint, to) in [
        ("a", Health::Down),
        ("b", Health::Down),
        ("a", Health::Up),
        ("c", Health::Up),
    ] {
        outbox.push(transition(endpoint, to));
    }
    assert_eq!(outbox.pop(), Some(transition("a", Health::Up)));
    outbox.push(transition("a", Health::Down));
    assert_eq!(outbox.pop(), Some(transition("b", Health::Down)));
    assert_eq!(outbox.pop(), Some(transition("c", Health::Up)));
    assert_eq!(outbox.pop(), Some(transition("a", Health::Down)));
    assert_eq!(outbox.pop(), None);
    outbox.push(transition("a", Health::Up));
    outbox.clear();
    assert!(outbox.is_empty());
    assert_eq!(outbox.pop(), None);
}
