//! Signatures by the content they cover: bounded, lock-free, shared by every thread that answers.
//!
//! A table is sets of [`WAYS`] slots; a key's set is chosen by its upper bits and its slot by
//! comparison. A slot is a sequence lock made of atomics: a writer makes the sequence odd, writes,
//! makes it even again; a reader copies and takes the copy only when the sequence was even and the
//! same before and after. Readers never wait, a writer that meets another leaves its signature
//! uncached. A full set loses the signature that expires first.
//!
//! There are two tables, because names that clients choose (everything that does not exist, and
//! what a wildcard stands for) must not push out the answers of names that do exist.
//!
//! Keys are 64-bit hashes under a secret of this process, so nobody can aim at a slot; that two
//! contents meet by chance in one set has a probability of 2⁻⁴⁸ a lookup at the largest table, and
//! costs one answer that does not validate.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering, fence};

use super::canonical::Set;
use super::key::SIGNATURE_BYTES;

/// Slots that a key may be in.
const WAYS: usize = 4;
const SIGNATURE_WORDS: usize = SIGNATURE_BYTES / 8;

/// A signature and when it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    pub(crate) inception: u32,
    pub(crate) expiration: u32,
    pub(crate) bytes: [u8; SIGNATURE_BYTES],
}

/// Who chose the name that is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// The operator: there are as many as there are.
    Ours,
    /// A client: there is no end of them.
    Chosen,
}

/// Both tables.
#[derive(Debug)]
pub(crate) struct SignatureCache {
    secret: RandomState,
    ours: Table,
    chosen: Table,
}

impl SignatureCache {
    /// Tables with room for at least so many signatures each.
    pub(crate) fn new(ours: usize, chosen: usize) -> Self {
        Self {
            secret: RandomState::new(),
            ours: Table::new(ours),
            chosen: Table::new(chosen),
        }
    }

    /// The key of a set's signature by one key of the zone. The order of the records does not matter:
    /// signatures do not depend on it, and steering shuffles.
    pub(crate) fn key(&self, set: &Set<'_>, key_id: u64) -> u64 {
        let (sum, count) = set.data().fold((0_u64, 0_u32), |(sum, count), data| {
            let mut hasher = self.secret.build_hasher();
            hasher.write(data);
            (sum.wrapping_add(hasher.finish()), count.wrapping_add(1))
        });
        let mut hasher = self.secret.build_hasher();
        hasher.write(set.owner);
        hasher.write_u64(sum);
        hasher.write_u64(u64::from(count) << 32 | u64::from(set.original_ttl_seconds));
        hasher.write_u64(key_id);
        hasher.write_u16(set.rtype.0);
        hasher.finish()
    }

    /// A key for a name and type of ours, whatever its records.
    pub(crate) fn name_key(&self, owner: &[u8], rtype: crate::wire::RType) -> u64 {
        let mut hasher = self.secret.build_hasher();
        hasher.write(owner);
        hasher.write_u16(rtype.0);
        hasher.finish()
    }

    pub(crate) fn get(&self, names: Names, key: u64) -> Option<Signature> {
        self.table(names).get(key)
    }

    pub(crate) fn put(&self, names: Names, key: u64, signature: &Signature) {
        self.table(names).put(key, signature);
    }

    fn table(&self, names: Names) -> &Table {
        match names {
            Names::Ours => &self.ours,
            Names::Chosen => &self.chosen,
        }
    }
}

struct Table {
    /// A power of two of sets.
    slots: Box<[Slot]>,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Table({} slots)", self.slots.len())
    }
}

#[derive(Default)]
struct Slot {
    sequence: AtomicU64,
    key: AtomicU64,
    /// Expiration in the upper half, inception in the lower; 0 is an empty slot.
    times: AtomicU64,
    signature: [AtomicU64; SIGNATURE_WORDS],
}

impl Table {
    fn new(capacity: usize) -> Self {
        let sets = capacity.div_ceil(WAYS).next_power_of_two();
        Self {
            slots: std::iter::repeat_with(Slot::default)
                .take(sets * WAYS)
                .collect(),
        }
    }

    fn set_of(&self, key: u64) -> &[Slot] {
        let sets = self.slots.len() / WAYS;
        let start = (key >> 32) as usize % sets * WAYS;
        &self.slots[start..start + WAYS]
    }

    fn get(&self, key: u64) -> Option<Signature> {
        self.set_of(key).iter().find_map(|slot| slot.get(key))
    }

    fn put(&self, key: u64, signature: &Signature) {
        let set = self.set_of(key);
        let same = set
            .iter()
            .find(|slot| slot.key.load(Ordering::Relaxed) == key);
        let first_to_expire = || {
            set.iter()
                .min_by_key(|slot| slot.times.load(Ordering::Relaxed))
        };
        if let Some(slot) = same.or_else(first_to_expire) {
            slot.put(key, signature);
        }
    }
}

impl Slot {
    fn get(&self, key: u64) -> Option<Signature> {
        let before = self.sequence.load(Ordering::Acquire);
        if before & 1 == 1 || self.key.load(Ordering::Relaxed) != key {
            return None;
        }
        let times = self.times.load(Ordering::Relaxed);
        let mut bytes = [0; SIGNATURE_BYTES];
        for (to, word) in bytes.chunks_exact_mut(8).zip(&self.signature) {
            to.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
        }
        // The copy above is finished before the sequence is read again.
        fence(Ordering::Acquire);
        let whole = self.sequence.load(Ordering::Relaxed) == before && times != 0;
        whole.then_some(Signature {
            inception: times as u32,
            expiration: (times >> 32) as u32,
            bytes,
        })
    }

    fn put(&self, key: u64, signature: &Signature) {
        let sequence = self.sequence.load(Ordering::Relaxed);
        if sequence & 1 == 1
            || self
                .sequence
                .compare_exchange(sequence, sequence + 1, Ordering::Acquire, Ordering::Relaxed)
                .is_err()
        {
            return;
        }
        // Readers that see anything of what follows also see the odd sequence.
        fence(Ordering::Release);
        self.key.store(key, Ordering::Relaxed);
        let times = u64::from(signature.expiration) << 32 | u64::from(signature.inception);
        self.times.store(times, Ordering::Relaxed);
        let (words, _) = signature.bytes.as_chunks::<8>();
        for (word, from) in self.signature.iter().zip(words) {
            word.store(u64::from_ne_bytes(*from), Ordering::Relaxed);
        }
        self.sequence.store(sequence + 2, Ordering::Release);
    }
}
