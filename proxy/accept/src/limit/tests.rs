#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use super::*;

#[test]
fn the_bound_holds_and_refusals_are_counted() {
    let limit = ConnectionLimit::new(2);
    let first = limit.try_acquire().unwrap();
    let second = limit.try_acquire().unwrap();
    assert_eq!((limit.active(), limit.max()), (2, 2));
    assert!(limit.try_acquire().is_none());
    // Clones share the bound.
    let clone = limit.clone();
    assert!(clone.try_acquire().is_none());
    assert_eq!((limit.refused(), clone.refused()), (2, 2));

    drop(first);
    let third = limit.try_acquire().unwrap();
    assert_eq!((limit.active(), limit.refused()), (2, 2));
    drop((second, third));
    assert_eq!(limit.active(), 0);
}

#[test]
fn a_bound_of_zero_admits_nobody() {
    assert!(ConnectionLimit::new(0).try_acquire().is_none());
}
