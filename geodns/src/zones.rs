//! Everything a question is answered from: the zone tree and the steered names of one plan.
//!
//! Made off the packet path whenever a plan is published ([`Zones::build`]) and immutable after
//! that; it holds the plan it was made from, so indices in it always fit.

use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, NS, SOA, TXT};
use hickory_proto::rr::{Name, RData};
use meridian_engine::Fallback;
use meridian_engine::plan::MAX_ANSWERS;
use meridian_live::Published;
use meridian_topology::{
    DnsAnswer, DnsName, DnsZone, Millis, RecordData, RegionIdx, Service, ServiceIdx,
};

use crate::metrics::{DnsMetrics, SteeredCounters};
use crate::zone::{SteeredIdx, ZoneError, ZoneTree, ZoneTreeBuilder, wire_name};

/// What a steered name is answered with.
#[derive(Debug)]
pub(crate) enum SteeredAnswer {
    /// Addresses of the picked endpoints.
    Addresses {
        /// At most this many, at least 1.
        at_most: usize,
        /// Which address families the service's endpoints have.
        families: Families,
    },
    /// A name per region, by [`RegionIdx`].
    Names(Box<[Option<Alias>]>),
}

/// The name that stands for a service in a region.
#[derive(Debug)]
pub(crate) struct Alias {
    /// The wire form; topology names are in lower case, so it serves for lookups too.
    pub(crate) target: Box<[u8]>,
}

/// Address families of a service's endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Families {
    V4,
    V6,
    Both,
}

/// A service as its names need it.
#[derive(Debug)]
pub(crate) struct SteeredName {
    pub(crate) service: ServiceIdx,
    pub(crate) ttl_seconds: u32,
    pub(crate) answer: SteeredAnswer,
    /// What the policy answers when nobody is left; empty when it answers nothing.
    pub(crate) fixed: Box<[IpAddr]>,
    pub(crate) counters: SteeredCounters,
}

/// The zones and steered names of one published plan.
#[derive(Debug)]
pub struct Zones {
    pub(crate) published: Arc<Published>,
    tree: ZoneTree,
    /// By [`SteeredIdx`].
    steered: Box<[SteeredName]>,
    problems: Vec<ZoneError>,
}

impl Zones {
    /// Builds the zones of a plan. `now_unix_seconds` becomes the serial of zones that name none.
    ///
    /// Never fails: what cannot be served is left out and listed in [`Zones::problems`].
    #[must_use]
    pub fn build(published: Arc<Published>, metrics: &DnsMetrics, now_unix_seconds: u64) -> Self {
        let topology = &published.world.topology;
        let mut builder = ZoneTreeBuilder::new();
        for zone in &topology.dns_zones {
            add_zone(&mut builder, zone, now_unix_seconds);
        }
        let mut steered = Vec::new();
        for service in &topology.services {
            add_service(&mut builder, &mut steered, &published, service, metrics);
        }
        let (tree, problems) = builder.build();
        Self {
            published,
            tree,
            steered: steered.into(),
            problems,
        }
    }

    /// What was left out, and why.
    #[must_use]
    pub fn problems(&self) -> &[ZoneError] {
        &self.problems
    }

    /// The names and records.
    #[must_use]
    pub fn tree(&self) -> &ZoneTree {
        &self.tree
    }

    /// The plan that steers.
    #[must_use]
    pub fn published(&self) -> &Arc<Published> {
        &self.published
    }

    /// The service behind a steered name.
    #[must_use]
    pub fn service_of(&self, steered: SteeredIdx) -> ServiceIdx {
        self.steered_name(steered).service
    }

    pub(crate) fn steered_name(&self, steered: SteeredIdx) -> &SteeredName {
        &self.steered[steered.0 as usize]
    }
}

fn add_zone(builder: &mut ZoneTreeBuilder, zone: &DnsZone, now_unix_seconds: u64) {
    let Some(origin) = parse(builder, &zone.origin) else {
        return;
    };
    let (Some(mname), Some(rname)) = (
        parse(builder, &zone.soa.mname),
        parse(builder, &zone.soa.rname),
    ) else {
        return;
    };
    // Serial arithmetic wraps by design (RFC 1982).
    let serial = zone.soa.serial.unwrap_or(now_unix_seconds as u32);
    let seconds = |time: Millis| i32::try_from(time.0 / 1000).unwrap_or(i32::MAX);
    let soa = SOA::new(
        mname,
        rname,
        serial,
        seconds(zone.soa.refresh),
        seconds(zone.soa.retry),
        seconds(zone.soa.expire),
        zone.soa.minimum.0,
    );
    builder.zone(&origin, zone.ttl.0, soa);
    for server in &zone.ns {
        if let Some(server) = parse(builder, server) {
            builder.record(&origin, zone.ttl.0, RData::NS(NS(server)));
        }
    }
    for record in &zone.records {
        if let (Some(name), Some(data)) =
            (parse(builder, &record.name), rdata(builder, &record.data))
        {
            builder.record(&name, record.ttl.0, data);
        }
    }
}

fn rdata(builder: &mut ZoneTreeBuilder, data: &RecordData) -> Option<RData> {
    Some(match data {
        RecordData::A(address) => RData::A(A(*address)),
        RecordData::Aaaa(address) => RData::AAAA(AAAA(*address)),
        RecordData::Cname(target) => RData::CNAME(CNAME(parse(builder, target)?)),
        RecordData::Txt(texts) => RData::TXT(TXT::new(texts.clone())),
        RecordData::Ns(server) => RData::NS(NS(parse(builder, server)?)),
        RecordData::Mx {
            preference,
            exchange,
        } => RData::MX(MX::new(*preference, parse(builder, exchange)?)),
    })
}

fn add_service(
    builder: &mut ZoneTreeBuilder,
    steered: &mut Vec<SteeredName>,
    published: &Published,
    service: &Service,
    metrics: &DnsMetrics,
) {
    let topology = &published.world.topology;
    let (Some(dns), Some(idx)) = (&service.dns, topology.service(&service.id)) else {
        return;
    };
    let answer = match &dns.answer {
        DnsAnswer::Addresses { at_most } => {
            let addresses = topology
                .endpoints_of(idx)
                .map(|(_, endpoint)| endpoint.address);
            // Either the service or its policy may ask for several.
            let at_most = usize::from(*at_most)
                .max(published.plan.answers(idx))
                .min(MAX_ANSWERS);
            SteeredAnswer::Addresses {
                at_most,
                families: Families::of(addresses),
            }
        }
        DnsAnswer::Cname { targets } => {
            let mut names: Vec<Option<Alias>> = topology.regions.iter().map(|_| None).collect();
            for (region, target) in targets {
                if let (Some(slot), Some(target)) =
                    (names.get_mut(region.index()), parse(builder, target))
                {
                    *slot = Some(Alias {
                        target: wire_name(&target),
                    });
                }
            }
            SteeredAnswer::Names(names.into())
        }
    };
    // A u32 of services would not fit into a ServiceIdx.
    let steered_idx = SteeredIdx(steered.len() as u32);
    let counters = metrics.steered(&service.id, topology);
    steered.push(SteeredName {
        service: idx,
        ttl_seconds: dns.ttl.0,
        answer,
        fixed: fixed_answer(published, idx),
        counters,
    });
    for name in &dns.names {
        if let Some(name) = parse(builder, name) {
            builder.steered(&name, steered_idx);
        }
    }
}

/// The static addresses of a service's policy that belong to no endpoint: an endpoint is answered
/// only by a pick, because only picks stay inside the compliance wall and pass over the dead.
fn fixed_answer(published: &Published, service: ServiceIdx) -> Box<[IpAddr]> {
    let Fallback::Static(addresses) = published.plan.fallback(service) else {
        return Box::default();
    };
    let endpoints = &published.world.topology.endpoints;
    let is_endpoint = |address: IpAddr| {
        endpoints
            .iter()
            .any(|endpoint| endpoint.address.to_canonical() == address.to_canonical())
    };
    let fixed = addresses.iter().copied();
    fixed.filter(|address| !is_endpoint(*address)).collect()
}

impl Families {
    /// An empty service counts as IPv4: it answers nothing in either family.
    fn of(mut addresses: impl Iterator<Item = IpAddr>) -> Self {
        let Some(first) = addresses.next() else {
            return Self::V4;
        };
        if addresses.any(|address| address.is_ipv4() != first.is_ipv4()) {
            Self::Both
        } else if first.is_ipv4() {
            Self::V4
        } else {
            Self::V6
        }
    }
}

impl SteeredAnswer {
    /// The name for a region.
    pub(crate) fn alias(&self, region: RegionIdx) -> Option<&Alias> {
        match self {
            Self::Names(names) => names.get(region.index())?.as_ref(),
            Self::Addresses { .. } => None,
        }
    }
}

/// A topology name as hickory-proto's; a failure is a problem of the zones.
fn parse(builder: &mut ZoneTreeBuilder, name: &DnsName) -> Option<Name> {
    let labels = name.labels().map(str::as_bytes);
    match Name::from_labels(labels) {
        Ok(name) => Some(name),
        Err(error) => {
            builder.problem(ZoneError::Name {
                text: name.to_string(),
                reason: error.to_string(),
            });
            None
        }
    }
}
