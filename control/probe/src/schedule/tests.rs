#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot set itself up has failed"
)]

use meridian_topology::{CheckKind, Millis, Ratio};
use proptest::prelude::*;

use super::*;
use crate::testing::{check, target};

const SPREAD: Duration = Duration::from_secs(1);

fn targets(count: usize) -> Vec<Target> {
    let one = |n| {
        target(
            &format!("e{n}"),
            "127.0.0.1:80".parse().unwrap(),
            CheckKind::Tcp,
        )
    };
    (0..count).map(one).collect()
}

fn spread(seed: u64, count: usize) -> Vec<Duration> {
    let schedule = Schedule::new(seed, SPREAD);
    let check = HealthCheck {
        interval: Millis(60_000),
        ..check(CheckKind::Tcp)
    };
    targets(count)
        .iter()
        .map(|target| schedule.first(schedule.identity(target), &check))
        .collect()
}

#[test]
fn starts_are_spread_evenly_and_repeatably() {
    let starts = spread(1, 1_000);
    let mut tenths = [0_u32; 10];
    for start in &starts {
        assert!(*start < SPREAD);
        tenths[usize::try_from(start.as_millis() / 100).unwrap()] += 1;
    }
    // 100 are expected in each; the names and the seed are fixed, so this cannot flake.
    assert!(tenths.iter().all(|n| (60..=140).contains(n)), "{tenths:?}");
    assert_eq!(starts, spread(1, 1_000));
    assert_ne!(starts, spread(2, 1_000));
}

#[test]
fn a_short_interval_shortens_the_spread() {
    let schedule = Schedule::new(1, SPREAD);
    for target in targets(100) {
        let first = schedule.first(schedule.identity(&target), &target.check);
        assert!(first < target.check.interval.as_duration());
    }
}

#[test]
fn checks_of_one_endpoint_do_not_march_in_step() {
    let schedule = Schedule::new(1, SPREAD);
    let one = targets(1).remove(0);
    let two = Target {
        service: Some("shop".parse().unwrap()),
        ..one.clone()
    };
    assert_ne!(schedule.identity(&one), schedule.identity(&two));
}

proptest! {
    #[test]
    fn turns_stay_within_their_jitter(
        identity in any::<u64>(),
        n in 1..1_000_000_u64,
        interval in 10..60_000_u64,
        percent in 0..=100_u32,
        took in 0..60_000_u64,
    ) {
        let jitter = f64::from(percent) / 100.0;
        let check = HealthCheck {
            interval: Millis(interval),
            jitter: Ratio::new(jitter).unwrap(),
            ..check(CheckKind::Tcp)
        };
        let schedule = Schedule::new(0, SPREAD);
        let began = Instant::now();
        let ended = began + Duration::from_millis(took);
        let next = schedule.next(identity, n, &check, began) - began;
        let whole = check.interval.as_duration();
        // A nanosecond of rounding.
        let slack = Duration::from_nanos(1);
        prop_assert!(next + slack >= whole.mul_f64(1.0 - jitter));
        prop_assert!(next <= whole.mul_f64(1.0 + jitter) + slack);
        let soon = schedule.recheck(identity, n, &check, began, ended) - began;
        prop_assert!(soon <= next, "the second look is never later than the turn");
        prop_assert!(soon <= Duration::from_millis(took) + (whole / 4).max(RECHECK_MIN));
    }
}
