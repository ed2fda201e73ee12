//! The lookup side of client classes: address in, class and honest scope out.
//!
//! Structure: for each family a cover of the address space ([`super::ranges`]) and an index with one
//! entry for every value of an address's top sixteen bits, so that a lookup is one load from the
//! index and a binary search among the few ranges that begin under it. Tables are immutable.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::ranges::{Address, Cover, CoverError};
use super::{ClassId, ClientClass};
use crate::hash::Fingerprint;

/// One entry for every value of the top sixteen bits, and one past the end.
const INDEX_LEN: usize = (1 << 16) + 1;

/// What a lookup finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassMatch {
    /// The client's class.
    pub class: ClassId,
    /// Length of the shortest prefix around the address in which every address has this class: the
    /// scope that an ECS answer may claim (RFC 7871, section 7.2.1). 0 when all addresses agree.
    pub prefix_len: u8,
}

/// Every class of client, and the class of every address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct ClassTable {
    classes: Vec<ClientClass>,
    v4: Family<u32>,
    v6: Family<u128>,
    fingerprint: u64,
}

impl ClassTable {
    pub(super) fn new(classes: Vec<ClientClass>, v4: Cover<u32>, v6: Cover<u128>) -> Self {
        let fingerprint = fingerprint(&classes);
        Self {
            classes,
            v4: Family::new(v4),
            v6: Family::new(v6),
            fingerprint,
        }
    }

    /// A table in which every client is unknown.
    #[must_use]
    pub fn unknown() -> Self {
        Self::new(
            vec![ClientClass::default()],
            Cover::unknown(),
            Cover::unknown(),
        )
    }

    /// The classes; a [`ClassId`] is a position in here, position 0 is the unknown client.
    #[must_use]
    pub fn classes(&self) -> &[ClientClass] {
        &self.classes
    }

    /// One class; an id of another table gives the unknown client.
    #[must_use]
    pub fn class(&self, id: ClassId) -> &ClientClass {
        self.classes.get(id.index()).unwrap_or(&self.classes[0])
    }

    /// Changes when a class id would mean something else: tables derived from the classes (scores)
    /// remember it.
    #[must_use]
    pub const fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The class of an address and the prefix around it for which that holds.
    ///
    /// An IPv4-mapped IPv6 address is looked up as IPv4; the prefix length is then of the IPv4
    /// address.
    #[inline]
    #[must_use]
    pub fn lookup(&self, address: IpAddr) -> ClassMatch {
        match address.to_canonical() {
            IpAddr::V4(v4) => self.v4.lookup(v4.to_bits()),
            IpAddr::V6(v6) => self.v6.lookup(v6.to_bits()),
        }
    }

    /// How many ranges the two families have: what the table's memory is proportional to.
    #[must_use]
    pub fn range_counts(&self) -> (usize, usize) {
        (self.v4.cover.starts().len(), self.v6.cover.starts().len())
    }
}

/// What of a table is serialized: the indices are made again.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    classes: Vec<ClientClass>,
    v4: Cover<u32>,
    v6: Cover<u128>,
}

impl From<ClassTable> for Parts {
    fn from(table: ClassTable) -> Self {
        Self {
            classes: table.classes,
            v4: table.v4.cover,
            v6: table.v6.cover,
        }
    }
}

impl TryFrom<Parts> for ClassTable {
    type Error = CoverError;

    fn try_from(mut parts: Parts) -> Result<Self, CoverError> {
        if parts.classes.is_empty() {
            parts.classes.push(ClientClass::default());
        }
        parts.v4.check(parts.classes.len())?;
        parts.v6.check(parts.classes.len())?;
        Ok(Self::new(parts.classes, parts.v4, parts.v6))
    }
}

fn fingerprint(classes: &[ClientClass]) -> u64 {
    let mut fingerprint = Fingerprint::new(0x636c_6173_7365_7300);
    for class in classes {
        class.add_to(&mut fingerprint);
    }
    fingerprint.finish()
}

#[derive(Clone, Debug, PartialEq)]
struct Family<A> {
    cover: Cover<A>,
    /// For each value of the top sixteen bits, the first range that starts at or after its first
    /// address.
    index: Box<[u32]>,
}

impl<A: Address> Family<A> {
    fn new(cover: Cover<A>) -> Self {
        let starts = cover.starts();
        let mut index = vec![0_u32; INDEX_LEN];
        // Counts first, then running sums: starts below a value of the top sixteen bits.
        for start in starts {
            index[start.top16() + 1] += 1;
        }
        for at in 1..INDEX_LEN {
            index[at] += index[at - 1];
        }
        Self {
            cover,
            index: index.into(),
        }
    }

    #[inline]
    fn lookup(&self, address: A) -> ClassMatch {
        let starts = self.cover.starts();
        let top = address.top16();
        let low = self.index[top] as usize;
        let high = self.index[top + 1] as usize;
        let after = low + starts[low..high].partition_point(|start| *start <= address);
        // The first range starts at 0, so at least one start is not above the address.
        let range = after.saturating_sub(1);
        let beyond = |edge: Option<A>| edge.map_or(0, |edge| address.shared_bits(edge) + 1);
        let prefix_len = beyond(starts[range].previous()).max(beyond(starts.get(after).copied()));
        ClassMatch {
            class: self.cover.classes()[range],
            prefix_len,
        }
    }
}
