//! A zone as it is answered from: its static data with the steered names of one plan laid over it.
//!
//! The overlay has a node for every steered name and for every name between it and the apex, so
//! that a name found in the static data alone needs no second look: if a steered name lay below it,
//! it would have been found in the overlay. Publishing a plan rebuilds overlays only; the static
//! data is shared.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::names::NameTable;
use super::static_zone::{Cover, Node, StaticZone};
use super::{DisplayName, DisplayType, RrSet, ZoneError};
use crate::dnssec::ZoneSigner;
use crate::wire::{RType, label_count, parent_of};

/// The number a steered name carries; its meaning is that of whoever built the zones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SteeredIdx(pub u32);

/// A zone with its steered names.
#[derive(Debug)]
pub struct ServedZone {
    data: Arc<StaticZone>,
    /// The data is a placeholder: the zone was never loaded, or has expired.
    pub(super) unready: bool,
    /// What signs the zone's answers, if something does.
    signer: Option<Arc<ZoneSigner>>,
    names: NameTable,
    nodes: Box<[OverNode]>,
    /// Labels of the deepest name, static or steered.
    labels_max: usize,
}

#[derive(Debug)]
struct OverNode {
    name: Box<[u8]>,
    /// The static node of the same name, if there is one.
    base: Option<u32>,
    steered: Option<SteeredIdx>,
    wildcard: Option<u32>,
}

/// An existing name with what its zone and the plan say about it.
#[derive(Clone, Copy, Debug)]
pub struct NodeView<'z> {
    name: &'z [u8],
    base: Option<&'z Node>,
    steered: Option<SteeredIdx>,
}

impl<'z> NodeView<'z> {
    /// A node of static data.
    #[must_use]
    pub fn of(node: &'z Node) -> Self {
        Self {
            name: &node.name,
            base: Some(node),
            steered: None,
        }
    }

    /// The lowercased wire name.
    #[must_use]
    pub fn name(self) -> &'z [u8] {
        self.name
    }

    /// The steering of this name.
    #[must_use]
    pub fn steered(self) -> Option<SteeredIdx> {
        self.steered
    }

    /// The static records of one type; addresses and CNAMEs of a steered name are not seen.
    #[must_use]
    pub fn rrset(self, rtype: RType) -> Option<&'z RrSet> {
        self.base?.rrset(rtype).filter(|set| self.shows(set))
    }

    /// Every static record set that is answered here, by type.
    pub fn rrsets(self) -> impl Iterator<Item = &'z RrSet> {
        let all = self.base.map_or(&[][..], |base| base.rrsets());
        all.iter().filter(move |set| self.shows(set))
    }

    /// The CNAME's record set and lowercased target.
    #[must_use]
    pub fn cname(self) -> Option<(&'z RrSet, &'z [u8])> {
        Some((self.rrset(RType::CNAME)?, self.base?.target()?))
    }

    fn shows(self, set: &RrSet) -> bool {
        self.steered.is_none() || !replaced_by_steering(set.rtype())
    }
}

/// Types that a steered name answers by picks alone.
fn replaced_by_steering(rtype: RType) -> bool {
    matches!(rtype, RType::A | RType::AAAA | RType::CNAME | RType::ALIAS)
}

/// What a name is in the zone that contains it.
#[derive(Clone, Copy, Debug)]
pub struct Found<'z> {
    /// The zone.
    pub zone: &'z ServedZone,
    /// The longest existing name at or above the name asked for, or above a cut or DNAME the node
    /// that has it.
    pub encloser: NodeView<'z>,
    /// Which case of RFC 1034 §4.3.2 step 3 it is.
    pub case: Case<'z>,
}

/// The cases of RFC 1034 §4.3.2 step 3, RFC 4592 and RFC 6672.
#[derive(Clone, Copy, Debug)]
pub enum Case<'z> {
    /// The name exists: it is the encloser.
    Exact,
    /// It does not, but a wildcard stands for it.
    Wildcard(NodeView<'z>),
    /// It does not exist.
    Missing,
    /// It is at or below a delegation, whose NS set this node has.
    Cut(&'z Node),
    /// It is below a DNAME, which this node has.
    Dname(&'z Node),
}

impl ServedZone {
    /// A zone with steered names laid over it; says what could not be. The names are lowercased and
    /// inside the zone.
    pub(super) fn build(
        data: Arc<StaticZone>,
        steered: &[(&[u8], SteeredIdx)],
        problems: &mut Vec<ZoneError>,
    ) -> Self {
        // A name stands after its ancestors: a suffix of it is shorter.
        let mut drafts: BTreeMap<(usize, &[u8]), Option<SteeredIdx>> = BTreeMap::new();
        for &(name, idx) in steered {
            if let Some(problem) = conflict(&data, name) {
                problems.push(problem);
                continue;
            }
            let slot = drafts.entry((name.len(), name)).or_default();
            if slot.is_some() {
                let name = DisplayName(name.into());
                problems.push(ZoneError::SteeredTwice { name });
                continue;
            }
            problems.extend(replaced(&data, name));
            if data.is_signed() {
                problems.push(ZoneError::SteeredAndSigned {
                    name: DisplayName(name.into()),
                    origin: DisplayName(data.origin().into()),
                });
            }
            *slot = Some(idx);
            let above = std::iter::successors(parent_of(name), |name| parent_of(name));
            for above in above.take_while(|at| at.len() >= data.origin().len()) {
                drafts.entry((above.len(), above)).or_default();
            }
        }
        let mut at_name: HashMap<&[u8], usize> = HashMap::with_capacity(drafts.len());
        let mut nodes: Vec<OverNode> = Vec::with_capacity(drafts.len());
        for ((_, name), steered) in drafts {
            at_name.insert(name, nodes.len());
            if name.starts_with(b"\x01*")
                && let Some(parent) = parent_of(name).and_then(|parent| at_name.get(parent))
            {
                nodes[*parent].wildcard = Some(nodes.len() as u32);
            }
            nodes.push(OverNode {
                name: name.into(),
                base: data.position(name).map(|idx| idx.0),
                steered,
                wildcard: None,
            });
        }
        let deepest = nodes.iter().map(|node| label_count(&node.name)).max();
        Self {
            labels_max: data.labels_max.max(deepest.unwrap_or(0)),
            names: NameTable::build(nodes.iter().map(|node| &*node.name)),
            nodes: nodes.into(),
            data,
            unready: false,
            signer: None,
        }
    }

    /// The static data.
    #[must_use]
    pub fn data(&self) -> &Arc<StaticZone> {
        &self.data
    }

    /// Whether the zone is ours and cannot be answered now.
    #[must_use]
    pub fn is_unready(&self) -> bool {
        self.unready
    }

    /// What signs the zone's answers as they are made.
    pub(crate) fn signer(&self) -> Option<&ZoneSigner> {
        self.signer.as_deref()
    }

    /// Has the zone's answers signed.
    pub(crate) fn sign_by(&mut self, signer: Arc<ZoneSigner>) {
        self.signer = Some(signer);
    }

    /// The lowercased wire name of the apex.
    #[must_use]
    pub fn apex(&self) -> &[u8] {
        self.data.origin()
    }

    /// The SOA for the authority section of NXDOMAIN and NODATA.
    #[must_use]
    pub fn negative_soa(&self) -> &RrSet {
        self.data.negative_soa()
    }

    /// The steered names, in no particular order.
    pub fn steered(&self) -> impl Iterator<Item = (&[u8], SteeredIdx)> {
        let named = |node: &'_ OverNode| node.steered;
        self.nodes
            .iter()
            .filter_map(move |node| Some((&*node.name, named(node)?)))
    }

    /// Every steered name with the number of its node.
    pub(crate) fn steered_nodes(&self) -> impl Iterator<Item = (u32, &[u8], SteeredIdx)> {
        let nodes = self.nodes.iter().enumerate();
        // Numbers of nodes are kept in 32 bits everywhere.
        nodes.filter_map(|(at, node)| Some((at as u32, &*node.name, node.steered?)))
    }

    /// What [`ServedZone::find`] finds for the name of a node.
    #[inline]
    pub(crate) fn steered_at(&self, node: u32) -> Option<Found<'_>> {
        let over = self.nodes.get(node as usize)?;
        Some(self.found_over(over, true))
    }

    /// The name of a node; empty when there is none of this number.
    pub(crate) fn node_name(&self, node: u32) -> &[u8] {
        self.nodes.get(node as usize).map_or(&[], |node| &node.name)
    }

    /// Finds what `name` (a lowercased wire name of `labels` labels, inside this zone) is here.
    #[must_use]
    #[inline]
    pub fn find(&self, name: &[u8], labels: usize) -> Found<'_> {
        let mut at = name;
        for _ in self.labels_max..labels {
            at = parent_of(at).unwrap_or(&[]);
        }
        loop {
            if let Some(over) = self.over(at) {
                return self.found_over(over, at.len() == name.len());
            }
            if let Some(found) = self.data.position(at) {
                return self.found(self.data.node(found), at.len() == name.len());
            }
            match parent_of(at) {
                Some(parent) => at = parent,
                // The apex exists, and the name lies below it.
                None => return self.found(self.data.apex(), false),
            }
        }
    }

    fn over(&self, name: &[u8]) -> Option<&OverNode> {
        let at = self.names.get(name, |at| &self.nodes[at].name)?;
        self.nodes.get(at)
    }

    fn view<'z>(&'z self, over: &'z OverNode) -> NodeView<'z> {
        NodeView {
            name: &over.name,
            base: self.base(over),
            steered: over.steered,
        }
    }

    fn base(&self, over: &OverNode) -> Option<&Node> {
        self.data.nodes.get(over.base? as usize)
    }

    /// The case when the encloser is in the static data alone.
    fn found<'z>(&'z self, node: &'z Node, exact: bool) -> Found<'z> {
        let wildcard = || Some(NodeView::of(self.data.node(node.wildcard?)));
        self.case(NodeView::of(node), node.cover, wildcard, exact)
    }

    /// The case when the encloser is steered or has steered names below it. No such name lies below
    /// a cut or a DNAME.
    fn found_over<'z>(&'z self, over: &'z OverNode, exact: bool) -> Found<'z> {
        let base = self.base(over);
        let steered = over.wildcard.and_then(|at| self.nodes.get(at as usize));
        let of_base = || Some(NodeView::of(self.data.node(base?.wildcard?)));
        let wildcard = || steered.map(|over| self.view(over)).or_else(of_base);
        let cover = base.map_or(Cover::Open, |base| base.cover);
        self.case(self.view(over), cover, wildcard, exact)
    }

    #[inline]
    fn case<'z>(
        &'z self,
        encloser: NodeView<'z>,
        cover: Cover,
        wildcard: impl FnOnce() -> Option<NodeView<'z>>,
        exact: bool,
    ) -> Found<'z> {
        let case = match cover {
            Cover::Cut(cut) => Case::Cut(self.data.node(cut)),
            Cover::Dname(owner) if !exact || self.data.node(owner).name() != encloser.name => {
                Case::Dname(self.data.node(owner))
            }
            _ if exact => Case::Exact,
            _ => wildcard().map_or(Case::Missing, Case::Wildcard),
        };
        Found {
            zone: self,
            encloser,
            case,
        }
    }
}

/// Why a name cannot be steered in this zone.
fn conflict(data: &StaticZone, name: &[u8]) -> Option<ZoneError> {
    let nearest = std::iter::successors(Some(name), |name| parent_of(name))
        .find_map(|at| data.get(at))
        .unwrap_or(data.apex());
    let (Cover::Cut(above) | Cover::Dname(above)) = nearest.cover else {
        return None;
    };
    let above = data.node(above);
    let is_owner_of_dname = above.name() == name && matches!(nearest.cover, Cover::Dname(_));
    (!is_owner_of_dname).then(|| ZoneError::BelowCut {
        name: DisplayName(name.into()),
        cut: DisplayName(above.name().into()),
    })
}

/// The static records that steering replaces.
fn replaced(data: &StaticZone, name: &[u8]) -> Vec<ZoneError> {
    let sets = data.get(name).map_or(&[][..], Node::rrsets);
    sets.iter()
        .filter(|set| replaced_by_steering(set.rtype()))
        .map(|set| ZoneError::SteeredAndStatic {
            name: DisplayName(name.into()),
            rtype: DisplayType(set.rtype()),
        })
        .collect()
}
