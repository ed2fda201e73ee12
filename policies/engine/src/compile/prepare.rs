//! What a service's policy says before any single class is looked at.
//!
//! Which selectors apply differs from class to class, but only in a few ways: the set of those that
//! do is a bit mask, and everything here is made once for each mask that occurs.

use meridian_topology::model::{Cost, Region};
use meridian_topology::{RegionId, RegionIdx, ServiceIdx};

use super::context::Context;
use super::routes::PoolInterner;
use super::terms::{Term, score_per_ms, terms};
use super::walls::eligible;
use crate::class::ClientClass;
use crate::plan::ring::points_of;
use crate::plan::{Family, MAX_ROUTE};
use crate::policy::{Policy, Selector, SelectorKind, Split, Wall, WhenNone};
use crate::recorder::{Drop, Recorder, Stage};

/// Ranks below this are regions with a fixed share, when a policy has any.
const FIXED_SHARE_END: u32 = 1;
/// The rank of regions beyond their capacity: behind all others.
pub(super) const FULL: u32 = u32::MAX;
/// Headroom below which a region's part does not sink: a full region still takes a little, or its
/// load would swing between nothing and too much.
const MIN_HEADROOM: f64 = 0.01;
/// Bytes in a gibibyte, the unit of egress prices.
const GIB: f64 = (1_u64 << 30) as f64;

/// Which selectors apply to a class: `eligible` from bit 0, `score` behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Applied(pub u32);

impl Applied {
    /// Evaluates the conditions of all selectors.
    pub fn to(policy: &Policy, class: &ClientClass) -> Self {
        let conditions = policy.eligible.iter().map(|eligible| &eligible.when);
        let conditions = conditions.chain(policy.score.iter().map(|selector| &selector.when));
        let applied = conditions
            .enumerate()
            .filter(|(_, when)| when.applies(class));
        Self(applied.fold(0, |mask, (at, _)| mask | 1 << at))
    }

    /// Whether the selector with this number applies.
    pub fn has(self, selector: usize) -> bool {
        self.0 >> selector & 1 == 1
    }
}

/// A set of address families.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Families(u8);

impl Families {
    pub const fn of(family: Family) -> Self {
        Self(1 << family as u8)
    }

    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub const fn has(self, family: Family) -> bool {
        self.0 & Self::of(family).0 != 0
    }

    pub fn has_both(self) -> bool {
        Family::ALL.iter().all(|family| self.has(*family))
    }
}

/// A region that may serve.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub region: RegionIdx,
    pub pool: u32,
    /// Tier and priority: compared before the score.
    pub rank: u32,
    /// The part of the score that no class changes.
    pub fixed: f64,
    /// Whether the pool lived when this was compiled.
    pub live: bool,
    /// Families of its endpoints; of those that lived when this was compiled, if any did.
    pub families: Families,
    /// Its part when regions share by capacity or headroom, or its fixed share.
    pub share: f64,
}

/// Everything that no single class changes; see the module's comment.
pub(super) struct Prepared {
    pub candidates: Vec<Candidate>,
    pub terms: Vec<Term>,
    pub all_live: bool,
    /// The families of all candidates together.
    pub families: Families,
    /// How much worse than the best a region of the spread may be.
    pub margin: f64,
    /// How many candidates have a fixed share; they come first.
    pub fixed_shares: usize,
}

impl Prepared {
    pub fn new(
        context: &Context<'_>,
        service: ServiceIdx,
        policy: &Policy,
        applied: Applied,
        pools: &mut PoolInterner,
        recorder: &mut impl Recorder,
    ) -> Self {
        let mut eligible = eligible(context, service, policy, applied, recorder);
        record_health(context, policy, &eligible, recorder);
        let room = room(context, policy, applied, &mut eligible, recorder);
        recorder.stage(Stage::Score);
        let capacities_known = eligible
            .iter()
            .all(|(region, members)| capacity(context, *region, members).is_some());
        let mut candidates = Vec::with_capacity(eligible.len());
        for ((region, members), full) in eligible.iter().zip(room) {
            let fixed = fixed_score(context, policy, applied, *region, members, recorder);
            let fixed_share = policy
                .spread
                .weights
                .iter()
                .find(|(id, _)| *id == context.regions()[region.index()].id);
            let share = fixed_share.map_or_else(
                || {
                    share(
                        context,
                        policy.spread.split,
                        *region,
                        members,
                        capacities_known,
                    )
                },
                |(_, share)| f64::from(*share),
            );
            candidates.push(Candidate {
                region: *region,
                pool: pools.intern(*region, members),
                rank: if full {
                    FULL
                } else {
                    rank_of(context, policy, applied, *region, recorder)
                },
                fixed,
                live: is_live(context, policy, members),
                families: families(context, members),
                share,
            });
        }
        let fixed_shares = candidates
            .iter()
            .filter(|candidate| candidate.rank < FIXED_SHARE_END)
            .count();
        let has_first = firsts(policy, applied).next().is_some();
        Self {
            all_live: candidates.iter().all(|candidate| candidate.live),
            families: candidates
                .iter()
                .fold(Families::default(), |all, one| all.with(one.families)),
            candidates,
            terms: terms(context, policy, applied),
            margin: policy.spread.best_within.0 as f64 * score_per_ms(policy, applied),
            fixed_shares: if policy.spread.weights.is_empty() || has_first {
                0
            } else {
                fixed_shares
            },
        }
    }

    /// Whether a route of the best might have no endpoint of a family that the service has.
    pub fn may_lack_a_family(&self) -> bool {
        self.candidates.len() > MAX_ROUTE && self.families.has_both()
    }

    /// Adds everything that [`rank`](super::rank::rank) looks at, beside the policy and which of its
    /// selectors apply, to a shape's key. Pools are not part of it: a route names places among them.
    pub fn add_to(&self, policy: &Policy, key: &mut Vec<u64>) {
        // Every field is named, so that a new one cannot be forgotten here.
        let Self {
            candidates,
            terms: _,
            all_live,
            families: _,
            margin: _,
            fixed_shares,
        } = self;
        key.push(candidates.len() as u64);
        key.push(u64::from(*all_live) << 32 | *fixed_shares as u64);
        // Alone in a spread, or sharing by score, a region's own share decides nothing.
        let shares_matter =
            *fixed_shares > 0 || (policy.spread.at_most > 1 && policy.spread.split != Split::Score);
        for candidate in candidates {
            let Candidate {
                region,
                pool: _,
                rank,
                fixed,
                live,
                families,
                share,
            } = candidate;
            let families = if self.may_lack_a_family() {
                u64::from(families.0)
            } else {
                0
            };
            let head = families << 49
                | u64::from(region.0) << 33
                | u64::from(*rank) << 1
                | u64::from(*live);
            let share = if shares_matter {
                share.to_bits()
            } else {
                u64::from(*share > 0.0)
            };
            key.extend([head, fixed.to_bits(), share]);
        }
    }
}

/// The families of a pool's available endpoints; of all when none is.
fn families(context: &Context<'_>, members: &[u32]) -> Families {
    let endpoints = &context.world.topology.endpoints;
    let of = |found: Families, member: &u32| {
        found.with(Families::of(Family::of(
            endpoints[*member as usize].address,
        )))
    };
    let available = members
        .iter()
        .filter(|member| context.available[**member as usize])
        .fold(Families::default(), of);
    if available == Families::default() {
        members.iter().fold(available, of)
    } else {
        available
    }
}

fn live_members(context: &Context<'_>, members: &[u32]) -> u32 {
    members
        .iter()
        .filter(|member| context.available[**member as usize])
        .count() as u32
}

/// Whether the living share (by weight, as the pick counts it) reaches the threshold.
fn is_live(context: &Context<'_>, policy: &Policy, members: &[u32]) -> bool {
    let endpoints = &context.world.topology.endpoints;
    let points = |member: &u32| points_of(endpoints[*member as usize].weight.0);
    let all: u32 = members.iter().map(points).sum();
    let alive = members
        .iter()
        .filter(|member| context.available[**member as usize]);
    let live: u32 = alive.map(points).sum();
    live > 0
        && f64::from(live) >= f64::from(all) * policy.failover.panic_threshold.get()
        && live_members(context, members) >= min_live(policy, members)
}

/// The fewest living endpoints with which a pool counts as alive.
fn min_live(policy: &Policy, members: &[u32]) -> u32 {
    u32::from(policy.failover.min_live).min(members.len() as u32)
}

fn record_health(
    context: &Context<'_>,
    policy: &Policy,
    eligible: &[(RegionIdx, Vec<u32>)],
    recorder: &mut impl Recorder,
) {
    recorder.stage(Stage::Healthy);
    for (region, members) in eligible {
        if is_live(context, policy, members) {
            recorder.keep(*region);
            continue;
        }
        let id = &context.regions()[region.index()].id;
        let by_topology = context.regions()[region.index()].drain.is_draining();
        if by_topology || context.world.admin.drained_regions.contains(id) {
            recorder.drop(*region, Drop::Drained);
        } else {
            let live = live_members(context, members);
            recorder.drop(
                *region,
                Drop::Dead {
                    live,
                    of: members.len() as u32,
                    min: min_live(policy, members),
                },
            );
        }
    }
}

/// Whether each eligible region is full; full ones stay only as a last resort.
fn room(
    context: &Context<'_>,
    policy: &Policy,
    applied: Applied,
    eligible: &mut Vec<(RegionIdx, Vec<u32>)>,
    recorder: &mut impl Recorder,
) -> Vec<bool> {
    recorder.stage(Stage::Room);
    let max = selectors(policy, applied)
        .filter_map(|selector| match selector.kind {
            SelectorKind::Capacity { max, .. } => Some(max.get()),
            _ => None,
        })
        .fold(f64::INFINITY, f64::min);
    let mut full = Vec::with_capacity(eligible.len());
    eligible.retain(|(region, _)| {
        let utilization = utilization(context, *region);
        let is_full = utilization >= max;
        if is_full {
            recorder.drop(*region, Drop::Full { utilization, max });
        } else {
            recorder.keep(*region);
        }
        let stays = !is_full || policy.when_none == WhenNone::LastResort;
        if stays {
            full.push(is_full);
        }
        stays
    });
    full
}

fn utilization(context: &Context<'_>, region: RegionIdx) -> f64 {
    let id = &context.regions()[region.index()].id;
    let utilization = context
        .world
        .load
        .utilization
        .get(id)
        .copied()
        .unwrap_or(0.0);
    // A world invented by a test or a broken reporter may hold NaN: count it as idle.
    if utilization.is_finite() {
        utilization.max(0.0)
    } else {
        0.0
    }
}

/// The score's selectors that apply.
pub(super) fn selectors(policy: &Policy, applied: Applied) -> impl Iterator<Item = &Selector> {
    let first = policy.eligible.len();
    let all = policy.score.iter().enumerate();
    all.filter(move |(at, _)| applied.has(first + at))
        .map(|(_, selector)| selector)
}

/// The part of a region's score that no class changes.
fn fixed_score(
    context: &Context<'_>,
    policy: &Policy,
    applied: Applied,
    region_idx: RegionIdx,
    members: &[u32],
    recorder: &mut impl Recorder,
) -> f64 {
    let region = &context.regions()[region_idx.index()];
    let mut score = 0.0;
    for (at, eligible) in policy.eligible.iter().enumerate() {
        if let Wall::Provider { prefer, weight, .. } = &eligible.wall
            && applied.has(at)
            && !prefer.is_empty()
        {
            let position = prefer.iter().position(|p| *p == region.location.provider);
            let penalty = position.map_or(1.0, |position| position as f64 / prefer.len() as f64);
            recorder.score(region_idx, "provider", penalty, *weight, weight * penalty);
            score += weight * penalty;
        }
    }
    for selector in selectors(policy, applied) {
        let (value, penalty) = match &selector.kind {
            SelectorKind::Cost {
                response_bytes,
                scale,
            } => {
                let usd = usd_per_million(context, region, members, *response_bytes);
                (usd, usd / scale.get())
            }
            SelectorKind::Capacity { target, max } => {
                let value = utilization(context, region_idx);
                let over = (value - target.get()) / (max.get() - target.get());
                (value, over.clamp(0.0, 1.0))
            }
            SelectorKind::Daytime { from, to } => {
                let longitude = region.location.coordinates.longitude();
                let hour = context.world.time.solar_hour(longitude);
                (hour, hours_outside(hour, *from, *to) / 12.0)
            }
            SelectorKind::Performance { .. } | SelectorKind::Geographic { .. } => continue,
        };
        let contribution = selector.weight * penalty;
        recorder.score(
            region_idx,
            selector.kind.name(),
            value,
            selector.weight,
            contribution,
        );
        score += contribution;
    }
    score
}

/// Hours from a solar hour to the nearer end of a window, 0 inside it.
fn hours_outside(hour: f64, from: f64, to: f64) -> f64 {
    let since_from = (hour - from).rem_euclid(24.0);
    let window = (to - from).rem_euclid(24.0);
    // Equal ends, as in 00:00 to 24:00, are the whole day.
    if window == 0.0 || since_from <= window {
        return 0.0;
    }
    (since_from - window).min(24.0 - since_from)
}

/// What a million requests cost at a pool: endpoints' own prices count by weight.
fn usd_per_million(
    context: &Context<'_>,
    region: &Region,
    members: &[u32],
    response_bytes: u64,
) -> f64 {
    let gib = 1e6 * response_bytes as f64 / GIB;
    let price = |cost: &Cost| cost.request.get() + cost.egress.get() * gib;
    let of_region = price(&region.cost);
    let endpoints = members
        .iter()
        .map(|at| &context.world.topology.endpoints[*at as usize]);
    let (sum, weights) = endpoints.fold((0.0, 0.0), |(sum, weights), endpoint| {
        let own = endpoint.cost.as_ref().map_or(of_region, price);
        let weight = f64::from(endpoint.weight.0);
        (sum + own * weight, weights + weight)
    });
    sum / weights
}

/// The regions that rules name first for the clients they apply to, in order.
fn firsts(policy: &Policy, applied: Applied) -> impl Iterator<Item = &RegionId> {
    let rules = policy.eligible.iter().enumerate();
    let first = rules.filter_map(move |(at, eligible)| match &eligible.wall {
        Wall::Regions { first, .. } if applied.has(at) => Some(first),
        _ => None,
    });
    first.flatten()
}

/// The regions that rules name first, in order; then those with a fixed share; then by tier, then by
/// priority.
fn rank_of(
    context: &Context<'_>,
    policy: &Policy,
    applied: Applied,
    region_idx: RegionIdx,
    recorder: &mut impl Recorder,
) -> u32 {
    let region = &context.regions()[region_idx.index()];
    let named = firsts(policy, applied).count() as u32;
    let place = firsts(policy, applied).position(|first| *first == region.id);
    if let Some(place) = place {
        recorder.score(region_idx, "first", (place + 1) as f64, 0.0, 0.0);
        return place as u32;
    }
    if policy.spread.weights.iter().any(|(id, _)| *id == region.id) {
        return named;
    }
    let tier = policy
        .tiers
        .iter()
        .position(|tier| tier.contains(&region.id));
    let tier = tier.unwrap_or(policy.tiers.len()) as u32;
    if !policy.tiers.is_empty() {
        recorder.score(region_idx, "tier", f64::from(tier + 1), 0.0, 0.0);
    }
    let behind_weights = u32::from(!policy.spread.weights.is_empty());
    named + behind_weights + (tier << 8 | u32::from(region.priority))
}

fn capacity(context: &Context<'_>, region: RegionIdx, members: &[u32]) -> Option<f64> {
    if let Some(capacity) = context.regions()[region.index()].capacity {
        return Some(capacity.get());
    }
    let endpoints = &context.world.topology.endpoints;
    members
        .iter()
        .map(|at| Some(endpoints[*at as usize].capacity?.get()))
        .sum()
}

/// A region's part of the clients: by capacity if all regions say theirs, else by their weights.
fn share(
    context: &Context<'_>,
    split: Split,
    region: RegionIdx,
    members: &[u32],
    capacities_known: bool,
) -> f64 {
    let endpoints = &context.world.topology.endpoints;
    let weights = || {
        members
            .iter()
            .map(|at| f64::from(endpoints[*at as usize].weight.0))
            .sum()
    };
    let size = || match capacity(context, region, members) {
        Some(capacity) if capacities_known => capacity,
        _ => weights(),
    };
    match split {
        Split::Equal | Split::Score => 1.0,
        Split::Capacity => size(),
        Split::Headroom => size() * (1.0 - utilization(context, region)).max(MIN_HEADROOM),
    }
}
