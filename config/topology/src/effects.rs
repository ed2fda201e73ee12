//! What each key of `multi_region_config` does in a deployment.
//!
//! The keys work in these places: priorities and the default interval when a topology is built
//! (`validate`), [`Topology::failover_mode`] where probes flip health bits, the others in
//! [`Topology::lints`]. [`MultiRegion::effects`] says it in words, with the values in force, for
//! `meridian check` and the admin API.

use crate::ids::RegionIdx;
use crate::model::{Effect, FailoverMode, MultiRegion, Switch};
use crate::topology::Topology;

impl Topology {
    /// Whether probes and passive reports may move clients. [`FailoverMode::Manual`]: they are
    /// reported, but health bits stay as people set them.
    #[must_use]
    pub fn failover_mode(&self) -> FailoverMode {
        self.multi_region
            .as_ref()
            .and_then(|block| block.failover)
            .map_or(FailoverMode::Automatic, |failover| failover.mode)
    }

    fn region_names(&self, regions: &[RegionIdx]) -> String {
        let names: Vec<&str> = regions
            .iter()
            .filter_map(|idx| self.regions.get(idx.index()))
            .map(|region| region.id.as_str())
            .collect();
        names.join(", ")
    }
}

impl MultiRegion {
    /// The effect of each key that is set, in the order of the block.
    #[must_use]
    pub fn effects(&self, topology: &Topology) -> Vec<Effect> {
        let mut effects = Effects::default();
        effects.add(
            "regions.primary",
            topology.region_names(&[self.primary]),
            "priority 0: serves first wherever a policy goes by priority",
        );
        if !self.secondary.is_empty() {
            effects.add(
                "regions.secondary",
                topology.region_names(&self.secondary),
                "priorities 1, 2, 3 and so on, in this order",
            );
        }
        if !self.edge_regions.is_empty() {
            effects.add(
                "regions.edge_regions",
                topology.region_names(&self.edge_regions),
                "priority behind the last secondary; no replica of the store is expected there",
            );
        }
        self.replication_effects(&mut effects);
        self.network_effects(&mut effects);
        self.failover_effects(&mut effects);
        effects.0
    }

    fn replication_effects(&self, effects: &mut Effects) {
        let Some(replication) = &self.replication else {
            return;
        };
        effects.add(
            "replication.consistency_model",
            replication.consistency_model.to_string(),
            "how current reads of the store must be; judged against `rpo_target`",
        );
        effects.add(
            "replication.min_replicas",
            replication.min_replicas.to_string(),
            "fewer members of the store are a warning",
        );
        effects.add(
            "replication.max_replicas",
            replication.max_replicas.to_string(),
            "more members of the store are a warning",
        );
        effects.add(
            "replication.topology",
            replication.topology.to_string(),
            "who passes changes to whom",
        );
    }

    fn network_effects(&self, effects: &mut Effects) {
        let Some(network) = &self.network else { return };
        for (key, switch) in [
            ("network.enable_dpdk", network.dpdk),
            ("network.enable_sriov", network.sriov),
        ] {
            let effect = match switch {
                Switch::On => "a warning when no machine of type `network` or `full` can",
                Switch::Off => "machines that could are not asked to",
            };
            effects.add(key, switch.to_string(), effect);
        }
        if let Some(limit) = network.bandwidth_limit {
            effects.add(
                "network.bandwidth_limit",
                limit.to_string(),
                "a warning for machines whose interfaces are slower",
            );
        }
        if let Some(target) = network.latency_target {
            effects.add(
                "network.latency_target",
                target.to_string(),
                "a warning when light needs longer to the replicas that a write waits for",
            );
        }
    }

    fn failover_effects(&self, effects: &mut Effects) {
        let Some(failover) = &self.failover else {
            return;
        };
        let effect = match failover.mode {
            FailoverMode::Automatic => "probes and passive reports move clients at once",
            FailoverMode::Manual => "only `meridian drain` moves clients",
        };
        effects.add(
            "failover.automatic_failover",
            failover.mode.to_string(),
            effect,
        );
        let times = [
            (
                "failover.rto_target",
                failover.rto_target,
                "a warning for services whose checks and DNS caches are slower",
            ),
            (
                "failover.rpo_target",
                failover.rpo_target,
                "a warning when the consistency model may lose more",
            ),
            (
                "failover.health_check_interval",
                failover.health_check_interval,
                "the interval of health checks that name none",
            ),
        ];
        for (key, value, effect) in times {
            if let Some(value) = value {
                effects.add(key, value.to_string(), effect);
            }
        }
    }
}

#[derive(Default)]
struct Effects(Vec<Effect>);

impl Effects {
    fn add(&mut self, key: &str, value: String, effect: &str) {
        self.0.push(Effect {
            key: key.to_owned(),
            value,
            effect: effect.to_owned(),
        });
    }
}
