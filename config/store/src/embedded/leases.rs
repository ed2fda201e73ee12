//! When leases run out. Time is an argument; nothing here sleeps or asks a clock.

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

use crate::{Lease, LeaseId};

/// Every live lease and its deadline.
///
/// `by_deadline` holds exactly the pairs of `by_id`, ordered, so the next to expire is its first.
#[derive(Debug, Default)]
pub(super) struct LeaseTable {
    by_id: HashMap<LeaseId, (Duration, Instant)>,
    by_deadline: BTreeSet<(Instant, LeaseId)>,
}

impl LeaseTable {
    /// Adds a lease that lives for its whole time from `now`.
    pub(super) fn insert(&mut self, lease: Lease, now: Instant) {
        self.expire_at(lease, now + lease.ttl);
    }

    /// Adds a lease, or moves one, to end at `deadline`.
    pub(super) fn expire_at(&mut self, lease: Lease, deadline: Instant) {
        self.remove(lease.id);
        self.by_id.insert(lease.id, (lease.ttl, deadline));
        self.by_deadline.insert((deadline, lease.id));
    }

    /// Gives a lease its whole time from `now`; `None` when it does not exist.
    pub(super) fn renew(&mut self, id: LeaseId, now: Instant) -> Option<Lease> {
        let lease = self.remove(id)?;
        self.insert(lease, now);
        Some(lease)
    }

    /// Forgets a lease.
    pub(super) fn remove(&mut self, id: LeaseId) -> Option<Lease> {
        let (ttl, deadline) = self.by_id.remove(&id)?;
        self.by_deadline.remove(&(deadline, id));
        Some(Lease { id, ttl })
    }

    /// When the next lease ends, if there is one.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.by_deadline.first().map(|(deadline, _)| *deadline)
    }

    /// Takes out every lease whose deadline is not after `now`, oldest deadline first. From here
    /// on a renewal fails: the keys are about to go.
    pub(super) fn take_expired(&mut self, now: Instant) -> Vec<Lease> {
        let mut expired = Vec::new();
        while let Some(&(deadline, id)) = self.by_deadline.first() {
            if deadline > now {
                break;
            }
            expired.extend(self.remove(id));
        }
        expired
    }
}
