//! Our own machines.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::ids::{NodeId, RegionIdx, ZoneId};
use crate::units::{BitsPerSecond, RequestsPerSecond};
use crate::words;

words! {
    /// What a machine is for.
    NodeKind, "edge node type" {
        /// Everything: DNS, proxies, store, probes.
        Full = "full",
        /// Runs workloads.
        Compute = "compute",
        /// Keeps data: caches, objects, the replicated store.
        Storage = "storage",
        /// Moves packets: layer 4 balancing and anycast.
        Network = "network",
        /// Stands between networks: proxies and protocol translation.
        Gateway = "gateway",
        /// Runs models on accelerators.
        Ai = "ai",
    }
}

words! {
    /// What a machine can do.
    Capability, "capability" {
        /// Authoritative DNS.
        Dns = "dns",
        /// HTTP proxying.
        Http = "http",
        /// TCP and UDP proxying.
        Stream = "stream",
        /// TLS termination.
        Tls = "tls",
        /// Layer 4 packet balancing.
        L4 = "l4",
        /// Announcing addresses by BGP.
        Anycast = "anycast",
        /// Packet input and output by DPDK.
        Dpdk = "dpdk",
        /// Virtual functions of a network card.
        Sriov = "sriov",
        /// Packet input and output by AF_XDP.
        Xdp = "xdp",
        /// A member of the replicated store.
        Store = "store",
        /// Caching of responses.
        Cache = "cache",
        /// Health probing.
        Probe = "probe",
        /// General computing.
        Compute = "compute",
        /// Graphics processors.
        Gpu = "gpu",
        /// Model inference.
        Inference = "inference",
    }
}

/// An interface that DPDK drives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dpdk {
    /// The PCI address, `0000:3b:00.0`, or a virtual device such as `net_af_packet0`.
    pub device: String,
    /// Receive and transmit queues.
    pub queues: u16,
}

/// An interface that is split into virtual functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SrIov {
    /// How many.
    pub virtual_functions: u16,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its name in the kernel.
    pub name: String,
    /// Its line rate.
    pub speed: BitsPerSecond,
    /// Present when DPDK drives it.
    pub dpdk: Option<Dpdk>,
    /// Present when it is split.
    pub sriov: Option<SrIov>,
}

/// One of our own machines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EdgeNode {
    /// Its name.
    pub id: NodeId,
    /// The region it stands in.
    pub region: RegionIdx,
    /// The failure domain it stands in.
    pub zone: Option<ZoneId>,
    /// What it is for.
    pub kind: NodeKind,
    /// Its own address.
    pub address: Option<IpAddr>,
    /// What it can do, sorted.
    pub capabilities: Vec<Capability>,
    /// Its interfaces, sorted by name.
    pub interfaces: Vec<Interface>,
    /// What it can take; `None` is unlimited.
    pub capacity: Option<RequestsPerSecond>,
}
