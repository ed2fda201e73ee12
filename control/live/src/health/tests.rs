use super::*;

fn id() -> EndpointId {
    "web-1".parse().unwrap()
}

#[derive(Clone, Copy)]
enum Say {
    Probe(Probed),
    Eject,
    /// Seconds pass and due ejections end.
    Wait(u64),
}

/// Plays `story` and compares the states it flips through.
fn check(story: &[Say], flips: &[bool]) {
    let mut now = Instant::now();
    let mut ledger = Ledger::default();
    let mut seen = Vec::new();
    for say in story {
        match *say {
            Say::Probe(probed) => seen.extend(ledger.probe(&id(), probed, "probe", now)),
            Say::Eject => seen.extend(ledger.eject(&id(), "passive", now)),
            Say::Wait(seconds) => {
                now += Duration::from_secs(seconds);
                seen.extend(ledger.expire(now));
            }
        }
    }
    let seen: Vec<bool> = seen.iter().map(|flip| flip.serves).collect();
    assert_eq!(seen, flips);
    assert_eq!(ledger.serves(&id()), flips.last().copied().unwrap_or(true));
}

#[test]
fn stories() {
    use Say::{Eject, Probe, Wait};
    check(&[], &[]);
    check(&[Probe(Probed::Up)], &[]);
    check(
        &[Probe(Probed::Down), Probe(Probed::Down), Probe(Probed::Up)],
        &[false, true],
    );
    // An ejection ends by itself, not by a probe that passes.
    check(&[Eject, Probe(Probed::Up), Wait(4)], &[false]);
    check(&[Eject, Wait(5)], &[false, true]);
    // Reports while ejected do not prolong it.
    check(&[Eject, Wait(3), Eject, Wait(2)], &[false, true]);
    // The second ejection lasts twice as long; both witnesses must agree that it is well.
    check(&[Eject, Wait(5), Eject, Wait(5)], &[false, true, false]);
    check(
        &[Eject, Wait(5), Eject, Wait(10)],
        &[false, true, false, true],
    );
    check(
        &[Eject, Probe(Probed::Down), Wait(5), Probe(Probed::Up)],
        &[false, true],
    );
    // Good behaviour is remembered.
    check(
        &[Eject, Wait(5), Wait(601), Eject, Wait(5)],
        &[false, true, false, true],
    );
}

#[test]
fn ejections_are_bounded() {
    let mut now = Instant::now();
    let mut ledger = Ledger::default();
    for _ in 0..40 {
        assert!(ledger.eject(&id(), "passive", now).is_some());
        now += EJECTION_MAX;
        assert_eq!(ledger.expire(now).len(), 1);
    }
}

#[test]
fn flapping_is_seen_and_forgotten() {
    let mut now = Instant::now();
    let mut ledger = Ledger::default();
    let mut flip = |ledger: &mut Ledger, probed| {
        now += Duration::from_secs(1);
        ledger.probe(&id(), probed, "probe", now);
        now
    };
    for round in 1..=2 {
        flip(&mut ledger, Probed::Down);
        assert!(!ledger.get(&id()).unwrap().is_flapping(), "{round}");
        flip(&mut ledger, Probed::Up);
    }
    let health = ledger.get(&id()).unwrap();
    assert_eq!((health.transitions(), health.recent_transitions()), (4, 4));
    assert!(health.is_flapping());
    // A verdict that changes nothing is no transition.
    let last = flip(&mut ledger, Probed::Up);
    assert_eq!(ledger.get(&id()).unwrap().transitions(), 4);

    // The first two leave the window, a second apart; the count of all stays.
    assert!(!ledger.settle(last));
    assert!(ledger.settle(last + FLAP_WINDOW - Duration::from_secs(2)));
    let health = ledger.get(&id()).unwrap();
    assert_eq!((health.transitions(), health.recent_transitions()), (4, 2));
    assert!(!health.is_flapping());

    // However often it flips, memory is bounded.
    for _ in 0..FLIPS_KEPT {
        flip(&mut ledger, Probed::Down);
        flip(&mut ledger, Probed::Up);
    }
    let health = ledger.get(&id()).unwrap();
    assert_eq!(health.recent_transitions(), FLIPS_KEPT);
    assert_eq!(health.transitions(), 4 + 2 * FLIPS_KEPT as u64);
}
