//! From a question to records: RFC 1034 §4.3.2 over the zone tree, with steering where a name has it.

use super::client::Client;
use super::steer::{Steer, SteeredFact, steer};
use crate::wire::{
    Authority, Class, ExtendedError, Full, Owner, Question, RECORD_HEAD_BYTES, RType, Rcode,
    ResponseWriter, Section, label_count,
};
use crate::zone::{CNAME_CHAIN_MAX, Cut, Found, Node, RrSet, SteeredIdx, Zone};
use crate::zones::{SteeredAnswer, Zones};

/// Sent beside SERVFAIL when a policy leaves nobody: 0 is "other error" (RFC 8914 §4.1), the text
/// says which.
pub(super) const NOBODY: ExtendedError = ExtendedError {
    code: 0,
    text: "no endpoint may serve this client now",
};

/// How a response ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) rcode: Rcode,
    pub(super) authority: Authority,
}

impl Verdict {
    const ANSWER: Self = Self {
        rcode: Rcode::NoError,
        authority: Authority::Ours,
    };

    /// The records that fitted are ours; the rest is to be fetched over TCP.
    pub(super) const TRUNCATED: Self = Self::ANSWER;

    const fn error(rcode: Rcode) -> Self {
        Self {
            rcode,
            authority: Authority::None,
        }
    }
}

/// What a step at one name leads to.
enum Step<'z> {
    Done(Verdict),
    /// A CNAME was answered; its target, lowercased, is spelled out at `owner`.
    Follow {
        target: &'z [u8],
        owner: Owner,
    },
}

/// One question on its way through the tree.
pub(super) struct Resolution<'z, 'w, 'b> {
    pub(super) zones: &'z Zones,
    pub(super) client: &'w Client,
    pub(super) writer: &'w mut ResponseWriter<'b>,
    /// Caps the TTL of stand-ins.
    pub(super) failover_ttl_seconds: u32,
    /// A number of this question alone, for services that are not sticky.
    pub(super) draw: u64,
    /// What steering decided at the first steered name that the question came to.
    pub(super) steered: Option<SteeredFact>,
}

impl<'z> Resolution<'z, '_, '_> {
    /// Writes the records of the answer.
    ///
    /// # Errors
    /// [`Full`] when a record set did not fit; what was written before it stands, and the response
    /// is marked truncated.
    pub(super) fn run(&mut self, question: &Question<'_>) -> Result<Verdict, Full> {
        if let Some(rcode) = refusal(question) {
            return Ok(Verdict::error(rcode));
        }
        let mut owner = Owner::QUESTION;
        let qname = question.name.as_bytes();
        let mut found = self.zones.tree().find(qname, question.name.labels());
        let mut name_bytes = qname.len();
        let mut visited: [Option<&Node>; CNAME_CHAIN_MAX + 1] = [None; CNAME_CHAIN_MAX + 1];
        for hop in 0..=CNAME_CHAIN_MAX {
            let step = match found {
                // A chain may leave our zones; the resolver asks on elsewhere.
                Found::Outside if hop > 0 => Step::Done(Verdict::ANSWER),
                Found::Outside => Step::Done(Verdict::error(Rcode::Refused)),
                Found::Missing { zone } => {
                    self.negative(zone, owner, name_bytes);
                    Step::Done(Verdict {
                        rcode: Rcode::NxDomain,
                        authority: Authority::Ours,
                    })
                }
                Found::Delegated(cut)
                    if question.rtype == RType::DS && cut.node.name().len() == name_bytes =>
                {
                    self.at_name(cut.node, cut.zone, question.rtype, owner, name_bytes)?
                }
                Found::Delegated(cut) => Step::Done(self.referral(cut, owner, name_bytes, hop)),
                // Here before: a loop of aliases, and all of it has been answered.
                Found::Here { node, .. }
                    if visited
                        .iter()
                        .flatten()
                        .any(|seen| std::ptr::eq(*seen, node)) =>
                {
                    Step::Done(Verdict::ANSWER)
                }
                Found::Here { node, zone } => {
                    visited[hop] = Some(node);
                    self.at_name(node, zone, question.rtype, owner, name_bytes)?
                }
            };
            match step {
                Step::Done(verdict) => return Ok(verdict),
                Step::Follow { target, owner: at } => {
                    found = self.zones.tree().find(target, label_count(target));
                    (owner, name_bytes) = (at, target.len());
                }
            }
        }
        Ok(Verdict::ANSWER)
    }

    /// Answers at a name that exists.
    fn at_name(
        &mut self,
        node: &'z Node,
        zone: &'z Zone,
        rtype: RType,
        owner: Owner,
        name_bytes: usize,
    ) -> Result<Step<'z>, Full> {
        if let Some(steered) = node.steered()
            && let Some(rtype) = self.steered_type(steered, rtype)
        {
            return self.at_steered(steered, zone, rtype, owner, name_bytes);
        }
        if let Some((cname, target)) = node.cname()
            && rtype != RType::CNAME
            && rtype != RType::ANY
        {
            let at = self.rrset(Section::Answer, owner, cname)?;
            return Ok(Step::Follow {
                target,
                owner: at.name(RECORD_HEAD_BYTES),
            });
        }
        // RFC 8482 §4.1: any one set is an answer to ANY.
        let set = if rtype == RType::ANY {
            node.rrsets().first()
        } else {
            node.rrset(rtype)
        };
        match set {
            Some(set) => {
                self.rrset(Section::Answer, owner, set)?;
            }
            None => self.negative(zone, owner, name_bytes),
        }
        Ok(Step::Done(Verdict::ANSWER))
    }

    /// The type to steer for, or `None` when the question is for the name's static records.
    fn steered_type(&self, steered: SteeredIdx, rtype: RType) -> Option<RType> {
        match &self.zones.steered_name(steered).answer {
            SteeredAnswer::Addresses { families, .. } if rtype == RType::ANY => {
                Some(families.preferred())
            }
            SteeredAnswer::Addresses { .. } => {
                matches!(rtype, RType::A | RType::AAAA).then_some(rtype)
            }
            // A CNAME stands for every type.
            SteeredAnswer::Names(_) => Some(rtype),
        }
    }

    fn at_steered(
        &mut self,
        steered: SteeredIdx,
        zone: &'z Zone,
        rtype: RType,
        owner: Owner,
        name_bytes: usize,
    ) -> Result<Step<'z>, Full> {
        let (steer, fact) = steer(
            self.zones,
            steered,
            rtype,
            self.client,
            self.failover_ttl_seconds,
            self.draw,
        );
        self.steered = self.steered.or(fact);
        match steer {
            Steer::NoData => self.negative(zone, owner, name_bytes),
            Steer::Nobody { scope } => {
                self.writer.narrow_scope(scope);
                self.writer.set_error(NOBODY);
                return Ok(Step::Done(Verdict::error(Rcode::ServFail)));
            }
            Steer::Addresses {
                addresses, scope, ..
            } if addresses.iter().len() == 0 => {
                self.writer.narrow_scope(scope);
                self.negative(zone, owner, name_bytes);
            }
            Steer::Addresses {
                addresses,
                ttl_seconds,
                scope,
            } => {
                self.writer.narrow_scope(scope);
                self.writer
                    .addresses(owner, ttl_seconds, addresses.iter())?;
            }
            Steer::Alias {
                alias,
                ttl_seconds,
                scope,
            } => {
                self.writer.narrow_scope(scope);
                let target = self.writer.cname(owner, ttl_seconds, &alias.target)?;
                if rtype != RType::CNAME && rtype != RType::ANY {
                    return Ok(Step::Follow {
                        target: &alias.target,
                        owner: target,
                    });
                }
            }
        }
        Ok(Step::Done(Verdict::ANSWER))
    }

    /// NXDOMAIN and NODATA: the SOA says for how long (RFC 2308). One that does not fit leaves the
    /// truncation mark, and the response code still stands.
    fn negative(&mut self, zone: &Zone, owner: Owner, name_bytes: usize) {
        let apex = owner.ancestor(name_bytes - zone.apex().len());
        let _ = self.rrset(Section::Authority, apex, zone.negative_soa());
    }

    /// The servers to ask instead, with the addresses needed to reach them. What does not fit
    /// truncates, glue too (RFC 9471 §3).
    fn referral(&mut self, cut: Cut<'_>, owner: Owner, name_bytes: usize, hop: usize) -> Verdict {
        let Some(servers) = cut.node.rrset(RType::NS) else {
            // The NS set was too large to serve and was reported when the zone was built.
            return Verdict::error(Rcode::ServFail);
        };
        let owner = owner.ancestor(name_bytes - cut.node.name().len());
        if let Ok(at) = self.rrset(Section::Authority, owner, servers) {
            for glue in cut.node.glue() {
                if self
                    .rrset(
                        Section::Additional,
                        at.name(glue.target_offset),
                        &glue.rrset,
                    )
                    .is_err()
                {
                    break;
                }
            }
        }
        // AA speaks of the first owner in the answer section (RFC 1035 §4.1.1): ours after a CNAME.
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

    fn rrset(
        &mut self,
        section: Section,
        owner: Owner,
        set: &RrSet,
    ) -> Result<crate::wire::TargetAt, Full> {
        self.writer
            .rrset(section, owner, set.records(), set.count())
    }
}

/// Questions that are not answered from zones.
fn refusal(question: &Question<'_>) -> Option<Rcode> {
    match question.rtype {
        _ if question.class != Class::IN => Some(Rcode::Refused),
        RType::AXFR | RType::IXFR => Some(Rcode::Refused),
        RType::MAILA | RType::MAILB => Some(Rcode::NotImp),
        RType::OPT | RType::TSIG | RType::TKEY => Some(Rcode::FormErr),
        _ => None,
    }
}
