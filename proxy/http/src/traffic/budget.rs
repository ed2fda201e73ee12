//! How much of a service's load retries may be.
//!
//! Requests and retries of the last [`WINDOW`] are known by a sliding window of two slots: the one that
//! is being filled and the one before, the latter weighted by how much of it still lies in the window.
//! When everything fails, retries add a share to the load instead of multiplying it (Google SRE,
//! "Handling Overload": per-client retry budgets).

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use meridian_topology::RetryBudget;

/// Over which time requests and retries are compared.
const WINDOW: Duration = Duration::from_secs(10);

/// Requests and retries of one service at this node.
#[derive(Debug, Default)]
pub(crate) struct RetryWindow {
    /// Number of the window that is being filled.
    current: AtomicU64,
    /// By the window's number, even and odd.
    slots: [Slot; 2],
}

#[derive(Debug, Default)]
struct Slot {
    requests: AtomicU32,
    retries: AtomicU32,
}

impl RetryWindow {
    /// A request begins.
    pub(crate) fn requested(&self, now: Duration) {
        self.slot(now).requests.fetch_add(1, Ordering::Relaxed);
    }

    /// A retry begins.
    pub(crate) fn retried(&self, now: Duration) {
        self.slot(now).retries.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the budget has room for another retry.
    pub(crate) fn has_room(&self, budget: RetryBudget, now: Duration) -> bool {
        let own = self.slot(now);
        let before = &self.slots[(self.number(now) as usize + 1) % 2];
        let passed = (now.as_secs_f64() / WINDOW.as_secs_f64()).fract();
        let sliding = |own: &AtomicU32, before: &AtomicU32| {
            let (own, before) = (own.load(Ordering::Relaxed), before.load(Ordering::Relaxed));
            f64::from(own) + f64::from(before) * (1.0 - passed)
        };
        let requests = sliding(&own.requests, &before.requests);
        let retries = sliding(&own.retries, &before.retries);
        let floor = f64::from(budget.at_least) * WINDOW.as_secs_f64();
        retries + 1.0 <= requests * f64::from(budget.share) + floor
    }

    fn number(&self, now: Duration) -> u64 {
        now.as_secs() / WINDOW.as_secs()
    }

    /// The slot of this moment, emptied if it held an older window.
    fn slot(&self, now: Duration) -> &Slot {
        let number = self.number(now);
        let seen = self.current.load(Ordering::Relaxed);
        // A late thread writes into the window in force: the clock never goes back.
        if number > seen {
            let relaxed = Ordering::Relaxed;
            let first = self
                .current
                .compare_exchange(seen, number, relaxed, relaxed);
            if first.is_ok() {
                self.slots[number as usize % 2].empty();
                if number - seen > 1 {
                    self.slots[(number as usize + 1) % 2].empty();
                }
            }
        }
        &self.slots[number as usize % 2]
    }
}

impl Slot {
    fn empty(&self) {
        self.requests.store(0, Ordering::Relaxed);
        self.retries.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use meridian_topology::Ratio;

    fn budget(share: f64, at_least: u32) -> RetryBudget {
        RetryBudget {
            share: Ratio::new(share).unwrap(),
            at_least,
        }
    }

    /// Retries until the budget is empty.
    fn spend(window: &RetryWindow, budget: RetryBudget, now: Duration) -> u32 {
        let mut count = 0;
        while count < 100_000 && window.has_room(budget, now) {
            window.retried(now);
            count += 1;
        }
        count
    }

    #[test]
    fn retries_are_a_share_of_the_requests() {
        let window = RetryWindow::default();
        let now = Duration::from_secs(1);
        for _ in 0..1_000 {
            window.requested(now);
        }
        assert_eq!(spend(&window, budget(0.2, 0), now), 200);
        assert_eq!(spend(&window, budget(0.2, 0), now), 0);
    }

    #[test]
    fn a_quiet_service_may_retry_too() {
        let window = RetryWindow::default();
        let now = Duration::from_secs(3);
        assert_eq!(spend(&window, budget(0.0, 10), now), 100);
        assert_eq!(spend(&window, budget(0.0, 0), now), 0);
    }

    #[test]
    fn the_window_slides() {
        let window = RetryWindow::default();
        let (start, half) = (Duration::from_secs(9), Duration::from_secs(15));
        for _ in 0..1_000 {
            window.requested(start);
        }
        assert_eq!(spend(&window, budget(0.2, 0), start), 200);
        // Half of the window before counts: 100 of 500 are spent already.
        assert_eq!(spend(&window, budget(0.2, 0), half), 0);
        for _ in 0..100 {
            window.requested(half);
        }
        assert_eq!(spend(&window, budget(0.2, 0), half), 20);
        // Two windows later nothing of it is left.
        assert_eq!(spend(&window, budget(1.0, 0), Duration::from_secs(35)), 0);
    }
}
