//! What the YAML of a topology looks like. These types are read by the door, described by the
//! JSON Schema and documented by their comments (`docs/reference/topology.md` and the comments of
//! `meridian init` are made of them); `validate` turns them into the model.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::door::Field;
use crate::model::DnsName;

mod dns;
mod edge;
mod health;
mod multi_region;
mod region;
mod scalars;
mod service;
mod steered;
mod traffic;

pub use dns::{RawRecord, RawSoa, RawZone};
pub use edge::{RawDpdk, RawEdgeNode, RawInterface, RawSrIov};
pub use health::{RawCheck, RawDnsCheck, RawExecCheck, RawHttpCheck, RawTcpCheck};
pub use multi_region::{RawFailover, RawMultiRegion, RawNetwork, RawRegions, RawReplication};
pub use region::{RawClientGroup, RawCost, RawEndpoint, RawLocation, RawRegion};
pub use service::{
    RawAddresses, RawAnswer, RawCnameTarget, RawRetries, RawRoute, RawService, RawServiceDns,
    RawTcpListener, RawTimeouts, RawUdpListener, RawVip,
};
pub use steered::{RawSrv, RawSvcb, RawSvcbName};
pub use traffic::{
    RateEach, RawAbort, RawAffinity, RawClients, RawCompression, RawDelay, RawFault, RawHeader,
    RawHeaderRules, RawMatch, RawNamed, RawParameter, RawRateLimit, RawRedirect, RawRetryBudget,
    RawRewrite, RawTraffic, RawTrafficSplit, RawUpstreamTls,
};

/// What exists: regions with their endpoints, services, machines, DNS zones and known clients.
/// A deployment has one `topology.yaml`, or several files in `topology/` that are read as one.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Meridian topology", rename = "Topology")]
pub struct RawTopology {
    /// Places with endpoints.
    #[serde(default)]
    pub regions: Vec<RawRegion>,
    /// What clients ask for.
    #[serde(default)]
    pub services: Vec<RawService>,
    /// DNS zones that Meridian answers for.
    #[serde(default)]
    pub dns_zones: Vec<RawZone>,
    /// Zones that names of services may lie in although their records come from elsewhere: a zone
    /// file (`dns.zone_files` of `meridian.yaml`), or another primary.
    #[serde(default)]
    pub external_zones: Vec<Field<DnsName>>,
    /// Clients that you know better than any public database does.
    #[serde(default)]
    pub client_groups: Vec<RawClientGroup>,
    /// Your own machines.
    #[serde(default)]
    pub edge_nodes: Vec<RawEdgeNode>,
    /// Intentions over all regions. May stand here or in `meridian.yaml`.
    pub multi_region_config: Option<RawMultiRegion>,
}
