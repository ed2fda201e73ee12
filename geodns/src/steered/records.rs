//! SRV (RFC 2782) and SVCB or HTTPS (RFC 9460), as far as picks do not decide what they say.

use std::net::IpAddr;

use meridian_engine::Pick;
use meridian_engine::plan::Within;
use meridian_live::Published;
use meridian_topology::{DnsName, EndpointIdx, RegionIdx, ServiceDns, SrvName, SrvTarget};

use super::{Count, Layer, Own, SteeredAnswer};
use crate::zone::{ZoneError, ZoneSetBuilder};
use crate::zones::wire_name;

/// The keys of parameters (RFC 9460 section 14.3.2), which stand in this order.
const KEY_ALPN: u16 = 1;
const KEY_PORT: u16 = 3;
/// IPv4 hints.
pub(crate) const KEY_IPV4HINT: u16 = 4;
const KEY_ECH: u16 = 5;
/// IPv6 hints.
pub(crate) const KEY_IPV6HINT: u16 = 6;

/// What a name says to SRV.
#[derive(Debug)]
pub(crate) struct Srv {
    targets: Targets,
    /// The port to say instead of the endpoints' own.
    port: Option<u16>,
    priority: u16,
    pub(crate) count: Count,
}

/// The names that records lead to.
#[derive(Debug)]
enum Targets {
    /// By endpoint, sorted.
    Endpoints(Box<[(EndpointIdx, Target)]>),
    /// By region.
    Regions(Box<[Option<Target>]>),
}

#[derive(Debug)]
struct Target {
    name: Box<[u8]>,
    weight: u16,
}

/// One record, as it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SrvRecord<'z> {
    pub(crate) priority: u16,
    pub(crate) weight: u16,
    pub(crate) port: u16,
    pub(crate) target: &'z [u8],
    /// The target's address, when it has one alone.
    pub(crate) address: Option<IpAddr>,
}

impl Srv {
    /// From which regions picks are taken.
    pub(crate) fn within(&self) -> Within {
        match self.targets {
            Targets::Endpoints(_) => Within::Route,
            Targets::Regions(_) => Within::EachRegion,
        }
    }

    /// The record of a pick that is from the `place`-th region of stand-ins, 0 for those that share
    /// the clients; `None` for an endpoint that the topology does not know.
    pub(crate) fn record<'z>(
        &'z self,
        published: &Published,
        pick: &Pick,
        place: u16,
    ) -> Option<SrvRecord<'z>> {
        let endpoint = published
            .world
            .topology
            .endpoints
            .get(pick.endpoint.index())?;
        let (target, address) = match &self.targets {
            Targets::Endpoints(list) => {
                let at = list.binary_search_by_key(&pick.endpoint, |(endpoint, _)| *endpoint);
                (&list.get(at.ok()?)?.1, Some(endpoint.address))
            }
            Targets::Regions(list) => (list.get(pick.region.index())?.as_ref()?, None),
        };
        Some(SrvRecord {
            priority: self.priority.saturating_add(place),
            weight: target.weight,
            port: self.port.unwrap_or(endpoint.port),
            target: &target.name,
            address,
        })
    }
}

/// What a name says to HTTPS or SVCB.
#[derive(Debug)]
pub(crate) struct Svcb {
    /// Priority, target, and the parameters that stand before the hints.
    pub(crate) head: Box<[u8]>,
    /// The parameter between IPv4 and IPv6 hints; empty when there is none.
    pub(crate) ech: Box<[u8]>,
    /// How many addresses of each family are given as hints.
    pub(crate) hints: usize,
}

impl Svcb {
    /// Encodes all that picks do not decide.
    pub(super) fn encode(record: &meridian_topology::Svcb) -> Self {
        let target = match &record.target {
            Some(target) => wire_name(target),
            // "." stands for the owner (RFC 9460 section 2.5.2).
            None => Box::from([0]),
        };
        let mut head = record.priority.to_be_bytes().to_vec();
        head.extend_from_slice(&target);
        if !record.alpn.is_empty() {
            let mut ids = Vec::new();
            for id in &record.alpn {
                // At most 255 bytes: the topology's door has looked.
                ids.push(id.len() as u8);
                ids.extend_from_slice(id.as_bytes());
            }
            parameter(&mut head, KEY_ALPN, &ids);
        }
        if let Some(port) = record.port {
            parameter(&mut head, KEY_PORT, &port.to_be_bytes());
        }
        let mut ech = Vec::new();
        if !record.ech.is_empty() {
            parameter(&mut ech, KEY_ECH, &record.ech);
        }
        Self {
            head: head.into(),
            ech: ech.into(),
            hints: usize::from(record.hints),
        }
    }
}

fn parameter(to: &mut Vec<u8>, key: u16, value: &[u8]) {
    to.extend_from_slice(&key.to_be_bytes());
    // At most 8 × 256 bytes of protocols, or 1,024 of a configuration.
    to.extend_from_slice(&(value.len() as u16).to_be_bytes());
    to.extend_from_slice(value);
}

impl Layer<'_> {
    /// Adds a name that answers SRV, and the names that its records lead to.
    pub(super) fn srv(&mut self, builder: &mut ZoneSetBuilder, own: &Own, srv: &SrvName) {
        let targets = match srv.per {
            SrvTarget::Endpoint => self.endpoint_targets(builder, own, &srv.targets),
            SrvTarget::Region => self.region_targets(builder, own, &srv.targets),
        };
        let at_least = srv.at_least.unwrap_or(srv.at_most);
        let answer = SteeredAnswer::Srv(Srv {
            targets,
            port: srv.port,
            priority: srv.priority,
            count: Count {
                at_most: usize::from(srv.at_most),
                at_least: usize::from(at_least),
            },
        });
        let steered = self.push(own, answer, Box::default());
        builder.steered(&wire_name(&srv.name), steered);
    }

    /// A name for each endpoint, with its address.
    fn endpoint_targets(
        &mut self,
        builder: &mut ZoneSetBuilder,
        own: &Own,
        below: &DnsName,
    ) -> Targets {
        let mut targets = Vec::new();
        for (at, endpoint) in self.endpoints(own.idx) {
            let Some(name) = below_name(builder, endpoint.id.as_str(), below) else {
                continue;
            };
            if self.targets.insert((None, name.clone())) {
                let answer = SteeredAnswer::Endpoint(endpoint.address);
                let steered = self.push(own, answer, Box::default());
                builder.steered(&name, steered);
            }
            let weight = endpoint.weight.0;
            targets.push((at, Target { name, weight }));
        }
        targets.sort_by_key(|(at, _)| *at);
        Targets::Endpoints(targets.into())
    }

    /// A name for each region that serves, with addresses picked there.
    fn region_targets(
        &mut self,
        builder: &mut ZoneSetBuilder,
        own: &Own,
        below: &DnsName,
    ) -> Targets {
        let regions = &self.published.world.topology.regions;
        let mut targets: Vec<Option<Target>> = regions.iter().map(|_| None).collect();
        let mut weights = vec![0_u32; regions.len()];
        for (_, endpoint) in self.endpoints(own.idx) {
            weights[endpoint.region.index()] += u32::from(endpoint.weight.0);
        }
        for (at, region) in regions.iter().enumerate() {
            let Some(region_idx) = RegionIdx::from_index(at).filter(|_| weights[at] > 0) else {
                continue;
            };
            let Some(name) = below_name(builder, region.id.as_str(), below) else {
                continue;
            };
            if self.targets.insert((Some(own.idx), name.clone())) {
                let answer = SteeredAnswer::Addresses {
                    count: self.count(own.idx, ServiceDns::MAX_ADDRESSES, None),
                    families: self.families(own.idx),
                    within: Within::Region(region_idx),
                    https: None,
                };
                let steered = self.push(own, answer, Box::default());
                builder.steered(&name, steered);
            }
            targets[at] = Some(Target {
                name,
                weight: u16::try_from(weights[at]).unwrap_or(u16::MAX),
            });
        }
        Targets::Regions(targets.into())
    }
}

/// The name one label below another.
fn below_name(builder: &mut ZoneSetBuilder, id: &str, below: &DnsName) -> Option<Box<[u8]>> {
    let text = format!("{id}.{below}");
    match text.parse::<DnsName>() {
        Ok(name) => Some(wire_name(&name)),
        Err(error) => {
            builder.problem(ZoneError::Target {
                text,
                reason: error.to_string(),
            });
            None
        }
    }
}
