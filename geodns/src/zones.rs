//! Everything a question is answered from: the zones in force and the steered names of one plan.
//!
//! Made off the packet path whenever a plan is published or a zone on the shelf changes
//! ([`Zones::build`]) and immutable after that; it holds the plan it was made from, so indices in
//! it always fit. Zones whose data did not change are shared with the ones before, not built again.

mod ahead;
mod places;
mod signing;
mod topology;

use std::collections::BTreeMap;
use std::sync::Arc;

use meridian_engine::scopes::{COVER_BYTES_MAX, Scopes};
use meridian_live::Published;
use meridian_topology::ServiceIdx;

use crate::metrics::DnsMetrics;
use crate::steered::{Layer, Served, SteeredName};
use crate::wire::{LowerName, RType};
use crate::zone::{
    CNAME_CHAIN_MAX, Case, Found, ServedZone, ShelfSnapshot, StaticZone, SteeredIdx, ZoneError,
    ZoneSet, ZoneSetBuilder,
};
use places::Places;
use topology::static_zone;
pub(crate) use topology::wire_name;

/// The zones and steered names of one published plan.
#[derive(Debug)]
pub struct Zones {
    pub(crate) published: Arc<Published>,
    set: ZoneSet,
    /// Own data of the zones that updates are laid over, by origin.
    bases: BTreeMap<Box<[u8]>, Arc<StaticZone>>,
    /// By [`SteeredIdx`].
    steered: Box<[SteeredName]>,
    /// Over which addresses the answers of each service may be shared.
    pub(crate) scopes: Arc<Scopes>,
    places: Places,
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
        let served = Served::of(topology);
        let mut layer = Layer::new(&published, &served, metrics);
        for service in &topology.services {
            layer.service(&mut builder, service);
        }
        let steered = layer.finish();
        let (set, problems) = builder.build();
        let scopes = scopes_of(&published, before);
        Self {
            places: Places::of(&set, &steered),
            published,
            set,
            bases,
            steered,
            scopes,
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

    /// As [`ZoneSet::find`], fast for a steered name.
    #[inline]
    pub(crate) fn find(&self, name: &LowerName, rtype: RType) -> Option<Found<'_>> {
        // A DS record is the parent's.
        if rtype != RType::DS
            && let Some(found) = self.places.find(&self.set, name.as_bytes())
        {
            return Some(found);
        }
        self.set.find(name.as_bytes(), name.labels(), rtype)
    }

    /// Calls `say` for every name outside of our zones, or delegated from them, where the aliases that
    /// begin at a lowercased wire name may end: at itself, too. An ALIAS on the way begins anew.
    pub(crate) fn ends_elsewhere(&self, name: &[u8], say: &mut impl FnMut(&[u8])) {
        self.ends_within(name, CNAME_CHAIN_MAX, say);
    }

    fn ends_within(&self, name: &[u8], steps: usize, say: &mut impl FnMut(&[u8])) {
        let Some(found) = self.set.find_own(name, RType::A) else {
            return say(name);
        };
        let Some(left) = steps.checked_sub(1) else {
            return;
        };
        let node = match found.case {
            Case::Cut(_) => return say(name),
            Case::Missing => return,
            Case::Exact => found.encloser,
            Case::Wildcard(node) => node,
            Case::Dname(owner) => {
                let prefix = &name[..name.len() - owner.name().len()];
                let joined = owner.target().and_then(|to| LowerName::join(prefix, to));
                if let Some(joined) = joined {
                    self.ends_within(joined.as_bytes(), left, say);
                }
                return;
            }
        };
        let steered = node.steered().map(|steered| self.steered_name(steered));
        if let Some(steered) = steered {
            for target in steered.answer.alias_targets() {
                self.ends_within(target, left, say);
            }
        } else if let Some((_, target)) = node.cname() {
            self.ends_within(target, left, say);
        }
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

/// The merged scopes of a plan; those of the zones before when nothing that they depend on changed.
fn scopes_of(published: &Published, before: Option<&Zones>) -> Arc<Scopes> {
    let classes = &published.world.classes;
    let same = before.filter(|before| {
        before.published.plan.generation() == published.plan.generation()
            && Arc::ptr_eq(&before.published.world.classes, classes)
    });
    match same {
        Some(before) => Arc::clone(&before.scopes),
        None => Arc::new(Scopes::build(&published.plan, classes, COVER_BYTES_MAX)),
    }
}
