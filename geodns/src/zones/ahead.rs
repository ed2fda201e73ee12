//! Looking ahead: the memory that a batch's questions will need, asked for before the first is answered.
//!
//! With thousands of steered names, what an answer is made from lies in none of the processor's nearer
//! caches, and it is needed step after step: the name's node, its spelling, how it is steered, the service's
//! plan. Question after question would wait for each step of each. Here the questions of a batch take a
//! step together, so that the processor waits for all of them at once.
//!
//! Nothing is decided here: a wrong guess looks at memory that nobody needs.

use std::hint::black_box;

use super::Zones;
use super::places::Place;
use crate::wire::HEADER_BYTES;
use crate::zone::{hash_of, name_at};

/// With fewer steered names all of it stays in the processor's caches.
const NAMES_MIN: usize = 1_000;
/// Questions that take a step together.
const AT_ONCE: usize = 32;

impl Zones {
    /// Has what answers to these packets are made from fetched, where that pays.
    #[inline]
    pub(crate) fn look_ahead<'p>(&self, packets: impl ExactSizeIterator<Item = &'p [u8]>) {
        if self.steered.len() >= NAMES_MIN {
            self.fetch(packets);
        }
    }

    fn fetch<'p>(&self, mut packets: impl ExactSizeIterator<Item = &'p [u8]>) {
        let (plan, served) = (&self.published.plan, self.set.zones());
        while packets.len() > 0 {
            let mut places = [Place::NONE; AT_ONCE];
            for (place, packet) in places.iter_mut().zip(&mut packets) {
                let name = name_at(packet, HEADER_BYTES);
                *place = name.map_or(Place::NONE, |name| self.places.guess(hash_of(name)));
            }
            let found = || {
                places
                    .iter()
                    .filter_map(|at| Some((&served[at.zone()?], at)))
            };
            let first = found().map(|(zone, at)| {
                let name = zone.node_name(at.node).len();
                let steered = self.steered_name(at.steered).touch();
                name ^ steered ^ plan.touch(at.service) ^ self.scopes.touch(at.service)
            });
            black_box(first.fold(0, |all, read| all ^ read));
            let spelling = found().map(|(zone, at)| zone.node_name(at.node).first());
            let second = spelling.map(|byte| byte.copied().unwrap_or(0));
            black_box(second.fold(0, |all, read| all ^ read));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::world;
    use crate::responder::tests::zones_of;

    #[test]
    fn looking_ahead_takes_any_packets() {
        let zones = zones_of(world());
        let mut packets = vec![b"rubbish".to_vec(), vec![0; HEADER_BYTES]];
        for served in zones.set.zones() {
            for (name, _) in served.steered() {
                packets.push([&[0; HEADER_BYTES], &name.to_ascii_uppercase()[..]].concat());
            }
        }
        for count in [0, 1, AT_ONCE, 3 * AT_ONCE + 1] {
            let some: Vec<_> = packets.iter().cycle().take(count).collect();
            zones.fetch(some.iter().map(|packet| packet.as_slice()));
        }
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
