//! The lookup of RFC 1034 §4.3.2 over one hash table.
//!
//! Every name that exists in any of our zones (with records, steered, or only because something
//! lies below it) is one [`Node`] in one table keyed by the lowercased wire name. What a walk down
//! a tree of labels would find on its way is written into the node when the tree is built: its
//! zone, the zone cut at or above it, its wildcard child. So a name that exists costs one probe;
//! for one that does not, labels are taken off the front until a node is found, and that node, the
//! closest encloser, says the rest: below a cut → referral, wildcard child → synthesis, else
//! NXDOMAIN. No node at all means the name is in none of our zones.
//!
//! Limits: a miss costs at most as many probes as the deepest name of ours has labels, whatever the
//! question; labels beyond that are cut off first. The hash is unkeyed: the table's keys are the
//! operator's, so a client cannot grow a bucket. Immutable; nothing here allocates or locks.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::RrSet;
use crate::wire::{RType, label_count, parent_of};

/// CNAMEs followed inside our zones for one question; a longer chain ends the answer there, and the
/// resolver asks on. It also ends loops.
pub const CNAME_CHAIN_MAX: usize = 8;

/// Position of a node in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeIdx(pub(super) u32);

/// Position of a zone in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ZoneIdx(pub(super) u32);

/// The number a steered name carries; its meaning is the builder's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SteeredIdx(pub u32);

/// An existing name.
#[derive(Debug)]
pub struct Node {
    pub(super) name: Box<[u8]>,
    pub(super) zone: ZoneIdx,
    pub(super) rrsets: Box<[RrSet]>,
    pub(super) steered: Option<SteeredIdx>,
    /// The lowercased target, if the one record set is a CNAME.
    pub(super) cname: Option<Box<[u8]>>,
    /// The topmost zone cut at or above this name.
    pub(super) cut: Option<NodeIdx>,
    pub(super) wildcard: Option<NodeIdx>,
    /// What a referral sends beside NS; only at a cut.
    pub(super) glue: Box<[Glue]>,
}

impl Node {
    /// The lowercased wire name.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The records of one type.
    #[must_use]
    pub fn rrset(&self, rtype: RType) -> Option<&RrSet> {
        self.rrsets.iter().find(|set| set.rtype() == rtype)
    }

    /// Every static record set, by type.
    #[must_use]
    pub fn rrsets(&self) -> &[RrSet] {
        &self.rrsets
    }

    /// The CNAME's record set and lowercased target.
    #[must_use]
    pub fn cname(&self) -> Option<(&RrSet, &[u8])> {
        Some((self.rrset(RType::CNAME)?, self.cname.as_deref()?))
    }

    /// The steering of this name.
    #[must_use]
    pub fn steered(&self) -> Option<SteeredIdx> {
        self.steered
    }

    /// Addresses of this cut's name servers that lie below it or elsewhere in our zones' glue.
    #[must_use]
    pub fn glue(&self) -> &[Glue] {
        &self.glue
    }
}

/// The addresses of one name server of a delegation.
#[derive(Debug, PartialEq, Eq)]
pub struct Glue {
    /// Where the server's name is spelled out in the NS set's precompiled form.
    pub target_offset: usize,
    /// A or AAAA records of that name.
    pub rrset: RrSet,
}

/// A zone we are authoritative for.
#[derive(Debug)]
pub struct Zone {
    pub(super) apex: Box<[u8]>,
    /// SOA as negative answers carry it: TTL is the smaller of its own and MINIMUM (RFC 2308 §3).
    pub(super) negative_soa: RrSet,
}

impl Zone {
    /// The lowercased wire name of the apex.
    #[must_use]
    pub fn apex(&self) -> &[u8] {
        &self.apex
    }

    /// The SOA for the authority section of NXDOMAIN and NODATA.
    #[must_use]
    pub fn negative_soa(&self) -> &RrSet {
        &self.negative_soa
    }
}

/// A delegation that a name lies at or below.
#[derive(Clone, Copy, Debug)]
pub struct Cut<'t> {
    /// The delegated name, with its NS and glue.
    pub node: &'t Node,
    /// The parent side's zone.
    pub zone: &'t Zone,
}

/// What a name is to us.
#[derive(Clone, Copy, Debug)]
pub enum Found<'t> {
    /// In none of our zones.
    Outside,
    /// Delegated away, except that the cut itself answers DS.
    Delegated(Cut<'t>),
    /// It exists, itself or by a wildcard; it may still lack the type asked for.
    Here {
        /// The node whose records are answered.
        node: &'t Node,
        /// Its zone.
        zone: &'t Zone,
    },
    /// In the zone, and does not exist.
    Missing {
        /// The zone that says so.
        zone: &'t Zone,
    },
}

pub(super) type NameTable = HashMap<Box<[u8]>, NodeIdx, BuildHasherDefault<NameHasher>>;

/// All our zones.
#[derive(Debug, Default)]
pub struct ZoneTree {
    pub(super) names: NameTable,
    pub(super) nodes: Vec<Node>,
    pub(super) zones: Vec<Zone>,
    /// Labels of the deepest name in `names`.
    pub(super) labels_max: usize,
}

impl ZoneTree {
    /// Finds what `name` (a lowercased wire name of `labels` labels) is to us.
    #[must_use]
    pub fn find(&self, name: &[u8], labels: usize) -> Found<'_> {
        let mut at = name;
        for _ in self.labels_max..labels {
            at = parent_of(at).unwrap_or(&[]);
        }
        let encloser = loop {
            if let Some(found) = self.names.get(at) {
                break self.node(*found);
            }
            match parent_of(at) {
                Some(parent) => at = parent,
                None => return Found::Outside,
            }
        };
        let zone = self.zone(encloser.zone);
        if let Some(cut) = encloser.cut {
            return Found::Delegated(Cut {
                node: self.node(cut),
                zone,
            });
        }
        if at.len() == name.len() {
            return Found::Here {
                node: encloser,
                zone,
            };
        }
        match encloser.wildcard {
            Some(wildcard) => Found::Here {
                node: self.node(wildcard),
                zone,
            },
            None => Found::Missing { zone },
        }
    }

    /// As [`ZoneTree::find`], for a name from our own records.
    #[must_use]
    pub fn find_own(&self, name: &[u8]) -> Found<'_> {
        self.find(name, label_count(name))
    }

    /// The node at exactly this lowercased wire name.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&Node> {
        self.names.get(name).map(|idx| self.node(*idx))
    }

    /// Every existing name.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The zones, in no particular order.
    #[must_use]
    pub fn zones(&self) -> &[Zone] {
        &self.zones
    }

    fn node(&self, idx: NodeIdx) -> &Node {
        &self.nodes[idx.0 as usize]
    }

    fn zone(&self, idx: ZoneIdx) -> &Zone {
        &self.zones[idx.0 as usize]
    }
}

/// FxHash over eight bytes at a time: names are short, and the table holds only the operator's.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NameHasher(u64);

impl NameHasher {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.add(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.add(u64::from_le_bytes(last));
    }

    fn write_usize(&mut self, length: usize) {
        self.add(length as u64);
    }

    fn finish(&self) -> u64 {
        // Multiplication mixes upwards only, and the table indexes by the low bits.
        self.0 ^ (self.0 >> 32)
    }
}
