//! Everything a question is answered from: the zones in force and the steered names of one plan.
//!
//! Made off the packet path whenever a plan is published or a zone on the shelf changes
//! ([`Zones::build`]) and immutable after that; it holds the plan it was made from, so indices in
//! it always fit. Zones whose data did not change are shared with the ones before, not built again.

mod topology;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use meridian_engine::Fallback;
use meridian_engine::plan::MAX_ANSWERS;
use meridian_live::Published;
use meridian_topology::{DnsAnswer, RegionIdx, Service, ServiceIdx};

use crate::metrics::{DnsMetrics, SteeredCounters};
use crate::zone::{
    ServedZone, ShelfSnapshot, StaticZone, SteeredIdx, ZoneError, ZoneSet, ZoneSetBuilder,
};
use topology::{static_zone, wire_name};

/// What a steered name is answered with.
#[derive(Debug)]
pub(crate) enum SteeredAnswer {
    /// Addresses of the picked endpoints.
    Addresses {
        /// At most this many, at least 1.
        at_most: usize,
        /// Which address families the service's endpoints have.
        families: Families,
    },
    /// A name per region, by [`RegionIdx`].
    Names(Box<[Option<Alias>]>),
}

/// The name that stands for a service in a region.
#[derive(Debug)]
pub(crate) struct Alias {
    /// The wire form; topology names are in lower case, so it serves for lookups too.
    pub(crate) target: Box<[u8]>,
}

/// Address families of a service's endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Families {
    V4,
    V6,
    Both,
}

/// A service as its names need it.
#[derive(Debug)]
pub(crate) struct SteeredName {
    pub(crate) service: ServiceIdx,
    pub(crate) ttl_seconds: u32,
    pub(crate) answer: SteeredAnswer,
    /// What the policy answers when nobody is left; empty when it answers nothing.
    pub(crate) fixed: Box<[IpAddr]>,
    pub(crate) counters: SteeredCounters,
}

/// The zones and steered names of one published plan.
#[derive(Debug)]
pub struct Zones {
    pub(crate) published: Arc<Published>,
    set: ZoneSet,
    /// Own data of the zones that updates are laid over, by origin.
    bases: BTreeMap<Box<[u8]>, Arc<StaticZone>>,
    /// By [`SteeredIdx`].
    steered: Box<[SteeredName]>,
    problems: Vec<ZoneError>,
}

impl Zones {
    /// Builds the zones of a plan and of a shelf. A zone of the topology stands before one of the
    /// shelf with the same origin; one that `before` has unchanged is taken over.
    /// `now_unix_seconds` becomes the serial of zones that name none.
    ///
    /// Never fails: what cannot be served is left out and listed in [`Zones::problems`].
    #[must_use]
    pub fn build(
        published: Arc<Published>,
        shelf: &ShelfSnapshot,
        before: Option<&Self>,
        metrics: &DnsMetrics,
        now_unix_seconds: u64,
    ) -> Self {
        let topology = &published.world.topology;
        let mut builder = ZoneSetBuilder::default();
        let mut bases = BTreeMap::new();
        let mut with_updates = |zone: Arc<StaticZone>| {
            let laid = shelf.layers().over(Arc::clone(&zone));
            if !Arc::ptr_eq(&laid, &zone) {
                bases.entry(zone.origin().into()).or_insert(zone);
            }
            laid
        };
        for zone in &topology.dns_zones {
            match static_zone(zone, before, now_unix_seconds) {
                Ok(zone) => builder.zone(with_updates(zone)),
                Err(problem) => builder.problem(problem),
            }
        }
        for shelved in shelf.values() {
            builder.zone(with_updates(Arc::clone(&shelved.zone)));
        }
        for origin in shelf.unready() {
            builder.unready(origin);
        }
        let mut steered = Vec::new();
        for service in &topology.services {
            add_service(&mut builder, &mut steered, &published, service, metrics);
        }
        let (set, problems) = builder.build();
        Self {
            published,
            set,
            bases,
            steered: steered.into(),
            problems,
        }
    }

    /// What was left out, and why.
    #[must_use]
    pub fn problems(&self) -> &[ZoneError] {
        &self.problems
    }

    /// The names and records.
    #[must_use]
    pub fn set(&self) -> &ZoneSet {
        &self.set
    }

    /// A zone's own data, without what dynamic updates lay over it.
    #[must_use]
    pub(crate) fn base(&self, origin: &[u8]) -> Option<&Arc<StaticZone>> {
        let served = || self.set.zone(origin).map(ServedZone::data);
        self.bases.get(origin).or_else(served)
    }

    /// The plan that steers.
    #[must_use]
    pub fn published(&self) -> &Arc<Published> {
        &self.published
    }

    /// The service behind a steered name.
    #[must_use]
    pub fn service_of(&self, steered: SteeredIdx) -> ServiceIdx {
        self.steered_name(steered).service
    }

    pub(crate) fn steered_name(&self, steered: SteeredIdx) -> &SteeredName {
        &self.steered[steered.0 as usize]
    }
}

fn add_service(
    builder: &mut ZoneSetBuilder,
    steered: &mut Vec<SteeredName>,
    published: &Published,
    service: &Service,
    metrics: &DnsMetrics,
) {
    let topology = &published.world.topology;
    let (Some(dns), Some(idx)) = (&service.dns, topology.service(&service.id)) else {
        return;
    };
    let answer = match &dns.answer {
        DnsAnswer::Addresses { at_most } => {
            let addresses = topology
                .endpoints_of(idx)
                .map(|(_, endpoint)| endpoint.address);
            // Either the service or its policy may ask for several.
            let at_most = usize::from(*at_most)
                .max(published.plan.answers(idx))
                .min(MAX_ANSWERS);
            SteeredAnswer::Addresses {
                at_most,
                families: Families::of(addresses),
            }
        }
        DnsAnswer::Cname { targets } => {
            let mut names: Vec<Option<Alias>> = topology.regions.iter().map(|_| None).collect();
            for (region, target) in targets {
                if let Some(slot) = names.get_mut(region.index()) {
                    *slot = Some(Alias {
                        target: wire_name(target),
                    });
                }
            }
            SteeredAnswer::Names(names.into())
        }
    };
    // A u32 of services would not fit into a ServiceIdx.
    let steered_idx = SteeredIdx(steered.len() as u32);
    let counters = metrics.steered(&service.id, topology);
    steered.push(SteeredName {
        service: idx,
        ttl_seconds: dns.ttl.0,
        answer,
        fixed: fixed_answer(published, idx),
        counters,
    });
    for name in &dns.names {
        builder.steered(&wire_name(name), steered_idx);
    }
}

/// The static addresses of a service's policy that belong to no endpoint: an endpoint is answered
/// only by a pick, because only picks stay inside the compliance wall and pass over the dead.
fn fixed_answer(published: &Published, service: ServiceIdx) -> Box<[IpAddr]> {
    let Fallback::Static(addresses) = published.plan.fallback(service) else {
        return Box::default();
    };
    let endpoints = &published.world.topology.endpoints;
    let is_endpoint = |address: IpAddr| {
        endpoints
            .iter()
            .any(|endpoint| endpoint.address.to_canonical() == address.to_canonical())
    };
    let fixed = addresses.iter().copied();
    fixed.filter(|address| !is_endpoint(*address)).collect()
}

impl Families {
    /// An empty service counts as IPv4: it answers nothing in either family.
    fn of(mut addresses: impl Iterator<Item = IpAddr>) -> Self {
        let Some(first) = addresses.next() else {
            return Self::V4;
        };
        if addresses.any(|address| address.is_ipv4() != first.is_ipv4()) {
            Self::Both
        } else if first.is_ipv4() {
            Self::V4
        } else {
            Self::V6
        }
    }
}

impl SteeredAnswer {
    /// The name for a region.
    pub(crate) fn alias(&self, region: RegionIdx) -> Option<&Alias> {
        match self {
            Self::Names(names) => names.get(region.index())?.as_ref(),
            Self::Addresses { .. } => None,
        }
    }
}
