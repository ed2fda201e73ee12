//! Transitions the receiver has not taken yet: at most one an endpoint.
//!
//! Only an endpoint's latest verdict matters to whoever was too busy to take an earlier one. It
//! takes the earlier one's place, so nobody waits longer for changing his mind. Both operations
//! take constant time: a region of ten thousand endpoints may fail at once.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};

use meridian_topology::EndpointId;

use crate::target::Transition;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    order: VecDeque<EndpointId>,
    /// Exactly one for each id in `order`.
    latest: HashMap<EndpointId, Transition>,
}

impl Outbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub(crate) fn push(&mut self, transition: Transition) {
        let endpoint = transition.endpoint.clone();
        if self.latest.insert(endpoint.clone(), transition).is_none() {
            self.order.push_back(endpoint);
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Transition> {
        let endpoint = self.order.pop_front()?;
        self.latest.remove(&endpoint)
    }

    pub(crate) fn clear(&mut self) {
        self.order.clear();
        self.latest.clear();
    }
}
