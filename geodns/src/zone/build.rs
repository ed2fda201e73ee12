//! Records in, a [`StaticZone`] out. Runs off the packet path, when a zone's data changes.
//!
//! What is wrong is left out and named in the zone's list of problems: one bad record must not
//! silence a zone. Only a zone without an SOA cannot be built.

use std::collections::{BTreeMap, HashMap, HashSet};

use meridian_topology::rdata;

use super::denial::{self, Denial, Nsec3Link};
use super::names::{NameTable, canonical_order};
use super::static_zone::{Cover, Node, NodeIdx, StaticZone};
use super::{DisplayName, DisplayType, RrSet, Signatures, Target, ZoneError, data};
use crate::wire::{HEADER_BYTES, NAME_BYTES_MAX, RECORD_HEAD_BYTES, RType, label_count, parent_of};

/// Largest record set served: a TCP message with room for question, SOA and OPT.
const RRSET_BYTES_MAX: usize = 60_000;

/// Largest NS set. Together with the CNAMEs that may stand before it, every name that glue must
/// point at stays below 16,384 bytes into the message (RFC 1035 §4.1.4).
pub const NS_SET_BYTES_MAX: usize = 8_192;

const _: () = assert!(
    HEADER_BYTES
        + (NAME_BYTES_MAX + 4)
        + (super::CNAME_CHAIN_MAX + 1) * (RECORD_HEAD_BYTES + NAME_BYTES_MAX)
        + NS_SET_BYTES_MAX
        < 0x4000
);

/// Most problems remembered for one zone; more say nothing new.
pub const PROBLEMS_MAX: usize = 1_000;

/// Collects the records of one zone.
#[derive(Debug)]
pub struct StaticZoneBuilder {
    origin: Box<[u8]>,
    names: HashMap<Box<[u8]>, NameDraft>,
    problems: Vec<ZoneError>,
}

#[derive(Debug, Default)]
struct NameDraft {
    sets: BTreeMap<RType, SetDraft>,
    /// RRSIG data by the type it covers.
    signatures: BTreeMap<RType, Vec<Box<[u8]>>>,
}

#[derive(Debug)]
struct SetDraft {
    ttl_seconds: u32,
    data: Vec<Box<[u8]>>,
}

impl StaticZoneBuilder {
    /// An empty zone at `origin`, a wire name.
    #[must_use]
    pub fn new(origin: &[u8]) -> Self {
        Self {
            origin: origin.to_ascii_lowercase().into(),
            names: HashMap::new(),
            problems: Vec::new(),
        }
    }

    /// The lowercased wire name of the apex.
    #[must_use]
    pub fn origin(&self) -> &[u8] {
        &self.origin
    }

    /// Adds one record. `owner` is a wire name, `data` is in wire form with no compressed names.
    /// Records of one type at one name are a set and take the lowest of their TTLs
    /// (RFC 2181 §5.2); duplicates are dropped.
    pub fn record(&mut self, owner: &[u8], rtype: RType, ttl_seconds: u32, data: &[u8]) {
        let owner: Box<[u8]> = owner.to_ascii_lowercase().into();
        if !data::is_within(&owner, &self.origin) {
            self.problem(ZoneError::OutOfZone {
                name: DisplayName(owner),
            });
            return;
        }
        if !rdata::is_well_formed(rtype.0, data) {
            self.problem(ZoneError::Malformed {
                name: DisplayName(owner),
                rtype: DisplayType(rtype),
            });
            return;
        }
        let draft = self.names.entry(owner).or_default();
        if rtype == RType::RRSIG {
            let covered = data.first_chunk().map_or(0, |two| u16::from_be_bytes(*two));
            let covering = draft.signatures.entry(RType(covered)).or_default();
            covering.push(data.into());
            return;
        }
        let set = draft.sets.entry(rtype).or_insert(SetDraft {
            ttl_seconds,
            data: Vec::new(),
        });
        set.ttl_seconds = set.ttl_seconds.min(ttl_seconds);
        set.data.push(data.into());
    }

    /// Adds a problem found before a record could be handed over.
    pub fn problem(&mut self, problem: ZoneError) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        }
    }

    /// The zone.
    ///
    /// # Errors
    /// [`ZoneError::NoSoa`].
    pub fn build(mut self) -> Result<StaticZone, ZoneError> {
        self.resolve_conflicts();
        let soa = self
            .names
            .get(&self.origin)
            .and_then(|apex| apex.sets.get(&RType::SOA))
            .and_then(|set| data::Soa::read(set.data.first()?));
        let Some(soa) = soa else {
            return Err(ZoneError::NoSoa {
                origin: DisplayName(self.origin),
            });
        };
        let links = self.take_nsec3_links();
        self.add_empty_non_terminals();
        let mut drafts: Vec<_> = std::mem::take(&mut self.names).into_iter().collect();
        drafts.sort_by(|(one, _), (other, _)| canonical_order(one, other));
        let names = NameTable::build(drafts.iter().map(|(name, _)| &**name));
        let labels_max = drafts.iter().map(|(name, _)| label_count(name)).max();
        let mut nodes: Vec<Node> = Vec::with_capacity(drafts.len());
        for (name, draft) in drafts {
            self.add_node(&names, &mut nodes, name, draft);
        }
        let apex_soa = nodes.first().and_then(|apex| apex.rrset(RType::SOA));
        let Some(apex_soa) = apex_soa else {
            return Err(ZoneError::NoSoa {
                origin: DisplayName(self.origin),
            });
        };
        let negative_soa = apex_soa.with_ttl(apex_soa.ttl_seconds().min(soa.minimum));
        let mut zone = StaticZone {
            names,
            nodes: nodes.into(),
            negative_soa,
            serial: soa.serial,
            labels_max: labels_max.unwrap_or(0),
            denial: Denial::None,
            aliases: Box::default(),
            problems: Box::default(),
        };
        add_targets(&mut zone);
        let (denial, problems) = denial::of_zone(&zone, links);
        zone.denial = denial;
        zone.aliases = alias_targets(&zone);
        for problem in problems {
            self.problem(problem);
        }
        zone.problems = self.problems.into();
        Ok(zone)
    }

    /// Removes what may not stand beside the rest of its name.
    fn resolve_conflicts(&mut self) {
        let mut names = std::mem::take(&mut self.names);
        for (name, draft) in &mut names {
            for problem in draft.resolve_conflicts(name, *name == self.origin) {
                self.problem(problem);
            }
        }
        names.retain(|_, draft| !draft.sets.is_empty());
        if names
            .get(&self.origin)
            .is_none_or(|apex| !apex.sets.contains_key(&RType::NS))
        {
            self.problem(ZoneError::NoNs {
                origin: DisplayName(self.origin.clone()),
            });
        }
        self.names = names;
    }

    /// NSEC3 records are found by the hash in their owner, and those owners are no names of the zone
    /// (RFC 5155 §7.2.8).
    fn take_nsec3_links(&mut self) -> Vec<Nsec3Link> {
        let mut links = Vec::new();
        let mut names = std::mem::take(&mut self.names);
        names.retain(|name, draft| {
            if let Some(set) = draft.sets.remove(&RType::NSEC3) {
                let signatures = draft.signatures.remove(&RType::NSEC3);
                let encoded = self.encode_set(name, RType::NSEC3, set, signatures);
                links.extend(encoded.and_then(|set| Nsec3Link::of(name, set)));
            }
            !draft.sets.is_empty()
        });
        self.names = names;
        links
    }

    /// Every name between a name and the apex exists, if only to say that something is below it
    /// (RFC 8020).
    fn add_empty_non_terminals(&mut self) {
        let mut missing: HashSet<Box<[u8]>> = HashSet::new();
        for name in self.names.keys() {
            let above = std::iter::successors(parent_of(name), |name| parent_of(name))
                .take_while(|at| at.len() > self.origin.len());
            for at in above {
                if self.names.contains_key(at) || missing.contains(at) {
                    break;
                }
                missing.insert(at.into());
            }
        }
        let empty = missing.into_iter().map(|name| (name, NameDraft::default()));
        self.names.extend(empty);
    }

    /// Adds a node; those above it are there already.
    fn add_node(
        &mut self,
        names: &NameTable,
        nodes: &mut Vec<Node>,
        name: Box<[u8]>,
        draft: NameDraft,
    ) {
        let idx = NodeIdx(nodes.len() as u32);
        let parent = (name.len() > self.origin.len())
            .then(|| {
                names.get(parent_of(&name)?, |at| {
                    nodes.get(at).map_or(&[][..], |n| &n.name)
                })
            })
            .flatten();
        let above = parent.map_or(Cover::Open, |parent| nodes[parent].cover);
        let cover = match above {
            Cover::Open if parent.is_some() && draft.sets.contains_key(&RType::NS) => {
                Cover::Cut(idx)
            }
            Cover::Open if draft.sets.contains_key(&RType::DNAME) => Cover::Dname(idx),
            above => above,
        };
        if let Some(parent) = parent
            && name.starts_with(b"\x01*")
        {
            nodes[parent].wildcard = Some(idx);
        }
        let target = draft.target();
        let rrsets = self.encode_sets(&name, draft);
        nodes.push(Node {
            name,
            rrsets,
            target,
            cover,
            wildcard: None,
        });
    }

    fn encode_sets(&mut self, name: &[u8], mut draft: NameDraft) -> Box<[RrSet]> {
        let mut encoded = Vec::with_capacity(draft.sets.len());
        for (rtype, set) in draft.sets {
            let signatures = draft.signatures.remove(&rtype);
            encoded.extend(self.encode_set(name, rtype, set, signatures));
        }
        for covered in draft.signatures.into_keys() {
            self.problem(ZoneError::SignatureOfNothing {
                name: DisplayName(name.into()),
                rtype: DisplayType(covered),
            });
        }
        encoded.into()
    }

    fn encode_set(
        &mut self,
        name: &[u8],
        rtype: RType,
        mut set: SetDraft,
        signatures: Option<Vec<Box<[u8]>>>,
    ) -> Option<RrSet> {
        let bytes_max = if rtype == RType::NS {
            NS_SET_BYTES_MAX
        } else {
            RRSET_BYTES_MAX
        };
        drop_duplicates(&mut set.data);
        let data = set.data.iter().map(|data| &**data);
        let mut encoded = match RrSet::encode(name, rtype, set.ttl_seconds, data, bytes_max) {
            Ok(encoded) => encoded,
            Err(problem) => {
                self.problem(problem);
                return None;
            }
        };
        if let Some(mut signatures) = signatures {
            drop_duplicates(&mut signatures);
            let data = signatures.iter().map(|data| &**data);
            match Signatures::encode(name, set.ttl_seconds, data, RRSET_BYTES_MAX) {
                Ok(signatures) => encoded.signatures = Some(signatures),
                Err(problem) => self.problem(problem),
            }
        }
        Some(encoded)
    }
}

impl NameDraft {
    /// Removes what may not stand beside the rest; returns what was wrong.
    fn resolve_conflicts(&mut self, name: &[u8], is_apex: bool) -> Vec<ZoneError> {
        let mut problems = Vec::new();
        let named = || DisplayName(name.into());
        if !is_apex && self.sets.remove(&RType::SOA).is_some() {
            problems.push(ZoneError::SoaBelowApex { name: named() });
        }
        // RFC 2181 §10.1 and RFC 6672 §2.4: one of each, and a CNAME alone but for DNSSEC's own.
        for rtype in [RType::SOA, RType::CNAME, RType::DNAME, RType::ALIAS] {
            if let Some(set) = self.sets.get_mut(&rtype) {
                drop_duplicates(&mut set.data);
                if set.data.len() > 1 {
                    set.data.truncate(1);
                    problems.push(ZoneError::Several {
                        name: named(),
                        rtype: DisplayType(rtype),
                    });
                }
            }
        }
        let beside_cname = |rtype: &RType| !matches!(*rtype, RType::CNAME | RType::NSEC);
        if self.sets.contains_key(&RType::CNAME) && self.sets.keys().any(beside_cname) {
            self.sets.remove(&RType::CNAME);
            self.signatures.remove(&RType::CNAME);
            problems.push(ZoneError::CnameAndOther { name: named() });
        }
        let addresses = [RType::A, RType::AAAA];
        if addresses.iter().any(|rtype| self.sets.contains_key(rtype))
            && self.sets.remove(&RType::ALIAS).is_some()
        {
            problems.push(ZoneError::AliasAndAddresses { name: named() });
        }
        let aliased = self
            .sets
            .get(&RType::ALIAS)
            .and_then(|set| set.data.first());
        if aliased.is_some_and(|target| target.eq_ignore_ascii_case(name)) {
            self.sets.remove(&RType::ALIAS);
            problems.push(ZoneError::AliasOfItself { name: named() });
        }
        problems
    }

    fn target(&self) -> Option<Box<[u8]>> {
        let set = (self.sets.get(&RType::CNAME)).or_else(|| self.sets.get(&RType::DNAME))?;
        Some(set.data.first()?.to_ascii_lowercase().into())
    }
}

/// Drops repeated data; the first of each stays in its place.
fn drop_duplicates(data: &mut Vec<Box<[u8]>>) {
    if data.len() > 1 {
        let mut seen = HashSet::new();
        data.retain(|data| seen.insert(data.clone()));
    }
}

/// Where ALIAS records point, lowercased.
fn alias_targets(zone: &StaticZone) -> Box<[Box<[u8]>]> {
    let sets = zone
        .nodes
        .iter()
        .filter_map(|node| node.rrset(RType::ALIAS));
    let targets = sets.flat_map(RrSet::data);
    targets
        .map(|(_, target)| target.to_ascii_lowercase().into())
        .collect()
}

/// Tells every set which names in its data have addresses here (RFC 1034 §4.3.2 step 6).
fn add_targets(zone: &mut StaticZone) {
    for at in 0..zone.nodes.len() {
        let node = &zone.nodes[at];
        // A referral needs glue, also that which lies below a cut (RFC 9471).
        let is_cut = node.cover == Cover::Cut(NodeIdx(at as u32));
        let of_set = |set: &RrSet| targets_of(zone, set, is_cut);
        let targets: Vec<Box<[Target]>> = node.rrsets.iter().map(of_set).collect();
        for (set, targets) in zone.nodes[at].rrsets.iter_mut().zip(targets) {
            set.targets = targets;
        }
    }
}

fn targets_of(zone: &StaticZone, set: &RrSet, is_cut: bool) -> Box<[Target]> {
    let Some(name_at) = data::target_offset(set.rtype()) else {
        return Box::default();
    };
    let target = |(offset, data): (usize, &[u8])| {
        let name = data::name_at(data, name_at)?.to_ascii_lowercase();
        let node = if is_cut && set.rtype() == RType::NS {
            zone.position(&name)?
        } else {
            zone.answering(&name)?
        };
        let has = |rtype| zone.node(node).rrset(rtype).is_some();
        (has(RType::A) || has(RType::AAAA)).then_some(Target {
            // A set has at most RRSET_BYTES_MAX bytes.
            offset: (offset + name_at) as u32,
            node,
        })
    };
    set.data().filter_map(target).collect()
}
