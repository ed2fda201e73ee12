//! Regions, the endpoints in them, and groups of clients.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::HealthCheck;
use crate::country::CountryCode;
use crate::geo::Coordinates;
use crate::ids::{EndpointId, GroupId, Label, ProviderId, RegionId, RegionIdx, ServiceIdx, ZoneId};
use crate::units::{RequestsPerSecond, UsdPerGib, UsdPerMillionRequests, Weight};
use crate::words;

words! {
    /// Whether something takes new clients.
    Drain, "drain state" {
        /// It serves.
        Serving = "serving",
        /// It takes no new clients; old ones finish.
        Draining = "draining",
    }, default Serving
}

impl Drain {
    /// Whether new clients stay away.
    #[must_use]
    pub const fn is_draining(self) -> bool {
        matches!(self, Self::Draining)
    }
}

/// Where a region is, and who runs it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Location {
    /// The provider's own name of the region, or the place's.
    pub region: String,
    /// The zone that the region's own services stand in, if one is named.
    pub zone: Option<ZoneId>,
    /// The country, which compliance rules go by.
    pub country: CountryCode,
    /// The point that distances are measured from.
    pub coordinates: Coordinates,
    /// Who runs it.
    pub provider: ProviderId,
}

/// What serving from here costs.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Cost {
    /// A gibibyte sent to clients.
    pub egress: UsdPerGib,
    /// A million requests served.
    pub request: UsdPerMillionRequests,
}

/// A place with endpoints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Region {
    /// Its name.
    pub id: RegionId,
    /// Where it is.
    pub location: Location,
    /// Its failure domains, sorted. Empty when it has only one.
    pub zones: Vec<ZoneId>,
    /// What it may be used for, sorted: labels that policies ask for.
    pub compliance: Vec<Label>,
    /// What all its endpoints together can take; `None` is unlimited.
    pub capacity: Option<RequestsPerSecond>,
    /// What serving from it costs.
    pub cost: Cost,
    /// Failover order: lower is taken first; equal ones share.
    pub priority: u8,
    /// Whether the whole region takes new clients.
    pub drain: Drain,
}

/// An address that serves services.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its name, unique in the whole topology.
    pub id: EndpointId,
    /// The region it stands in.
    pub region: RegionIdx,
    /// The failure domain it stands in.
    pub zone: Option<ZoneId>,
    /// Its address; DNS answers hand it to clients.
    pub address: IpAddr,
    /// The port that proxies connect to.
    pub port: u16,
    /// What it serves, sorted.
    pub services: Vec<ServiceIdx>,
    /// Its share of its pool's clients.
    pub weight: Weight,
    /// What it can take; `None` is unlimited.
    pub capacity: Option<RequestsPerSecond>,
    /// Its own price where it differs from the region's.
    pub cost: Option<Cost>,
    /// Labels of the region and its own, sorted.
    pub compliance: Vec<Label>,
    /// Whether it takes new clients.
    pub drain: Drain,
    /// Its own checks. Empty: those of its services apply
    /// (see [`Topology::checks`](crate::Topology::checks)).
    pub health_checks: Vec<HealthCheck>,
}

impl Endpoint {
    /// Address and port together.
    #[must_use]
    pub const fn socket_addr(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }
}

/// Clients that the operator knows better than any public database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClientGroup {
    /// Its name; policies write `group:NAME`.
    pub id: GroupId,
    /// Their addresses.
    pub cidrs: Vec<IpNet>,
    /// The country they count as.
    pub country: Option<CountryCode>,
    /// Where they are.
    pub coordinates: Option<Coordinates>,
    /// Their autonomous system.
    pub asn: Option<u32>,
    /// Their provider.
    pub provider: Option<ProviderId>,
    /// The region they stand in, when they are our own.
    pub region: Option<RegionIdx>,
}
