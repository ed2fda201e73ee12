//! A hash table from names to positions, and the order of names that DNSSEC defines.

use std::cmp::Ordering;

use crate::wire::parent_of;

/// Marks an empty slot. A zone has fewer names than this: each costs far more than a byte.
const EMPTY: u32 = u32::MAX;

/// The bit that tells lower case from upper, of eight bytes.
const CASE_BITS: u64 = 0x2020_2020_2020_2020;

/// Labels of the longest name (RFC 1035 §2.3.4: 255 bytes, two for each label).
const LABELS_MAX: usize = 127;

/// Positions of names in a list that the table's owner keeps, found by their lowercased wire form.
///
/// Open addressing with linear probing, at most half full. A slot holds a position and the half of
/// the hash that does not choose the slot, so that a stranger is almost never compared byte by byte.
/// The hash is unkeyed: the names are the operator's, so a client cannot grow a run of slots.
/// Immutable; nothing here allocates after [`NameTable::build`].
#[derive(Clone, Debug, Default)]
pub(super) struct NameTable {
    slots: Box<[Slot]>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    tag: u32,
    at: u32,
}

impl NameTable {
    /// A table of distinct names; each one's position is its place in the list.
    pub(super) fn build<'n>(names: impl ExactSizeIterator<Item = &'n [u8]>) -> Self {
        if names.len() == 0 {
            return Self::default();
        }
        let size = (names.len() * 2).next_power_of_two();
        let empty = Slot { tag: 0, at: EMPTY };
        let mut slots = vec![empty; size].into_boxed_slice();
        for (at, name) in names.enumerate() {
            let hash = hash_of(name);
            let mut slot = hash as usize & (size - 1);
            while slots[slot].at != EMPTY {
                slot = (slot + 1) & (size - 1);
            }
            let tag = (hash >> 32) as u32;
            slots[slot] = Slot { tag, at: at as u32 };
        }
        Self { slots }
    }

    /// The position of a name; `name_at` gives the name at a position.
    pub(super) fn get<'n>(
        &self,
        name: &[u8],
        name_at: impl Fn(usize) -> &'n [u8],
    ) -> Option<usize> {
        let mask = self.slots.len().checked_sub(1)?;
        let hash = hash_of(name);
        let tag = (hash >> 32) as u32;
        let mut slot = hash as usize & mask;
        loop {
            let found = self.slots[slot];
            if found.at == EMPTY {
                return None;
            }
            if found.tag == tag && is_same(name_at(found.at as usize), name) {
                return Some(found.at as usize);
            }
            slot = (slot + 1) & mask;
        }
    }
}

/// Whether two names are equal, without a call: they are short.
#[inline]
pub(crate) fn is_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let mut words = one.as_chunks::<8>().0.iter().zip(other.as_chunks::<8>().0);
    match (one.last_chunk::<8>(), other.last_chunk::<8>()) {
        (Some(one), Some(other)) => one == other && words.all(|(one, other)| one == other),
        _ => one.iter().eq(other),
    }
}

/// `FxHash` over eight bytes at a time: names are short. Upper and lower case are the same, whatever else is
/// taken for the same by that.
pub(crate) fn hash_of(name: &[u8]) -> u64 {
    let mut hash = name.len() as u64;
    let mut add = |word: u64| {
        hash = (hash.rotate_left(5) ^ (word | CASE_BITS)).wrapping_mul(0x517c_c1b7_2722_0a95);
    };
    for word in name.as_chunks::<8>().0 {
        add(u64::from_le_bytes(*word));
    }
    match name.last_chunk::<8>() {
        // Some bytes twice is cheaper than the rest one by one.
        Some(last) => add(u64::from_le_bytes(*last)),
        None => add(name.iter().fold(0, |all, byte| all << 8 | u64::from(*byte))),
    }
    // Multiplication mixes upwards only, and the table indexes by the low bits.
    hash ^ (hash >> 32)
}

/// The canonical order of lowercased names (RFC 4034 §6.1): label by label from the root, each as a
/// string of bytes. A name stands right before everything below it.
#[must_use]
pub fn canonical_order(one: &[u8], other: &[u8]) -> Ordering {
    Labels::of(one).order(&Labels::of(other))
}

/// Where the labels of a name start; on the stack.
pub(super) struct Labels<'n> {
    name: &'n [u8],
    starts: [u8; LABELS_MAX],
    count: usize,
}

impl<'n> Labels<'n> {
    pub(super) fn of(name: &'n [u8]) -> Self {
        let mut labels = Self {
            name,
            starts: [0; LABELS_MAX],
            count: 0,
        };
        let mut at = name;
        while let Some(parent) = parent_of(at)
            && let Some(start) = labels.starts.get_mut(labels.count)
        {
            // A name has at most 255 bytes.
            *start = (name.len() - at.len()) as u8;
            labels.count += 1;
            at = parent;
        }
        labels
    }

    /// The canonical order of two names.
    pub(super) fn order(&self, other: &Labels<'_>) -> Ordering {
        for (one, other) in self.root_first().zip(other.root_first()) {
            match one.cmp(other) {
                Ordering::Equal => {}
                unequal => return unequal,
            }
        }
        self.count.cmp(&other.count)
    }

    fn root_first(&self) -> impl Iterator<Item = &'n [u8]> {
        self.starts[..self.count].iter().rev().map(|start| {
            let label = &self.name[usize::from(*start)..];
            &label[1..=usize::from(label[0])]
        })
    }
}
