//! Interning: equal pools and equal routes are stored once.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};

use meridian_topology::RegionIdx;

use crate::hash::mix;
use crate::plan::Route;

/// Pools by region and members.
#[derive(Default)]
pub(super) struct PoolInterner {
    ids: HashMap<(RegionIdx, Box<[u32]>), u32>,
    pools: Vec<(RegionIdx, Box<[u32]>)>,
}

impl PoolInterner {
    /// The number of a pool, new or known.
    pub fn intern(&mut self, region: RegionIdx, members: &[u32]) -> u32 {
        let key = (region, Box::from(members));
        if let Some(id) = self.ids.get(&key) {
            return *id;
        }
        let id = self.pools.len() as u32;
        self.pools.push(key.clone());
        self.ids.insert(key, id);
        id
    }

    pub fn len(&self) -> usize {
        self.pools.len()
    }

    pub fn region(&self, pool: u32) -> RegionIdx {
        self.pools[pool as usize].0
    }

    pub fn members(&self, pool: u32) -> &[u32] {
        &self.pools[pool as usize].1
    }

    /// Forgets all pools but those of one route over these candidates' pools, and renumbers that
    /// route: an explanation needs no rings that it does not look at.
    pub fn keep_only(&mut self, route: &mut Route, candidates: &[u32]) {
        let mut kept = Vec::new();
        for entry in &mut route.entries[..usize::from(route.len)] {
            let pool = candidates[usize::from(entry.place)];
            entry.place = kept.len() as u16;
            kept.push(self.pools[pool as usize].clone());
        }
        self.pools = kept;
        self.ids.clear();
    }
}

/// Routes by content.
#[derive(Default)]
pub(super) struct RouteInterner {
    ids: HashMap<Route, u32>,
    routes: Vec<Route>,
}

impl RouteInterner {
    /// The number of a route, new or known.
    pub fn intern(&mut self, route: Route) -> u32 {
        *self.ids.entry(route).or_insert_with(|| {
            self.routes.push(route);
            self.routes.len() as u32 - 1
        })
    }

    pub fn finish(self) -> Vec<Route> {
        self.routes
    }
}

impl Route {
    /// A hash of the route's content.
    pub(super) fn fingerprint(&self) -> u64 {
        let head = u64::from(self.spread) << 16 | u64::from(self.normal) << 8 | u64::from(self.len);
        let head = mix(head | u64::from(self.base) << 32);
        self.entries.iter().fold(head, |hash, entry| {
            mix(hash ^ (u64::from(entry.place) << 16 | u64::from(entry.weight)))
        })
    }
}

/// One number instead of nineteen: the map's own hash is keyed and slow, and runs for every class.
impl Hash for Route {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.fingerprint());
    }
}
