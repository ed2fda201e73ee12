//! Looking ahead: the memory that a batch's questions will need, asked for before the first is answered.
//!
//! With thousands of steered names, what an answer is made from lies in none of the processor's nearer
//! caches, and it is needed step after step: the name's node, its spelling, how it is steered, the service's
//! plan. Question after question would wait for each step of each. Here the questions of a batch take a
//! step together, so that the processor waits for all of them at once.
//!
//! Nothing is decided here: a wrong guess looks at memory that nobody needs.

use std::hint::black_box;

use meridian_topology::ServiceIdx;

use super::Zones;
use crate::steered::SteeredName;
use crate::wire::HEADER_BYTES;
use crate::zone::{SteeredIdx, ZoneSet, hash_of, name_at};

/// With fewer steered names all of it stays in the processor's caches.
const NAMES_MIN: usize = 1_000;
/// Questions that take a step together.
const AT_ONCE: usize = 32;
/// Slots looked at for a name.
const PROBES: usize = 2;

/// Where the parts of every steered name are, by the hash of the name.
#[derive(Debug)]
pub(crate) struct Ahead {
    slots: Box<[Slot]>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    tag: u16,
    zone: u16,
    service: ServiceIdx,
    node: u32,
    steered: SteeredIdx,
}

impl Slot {
    const EMPTY: Self = Self {
        tag: 0,
        zone: u16::MAX,
        service: ServiceIdx(0),
        node: 0,
        steered: SteeredIdx(0),
    };
}

impl Ahead {
    /// `None` where it would not pay.
    pub(super) fn build(set: &ZoneSet, steered: &[SteeredName]) -> Option<Self> {
        (steered.len() >= NAMES_MIN).then(|| Self::of(set, steered))
    }

    /// Zones beyond the first 65,535 are left out, and names whose slots are taken.
    fn of(set: &ZoneSet, steered: &[SteeredName]) -> Self {
        let size = (steered.len() * 2).next_power_of_two();
        let mut slots = vec![Slot::EMPTY; size].into_boxed_slice();
        for (zone, served) in set.zones().iter().enumerate().take(usize::from(u16::MAX)) {
            for (node, name, at) in served.steered_nodes() {
                let hash = hash_of(name);
                let place = (0..PROBES)
                    .map(|step| (hash as usize + step) & (size - 1))
                    .find(|slot| slots[*slot].zone == u16::MAX);
                let (Some(place), Some(own)) = (place, steered.get(at.0 as usize)) else {
                    continue;
                };
                slots[place] = Slot {
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

    /// Has what answers to these packets are made from fetched.
    pub(crate) fn fetch<'p>(
        &self,
        zones: &Zones,
        mut packets: impl ExactSizeIterator<Item = &'p [u8]>,
    ) {
        let plan = &zones.published.plan;
        let served = zones.set.zones();
        while packets.len() > 0 {
            let mut found = [(0, Slot::EMPTY); AT_ONCE];
            let mut count = 0;
            for (found, packet) in found.iter_mut().zip(&mut packets) {
                *found = self.find(packet);
                count += 1;
            }
            let found = || {
                let known = found[..count].iter();
                known.filter(|(_, slot)| slot.zone != u16::MAX)
            };
            let zone = |slot: &Slot| &served[usize::from(slot.zone)];
            let first = found().map(|(hash, slot)| {
                let name = zone(slot).touch(*hash, slot.node);
                let steered = zones.steered_name(slot.steered).touch();
                name ^ steered ^ plan.touch(slot.service) ^ zones.scopes.touch(slot.service)
            });
            black_box(first.fold(0, |all, read| all ^ read));
            let spelling = |slot: &Slot| zone(slot).node_name(slot.node).first().copied();
            let second = found().map(|(_, slot)| spelling(slot).unwrap_or(0));
            black_box(second.fold(0, |all, read| all ^ read));
        }
    }

    /// The hash of a question's name, and where the name probably is.
    fn find(&self, packet: &[u8]) -> (u64, Slot) {
        let Some(name) = name_at(packet, HEADER_BYTES) else {
            return (0, Slot::EMPTY);
        };
        let hash = hash_of(name);
        let slot = (0..PROBES)
            .map(|step| self.slots[(hash as usize + step) & (self.slots.len() - 1)])
            .find(|slot| slot.tag == tag_of(hash));
        (hash, slot.unwrap_or(Slot::EMPTY))
    }
}

/// The part of a hash that chooses no slot.
const fn tag_of(hash: u64) -> u16 {
    (hash >> 48) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::world;
    use crate::responder::tests::zones_of;

    #[test]
    fn steered_names_are_found_where_they_are() {
        let zones = zones_of(world());
        let ahead = Ahead::of(&zones.set, &zones.steered);
        let mut packets = vec![b"rubbish".to_vec(), vec![0; HEADER_BYTES]];
        let (mut right, mut all) = (0, 0);
        for (zone, served) in zones.set.zones().iter().enumerate() {
            for (node, name, steered) in served.steered_nodes() {
                let packet = [&[0; HEADER_BYTES], &name.to_ascii_uppercase()[..]].concat();
                let (hash, slot) = ahead.find(&packet);
                assert_eq!(hash, hash_of(name));
                all += 1;
                let found = (usize::from(slot.zone), slot.node, slot.steered);
                if found == (zone, node, steered) {
                    assert_eq!(slot.service, zones.service_of(steered));
                    right += 1;
                }
                packets.push(packet);
            }
        }
        assert!(all > 5 && right * 10 >= all * 8, "{right} of {all}");
        // More than take a step together.
        let many: Vec<_> = packets.iter().cycle().take(3 * AT_ONCE + 1).collect();
        ahead.fetch(&zones, many.iter().map(|packet| packet.as_slice()));
    }

    #[test]
    fn a_question_is_found_in_any_case_and_rubbish_is_not() {
        let header = [0; HEADER_BYTES];
        let lower = [&header[..], b"\x03www\x07example\0\0\x01\0\x01"].concat();
        let mixed = [&header[..], b"\x03wWw\x07EXAMPLE\0\0\x01\0\x01"].concat();
        let hash = |packet: &[u8]| name_at(packet, HEADER_BYTES).map(hash_of);
        assert_eq!(hash(&lower), hash(&mixed));
        assert!(hash(&lower).is_some());
        assert_eq!(hash(&[&header[..], b"\xc0\x0c"].concat()), None);
        for cut in 0..lower.len() - 4 {
            assert_eq!(hash(&lower[..cut]), None, "{cut}");
        }
    }
}
