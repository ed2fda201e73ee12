//! All zones of a server: which of them a name belongs to.
//!
//! A name belongs to the zone with the longest apex at or above it. Apexes are one small hash table;
//! a lookup takes labels off the front of the name until one matches, starting at the depth of the
//! deepest apex, so its cost is bounded by that depth, whatever the question.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::names::NameTable;
use super::served::{Found, ServedZone, SteeredIdx};
use super::static_zone::StaticZone;
use super::{DisplayName, ZoneError};
use crate::wire::{RType, label_count, parent_of};

/// The zones of a server.
#[derive(Debug, Default)]
pub struct ZoneSet {
    apexes: NameTable,
    zones: Box<[ServedZone]>,
    /// Labels of the deepest apex.
    labels_max: usize,
}

/// Puts zones and steered names together.
#[derive(Debug, Default)]
pub struct ZoneSetBuilder {
    zones: BTreeMap<Box<[u8]>, Arc<StaticZone>>,
    steered: Vec<(Box<[u8]>, SteeredIdx)>,
    /// Origins of zones that cannot be answered now.
    unready: BTreeSet<Box<[u8]>>,
    problems: Vec<ZoneError>,
}

impl ZoneSetBuilder {
    /// Adds a zone; the first of one origin stays.
    pub fn zone(&mut self, zone: Arc<StaticZone>) {
        if self.zones.contains_key(zone.origin()) {
            self.problems.push(ZoneError::ZoneTwice {
                origin: DisplayName(zone.origin().into()),
            });
            return;
        }
        self.zones.insert(zone.origin().into(), zone);
    }

    /// Adds a zone that is ours and cannot be answered now; one that can be stays.
    pub fn unready(&mut self, origin: &[u8]) {
        if !self.zones.contains_key(origin)
            && let Ok(zone) = StaticZone::placeholder(origin)
        {
            self.zones.insert(origin.into(), Arc::new(zone));
            self.unready.insert(origin.into());
        }
    }

    /// Makes a name (a lowercased wire name) steered.
    pub fn steered(&mut self, name: &[u8], steered: SteeredIdx) {
        self.steered.push((name.into(), steered));
    }

    /// Adds a problem found before a zone could be handed over.
    pub fn problem(&mut self, problem: ZoneError) {
        self.problems.push(problem);
    }

    /// The zones, and what was left out: of this set, and of the zones when they were built.
    #[must_use]
    pub fn build(self) -> (ZoneSet, Vec<ZoneError>) {
        let mut problems = self.problems;
        let mut of_zone: BTreeMap<&[u8], Vec<(&[u8], SteeredIdx)>> = BTreeMap::new();
        for (name, steered) in &self.steered {
            let apex = std::iter::successors(Some(&**name), |name| parent_of(name))
                .find_map(|at| self.zones.get_key_value(at));
            match apex {
                Some((apex, _)) => of_zone.entry(apex).or_default().push((name, *steered)),
                None => problems.push(ZoneError::OutOfZone {
                    name: DisplayName(name.clone()),
                }),
            }
        }
        let mut zones = Vec::with_capacity(self.zones.len());
        for (apex, data) in &self.zones {
            let unready = self.unready.contains(apex);
            if !unready {
                problems.extend_from_slice(data.problems());
            }
            let steered = of_zone.get(&**apex).map_or(&[][..], Vec::as_slice);
            let data = Arc::clone(data);
            let mut served = ServedZone::build(data, steered, &mut problems);
            served.unready = unready;
            zones.push(served);
        }
        let labels_max = zones.iter().map(|zone| label_count(zone.apex())).max();
        let set = ZoneSet {
            apexes: NameTable::build(zones.iter().map(ServedZone::apex)),
            zones: zones.into(),
            labels_max: labels_max.unwrap_or(0),
        };
        (set, problems)
    }
}

impl ZoneSet {
    /// The zones, to have them signed.
    pub(crate) fn zones_mut(&mut self) -> impl Iterator<Item = &mut ServedZone> {
        self.zones.iter_mut()
    }

    /// Finds what `name` (a lowercased wire name of `labels` labels) is when asked for `rtype`;
    /// `None` when it is in none of the zones.
    #[inline]
    #[must_use]
    pub fn find(&self, name: &[u8], labels: usize, rtype: RType) -> Option<Found<'_>> {
        let zone = self.zone_at_or_above(name, labels)?;
        // The parent answers for DS, if we have it (RFC 4035 §3.1.4.1).
        if rtype == RType::DS
            && zone.apex().len() == name.len()
            && let Some(above) = parent_of(name)
            && let Some(parent) = self.zone_at_or_above(above, labels - 1)
        {
            return Some(parent.find(name, labels));
        }
        Some(zone.find(name, labels))
    }

    /// As [`ZoneSet::find`], for a name from our own records.
    #[must_use]
    pub fn find_own(&self, name: &[u8], rtype: RType) -> Option<Found<'_>> {
        self.find(name, label_count(name), rtype)
    }

    /// The zone with exactly this apex, a lowercased wire name.
    #[must_use]
    pub fn zone(&self, apex: &[u8]) -> Option<&ServedZone> {
        let at = self.apexes.get(apex, |at| self.zones[at].apex())?;
        self.zones.get(at)
    }

    /// The zones, by the bytes of their apexes.
    #[must_use]
    pub fn zones(&self) -> &[ServedZone] {
        &self.zones
    }

    /// The zone that a name belongs to.
    #[must_use]
    pub fn zone_at_or_above(&self, name: &[u8], labels: usize) -> Option<&ServedZone> {
        let mut at = name;
        for _ in self.labels_max..labels {
            at = parent_of(at)?;
        }
        loop {
            if let Some(zone) = self.zone(at) {
                return Some(zone);
            }
            at = parent_of(at)?;
        }
    }
}
