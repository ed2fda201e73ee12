//! Edge nodes.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::door::Field;
use crate::ids::{NodeId, RegionId, ZoneId};
use crate::model::{Capability, NodeKind};
use crate::units::{BitsPerSecond, RequestsPerSecond};

/// One of your own machines.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "EdgeNode")]
pub struct RawEdgeNode {
    /// Its name, unique among machines.
    pub id: Field<NodeId>,
    /// The region it stands in.
    pub region: Field<RegionId>,
    /// What it is for.
    #[serde(rename = "type")]
    pub kind: Field<NodeKind>,
    /// One of the region's zones.
    pub zone: Option<Field<ZoneId>>,
    /// Its own address.
    pub address: Option<Field<IpAddr>>,
    /// What it can do.
    #[serde(default)]
    pub capabilities: Vec<Field<Capability>>,
    /// Its network interfaces.
    #[serde(default)]
    pub interfaces: Vec<RawInterface>,
    /// What it can take. Unlimited when absent.
    pub capacity: Option<Field<RequestsPerSecond>>,
}

/// A network interface.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Interface")]
pub struct RawInterface {
    /// Its name in the kernel.
    pub name: Field<String>,
    /// Its line rate.
    pub speed: Field<BitsPerSecond>,
    /// Present when DPDK drives it.
    pub dpdk: Option<RawDpdk>,
    /// Present when it is split into virtual functions.
    pub sriov: Option<RawSrIov>,
}

/// An interface that DPDK drives.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Dpdk")]
pub struct RawDpdk {
    /// The PCI address, `0000:3b:00.0`, or a virtual device such as `net_af_packet0`.
    pub device: Field<String>,
    /// Receive and transmit queues, 1 to 64. Default 1.
    pub queues: Option<Field<u16>>,
}

/// An interface that is split into virtual functions.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SrIov")]
pub struct RawSrIov {
    /// How many, 1 to 256.
    pub virtual_functions: Field<u16>,
}
