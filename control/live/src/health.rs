//! What is known of every endpoint, from three witnesses: active probes, passive
//! reports of the data planes, and administrators.
//!
//! A pure state machine: time is an argument, effects are returned. An endpoint
//! serves new clients when its probes do not say *down*, it is not ejected, and
//! nobody drains it. Passive ejection ends by time (doubling for a repeat
//! offender) because an endpoint may pass its health check and still fail requests.
//!
//! Every endpoint also remembers its last [`FLIPS_KEPT`] changes: one that went back and forth
//! [`FLAPPING_FROM`] times within [`FLAP_WINDOW`] is *flapping*, and says so until it has been quiet.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use meridian_topology::EndpointId;
use serde::Serialize;

/// First passive ejection of an endpoint.
pub const EJECTION_FIRST: Duration = Duration::from_secs(5);
/// No passive ejection lasts longer.
pub const EJECTION_MAX: Duration = Duration::from_secs(300);
/// An endpoint that behaved this long after its last ejection starts over at [`EJECTION_FIRST`].
pub const EJECTION_FORGIVEN: Duration = Duration::from_secs(600);
/// Changes of state older than this no longer count as flapping.
pub const FLAP_WINDOW: Duration = Duration::from_secs(600);
/// So many changes within [`FLAP_WINDOW`] are flapping: twice down and twice back.
pub const FLAPPING_FROM: usize = 4;
/// Changes remembered for each endpoint; more within the window are not told apart.
pub const FLIPS_KEPT: usize = 64;

/// What the probes last concluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Probed {
    /// Not probed yet, or no check is configured: assumed up.
    Unknown,
    /// The rise threshold was reached.
    Up,
    /// The fall threshold was reached.
    Down,
}

/// Everything that bears on one endpoint's health.
#[derive(Debug, Clone)]
pub struct EndpointHealth {
    /// The probes' verdict.
    pub probed: Probed,
    /// Why the last change happened, in words.
    pub cause: String,
    /// When the effective state last changed.
    pub since: Instant,
    ejected_until: Option<Instant>,
    ejections: u32,
    /// Changes of the effective state since this process started.
    transitions: u64,
    /// When the latest of them were, oldest first, at most [`FLIPS_KEPT`].
    flips: VecDeque<Instant>,
}

impl EndpointHealth {
    fn new(now: Instant) -> Self {
        Self {
            probed: Probed::Unknown,
            cause: "not probed yet".into(),
            since: now,
            ejected_until: None,
            ejections: 0,
            transitions: 0,
            flips: VecDeque::new(),
        }
    }

    /// Changes of the effective state since this process started.
    pub fn transitions(&self) -> u64 {
        self.transitions
    }

    /// Changes of the effective state within [`FLAP_WINDOW`], at most [`FLIPS_KEPT`].
    pub fn recent_transitions(&self) -> usize {
        self.flips.len()
    }

    /// Whether it goes back and forth.
    pub fn is_flapping(&self) -> bool {
        self.flips.len() >= FLAPPING_FROM
    }

    fn flipped(&mut self, now: Instant) {
        self.since = now;
        self.transitions += 1;
        if self.flips.len() == FLIPS_KEPT {
            self.flips.pop_front();
        }
        self.flips.push_back(now);
    }

    /// Forgets what lies behind the window; true when something did.
    fn settle(&mut self, now: Instant) -> bool {
        let before = self.flips.len();
        while self
            .flips
            .front()
            .is_some_and(|at| now.duration_since(*at) > FLAP_WINDOW)
        {
            self.flips.pop_front();
        }
        self.flips.len() != before
    }

    /// Whether new clients may be sent there, drains aside.
    pub fn serves(&self) -> bool {
        self.probed != Probed::Down && self.ejected_until.is_none()
    }

    /// Whether the passive witness keeps it out at present.
    pub fn is_ejected(&self) -> bool {
        self.ejected_until.is_some()
    }
}

/// An endpoint's effective state changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flip {
    /// Which endpoint.
    pub endpoint: EndpointId,
    /// True when it serves again.
    pub serves: bool,
    /// Why, in words.
    pub cause: String,
}

/// The health of every endpoint that anything was ever said about.
#[derive(Debug, Default)]
pub struct Ledger {
    endpoints: BTreeMap<EndpointId, EndpointHealth>,
}

impl Ledger {
    /// The state of one endpoint; `None` when nothing was said of it.
    pub fn get(&self, endpoint: &EndpointId) -> Option<&EndpointHealth> {
        self.endpoints.get(endpoint)
    }

    /// Whether `endpoint` serves, drains aside: unknown endpoints do.
    pub fn serves(&self, endpoint: &EndpointId) -> bool {
        self.endpoints
            .get(endpoint)
            .is_none_or(EndpointHealth::serves)
    }

    /// Forgets endpoints that the topology no longer has.
    pub fn retain(&mut self, keep: impl Fn(&EndpointId) -> bool) {
        self.endpoints.retain(|endpoint, _| keep(endpoint));
    }

    /// The probes' verdict on `endpoint` is now `probed`.
    pub fn probe(
        &mut self,
        endpoint: &EndpointId,
        probed: Probed,
        cause: &str,
        now: Instant,
    ) -> Option<Flip> {
        self.change(endpoint, cause, now, |health| health.probed = probed)
    }

    /// A data plane saw `endpoint` fail often enough to eject it.
    pub fn eject(&mut self, endpoint: &EndpointId, cause: &str, now: Instant) -> Option<Flip> {
        self.change(endpoint, cause, now, |health| {
            if now.duration_since(health.since) > EJECTION_FORGIVEN {
                health.ejections = 0;
            }
            if health.ejected_until.is_none() {
                let doubled = EJECTION_FIRST.saturating_mul(1 << health.ejections.min(16));
                health.ejected_until = Some(now + doubled.min(EJECTION_MAX));
                health.ejections += 1;
            }
        })
    }

    /// Lets old changes fall out of the window; true when an endpoint's count changed.
    pub fn settle(&mut self, now: Instant) -> bool {
        let mut changed = false;
        for health in self.endpoints.values_mut() {
            changed |= health.settle(now);
        }
        changed
    }

    /// Ends the ejections whose time has come.
    pub fn expire(&mut self, now: Instant) -> Vec<Flip> {
        let due: Vec<EndpointId> = self
            .endpoints
            .iter()
            .filter(|(_, health)| health.ejected_until.is_some_and(|until| until <= now))
            .map(|(endpoint, _)| endpoint.clone())
            .collect();
        due.iter()
            .filter_map(|endpoint| {
                self.change(endpoint, "ejection over", now, |health| {
                    health.ejected_until = None;
                })
            })
            .collect()
    }

    fn change(
        &mut self,
        endpoint: &EndpointId,
        cause: &str,
        now: Instant,
        edit: impl FnOnce(&mut EndpointHealth),
    ) -> Option<Flip> {
        let health = self
            .endpoints
            .entry(endpoint.clone())
            .or_insert_with(|| EndpointHealth::new(now));
        let before = health.serves();
        edit(health);
        let serves = health.serves();
        cause.clone_into(&mut health.cause);
        if before == serves {
            return None;
        }
        health.flipped(now);
        Some(Flip {
            endpoint: endpoint.clone(),
            serves,
            cause: cause.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests;
