//! The `multi_region_config` block, and what it implies for the rest.

use super::Checker;
use crate::door::{Code, Field, Mistake, Source};
use crate::ids::{RegionId, RegionIdx};
use crate::model::{
    ConsistencyModel, Failover, FailoverMode, HealthCheck, MultiRegion, Network, Replication,
    ReplicationTopology, Switch,
};
use crate::raw::{RawFailover, RawMultiRegion, RawNetwork, RawRegions, RawReplication};
use crate::units::Millis;

/// The most replicas of a store: etcd recommends seven, relays go beyond.
const MAX_REPLICAS: u8 = 64;
/// The longest recovery objective.
const MAX_OBJECTIVE: Millis = Millis(24 * 3_600_000);

impl Checker {
    /// Builds the block and remembers what it implies: the interval of checks that name none, and
    /// the priority of regions.
    pub(super) fn multi_region(
        &mut self,
        source: &Source,
        raw: &RawMultiRegion,
    ) -> Option<MultiRegion> {
        let replication = raw
            .replication
            .as_ref()
            .map(|replication| self.replication(source, replication));
        let network = raw
            .network
            .as_ref()
            .map(|network| self.network(source, network));
        let failover = raw
            .failover
            .as_ref()
            .map(|failover| self.failover(source, failover));
        let (primary, secondary, edge_regions) = self.order(source, &raw.regions);
        let failover = failover.map_or(Some(None), |failover| failover.map(Some))?;
        self.default_interval = failover.and_then(|failover| failover.health_check_interval);
        Some(MultiRegion {
            primary: primary?,
            secondary,
            edge_regions,
            replication: replication.map_or(Some(None), |it| it.map(Some))?,
            network: network.map_or(Some(None), |it| it.map(Some))?,
            failover,
        })
    }

    fn order(
        &mut self,
        source: &Source,
        raw: &RawRegions,
    ) -> (Option<RegionIdx>, Vec<RegionIdx>, Vec<RegionIdx>) {
        let mut seen: Vec<&Field<RegionId>> = Vec::new();
        let all = std::iter::once(&raw.primary)
            .chain(&raw.secondary)
            .chain(&raw.edge_regions);
        for field in all {
            let first = seen.iter().find(|other| other.get() == field.get());
            if let (Some(id), Some(first)) = (field.get(), first) {
                self.problems.report_related(
                    (source, field.span),
                    Code::CONFLICT,
                    Mistake::new(format!("region `{id}` has two roles"))
                        .help("a region is primary, secondary or an edge region"),
                    (source, first.span, "first named"),
                );
            }
            seen.push(field);
        }
        self.imply_priorities(raw);
        let primary = self.region_ref(source, &raw.primary);
        let mut refs = |fields: &[Field<RegionId>]| {
            fields
                .iter()
                .filter_map(|field| self.region_ref(source, field))
                .collect()
        };
        (primary, refs(&raw.secondary), refs(&raw.edge_regions))
    }

    fn imply_priorities(&mut self, raw: &RawRegions) {
        let mut priority = 0_u8;
        for field in std::iter::once(&raw.primary).chain(&raw.secondary) {
            if let Some(id) = field.get() {
                self.implied_priority.entry(id.clone()).or_insert(priority);
            }
            priority = priority.saturating_add(1);
        }
        for id in raw.edge_regions.iter().filter_map(Field::get) {
            self.implied_priority.entry(id.clone()).or_insert(priority);
        }
    }

    fn replication(&mut self, source: &Source, raw: &RawReplication) -> Option<Replication> {
        let model = self.or(
            source,
            raw.consistency_model.as_ref(),
            ConsistencyModel::Strong,
        );
        let bounds = (1, MAX_REPLICAS);
        let min = self.bounded(source, raw.min_replicas.as_ref(), 1, bounds);
        let max = self.bounded(source, raw.max_replicas.as_ref(), 12, bounds);
        let topology = self.or(source, raw.topology.as_ref(), ReplicationTopology::Mesh);
        let (min, max) = (min?, max?);
        if min > max {
            let mistake = Mistake::new(format!(
                "`min_replicas` ({min}) is larger than `max_replicas` ({max})"
            ))
            .help("swap them");
            let field = raw.min_replicas.as_ref().or(raw.max_replicas.as_ref());
            let span = field.map_or(crate::door::Span::UNKNOWN, |field| field.span);
            self.wrong(source, span, Code::CONFLICT, mistake);
        }
        Some(Replication {
            consistency_model: model?,
            min_replicas: min,
            max_replicas: max,
            topology: topology?,
        })
    }

    fn network(&mut self, source: &Source, raw: &RawNetwork) -> Option<Network> {
        let dpdk = self.or(source, raw.enable_dpdk.as_ref(), false);
        let sriov = self.or(source, raw.enable_sriov.as_ref(), false);
        let bandwidth_limit = self.optional(source, raw.bandwidth_limit.as_ref());
        let latency_target = self.optional(source, raw.latency_target.as_ref());
        Some(Network {
            dpdk: Switch::from(dpdk?),
            sriov: Switch::from(sriov?),
            bandwidth_limit: bandwidth_limit?,
            latency_target: latency_target?,
        })
    }

    fn failover(&mut self, source: &Source, raw: &RawFailover) -> Option<Failover> {
        let automatic = self.or(source, raw.automatic_failover.as_ref(), true);
        let mut objective = |field: Option<&Field<Millis>>, low: Millis| {
            let Some(field) = field else {
                return Some(None);
            };
            let value = *self.field(source, field)?;
            self.within(source, field.span, value, (low, MAX_OBJECTIVE))
                .map(Some)
        };
        let rto_target = objective(raw.rto_target.as_ref(), Millis(1));
        let rpo_target = objective(raw.rpo_target.as_ref(), Millis(0));
        let interval = objective(
            raw.health_check_interval.as_ref(),
            HealthCheck::MIN_INTERVAL,
        );
        Some(Failover {
            mode: if automatic? {
                FailoverMode::Automatic
            } else {
                FailoverMode::Manual
            },
            rto_target: rto_target?,
            rpo_target: rpo_target?,
            health_check_interval: interval?,
        })
    }
}
