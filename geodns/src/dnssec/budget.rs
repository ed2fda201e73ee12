//! How many signatures may be made on the packet path in a second.
//!
//! A signature costs a hundred times what an answer costs, and names that do not exist are endless:
//! without a bound a stream of random names would take the cores away from everybody. Spoofable
//! sources and verified ones have a budget each, so that a flood of forged datagrams cannot use up
//! what a resolver gets that comes back over TCP.

use std::sync::atomic::{AtomicU64, Ordering};

/// Which budget a signature is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purse {
    /// Questions that anybody may have sent in another's name: beyond the budget they are told to
    /// come back over TCP.
    Spoofable,
    /// Questions from a verified source: beyond the budget they fail.
    Verified,
}

/// Both budgets.
#[derive(Debug)]
pub(crate) struct Budget {
    spoofable: Window,
    verified: Window,
}

impl Budget {
    pub(crate) fn new(per_second: u32) -> Self {
        Self {
            spoofable: Window::new(per_second),
            verified: Window::new(per_second),
        }
    }

    /// Takes one signature, if one is left in this second.
    pub(crate) fn take(&self, purse: Purse, now_unix_seconds: u32) -> bool {
        match purse {
            Purse::Spoofable => self.spoofable.take(now_unix_seconds),
            Purse::Verified => self.verified.take(now_unix_seconds),
        }
    }
}

/// What was used in the newest second: the second in the upper half, the count in the lower.
///
/// A counter that starts anew with every second lets twice the budget through across its turn; for
/// a bound on work that is near enough, and one atomic is all it costs.
#[derive(Debug)]
struct Window {
    per_second: u32,
    used: AtomicU64,
}

impl Window {
    fn new(per_second: u32) -> Self {
        Self {
            per_second,
            used: AtomicU64::new(0),
        }
    }

    fn take(&self, now: u32) -> bool {
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                let second = (used >> 32) as u32;
                // A batch that read its clock earlier counts for the newest second.
                if now > second {
                    (self.per_second > 0).then_some(u64::from(now) << 32 | 1)
                } else {
                    ((used as u32) < self.per_second).then_some(used + 1)
                }
            })
            .is_ok()
    }
}
