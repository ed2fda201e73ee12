//! The `multi_region_config` block.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::door::Field;
use crate::ids::RegionId;
use crate::model::{ConsistencyModel, ReplicationTopology};
use crate::units::{BitsPerSecond, Millis};

/// Intentions over all regions. Each key has an effect, which its description names.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MultiRegion")]
pub struct RawMultiRegion {
    /// Which regions serve first.
    pub regions: RawRegions,
    /// How the store is replicated.
    pub replication: Option<RawReplication>,
    /// What the network between regions offers.
    pub network: Option<RawNetwork>,
    /// What happens when a region fails.
    pub failover: Option<RawFailover>,
}

/// Which regions serve first. A region's place here is its failover priority, unless the region
/// names its own: the primary 0, the secondaries 1, 2, 3 and so on, all edge regions one more
/// than the last secondary.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Regions")]
pub struct RawRegions {
    /// The preferred region. Priority 0.
    pub primary: Field<RegionId>,
    /// The regions that follow, in this order. Priority 1, 2, 3 and so on.
    #[serde(default)]
    pub secondary: Vec<Field<RegionId>>,
    /// Regions that serve after all others and keep no replica of the store.
    #[serde(default)]
    pub edge_regions: Vec<Field<RegionId>>,
}

/// How the store is replicated.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Replication")]
pub struct RawReplication {
    /// How current reads of the store are: `strong` reads are linearizable, `eventual` reads may
    /// be old. Default `strong`.
    pub consistency_model: Option<Field<ConsistencyModel>>,
    /// Fewer members of the store than this are a warning of `meridian check`. Default 1.
    pub min_replicas: Option<Field<u8>>,
    /// More members than this are a warning. Default 12.
    pub max_replicas: Option<Field<u8>>,
    /// Who passes changes to whom. Default `mesh`.
    pub topology: Option<Field<ReplicationTopology>>,
}

/// What the network between regions offers.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Network")]
pub struct RawNetwork {
    /// `true`: `meridian check` warns when no machine of a `network` or `full` type has an
    /// interface with `dpdk`. Default `false`.
    pub enable_dpdk: Option<Field<bool>>,
    /// `true`: the same for `sriov`. Default `false`.
    pub enable_sriov: Option<Field<bool>>,
    /// What one machine may send. `meridian check` warns of machines whose interfaces are slower.
    pub bandwidth_limit: Option<Field<BitsPerSecond>>,
    /// The round trip to other replicas that writers count on. `meridian check` warns when light
    /// in fibre needs longer from the primary to the replicas that a write waits for.
    pub latency_target: Option<Field<Millis>>,
}

/// What happens when a region fails.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Failover")]
pub struct RawFailover {
    /// `false`: probes are reported, but only `meridian drain` moves clients.
    /// Default `true`.
    pub automatic_failover: Option<Field<bool>>,
    /// From a failure until clients are served elsewhere. `meridian check` warns of checks and
    /// DNS times to live that are slower.
    pub rto_target: Option<Field<Millis>>,
    /// How much acknowledged data may be lost. `meridian check` warns when
    /// `consistency_model` cannot keep it.
    pub rpo_target: Option<Field<Millis>>,
    /// The interval of health checks that name none.
    pub health_check_interval: Option<Field<Millis>>,
}
