//! Which endpoint gets a request, or the next attempt of it.
//!
//! The engine's pick names the region and an endpoint of it; what a service's `traffic` says is done
//! among the endpoints of that region and never beyond what the engine may pick:
//! 1. *balance*: of two endpoints that the engine draws there, the one that has less to do.
//! 2. *bound*: an endpoint with `max_in_flight_per_endpoint` requests is passed over for another one of
//!    its region, and a region whose endpoints all are full for the next one ([`REGIONS_MAX`]).
//!
//! Without `balance` and bound all this is one pick.

use meridian_engine::plan::{MAX_ANSWERS, Reason, Within};
use meridian_engine::{ClassId, ClientKey, Pick, Wanted};
use meridian_topology::{Balance, EndpointIdx, ServiceIdx};

use crate::attempt::ATTEMPTS_MAX;
use crate::table::Table;
use crate::traffic::is_lighter;

/// Full regions that are passed over for one request.
const REGIONS_MAX: usize = 4;
/// Endpoints that are not to be picked: those tried, and those found full.
const EXCLUDED_MAX: usize = ATTEMPTS_MAX + 1 + REGIONS_MAX * (MAX_ANSWERS + 1);
/// Keeps the draws of the balance apart from those of the engine.
const BALANCE_STREAM: u64 = 0x6261_6c61_6e63_6500;

/// Who asks for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question {
    pub(crate) service: ServiceIdx,
    pub(crate) class: ClassId,
    pub(crate) key: ClientKey,
    /// The request's number, where load may decide; `None` where the key alone does.
    pub(crate) balanced: Option<u64>,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Choice {
    /// This one; the request is counted among those in flight there.
    Endpoint(Pick),
    /// Whoever may serve has as many requests as it may have.
    Full,
    /// The policy leaves nobody.
    Nobody,
}

impl Choice {
    /// The endpoint, if there is one.
    pub(crate) fn pick(self) -> Option<Pick> {
        match self {
            Self::Endpoint(pick) => Some(pick),
            Self::Full | Self::Nobody => None,
        }
    }
}

/// Endpoints that are not to be picked.
struct Excluded {
    endpoints: [EndpointIdx; EXCLUDED_MAX],
    count: usize,
}

impl Excluded {
    fn new(tried: &[EndpointIdx]) -> Self {
        let mut excluded = Self {
            endpoints: [EndpointIdx(0); EXCLUDED_MAX],
            count: 0,
        };
        tried.iter().for_each(|endpoint| excluded.add(*endpoint));
        excluded
    }

    fn add(&mut self, endpoint: EndpointIdx) {
        if let Some(slot) = self.endpoints.get_mut(self.count) {
            *slot = endpoint;
            self.count += 1;
        }
    }

    fn all(&self) -> &[EndpointIdx] {
        &self.endpoints[..self.count]
    }
}

impl Question {
    /// Chooses an endpoint, beside those that were tried, and counts the request there.
    pub(crate) fn choose(&self, table: &Table, tried: &[EndpointIdx]) -> Choice {
        let published = &table.published;
        let traffic = &table.service(self.service).traffic;
        let most = traffic.max_in_flight_per_endpoint;
        let pick_beside = |excluded: &[EndpointIdx]| {
            let (plan, bits) = (&published.plan, &published.bits);
            plan.pick_excluding(self.service, self.class, self.key, bits, excluded)
        };
        let Some(mut first) = pick_beside(tried) else {
            return Choice::Nobody;
        };
        if let (Some(number), true) = (self.balanced, traffic.balance != Balance::Hash) {
            first = self.lighter(table, traffic.balance, first, number, tried);
        }
        if table.stats(first.endpoint).begin(most) {
            return Choice::Endpoint(first);
        }
        let is_lax = |pick: &Pick| {
            let laxer = [Reason::Panic, Reason::LastResort, Reason::IgnoringHealth];
            laxer.contains(&pick.reason)
        };
        let may_be_lax = is_lax(&first);
        let mut excluded = Excluded::new(tried);
        for _ in 0..REGIONS_MAX {
            let mut peers = [first; MAX_ANSWERS];
            for peer in self.peers(table, first, self.key, &mut peers) {
                if excluded.all().contains(&peer.endpoint) {
                    continue;
                }
                if table.stats(peer.endpoint).begin(most) {
                    return Choice::Endpoint(*peer);
                }
                excluded.add(peer.endpoint);
            }
            excluded.add(first.endpoint);
            // That healthy ones are full is no reason to ask one that is not.
            let next = pick_beside(excluded.all()).filter(|pick| may_be_lax || !is_lax(pick));
            match next {
                Some(pick) if table.stats(pick.endpoint).begin(most) => {
                    return Choice::Endpoint(pick);
                }
                Some(pick) => first = pick,
                None => break,
            }
        }
        Choice::Full
    }

    /// Up to `peers.len()` endpoints of the pick's region, by a key.
    fn peers<'p>(
        &self,
        table: &Table,
        pick: Pick,
        key: ClientKey,
        peers: &'p mut [Pick],
    ) -> &'p [Pick] {
        let published = &table.published;
        let wanted = Wanted {
            within: Within::Region(pick.region),
            ..Wanted::up_to(peers.len())
        };
        let found = published.plan.pick_many_of(
            self.service,
            self.class,
            key,
            &published.bits,
            wanted,
            peers,
        );
        &peers[..found.count()]
    }

    /// The one with less to do of two that are drawn by weight from the pick's region ("the power of two
    /// choices", Mitzenmacher 2001).
    fn lighter(
        &self,
        table: &Table,
        balance: Balance,
        pick: Pick,
        number: u64,
        tried: &[EndpointIdx],
    ) -> Pick {
        let key = self.key.with_nonce(BALANCE_STREAM ^ number);
        let mut drawn = [pick; 2];
        let drawn = self.peers(table, pick, key, &mut drawn);
        let mut fresh = drawn
            .iter()
            .filter(|drawn| !tried.contains(&drawn.endpoint));
        match (fresh.next(), fresh.next()) {
            (Some(first), Some(second)) => {
                let seen = |pick: &Pick| {
                    let weight = table.endpoint(pick.endpoint).weight.0;
                    (table.stats(pick.endpoint), weight)
                };
                if is_lighter(balance, seen(first), seen(second)) {
                    *second
                } else {
                    *first
                }
            }
            (Some(only), None) => *only,
            _ => pick,
        }
    }
}
