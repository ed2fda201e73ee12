//! Picking: what a data path calls for every client.
//!
//! A pick makes up to four passes over a route of at most eight pools and stops at the first that
//! finds somebody:
//! 1. *healthy*: pools whose living share reaches the policy's panic threshold and whose region
//!    admits the client (ramp). The spread shares its clients by weighted rendezvous, then the stand-ins
//!    follow in order.
//! 2. *any*: every pool with a living endpoint, regions beyond their capacity last (the plan only
//!    holds those when the policy allows it).
//! 3. *ignoring health*, when the policy says so: as if every endpoint in service were up.
//! 4. nobody: the caller asks [`Plan::fallback`].
//!
//! No pass leaves the route, and a route was compiled inside the compliance wall. Nothing here
//! allocates, locks or hashes a string. Chance is a hash of the client's key, so every pick can be
//! replayed.
//!
//! A question may be for one address family: then only endpoints of that family are found, a pool
//! without one alive is passed over like a dead one, and all else stays the same. The filter is a type
//! ([`super::family::Filter`]), so that questions without one do not pay for it.
//!
//! The propensity of a pick is the probability that a client of this class with a random key gets
//! this endpoint: the region's share of the admitted spread × the endpoint's share of the pool's
//! living points. It takes ramps as a factor of the weights and the ring as perfectly balanced, so it
//! is within about 6 % (the ring's spread) of the truth.

use meridian_topology::{EndpointIdx, RegionIdx, ServiceIdx};
use serde::{Deserialize, Serialize};

use super::family::{AnyFamily, Family, Filter};
use super::question::Question;
use super::{Entry, Plan, Route, ServicePlan};
use crate::bits::HealthBits;
use crate::class::ClassId;
use crate::hash::ClientKey;

/// Most endpoints in one answer ([`Plan::pick_many`]).
pub const MAX_ANSWERS: usize = 8;

/// Why a pick is what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The best region of the class.
    Best,
    /// One of several regions that share the class.
    Spread,
    /// A stand-in: the regions before it are dead or not fully back.
    Failover,
    /// No region is healthy enough; this one has an endpoint alive.
    Panic,
    /// Only regions beyond their capacity have an endpoint alive.
    LastResort,
    /// Nothing is alive and the policy says to ignore that.
    IgnoringHealth,
}

/// One decision.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Pick {
    /// The endpoint.
    pub endpoint: EndpointIdx,
    /// Its region.
    pub region: RegionIdx,
    /// Probability that a random client of the class gets this endpoint; see the module's comment.
    pub propensity: f32,
    /// Why.
    pub reason: Reason,
}

/// How many picks an answer wants, and of which kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Only endpoints of this address family; `None` is any.
    pub family: Option<Family>,
    /// No more than this, at most [`MAX_ANSWERS`].
    pub at_most: usize,
    /// While fewer than this were found, other regions than those of the picks so far are used too:
    /// the others of the spread, then the stand-ins in order. Equal to `at_most` unless the service
    /// asks for less.
    pub at_least: usize,
    /// From which regions.
    pub within: Within,
}

/// From which regions of a route a list of picks is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within {
    /// All of them.
    Route,
    /// This one alone.
    Region(RegionIdx),
    /// One pick from each.
    EachRegion,
}

impl Within {
    /// Whether the next pick may come from a region, `used` being those so far.
    #[inline]
    fn may_use(self, region: RegionIdx, used: &[Pick], enough: bool) -> bool {
        let is_used = || used.iter().any(|pick| pick.region == region);
        match self {
            Self::Route => !enough || is_used(),
            Self::Region(only) => region == only,
            Self::EachRegion => !is_used(),
        }
    }
}

impl Wanted {
    /// This many of any family, from wherever they are.
    #[must_use]
    pub const fn up_to(at_most: usize) -> Self {
        Self {
            family: None,
            at_most,
            at_least: at_most,
            within: Within::Route,
        }
    }

    /// The same of one family.
    #[must_use]
    pub const fn of(self, family: Family) -> Self {
        Self {
            family: Some(family),
            ..self
        }
    }
}

/// What [`Plan::pick_many_of`] found, beside the picks: how much of the plan the answer depends on,
/// and so for which clients and how long it is good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Picked {
    /// At most [`MAX_ANSWERS`]; small, so that all of this is handed over in a register.
    count: u8,
    /// Whether another key of the same class could have got other endpoints.
    pub by_chance: bool,
    /// Whether the regions that share the class's clients decided alone: classes that share the same
    /// way have the same answer, whoever stands in for each.
    pub by_spread: bool,
    /// Whether a region that the answer depends on is on its way back.
    pub ramping: bool,
    /// When the health of a pool that the answer depends on last changed, in Unix seconds; 0 is never.
    pub changed_unix_seconds: u32,
}

impl Picked {
    /// How many picks were found.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count as usize
    }
}

/// Why a list of picks ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It holds as many as were wanted.
    Full,
    /// It holds the fewest that are wanted and all that the regions used so far have.
    Enough,
    /// Nobody else serves, or only under a laxer rule.
    Exhausted,
}

impl Plan {
    /// The endpoint of a client; `None` when nobody may or can serve it.
    #[inline]
    #[must_use]
    pub fn pick(
        &self,
        service: ServiceIdx,
        class: ClassId,
        key: ClientKey,
        bits: &HealthBits,
    ) -> Option<Pick> {
        self.pick_excluding(service, class, key, bits, &[])
    }

    /// The endpoint of a client that has failed with `excluded` already: the next one of its region,
    /// and after two failures in a region one of the next region.
    #[inline]
    #[must_use]
    pub fn pick_excluding(
        &self,
        service: ServiceIdx,
        class: ClassId,
        key: ClientKey,
        bits: &HealthBits,
        excluded: &[EndpointIdx],
    ) -> Option<Pick> {
        let route = self.route(service, class)?;
        let service = &self.services[service.index()];
        Question {
            plan: self,
            service,
            route,
            pools: self.pools_of(service, route),
            key,
            bits,
            excluded,
            filter: AnyFamily,
        }
        .answer()
    }

    /// The endpoint of one address family for a client: [`Self::pick`] among those alone.
    #[must_use]
    pub fn pick_of(
        &self,
        service: ServiceIdx,
        class: ClassId,
        key: ClientKey,
        bits: &HealthBits,
        family: Family,
    ) -> Option<Pick> {
        let route = self.route(service, class)?;
        let service = &self.services[service.index()];
        Question {
            plan: self,
            service,
            route,
            pools: self.pools_of(service, route),
            key,
            bits,
            excluded: &[],
            filter: family,
        }
        .answer()
    }

    /// Up to `out.len()` (at most [`MAX_ANSWERS`]) different endpoints for a client, best first;
    /// returns how many were found. The first is what [`Self::pick`] gives, and none of the others is
    /// worse in health or load: the list ends where only a laxer pass would find more.
    pub fn pick_many(
        &self,
        service: ServiceIdx,
        class: ClassId,
        key: ClientKey,
        bits: &HealthBits,
        out: &mut [Pick],
    ) -> usize {
        let wanted = Wanted::up_to(out.len());
        self.pick_many_of(service, class, key, bits, wanted, out)
            .count()
    }

    /// As [`Self::pick_many`], but as many and of the family that `wanted` says, and with what the
    /// answer depends on. The first is what [`Self::pick_of`] gives for the family.
    pub fn pick_many_of(
        &self,
        service: ServiceIdx,
        class: ClassId,
        key: ClientKey,
        bits: &HealthBits,
        wanted: Wanted,
        out: &mut [Pick],
    ) -> Picked {
        let Some(route) = self.route(service, class) else {
            return Picked::default();
        };
        let service = &self.services[service.index()];
        let most = wanted.at_most.min(out.len()).min(MAX_ANSWERS);
        let out = &mut out[..most];
        let list = List {
            plan: self,
            service,
            route,
            pools: self.pools_of(service, route),
            key,
            bits,
        };
        match wanted.family {
            None => list.fill(AnyFamily, wanted, out),
            Some(family) => list.fill(family, wanted, out),
        }
    }
}

/// How much of health and load was disregarded for a pick.
const fn laxity(reason: Reason) -> u8 {
    match reason {
        Reason::Best | Reason::Spread | Reason::Failover => 0,
        Reason::Panic => 1,
        Reason::LastResort => 2,
        Reason::IgnoringHealth => 3,
    }
}

/// A list of picks in the making.
struct List<'a> {
    plan: &'a Plan,
    service: &'a ServicePlan,
    route: &'a Route,
    pools: &'a [u32],
    key: ClientKey,
    bits: &'a HealthBits,
}

impl List<'_> {
    fn fill(&self, filter: impl Filter, wanted: Wanted, out: &mut [Pick]) -> Picked {
        let mut taken = [EndpointIdx(0); MAX_ANSWERS];
        let mut found = 0;
        let mut end = End::Full;
        while found < out.len() {
            let question = Question {
                plan: self.plan,
                service: self.service,
                route: self.route,
                pools: self.pools,
                key: self.key,
                bits: self.bits,
                excluded: &taken[..found],
                filter,
            };
            let enough = found > 0 && found >= wanted.at_least;
            let used = &out[..found];
            let pick = question.passes(|region| wanted.within.may_use(region, used, enough));
            let as_good = |pick: &Pick| found == 0 || laxity(pick.reason) <= laxity(out[0].reason);
            let Some(pick) = pick.filter(as_good) else {
                end = if enough { End::Enough } else { End::Exhausted };
                break;
            };
            out[found] = pick;
            taken[found] = pick.endpoint;
            found += 1;
        }
        self.judge(filter, wanted.within, &out[..found], end)
    }

    /// What the list depends on; see [`Picked`].
    fn judge(&self, filter: impl Filter, within: Within, picks: &[Pick], end: End) -> Picked {
        let spread = &self.route.entries[..usize::from(self.route.spread)];
        let normal = &self.route.entries[..usize::from(self.route.normal)];
        let by_spread = end != End::Exhausted
            && picks
                .iter()
                .all(|pick| matches!(pick.reason, Reason::Best | Reason::Spread))
            && self.enough_live_in(spread);
        let deciding = if by_spread { spread } else { normal };
        let region = |entry: &Entry| self.plan.pools[self.pool(entry) as usize].region;
        let ramping = deciding
            .iter()
            .any(|entry| self.bits.ramp(region(entry)) != u16::MAX);
        let changed = deciding
            .iter()
            .map(|entry| self.bits.changed(self.pool(entry)));
        Picked {
            // At most `MAX_ANSWERS`.
            count: picks.len() as u8,
            by_chance: !picks.is_empty() && (ramping || self.is_chance(filter, within, picks, end)),
            by_spread,
            ramping,
            changed_unix_seconds: changed.max().unwrap_or(0),
        }
    }

    /// Position of an entry's pool in the plan.
    fn pool(&self, entry: &Entry) -> u32 {
        self.pools[usize::from(entry.place)]
    }

    /// Whether `min_live_regions` is met by the spread alone.
    fn enough_live_in(&self, spread: &[Entry]) -> bool {
        let wanted = usize::from(self.service.min_live_regions);
        let is_live = |entry: &&Entry| {
            self.service
                .counts_as_live(self.bits, self.pool(entry), &self.plan.pools)
        };
        wanted <= 1 || spread.iter().filter(is_live).count() >= wanted
    }

    fn is_chance(&self, filter: impl Filter, within: Within, picks: &[Pick], end: End) -> bool {
        let one_region = picks.iter().all(|pick| pick.region == picks[0].region);
        let alone = self.route.spread <= 1 || matches!(within, Within::Region(_));
        let one_shares = alone && one_region;
        match end {
            End::Exhausted => false,
            End::Enough => !one_shares,
            End::Full if picks.len() == 1 => picks[0].propensity < 1.0,
            // The whole region is answered: there was nobody else to choose.
            End::Full => {
                let own = |pick: &Pick| self.plan.endpoint_points[pick.endpoint.index()];
                let entries = &self.route.entries[..usize::from(self.route.len)];
                let of_region = entries.iter().find(|entry| {
                    self.plan.pools[self.pool(entry) as usize].region == picks[0].region
                });
                let all =
                    of_region.map_or(0, |entry| filter.live_points(self.bits, self.pool(entry)));
                !one_shares || picks.iter().map(own).sum::<u32>() != all
            }
        }
    }
}
