//! What loads but will not do what it says: promises that the topology cannot keep.
//!
//! A lint is no error. `meridian check` prints lints, and nothing stops because of them. They are
//! found on the validated topology, so they name things instead of lines.

use serde::{Deserialize, Serialize};

use crate::ids::ServiceIdx;
use crate::model::{
    Capability, ConsistencyModel, DnsAnswer, EdgeNode, Failover, FailoverMode, MultiRegion,
    Network, NodeKind, RecordData, Replication, Service, Switch,
};
use crate::topology::Topology;
use crate::units::Millis;
use crate::words;

/// Kilometres that light travels in a millisecond in glass fibre: two thirds of its speed in
/// vacuum. Real routes are longer; a promise that breaks this bound breaks physics.
const FIBRE_KM_PER_MS: f64 = 200.0;

words! {
    /// The kind of a lint: a stable word for scripts.
    LintCode, "lint" {
        /// A service that no endpoint serves.
        NoEndpoint = "no-endpoint",
        /// An endpoint that nothing checks: it is believed to be up for ever.
        NoHealthCheck = "no-health-check",
        /// Checks need longer than `rto_target` to notice a failure.
        RtoDetection = "rto-detection",
        /// Clients may keep a DNS answer longer than `rto_target` leaves.
        RtoTtl = "rto-ttl",
        /// `rto_target` with nobody but people to keep it.
        RtoManual = "rto-manual",
        /// `rpo_target` with a consistency model that may lose more.
        RpoConsistency = "rpo-consistency",
        /// Fewer members of the store than `min_replicas`.
        TooFewReplicas = "too-few-replicas",
        /// More members of the store than `max_replicas`.
        TooManyReplicas = "too-many-replicas",
        /// Light needs longer than `latency_target` between the replicas that a write waits for.
        LatencyTarget = "latency-target",
        /// `enable_dpdk` without a machine that can.
        Dpdk = "dpdk",
        /// `enable_sriov` without a machine that can.
        Sriov = "sriov",
        /// A machine whose interfaces are slower than `bandwidth_limit`.
        Bandwidth = "bandwidth",
        /// A name server inside its own zone without an address there.
        NameServerAddress = "name-server-address",
        /// A steered name in a zone whose file is signed: nothing covers what steering answers.
        SignedZone = "signed-zone",
        /// A region that a service's CNAME answer has no name for.
        CnameTarget = "cname-target",
    }
}

/// A promise that the topology cannot keep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lint {
    /// What kind.
    pub code: LintCode,
    /// What it is about: `service shop`.
    pub subject: String,
    /// What is wrong: one sentence without a full stop.
    pub message: String,
    /// What would help.
    pub help: String,
}

impl std::fmt::Display for Lint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            code,
            subject,
            message,
            help,
        } = self;
        write!(f, "warning[{code}]: {subject}: {message}; {help}")
    }
}

impl Topology {
    /// All lints, in a fixed order.
    #[must_use]
    pub fn lints(&self) -> Vec<Lint> {
        let mut lints = Lints::default();
        self.lint_services(&mut lints);
        self.lint_name_servers(&mut lints);
        if let Some(multi_region) = &self.multi_region {
            self.lint_multi_region(multi_region, &mut lints);
        }
        lints.0
    }

    /// The longest time that any check of a service's endpoints needs to notice a failure; `None`
    /// when nothing is checked.
    #[must_use]
    pub fn detection(&self, service: ServiceIdx) -> Option<Millis> {
        self.endpoints_of(service)
            .filter_map(|(_, endpoint)| {
                // The quickest of an endpoint's checks takes it down.
                let checks = self.checks(endpoint);
                let relevant = checks.filter(|(of, _)| of.is_none_or(|of| of == service));
                relevant.map(|(_, check)| check.detection()).min()
            })
            .max()
    }

    fn lint_services(&self, lints: &mut Lints) {
        for (at, service) in self.services.iter().enumerate() {
            let Some(idx) = ServiceIdx::from_index(at) else {
                continue;
            };
            if self.endpoints_of(idx).next().is_none() {
                lints.add(
                    LintCode::NoEndpoint,
                    format!("service {}", service.id),
                    "no endpoint serves it".to_owned(),
                    "name it in the `services` of an endpoint",
                );
            }
            self.lint_cname(service, idx, lints);
        }
        for endpoint in &self.endpoints {
            if self.checks(endpoint).next().is_none() {
                lints.add(
                    LintCode::NoHealthCheck,
                    format!("endpoint {}", endpoint.id),
                    "nothing checks its health".to_owned(),
                    "add `health_checks` to it or to its service",
                );
            }
        }
    }

    fn lint_cname(&self, service: &Service, idx: ServiceIdx, lints: &mut Lints) {
        let Some(DnsAnswer::Cname { targets }) = service.dns.as_ref().map(|dns| &dns.answer) else {
            return;
        };
        let mut missing: Vec<&str> = self
            .endpoints_of(idx)
            .filter(|(_, endpoint)| targets.iter().all(|(region, _)| *region != endpoint.region))
            .filter_map(|(_, endpoint)| self.regions.get(endpoint.region.index()))
            .map(|region| region.id.as_str())
            .collect();
        missing.dedup();
        if !missing.is_empty() {
            lints.add(
                LintCode::CnameTarget,
                format!("service {}", service.id),
                format!("its CNAME answer has no name for {}", missing.join(", ")),
                "clients sent there would get no answer: add the regions to `answer.cname`",
            );
        }
    }

    fn lint_name_servers(&self, lints: &mut Lints) {
        for zone in &self.dns_zones {
            for server in zone
                .ns
                .iter()
                .filter(|server| server.is_within(&zone.origin))
            {
                let has_address = zone.records.iter().any(|record| {
                    let data = &record.data;
                    let address = matches!(data, RecordData::A(_) | RecordData::Aaaa(_));
                    address && record.name == *server
                });
                if !has_address {
                    lints.add(
                        LintCode::NameServerAddress,
                        format!("zone {}", zone.origin),
                        format!("its name server `{server}` has no address in it"),
                        "add an A or AAAA record for it",
                    );
                }
            }
        }
    }

    fn lint_multi_region(&self, block: &MultiRegion, lints: &mut Lints) {
        if let Some(failover) = &block.failover {
            self.lint_failover(failover, block.replication.as_ref(), lints);
        }
        if let Some(replication) = &block.replication {
            self.lint_replicas(block, replication, lints);
        }
        if let Some(network) = &block.network {
            self.lint_network(block, network, lints);
        }
    }

    fn lint_failover(
        &self,
        failover: &Failover,
        replication: Option<&Replication>,
        lints: &mut Lints,
    ) {
        let model = replication.map_or(ConsistencyModel::Strong, |it| it.consistency_model);
        if let (Some(rpo), false) = (failover.rpo_target, model == ConsistencyModel::Strong) {
            lints.add(
                LintCode::RpoConsistency,
                "failover.rpo_target".to_owned(),
                format!("{model} replication may lose more than {rpo} of acknowledged writes"),
                "choose `consistency_model: strong`, which loses none",
            );
        }
        let Some(rto) = failover.rto_target else {
            return;
        };
        if failover.mode == FailoverMode::Manual {
            lints.add(
                LintCode::RtoManual,
                "failover.rto_target".to_owned(),
                format!("with `automatic_failover: false` a person has to act within {rto}"),
                "turn `automatic_failover` on, or drop the objective",
            );
            return;
        }
        for (at, service) in self.services.iter().enumerate() {
            let detection = ServiceIdx::from_index(at).and_then(|idx| self.detection(idx));
            if let Some(detection) = detection {
                lint_rto(service, detection, rto, lints);
            }
        }
    }

    fn lint_replicas(&self, block: &MultiRegion, replication: &Replication, lints: &mut Lints) {
        let (replicas, counted) = self.replicas(block);
        if replicas < usize::from(replication.min_replicas) {
            lints.add(
                LintCode::TooFewReplicas,
                "replication.min_replicas".to_owned(),
                format!(
                    "{counted} are {replicas}; at least {} are wanted",
                    replication.min_replicas
                ),
                "add members, or lower `min_replicas`",
            );
        }
        if replicas > usize::from(replication.max_replicas) {
            lints.add(
                LintCode::TooManyReplicas,
                "replication.max_replicas".to_owned(),
                format!(
                    "{counted} are {replicas}; at most {} are wanted",
                    replication.max_replicas
                ),
                "remove members, or raise `max_replicas`",
            );
        }
    }

    /// How many members the store has: machines with the capability `store`, or, when none is
    /// declared, one in the primary and in each secondary region.
    fn replicas(&self, block: &MultiRegion) -> (usize, &'static str) {
        let machines = self
            .edge_nodes
            .iter()
            .filter(|node| node.capabilities.contains(&Capability::Store))
            .count();
        if machines > 0 {
            (machines, "machines with the capability `store`")
        } else {
            (1 + block.secondary.len(), "primary and secondary regions")
        }
    }

    fn lint_network(&self, block: &MultiRegion, network: &Network, lints: &mut Lints) {
        let movers = || {
            let kinds = [NodeKind::Network, NodeKind::Full];
            self.edge_nodes
                .iter()
                .filter(move |node| kinds.contains(&node.kind))
        };
        let can = |has: fn(&EdgeNode) -> bool| movers().any(has);
        let dpdk = can(|node| node.interfaces.iter().any(|it| it.dpdk.is_some()));
        let sriov = can(|node| node.interfaces.iter().any(|it| it.sriov.is_some()));
        for (switch, has, code, word) in [
            (network.dpdk, dpdk, LintCode::Dpdk, "dpdk"),
            (network.sriov, sriov, LintCode::Sriov, "sriov"),
        ] {
            if switch == Switch::On && !has {
                lints.add(
                    code,
                    format!("network.enable_{word}"),
                    format!(
                        "no machine of type `network` or `full` has an interface with `{word}`"
                    ),
                    "declare one under `edge_nodes`, or turn it off",
                );
            }
        }
        if let Some(limit) = network.bandwidth_limit {
            for node in movers().filter(|node| !node.interfaces.is_empty()) {
                let speed: u64 = node.interfaces.iter().map(|it| it.speed.0).sum();
                if speed < limit.0 {
                    lints.add(
                        LintCode::Bandwidth,
                        format!("edge node {}", node.id),
                        format!(
                            "its interfaces carry {}, less than `bandwidth_limit` {limit}",
                            crate::units::BitsPerSecond(speed)
                        ),
                        "lower the limit, or declare faster interfaces",
                    );
                }
            }
        }
        if let Some(target) = network.latency_target {
            self.lint_latency(block, target, lints);
        }
    }

    /// A strongly consistent write waits for a majority of replicas: the primary and the nearest
    /// half of the others. Light in fibre bounds how fast they can answer.
    fn lint_latency(&self, block: &MultiRegion, target: Millis, lints: &mut Lints) {
        let model = block
            .replication
            .map_or(ConsistencyModel::Strong, |it| it.consistency_model);
        let Some(primary) = self.regions.get(block.primary.index()) else {
            return;
        };
        if model != ConsistencyModel::Strong {
            return;
        }
        let mut others: Vec<(f64, &str)> = block
            .secondary
            .iter()
            .filter_map(|idx| self.regions.get(idx.index()))
            .map(|region| {
                let to = &region.location.coordinates;
                let km = primary.location.coordinates.distance_km(to);
                (km, region.id.as_str())
            })
            .collect();
        others.sort_by(|a, b| a.0.total_cmp(&b.0));
        // Of n + 1 replicas a majority is the primary and ⌈n / 2⌉ others.
        let Some(&(km, slowest)) = others
            .len()
            .div_ceil(2)
            .checked_sub(1)
            .and_then(|at| others.get(at))
        else {
            return;
        };
        let round_trip_ms = 2.0 * km / FIBRE_KM_PER_MS;
        #[expect(
            clippy::cast_precision_loss,
            reason = "milliseconds of a configured target are far below 2^53"
        )]
        let target_ms = target.0 as f64;
        if round_trip_ms > target_ms {
            lints.add(
                LintCode::LatencyTarget,
                "network.latency_target".to_owned(),
                format!(
                    "a write in `{}` waits for `{slowest}`, {km:.0} km away: at least \
                     {round_trip_ms:.1} ms by fibre, more than {target}",
                    primary.id
                ),
                "raise the target, or choose secondaries that are closer",
            );
        }
    }
}

fn lint_rto(service: &Service, detection: Millis, rto: Millis, lints: &mut Lints) {
    let subject = format!("service {}", service.id);
    if detection > rto {
        lints.add(
            LintCode::RtoDetection,
            subject,
            format!(
                "its checks may need {}ms to notice a failure, more than `rto_target` {rto}",
                detection.0
            ),
            "shorten `interval` or `timeout`, or lower `fall`",
        );
        return;
    }
    let Some(dns) = &service.dns else { return };
    let cached = Millis(u64::from(dns.ttl.0) * 1_000);
    let whole = Millis(detection.0.saturating_add(cached.0));
    if whole > rto {
        lints.add(
            LintCode::RtoTtl,
            subject,
            format!(
                "{}ms to notice a failure and {} in the caches of clients exceed `rto_target` {rto}",
                detection.0, dns.ttl
            ),
            "lower `dns.ttl`; proxied clients are not concerned",
        );
    }
}

#[derive(Default)]
struct Lints(Vec<Lint>);

impl Lints {
    fn add(&mut self, code: LintCode, subject: String, message: String, help: &str) {
        self.0.push(Lint {
            code,
            subject,
            message,
            help: help.to_owned(),
        });
    }
}

#[cfg(test)]
mod tests;
