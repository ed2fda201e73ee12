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
//! The propensity of a pick is the probability that a client of this class with a random key gets
//! this endpoint: the region's share of the admitted spread × the endpoint's share of the pool's
//! living points. It takes ramps as a factor of the weights and the ring as perfectly balanced, so it
//! is within about 6 % (the ring's spread) of the truth.

use meridian_topology::{EndpointIdx, RegionIdx, ServiceIdx};
use serde::{Deserialize, Serialize};

use super::{Entry, Plan, Route, ServicePlan};
use crate::bits::HealthBits;
use crate::class::ClassId;
use crate::hash::{ClientKey, draw};
use crate::policy::WhenNone;

/// Most endpoints in one answer ([`Plan::pick_many`]).
pub const MAX_ANSWERS: usize = 8;
/// After this many failed endpoints in one region a retry goes to another region.
const FAILURES_PER_REGION: usize = 2;
/// Separates the rendezvous of regions from the rings' probes.
const REGION_STREAM: u64 = 0x7265_6769_6f6e;
/// Separates ramps from rendezvous: who is admitted must not depend on who wins.
const RAMP_STREAM: u64 = 0x7261_6d70;

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

/// How far a pass relaxes health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    Healthy,
    Any,
    IgnoringHealth,
}

/// One question, as all passes see it.
struct Question<'a> {
    plan: &'a Plan,
    service: &'a ServicePlan,
    route: &'a Route,
    /// What the route's places mean.
    pools: &'a [u32],
    key: ClientKey,
    bits: &'a HealthBits,
    excluded: &'a [EndpointIdx],
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
        let Some(route) = self.route(service, class) else {
            return 0;
        };
        let service = &self.services[service.index()];
        let pools = self.pools_of(service, route);
        let mut taken = [EndpointIdx(0); MAX_ANSWERS];
        let mut found = 0;
        let mut laxest = 0;
        for slot in out.iter_mut().take(MAX_ANSWERS) {
            let excluded = &taken[..found];
            let question = Question {
                plan: self,
                service,
                route,
                pools,
                key,
                bits,
                excluded,
            };
            let Some(pick) = question.answer_without_leaving() else {
                break;
            };
            if found == 0 {
                laxest = laxity(pick.reason);
            } else if laxity(pick.reason) > laxest {
                break;
            }
            *slot = pick;
            taken[found] = pick.endpoint;
            found += 1;
        }
        found
    }

    /// Whether a region where clients of this class may go is coming back: its ramp admits some of
    /// them and refuses others.
    #[must_use]
    pub fn is_ramping(&self, service: ServiceIdx, class: ClassId, bits: &HealthBits) -> bool {
        self.route(service, class).is_some_and(|route| {
            let pools = self.pools_of(&self.services[service.index()], route);
            let pool = |entry: &Entry| &self.pools[pools[usize::from(entry.place)] as usize];
            route.entries[..usize::from(route.normal)]
                .iter()
                .any(|entry| bits.ramp(pool(entry).region) != u16::MAX)
        })
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

impl Question<'_> {
    fn answer(&self) -> Option<Pick> {
        if self.excluded.len() >= FAILURES_PER_REGION {
            // Elsewhere first; when there is no elsewhere, whoever is left.
            let elsewhere = |region| self.failures_in(region) < FAILURES_PER_REGION;
            if let Some(pick) = self.passes(elsewhere) {
                return Some(pick);
            }
        }
        self.answer_without_leaving()
    }

    fn answer_without_leaving(&self) -> Option<Pick> {
        self.passes(|_| true)
    }

    fn passes(&self, may_use: impl Fn(RegionIdx) -> bool + Copy) -> Option<Pick> {
        if self.enough_regions_live()
            && let Some(pick) = self.pass(Pass::Healthy, may_use)
        {
            return Some(pick);
        }
        if let Some(pick) = self.pass(Pass::Any, may_use) {
            return Some(pick);
        }
        match self.service.when_none {
            WhenNone::IgnoreHealth => self.pass(Pass::IgnoringHealth, may_use),
            _ => None,
        }
    }

    fn failures_in(&self, region: RegionIdx) -> usize {
        let of = |endpoint: &EndpointIdx| self.plan.endpoint_regions.get(endpoint.index());
        self.excluded
            .iter()
            .filter(|endpoint| of(endpoint) == Some(&region))
            .count()
    }

    /// With fewer living regions than the policy wants, thresholds hold nobody back.
    fn enough_regions_live(&self) -> bool {
        let wanted = usize::from(self.service.min_live_regions);
        if wanted <= 1 {
            return true;
        }
        let normal = &self.route.entries[..usize::from(self.route.normal)];
        let live = normal
            .iter()
            .filter(|entry| self.is_live(entry))
            .take(wanted)
            .count();
        self.service.enough_live(live, normal.len())
    }

    fn pass(&self, pass: Pass, may_use: impl Fn(RegionIdx) -> bool) -> Option<Pick> {
        let route = self.route;
        let len = match pass {
            Pass::Healthy => route.normal,
            Pass::Any | Pass::IgnoringHealth => route.len,
        };
        let spread = usize::from(route.spread.min(len));
        let mut admitted = [false; super::MAX_ROUTE];
        // The share of the clients that the ramps on the way refuse, as they refuse this one.
        let mut refused_share = 1.0_f32;
        for (at, entry) in route.entries[..spread].iter().enumerate() {
            admitted[at] = may_use(self.region(entry)) && self.admits(pass, entry);
        }
        let total: f32 = (0..spread)
            .filter(|at| admitted[*at])
            .map(|at| self.share(at))
            .sum();
        while let Some(at) = self.winner(&admitted[..spread]) {
            if let Some(endpoint) = self.endpoint(pass, at) {
                let share = if total > 0.0 {
                    self.share(at) / total
                } else {
                    1.0
                };
                return Some(self.pick(pass, at, endpoint, share));
            }
            admitted[at] = false;
        }
        for at in 0..usize::from(len) {
            let entry = &route.entries[at];
            if at >= spread
                && may_use(self.region(entry))
                && self.admits(pass, entry)
                && let Some(endpoint) = self.endpoint(pass, at)
            {
                return Some(self.pick(pass, at, endpoint, refused_share));
            }
            if pass == Pass::Healthy && self.is_live(entry) && !self.ramp_admits(entry) {
                refused_share *= 1.0 - self.ramp_share(entry);
            }
        }
        None
    }

    /// The admitted entry of the spread that wins the key: weighted rendezvous, by the smallest
    /// -log(u)/weight (Schindelhauer and Schomaker 2005), in integers so that all machines agree.
    fn winner(&self, admitted: &[bool]) -> Option<usize> {
        let mut best: Option<(usize, u64, u64)> = None;
        for (at, _) in admitted
            .iter()
            .enumerate()
            .filter(|(_, admitted)| **admitted)
        {
            let entry = &self.route.entries[at];
            let weight = u64::from(entry.weight.max(1));
            let cost = u64::from(negative_log(self.region_draw(entry, REGION_STREAM)));
            // cost/weight < best_cost/best_weight, without dividing.
            if best.is_none_or(|(_, of, by)| cost * by < of * weight) {
                best = Some((at, cost, weight));
            }
        }
        best.map(|(at, ..)| at)
    }

    fn admits(&self, pass: Pass, entry: &Entry) -> bool {
        match pass {
            Pass::Healthy => self.is_live(entry) && self.ramp_admits(entry),
            Pass::Any => self.bits.live_points(self.pool(entry)) > 0,
            Pass::IgnoringHealth => self.plan.in_service(self.pool(entry), self.bits),
        }
    }

    fn is_live(&self, entry: &Entry) -> bool {
        self.service
            .counts_as_live(self.bits, self.pool(entry), &self.plan.pools)
    }

    fn ramp_admits(&self, entry: &Entry) -> bool {
        let ramp = self.bits.ramp(self.region(entry));
        ramp == u16::MAX || ((self.region_draw(entry, RAMP_STREAM) >> 48) as u16) < ramp
    }

    fn ramp_share(&self, entry: &Entry) -> f32 {
        f32::from(self.bits.ramp(self.region(entry))) / f32::from(u16::MAX)
    }

    /// An entry's weight in the spread, less what its ramp holds back.
    fn share(&self, at: usize) -> f32 {
        let entry = &self.route.entries[at];
        f32::from(entry.weight.max(1)) * self.ramp_share(entry).max(f32::EPSILON)
    }

    /// Position of an entry's pool in the plan.
    fn pool(&self, entry: &Entry) -> u32 {
        self.pools[usize::from(entry.place)]
    }

    fn region(&self, entry: &Entry) -> RegionIdx {
        self.plan.pools[self.pool(entry) as usize].region
    }

    fn region_draw(&self, entry: &Entry, stream: u64) -> u64 {
        let region = self.plan.region_hashes[self.region(entry).index()];
        draw(self.key.0 ^ region, stream)
    }

    fn endpoint(&self, pass: Pass, at: usize) -> Option<EndpointIdx> {
        let pool = &self.plan.pools[self.pool(&self.route.entries[at]) as usize];
        self.plan.rings.find(pool, self.key, |endpoint| {
            let serves = match pass {
                Pass::Healthy | Pass::Any => self.bits.is_available(endpoint),
                Pass::IgnoringHealth => self.bits.is_in_service(endpoint),
            };
            serves && !self.excluded.contains(&endpoint)
        })
    }

    fn pick(&self, pass: Pass, at: usize, endpoint: EndpointIdx, region_share: f32) -> Pick {
        let number = self.pool(&self.route.entries[at]);
        let pool = &self.plan.pools[number as usize];
        let points = match pass {
            Pass::Healthy | Pass::Any => self.bits.live_points(number).max(1),
            Pass::IgnoringHealth => pool.points,
        };
        let own = self.plan.endpoint_points[endpoint.index()] as f32;
        let normal = usize::from(self.route.normal);
        let reason = match pass {
            Pass::IgnoringHealth => Reason::IgnoringHealth,
            Pass::Any if at >= normal => Reason::LastResort,
            Pass::Any => Reason::Panic,
            Pass::Healthy if at >= usize::from(self.route.spread) => Reason::Failover,
            Pass::Healthy if self.route.spread == 1 => Reason::Best,
            Pass::Healthy => Reason::Spread,
        };
        Pick {
            endpoint,
            region: pool.region,
            propensity: (region_share * own / points as f32).min(1.0),
            reason,
        }
    }
}

/// -log2 of a uniform number, in 1/65,536: the integer part from the leading zeros, the fraction by
/// the line between powers of two (error below 0.09, the same on every machine).
#[inline]
fn negative_log(uniform: u64) -> u32 {
    let uniform = uniform | 1;
    let zeros = uniform.leading_zeros();
    // The 16 bits behind the leading one: how far between two powers of two.
    let fraction = ((uniform << zeros) << 1 >> 48) as u32;
    ((zeros + 1) << 16) - fraction
}
