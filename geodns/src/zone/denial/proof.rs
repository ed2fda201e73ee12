//! Which records of a signed zone prove that something is not there (RFC 4035 §3.1.3, RFC 5155 §7.2).

use super::super::static_zone::{Node, NodeIdx, StaticZone};
use super::super::{DisplayName, RrSet};
use super::chain::{Nsec3Chain, Nsec3Link};
use super::{Denial, nsec_before};
use crate::wire::{LowerName, RType, label_count, parent_of};

/// Most records that one absence needs: closest encloser, next closer name and wildcard.
pub const PROOFS_MAX: usize = 3;

/// What is to be proved absent; names are lowercased wire names inside the zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence<'n> {
    /// The name, and any wildcard that could stand for it.
    Name(&'n [u8]),
    /// A type at a name that exists.
    Type(&'n [u8]),
    /// A type at the wildcard that stands for the name.
    TypeOfWildcard(&'n [u8]),
    /// A name closer to the one asked for than the wildcard that answered for it.
    Closer(&'n [u8]),
}

/// A record set that proves an absence, with the name that owns it.
#[derive(Clone, Copy)]
pub struct Proof<'z> {
    /// The lowercased owner.
    pub name: &'z [u8],
    /// NSEC or NSEC3, signed.
    pub set: &'z RrSet,
}

impl std::fmt::Debug for Proof<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", DisplayName(self.name.into()))
    }
}

/// Some may be missing, where a zone has no such record, and some the same.
type Proofs<'z> = [Option<Proof<'z>>; PROOFS_MAX];

impl StaticZone {
    /// Whether the zone came with records that prove absences.
    #[must_use]
    pub fn has_proofs(&self) -> bool {
        match &self.denial {
            Denial::None => false,
            Denial::Nsec(chain) => !chain.is_empty(),
            Denial::Nsec3(chain) => chain.is_usable(),
        }
    }

    /// The records that prove an absence. What steering lays over the zone is not in them.
    #[must_use]
    pub fn prove(&self, absence: Absence<'_>) -> Proofs<'_> {
        match &self.denial {
            Denial::None => [None; PROOFS_MAX],
            Denial::Nsec(chain) => self.prove_by_nsec(chain, absence),
            Denial::Nsec3(chain) => self.prove_by_nsec3(chain, absence),
        }
    }

    /// RFC 4035 §3.1.3.1 to §3.1.3.4. An NSEC before a name denies it together with its ancestors
    /// down to the closest encloser.
    fn prove_by_nsec<'z>(&'z self, chain: &[NodeIdx], absence: Absence<'_>) -> Proofs<'z> {
        let before = |name: &[u8]| self.nsec_of(self.node(nsec_before(self, chain, name)?));
        // An empty non-terminal has none of its own; the one before it points below it.
        let at = |name: &[u8]| {
            let own = self.get(name).and_then(|node| self.nsec_of(node));
            own.or_else(|| before(name))
        };
        match absence {
            Absence::Name(name) => {
                let wildcard = wildcard_at(self.encloser_of(name));
                [before(name), before(wildcard.as_bytes()), None]
            }
            Absence::Type(name) => [at(name), None, None],
            Absence::TypeOfWildcard(name) => {
                let wildcard = wildcard_at(self.encloser_of(name));
                [at(wildcard.as_bytes()), before(name), None]
            }
            Absence::Closer(name) => [before(name), None, None],
        }
    }

    fn nsec_of<'z>(&'z self, node: &'z Node) -> Option<Proof<'z>> {
        let set = node.rrset(RType::NSEC)?;
        let name = node.name();
        Some(Proof { name, set })
    }

    /// RFC 5155 §7.2.
    fn prove_by_nsec3<'z>(&'z self, chain: &'z Nsec3Chain, absence: Absence<'_>) -> Proofs<'z> {
        match absence {
            // §7.2.2: closest encloser, next closer name, wildcard.
            Absence::Name(name) => {
                let (encloser, link) = self.provable_encloser(chain, name);
                let wildcard = wildcard_at(encloser);
                [
                    link.map(proof),
                    cover(chain, next_closer(name, encloser)),
                    cover(chain, wildcard.as_bytes()),
                ]
            }
            // §7.2.3, and §7.2.4 where opting out left the name without a record.
            Absence::Type(name) => match chain.matching(name) {
                Some(link) => [Some(proof(link)), None, None],
                None => {
                    let (encloser, link) = self.provable_encloser(chain, name);
                    let closer = next_closer(name, encloser);
                    [link.map(proof), cover(chain, closer), None]
                }
            },
            // §7.2.5.
            Absence::TypeOfWildcard(name) => {
                let encloser = self.encloser_of(name);
                let wildcard = wildcard_at(encloser);
                [
                    chain.matching(encloser).map(proof),
                    cover(chain, next_closer(name, encloser)),
                    chain.matching(wildcard.as_bytes()).map(proof),
                ]
            }
            // §7.2.6.
            Absence::Closer(name) => {
                let encloser = self.encloser_of(name);
                [cover(chain, next_closer(name, encloser)), None, None]
            }
        }
    }

    /// The longest proper ancestor of a name that exists in the static data.
    fn encloser_of<'n>(&self, name: &'n [u8]) -> &'n [u8] {
        // No name of the zone has more labels.
        let deeper = label_count(name).saturating_sub(1 + self.labels_max);
        let above = std::iter::successors(parent_of(name), |at| parent_of(at)).skip(deeper);
        let mut above = above.take_while(|at| at.len() > self.origin().len());
        let found = above.find(|at| self.position(at).is_some());
        found.unwrap_or(&name[name.len().saturating_sub(self.origin().len())..])
    }

    /// The longest proper ancestor that has an NSEC3 record (RFC 5155 §1.3, "closest provable
    /// encloser"): names above unsigned delegations may have none. Where a name has one, all names
    /// above it do (RFC 5155 §7.1), so it is found by halving: at most eight hashes, mostly one.
    fn provable_encloser<'z, 'n>(
        &self,
        chain: &'z Nsec3Chain,
        name: &'n [u8],
    ) -> (&'n [u8], Option<&'z Nsec3Link>) {
        let encloser = self.encloser_of(name);
        let own = chain.matching(encloser);
        if own.is_some() {
            return (encloser, own);
        }
        let above = |labels: usize| {
            let mut all = std::iter::successors(Some(encloser), |at| parent_of(at));
            all.nth(labels).unwrap_or(encloser)
        };
        // Labels to take off: too few, and enough, if any are.
        let (mut too_few, mut enough) = (0, label_count(encloser) - label_count(self.origin()));
        while enough - too_few > 1 {
            let middle = usize::midpoint(too_few, enough);
            if chain.matching(above(middle)).is_some() {
                enough = middle;
            } else {
                too_few = middle;
            }
        }
        let at = above(enough);
        (at, chain.matching(at))
    }
}

fn proof(link: &Nsec3Link) -> Proof<'_> {
    Proof {
        name: link.name(),
        set: link.rrset(),
    }
}

fn cover<'z>(chain: &'z Nsec3Chain, name: &[u8]) -> Option<Proof<'z>> {
    chain.covering(name).map(proof)
}

/// The wildcard below a name.
fn wildcard_at(encloser: &[u8]) -> LowerName {
    // The name asked for is below the encloser, so it is at least as long.
    LowerName::join(b"\x01*", encloser).unwrap_or_else(|| LowerName::of(encloser))
}

/// The name one label longer than `encloser` on the way to `name` (RFC 5155 §1.3).
fn next_closer<'n>(name: &'n [u8], encloser: &[u8]) -> &'n [u8] {
    let mut at = name;
    while let Some(above) = parent_of(at)
        && above.len() > encloser.len()
    {
        at = above;
    }
    at
}
