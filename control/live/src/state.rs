//! Everything the writer knows, and the pure part of what it does with it.
//!
//! [`State`] turns witnesses into flips and into the job of the next compile. It does no
//! I/O and takes the time as an argument; [`crate::writer`] feeds it and carries out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use meridian_engine::{AdminState, EndpointState, Health, Load};
use meridian_probe::{Health as ProbeVerdict, Transition};
use meridian_score::Artifact;
use meridian_topology::{EndpointId, FailoverMode, Ratio, RegionId, RegionIdx, Topology};

use crate::catalog::Catalog;
use crate::drain;
use crate::handle::PassiveReport;
use crate::health::{Flip, Ledger, Probed};
use crate::published::Published;
use crate::ramp::{Failback, Ramp};

/// A region's utilization must move this much before the plan is compiled anew for it.
const UTILIZATION_STEP: f64 = 0.05;
/// Weight of the newest second in the moving average of a region's requests.
const LOAD_SMOOTHING: f64 = 0.3;

/// What the writer knows of health, drains, load and the model.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub ledger: Ledger,
    pub admin: AdminState,
    pub model: Option<Arc<Artifact>>,
    /// When endpoints last began or ceased to serve, in Unix seconds: answers are kept for a short
    /// time after a change.
    pub changed: BTreeMap<EndpointId, u32>,
    ramps: BTreeMap<RegionId, Ramp>,
    shares: BTreeMap<RegionId, Ratio>,
    requests: BTreeMap<RegionId, f64>,
    load: Load,
}

impl State {
    /// Nothing known yet but the promoted model.
    pub fn with_model(model: Option<Arc<Artifact>>) -> Self {
        Self {
            model,
            ..Self::default()
        }
    }

    /// Takes over the drains of the store; true when they changed.
    pub fn take_drains(&mut self, catalog: &Catalog, topology: &Topology) -> bool {
        let admin = drain::admin_of(&catalog.drains(), topology);
        let changed = admin != self.admin;
        self.admin = admin;
        changed
    }

    /// Takes over a probe's verdict.
    ///
    /// Under `automatic_failover: false` it is recorded in words and flips nothing.
    pub fn probed(
        &mut self,
        transition: &Transition,
        topology: &Topology,
        now: Instant,
    ) -> Option<Flip> {
        let probed = match transition.to {
            ProbeVerdict::Up => Probed::Up,
            ProbeVerdict::Down if fails_over(topology) => Probed::Down,
            ProbeVerdict::Down => Probed::Unknown,
        };
        self.ledger
            .probe(&transition.endpoint, probed, &transition.cause, now)
    }

    /// Takes over a data plane's report, unless it would eject more than half of the endpoint's
    /// region or the last endpoint that serves there.
    ///
    /// The bound keeps a fault on our own side (a broken uplink, a proxy out of breath makes every
    /// upstream look dead) from emptying a region on the word of one proxy. Each failed request is
    /// retried elsewhere anyway; whether a region is dead, probes decide.
    pub fn reported(
        &mut self,
        report: &PassiveReport,
        topology: &Topology,
        now: Instant,
    ) -> Option<Flip> {
        if !fails_over(topology) {
            return None;
        }
        let reported = topology.endpoint(&report.endpoint)?;
        let region = topology.endpoints[reported.index()].region;
        let (all, ejected) = self.count(topology, region, |ledger, id| {
            *id == report.endpoint || ledger.get(id).is_some_and(|health| health.is_ejected())
        });
        let (_, others) = self.count(topology, region, |ledger, id| {
            *id != report.endpoint && ledger.serves(id)
        });
        if others == 0 || (ejected > 1 && ejected * 2 > all) {
            return None;
        }
        self.ledger
            .eject(&report.endpoint, report.kind.as_str(), now)
    }

    /// Moves every region's way back on; returns the shares that changed.
    pub fn move_ramps(&mut self, published: &Published, now: Instant) -> Vec<(RegionIdx, Ratio)> {
        let topology = &published.world.topology;
        let mut changed = Vec::new();
        for (at, region) in topology.regions.iter().enumerate() {
            let Some(index) = RegionIdx::from_index(at) else {
                break;
            };
            let (all, serving) = self.count(topology, index, Ledger::serves);
            let ramp = self.ramps.get(&region.id).copied().unwrap_or(Ramp::Whole);
            let (ramp, share) = match ramp.observe(serving > 0 || all == 0, now) {
                returning @ Ramp::Returning(_) => {
                    returning.share(&failback_of(published, index), now)
                }
                settled => (settled, Ratio::ONE),
            };
            self.ramps.insert(region.id.clone(), ramp);
            if self
                .shares
                .insert(region.id.clone(), share)
                .unwrap_or(Ratio::ONE)
                != share
            {
                changed.push((index, share));
            }
        }
        changed
    }

    /// True while some region is on its way back, so that time alone changes its share.
    pub fn is_ramping(&self) -> bool {
        self.ramps
            .values()
            .any(|ramp| matches!(ramp, Ramp::Returning(_)))
    }

    /// Takes over the requests counted in the last `seconds`; true when a compile is worth it.
    pub fn take_load(&mut self, published: &Published, seconds: f64) -> bool {
        let topology = &published.world.topology;
        let mut moved = false;
        for (region, count) in topology.regions.iter().zip(published.meter.take()) {
            let Some(capacity) = region
                .capacity
                .map(|capacity| capacity.get())
                .filter(|capacity| *capacity > 0.0)
            else {
                continue;
            };
            #[expect(
                clippy::cast_precision_loss,
                reason = "requests of one second, far below 2^53"
            )]
            let now = count as f64 / seconds;
            let average = self.requests.entry(region.id.clone()).or_insert(now);
            *average += LOAD_SMOOTHING * (now - *average);
            let utilization = *average / capacity;
            let known = self
                .load
                .utilization
                .get(&region.id)
                .copied()
                .unwrap_or(0.0);
            if (utilization - known).abs() >= UTILIZATION_STEP {
                self.load.utilization.insert(region.id.clone(), utilization);
                moved = true;
            }
        }
        moved
    }

    /// Forgets what the topology no longer has.
    pub fn retain(&mut self, topology: &Topology) {
        let endpoints: BTreeSet<&EndpointId> = topology
            .endpoints
            .iter()
            .map(|endpoint| &endpoint.id)
            .collect();
        self.ledger.retain(|id| endpoints.contains(id));
        self.changed.retain(|id, _| endpoints.contains(id));
        let regions: BTreeSet<&RegionId> =
            topology.regions.iter().map(|region| &region.id).collect();
        self.ramps.retain(|id, _| regions.contains(id));
        self.shares.retain(|id, _| regions.contains(id));
        self.requests.retain(|id, _| regions.contains(id));
        self.load.utilization.retain(|id, _| regions.contains(id));
    }

    /// Health of this moment, for compiles and explanations.
    pub fn health(&self, topology: &Topology) -> Health {
        let mut health = Health::default();
        for endpoint in topology
            .endpoints
            .iter()
            .filter(|endpoint| !self.ledger.serves(&endpoint.id))
        {
            health.set(endpoint.id.clone(), EndpointState::Down);
        }
        let partial = self.shares.iter().filter(|(_, share)| **share < Ratio::ONE);
        health.ramp = partial
            .map(|(region, share)| (region.clone(), *share))
            .collect();
        health.changed = self.changed.clone();
        health
    }

    /// Load of this moment.
    pub fn load(&self) -> Load {
        self.load.clone()
    }

    /// The share of its clients that a region takes.
    pub fn share(&self, region: &RegionId) -> Ratio {
        self.shares.get(region).copied().unwrap_or(Ratio::ONE)
    }

    fn count(
        &self,
        topology: &Topology,
        region: RegionIdx,
        holds: impl Fn(&Ledger, &EndpointId) -> bool,
    ) -> (usize, usize) {
        topology
            .endpoints_in(region)
            .fold((0, 0), |(all, held), (_, endpoint)| {
                (
                    all + 1,
                    held + usize::from(holds(&self.ledger, &endpoint.id)),
                )
            })
    }
}

/// Whether probes and passive reports may move clients.
fn fails_over(topology: &Topology) -> bool {
    let failover = topology
        .multi_region
        .as_ref()
        .and_then(|config| config.failover);
    failover.is_none_or(|failover| failover.mode == FailoverMode::Automatic)
}

/// The most careful failback among the policies of the services that a region serves.
fn failback_of(published: &Published, region: RegionIdx) -> Failback {
    let world = &published.world;
    let mut slowest = Failback::default();
    for (_, endpoint) in world.topology.endpoints_in(region) {
        for service in &endpoint.services {
            let policy = world
                .policies
                .get(&world.topology.services[service.index()].policy);
            if let Some(policy) = policy
                && policy.failover.failback.hold.as_duration() > slowest.hold
            {
                slowest.hold = policy.failover.failback.hold.as_duration();
                slowest.steps.clone_from(&policy.failover.failback.ramp);
            }
        }
    }
    slowest
}
