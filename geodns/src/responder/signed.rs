//! Signatures and denials of the zones that this server signs, as answers are written.
//!
//! A client that does not ask for signatures, and a zone that nothing here signs, cost one branch at
//! each set. A set whose signature does not fit is taken back with it, as if it had not fitted
//! itself. A signature that the budget has no room for ends the answer ([`Resolution::over_budget`]).

use super::resolve::{Place, Resolution, Verdict};
use crate::dnssec::{
    LowTypes, NSEC_BYTES_MAX, Names, OverBudget, Purse, Set, ZoneSigner, write_nsec,
};
use crate::wire::{
    Authority, ExtendedError, Full, Mark, Owner, RType, Rcode, ResponseWriter, Section,
};
use crate::zone::{Case, Found, Node, NodeView, RrSet, ServedZone};
use crate::zones::Zones;

/// Sent beside SERVFAIL when no signature may be made for a verified client (RFC 8914 §4.1: other).
const OVER_BUDGET: ExtendedError = ExtendedError {
    code: 0,
    text: "too many signatures at once",
};

/// Sent beside FORMERR to a question for NXNAME (RFC 9824 §3.5).
pub(super) const NO_QUESTION_TYPE: ExtendedError = ExtendedError {
    code: 30,
    text: "this type cannot be asked for",
};

/// On what terms a question's answer is signed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// The client wants signatures (RFC 3225).
    pub(super) dnssec_ok: bool,
    /// The client takes a compact denial as NXDOMAIN (RFC 9824 §5.1).
    pub(super) compact_ok: bool,
    /// Which budget it draws on.
    pub(super) purse: Purse,
    /// The time of the question.
    pub(super) now: u32,
}

impl<'z> Resolution<'z, '_, '_> {
    /// What signs a zone's answers for this client.
    pub(super) fn signer(&self, zone: &'z ServedZone) -> Option<&'z ZoneSigner> {
        if self.terms.dnssec_ok {
            zone.signer()
        } else {
            None
        }
    }

    /// Adds the signature of a static set that was written since `mark`.
    pub(super) fn sign_static(
        &mut self,
        signer: &ZoneSigner,
        section: Section,
        place: Place<'_>,
        mark: Mark,
        names: Names,
        set: &RrSet,
    ) -> Result<(), Full> {
        let found = signer.static_signature(place.name, set.rtype(), self.terms.now);
        let Some(found) = found else {
            return self.sign_since(signer, section, place, mark, names, set.ttl_seconds());
        };
        let signed = Set {
            owner: place.name,
            rtype: set.rtype(),
            original_ttl_seconds: found.original_ttl_seconds,
            records: set.records(),
        };
        let head = signer.rrsig_head(&signed, &found.signature);
        let data: [&[u8]; 3] = [&head, signer.apex(), &found.signature.bytes];
        self.rrsig(section, place.owner, mark, set.ttl_seconds(), &data)
    }

    /// Adds the signature of the one set that was written since `mark`; nothing when there is none.
    pub(super) fn sign_since(
        &mut self,
        signer: &ZoneSigner,
        section: Section,
        place: Place<'_>,
        mark: Mark,
        names: Names,
        original_ttl_seconds: u32,
    ) -> Result<(), Full> {
        let records = self.writer.since(mark);
        // Owner pointer, type, class, TTL.
        let Some(&[_, _, high, low, _, _, t0, t1, t2, t3]) = records.first_chunk() else {
            return Ok(());
        };
        let ttl_seconds = u32::from_be_bytes([t0, t1, t2, t3]);
        let set = Set {
            owner: place.name,
            rtype: RType(u16::from_be_bytes([high, low])),
            original_ttl_seconds,
            records,
        };
        match signer.signature(&set, names, self.terms.purse, self.terms.now) {
            Ok(signature) => {
                let head = signer.rrsig_head(&set, &signature);
                let data: [&[u8]; 3] = [&head, signer.apex(), &signature.bytes];
                self.rrsig(section, place.owner, mark, ttl_seconds, &data)
            }
            Err(OverBudget) => {
                self.over_budget = true;
                Err(Full)
            }
        }
    }

    /// Adds the signature of what steering wrote since `mark`.
    pub(super) fn sign_steered(
        &mut self,
        found: &Found<'z>,
        place: Place<'_>,
        mark: Mark,
        original_ttl_seconds: u32,
    ) -> Result<(), Full> {
        let Some(signer) = self.signer(found.zone) else {
            return Ok(());
        };
        let names = names_of(found);
        self.sign_since(
            signer,
            Section::Answer,
            place,
            mark,
            names,
            original_ttl_seconds,
        )
    }

    fn rrsig(
        &mut self,
        section: Section,
        owner: Owner,
        mark: Mark,
        ttl_seconds: u32,
        data: &[&[u8]],
    ) -> Result<(), Full> {
        let written = self
            .writer
            .record(section, owner, RType::RRSIG, ttl_seconds, data);
        if written.is_err() {
            self.writer.take_back(mark);
        } else if self.terms.compact_ok {
            // A server that denies compactly says so in every answer to CO, not in denials alone
            // (RFC 9824 §5.1). Whatever else it serves is not denied so, and stays without.
            self.writer.set_compact_ok();
        }
        written
    }

    /// A set that the zone's keys make: DNSKEY, CDS or CDNSKEY at the apex, for whoever asks. Says
    /// whether there is one.
    pub(super) fn key_set(
        &mut self,
        found: &Found<'z>,
        rtype: RType,
        place: Place<'_>,
    ) -> Result<bool, Full> {
        let at_apex = place.name.len() == found.zone.apex().len();
        let signer = found.zone.signer().filter(|_| at_apex);
        let Some(set) = signer.and_then(|signer| signer.apex_set(rtype)) else {
            return Ok(false);
        };
        let mark = self.writer.mark();
        let (section, owner) = (Section::Answer, place.owner);
        self.writer.rrset(section, owner, &set.records, set.count)?;
        if self.terms.dnssec_ok
            && let Err(full) =
                self.writer
                    .rrset(section, owner, &set.signatures, set.signature_count)
        {
            self.writer.take_back(mark);
            return Err(full);
        }
        Ok(true)
    }

    /// Denies a type or a name by the NSEC record at the name asked for; a question for that record
    /// or its signature is answered with it.
    pub(super) fn deny(
        &mut self,
        signer: &ZoneSigner,
        found: &Found<'z>,
        place: Place<'_>,
        asked: RType,
    ) -> Result<(), Full> {
        let node = match found.case {
            Case::Missing | Case::Dname(_) => None,
            Case::Exact => Some(found.encloser),
            Case::Wildcard(node) => Some(node),
            Case::Cut(cut) => Some(NodeView::of(cut)),
        };
        let mut low = types_of(self.zones, signer, found, node);
        if !matches!(asked, RType::NSEC | RType::RRSIG) {
            low.remove(asked);
        }
        let is_asked_for = node.is_some() && asked == RType::NSEC;
        let section = if is_asked_for {
            Section::Answer
        } else {
            Section::Authority
        };
        let high = node
            .into_iter()
            .flat_map(NodeView::rrsets)
            .map(RrSet::rtype);
        let high = high.filter(|rtype| rtype.0 > 255 && *rtype != asked && *rtype != RType::ALIAS);
        self.nsec(signer, section, place, names_of(found), low, high)
    }

    /// Says that a delegation has no DS: to a resolver that follows it, the child is unsigned.
    pub(super) fn deny_keys(
        &mut self,
        signer: &ZoneSigner,
        cut: &Node,
        owner: Owner,
    ) -> Result<(), Full> {
        let place = Place {
            name: cut.name(),
            owner,
        };
        let low = low_types([RType::NS, RType::RRSIG, RType::NSEC]);
        self.nsec(
            signer,
            Section::Authority,
            place,
            Names::Ours,
            low,
            std::iter::empty(),
        )
    }

    fn nsec(
        &mut self,
        signer: &ZoneSigner,
        section: Section,
        place: Place<'_>,
        names: Names,
        low: LowTypes,
        high: impl Iterator<Item = RType>,
    ) -> Result<(), Full> {
        let mut data = [0; NSEC_BYTES_MAX];
        let bytes = write_nsec(&mut data, place.name, low, high);
        let mark = self.writer.mark();
        let ttl_seconds = signer.negative_ttl_seconds();
        self.writer.record(
            section,
            place.owner,
            RType::NSEC,
            ttl_seconds,
            &[&data[..bytes]],
        )?;
        self.sign_since(signer, section, place, mark, names, ttl_seconds)
    }

    /// The code for a name that does not exist: a compact denial says that it exists without any
    /// type, unless the client is known to understand (RFC 9824 §5).
    pub(super) fn missing(&self, zone: &'z ServedZone) -> Verdict {
        let compact = self.signer(zone).is_some() && !self.terms.compact_ok;
        Verdict {
            rcode: if compact {
                Rcode::NoError
            } else {
                Rcode::NxDomain
            },
            authority: Authority::Ours,
        }
    }
}

/// What is sent in the place of an answer that could not be signed: a forgeable client is told to
/// come back over TCP, a verified one that it cannot be served now.
pub(super) fn over_budget(writer: &mut ResponseWriter<'_>, start: Mark, purse: Purse) -> Verdict {
    writer.clear(start);
    match purse {
        Purse::Spoofable => {
            writer.truncate();
            Verdict::TRUNCATED
        }
        Purse::Verified => {
            writer.set_error(OVER_BUDGET);
            Verdict {
                rcode: Rcode::ServFail,
                authority: Authority::None,
            }
        }
    }
}

pub(super) fn names_of(found: &Found<'_>) -> Names {
    match found.case {
        Case::Missing | Case::Wildcard(_) => Names::Chosen,
        Case::Exact | Case::Cut(_) | Case::Dname(_) => Names::Ours,
    }
}

/// The types below 256 that a name has; NXNAME for one that does not exist.
fn types_of(
    zones: &Zones,
    signer: &ZoneSigner,
    found: &Found<'_>,
    node: Option<NodeView<'_>>,
) -> LowTypes {
    let mut low = low_types([RType::RRSIG, RType::NSEC]);
    let Some(node) = node else {
        low.insert(RType::NXNAME);
        return low;
    };
    let at_cut = matches!(found.case, Case::Cut(_));
    for set in node.rrsets() {
        // Of a delegation the parent has only the servers and what it says about keys.
        if set.rtype() == RType::ALIAS {
            // Seen as the addresses it stands for.
            low.insert(RType::A);
            low.insert(RType::AAAA);
        } else if !at_cut || matches!(set.rtype(), RType::NS | RType::DS) {
            low.insert(set.rtype());
        }
    }
    if let Some(steered) = node.steered() {
        for rtype in zones.steered_name(steered).answer.types() {
            low.insert(rtype);
        }
    }
    if node.name() == signer.apex() {
        for rtype in signer.apex_types() {
            low.insert(rtype);
        }
    }
    low
}

fn low_types(types: impl IntoIterator<Item = RType>) -> LowTypes {
    let mut low = LowTypes::default();
    for rtype in types {
        low.insert(rtype);
    }
    low
}
