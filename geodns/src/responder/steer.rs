//! From a steered name and a client to addresses, by the engine's pick.

use std::net::IpAddr;

use meridian_engine::hash::{STICKY_PREFIX_V4, STICKY_PREFIX_V6};
use meridian_engine::plan::MAX_ANSWERS;
use meridian_engine::policy::{MAX_STATIC_ADDRESSES, Sticky};
use meridian_engine::{ClassId, ClientKey, Fallback, Pick, Reason};
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
    let (wanted, filter) = match &name.answer {
        SteeredAnswer::Names(_) => (1, Filter::None),
        SteeredAnswer::Addresses { at_most, families } => match families.filter(rtype) {
            Some(filter) => (*at_most, filter),
            None => return (Steer::NoData, None),
        },
    };
    let published = zones.published();
    let class = published.world.classes.lookup(client.address);
    let (key, key_bits) = key_of(zones, name.service, client.address, draw);
    let mut picks = [NO_PICK; MAX_ANSWERS];
    // Among endpoints of two families, ask for as many as there may be and keep one family.
    let asked = if filter == Filter::Family {
        MAX_ANSWERS
    } else {
        wanted
    };
    let found = published.plan.pick_many(
        name.service,
        class.class,
        key,
        &published.bits,
        &mut picks[..asked],
    );
    let picks = &picks[..found];
    let fact = SteeredFact {
        steered,
        service: name.service,
        class: class.class,
        pick: picks.first().copied(),
    };
    let Some(first) = picks.first() else {
        return (
            nobody(zones, name, rtype, client.scope(class, 0)),
            Some(fact),
        );
    };
    // One certain endpoint, or all there are: chance had no say.
    let certain = found < asked || (asked == 1 && first.propensity >= 1.0);
    let scope = client.scope(class, if certain { 0 } else { key_bits });
    let ttl_seconds = match first.reason {
        Reason::Best | Reason::Spread => name.ttl_seconds,
        _ => name.ttl_seconds.min(failover_ttl_seconds),
    };
    if let SteeredAnswer::Names(_) = name.answer {
        let answer = match name.answer.alias(first.region) {
            Some(alias) => Steer::Alias {
                alias,
                ttl_seconds,
                scope,
            },
            None => Steer::Nobody { scope },
        };
        return (answer, Some(fact));
    }
    let endpoints = &published.world.topology.endpoints;
    let addresses = picks
        .iter()
        .filter_map(|pick| Some(endpoints.get(pick.endpoint.index())?.address));
    (
        Steer::Addresses {
            addresses: Addresses::collect(addresses, rtype, wanted),
            ttl_seconds,
            scope,
        },
        Some(fact),
    )
}

/// The policy's answer when nobody is left.
fn nobody(zones: &Zones, name: &SteeredName, rtype: RType, scope: u8) -> Steer<'static> {
    match zones.published().plan.fallback(name.service) {
        Fallback::Closed => Steer::Nobody { scope },
        Fallback::Static(addresses) => Steer::Addresses {
            addresses: Addresses::collect(addresses.iter().copied(), rtype, ADDRESSES_MAX),
            ttl_seconds: name.ttl_seconds,
            scope,
        },
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

/// Whether picks must be sorted by family.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Filter {
    None,
    Family,
}

impl Families {
    /// How to find addresses of a type; `None` when there can be none.
    fn filter(self, rtype: RType) -> Option<Filter> {
        match (self, rtype) {
            (Self::V4, RType::A) | (Self::V6, RType::AAAA) => Some(Filter::None),
            (Self::Both, RType::A | RType::AAAA) => Some(Filter::Family),
            _ => None,
        }
    }

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
