//! Where every steered name is, by the hash of the name: most questions are for one, and this finds it in
//! one step, without a look for the zone first.
//!
//! What is found here is what [`ZoneSet::find`] finds; a name that is not here may still be steered.

use meridian_topology::ServiceIdx;

use crate::steered::SteeredName;
use crate::zone::{Found, SteeredIdx, ZoneSet, hash_of, is_same};

/// Slots looked at for a name.
const PROBES: usize = 2;

/// A hash table of steered names. The hash is unkeyed: the names are the operator's.
#[derive(Debug)]
pub(crate) struct Places {
    slots: Box<[Place]>,
}

/// Where the parts of a steered name are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    tag: u16,
    zone: u16,
    pub(super) service: ServiceIdx,
    pub(super) node: u32,
    pub(super) steered: SteeredIdx,
}

impl Place {
    pub(super) const NONE: Self = Self {
        tag: 0,
        zone: u16::MAX,
        service: ServiceIdx(0),
        node: 0,
        steered: SteeredIdx(0),
    };

    /// The number of the zone, if this is a place.
    pub(super) fn zone(&self) -> Option<usize> {
        (self.zone != u16::MAX).then_some(usize::from(self.zone))
    }
}

impl Places {
    /// Zones beyond the first 65,535 are left out, and names whose slots are taken.
    pub(super) fn of(set: &ZoneSet, steered: &[SteeredName]) -> Self {
        let size = (steered.len() * 2).next_power_of_two();
        let mut slots = vec![Place::NONE; size].into_boxed_slice();
        for (zone, served) in set.zones().iter().enumerate().take(usize::from(u16::MAX)) {
            for (node, name, at) in served.steered_nodes() {
                let hash = hash_of(name);
                let slot = (0..PROBES)
                    .map(|step| (hash as usize + step) & (size - 1))
                    .find(|slot| slots[*slot].zone().is_none());
                let (Some(slot), Some(own)) = (slot, steered.get(at.0 as usize)) else {
                    continue;
                };
                slots[slot] = Place {
                    tag: tag_of(hash),
                    // Below 65,535.
                    zone: zone as u16,
                    service: own.service,
                    node,
                    steered: at,
                };
            }
        }
        Self { slots }
    }

    /// Where a name of this hash probably is.
    #[inline]
    pub(super) fn guess(&self, hash: u64) -> Place {
        (0..PROBES)
            .map(|step| self.slots[(hash as usize + step) & (self.slots.len() - 1)])
            .find(|place| place.tag == tag_of(hash))
            .unwrap_or(Place::NONE)
    }

    /// A steered name, if it is here.
    #[inline]
    pub(super) fn find<'z>(&self, set: &'z ZoneSet, name: &[u8]) -> Option<Found<'z>> {
        let place = self.guess(hash_of(name));
        let zone = set.zones().get(place.zone()?)?;
        is_same(zone.node_name(place.node), name).then(|| zone.steered_at(place.node))?
    }
}

/// The part of a hash that chooses no slot.
const fn tag_of(hash: u64) -> u16 {
    (hash >> 48) as u16
}

#[cfg(test)]
mod tests {
    use crate::fixture::world;
    use crate::responder::tests::zones_of;
    use crate::wire::{RType, label_count};

    #[test]
    fn steered_names_are_found_where_they_are() {
        let zones = zones_of(world());
        let (mut right, mut all) = (0, 0);
        for served in zones.set.zones() {
            for (name, steered) in served.steered() {
                all += 1;
                let Some(found) = zones.places.find(&zones.set, name) else {
                    continue;
                };
                right += 1;
                let slow = zones.set.find(name, label_count(name), RType::A).unwrap();
                assert_eq!(format!("{:?}", found.case), format!("{:?}", slow.case));
                assert_eq!(found.encloser.steered(), Some(steered));
                assert_eq!(found.encloser.name(), slow.encloser.name());
                assert_eq!(found.zone.apex(), slow.zone.apex());
            }
        }
        assert!(all > 5 && right * 10 >= all * 8, "{right} of {all}");
        for other in [&b"\x05other\x07example\x04test\0"[..], b"\0"] {
            assert!(zones.places.find(&zones.set, other).is_none());
        }
    }
}
