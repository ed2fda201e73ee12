//! Endpoints that are worse than their peers.
//!
//! Failures in a row ([`crate::passive`]) find an endpoint that is broken. One that fails every tenth
//! request, or answers all of them slowly, is found here: endpoints of one region that serve the same
//! services are compared once a second, each by what it did since it was last judged, as soon as that is
//! [`ATTEMPTS_MIN`] attempts. Whoever is farther from the median than [`DEVIATIONS`] median absolute
//! deviations, and by more than a floor, is reported; the writer decides, and never lets half of a region
//! be ejected. Median and deviation are hardly moved by the outliers themselves, as mean and standard
//! deviation would be.

use std::collections::HashMap;

use meridian_live::PassiveKind;
use meridian_topology::{EndpointId, EndpointIdx, RegionIdx, ServiceIdx};

use super::stats::Totals;
use crate::table::Table;

/// Attempts by which an endpoint is judged.
const ATTEMPTS_MIN: u32 = 100;
/// What did not come to that many in so many rounds is too old to be judged by.
const ROUNDS_MAX: u8 = 10;
/// Peers without which nobody is an outlier.
const PEERS_MIN: usize = 3;
/// Median absolute deviations that are no cause for worry.
const DEVIATIONS: f64 = 5.0;
/// Share of failures above the median's that is no cause for worry.
const FAILURES_FLOOR: f64 = 0.05;
/// Times the median's latency that are no cause for worry, and µs above it.
const LATENCY_FACTOR: f64 = 3.0;
const LATENCY_FLOOR_US: f64 = 10_000.0;

/// What is remembered between two rounds.
#[derive(Debug, Default)]
pub(crate) struct Outliers {
    endpoints: HashMap<EndpointId, Memory>,
}

/// Who is compared: endpoints of one region that serve the same services.
type Peers<'t> = (RegionIdx, &'t [ServiceIdx]);

/// An endpoint's position, what it did, and whether that is new.
type Judged = (usize, Measured, bool);

#[derive(Debug, Default)]
struct Memory {
    /// Where the current measurement began.
    from: Totals,
    rounds: u8,
    /// The last complete one.
    last: Option<Measured>,
}

/// What an endpoint did over [`ATTEMPTS_MIN`] attempts or more.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Measured {
    /// Share of its attempts that failed.
    failed: f64,
    /// Mean time to the first byte of the others; `None` where all failed.
    latency_us: Option<f64>,
}

impl Measured {
    fn between(from: Totals, to: Totals) -> Option<Self> {
        let attempts = to.attempts.wrapping_sub(from.attempts);
        if attempts < ATTEMPTS_MIN {
            return None;
        }
        let failed = to.failed.wrapping_sub(from.failed).min(attempts);
        let latency_us = to.latency_us.wrapping_sub(from.latency_us) as f64;
        let answered = attempts - failed;
        Some(Self {
            failed: f64::from(failed) / f64::from(attempts),
            latency_us: (answered > 0).then(|| latency_us / f64::from(answered)),
        })
    }
}

impl Outliers {
    /// One round, to be made once a second; reports whoever is worse than its peers.
    pub(crate) fn look(&mut self, table: &Table) {
        let endpoints = &table.topology().endpoints;
        self.endpoints
            .retain(|id, _| table.topology().endpoint(id).is_some());
        let mut groups: HashMap<Peers<'_>, Vec<Judged>> = HashMap::new();
        for (position, endpoint) in endpoints.iter().enumerate() {
            let Some(index) = EndpointIdx::from_index(position) else {
                break;
            };
            let totals = table.stats(index).totals();
            if totals == Totals::default() {
                // Most endpoints of a large topology are other nodes' affair.
                continue;
            }
            let memory = match self.endpoints.get_mut(&endpoint.id) {
                Some(memory) => memory,
                None => self.endpoints.entry(endpoint.id.clone()).or_default(),
            };
            let is_new = memory.advance(totals);
            if let Some(measured) = memory.last {
                let group = (endpoint.region, &*endpoint.services);
                let group = groups.entry(group).or_default();
                group.push((position, measured, is_new));
            }
        }
        for group in groups.values() {
            for (at, kind) in judge(group.iter().map(|(_, measured, _)| *measured)) {
                let (position, _, is_new) = group[at];
                if is_new {
                    table.runs.report(&endpoints[position].id, kind);
                }
            }
        }
    }
}

impl Memory {
    /// Whether there is a new measurement.
    fn advance(&mut self, totals: Totals) -> bool {
        if totals.attempts.wrapping_sub(self.from.attempts) > u32::MAX / 2 {
            // Counted anew: the endpoint was away and is back.
            *self = Self {
                from: totals,
                ..Self::default()
            };
        }
        self.rounds += 1;
        let measured = Measured::between(self.from, totals);
        if measured.is_none() && self.rounds < ROUNDS_MAX {
            return false;
        }
        let is_new = measured.is_some();
        self.last = measured;
        self.from = totals;
        self.rounds = 0;
        is_new
    }
}

/// The positions of those that are worse than the others.
fn judge(peers: impl Iterator<Item = Measured>) -> Vec<(usize, PassiveKind)> {
    let peers: Vec<Measured> = peers.collect();
    if peers.len() < PEERS_MIN {
        return Vec::new();
    }
    let failed: Vec<f64> = peers.iter().map(|peer| peer.failed).collect();
    let latency: Vec<f64> = peers.iter().filter_map(|peer| peer.latency_us).collect();
    let failures_most = {
        let (median, deviation) = spread(&failed);
        median + (DEVIATIONS * deviation).max(FAILURES_FLOOR)
    };
    let latency_most = {
        let (median, deviation) = spread(&latency);
        let floor = (median * (LATENCY_FACTOR - 1.0)).max(LATENCY_FLOOR_US);
        median + (DEVIATIONS * deviation).max(floor)
    };
    let verdict = |peer: &Measured| {
        if peer.failed > failures_most {
            return Some(PassiveKind::FailureShare);
        }
        let is_slow = peer.latency_us.is_some_and(|us| us > latency_most);
        is_slow.then_some(PassiveKind::Latency)
    };
    peers
        .iter()
        .enumerate()
        .filter_map(|(at, peer)| Some((at, verdict(peer)?)))
        .collect()
}

/// Median and median absolute deviation; zeros of nothing.
fn spread(values: &[f64]) -> (f64, f64) {
    let middle = median(values.to_vec());
    let away = values.iter().map(|value| (value - middle).abs());
    (middle, median(away.collect()))
}

/// The lower one of two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len().saturating_sub(1) / 2;
    values.get(middle).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(of: &[(f64, f64)]) -> Vec<(usize, PassiveKind)> {
        judge(of.iter().map(|(failed, latency_us)| Measured {
            failed: *failed,
            latency_us: Some(*latency_us),
        }))
    }

    #[test]
    fn one_that_fails_every_tenth_request_stands_out() {
        let found = peers(&[(0.0, 900.0), (0.1, 900.0), (0.001, 900.0)]);
        assert_eq!(found, [(1, PassiveKind::FailureShare)]);
    }

    #[test]
    fn one_that_is_slow_stands_out() {
        let found = peers(&[(0.0, 900.0), (0.0, 60_000.0), (0.0, 1_200.0), (0.0, 800.0)]);
        assert_eq!(found, [(1, PassiveKind::Latency)]);
    }

    #[test]
    fn equals_are_no_outliers() {
        // All fail: it is not the endpoints.
        assert_eq!(peers(&[(0.5, 900.0), (0.52, 900.0), (0.49, 900.0)]), []);
        // Slow by nature, each in its own way.
        let spread = [(0.0, 100e3), (0.0, 150e3), (0.0, 200e3), (0.0, 260e3)];
        assert_eq!(peers(&spread), []);
        // Three times nothing is nothing.
        assert_eq!(peers(&[(0.0, 200.0), (0.0, 2_000.0), (0.0, 210.0)]), []);
        // Two have no median.
        assert_eq!(peers(&[(0.0, 900.0), (0.9, 900.0)]), []);
    }

    #[test]
    fn a_measurement_needs_attempts_and_is_not_kept_for_ever() {
        let totals = |attempts, failed| Totals {
            attempts,
            failed,
            latency_us: 1_000 * u64::from(attempts),
        };
        let mut memory = Memory::default();
        assert!(!memory.advance(totals(60, 30)));
        assert!(memory.advance(totals(120, 30)));
        assert_eq!(memory.last.unwrap().failed, 0.25);
        for _ in 1..ROUNDS_MAX {
            assert!(!memory.advance(totals(130, 30)));
            assert!(memory.last.is_some());
        }
        assert!(!memory.advance(totals(130, 30)));
        assert_eq!(memory.last, None, "too old to be compared with");
    }
}
