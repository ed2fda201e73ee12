//! Steered names: what a service answers at each of its names, prepared when a plan is published.
//!
//! A service appears as its names (addresses or a CNAME, and HTTPS beside addresses), as names that
//! answer SRV, as names that answer SVCB, and as the targets of its SRV records. Whatever does not
//! depend on a pick is encoded here, once; what does is written by the packet path
//! (`responder/steer.rs`).

mod records;

use std::cell::OnceCell;
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use meridian_engine::plan::{MAX_ANSWERS, Within};
use meridian_engine::{Fallback, Family};
use meridian_live::Published;
use meridian_topology::{
    DnsAnswer, Endpoint, EndpointIdx, RegionIdx, Service, ServiceDns, ServiceIdx, Topology,
};

use crate::metrics::{DnsMetrics, SteeredCounters};
use crate::wire::RType;
use crate::zone::{SteeredIdx, ZoneSetBuilder};
use crate::zones::wire_name;

pub(crate) use records::{KEY_IPV4HINT, KEY_IPV6HINT, Srv, SrvRecord, Svcb};

/// What a steered name is answered with.
#[derive(Debug)]
pub(crate) enum SteeredAnswer {
    /// Addresses of the picked endpoints.
    Addresses {
        /// How many of them.
        count: Count,
        /// Which address families the service's endpoints have.
        families: Families,
        /// From which regions: all, or the one that the name stands for.
        within: Within,
        /// What the name says to HTTPS.
        https: Option<Box<Svcb>>,
    },
    /// A name per region, by [`RegionIdx`].
    Names(Box<[Option<Alias>]>),
    /// The address of one endpoint, whoever asks: a target of SRV records.
    Endpoint(IpAddr),
    /// SRV records of the picked endpoints.
    Srv(Srv),
    /// An SVCB record with hints of the picked endpoints.
    Svcb {
        /// What it says.
        record: Box<Svcb>,
        /// Which address families the service's endpoints have.
        families: Families,
    },
}

/// How many picks an answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    /// At most this many, at least 1.
    pub(crate) at_most: usize,
    /// While there are fewer, other regions join.
    pub(crate) at_least: usize,
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

/// A service as one of its names needs it.
#[derive(Debug)]
pub(crate) struct SteeredName {
    pub(crate) service: ServiceIdx,
    pub(crate) ttl_seconds: u32,
    pub(crate) answer: SteeredAnswer,
    /// What the policy answers when nobody is left; empty when it answers nothing.
    pub(crate) fixed: Box<[IpAddr]>,
    pub(crate) counters: SteeredCounters,
}

impl SteeredName {
    /// Looks at every line of memory that this takes.
    pub(crate) fn touch(&self) -> usize {
        let first = self.ttl_seconds as usize ^ self.fixed.len();
        first ^ usize::from(matches!(self.answer, SteeredAnswer::Names(_)))
    }
}

/// What all names of one service have in common.
struct Own {
    idx: ServiceIdx,
    ttl_seconds: u32,
    counters: SteeredCounters,
}

/// What the topology knows of all services, found in one pass over it: with ten thousand services and as
/// many endpoints, a pass for each service takes seconds.
pub(crate) struct Served {
    /// For each service, where its endpoints begin; one more at the end.
    first: Vec<u32>,
    endpoints: Vec<EndpointIdx>,
    /// Every endpoint's address, once a static answer needs them.
    addresses: OnceCell<HashSet<IpAddr>>,
    /// The regions by name: the columns of counters.
    regions: Arc<[String]>,
}

impl Served {
    pub(crate) fn of(topology: &Topology) -> Self {
        let mut first = vec![0_u32; topology.services.len() + 1];
        for service in topology.endpoints.iter().flat_map(|it| &it.services) {
            first[service.index() + 1] += 1;
        }
        for at in 1..first.len() {
            first[at] += first[at - 1];
        }
        let mut next = first.clone();
        let mut endpoints = vec![EndpointIdx(0); first[first.len() - 1] as usize];
        for (at, endpoint) in topology.endpoints.iter().enumerate() {
            for service in &endpoint.services {
                let slot = &mut next[service.index()];
                endpoints[*slot as usize] = EndpointIdx(at as u32);
                *slot += 1;
            }
        }
        let regions = topology.regions.iter();
        Self {
            first,
            endpoints,
            addresses: OnceCell::new(),
            regions: regions.map(|region| region.id.to_string()).collect(),
        }
    }

    fn is_endpoint(&self, topology: &Topology, address: IpAddr) -> bool {
        let addresses = self.addresses.get_or_init(|| {
            let addresses = topology.endpoints.iter().map(|it| it.address);
            addresses.map(|address| address.to_canonical()).collect()
        });
        addresses.contains(&address.to_canonical())
    }
}

/// Lays the names of services over the zones.
pub(crate) struct Layer<'a> {
    published: &'a Published,
    served: &'a Served,
    metrics: &'a DnsMetrics,
    steered: Vec<SteeredName>,
    /// Names that are targets of SRV records, so that each is laid once: an endpoint's is the same for
    /// all services, a region's is one service's.
    targets: HashSet<(Option<ServiceIdx>, Box<[u8]>)>,
}

impl<'a> Layer<'a> {
    pub(crate) fn new(
        published: &'a Published,
        served: &'a Served,
        metrics: &'a DnsMetrics,
    ) -> Self {
        Self {
            published,
            served,
            metrics,
            steered: Vec::new(),
            targets: HashSet::new(),
        }
    }

    /// Every steered name so far, by [`SteeredIdx`].
    pub(crate) fn finish(self) -> Box<[SteeredName]> {
        self.steered.into()
    }

    /// Adds all names of a service.
    pub(crate) fn service(&mut self, builder: &mut ZoneSetBuilder, service: &Service) {
        let topology = &self.published.world.topology;
        let (Some(dns), Some(idx)) = (&service.dns, topology.service(&service.id)) else {
            return;
        };
        let fixed = self.fixed_answer(idx);
        let answer = self.answer(dns, idx);
        let counters = self.metrics.steered(&service.id, &self.served.regions);
        let own = Own {
            idx,
            ttl_seconds: dns.ttl.0,
            counters,
        };
        let names = self.push(&own, answer, fixed);
        for name in &dns.names {
            builder.steered(&wire_name(name), names);
        }
        for srv in &dns.srv {
            self.srv(builder, &own, srv);
        }
        for svcb in &dns.svcb {
            let answer = SteeredAnswer::Svcb {
                record: Box::new(Svcb::encode(&svcb.record)),
                families: self.families(idx),
            };
            let steered = self.push(&own, answer, Box::default());
            builder.steered(&wire_name(&svcb.name), steered);
        }
    }

    fn push(&mut self, own: &Own, answer: SteeredAnswer, fixed: Box<[IpAddr]>) -> SteeredIdx {
        self.steered.push(SteeredName {
            service: own.idx,
            ttl_seconds: own.ttl_seconds,
            answer,
            fixed,
            counters: own.counters.clone(),
        });
        // A service has far fewer names than a u32 counts.
        SteeredIdx(self.steered.len() as u32 - 1)
    }

    fn answer(&self, dns: &ServiceDns, service: ServiceIdx) -> SteeredAnswer {
        let regions = &self.published.world.topology.regions;
        match &dns.answer {
            DnsAnswer::Addresses { at_most, at_least } => SteeredAnswer::Addresses {
                count: self.count(service, *at_most, *at_least),
                families: self.families(service),
                within: Within::Route,
                https: dns
                    .https
                    .as_ref()
                    .map(|https| Box::new(Svcb::encode(https))),
            },
            DnsAnswer::Cname { targets } => {
                let mut names: Vec<Option<Alias>> = regions.iter().map(|_| None).collect();
                for (region, target) in targets {
                    if let Some(slot) = names.get_mut(region.index()) {
                        *slot = Some(Alias {
                            target: wire_name(target),
                        });
                    }
                }
                SteeredAnswer::Names(names.into())
            }
        }
    }

    /// Either the service or its policy may ask for several: the larger number counts.
    fn count(&self, service: ServiceIdx, at_most: u8, at_least: Option<u8>) -> Count {
        let plan = &self.published.plan;
        let at_most = usize::from(at_most)
            .max(plan.answers(service))
            .min(MAX_ANSWERS);
        let own = at_least.map(usize::from);
        let at_least = own.max(plan.answers_at_least(service)).unwrap_or(at_most);
        Count {
            at_most,
            at_least: at_least.min(at_most),
        }
    }

    fn families(&self, service: ServiceIdx) -> Families {
        Families::of(
            self.endpoints(service)
                .map(|(_, endpoint)| endpoint.address),
        )
    }

    fn endpoints(
        &self,
        service: ServiceIdx,
    ) -> impl Iterator<Item = (EndpointIdx, &'a Endpoint)> + use<'a> {
        let (served, all) = (self.served, &self.published.world.topology.endpoints);
        let (first, end) = (
            served.first[service.index()] as usize,
            served.first[service.index() + 1] as usize,
        );
        let own = &served.endpoints[first..end];
        own.iter().map(|at| (*at, &all[at.index()]))
    }

    /// The static addresses of a service's policy that belong to no endpoint: an endpoint is answered
    /// only by a pick, because only picks stay inside the compliance wall and pass over the dead.
    fn fixed_answer(&self, service: ServiceIdx) -> Box<[IpAddr]> {
        let Fallback::Static(addresses) = self.published.plan.fallback(service) else {
            return Box::default();
        };
        let topology = &self.published.world.topology;
        let fixed = addresses.iter().copied();
        fixed
            .filter(|address| !self.served.is_endpoint(topology, *address))
            .collect()
    }
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

    /// Which picks to ask for so that all are of a family: `None` when the service has none of it,
    /// else the filter, if one is needed.
    pub(crate) fn filter(self, family: Family) -> Option<Option<Family>> {
        match (self, family) {
            (Self::Both, _) => Some(Some(family)),
            (Self::V4, Family::V4) | (Self::V6, Family::V6) => Some(None),
            _ => None,
        }
    }
}

impl SteeredAnswer {
    /// The names that it may lead to.
    pub(crate) fn alias_targets(&self) -> impl Iterator<Item = &[u8]> {
        let aliases = match self {
            Self::Names(aliases) => &aliases[..],
            _ => &[],
        };
        aliases.iter().flatten().map(|alias| &*alias.target)
    }

    /// The type to steer for, or `None` when the question is for the name's static records.
    pub(crate) fn steered_type(&self, rtype: RType) -> Option<RType> {
        match self {
            Self::Addresses { families, .. } if rtype == RType::ANY => {
                Some(if *families == Families::V6 {
                    RType::AAAA
                } else {
                    RType::A
                })
            }
            Self::Addresses { https, .. } => match rtype {
                RType::A | RType::AAAA => Some(rtype),
                RType::HTTPS => https.is_some().then_some(rtype),
                _ => None,
            },
            Self::Endpoint(address) => {
                let own = match address {
                    IpAddr::V4(_) => RType::A,
                    IpAddr::V6(_) => RType::AAAA,
                };
                (rtype == own || rtype == RType::ANY).then_some(own)
            }
            // A CNAME stands for every type.
            Self::Names(_) => Some(rtype),
            Self::Srv(_) => matches!(rtype, RType::SRV | RType::ANY).then_some(RType::SRV),
            Self::Svcb { .. } => matches!(rtype, RType::SVCB | RType::ANY).then_some(RType::SVCB),
        }
    }

    /// The name for a region.
    pub(crate) fn alias(&self, region: RegionIdx) -> Option<&Alias> {
        match self {
            Self::Names(names) => names.get(region.index())?.as_ref(),
            _ => None,
        }
    }
}
