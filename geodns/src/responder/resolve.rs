//! From a question to records: RFC 1034 §4.3.2 over the zones, with steering where a name has it.

use meridian_engine::Family;

use super::client::Client;
use super::denial::Proofs;
use super::signed::{NO_QUESTION_TYPE, Terms, names_of};
use super::steer::{Data, Moment, Room, SteeredFact, steer};
use crate::alias::AliasBook;
use crate::dnssec::Names;
use crate::identity::Identity;
use crate::wire::{
    Authority, Class, ExtendedError, Full, LowerName, Owner, Question, RType, Rcode,
    ResponseWriter, Section, TargetAt,
};
use crate::zone::{CNAME_CHAIN_MAX, Case, Found, Node, NodeView, RrSet, ServedZone, SteeredIdx};
use crate::zones::Zones;

/// Sent beside SERVFAIL when a policy leaves nobody: 0 is "other error" (RFC 8914 §4.1), the text
/// says which.
pub(super) const NOBODY: ExtendedError = ExtendedError {
    code: 0,
    text: "no endpoint may serve this client now",
};

/// Sent beside SERVFAIL for a secondary zone that was never loaded or has expired (RFC 8914 §4.15).
pub(super) const UNREADY: ExtendedError = ExtendedError {
    code: 14,
    text: "no primary has confirmed this zone",
};

/// How a response ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) rcode: Rcode,
    pub(super) authority: Authority,
}

impl Verdict {
    pub(super) const ANSWER: Self = Self {
        rcode: Rcode::NoError,
        authority: Authority::Ours,
    };

    /// The records that fitted are ours; the rest is to be fetched over TCP.
    pub(super) const TRUNCATED: Self = Self::ANSWER;

    pub(super) const fn error(rcode: Rcode) -> Self {
        Self {
            rcode,
            authority: Authority::None,
        }
    }
}

/// What a step at one name leads to.
pub(super) enum Step {
    Done(Verdict),
    /// A CNAME was answered; its target is [`Resolution::next`] and spelled out here, if a pointer
    /// reaches so far.
    Follow(Option<Owner>),
}

/// A name on the way: lowercased, and where the message spells it out.
#[derive(Clone, Copy)]
pub(super) struct Place<'n> {
    pub(super) name: &'n [u8],
    pub(super) owner: Owner,
}

impl Place<'_> {
    /// The owner that is `ancestor`, the place's name or one above it.
    pub(super) fn ancestor(&self, ancestor: &[u8]) -> Owner {
        self.owner.ancestor(self.name.len() - ancestor.len())
    }
}

/// One question on its way through the zones.
pub(super) struct Resolution<'z, 'w, 'b> {
    pub(super) zones: &'z Zones,
    pub(super) client: &'w Client<'w>,
    pub(super) writer: &'w mut ResponseWriter<'b>,
    /// On what terms the answer is signed.
    pub(super) terms: Terms,
    /// A signature was needed that the budget had no room for: what was written is no answer.
    pub(super) over_budget: bool,
    /// What zones that arrived signed prove absent along the way.
    pub(super) proofs: Proofs<'z>,
    /// What is said about the server itself.
    pub(super) identity: &'w Identity,
    pub(super) aliases: &'w AliasBook,
    /// What a steered answer depends on beside the question and the plan.
    pub(super) moment: Moment,
    /// What steering decided at the first steered name that the question came to.
    pub(super) steered: Option<SteeredFact>,
    /// Bytes at the end of the question's name that the response speaks of ([`super::Subject`]).
    pub(super) subject_bytes: usize,
    /// Where the last alias led to. Names are large: they are kept here and not handed up with each
    /// [`Step`].
    pub(super) next: Option<LowerName>,
}

impl<'z> Resolution<'z, '_, '_> {
    /// Writes the records of the answer.
    ///
    /// # Errors
    /// [`Full`] when a record set did not fit; what was written before it stands, and the response
    /// is marked truncated.
    pub(super) fn run(&mut self, question: &Question<'_>) -> Result<Verdict, Full> {
        if question.class == Class::CHAOS {
            return self.chaos(question);
        }
        if let Some(rcode) = refusal(question) {
            if question.rtype == RType::NXNAME {
                self.writer.set_error(NO_QUESTION_TYPE);
            }
            return Ok(Verdict::error(rcode));
        }
        let (name, rtype) = (question.name, question.rtype);
        let Some(found) = self.zones.find(name, rtype) else {
            return Ok(Verdict::error(Rcode::Refused));
        };
        self.subject_bytes = subject_bytes(&found, name.as_bytes().len());
        if found.zone.is_unready() {
            self.writer.set_error(UNREADY);
            return Ok(Verdict::error(Rcode::ServFail));
        }
        let place = Place {
            name: name.as_bytes(),
            owner: Owner::QUESTION,
        };
        match self.step(&found, rtype, place, 0)? {
            Step::Done(verdict) => Ok(verdict),
            Step::Follow(owner) => self.follow(question, owner),
        }
    }

    /// Follows a chain of aliases from the first one on. Apart from [`Self::run`] because its room for
    /// names would be every answer's stack.
    #[inline(never)]
    fn follow(
        &mut self,
        question: &Question<'_>,
        mut owner: Option<Owner>,
    ) -> Result<Verdict, Full> {
        // The names that aliases led to, to end where a chain comes back to one.
        let mut followed: [Option<LowerName>; CNAME_CHAIN_MAX] = [const { None }; CNAME_CHAIN_MAX];
        for at in 0..CNAME_CHAIN_MAX {
            let (Some(target), Some(spelled_at)) = (self.next.take(), owner) else {
                break;
            };
            let seen = |name: &LowerName| name.as_bytes() == target.as_bytes();
            if seen(question.name) || followed.iter().flatten().any(seen) {
                // A loop, and all of it has been answered.
                break;
            }
            let name = &*followed[at].insert(target);
            let found = self.zones.find(name, question.rtype);
            // A chain may leave our zones; the resolver asks on elsewhere.
            let Some(found) = found.filter(|found| !found.zone.is_unready()) else {
                break;
            };
            let place = Place {
                name: name.as_bytes(),
                owner: spelled_at,
            };
            match self.step(&found, question.rtype, place, at + 1)? {
                Step::Done(verdict) => return Ok(verdict),
                Step::Follow(next_owner) => owner = next_owner,
            }
        }
        Ok(Verdict::ANSWER)
    }

    /// Answers what the server says of itself (RFC 4892 §3).
    fn chaos(&mut self, question: &Question<'_>) -> Result<Verdict, Full> {
        let Some(record) = self.identity.chaos(question.name.as_bytes()) else {
            return Ok(Verdict::error(Rcode::Refused));
        };
        if matches!(question.rtype, RType::TXT | RType::ANY) {
            self.writer
                .rrset(Section::Answer, Owner::QUESTION, record, 1)?;
        }
        Ok(Verdict::ANSWER)
    }

    /// Answers at one name of the chain.
    fn step(
        &mut self,
        found: &Found<'z>,
        rtype: RType,
        place: Place<'_>,
        hop: usize,
    ) -> Result<Step, Full> {
        match found.case {
            Case::Missing => {
                self.negative(found, place, rtype);
                Ok(Step::Done(self.missing(found.zone)))
            }
            // The one type that the parent side of a cut answers (RFC 4035 §3.1.4.1).
            Case::Cut(cut) if rtype == RType::DS && cut.name().len() == place.name.len() => {
                self.at_name(found, NodeView::of(cut), rtype, place)
            }
            Case::Cut(cut) => Ok(Step::Done(self.referral(found, cut, place, hop))),
            Case::Dname(node) => self.redirect(found, node, rtype, place),
            Case::Exact => self.at_name(found, found.encloser, rtype, place),
            Case::Wildcard(node) => {
                self.prove_wildcard(found, place);
                self.at_name(found, node, rtype, place)
            }
        }
    }

    /// Answers at a name that exists.
    fn at_name(
        &mut self,
        found: &Found<'z>,
        node: NodeView<'z>,
        rtype: RType,
        place: Place<'_>,
    ) -> Result<Step, Full> {
        if let Some(steered) = node.steered()
            && let Some(rtype) = self.zones.steered_name(steered).answer.steered_type(rtype)
        {
            return self.at_steered(steered, found, rtype, place, u32::MAX);
        }
        if let Some((cname, target)) = node.cname()
            && !stands_beside_cname(node, rtype)
        {
            let at = self.set(found, place, cname)?;
            self.next = Some(LowerName::of(target));
            return Ok(Step::Follow(at.name(crate::wire::RECORD_HEAD_BYTES)));
        }
        if rtype == RType::RRSIG {
            return self.signatures_of(found, node, place);
        }
        // RFC 8482 §4.1: any one set is an answer to ANY.
        let set = if rtype == RType::ANY {
            node.rrsets().find(|set| set.rtype() != RType::ALIAS)
        } else {
            // An ALIAS is nobody's business but ours.
            node.rrset(rtype).filter(|_| rtype != RType::ALIAS)
        };
        match set {
            Some(set) => {
                let at = self.set(found, place, set)?;
                self.write_proofs()?;
                self.additional(found.zone, set, at);
            }
            None if self.key_set(found, rtype, place)? => {}
            None if matches!(rtype, RType::A | RType::AAAA) => {
                // Signatures that came with a zone cover no addresses from elsewhere.
                let alias = node.rrset(RType::ALIAS);
                match alias.filter(|_| !found.zone.data().came_signed()) {
                    Some(alias) => return self.at_alias(found, alias, rtype, place),
                    None => self.negative(found, place, rtype),
                }
            }
            None => self.negative(found, place, rtype),
        }
        Ok(Step::Done(Verdict::ANSWER))
    }

    /// Signatures are with the sets they cover; a question for them gets all.
    fn signatures_of(
        &mut self,
        found: &Found<'z>,
        node: NodeView<'z>,
        place: Place<'_>,
    ) -> Result<Step, Full> {
        let mut any = false;
        for signatures in node.rrsets().filter_map(RrSet::signatures) {
            let (records, count) = (signatures.records(), signatures.count());
            self.writer
                .rrset(Section::Answer, place.owner, records, count)?;
            any = true;
        }
        if !any {
            self.negative(found, place, RType::RRSIG);
        }
        Ok(Step::Done(Verdict::ANSWER))
    }

    /// Below a DNAME: the DNAME, and the CNAME that it means for this name (RFC 6672 §3.2).
    fn redirect(
        &mut self,
        found: &Found<'z>,
        node: &'z Node,
        rtype: RType,
        place: Place<'_>,
    ) -> Result<Step, Full> {
        let (Some(set), Some(to)) = (node.rrset(RType::DNAME), node.target()) else {
            // The set was too large to serve and was reported when the zone was built.
            return Ok(Step::Done(Verdict::error(Rcode::ServFail)));
        };
        let above = Place {
            name: node.name(),
            owner: place.ancestor(node.name()),
        };
        self.set(found, above, set)?;
        let prefix = &place.name[..place.name.len() - node.name().len()];
        let Some(target) = LowerName::join(prefix, to) else {
            return Ok(Step::Done(Verdict {
                rcode: Rcode::YxDomain,
                authority: Authority::Ours,
            }));
        };
        let ttl_seconds = set.ttl_seconds();
        let owner = self
            .writer
            .cname(place.owner, ttl_seconds, target.as_bytes())?;
        // RFC 6672 §3.2 starts again with the new name; only a question for the CNAME has its answer.
        if rtype == RType::CNAME {
            return Ok(Step::Done(Verdict::ANSWER));
        }
        self.next = Some(target);
        Ok(Step::Follow(owner))
    }

    /// Answers with what the engine picks. `ttl_max` is in seconds: what led here may not live longer.
    pub(super) fn at_steered(
        &mut self,
        steered: SteeredIdx,
        found: &Found<'z>,
        rtype: RType,
        place: Place<'_>,
        ttl_max: u32,
    ) -> Result<Step, Full> {
        let (owner, mark) = (place.owner, self.writer.mark());
        let ttl_configured = self.zones.steered_name(steered).ttl_seconds.min(ttl_max);
        let (zones, mut room) = (self.zones, Room::default());
        let (steer, fact) = steer(zones, steered, rtype, self.client, self.moment, &mut room);
        self.steered = self.steered.or(fact);
        self.writer.narrow_scope(steer.scope);
        let ttl_seconds = steer.ttl_seconds.min(ttl_max);
        match &steer.data {
            Data::Nothing => self.negative(found, place, rtype),
            Data::Nobody => {
                self.writer.set_error(NOBODY);
                return Ok(Step::Done(Verdict::error(Rcode::ServFail)));
            }
            Data::Addresses(chosen) => {
                self.writer
                    .addresses(owner, ttl_seconds, chosen.addresses())?;
                self.sign_steered(found, place, mark, ttl_configured)?;
            }
            Data::Fixed(addresses, family) => {
                let of_family = addresses
                    .iter()
                    .copied()
                    .filter(|address| Family::of(*address) == *family);
                if of_family.clone().next().is_none() {
                    self.negative(found, place, rtype);
                } else {
                    self.writer.addresses(owner, ttl_seconds, of_family)?;
                    self.sign_steered(found, place, mark, ttl_configured)?;
                }
            }
            Data::Srv(records) => {
                let first = self.writer.srv(owner, ttl_seconds, records.iter())?;
                self.sign_steered(found, place, mark, ttl_configured)?;
                self.write_proofs()?;
                self.writer
                    .srv_addresses(first, ttl_seconds, records.iter());
            }
            Data::Svcb { record, v4, v6 } => {
                let (v4, v6) = (v4.addresses(), v6.addresses());
                self.writer
                    .svcb(owner, rtype, ttl_seconds, record, v4, v6)?;
                self.sign_steered(found, place, mark, ttl_configured)?;
            }
            Data::Alias(alias) => {
                let target = self.writer.cname(owner, ttl_seconds, &alias.target)?;
                self.sign_steered(found, place, mark, ttl_configured)?;
                if rtype != RType::CNAME && rtype != RType::ANY {
                    self.next = Some(LowerName::of(&alias.target));
                    return Ok(Step::Follow(target));
                }
            }
        }
        Ok(Step::Done(Verdict::ANSWER))
    }

    /// NXDOMAIN and NODATA: the SOA says for how long (RFC 2308). One that does not fit leaves the
    /// truncation mark, and the response code still stands.
    pub(super) fn negative(&mut self, found: &Found<'z>, place: Place<'_>, asked: RType) {
        let zone = found.zone;
        let apex = Place {
            name: zone.apex(),
            owner: place.ancestor(zone.apex()),
        };
        let signer = self.signer(zone);
        if let Some(signer) = signer
            && matches!(asked, RType::NSEC | RType::RRSIG)
            && !matches!(found.case, Case::Missing)
        {
            let _ = self.deny(signer, found, place, asked);
            return;
        }
        let soa = self.rrset(
            zone,
            Section::Authority,
            apex,
            Names::Ours,
            zone.negative_soa(),
        );
        if soa.is_err() {
            return;
        }
        match signer {
            Some(signer) => {
                let _ = self.deny(signer, found, place, asked);
            }
            None => self.prove_absence(found, place),
        }
    }

    /// The servers to ask instead, with the addresses needed to reach them. What does not fit
    /// truncates, glue too (RFC 9471 §3).
    fn referral(
        &mut self,
        found: &Found<'z>,
        cut: &'z Node,
        place: Place<'_>,
        hop: usize,
    ) -> Verdict {
        let Some(servers) = cut.rrset(RType::NS) else {
            // The NS set was too large to serve and was reported when the zone was built.
            return Verdict::error(Rcode::ServFail);
        };
        let _ = self.delegate(found.zone, cut, servers, place.ancestor(cut.name()));
        // AA speaks of the first owner in the answer section (RFC 1035 §4.1.1): ours after an alias.
        let authority = if hop > 0 {
            Authority::Ours
        } else {
            Authority::None
        };
        Verdict {
            rcode: Rcode::NoError,
            authority,
        }
    }

    fn delegate(
        &mut self,
        zone: &'z ServedZone,
        cut: &'z Node,
        servers: &'z RrSet,
        owner: Owner,
    ) -> Result<(), Full> {
        // The parent does not sign a delegation, only what it says about its keys.
        let (records, count) = (servers.records(), servers.count());
        let at = self
            .writer
            .rrset(Section::Authority, owner, records, count)?;
        if self.terms.dnssec_ok {
            let place = Place {
                name: cut.name(),
                owner,
            };
            let is_signed = |keys: &&RrSet| keys.signatures().is_some() || zone.signer().is_some();
            let keys = cut.rrset(RType::DS).filter(is_signed);
            if let Some(keys) = keys {
                self.rrset(zone, Section::Authority, place, Names::Ours, keys)?;
            } else if let Some(signer) = zone.signer() {
                self.deny_keys(signer, cut, owner)?;
            } else {
                self.prove_no_keys(zone, cut, owner)?;
            }
        }
        self.write_proofs()?;
        for target in servers.targets() {
            let node = zone.data().node(target.node);
            // Zone building keeps NS sets below what a pointer reaches.
            let Some(owner) = at.name(target.offset as usize) else {
                break;
            };
            for rtype in [RType::A, RType::AAAA] {
                if let Some(glue) = node.rrset(rtype) {
                    let (records, count) = (glue.records(), glue.count());
                    self.writer
                        .rrset(Section::Additional, owner, records, count)?;
                }
            }
        }
        Ok(())
    }

    /// The addresses of the names in a set, as far as there is room: whoever lacks one asks again.
    fn additional(&mut self, zone: &'z ServedZone, set: &'z RrSet, at: TargetAt) {
        for target in set.targets() {
            let node = zone.data().node(target.node);
            let Some(owner) = at.name(target.offset as usize) else {
                return;
            };
            let sets = [RType::A, RType::AAAA].map(|rtype| node.rrset(rtype));
            for set in sets.into_iter().flatten() {
                let signatures = set.signatures().filter(|_| self.terms.dnssec_ok);
                let signatures = signatures.map_or((&[][..], 0), |s| (s.records(), s.count()));
                let fits = self.writer.extra(owner, set.records(), set.count())
                    && self.writer.extra(owner, signatures.0, signatures.1);
                if !fits {
                    return;
                }
            }
        }
    }

    /// Writes a set that answers, and its signatures for a client that wants them.
    fn set(&mut self, found: &Found<'z>, place: Place<'_>, set: &RrSet) -> Result<TargetAt, Full> {
        self.rrset(found.zone, Section::Answer, place, names_of(found), set)
    }

    /// Writes a set, and its signatures for a client that wants them: those it came with, or ours.
    fn rrset(
        &mut self,
        zone: &'z ServedZone,
        section: Section,
        place: Place<'_>,
        names: Names,
        set: &RrSet,
    ) -> Result<TargetAt, Full> {
        let (owner, mark) = (place.owner, self.writer.mark());
        let at = self
            .writer
            .rrset(section, owner, set.records(), set.count())?;
        if !self.terms.dnssec_ok {
            return Ok(at);
        }
        if let Some(signer) = zone.signer() {
            self.sign_static(signer, section, place, mark, names, set)?;
        } else if let Some(signatures) = set.signatures() {
            let (records, count) = (signatures.records(), signatures.count());
            self.writer.rrset(section, owner, records, count)?;
        }
        Ok(at)
    }
}

/// How much of a name decides its response: random labels in front of that make the same one.
fn subject_bytes(found: &Found<'_>, name_bytes: usize) -> usize {
    match found.case {
        Case::Exact => name_bytes,
        // Without the star.
        Case::Wildcard(node) => node.name().len().saturating_sub(2),
        Case::Missing => found.zone.apex().len(),
        Case::Cut(node) | Case::Dname(node) => node.name().len(),
    }
}

/// Questions that are not answered from zones.
fn refusal(question: &Question<'_>) -> Option<Rcode> {
    match question.rtype {
        _ if question.class != Class::IN => Some(Rcode::Refused),
        RType::AXFR | RType::IXFR => Some(Rcode::Refused),
        RType::MAILA | RType::MAILB => Some(Rcode::NotImp),
        RType::OPT | RType::TSIG | RType::TKEY | RType::NXNAME => Some(Rcode::FormErr),
        _ => None,
    }
}

/// Whether a question at a name with a CNAME is not for what the CNAME stands for: the CNAME itself,
/// or the DNSSEC records that may stand beside it (RFC 2181 §10.1, RFC 4034 §2.5).
fn stands_beside_cname(node: NodeView<'_>, rtype: RType) -> bool {
    match rtype {
        RType::CNAME | RType::ANY => true,
        RType::RRSIG => node.rrsets().any(|set| set.signatures().is_some()),
        other => node.rrset(other).is_some(),
    }
}
