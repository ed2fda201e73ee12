#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot set itself up has failed"
)]

use proptest::prelude::*;

use super::*;

fn outcome(letter: char) -> Outcome {
    match letter {
        '+' => Outcome::Success,
        _ => Outcome::Failure,
    }
}

/// Feeds results one second apart, each taking 100 ms; returns one letter per result for the
/// verdict after it.
fn verdicts(rise: u8, fall: u8, results: &str) -> String {
    let start = Instant::now();
    let mut state = Hysteresis::new(rise, fall);
    let mut seen = String::new();
    for (n, letter) in (0..).zip(results.chars()) {
        let began = start + Duration::from_secs(n);
        state.observe(outcome(letter), began, began + Duration::from_millis(100));
        seen.push(match state.verdict() {
            Verdict::Unknown => '?',
            Verdict::Up => 'U',
            Verdict::Down => 'D',
        });
    }
    seen
}

#[test]
fn verdicts_follow_runs() {
    let cases = [
        // (rise, fall, results, verdict after each)
        (2, 2, "+", "U"),
        (2, 2, "-", "?"),
        (2, 2, "--", "?D"),
        (2, 2, "-+-+", "?UUU"),
        (2, 2, "+--++", "UUDDU"),
        (2, 2, "--+-+-++", "?DDDDDDU"),
        (1, 1, "-+-", "DUD"),
        (3, 2, "--++-+++", "?DDDDDDU"),
        (0, 0, "-+", "DU"),
        (1, 3, "+--+---", "UUUUUUD"),
    ];
    for (rise, fall, results, expected) in cases {
        assert_eq!(
            verdicts(rise, fall, results),
            expected,
            "rise {rise} fall {fall} {results}"
        );
    }
}

#[test]
fn detection_counts_from_the_first_failing_probe() {
    let start = Instant::now();
    let second = |n: u64| start + Duration::from_secs(n);
    let mut state = Hysteresis::new(1, 3);
    assert!(
        state
            .observe(Outcome::Success, second(0), second(1))
            .is_some()
    );
    assert_eq!(state.observe(Outcome::Failure, second(2), second(3)), None);
    assert_eq!(state.observe(Outcome::Failure, second(4), second(5)), None);
    let change = state
        .observe(Outcome::Failure, second(6), second(7))
        .unwrap();
    let expected = Change {
        to: Health::Down,
        detection: Duration::from_secs(5),
        results: 3,
    };
    assert_eq!(change, expected);
}

#[test]
fn suspicion_lasts_until_the_verdict() {
    let now = Instant::now();
    let mut state = Hysteresis::new(2, 2);
    assert!(!state.is_suspicious());
    state.observe(Outcome::Failure, now, now);
    assert!(state.is_suspicious());
    state.observe(Outcome::Failure, now, now);
    assert!(!state.is_suspicious());
    state.observe(Outcome::Success, now, now);
    assert!(!state.is_suspicious());
}

proptest! {
    /// Against a model that knows the whole history and no state.
    #[test]
    fn a_verdict_is_what_the_history_says(
        rise in 1..6_u8,
        fall in 1..6_u8,
        history in proptest::collection::vec(any::<bool>(), 0..200),
    ) {
        let now = Instant::now();
        let mut state = Hysteresis::new(rise, fall);
        let mut model = Verdict::Unknown;
        for end in 1..=history.len() {
            let last = history[end - 1];
            let run = history[..end].iter().rev().take_while(|result| **result == last).count();
            let before = model;
            model = match (last, model) {
                (true, Verdict::Unknown) => Verdict::Up,
                (true, Verdict::Down) if run >= usize::from(rise) => Verdict::Up,
                (false, Verdict::Unknown | Verdict::Up) if run >= usize::from(fall) => Verdict::Down,
                _ => model,
            };
            let outcome = if last { Outcome::Success } else { Outcome::Failure };
            let change = state.observe(outcome, now, now);
            prop_assert_eq!(state.verdict(), model);
            prop_assert_eq!(state.consecutive() as usize, run);
            prop_assert_eq!(change.is_some(), before != model);
            prop_assert!(model != Verdict::Unknown || end < usize::from(fall));
        }
    }
}
