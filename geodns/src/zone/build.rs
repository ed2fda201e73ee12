//! Names and records in, a [`ZoneTree`] out. Runs off the packet path, at every publish.
//!
//! What is wrong is left out and named in the list of problems beside the tree: a plan that was
//! published must be served, and one bad record must not silence a zone.

use std::collections::BTreeMap;

use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{Name, RData};

use super::tree::{Glue, Node, NodeIdx, SteeredIdx, Zone, ZoneIdx, ZoneTree};
use super::{DisplayName, DisplayType, RrSet, ZoneError};
use crate::wire::{HEADER_BYTES, NAME_BYTES_MAX, RType, label_count, parent_of};

/// Largest record set served: a TCP message with room for question, SOA and OPT.
const RRSET_BYTES_MAX: usize = 60_000;

/// Largest NS set. Together with the CNAMEs that may stand before it, every name that a pointer
/// must reach stays below 16,384 bytes into the message (RFC 1035 §4.1.4).
pub const NS_SET_BYTES_MAX: usize = 8_192;

const _: () = assert!(
    HEADER_BYTES
        + (NAME_BYTES_MAX + 4)
        + (super::CNAME_CHAIN_MAX + 1) * (crate::wire::RECORD_HEAD_BYTES + NAME_BYTES_MAX)
        + NS_SET_BYTES_MAX
        < 0x4000
);

/// Collects names and records.
#[derive(Debug, Default)]
pub struct ZoneTreeBuilder {
    zones: BTreeMap<Box<[u8]>, ZoneDraft>,
    names: BTreeMap<Box<[u8]>, NameDraft>,
    problems: Vec<ZoneError>,
}

#[derive(Debug)]
struct ZoneDraft {
    idx: ZoneIdx,
    soa: SOA,
    ttl_seconds: u32,
}

#[derive(Debug, Default)]
struct NameDraft {
    sets: BTreeMap<RType, SetDraft>,
    steered: Option<SteeredIdx>,
}

#[derive(Debug)]
struct SetDraft {
    ttl_seconds: u32,
    data: Vec<RData>,
}

impl ZoneTreeBuilder {
    /// An empty builder.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a zone with its SOA; NS and other apex records are added like any record.
    pub fn zone(&mut self, origin: &Name, ttl_seconds: u32, soa: SOA) {
        let apex = wire_name(origin);
        if self.zones.contains_key(&apex) {
            self.problems.push(ZoneError::ZoneTwice {
                origin: DisplayName(apex),
            });
            return;
        }
        self.record(origin, ttl_seconds, RData::SOA(soa.clone()));
        let idx = ZoneIdx(self.zones.len() as u32);
        self.zones.insert(
            apex,
            ZoneDraft {
                idx,
                soa,
                ttl_seconds,
            },
        );
    }

    /// Adds one record. Records of one type at one name are a set and take the lowest of their TTLs
    /// (RFC 2181 §5.2); duplicates are dropped.
    pub fn record(&mut self, name: &Name, ttl_seconds: u32, data: RData) {
        let draft = self.names.entry(wire_name(name)).or_default();
        let set = draft
            .sets
            .entry(RType(data.record_type().into()))
            .or_insert(SetDraft {
                ttl_seconds,
                data: Vec::new(),
            });
        set.ttl_seconds = set.ttl_seconds.min(ttl_seconds);
        if !set.data.contains(&data) {
            set.data.push(data);
        }
    }

    /// Makes a name steered.
    pub fn steered(&mut self, name: &Name, steered: SteeredIdx) {
        let key = wire_name(name);
        let draft = self.names.entry(key.clone()).or_default();
        if draft.steered.is_some() {
            self.problems.push(ZoneError::SteeredTwice {
                name: DisplayName(key),
            });
        } else {
            draft.steered = Some(steered);
        }
    }

    /// Adds a problem found before a name or record could be handed over.
    pub fn problem(&mut self, problem: ZoneError) {
        self.problems.push(problem);
    }

    /// The tree, and what was left out of it.
    #[must_use]
    pub fn build(mut self) -> (ZoneTree, Vec<ZoneError>) {
        self.drop_unserved();
        self.add_empty_non_terminals();
        let mut names: Vec<_> = std::mem::take(&mut self.names).into_iter().collect();
        // Parents first, so that a node finds its parent's cut already known.
        names.sort_by_key(|(name, _)| label_count(name));
        let mut tree = ZoneTree::default();
        for (name, draft) in names {
            self.add_node(&mut tree, name, draft);
        }
        self.add_zones(&mut tree);
        add_glue(&mut tree);
        (tree, self.problems)
    }

    fn zone_of(&self, name: &[u8]) -> Option<(&[u8], &ZoneDraft)> {
        std::iter::successors(Some(name), |name| parent_of(name))
            .find_map(|at| self.zones.get_key_value(at))
            .map(|(apex, zone)| (&**apex, zone))
    }

    /// Drops names outside our zones and data that contradicts other data of the same name.
    fn drop_unserved(&mut self) {
        let mut names = std::mem::take(&mut self.names);
        names.retain(|name, draft| {
            let inside = self.zone_of(name).is_some();
            if !inside {
                self.problems.push(ZoneError::OutOfZone {
                    name: DisplayName(name.clone()),
                });
            }
            if inside {
                self.problems.extend(draft.resolve_conflicts(name));
            }
            inside
        });
        self.names = names;
    }

    /// Every name between a name and its apex exists, if only to say that something is below it
    /// (RFC 8020).
    fn add_empty_non_terminals(&mut self) {
        let mut missing = Vec::new();
        for name in self.names.keys() {
            let Some((apex, _)) = self.zone_of(name) else {
                continue;
            };
            missing.extend(
                std::iter::successors(parent_of(name), |name| parent_of(name))
                    .take_while(|at| at.len() >= apex.len())
                    .filter(|at| !self.names.contains_key(*at))
                    .map(Box::from),
            );
        }
        self.names.extend(
            missing
                .into_iter()
                .map(|name: Box<[u8]>| (name, NameDraft::default())),
        );
    }

    fn add_node(&mut self, tree: &mut ZoneTree, name: Box<[u8]>, mut draft: NameDraft) {
        let Some((apex, zone)) = self.zone_of(&name) else {
            return;
        };
        let (is_apex, zone) = (apex.len() == name.len(), zone.idx);
        let idx = NodeIdx(tree.nodes.len() as u32);
        let parent = (!is_apex)
            .then(|| parent_of(&name).and_then(|parent| tree.names.get(parent)))
            .flatten()
            .copied();
        let mut cut = parent.and_then(|parent| tree.nodes[parent.0 as usize].cut);
        if let Some(above) = cut
            && draft.steered.take().is_some()
        {
            let cut = DisplayName(tree.nodes[above.0 as usize].name.clone());
            self.problems.push(ZoneError::BelowCut {
                name: DisplayName(name.clone()),
                cut,
            });
        }
        if !is_apex && cut.is_none() && draft.sets.contains_key(&RType::NS) {
            cut = Some(idx);
        }
        if let Some(parent) = parent
            && name.starts_with(b"\x01*")
        {
            tree.nodes[parent.0 as usize].wildcard = Some(idx);
        }
        let cname = draft.cname_target();
        let rrsets = self.encode_sets(&name, draft.sets);
        tree.labels_max = tree.labels_max.max(label_count(&name));
        tree.names.insert(name.clone(), idx);
        let steered = draft.steered;
        tree.nodes.push(Node {
            name,
            zone,
            rrsets,
            steered,
            cname,
            cut,
            wildcard: None,
            glue: Box::default(),
        });
    }

    fn encode_sets(&mut self, name: &[u8], sets: BTreeMap<RType, SetDraft>) -> Box<[RrSet]> {
        let mut encoded = Vec::with_capacity(sets.len());
        for (rtype, set) in sets {
            let bytes_max = if rtype == RType::NS {
                NS_SET_BYTES_MAX
            } else {
                RRSET_BYTES_MAX
            };
            match RrSet::encode(name, rtype, set.ttl_seconds, &set.data, bytes_max) {
                Ok(set) => encoded.push(set),
                Err(problem) => self.problems.push(problem),
            }
        }
        encoded.into()
    }

    fn add_zones(&mut self, tree: &mut ZoneTree) {
        let mut zones: Vec<_> = std::mem::take(&mut self.zones).into_iter().collect();
        zones.sort_by_key(|(_, zone)| zone.idx);
        for (apex, zone) in zones {
            let ttl_seconds = zone.ttl_seconds.min(zone.soa.minimum);
            let soa = RrSet::encode(&apex, RType::SOA, ttl_seconds, &[RData::SOA(zone.soa)], RRSET_BYTES_MAX)
                .expect("the names of an SOA were parsed within their limits, so it encodes to at most 532 bytes");
            tree.zones.push(Zone {
                apex,
                negative_soa: soa,
            });
        }
    }
}

impl NameDraft {
    /// Removes what may not stand beside the rest; returns what was wrong.
    fn resolve_conflicts(&mut self, name: &[u8]) -> Vec<ZoneError> {
        let mut problems = Vec::new();
        let named = || DisplayName(name.into());
        if self.steered.is_some() {
            for rtype in [RType::A, RType::AAAA, RType::CNAME] {
                if self.sets.remove(&rtype).is_some() {
                    problems.push(ZoneError::SteeredAndStatic {
                        name: named(),
                        rtype: DisplayType(rtype),
                    });
                }
            }
        }
        if let Some(set) = self.sets.get_mut(&RType::CNAME) {
            let several = set.data.len() > 1;
            set.data.truncate(1);
            if self.sets.len() > 1 {
                self.sets.remove(&RType::CNAME);
                problems.push(ZoneError::CnameAndOther { name: named() });
            } else if several {
                problems.push(ZoneError::CnameAndOther { name: named() });
            }
        }
        problems
    }

    fn cname_target(&self) -> Option<Box<[u8]>> {
        match self.sets.get(&RType::CNAME)?.data.first()? {
            RData::CNAME(target) => Some(wire_name(&target.0)),
            _ => None,
        }
    }
}

/// Gives every cut the addresses of its name servers that our zones know.
fn add_glue(tree: &mut ZoneTree) {
    let found: Vec<(usize, Box<[Glue]>)> = tree
        .nodes
        .iter()
        .enumerate()
        .filter(|(at, node)| node.cut == Some(NodeIdx(*at as u32)))
        .map(|(at, node)| (at, glue_of(tree, node)))
        .collect();
    for (at, glue) in found {
        tree.nodes[at].glue = glue;
    }
}

fn glue_of(tree: &ZoneTree, cut: &Node) -> Box<[Glue]> {
    let Some(servers) = cut.rrset(RType::NS) else {
        return Box::default();
    };
    servers
        .data()
        .filter_map(|(target_offset, target)| {
            Some((target_offset, tree.get(&target.to_ascii_lowercase())?))
        })
        .flat_map(|(target_offset, server)| {
            [RType::A, RType::AAAA]
                .into_iter()
                .filter_map(|rtype| server.rrset(rtype))
                .map(move |rrset| Glue {
                    target_offset,
                    rrset: rrset.clone(),
                })
        })
        .collect()
}

/// A name's lowercased wire form.
pub(crate) fn wire_name(name: &Name) -> Box<[u8]> {
    let mut wire = Vec::with_capacity(name.len() + 1);
    for label in name.iter() {
        // Labels have at most 63 bytes: hickory-proto checked it.
        wire.push(label.len() as u8);
        wire.extend(label.iter().map(u8::to_ascii_lowercase));
    }
    wire.push(0);
    wire.into()
}
