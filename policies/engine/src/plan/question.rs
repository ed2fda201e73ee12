//! The passes of one pick; see [`super::pick`].

use meridian_topology::{EndpointIdx, RegionIdx};

use super::family::Filter;
use super::pick::{Pick, Reason};
use super::{Entry, Plan, Route, ServicePlan};
use crate::bits::HealthBits;
use crate::hash::{ClientKey, draw};
use crate::policy::WhenNone;

/// After this many failed endpoints in one region a retry goes to another region.
const FAILURES_PER_REGION: usize = 2;
/// Separates the rendezvous of regions from the rings' probes.
const REGION_STREAM: u64 = 0x7265_6769_6f6e;
/// Separates ramps from rendezvous: who is admitted must not depend on who wins.
const RAMP_STREAM: u64 = 0x7261_6d70;

/// How far a pass relaxes health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    Healthy,
    Any,
    IgnoringHealth,
}

/// One question, as all passes see it.
pub(super) struct Question<'a, F> {
    pub plan: &'a Plan,
    pub service: &'a ServicePlan,
    pub route: &'a Route,
    /// What the route's places mean.
    pub pools: &'a [u32],
    pub key: ClientKey,
    pub bits: &'a HealthBits,
    pub excluded: &'a [EndpointIdx],
    pub filter: F,
}

impl<F: Filter> Question<'_, F> {
    #[inline]
    pub fn answer(&self) -> Option<Pick> {
        if self.excluded.len() >= FAILURES_PER_REGION {
            // Elsewhere first; when there is no elsewhere, whoever is left.
            let elsewhere = |region| self.failures_in(region) < FAILURES_PER_REGION;
            if let Some(pick) = self.passes(elsewhere) {
                return Some(pick);
            }
        }
        self.passes(|_| true)
    }

    /// The first pick of the passes among the regions that may be used.
    #[inline]
    pub fn passes(&self, may_use: impl Fn(RegionIdx) -> bool + Copy) -> Option<Pick> {
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
            Pass::Healthy => {
                self.is_live(entry) && self.ramp_admits(entry) && self.has_living(entry)
            }
            Pass::Any => self.filter.live_points(self.bits, self.pool(entry)) > 0,
            Pass::IgnoringHealth => {
                let pool = &self.plan.pools[self.pool(entry) as usize];
                self.plan.rings.members(pool).any(|member| {
                    self.bits.is_in_service(member) && self.filter.admits(self.plan, member)
                })
            }
        }
    }

    /// Whether a living pool has somebody for this question.
    fn has_living(&self, entry: &Entry) -> bool {
        !F::FILTERS || self.filter.live_points(self.bits, self.pool(entry)) > 0
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
            serves && !self.excluded.contains(&endpoint) && self.filter.admits(self.plan, endpoint)
        })
    }

    fn pick(&self, pass: Pass, at: usize, endpoint: EndpointIdx, region_share: f32) -> Pick {
        let number = self.pool(&self.route.entries[at]);
        let pool = &self.plan.pools[number as usize];
        let points = match pass {
            Pass::Healthy | Pass::Any => self.filter.live_points(self.bits, number).max(1),
            Pass::IgnoringHealth => self.filter.points(pool),
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
