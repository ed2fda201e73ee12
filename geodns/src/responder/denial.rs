//! Proofs of absence from zones that arrived signed, as answers are written.
//!
//! What a step of the resolution proves absent is kept here until the authority section is written:
//! behind the last answer of a chain of aliases and before the first additional record. A record that
//! proves two things is sent once. A client that does not ask for signatures, and a zone that came
//! without proofs, cost one branch at each step that could need one. Limits: [`KEPT_MAX`] records.

use super::resolve::{Place, Resolution};
use crate::wire::{Full, Owner, Section, parent_of};
use crate::zone::{Absence, CNAME_CHAIN_MAX, Case, Found, Node, PROOFS_MAX, RrSet, ServedZone};

/// A wildcard at each name of a chain, and an absence or a delegation at its end.
const KEPT_MAX: usize = CNAME_CHAIN_MAX + 1 + PROOFS_MAX;

/// The records that an answer needs, in the order of the chain.
pub(super) struct Proofs<'z> {
    kept: [Option<Kept<'z>>; KEPT_MAX],
    /// How many of them are in the message.
    written: usize,
}

/// A record set with its owner: labels before a name that the message spells out.
#[derive(Clone, Copy)]
struct Kept<'z> {
    set: &'z RrSet,
    prefix: &'z [u8],
    above: Owner,
}

impl Default for Proofs<'_> {
    fn default() -> Self {
        Self {
            kept: [const { None }; KEPT_MAX],
            written: 0,
        }
    }
}

impl<'z> Proofs<'z> {
    fn keep(&mut self, proof: Kept<'z>) {
        for slot in &mut self.kept {
            match slot {
                Some(kept) if std::ptr::eq(kept.set, proof.set) => return,
                Some(_) => {}
                None => {
                    *slot = Some(proof);
                    return;
                }
            }
        }
    }
}

impl<'z> Resolution<'z, '_, '_> {
    /// Keeps the proof that no name stands closer to the one asked for than the wildcard that
    /// answers for it (RFC 4035 §3.1.3.3, RFC 5155 §7.2.6).
    pub(super) fn prove_wildcard(&mut self, found: &Found<'z>, place: Place<'_>) {
        self.keep_proof(found.zone, place, Absence::Closer(place.name));
    }

    /// Keeps the proof of a negative answer (RFC 4035 §3.1.3, RFC 5155 §7.2).
    pub(super) fn prove_absence(&mut self, found: &Found<'z>, place: Place<'_>) {
        let absence = match found.case {
            Case::Missing => Absence::Name(place.name),
            Case::Wildcard(_) => Absence::TypeOfWildcard(place.name),
            Case::Exact | Case::Cut(_) | Case::Dname(_) => Absence::Type(place.name),
        };
        self.keep_proof(found.zone, place, absence);
    }

    /// Writes that a delegation has no DS: to a resolver that follows it, the child is unsigned (RFC
    /// 4035 §3.1.4, RFC 5155 §7.2.7).
    pub(super) fn prove_no_keys(
        &mut self,
        zone: &'z ServedZone,
        cut: &Node,
        owner: Owner,
    ) -> Result<(), Full> {
        let name = cut.name();
        self.keep_proof(zone, Place { name, owner }, Absence::Type(name));
        self.write_proofs()
    }

    fn keep_proof(&mut self, zone: &'z ServedZone, place: Place<'_>, absence: Absence<'_>) {
        if !self.terms.dnssec_ok || zone.signer().is_some() || !zone.data().has_proofs() {
            return;
        }
        for proof in zone.data().prove(absence).into_iter().flatten() {
            let above = common_ancestor(proof.name, place.name);
            self.proofs.keep(Kept {
                set: proof.set,
                prefix: &proof.name[..proof.name.len() - above.len()],
                above: place.ancestor(above),
            });
        }
    }

    /// Writes what was kept and is not in the message yet. Call it when all answers are written.
    ///
    /// # Errors
    /// [`Full`]: without its proofs an answer is not one to who asked for them, so it is truncated.
    pub(super) fn write_proofs(&mut self) -> Result<(), Full> {
        while let Some(Some(proof)) = self.proofs.kept.get(self.proofs.written) {
            if self.writer.is_truncated() {
                return Err(Full);
            }
            let signatures = proof.set.signatures();
            let sets = [
                (proof.set.records(), proof.set.count()),
                signatures.map_or((&[][..], 0), |set| (set.records(), set.count())),
            ];
            self.proofs.written += 1;
            let (prefix, above) = (proof.prefix, proof.above);
            self.writer
                .spelled(Section::Authority, prefix, above, sets)?;
        }
        Ok(())
    }
}

/// The longest name at or above both names.
fn common_ancestor<'n>(mut one: &'n [u8], mut other: &[u8]) -> &'n [u8] {
    while one != other {
        let shorter = if one.len() >= other.len() {
            parent_of(one).map(|above| one = above)
        } else {
            parent_of(other).map(|above| other = above)
        };
        if shorter.is_none() {
            break;
        }
    }
    one
}
