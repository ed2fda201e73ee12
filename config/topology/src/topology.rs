//! [`Topology`]: everything that exists, sorted, with look-ups by name.

use serde::{Deserialize, Serialize};

use crate::ids::{
    EndpointId, EndpointIdx, GroupId, NodeId, RegionId, RegionIdx, ServiceId, ServiceIdx,
};
use crate::model::{
    ClientGroup, DnsName, DnsZone, EdgeNode, Endpoint, HealthCheck, MultiRegion, Region, Service,
};

/// Everything that exists. Vectors are sorted by id, endpoints by region and id, so that two
/// topologies of the same content are equal and indices do not depend on the order of files.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Topology {
    /// Places with endpoints.
    pub regions: Vec<Region>,
    /// Addresses that serve.
    pub endpoints: Vec<Endpoint>,
    /// What clients ask for.
    pub services: Vec<Service>,
    /// Our own machines.
    pub edge_nodes: Vec<EdgeNode>,
    /// Clients the operator names.
    pub client_groups: Vec<ClientGroup>,
    /// Zones we answer for.
    pub dns_zones: Vec<DnsZone>,
    /// Zones that names of services lie in and whose records come from elsewhere.
    #[serde(default)]
    pub external_zones: Vec<DnsName>,
    /// Intentions over all regions.
    pub multi_region: Option<MultiRegion>,
}

impl Topology {
    /// The position of a region.
    #[must_use]
    pub fn region(&self, id: &RegionId) -> Option<RegionIdx> {
        let at = self.regions.binary_search_by(|r| r.id.cmp(id)).ok()?;
        RegionIdx::from_index(at)
    }

    /// The position of a service.
    #[must_use]
    pub fn service(&self, id: &ServiceId) -> Option<ServiceIdx> {
        let at = self.services.binary_search_by(|s| s.id.cmp(id)).ok()?;
        ServiceIdx::from_index(at)
    }

    /// The position of an endpoint. Endpoints are sorted by region first: one binary search in
    /// each region until it is found.
    #[must_use]
    pub fn endpoint(&self, id: &EndpointId) -> Option<EndpointIdx> {
        let mut rest = self.endpoints.as_slice();
        while let Some(first) = rest.first() {
            let begin = self.endpoints.len() - rest.len();
            let (region, others) =
                rest.split_at(rest.partition_point(|e| e.region == first.region));
            if let Ok(at) = region.binary_search_by(|e| e.id.cmp(id)) {
                return EndpointIdx::from_index(begin + at);
            }
            rest = others;
        }
        None
    }

    /// A machine by its name.
    #[must_use]
    pub fn edge_node(&self, id: &NodeId) -> Option<&EdgeNode> {
        let at = self.edge_nodes.binary_search_by(|n| n.id.cmp(id)).ok()?;
        self.edge_nodes.get(at)
    }

    /// A client group by its name.
    #[must_use]
    pub fn client_group(&self, id: &GroupId) -> Option<&ClientGroup> {
        let at = self.client_groups.binary_search_by(|g| g.id.cmp(id)).ok()?;
        self.client_groups.get(at)
    }

    /// The most specific zone that a name lies in.
    #[must_use]
    pub fn zone_of(&self, name: &DnsName) -> Option<&DnsZone> {
        self.dns_zones
            .iter()
            .filter(|zone| name.is_within(&zone.origin))
            .max_by_key(|zone| zone.origin.as_str().len())
    }

    /// The endpoints of a region with their positions.
    pub fn endpoints_in(
        &self,
        region: RegionIdx,
    ) -> impl Iterator<Item = (EndpointIdx, &Endpoint)> + '_ {
        let start = self.endpoints.partition_point(|e| e.region < region);
        (start..self.endpoints.len())
            .zip(&self.endpoints[start..])
            .take_while(move |(_, endpoint)| endpoint.region == region)
            .filter_map(|(at, endpoint)| Some((EndpointIdx::from_index(at)?, endpoint)))
    }

    /// The endpoints that serve a service with their positions.
    pub fn endpoints_of(
        &self,
        service: ServiceIdx,
    ) -> impl Iterator<Item = (EndpointIdx, &Endpoint)> + '_ {
        self.endpoints
            .iter()
            .enumerate()
            .filter(move |(_, endpoint)| endpoint.services.binary_search(&service).is_ok())
            .filter_map(|(at, endpoint)| Some((EndpointIdx::from_index(at)?, endpoint)))
    }

    /// The active checks of an endpoint: its own, else those of its services. A service of
    /// `None` means that the check judges the endpoint as a whole.
    pub fn checks<'t>(
        &'t self,
        endpoint: &'t Endpoint,
    ) -> impl Iterator<Item = (Option<ServiceIdx>, &'t HealthCheck)> + 't {
        let own = endpoint.health_checks.iter().map(|check| (None, check));
        let inherited = endpoint
            .services
            .iter()
            .filter(|_| endpoint.health_checks.is_empty())
            .filter_map(|idx| Some((*idx, self.services.get(idx.index())?)))
            .flat_map(|(idx, service)| {
                service
                    .health_checks
                    .iter()
                    .map(move |check| (Some(idx), check))
            });
        own.chain(inherited)
    }
}
