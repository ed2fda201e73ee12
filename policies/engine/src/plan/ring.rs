//! Hash rings: which endpoint of a pool a client gets.
//!
//! Each endpoint has points on a ring of 2³² places, [`POINTS_PER_DEFAULT_WEIGHT`] at the default
//! weight and in proportion otherwise. A client's key gives [`PROBES`] places; the point that follows
//! any of them most closely wins (multi-probe consistent hashing, Appleton and O'Reilly,
//! arXiv:1505.00062, here with several points for each endpoint so that weights work). A point whose
//! endpoint is down is stepped over, which gives exactly the endpoint that a ring built without it
//! would give: nobody moves who does not have to, and nobody moves twice.
//!
//! Balance: with v points and k probes the share of an endpoint varies by about
//! 1/√v · √(Var[k/(k-1)·(1-e^-(k-1)g)]), g exponential: 5.6 % for v = 64 and k = 3, against 12.5 % for
//! one probe.
//!
//! Structure: one ring for each region, which its pools share. A pool of a part of the region's
//! endpoints has a mask and steps over the others like over the dead; only a pool of less than one in
//! [`SHARED_MIN`] of the points gets a ring of its own, and a pool of one endpoint needs none. The sorted points of all rings lie in one
//! vector; for each ring there is an index from the top bits
//! of a place to the first point there, about one entry for every two points, so that finding a
//! successor is two loads and a short scan. A scan over dead points is bounded by one turn of the
//! ring and takes on average one step for each living share (a pool with 1 of 1,000 alive: 1,000).

use meridian_topology::{EndpointIdx, RegionIdx};

use super::family::Family;
use crate::hash::{ClientKey, draw};

/// Points of an endpoint with the default weight of 100.
pub const POINTS_PER_DEFAULT_WEIGHT: u32 = 64;
/// Places at which a key looks for an endpoint.
pub const PROBES: usize = 3;

/// A pool shares its region's ring when at least one in this many points is its own, so that it steps
/// over few others.
const SHARED_MIN: usize = 4;
/// The mask of a pool that has the whole ring.
const NO_MASK: usize = usize::MAX;

/// How many points a weight is worth: in proportion, at least one unless the weight is zero.
pub(crate) const fn points_of(weight: u16) -> u32 {
    if weight == 0 {
        return 0;
    }
    let points = weight as u32 * POINTS_PER_DEFAULT_WEIGHT / 100;
    if points == 0 { 1 } else { points }
}

/// A place on the ring and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Point {
    pub place: u32,
    pub endpoint: u32,
}

/// Where a ring's points and index lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ring {
    /// `place >> shift` is a position in the index.
    shift: u8,
    points: u32,
    first_point: usize,
    first_bucket: usize,
}

/// The endpoints of a region that may serve under some requirement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pool {
    pub region: RegionIdx,
    /// How many points the pool has: the sum over its endpoints.
    pub points: u32,
    /// Those of them that are of IPv6 endpoints.
    pub points_v6: u32,
    pub members: u32,
    first_member: usize,
    ring: Ring,
    /// Where the pool's mask begins, or [`NO_MASK`]; bit 0 is `base`.
    mask: usize,
    base: u32,
}

/// The points of all pools; see the module's comment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rings {
    points: Vec<Point>,
    buckets: Vec<u32>,
    members: Vec<u32>,
    masks: Vec<u64>,
    /// For each endpoint, where its pools begin in `pools_of`; one more at the end.
    first_pool_of: Vec<u32>,
    pools_of: Vec<u32>,
}

impl Rings {
    /// The endpoints of a pool, in the topology's order.
    pub fn members(&self, pool: &Pool) -> impl Iterator<Item = EndpointIdx> + '_ {
        let end = pool.first_member + pool.members as usize;
        self.members[pool.first_member..end]
            .iter()
            .copied()
            .map(EndpointIdx)
    }

    /// The pools that an endpoint is in.
    pub fn pools_of(&self, endpoint: EndpointIdx) -> &[u32] {
        match self
            .first_pool_of
            .get(endpoint.index()..endpoint.index() + 2)
        {
            Some(&[first, end]) => &self.pools_of[first as usize..end as usize],
            _ => &[],
        }
    }

    /// The endpoint of a key among those that `alive` admits; `None` when it admits none.
    #[inline]
    pub fn find(
        &self,
        pool: &Pool,
        key: ClientKey,
        alive: impl Fn(EndpointIdx) -> bool,
    ) -> Option<EndpointIdx> {
        if pool.members == 1 {
            let only = EndpointIdx(self.members[pool.first_member]);
            return alive(only).then_some(only);
        }
        let ring = &pool.ring;
        let points = &self.points[ring.first_point..ring.first_point + ring.points as usize];
        let alive = |endpoint: EndpointIdx| self.has(pool, endpoint) && alive(endpoint);
        let (a, b) = (draw(key.0, 0), draw(key.0, 1));
        let places: [u32; PROBES] = [a as u32, (a >> 32) as u32, b as u32];
        // All first loads before the first use: three cache misses side by side, not in a row.
        let starts = places
            .map(|place| self.buckets[ring.first_bucket + (place >> ring.shift) as usize] as usize);
        let mut best: Option<(u32, EndpointIdx)> = None;
        for (place, start) in places.into_iter().zip(starts) {
            let nearest = best.map_or(u32::MAX, |(distance, _)| distance);
            let found = successor(points, place, start, nearest, &alive);
            if found.is_some_and(|(distance, _)| best.is_none() || distance < nearest) {
                best = found;
            }
        }
        best.map(|(_, endpoint)| endpoint)
    }

    /// Whether an endpoint of the pool's ring is in the pool.
    #[inline]
    fn has(&self, pool: &Pool, endpoint: EndpointIdx) -> bool {
        if pool.mask == NO_MASK {
            return true;
        }
        let bit = (endpoint.0 - pool.base) as usize;
        self.masks[pool.mask + bit / 64] >> (bit % 64) & 1 == 1
    }

    /// Memory held, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.points.capacity() * size_of::<Point>()
            + self.masks.capacity() * size_of::<u64>()
            + size_of::<u32>()
                * (self.buckets.capacity()
                    + self.members.capacity()
                    + self.first_pool_of.capacity()
                    + self.pools_of.capacity())
    }
}

/// The first living point at or after `place`, no farther than `limit`, and how far it is.
#[inline]
fn successor(
    points: &[Point],
    place: u32,
    start: usize,
    limit: u32,
    alive: &impl Fn(EndpointIdx) -> bool,
) -> Option<(u32, EndpointIdx)> {
    let mut at = start;
    while points.get(at).is_some_and(|point| point.place < place) {
        at += 1;
    }
    for _ in 0..points.len() {
        if at == points.len() {
            at = 0;
        }
        let point = points[at];
        let distance = point.place.wrapping_sub(place);
        if distance > limit {
            return None;
        }
        if alive(EndpointIdx(point.endpoint)) {
            return Some((distance, EndpointIdx(point.endpoint)));
        }
        at += 1;
    }
    None
}

/// Adds pools region by region; see [`RingBuilder::region`].
pub(crate) struct RingBuilder {
    rings: Rings,
    pools: Vec<Pool>,
    /// The current region's endpoints, in order, and how many points they have.
    region_members: Vec<Member>,
    all_points: usize,
    /// Those points, sorted, once a pool has needed them.
    region_points: Vec<Point>,
    scratch: Vec<Point>,
    counts: Vec<u32>,
    /// The current region's ring, once a pool has needed it.
    shared: Option<Ring>,
    /// First and last endpoint of the current region.
    span: (u32, u32),
    /// Points of each endpoint of the topology, as far as its region was reached.
    endpoint_points: Vec<u32>,
    /// Those that are IPv6 points.
    endpoint_points_v6: Vec<u32>,
}

/// An endpoint as the ring sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub endpoint: EndpointIdx,
    /// Hash of its id: the seed of its points.
    pub seed: u64,
    pub weight: u16,
    pub family: Family,
}

impl RingBuilder {
    pub fn new(endpoints: usize) -> Self {
        Self {
            rings: Rings::default(),
            pools: Vec::new(),
            region_members: Vec::new(),
            all_points: 0,
            region_points: Vec::new(),
            scratch: Vec::new(),
            counts: Vec::new(),
            shared: None,
            span: (0, 0),
            endpoint_points: vec![0; endpoints],
            endpoint_points_v6: vec![0; endpoints],
        }
    }

    /// Begins a region: its points are made and sorted once, each of its pools takes a part.
    pub fn region(&mut self, members: impl Iterator<Item = Member>) {
        self.region_members.clear();
        self.region_points.clear();
        self.all_points = 0;
        self.shared = None;
        self.span = (u32::MAX, 0);
        for member in members {
            let points = points_of(member.weight);
            self.endpoint_points[member.endpoint.index()] = points;
            if member.family == Family::V6 {
                self.endpoint_points_v6[member.endpoint.index()] = points;
            }
            self.all_points += points as usize;
            self.span.0 = self.span.0.min(member.endpoint.0);
            self.span.1 = self.span.1.max(member.endpoint.0);
            self.region_members.push(member);
        }
    }

    /// Makes and sorts the region's points, once somebody needs them.
    fn make_points(&mut self) {
        if self.region_points.len() == self.all_points {
            return;
        }
        self.scratch.clear();
        let members = self.region_members.iter().copied();
        self.scratch.extend(members.flat_map(points));
        self.sort_scratch();
    }

    /// Sorts the scratch into the region's points: places are hashes, so spreading them by their top
    /// bits leaves about two to a bucket, which an insertion sort finishes.
    fn sort_scratch(&mut self) {
        let shift = bucket_shift(self.scratch.len());
        self.counts.clear();
        self.counts.resize(bucket_count(shift) + 1, 0);
        for point in &self.scratch {
            self.counts[(point.place >> shift) as usize + 1] += 1;
        }
        for at in 1..self.counts.len() {
            self.counts[at] += self.counts[at - 1];
        }
        self.region_points.clear();
        self.region_points.resize(
            self.scratch.len(),
            Point {
                place: 0,
                endpoint: 0,
            },
        );
        for point in &self.scratch {
            let slot = &mut self.counts[(point.place >> shift) as usize];
            self.region_points[*slot as usize] = *point;
            *slot += 1;
        }
        for at in 1..self.region_points.len() {
            let point = self.region_points[at];
            let mut to = at;
            while to > 0 && self.region_points[to - 1] > point {
                self.region_points[to] = self.region_points[to - 1];
                to -= 1;
            }
            self.region_points[to] = point;
        }
    }

    /// Adds a pool of the current region; `members` are endpoints of it in the topology's order.
    pub fn pool(&mut self, region: RegionIdx, members: &[u32]) {
        let own = |member: &u32| self.endpoint_points[*member as usize];
        let points: u32 = members.iter().map(own).sum();
        let of_v6 = |member: &u32| self.endpoint_points_v6[*member as usize];
        let points_v6: u32 = members.iter().map(of_v6).sum();
        let all = self.all_points;
        let (ring, mask) = if members.len() == 1 {
            // Nothing to choose, so no ring: a tenant's machines cost bytes, not kilobytes.
            (Ring::default(), NO_MASK)
        } else if points as usize == all {
            (self.shared_ring(), NO_MASK)
        } else if points as usize * SHARED_MIN >= all {
            (self.shared_ring(), self.push_mask(members))
        } else {
            (self.own_ring(members), NO_MASK)
        };
        self.pools.push(Pool {
            region,
            points,
            points_v6,
            members: members.len() as u32,
            first_member: self.rings.members.len(),
            ring,
            mask,
            base: self.span.0,
        });
        self.rings.members.extend_from_slice(members);
    }

    fn push_mask(&mut self, members: &[u32]) -> usize {
        let (base, last) = self.span;
        let mask = self.rings.masks.len();
        self.rings
            .masks
            .resize(mask + (last - base) as usize / 64 + 1, 0);
        for member in members {
            let bit = (member - base) as usize;
            self.rings.masks[mask + bit / 64] |= 1 << (bit % 64);
        }
        mask
    }

    fn shared_ring(&mut self) -> Ring {
        if let Some(ring) = self.shared {
            return ring;
        }
        self.make_points();
        let first_point = self.rings.points.len();
        self.rings.points.extend_from_slice(&self.region_points);
        let ring = self.index(first_point);
        self.shared = Some(ring);
        ring
    }

    /// A ring of a small part of the region: making its points anew costs less than sifting the
    /// region's.
    fn own_ring(&mut self, members: &[u32]) -> Ring {
        let first_point = self.rings.points.len();
        for endpoint in members {
            let known = &self.region_members;
            if let Ok(at) = known.binary_search_by_key(endpoint, |member| member.endpoint.0) {
                self.rings.points.extend(points(known[at]));
            }
        }
        self.rings.points[first_point..].sort_unstable();
        self.index(first_point)
    }

    /// Indexes the points from `first_point` to the end as a ring.
    fn index(&mut self, first_point: usize) -> Ring {
        let points = &self.rings.points[first_point..];
        let shift = bucket_shift(points.len());
        let first_bucket = self.rings.buckets.len();
        let mut at = 0_u32;
        for bucket in 0..bucket_count(shift) {
            let before = |point: &Point| ((point.place >> shift) as usize) < bucket;
            while points.get(at as usize).is_some_and(before) {
                at += 1;
            }
            self.rings.buckets.push(at);
        }
        Ring {
            shift,
            points: points.len() as u32,
            first_point,
            first_bucket,
        }
    }

    /// The pools in the order they were added, and their rings.
    pub fn finish(mut self) -> (Vec<Pool>, Rings) {
        let endpoints = self.endpoint_points.len();
        let mut first = vec![0_u32; endpoints + 1];
        for member in &self.rings.members {
            first[*member as usize + 1] += 1;
        }
        for at in 1..first.len() {
            first[at] += first[at - 1];
        }
        let mut next = first.clone();
        let mut pools_of = vec![0_u32; self.rings.members.len()];
        for (number, pool) in self.pools.iter().enumerate() {
            for member in &self.rings.members[pool.first_member..][..pool.members as usize] {
                let slot = &mut next[*member as usize];
                pools_of[*slot as usize] = number as u32;
                *slot += 1;
            }
        }
        self.rings.first_pool_of = first;
        self.rings.pools_of = pools_of;
        self.rings.points.shrink_to_fit();
        (self.pools, self.rings)
    }
}

/// The points of an endpoint.
fn points(member: Member) -> impl Iterator<Item = Point> {
    let endpoint = member.endpoint.0;
    (0..points_of(member.weight)).map(move |number| {
        let place = (draw(member.seed, u64::from(number)) >> 32) as u32;
        Point { place, endpoint }
    })
}

/// How far a place is shifted so that buckets have one to two points each.
fn bucket_shift(points: usize) -> u8 {
    let bits = (points / 2)
        .max(1)
        .next_power_of_two()
        .trailing_zeros()
        .clamp(1, 31);
    (u32::BITS - bits) as u8
}

/// How many buckets a shift leaves.
const fn bucket_count(shift: u8) -> usize {
    1 << (u32::BITS - shift as u32)
}

#[cfg(test)]
mod tests;
