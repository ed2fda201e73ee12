//! The lookup side of client classes: address in, class and honest scope out.
//!
//! Structure: for each family a cover of the address space ([`super::ranges`]) and an index over it:
//! [`super::direct`] for IPv4, the top sixteen bits for IPv6. Ranges are plain arrays of numbers, so
//! that a file can hold them as they are ([`ClassTable::from_ranges`], [`ClassTable::v4`]); indices are
//! made when a table is, in a few milliseconds. Tables are immutable.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::direct::Direct;
use super::ranges::{Address, Cover, CoverError};
use super::{ClassId, ClientClass, MAX_CLASSES};
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
    /// The range that has the address, where the lookup came to it, or [`NO_RANGE`]: it spares
    /// [`crate::scopes`] the way there.
    pub(crate) range: u32,
}

/// The lookup ended before it came to a range.
pub(crate) const NO_RANGE: u32 = u32::MAX;

/// Every class of client, and the class of every address.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct ClassTable {
    classes: Vec<ClientClass>,
    v4: Cover<u32>,
    direct: Direct,
    v6: Sparse,
    fingerprint: u64,
}

/// Tables are equal when they say the same of every address; indices follow from that.
impl PartialEq for ClassTable {
    fn eq(&self, other: &Self) -> bool {
        self.classes == other.classes && self.v4 == other.v4 && self.v6.cover == other.v6.cover
    }
}

/// The ranges of one family as parallel arrays: where each begins (the first at 0, each to the next),
/// and the position of its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranges<'t, A> {
    /// First addresses, rising.
    pub starts: &'t [A],
    /// Positions in [`ClassTable::classes`].
    pub classes: &'t [u16],
}

impl ClassTable {
    pub(super) fn new(classes: Vec<ClientClass>, mut v4: Cover<u32>, mut v6: Cover<u128>) -> Self {
        v4.shrink();
        v6.shrink();
        Self {
            fingerprint: fingerprint(&classes),
            direct: Direct::new(&v4),
            v6: Sparse::new(v6),
            v4,
            classes,
        }
    }

    /// A table from its classes (the first is the unknown client) and the starts and classes of its
    /// ranges, as [`ClassTable::v4`] and [`ClassTable::v6`] give them out.
    ///
    /// # Errors
    /// [`CoverError`] when the ranges are no cover of the address space, or classes are too many.
    pub fn from_ranges(
        classes: Vec<ClientClass>,
        v4: (Vec<u32>, Vec<u16>),
        v6: (Vec<u128>, Vec<u16>),
    ) -> Result<Self, CoverError> {
        Parts {
            classes,
            v4: Cover::unchecked(v4.0, v4.1),
            v6: Cover::unchecked(v6.0, v6.1),
        }
        .try_into()
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
            IpAddr::V4(v4) => self.direct.lookup(&self.v4, v4.to_bits()),
            IpAddr::V6(v6) => self.v6.lookup(v6.to_bits()),
        }
    }

    /// How many ranges the two families have: what the table's memory is proportional to.
    #[must_use]
    pub fn range_counts(&self) -> (usize, usize) {
        (self.v4.starts().len(), self.v6.cover.starts().len())
    }

    /// The ranges of IPv4.
    #[must_use]
    pub fn v4(&self) -> Ranges<'_, u32> {
        Ranges {
            starts: self.v4.starts(),
            classes: self.v4.classes(),
        }
    }

    /// The ranges of IPv6.
    #[must_use]
    pub fn v6(&self) -> Ranges<'_, u128> {
        Ranges {
            starts: self.v6.cover.starts(),
            classes: self.v6.cover.classes(),
        }
    }

    /// Memory that the table holds, in bytes; names of classes aside.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let index = self
            .v6
            .index
            .as_ref()
            .map_or(0, |index| size_of_val(&**index));
        size_of::<Self>()
            + self.classes.capacity() * size_of::<ClientClass>()
            + self.v4.memory_bytes()
            + self.direct.memory_bytes()
            + self.v6.cover.memory_bytes()
            + index
    }

    pub(super) fn covers(&self) -> (&Cover<u32>, &Cover<u128>) {
        (&self.v4, &self.v6.cover)
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
            v4: table.v4,
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
        if parts.classes.len() > MAX_CLASSES {
            return Err(CoverError);
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

/// IPv6: an index with one entry for every value of an address's top sixteen bits, so that a lookup is
/// one load from it and a binary search among the ranges that begin under them.
#[derive(Clone, Debug)]
struct Sparse {
    cover: Cover<u128>,
    /// For each value of the top sixteen bits, the first range that starts at or after its first
    /// address; `None` for the one range of a table that knows no IPv6.
    index: Option<Box<[u32]>>,
}

impl Sparse {
    fn new(cover: Cover<u128>) -> Self {
        let starts = cover.starts();
        if starts.len() == 1 {
            return Self { cover, index: None };
        }
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
            index: Some(index.into()),
        }
    }

    #[inline]
    fn lookup(&self, address: u128) -> ClassMatch {
        let Some(index) = &self.index else {
            return self.cover.find(0..1, address);
        };
        let top = address.top16();
        let candidates = index[top] as usize..index[top + 1] as usize;
        self.cover.find(candidates, address)
    }
}
