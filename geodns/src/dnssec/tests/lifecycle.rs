//! The order of steps, and when each is safe.

use super::super::key::{Algorithm, KeyRole};
use super::super::lifecycle::{KEYS_MAX, KeyState, NewKey, Patience, StepError, Timing, ZoneFacts};

const TIMING: Timing = Timing {
    dnskey_ttl: 100,
    ttl_max: 1_000,
    ds_ttl: 2_000,
    propagation: 10,
};

fn new(tag: u16, role: KeyRole) -> NewKey {
    NewKey {
        tag,
        algorithm: Algorithm::EcdsaP256,
        role,
        file: format!("{tag}.pem"),
    }
}

fn states(facts: &ZoneFacts) -> Vec<(u16, KeyState)> {
    facts.keys.iter().map(|key| (key.tag, key.state)).collect()
}

#[test]
fn a_data_key_is_rolled_by_pre_publication() {
    let mut facts = ZoneFacts::new("a.test.");
    facts.generated(new(1, KeyRole::Ksk), TIMING, 0).unwrap();
    facts.generated(new(2, KeyRole::Zsk), TIMING, 0).unwrap();
    facts.rolled(new(3, KeyRole::Zsk), 5_000).unwrap();
    assert_eq!(
        facts.rolled(new(4, KeyRole::Zsk), 5_001),
        Err(StepError::Rolling {
            zone: "a.test.".into(),
            tag: 3
        })
    );
    let next = facts.next_step(TIMING);
    assert_eq!(next.safe_at, Some(5_110));
    assert!(next.what.contains("activate a.test. 3"), "{}", next.what);
    let early = facts.activate(3, TIMING, Patience::Wait, 5_109);
    assert!(matches!(early, Err(StepError::TooEarly { .. })));
    assert_eq!(
        facts.activate(3, TIMING, Patience::Wait, 5_110),
        Ok(Some(2))
    );
    assert_eq!(
        states(&facts),
        [
            (1, KeyState::Active),
            (2, KeyState::Retired),
            (3, KeyState::Active)
        ]
    );
    let next = facts.next_step(TIMING);
    assert_eq!(next.safe_at, Some(5_110 + 1_010));
    let early = facts.remove(2, TIMING, Patience::Wait, 6_119);
    assert!(matches!(early, Err(StepError::TooEarly { .. })));
    facts.remove(2, TIMING, Patience::Wait, 6_120).unwrap();
    assert_eq!(
        states(&facts),
        [(1, KeyState::Active), (3, KeyState::Active)]
    );
}

#[test]
fn an_entry_key_waits_for_the_parent() {
    for role in [KeyRole::Csk, KeyRole::Ksk] {
        let mut facts = ZoneFacts::new("a.test.");
        facts.generated(new(1, role), TIMING, 0).unwrap();
        assert_eq!(facts.keys[0].cds_from, 1_010);
        assert_eq!(facts.next_step(TIMING).safe_at, Some(1_010));
        facts.ds_seen(1, 1_500).unwrap();
        assert_eq!(facts.next_step(TIMING).what, "nothing");
        facts.rolled(new(2, role), 5_000).unwrap();
        assert!(facts.next_step(TIMING).what.contains("show-ds"));
        facts.activate(2, TIMING, Patience::Wait, 5_110).unwrap();
        assert!(matches!(
            facts.remove(1, TIMING, Patience::Wait, 100_000),
            Err(StepError::DsNotSeen { tag: 2, .. })
        ));
        assert!(facts.next_step(TIMING).what.contains("ds-seen a.test. 2"));
        facts.ds_seen(2, 6_000).unwrap();
        assert_eq!(facts.next_step(TIMING).safe_at, Some(8_000));
        let early = facts.remove(1, TIMING, Patience::Wait, 7_999);
        assert!(matches!(early, Err(StepError::TooEarly { .. })));
        facts.remove(1, TIMING, Patience::Wait, 8_000).unwrap();
        assert_eq!(states(&facts), [(2, KeyState::Active)]);
    }
}

#[test]
fn what_would_break_the_zone_is_refused() {
    let mut facts = ZoneFacts::new("a.test.");
    assert!(matches!(facts.ds_seen(1, 0), Err(StepError::NoKeys { .. })));
    assert!(matches!(facts.unsign(0), Err(StepError::NoKeys { .. })));
    facts.generated(new(1, KeyRole::Csk), TIMING, 0).unwrap();
    assert!(matches!(
        facts.generated(new(2, KeyRole::Zsk), TIMING, 0),
        Err(StepError::HasKeys { .. })
    ));
    assert!(matches!(facts.retire(1, 0), Err(StepError::Last { .. })));
    assert!(matches!(
        facts.remove(1, TIMING, Patience::Skip, 0),
        Err(StepError::WrongState { .. })
    ));
    assert!(matches!(
        facts.ds_seen(9, 0),
        Err(StepError::NotFound { .. })
    ));
    assert!(matches!(
        facts.rolled(new(2, KeyRole::Zsk), 0),
        Err(StepError::NoRole { .. })
    ));
    let other = NewKey {
        algorithm: Algorithm::Ed25519,
        ..new(2, KeyRole::Csk)
    };
    assert!(matches!(
        facts.rolled(other, 0),
        Err(StepError::OtherAlgorithm { .. })
    ));
    // A roll that is given up.
    facts.rolled(new(2, KeyRole::Csk), 0).unwrap();
    facts.remove(2, TIMING, Patience::Wait, 1).unwrap();
    assert_eq!(states(&facts), [(1, KeyState::Active)]);
    while facts.keys.len() < KEYS_MAX {
        let mut key = facts.keys[0].clone();
        key.state = KeyState::Active;
        facts.keys.push(key);
    }
    assert!(matches!(
        facts.rolled(new(9, KeyRole::Csk), 0),
        Err(StepError::TooMany { .. })
    ));
}

#[test]
fn a_zone_goes_unsigned_after_the_parent() {
    let mut facts = ZoneFacts::new("a.test.");
    facts.generated(new(1, KeyRole::Csk), TIMING, 0).unwrap();
    assert!(matches!(
        facts.ds_gone(0),
        Err(StepError::NotUnsigning { .. })
    ));
    facts.unsign(10_000).unwrap();
    facts.stay_signed().unwrap();
    facts.unsign(20_000).unwrap();
    assert!(matches!(
        facts.unsigned(TIMING, Patience::Skip, 90_000),
        Err(StepError::DsNotGone { .. })
    ));
    facts.ds_gone(30_000).unwrap();
    assert_eq!(facts.next_step(TIMING).safe_at, Some(32_000));
    assert!(matches!(
        facts.unsigned(TIMING, Patience::Wait, 31_999),
        Err(StepError::TooEarly { .. })
    ));
    let gone = facts.unsigned(TIMING, Patience::Wait, 32_000).unwrap();
    assert_eq!(gone.len(), 1);
    assert!(facts.unsigned && facts.keys.is_empty());
    // And back: signed anew.
    facts
        .generated(new(2, KeyRole::Csk), TIMING, 40_000)
        .unwrap();
    assert!(!facts.unsigned);
}
