//! The plan: every decision that does not depend on one client or one health change, made ahead.
//!
//! Structure. For every service × class the plan has a *route*: at most [`MAX_ROUTE`] pools, the first
//! `spread` of which share the clients by weight while the rest stand in for them in order. A *pool* is
//! the endpoints of one region that may serve a service under some compliance requirement, with a hash
//! ring over them ([`ring`]); equal pools are stored once, so twenty services on the same machines share
//! one ring. Health lives beside the plan, in [`HealthBits`](crate::bits::HealthBits): no health change
//! needs a compile.
//!
//! What many services have in common is stored once. A route does not name pools but *places* in the
//! service's own list of pools, so services whose candidates rank alike share a whole *row* of routes,
//! one for each class, although their machines differ: ten thousand services with five thousand
//! classes are ten thousand short lists and a few rows, not fifty million routes.
//!
//! Limits: regions beyond a route's eighth take no clients of that class until the next compile,
//! which prefers living regions for the last places. A plan is immutable.

mod family;
mod pick;
mod question;
pub(crate) mod ring;
mod shares;

use std::net::IpAddr;

use meridian_topology::units::Millis;
use meridian_topology::{EndpointIdx, RegionIdx, ServiceId, ServiceIdx};

use crate::bits::HealthBits;
use crate::class::ClassId;
use crate::hash::ClientKey;
use crate::policy::{Sticky, WhenNone};

pub use family::Family;
pub use pick::{MAX_ANSWERS, Pick, Picked, Reason, Wanted, Within};
use ring::{Pool, Rings};

/// Most pools a route holds.
pub const MAX_ROUTE: usize = 8;

/// One pool of a route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Position in the service's pools, counted from the route's `base`.
    pub place: u16,
    /// Share of the clients among the spread, in no particular unit; 0 among the others.
    pub weight: u16,
}

/// Where the clients of one class go for one service; see the module's comment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Route {
    /// The pools in order of preference; only the first `len` mean something.
    pub entries: [Entry; MAX_ROUTE],
    /// Where the places begin in the service's pools.
    pub base: u32,
    /// How many share the clients.
    pub spread: u8,
    /// How many are used while they live; those behind are beyond their capacity.
    pub normal: u8,
    /// How many there are.
    pub len: u8,
}

/// What does not depend on the class.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServicePlan {
    pub id: ServiceId,
    /// Number of its row in [`Plan::rows`].
    pub row: u32,
    /// Where its pools begin in [`Plan::service_pools`].
    pub first_pool: u32,
    pub sticky: Sticky,
    /// How many addresses a DNS answer carries, at most [`MAX_ANSWERS`].
    pub answers: u8,
    /// With this many it stays in the regions it began with; 0 is unless it is full.
    pub answers_at_least: u8,
    /// A pool whose living share (of 65,536) is below this counts as dead.
    pub panic_threshold: u32,
    /// A pool with fewer living endpoints than this, or than it has at all, counts as dead.
    pub min_live: u32,
    /// With fewer living regions in a route than this, the threshold and ramps are ignored.
    pub min_live_regions: u8,
    pub when_none: WhenNone,
    pub failback_hold: Millis,
}

impl ServicePlan {
    /// Whether enough of a pool lives for its region to count as alive.
    pub fn counts_as_live(&self, bits: &HealthBits, pool: u32, pools: &[Pool]) -> bool {
        let (live, members) = bits.live(pool);
        let pool = &pools[pool as usize];
        let threshold = u64::from(pool.points) * u64::from(self.panic_threshold);
        live > 0 && u64::from(live) << 16 >= threshold && members >= self.min_live.min(pool.members)
    }

    /// Whether so many living regions of a route's `normal` are as many as the policy wants.
    pub fn enough_live(&self, live: usize, normal: usize) -> bool {
        live >= usize::from(self.min_live_regions).min(normal)
    }
}

/// Every decision, compiled; see the module's comment.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub(crate) generation: u64,
    /// By [`ServiceIdx`], that is by id.
    pub(crate) services: Vec<ServicePlan>,
    pub(crate) classes: u32,
    /// Routes of the first row's classes, then of the second's, and so on.
    pub(crate) rows: Vec<u32>,
    pub(crate) routes: Vec<Route>,
    /// Positions in `pools`: those of each service in a piece.
    pub(crate) service_pools: Vec<u32>,
    pub(crate) pools: Vec<Pool>,
    pub(crate) rings: Rings,
    /// The region of each endpoint of the topology.
    pub(crate) endpoint_regions: Vec<RegionIdx>,
    /// The address family of each endpoint of the topology.
    pub(crate) endpoint_families: Vec<Family>,
    /// The ring points of each endpoint of the topology.
    pub(crate) endpoint_points: Vec<u32>,
    /// The hash of each region's id.
    pub(crate) region_hashes: Vec<u64>,
}

/// What a service answers when [`Plan::pick`] finds nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback<'plan> {
    /// Nothing: refuse.
    Closed,
    /// These addresses, whoever asks.
    Static(&'plan [IpAddr]),
}

impl Plan {
    /// A fingerprint of every decision in the plan: equal plans have equal generations, whatever
    /// worlds they were compiled from.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The position of a service.
    #[must_use]
    pub fn service(&self, id: &ServiceId) -> Option<ServiceIdx> {
        let at = self
            .services
            .binary_search_by(|service| service.id.cmp(id))
            .ok()?;
        ServiceIdx::from_index(at)
    }

    /// How many classes the plan tells apart.
    #[must_use]
    pub const fn classes(&self) -> usize {
        self.classes as usize
    }

    /// How many addresses a DNS answer of this service carries; 1 unless its policy asks for more.
    #[must_use]
    pub fn answers(&self, service: ServiceIdx) -> usize {
        self.services
            .get(service.index())
            .map_or(1, |service| usize::from(service.answers))
    }

    /// The fewest addresses for which an answer of this service stays in the regions it began with,
    /// if its policy says so; see [`Wanted::at_least`].
    #[must_use]
    pub fn answers_at_least(&self, service: ServiceIdx) -> Option<usize> {
        let least = self.services.get(service.index())?.answers_at_least;
        (least > 0).then(|| usize::from(least))
    }

    /// Looks at what a pick for this service begins with, to have that memory fetched; what is returned
    /// means nothing.
    #[inline]
    #[must_use]
    pub fn touch(&self, service: ServiceIdx) -> usize {
        let own = self.services.get(service.index());
        own.map_or(0, |own| own.sticky as usize ^ own.row as usize)
    }

    /// What keeps a client of this service at its endpoint.
    #[must_use]
    pub fn sticky(&self, service: ServiceIdx) -> Sticky {
        self.services
            .get(service.index())
            .map_or(Sticky::default(), |service| service.sticky)
    }

    /// The key of a client of this service, by the service's stickiness. A service that is not sticky
    /// gets the whole address's key: add the request's number with [`ClientKey::with_nonce`].
    #[inline]
    #[must_use]
    pub fn client_key(&self, service: ServiceIdx, client: IpAddr) -> ClientKey {
        match self.sticky(service) {
            Sticky::ClientPrefix => ClientKey::from_client_prefix(client),
            Sticky::ClientAddress | Sticky::None => ClientKey::from_ip(client, u8::MAX),
        }
    }

    /// What to answer when nobody may serve.
    #[must_use]
    pub fn fallback(&self, service: ServiceIdx) -> Fallback<'_> {
        match self
            .services
            .get(service.index())
            .map(|service| &service.when_none)
        {
            Some(WhenNone::Static(addresses)) => Fallback::Static(addresses),
            _ => Fallback::Closed,
        }
    }

    /// Every endpoint that a pick for this class can return, in the order of the route's pools.
    pub fn candidates(
        &self,
        service: ServiceIdx,
        class: ClassId,
    ) -> impl Iterator<Item = EndpointIdx> + '_ {
        let (entries, pools) = match self.route(service, class) {
            Some(route) => (
                &route.entries[..usize::from(route.len)],
                self.pools_of(&self.services[service.index()], route),
            ),
            None => (&[][..], &[][..]),
        };
        entries.iter().flat_map(|entry| {
            let pool = pools[usize::from(entry.place)];
            self.rings.members(&self.pools[pool as usize])
        })
    }

    /// The route of every class of a service, by number: where two classes have one number, this
    /// service treats their clients alike. Empty for a service of another topology.
    #[must_use]
    pub fn row(&self, service: ServiceIdx) -> &[u32] {
        let row = self.row_number(service);
        row.map_or(&[], |row| {
            &self.rows[row * self.classes()..][..self.classes()]
        })
    }

    /// Which of the plan's rows a service has: services with one number have equal rows, so that what
    /// is derived from a row need not be made again for each of them.
    #[must_use]
    pub fn row_number(&self, service: ServiceIdx) -> Option<usize> {
        Some(self.services.get(service.index())?.row as usize)
    }

    /// How many different rows there are.
    #[must_use]
    pub const fn row_count(&self) -> usize {
        self.rows.len() / self.classes as usize
    }

    /// How many different routes there are.
    #[must_use]
    pub const fn route_count(&self) -> usize {
        self.routes.len()
    }

    /// Memory that the plan holds, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + self.services.capacity() * size_of::<ServicePlan>()
            + self.rows.capacity() * size_of::<u32>()
            + self.service_pools.capacity() * size_of::<u32>()
            + self.routes.capacity() * size_of::<Route>()
            + self.pools.capacity() * size_of::<Pool>()
            + self.rings.memory_bytes()
            + self.endpoint_regions.capacity() * size_of::<RegionIdx>()
            + self.endpoint_families.capacity() * size_of::<Family>()
            + self.endpoint_points.capacity() * size_of::<u32>()
            + self.region_hashes.capacity() * size_of::<u64>()
    }

    /// The route of a class; an id of another class table is the unknown class's.
    #[inline]
    pub(crate) fn route(&self, service: ServiceIdx, class: ClassId) -> Option<&Route> {
        let row = self.services.get(service.index())?.row as usize;
        let class = if class.0 < self.classes {
            class.index()
        } else {
            0
        };
        let route = *self.rows.get(row * self.classes() + class)?;
        self.routes.get(route as usize)
    }

    /// The pools that a service's route means: an entry's pool stands at its place.
    #[inline]
    pub(crate) fn pools_of(&self, service: &ServicePlan, route: &Route) -> &[u32] {
        &self.service_pools[service.first_pool as usize + route.base as usize..]
    }
}
