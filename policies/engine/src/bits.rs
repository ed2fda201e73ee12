//! Health beside the plan: atomics that probes and operators flip and every pick reads.
//!
//! Structure: one byte of causes for each endpoint (it serves when the byte is zero); for each pool
//! the number of its living ring points and endpoints, the points that are IPv6, and when that last
//! changed; for each region the share of its clients that it takes.
//! A change costs a few atomic operations for each pool of the endpoint and no compile. Readers use
//! relaxed loads: a pick may see a change a moment late, never half of one byte; the pools' sums are
//! adjusted exactly once for each change of a byte from or to zero, so they are right once writers
//! rest, whatever order they came in.

use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed};

use meridian_topology::model::Drain;
use meridian_topology::units::Ratio;
use meridian_topology::{EndpointIdx, RegionIdx};

use crate::plan::{Family, Plan};
use crate::world::{EndpointState, World};

/// The endpoint fails its checks.
const DOWN: u8 = 1;
/// An operator or the topology drains the endpoint.
const DRAINED: u8 = 2;
/// An operator or the topology drains its region.
const REGION_DRAINED: u8 = 4;

/// One living endpoint in [`HealthBits::live`].
const MEMBER: u64 = 1 << 32;

/// What works right now; see the module's comment.
#[derive(Debug)]
pub struct HealthBits {
    causes: Box<[AtomicU8]>,
    /// By pool: living endpoints above, their ring points below ([`MEMBER`]): one load gives both.
    live: Box<[AtomicU64]>,
    /// By pool: living ring points of IPv6 endpoints.
    live_v6_points: Box<[AtomicU32]>,
    /// By pool: Unix seconds of the last change, 0 for none.
    changed: Box<[AtomicU32]>,
    /// 0 to 65,535, the whole.
    ramps: Box<[AtomicU16]>,
}

impl HealthBits {
    /// The state of `world` for a plan compiled from the same topology.
    #[must_use]
    pub fn new(plan: &Plan, world: &World) -> Self {
        let topology = &world.topology;
        let regions = &topology.regions;
        let bits = Self {
            causes: (0..plan.endpoint_regions.len())
                .map(|_| AtomicU8::new(0))
                .collect(),
            live: plan
                .pools
                .iter()
                .map(|pool| {
                    AtomicU64::new(u64::from(pool.members) * MEMBER + u64::from(pool.points))
                })
                .collect(),
            live_v6_points: plan
                .pools
                .iter()
                .map(|pool| AtomicU32::new(pool.points_v6))
                .collect(),
            changed: plan.pools.iter().map(|_| AtomicU32::new(0)).collect(),
            ramps: regions.iter().map(|_| AtomicU16::new(u16::MAX)).collect(),
        };
        for (at, region) in regions.iter().enumerate() {
            let region_idx = RegionIdx(at as u16);
            if region.drain.is_draining() || world.admin.drained_regions.contains(&region.id) {
                bits.set_region_drain(plan, region_idx, Drain::Draining);
            }
            if let Some(ramp) = world.health.ramp.get(&region.id) {
                bits.set_region_ramp(region_idx, *ramp);
            }
        }
        for (at, endpoint) in topology.endpoints.iter().enumerate() {
            let endpoint_idx = EndpointIdx(at as u32);
            if endpoint.drain.is_draining() || world.admin.drained_endpoints.contains(&endpoint.id)
            {
                bits.set_endpoint_drain(plan, endpoint_idx, Drain::Draining);
            }
            if world.health.down.contains(&endpoint.id) {
                bits.set_endpoint(plan, endpoint_idx, EndpointState::Down);
            }
            if let Some(at) = world.health.changed.get(&endpoint.id) {
                bits.note_change(plan, endpoint_idx, *at);
            }
        }
        bits
    }

    /// Records an endpoint's health.
    pub fn set_endpoint(&self, plan: &Plan, endpoint: EndpointIdx, state: EndpointState) {
        self.set_cause(plan, endpoint, DOWN, state == EndpointState::Down);
    }

    /// Records that an endpoint's health changed at a time: answers that depend on its pools are kept
    /// for no longer than that is ago ([`crate::plan::Picked::changed_unix_seconds`]).
    pub fn note_change(&self, plan: &Plan, endpoint: EndpointIdx, unix_seconds: u32) {
        for pool in plan.rings.pools_of(endpoint) {
            self.changed[*pool as usize].fetch_max(unix_seconds, Relaxed);
        }
    }

    /// Drains an endpoint or puts it back.
    pub fn set_endpoint_drain(&self, plan: &Plan, endpoint: EndpointIdx, drain: Drain) {
        self.set_cause(plan, endpoint, DRAINED, drain == Drain::Draining);
    }

    /// Drains a region or puts it back.
    pub fn set_region_drain(&self, plan: &Plan, region: RegionIdx, drain: Drain) {
        for (at, of) in plan.endpoint_regions.iter().enumerate() {
            if *of == region {
                self.set_cause(
                    plan,
                    EndpointIdx(at as u32),
                    REGION_DRAINED,
                    drain == Drain::Draining,
                );
            }
        }
    }

    /// Sets the share of its clients that a region on its way back takes.
    pub fn set_region_ramp(&self, region: RegionIdx, share: Ratio) {
        if let Some(ramp) = self.ramps.get(region.index()) {
            ramp.store((share.get() * f64::from(u16::MAX)).round() as u16, Relaxed);
        }
    }

    /// Whether an endpoint takes new clients.
    #[inline]
    #[must_use]
    pub fn is_available(&self, endpoint: EndpointIdx) -> bool {
        self.cause(endpoint) == 0
    }

    /// Whether an endpoint would take new clients if it were healthy.
    #[inline]
    pub(crate) fn is_in_service(&self, endpoint: EndpointIdx) -> bool {
        self.cause(endpoint) & !DOWN == 0
    }

    /// Living ring points of a pool.
    #[inline]
    pub(crate) fn live_points(&self, pool: u32) -> u32 {
        self.live(pool).0
    }

    /// Living ring points of a pool, and how many endpoints they are of.
    #[inline]
    pub(crate) fn live(&self, pool: u32) -> (u32, u32) {
        let live = self.live.get(pool as usize);
        let live = live.map_or(0, |live| live.load(Relaxed));
        (live as u32, (live >> 32) as u32)
    }

    /// Living ring points of a pool's endpoints of one family.
    #[inline]
    pub(crate) fn live_points_of(&self, pool: u32, family: Family) -> u32 {
        let v6 = self.live_v6_points.get(pool as usize);
        let v6 = v6.map_or(0, |points| points.load(Relaxed));
        match family {
            // Read one after the other: a change between may make the difference negative.
            Family::V4 => self.live_points(pool).saturating_sub(v6),
            Family::V6 => v6,
        }
    }

    /// When a pool's health last changed, in Unix seconds; 0 is never.
    #[inline]
    pub(crate) fn changed(&self, pool: u32) -> u32 {
        let changed = self.changed.get(pool as usize);
        changed.map_or(0, |at| at.load(Relaxed))
    }

    /// The share of its clients that a region takes, of 65,535.
    #[inline]
    pub(crate) fn ramp(&self, region: RegionIdx) -> u16 {
        self.ramps
            .get(region.index())
            .map_or(u16::MAX, |ramp| ramp.load(Relaxed))
    }

    #[inline]
    fn cause(&self, endpoint: EndpointIdx) -> u8 {
        self.causes
            .get(endpoint.index())
            .map_or(DOWN, |causes| causes.load(Relaxed))
    }

    fn set_cause(&self, plan: &Plan, endpoint: EndpointIdx, cause: u8, present: bool) {
        let Some(causes) = self.causes.get(endpoint.index()) else {
            return;
        };
        let (before, after) = if present {
            let before = causes.fetch_or(cause, Relaxed);
            (before, before | cause)
        } else {
            let before = causes.fetch_and(!cause, Relaxed);
            (before, before & !cause)
        };
        if (before == 0) == (after == 0) {
            return;
        }
        let points = plan.endpoint_points[endpoint.index()];
        let of_v6 = match plan.endpoint_families[endpoint.index()] {
            Family::V4 => 0,
            Family::V6 => points,
        };
        let one = MEMBER + u64::from(points);
        for pool in plan.rings.pools_of(endpoint) {
            let (live, live_v6) = (
                &self.live[*pool as usize],
                &self.live_v6_points[*pool as usize],
            );
            if after == 0 {
                live.fetch_add(one, Relaxed);
                live_v6.fetch_add(of_v6, Relaxed);
            } else {
                live.fetch_sub(one, Relaxed);
                live_v6.fetch_sub(of_v6, Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests;
