//! One zone's static data in the one form that is served, transferred and written to disk.
//!
//! Every name that exists (with records, or only because something lies below it) is one [`Node`];
//! nodes stand in canonical order (RFC 4034 §6.1), so a node comes before all that lies below it and
//! the chain of NSEC records can be searched. What a walk down a tree of labels would find on its
//! way is written into the node when the zone is built: the zone cut or DNAME at or above it, its
//! wildcard child. So a name that exists costs one probe of a hash table; for one that does not,
//! labels are taken off the front until a node is found, and that node is the closest encloser.
//!
//! Immutable and shared: the topology, a master file, a transfer and an update all make one with
//! [`super::StaticZoneBuilder`], and every plan that serves it holds the same one. Limits: a miss
//! costs at most as many probes as the deepest name of the zone has labels.

use super::denial::Denial;
use super::names::NameTable;
use super::{RrSet, ZoneError};
use crate::wire::{RType, parent_of};

/// Position of a node in its zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeIdx(pub(super) u32);

/// An existing name.
#[derive(Clone, Debug)]
pub struct Node {
    pub(super) name: Box<[u8]>,
    pub(super) rrsets: Box<[RrSet]>,
    /// The lowercased target of a CNAME or DNAME.
    pub(super) target: Option<Box<[u8]>>,
    pub(super) cover: Cover,
    pub(super) wildcard: Option<NodeIdx>,
}

/// The topmost name at or above a node that takes the names below it out of the zone's own data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cover {
    /// Nothing: the node's data is authoritative.
    Open,
    /// A delegation.
    Cut(NodeIdx),
    /// A DNAME; the node that has it is authoritative, what is below it is not seen.
    Dname(NodeIdx),
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

    /// Every record set, by type. Signatures are with the sets they cover.
    #[must_use]
    pub fn rrsets(&self) -> &[RrSet] {
        &self.rrsets
    }

    /// The lowercased target of the node's CNAME, or else of its DNAME.
    #[must_use]
    pub fn target(&self) -> Option<&[u8]> {
        self.target.as_deref()
    }
}

/// One record of a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordRef<'z> {
    /// The lowercased wire name.
    pub owner: &'z [u8],
    /// Its type.
    pub rtype: RType,
    /// Seconds it may be cached.
    pub ttl_seconds: u32,
    /// Its data in wire form, names in it uncompressed.
    pub data: &'z [u8],
}

/// A zone's static data: immutable, shared, class IN.
#[derive(Clone, Debug)]
pub struct StaticZone {
    pub(super) names: NameTable,
    /// In canonical order; the first is the apex.
    pub(super) nodes: Box<[Node]>,
    /// SOA as negative answers carry it: TTL is the smaller of its own and MINIMUM (RFC 2308 §3).
    pub(super) negative_soa: RrSet,
    pub(super) serial: u32,
    /// Labels of the deepest name.
    pub(super) labels_max: usize,
    pub(super) denial: Denial,
    /// Where ALIAS records point, as lowercased wire names.
    pub(super) aliases: Box<[Box<[u8]>]>,
    pub(super) problems: Box<[ZoneError]>,
}

impl StaticZone {
    /// A zone that stands for one whose data we do not have.
    ///
    /// # Errors
    /// [`ZoneError`], when `origin` is no name.
    pub(super) fn placeholder(origin: &[u8]) -> Result<Self, ZoneError> {
        let mut builder = super::StaticZoneBuilder::new(origin);
        // Two names, the root, and five numbers.
        builder.record(origin, RType::SOA, 0, &[0; 22]);
        builder.build()
    }

    /// The lowercased wire name of the apex.
    #[must_use]
    pub fn origin(&self) -> &[u8] {
        &self.apex().name
    }

    /// The serial of the SOA.
    #[must_use]
    pub fn serial(&self) -> u32 {
        self.serial
    }

    /// The apex.
    #[must_use]
    pub fn apex(&self) -> &Node {
        // A zone is only built with an SOA, which makes its apex the first node.
        &self.nodes[0]
    }

    /// The SOA for the authority section of NXDOMAIN and NODATA.
    #[must_use]
    pub fn negative_soa(&self) -> &RrSet {
        &self.negative_soa
    }

    /// Every set that this zone speaks for, with its owner: what is signed of it. Neither a
    /// delegation's servers nor what lies below it or below a DNAME is.
    pub fn authoritative(&self) -> impl Iterator<Item = (&Node, &RrSet)> {
        let speaks_for = |node: &Node, set: &RrSet| match node.cover {
            Cover::Open => true,
            Cover::Dname(at) => self.node(at).name() == node.name(),
            Cover::Cut(at) => set.rtype() == RType::DS && self.node(at).name() == node.name(),
        };
        self.nodes.iter().flat_map(move |node| {
            let sets = node.rrsets.iter();
            sets.filter(move |set| speaks_for(node, set))
                .map(move |set| (node, set))
        })
    }

    /// Where ALIAS records point, as lowercased wire names.
    #[must_use]
    pub fn alias_targets(&self) -> &[Box<[u8]>] {
        &self.aliases
    }

    /// How the data arrived signed.
    #[must_use]
    pub fn denial(&self) -> &Denial {
        &self.denial
    }

    /// What was left out when the zone was built, and why.
    #[must_use]
    pub fn problems(&self) -> &[ZoneError] {
        &self.problems
    }

    /// Every existing name in canonical order.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node at exactly this lowercased wire name.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&Node> {
        Some(self.node(self.position(name)?))
    }

    /// The position of the node at exactly this lowercased wire name.
    #[must_use]
    pub fn position(&self, name: &[u8]) -> Option<NodeIdx> {
        let at = self.names.get(name, |at| &self.nodes[at].name)?;
        Some(NodeIdx(at as u32))
    }

    /// The position of the node that answers for a lowercased wire name with authority: its own, or
    /// the wildcard's that stands for it.
    pub(super) fn answering(&self, name: &[u8]) -> Option<NodeIdx> {
        let mut at = name;
        let encloser = loop {
            match self.position(at) {
                Some(found) => break found,
                None => at = parent_of(at)?,
            }
        };
        let node = self.node(encloser);
        let exact = at.len() == name.len();
        match node.cover {
            Cover::Open if exact => Some(encloser),
            Cover::Open => node.wildcard,
            Cover::Dname(owner) => (exact && owner == encloser).then_some(encloser),
            Cover::Cut(_) => None,
        }
    }

    /// The node at a position of this zone.
    #[must_use]
    pub fn node(&self, idx: NodeIdx) -> &Node {
        &self.nodes[idx.0 as usize]
    }

    /// Every record, the SOA first, then in canonical order of names and by type, NSEC3 last;
    /// signatures behind the set they cover.
    pub fn records(&self) -> impl Iterator<Item = RecordRef<'_>> {
        // At the apex the SOA's type number is not the lowest.
        let soa = self.apex().rrset(RType::SOA);
        let first = soa.into_iter().map(|set| (self.origin(), set));
        let of_nodes = self
            .nodes
            .iter()
            .flat_map(|node| node.rrsets.iter().map(move |set| (node.name(), set)))
            .filter(|(_, set)| set.rtype() != RType::SOA);
        let of_links = self.denial.nsec3_links().iter();
        let of_links = of_links.map(|link| (link.name(), link.rrset()));
        first
            .chain(of_nodes)
            .chain(of_links)
            .flat_map(|(owner, set)| {
                let ttl_seconds = set.ttl_seconds();
                let record = move |rtype, data| RecordRef {
                    owner,
                    rtype,
                    ttl_seconds,
                    data,
                };
                let signatures = set.signatures().into_iter().flat_map(|set| set.data());
                set.data()
                    .map(move |(_, data)| record(set.rtype(), data))
                    .chain(signatures.map(move |(_, data)| record(RType::RRSIG, data)))
            })
    }
}
