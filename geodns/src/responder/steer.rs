//! From a steered name and a client to the data of its answer, by the engine's picks.

use std::net::IpAddr;

use meridian_engine::hash::{STICKY_PREFIX_V4, STICKY_PREFIX_V6};
use meridian_engine::plan::{MAX_ANSWERS, Within};
use meridian_engine::policy::Sticky;
use meridian_engine::scopes::Merge;
use meridian_engine::{ClassId, ClassMatch, ClientKey, Family, Pick, Picked, Reason, Wanted};
use meridian_live::Published;
use meridian_topology::{EndpointIdx, RegionIdx, ServiceIdx};

use super::client::Client;
use crate::steered::{Alias, Count, Families, Srv, SrvRecord, SteeredAnswer, SteeredName, Svcb};
use crate::wire::RType;
use crate::zone::SteeredIdx;
use crate::zones::Zones;

/// Bits of the client that chose among several endpoints when the whole address did.
const KEY_BITS_WHOLE: u8 = 128;

/// What a steered name says to one client.
pub(super) enum Data<'z> {
    /// The addresses of these endpoints.
    Addresses(Chosen<'z>),
    /// These addresses, whoever asks; all of one family.
    Fixed(&'z [IpAddr], Family),
    /// Another name.
    Alias(&'z Alias),
    /// SRV records.
    Srv(SrvRecords<'z>),
    /// One SVCB or HTTPS record with the addresses of these endpoints as hints.
    Svcb {
        record: &'z Svcb,
        v4: Chosen<'z>,
        v6: Chosen<'z>,
    },
    /// Nothing of this type, for this client or for anybody.
    Nothing,
    /// Nobody may or can serve this client.
    Nobody,
}

/// A steered answer: what it says, for how long and for whom.
pub(super) struct Steer<'z> {
    pub(super) data: Data<'z>,
    pub(super) ttl_seconds: u32,
    pub(super) scope: u8,
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

/// What an answer depends on beside the question and the plan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// Caps the TTL while the answer is about to change again.
    pub(super) failover_ttl_seconds: u32,
    /// Seconds since 1970.
    pub(super) now_unix_seconds: u32,
    /// A number of this question alone: services that are not sticky spread by it.
    pub(super) draw: u64,
}

/// A pick to fill arrays with; never read.
const NO_PICK: Pick = Pick {
    endpoint: EndpointIdx(0),
    region: RegionIdx(0),
    propensity: 0.0,
    reason: Reason::Best,
};

/// Room for the picks of one question: lists are large, so an answer points at them.
#[derive(Default)]
pub(super) struct Room([Option<[Pick; MAX_ANSWERS]>; 2]);

/// Decides for one client.
pub(super) fn steer<'z>(
    zones: &'z Zones,
    steered: SteeredIdx,
    rtype: RType,
    client: &Client<'_>,
    moment: Moment,
    room: &'z mut Room,
) -> (Steer<'z>, Option<SteeredFact>) {
    let name = zones.steered_name(steered);
    let classes = &zones.published().world.classes;
    let class = classes.lookup(client.address);
    let (key, key_bits) = key_of(zones, name.service, client.address, moment.draw);
    let question = Question {
        zones,
        name,
        client,
        class,
        key,
        key_bits,
        moment,
    };
    let steer = match &name.answer {
        SteeredAnswer::Addresses {
            families,
            https: Some(record),
            ..
        } if rtype == RType::HTTPS => question.svcb(room, record, *families),
        SteeredAnswer::Svcb { record, families } => question.svcb(room, record, *families),
        SteeredAnswer::Addresses {
            count,
            families,
            within,
            ..
        } => question.addresses(room, rtype, *count, *families, *within),
        SteeredAnswer::Names(_) => question.alias(room),
        SteeredAnswer::Srv(srv) => question.srv(room, srv),
        SteeredAnswer::Endpoint(address) => return (question.endpoint(address), None),
    };
    let Some((steer, pick)) = steer else {
        let nothing = Steer {
            data: Data::Nothing,
            ttl_seconds: name.ttl_seconds,
            scope: 0,
        };
        return (nothing, None);
    };
    let fact = SteeredFact {
        steered,
        service: name.service,
        class: class.class,
        pick,
    };
    (steer, Some(fact))
}

/// Some picks and what they depend on.
#[derive(Clone, Copy)]
pub(super) struct Chosen<'z> {
    published: &'z Published,
    picks: &'z [Pick],
    picked: Picked,
}

impl<'z> Chosen<'z> {
    fn first(&self) -> Option<Pick> {
        self.picks.first().copied()
    }

    /// The endpoints' addresses.
    pub(super) fn addresses(&self) -> impl ExactSizeIterator<Item = IpAddr> + Clone + 'z {
        let endpoints = &self.published.world.topology.endpoints;
        let picks = self.picks.iter();
        picks.map(|pick| endpoints[pick.endpoint.index()].address)
    }
}

/// SRV records of some picks.
pub(super) struct SrvRecords<'z> {
    srv: &'z Srv,
    chosen: Chosen<'z>,
    /// For each pick, which region of stand-ins it is from; 0 for those that share the clients.
    places: [u16; MAX_ANSWERS],
}

impl<'z> SrvRecords<'z> {
    pub(super) fn iter(&self) -> impl Iterator<Item = SrvRecord<'z>> + Clone {
        let picks = self.chosen.picks.iter().zip(self.places);
        let (srv, published) = (self.srv, self.chosen.published);
        picks.filter_map(move |(pick, place)| srv.record(published, pick, place))
    }
}

/// For how long and for whom an answer is good.
#[derive(Clone, Copy)]
struct Ends {
    ttl_seconds: u32,
    scope: u8,
}

impl Ends {
    fn with(self, data: Data<'_>) -> Steer<'_> {
        Steer {
            data,
            ttl_seconds: self.ttl_seconds,
            scope: self.scope,
        }
    }
}

/// One question at one name.
struct Question<'z, 'q> {
    zones: &'z Zones,
    name: &'z SteeredName,
    client: &'q Client<'q>,
    class: ClassMatch,
    key: ClientKey,
    key_bits: u8,
    moment: Moment,
}

/// An answer with the first pick behind it; `None` when the service has nothing of the type.
type Answer<'z> = Option<(Steer<'z>, Option<Pick>)>;

impl<'z> Question<'z, '_> {
    fn addresses(
        &self,
        room: &'z mut Room,
        rtype: RType,
        count: Count,
        families: Families,
        within: Within,
    ) -> Answer<'z> {
        let family = match rtype {
            RType::AAAA => Family::V6,
            _ => Family::V4,
        };
        let filter = families.filter(family)?;
        let Room([list, others]) = room;
        let chosen = self.choose(list, filter, count, within);
        let first = chosen.first();
        if first.is_some() {
            let ends = self.ends(within, &[&chosen]);
            return Some((ends.with(Data::Addresses(chosen)), first));
        }
        // Nobody of this family, but somebody of the other: that is no failure, there just is no such
        // address at the moment.
        if filter.is_some() {
            let other = self.choose(others, None, count, within);
            if other.first().is_some() {
                let ends = self.ends(within, &[&chosen, &other]);
                return Some((ends.with(Data::Nothing), other.first()));
            }
        }
        let ends = self.ends(within, &[&chosen]);
        Some((ends.with(self.fixed(family)), None))
    }

    /// An endpoint by its own name: the same for everybody, and no decision.
    fn endpoint(&self, address: &'z IpAddr) -> Steer<'z> {
        Steer {
            data: Data::Fixed(std::slice::from_ref(address), Family::of(*address)),
            ttl_seconds: self.name.ttl_seconds,
            scope: 0,
        }
    }

    fn alias(&self, room: &'z mut Room) -> Answer<'z> {
        let one = Count {
            at_most: 1,
            at_least: 1,
        };
        let chosen = self.choose(&mut room.0[0], None, one, Within::Route);
        let first = chosen.first();
        let alias = first.and_then(|pick| self.name.answer.alias(pick.region));
        let data = alias.map_or(Data::Nobody, Data::Alias);
        let ends = self.ends(Within::Route, &[&chosen]);
        Some((ends.with(data), first.filter(|_| alias.is_some())))
    }

    fn srv(&self, room: &'z mut Room, srv: &'z Srv) -> Answer<'z> {
        let chosen = self.choose(&mut room.0[0], None, srv.count, srv.within());
        let (first, ends) = (chosen.first(), self.ends(Within::Route, &[&chosen]));
        let mut places = [0; MAX_ANSWERS];
        // Each region of stand-ins comes after the one before it.
        let (mut place, mut region) = (0, None);
        for (slot, pick) in places.iter_mut().zip(chosen.picks) {
            if pick.reason == Reason::Failover && region.replace(pick.region) != Some(pick.region) {
                place += 1;
            }
            *slot = place;
        }
        let data = match first {
            Some(_) => Data::Srv(SrvRecords {
                srv,
                chosen,
                places,
            }),
            None => Data::Nobody,
        };
        Some((ends.with(data), first))
    }

    fn svcb(&self, room: &'z mut Room, record: &'z Svcb, families: Families) -> Answer<'z> {
        let count = Count {
            at_most: record.hints.max(1),
            at_least: record.hints.max(1),
        };
        let choose = |list, family| {
            let filter = families.filter(family)?;
            Some(self.choose(list, filter, count, Within::Route))
        };
        let Room([list_v4, list_v6]) = room;
        let (v4, v6) = (choose(list_v4, Family::V4), choose(list_v6, Family::V6));
        let ends = match (&v4, &v6) {
            (Some(v4), Some(v6)) => self.ends(Within::Route, &[v4, v6]),
            (Some(one), None) | (None, Some(one)) => self.ends(Within::Route, &[one]),
            (None, None) => return None,
        };
        let first = [&v4, &v6].into_iter().flatten().find_map(Chosen::first);
        // Where fixed addresses are still answered, the name still says how to use them.
        if first.is_none() && self.name.fixed.is_empty() {
            return Some((ends.with(Data::Nobody), None));
        }
        let hints = |chosen: Option<Chosen<'z>>| {
            let wanted = chosen.filter(|_| record.hints > 0);
            wanted.unwrap_or(Chosen {
                published: self.zones.published(),
                picks: &[],
                picked: Picked::default(),
            })
        };
        let (v4, v6) = (hints(v4), hints(v6));
        Some((ends.with(Data::Svcb { record, v4, v6 }), first))
    }

    fn choose(
        &self,
        list: &'z mut Option<[Pick; MAX_ANSWERS]>,
        family: Option<Family>,
        count: Count,
        within: Within,
    ) -> Chosen<'z> {
        let published = self.zones.published();
        let list = list.insert([NO_PICK; MAX_ANSWERS]);
        let wanted = Wanted {
            family,
            at_most: count.at_most,
            at_least: count.at_least,
            within,
        };
        let picked = published.plan.pick_many_of(
            self.name.service,
            self.class.class,
            self.key,
            &published.bits,
            wanted,
            list,
        );
        Chosen {
            published,
            picks: &list[..picked.count()],
            picked,
        }
    }

    /// The policy's answer when nobody is left.
    fn fixed(&self, family: Family) -> Data<'z> {
        if self.name.fixed.is_empty() {
            Data::Nobody
        } else {
            Data::Fixed(&self.name.fixed, family)
        }
    }

    /// For how long and for whom: what the weakest of the lists of picks allows.
    fn ends(&self, within: Within, lists: &[&Chosen<'_>]) -> Ends {
        let all = |holds: fn(&Picked) -> bool| lists.iter().all(|list| holds(&list.picked));
        let merge = if all(|picked| picked.by_spread) {
            Merge::Spread
        } else {
            Merge::Route
        };
        let by_chance = !all(|picked| !picked.by_chance);
        let ttl_seconds = lists
            .iter()
            .map(|list| self.ttl_seconds(list, within))
            .min();
        Ends {
            ttl_seconds: ttl_seconds.unwrap_or(0),
            scope: self.scope(merge, if by_chance { self.key_bits } else { 0 }),
        }
    }

    /// For how long an answer is good: the name's TTL in quiet times; little while a stand-in answers
    /// or a region is on its way back; after a change as long as things have been quiet since.
    fn ttl_seconds(&self, chosen: &Chosen<'_>, within: Within) -> u32 {
        let (full, least) = (self.name.ttl_seconds, self.moment.failover_ttl_seconds);
        let at_home = match chosen.first().map(|pick| pick.reason) {
            Some(Reason::Best | Reason::Spread) => true,
            // The name stands for a region: that the client has a better one is no failure.
            Some(Reason::Failover) => matches!(within, Within::Region(_)),
            _ => false,
        };
        if !at_home || chosen.picked.ramping {
            return full.min(least);
        }
        let quiet = self
            .moment
            .now_unix_seconds
            .saturating_sub(chosen.picked.changed_unix_seconds);
        full.min(least.max(quiet))
    }

    /// For whom: see [`Client::scope`].
    fn scope(&self, merge: Merge, key_bits: u8) -> u8 {
        if !self.client.wants_scope() {
            return 0;
        }
        let classes = &self.zones.published().world.classes;
        let scopes = &self.zones.scopes;
        let (service, address) = (self.name.service, self.client.address);
        let same = scopes.prefix_len(service, merge, classes, address, self.class);
        self.client.scope(same, key_bits)
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
