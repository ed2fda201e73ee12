//! From a steered name and a client to addresses, by the engine's pick.

use std::net::IpAddr;

use meridian_engine::hash::{STICKY_PREFIX_V4, STICKY_PREFIX_V6};
use meridian_engine::plan::MAX_ANSWERS;
use meridian_engine::policy::{MAX_STATIC_ADDRESSES, Sticky};
use meridian_engine::{ClassId, ClientKey, Pick, Reason};
use meridian_topology::{EndpointIdx, RegionIdx, ServiceIdx};

use super::client::Client;
use crate::wire::RType;
use crate::zone::SteeredIdx;
use crate::zones::{Alias, Families, SteeredAnswer, SteeredName, Zones};

/// Bits of the client that chose among several endpoints when the whole address did.
const KEY_BITS_WHOLE: u8 = 128;

/// Most addresses of one answer: picks, or a policy's static answer.
const ADDRESSES_MAX: usize = if MAX_STATIC_ADDRESSES > MAX_ANSWERS {
    MAX_STATIC_ADDRESSES
} else {
    MAX_ANSWERS
};

/// A small set of addresses on the stack.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addresses {
    list: [IpAddr; ADDRESSES_MAX],
    len: usize,
}

impl Addresses {
    /// The first `at_most` of one family.
    fn collect(addresses: impl Iterator<Item = IpAddr>, rtype: RType, at_most: usize) -> Self {
        let mut found = Self {
            list: [IpAddr::from([0, 0, 0, 0]); ADDRESSES_MAX],
            len: 0,
        };
        let of_family = addresses.filter(|address| is_of(rtype, *address));
        for (slot, address) in found.list.iter_mut().zip(of_family).take(at_most) {
            *slot = address;
            found.len += 1;
        }
        found
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = IpAddr> + Clone {
        self.list[..self.len].iter().copied()
    }
}

/// What a steered name says to one client.
#[allow(
    clippy::large_enum_variant,
    reason = "it lives on the stack for one question; a box would allocate"
)]
pub(super) enum Steer<'z> {
    /// These addresses; none means the name has no address of this family for the client.
    Addresses {
        addresses: Addresses,
        ttl_seconds: u32,
        scope: u8,
    },
    /// Another name.
    Alias {
        alias: &'z Alias,
        ttl_seconds: u32,
        scope: u8,
    },
    /// The service has no address of this family for anybody.
    NoData,
    /// Nobody may or can serve this client.
    Nobody { scope: u8 },
}

/// What became of a steered question, for counters and the decision log.
#[derive(Clone, Copy, Debug)]
pub struct SteeredFact {
    /// The steered name's number.
    pub steered: SteeredIdx,
    /// The service.
    pub service: ServiceIdx,
    /// The client's class.
    pub class: ClassId,
    /// The first pick; `None` when nobody may serve.
    pub pick: Option<Pick>,
}

/// A pick to fill arrays with; never read.
const NO_PICK: Pick = Pick {
    endpoint: EndpointIdx(0),
    region: RegionIdx(0),
    propensity: 0.0,
    reason: Reason::Best,
};

/// Decides for one client.
///
/// `failover_ttl_seconds` caps the TTL while the answer is a stand-in, so that clients come back
/// soon after their own region does. `draw` is a number of this question alone: services that are
/// not sticky spread by it.
pub(super) fn steer<'z>(
    zones: &'z Zones,
    steered: SteeredIdx,
    rtype: RType,
    client: &Client,
    failover_ttl_seconds: u32,
    draw: u64,
) -> (Steer<'z>, Option<SteeredFact>) {
    let name = zones.steered_name(steered);
    let Some(wanted) = Wanted::of(&name.answer, rtype) else {
        return (Steer::NoData, None);
    };
    let published = zones.published();
    let class = published.world.classes.lookup(client.address);
    let (key, key_bits) = key_of(zones, name.service, client.address, draw);
    let mut picks = [NO_PICK; MAX_ANSWERS];
    let room = &mut picks[..wanted.picks];
    let found = published
        .plan
        .pick_many(name.service, class.class, key, &published.bits, room);
    let picks = &picks[..found];
    let mut fact = SteeredFact {
        steered,
        service: name.service,
        class: class.class,
        pick: picks.first().copied(),
    };
    let Some(first) = picks.first() else {
        let scope = client.scope(class, 0);
        let nobody = nobody(name, rtype, failover_ttl_seconds, scope);
        return (nobody, Some(fact));
    };
    let (addresses, chance) = wanted.addresses_of(zones, picks, rtype);
    // A ramp takes some clients of the class and refuses others.
    let chance = chance
        || published
            .plan
            .is_ramping(name.service, class.class, &published.bits);
    let scope = client.scope(class, if chance { key_bits } else { 0 });
    let ttl_seconds = match first.reason {
        Reason::Best | Reason::Spread => name.ttl_seconds,
        _ => name.ttl_seconds.min(failover_ttl_seconds),
    };
    let steer = match &name.answer {
        SteeredAnswer::Addresses { .. } => Steer::Addresses {
            addresses,
            ttl_seconds,
            scope,
        },
        SteeredAnswer::Names(_) => match name.answer.alias(first.region) {
            Some(alias) => Steer::Alias {
                alias,
                ttl_seconds,
                scope,
            },
            None => {
                fact.pick = None;
                Steer::Nobody { scope }
            }
        },
    };
    (steer, Some(fact))
}

/// How many picks a question takes, and how many addresses of them it answers.
#[derive(Clone, Copy)]
struct Wanted {
    picks: usize,
    addresses: usize,
}

impl Wanted {
    /// `None` when the service can have nothing of this type.
    fn of(answer: &SteeredAnswer, rtype: RType) -> Option<Self> {
        let (at_most, families) = match answer {
            SteeredAnswer::Names(_) => {
                return Some(Self {
                    picks: 1,
                    addresses: 0,
                });
            }
            SteeredAnswer::Addresses { at_most, families } => (*at_most, *families),
        };
        let picks = match (families, rtype) {
            (Families::V4, RType::A) | (Families::V6, RType::AAAA) => at_most,
            // Picks know nothing of families: take as many as there may be and keep one family.
            (Families::Both, RType::A | RType::AAAA) => MAX_ANSWERS,
            _ => return None,
        };
        Some(Self {
            picks,
            addresses: at_most,
        })
    }

    /// The addresses to answer, and whether chance had a say in them. It had none when all that may
    /// serve the client are answered, or the only one picked is the only one possible.
    fn addresses_of(self, zones: &Zones, picks: &[Pick], rtype: RType) -> (Addresses, bool) {
        let endpoints = &zones.published().world.topology.endpoints;
        let addresses = picks
            .iter()
            .filter_map(|pick| Some(endpoints.get(pick.endpoint.index())?.address));
        let fitting = addresses
            .clone()
            .filter(|address| is_of(rtype, *address))
            .count();
        let all = picks.len() < self.picks && fitting <= self.addresses;
        let only = self.picks == 1 && picks.iter().all(|pick| pick.propensity >= 1.0);
        (
            Addresses::collect(addresses, rtype, self.addresses),
            !all && !only,
        )
    }
}

/// The policy's answer when nobody is left.
fn nobody(
    name: &SteeredName,
    rtype: RType,
    failover_ttl_seconds: u32,
    scope: u8,
) -> Steer<'static> {
    if name.fixed.is_empty() {
        return Steer::Nobody { scope };
    }
    Steer::Addresses {
        addresses: Addresses::collect(name.fixed.iter().copied(), rtype, ADDRESSES_MAX),
        ttl_seconds: name.ttl_seconds.min(failover_ttl_seconds),
        scope,
    }
}

/// The client's key, and how many leading bits of its address decide it.
fn key_of(zones: &Zones, service: ServiceIdx, address: IpAddr, draw: u64) -> (ClientKey, u8) {
    let plan = &zones.published().plan;
    let key = plan.client_key(service, address);
    match plan.sticky(service) {
        Sticky::ClientPrefix if address.to_canonical().is_ipv4() => (key, STICKY_PREFIX_V4),
        Sticky::ClientPrefix => (key, STICKY_PREFIX_V6),
        Sticky::ClientAddress if address.to_canonical().is_ipv4() => (key, 32),
        Sticky::ClientAddress => (key, KEY_BITS_WHOLE),
        // A new draw each time: sharing the answer within the class takes nothing from anybody.
        Sticky::None => (key.with_nonce(draw), 0),
    }
}

impl Families {
    /// The type that ANY is narrowed to.
    pub(super) fn preferred(self) -> RType {
        if self == Self::V6 {
            RType::AAAA
        } else {
            RType::A
        }
    }
}

fn is_of(rtype: RType, address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => rtype == RType::A,
        IpAddr::V6(_) => rtype == RType::AAAA,
    }
}
