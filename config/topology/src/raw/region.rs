//! Regions, endpoints, client groups.

use std::net::IpAddr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;

use super::RawCheck;
use crate::country::CountryCode;
use crate::door::{Field, Spanned};
use crate::ids::{EndpointId, GroupId, Label, ProviderId, RegionId, ServiceId, ZoneId};
use crate::units::{RequestsPerSecond, UsdPerGib, UsdPerMillionRequests, Weight};

/// A place with endpoints.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Region")]
pub struct RawRegion {
    /// Its name, unique among regions: lower-case letters, digits, `-`, `_`, `.`.
    pub id: Field<RegionId>,
    /// Where it is and who runs it.
    pub location: RawLocation,
    /// Failure domains inside the region. Endpoints name one of them.
    #[serde(default)]
    pub zones: Vec<Field<ZoneId>>,
    /// What the region may be used for: labels that policies ask for with
    /// `compliance: { require: [...] }`. Its endpoints inherit them.
    #[serde(default)]
    pub compliance: Vec<Field<Label>>,
    /// What all endpoints of the region together can take. Unlimited when absent.
    pub capacity: Option<Field<RequestsPerSecond>>,
    /// What serving from the region costs. Free when absent.
    pub cost: Option<RawCost>,
    /// Failover order: lower is taken first, equal ones share. Default 0, or the region's place
    /// in `multi_region_config.regions` when that block is there.
    pub priority: Option<Field<u8>>,
    /// `true`: no new clients, old ones finish. Default `false`.
    pub drain: Option<Field<bool>>,
    /// The addresses that serve here.
    #[serde(default)]
    pub endpoints: Vec<RawEndpoint>,
}

/// Where a region is and who runs it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Location")]
pub struct RawLocation {
    /// The provider's own name of the region. Default: the region's id.
    pub region: Option<Field<String>>,
    /// The zone that the region's own services stand in.
    pub zone: Option<Field<ZoneId>>,
    /// The country, by its two letters (ISO 3166-1). Compliance rules go by it.
    pub country: Field<CountryCode>,
    /// Degrees north of the equator, -90 to 90.
    pub latitude: Field<f64>,
    /// Degrees east of Greenwich, -180 to 180.
    pub longitude: Field<f64>,
    /// Who runs it: `aws`, `gcp`, `azure` or a name of your own.
    pub provider: Field<ProviderId>,
}

/// What serving costs.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Cost")]
pub struct RawCost {
    /// The price of a gibibyte sent to clients. Default free.
    pub egress: Option<Field<UsdPerGib>>,
    /// The price of a million requests. Default free.
    pub request: Option<Field<UsdPerMillionRequests>>,
}

/// An address that serves services.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Endpoint")]
pub struct RawEndpoint {
    /// Its name, unique among all endpoints.
    pub id: Field<EndpointId>,
    /// Its address. DNS answers hand it to clients, proxies connect to it.
    pub address: Field<IpAddr>,
    /// The port that proxies and checks connect to.
    pub port: Field<u16>,
    /// The services that it serves; at least one.
    pub services: Vec<Field<ServiceId>>,
    /// One of the region's zones.
    pub zone: Option<Field<ZoneId>>,
    /// Its share of its pool's clients, 0 to 10000; 0 takes no new ones. Default 100.
    pub weight: Option<Field<Weight>>,
    /// What it can take. Unlimited when absent.
    pub capacity: Option<Field<RequestsPerSecond>>,
    /// Its own price. Default: the region's.
    pub cost: Option<RawCost>,
    /// Labels beside those of the region.
    #[serde(default)]
    pub compliance: Vec<Field<Label>>,
    /// `true`: no new clients, old ones finish. Default `false`.
    pub drain: Option<Field<bool>>,
    /// Its own health checks. When there are any, those of its services do not apply to it.
    #[serde(default)]
    pub health_checks: Vec<Spanned<RawCheck>>,
}

/// Clients that you know better than any public database does.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ClientGroup")]
pub struct RawClientGroup {
    /// Its name. Policies write `group:NAME`.
    pub id: Field<GroupId>,
    /// Their addresses. The most specific network of all groups wins.
    pub cidrs: Vec<Field<IpNet>>,
    /// The country they count as.
    pub country: Option<Field<CountryCode>>,
    /// Where they are, in degrees north; together with `longitude`.
    pub latitude: Option<Field<f64>>,
    /// Where they are, in degrees east; together with `latitude`.
    pub longitude: Option<Field<f64>>,
    /// Their autonomous system number.
    pub asn: Option<Field<u32>>,
    /// Their provider, when they stand in a cloud.
    pub provider: Option<Field<ProviderId>>,
    /// The region they stand in, when they are your own.
    pub region: Option<Field<RegionId>>,
}
