//! Addresses of a name that has an ALIAS: those of its target, as if they were its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::resolve::{Place, Resolution, Step, UNREADY, Verdict};
use super::steer::{Data, Room, steer};
use crate::steered::SteeredAnswer;
use crate::wire::{ExtendedError, Full, LowerName, RType, Rcode};
use crate::zone::{CNAME_CHAIN_MAX, Case, Found, NodeView, RrSet, SteeredIdx};

/// Sent beside SERVFAIL until a resolver has answered (RFC 8914 §4.24: network error).
const UNRESOLVED: ExtendedError = ExtendedError {
    code: 23,
    text: "the target of an ALIAS is not resolved yet",
};

/// What one name on the way of an ALIAS leads to.
enum Hop {
    Done(Step),
    /// On to [`Resolution::next`].
    Follow,
    /// It has no address of the family asked for.
    Nothing,
}

impl<'z> Resolution<'z, '_, '_> {
    /// Answers an address type at a name with an ALIAS. Targets in our zones are followed here, others
    /// are looked up in the book. No answer lives longer than the ALIAS.
    ///
    /// Apart from the usual way, and never inlined there: its room for names would be every answer's.
    #[inline(never)]
    pub(super) fn at_alias(
        &mut self,
        found: &Found<'z>,
        alias: &'z RrSet,
        rtype: RType,
        place: Place<'_>,
    ) -> Result<Step, Full> {
        self.next = target_of(alias);
        for _ in 0..=CNAME_CHAIN_MAX {
            let Some(target) = self.next.take() else {
                break;
            };
            let there = self.zones.find(&target, rtype);
            let there = there.filter(|there| !matches!(there.case, Case::Cut(_)));
            let Some(there) = there else {
                return self.answer_from_book(found, alias, target.as_bytes(), rtype, place);
            };
            if there.zone.is_unready() {
                self.writer.set_error(UNREADY);
                return Ok(Step::Done(Verdict::error(Rcode::ServFail)));
            }
            let node = match there.case {
                Case::Exact => there.encloser,
                Case::Wildcard(node) => node,
                Case::Dname(owner) => {
                    let prefix = target.as_bytes().len() - owner.name().len();
                    let prefix = &target.as_bytes()[..prefix];
                    self.next = owner.target().and_then(|to| LowerName::join(prefix, to));
                    continue;
                }
                Case::Missing | Case::Cut(_) => break,
            };
            match self.alias_hop(found, alias, node, rtype, place)? {
                Hop::Done(step) => return Ok(step),
                Hop::Nothing => break,
                Hop::Follow => {}
            }
        }
        self.next = None;
        self.negative(found, place, rtype);
        Ok(Step::Done(Verdict::ANSWER))
    }

    /// What one name of ours on the way says.
    fn alias_hop(
        &mut self,
        found: &Found<'z>,
        alias: &RrSet,
        node: NodeView<'z>,
        rtype: RType,
        place: Place<'_>,
    ) -> Result<Hop, Full> {
        if let Some(steered) = node.steered()
            && let Some(rtype) = self.zones.steered_name(steered).answer.steered_type(rtype)
        {
            if self.follows_steered(steered, rtype) {
                return Ok(Hop::Follow);
            }
            let ttl_max = alias.ttl_seconds();
            let answered = self.at_steered(steered, found, rtype, place, ttl_max);
            return answered.map(Hop::Done);
        }
        if let Some(set) = node.rrset(rtype) {
            let addresses = set.data().filter_map(|(_, data)| address_of(data));
            let ttl_seconds = set.ttl_seconds().min(alias.ttl_seconds());
            self.alias_addresses(found, place, ttl_seconds, addresses)?;
            return Ok(Hop::Done(Step::Done(Verdict::ANSWER)));
        }
        let further = node.cname().map(|(_, target)| LowerName::of(target));
        self.next = further.or_else(|| target_of(node.rrset(RType::ALIAS)?));
        Ok(if self.next.is_some() {
            Hop::Follow
        } else {
            Hop::Nothing
        })
    }

    /// Goes on to the name that a steered CNAME picks for this client, if that is what the name answers.
    fn follows_steered(&mut self, steered: SteeredIdx, rtype: RType) -> bool {
        let zones = self.zones;
        if !matches!(zones.steered_name(steered).answer, SteeredAnswer::Names(_)) {
            return false;
        }
        let mut room = Room::default();
        let (steer, _) = steer(zones, steered, rtype, self.client, self.moment, &mut room);
        let Data::Alias(further) = steer.data else {
            return false;
        };
        self.writer.narrow_scope(steer.scope);
        self.next = Some(LowerName::of(&further.target));
        true
    }

    /// A target elsewhere: what the resolvers said. Until they have answered, nothing can be said.
    fn answer_from_book(
        &mut self,
        found: &Found<'z>,
        alias: &RrSet,
        target: &[u8],
        rtype: RType,
        place: Place<'_>,
    ) -> Result<Step, Full> {
        let answers = self.aliases.load();
        let Some(resolved) = answers.get(target) else {
            self.writer.set_error(UNRESOLVED);
            return Ok(Step::Done(Verdict::error(Rcode::ServFail)));
        };
        let addresses = resolved.of(rtype == RType::AAAA);
        if addresses.is_empty() {
            self.negative(found, place, rtype);
        } else {
            let ttl_seconds = alias.ttl_seconds().min(resolved.ttl_seconds);
            let addresses = addresses.iter().copied();
            self.alias_addresses(found, place, ttl_seconds, addresses)?;
        }
        Ok(Step::Done(Verdict::ANSWER))
    }

    fn alias_addresses(
        &mut self,
        found: &Found<'z>,
        place: Place<'_>,
        ttl_seconds: u32,
        addresses: impl Iterator<Item = IpAddr> + Clone,
    ) -> Result<(), Full> {
        let mark = self.writer.mark();
        self.writer.addresses(place.owner, ttl_seconds, addresses)?;
        self.sign_steered(found, place, mark, ttl_seconds)
    }
}

/// Where an ALIAS points, lowercased.
fn target_of(alias: &RrSet) -> Option<LowerName> {
    let (_, target) = alias.data().next()?;
    Some(LowerName::lowercased(target))
}

/// An address from an A or AAAA record's data.
fn address_of(data: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(data) {
        return Some(Ipv4Addr::from(octets).into());
    }
    let octets = <[u8; 16]>::try_from(data).ok()?;
    Some(Ipv6Addr::from(octets).into())
}
