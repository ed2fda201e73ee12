//! How a zone that arrived signed says that something does not exist: its NSEC or NSEC3 records.
//!
//! The records are read when the zone is built: NSEC stands at the nodes, NSEC3 apart from them,
//! sorted by hash. A negative answer picks a few of them ([`StaticZone::prove`]) with binary searches;
//! nothing is signed or made here, so a chain with a gap stays one, and is named among the zone's
//! problems. Limits: a chain whose hashes cost more than [`NSEC3_BLOCKS_MAX`] blocks of SHA-1 each is
//! kept and transferred, but not answered from.

mod chain;
mod hash;
mod proof;

use super::names::Labels;
use super::static_zone::{NodeIdx, StaticZone};
use super::{DisplayName, ZoneError};
use crate::wire::RType;

pub use chain::{Nsec3Chain, Nsec3Link};
pub use hash::{NSEC3_BLOCKS_MAX, NSEC3_HASH_BYTES, Nsec3Params};
pub use proof::{Absence, PROOFS_MAX, Proof};

/// The denial of existence that came with a zone.
#[derive(Clone, Debug, Default)]
pub enum Denial {
    /// None: the zone is not signed, or not by whoever wrote it.
    #[default]
    None,
    /// NSEC (RFC 4034): the nodes that have one, in canonical order.
    Nsec(Box<[NodeIdx]>),
    /// NSEC3 (RFC 5155).
    Nsec3(Nsec3Chain),
}

impl Denial {
    /// Every NSEC3 record, also those that are not answered from.
    #[must_use]
    pub fn nsec3_links(&self) -> &[Nsec3Link] {
        match self {
            Self::Nsec3(chain) => chain.links(),
            Self::None | Self::Nsec(_) => &[],
        }
    }
}

impl StaticZone {
    /// Whether whoever wrote the zone signed it.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        let soa = self.apex().rrset(RType::SOA);
        let soa_is_signed = soa.is_some_and(|set| set.signatures().is_some());
        soa_is_signed || !matches!(self.denial, Denial::None)
    }

    /// Whether the zone came with signatures or keys of its own: two signers cannot share it.
    #[must_use]
    pub fn came_signed(&self) -> bool {
        self.is_signed() || self.apex().rrset(RType::DNSKEY).is_some()
    }
}

/// What a zone's records say about its denial, and what is wrong with it. NSEC3 counts when the apex
/// names its parameters (RFC 5155 §7.3).
pub(super) fn of_zone(zone: &StaticZone, links: Vec<Nsec3Link>) -> (Denial, Vec<ZoneError>) {
    let mut problems = Vec::new();
    if !links.is_empty() {
        match Nsec3Params::of_zone(zone) {
            Some(params) => {
                let chain = Nsec3Chain::new(params, links);
                problems.extend(chain.problem(zone.origin()));
                return (Denial::Nsec3(chain), problems);
            }
            None => problems.push(ZoneError::Nsec3WithoutParameters {
                origin: DisplayName(zone.origin().into()),
            }),
        }
    }
    if zone.apex().rrset(RType::NSEC).is_none() {
        return (Denial::None, problems);
    }
    let has_nsec = |at: &NodeIdx| zone.node(*at).rrset(RType::NSEC).is_some();
    let all = (0..zone.nodes().len()).map(|at| NodeIdx(at as u32));
    let chain: Box<[NodeIdx]> = all.filter(has_nsec).collect();
    problems.extend(nsec_gap(zone, &chain));
    (Denial::Nsec(chain), problems)
}

/// The first NSEC whose next name is not the next that has one (RFC 4034 §4.1.1).
fn nsec_gap(zone: &StaticZone, chain: &[NodeIdx]) -> Option<ZoneError> {
    let after = chain.iter().skip(1).chain(chain.first());
    let gap = chain.iter().zip(after).find(|(one, next)| {
        let says = zone.node(**one).rrset(RType::NSEC);
        let says = says.and_then(|set| set.data().next());
        let says = says.and_then(|(_, data)| super::data::name_at(data, 0));
        let name = zone.node(**next).name();
        !says.is_some_and(|says| says.eq_ignore_ascii_case(name))
    });
    gap.map(|(one, _)| ZoneError::DenialGap {
        name: DisplayName(zone.node(*one).name().into()),
    })
}

/// The last node of an NSEC chain that stands before a name, in a circle.
fn nsec_before(zone: &StaticZone, chain: &[NodeIdx], name: &[u8]) -> Option<NodeIdx> {
    let asked = Labels::of(name);
    let before = |at: &NodeIdx| Labels::of(zone.node(*at).name()).order(&asked).is_lt();
    let count = chain.partition_point(before);
    count
        .checked_sub(1)
        .and_then(|at| chain.get(at))
        .or(chain.last())
        .copied()
}

#[cfg(test)]
mod tests;
