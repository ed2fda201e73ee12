//! The `multi_region_config` block: a deployment's intentions over all regions.

use serde::{Deserialize, Serialize};

use crate::ids::RegionIdx;
use crate::units::{BitsPerSecond, Millis};
use crate::words;

words! {
    /// How current a read of the replicated store must be.
    ConsistencyModel, "consistency model" {
        /// Reads see every acknowledged write (linearizable).
        Strong = "strong",
        /// Reads see a point of the past that never goes back.
        Bounded = "bounded_staleness",
        /// A writer sees its own writes.
        Session = "session",
        /// Reads may be old.
        Eventual = "eventual",
    }
}

words! {
    /// Who passes changes to whom.
    ReplicationTopology, "replication topology" {
        /// Everyone to everyone.
        Mesh = "mesh",
        /// From the primary to all others.
        Star = "star",
        /// From the primary to secondaries, from these to edge regions.
        Tree = "tree",
    }
}

words! {
    /// Who moves clients away from a failed endpoint.
    FailoverMode, "failover mode" {
        /// Probes and passive reports do.
        Automatic = "automatic",
        /// Only `meridian drain` does.
        Manual = "manual",
    }
}

words! {
    /// On or off, for features of machines.
    Switch, "switch" {
        /// Wanted.
        On = "on",
        /// Not wanted.
        Off = "off",
    }
}

impl From<bool> for Switch {
    fn from(on: bool) -> Self {
        if on { Self::On } else { Self::Off }
    }
}

/// How the store is replicated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replication {
    /// How current reads are.
    pub consistency_model: ConsistencyModel,
    /// Fewer members than this raise an alarm.
    pub min_replicas: u8,
    /// More members than this are refused.
    pub max_replicas: u8,
    /// Who passes changes to whom.
    pub topology: ReplicationTopology,
}

/// What the network between regions offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Packet processing by DPDK on nodes that can.
    pub dpdk: Switch,
    /// Virtual functions on nodes that can.
    pub sriov: Switch,
    /// What one node may send.
    pub bandwidth_limit: Option<BitsPerSecond>,
    /// The round trip to other replicas that writers count on.
    pub latency_target: Option<Millis>,
}

/// What happens when a region fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failover {
    /// Who moves the clients.
    pub mode: FailoverMode,
    /// From the failure until clients are served elsewhere.
    pub rto_target: Option<Millis>,
    /// How much acknowledged data may be lost.
    pub rpo_target: Option<Millis>,
    /// The interval of health checks that name none.
    pub health_check_interval: Option<Millis>,
}

/// The validated block. See [`MultiRegion::effects`] for what each key does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MultiRegion {
    /// The region that is preferred, and where the store's leader belongs.
    pub primary: RegionIdx,
    /// The regions that follow, in this order.
    pub secondary: Vec<RegionIdx>,
    /// Regions that serve clients after all others and keep no data.
    pub edge_regions: Vec<RegionIdx>,
    /// How the store is replicated.
    pub replication: Option<Replication>,
    /// What the network offers.
    pub network: Option<Network>,
    /// What happens on failure.
    pub failover: Option<Failover>,
}

/// What one key of the block does in this deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// The key: `failover.rto_target`.
    pub key: String,
    /// The value in force.
    pub value: String,
    /// What it does.
    pub effect: String,
}
