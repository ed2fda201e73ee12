//! Makes the [`Status`] that operators see out of plan and state.

use std::sync::Arc;
use std::time::Instant;

use meridian_topology::{Endpoint, RegionIdx, Topology};

use crate::geo::GeoBase;
use crate::health::{EndpointHealth, Probed};
use crate::published::{PlanHandle, Published};
use crate::state::State;
use crate::status::{EndpointStatus, GeoStatus, RegionStatus, SourcesStatus, Status, StoreHealth};

/// What only the writer knows.
pub(crate) struct Facts {
    pub revision: u64,
    pub compile_ms: f64,
    pub sources: SourcesStatus,
    pub store: StoreHealth,
    pub geo: GeoStatus,
}

/// Where the classes in force come from.
pub(crate) fn geo_status(
    plan: &PlanHandle,
    base: Option<&Arc<GeoBase>>,
    problem: Option<&str>,
) -> GeoStatus {
    let world = Arc::clone(&plan.load().world);
    base.map_or_else(GeoStatus::default, |base| base.status(&world, problem))
}

/// The node's state at this moment.
pub(crate) fn status(published: &Published, state: &State, facts: Facts) -> Status {
    let world = &published.world;
    let topology = &world.topology;
    let now = Instant::now();
    let endpoints: Vec<EndpointStatus> = topology
        .endpoints
        .iter()
        .map(|endpoint| endpoint_status(published, state, endpoint, now))
        .collect();
    let regions = topology
        .regions
        .iter()
        .enumerate()
        .filter_map(|(at, region)| {
            let members = topology.endpoints_in(RegionIdx::from_index(at)?);
            let (mut all, mut serving, mut flapping) = (0, 0, 0);
            for (index, _) in members {
                let endpoint = &endpoints[index.index()];
                all += 1;
                serving += usize::from(endpoint.state == "serving");
                flapping += usize::from(endpoint.flapping);
            }
            Some(RegionStatus {
                id: region.id.to_string(),
                serving,
                endpoints: all,
                drained: region.drain.is_draining()
                    || state.admin.drained_regions.contains(&region.id),
                ramp: state.share(&region.id).get(),
                utilization: world.load.utilization.get(&region.id).copied(),
                flapping,
            })
        })
        .collect();
    Status {
        sequence: published.sequence,
        generation: published.plan.generation(),
        revision: facts.revision,
        compile_ms: facts.compile_ms,
        plan_bytes: published.plan.memory_bytes(),
        sources: facts.sources,
        model: world
            .scores
            .as_ref()
            .map(|scores| scores.version().to_owned()),
        store: facts.store,
        geo: facts.geo,
        regions,
        warnings: warnings(topology, &endpoints),
        endpoints,
    }
}

/// Most flapping endpoints that are named one by one.
const FLAPPING_NAMED_MAX: usize = 20;

/// Doubts about the configuration, and endpoints that go back and forth.
fn warnings(topology: &Topology, endpoints: &[EndpointStatus]) -> Vec<String> {
    let mut warnings: Vec<String> = topology.lints().iter().map(ToString::to_string).collect();
    let flapping = || endpoints.iter().filter(|endpoint| endpoint.flapping);
    warnings.extend(flapping().take(FLAPPING_NAMED_MAX).map(|endpoint| {
        format!(
            "endpoint {} is flapping: {} transitions in 10 min, last cause: {}",
            endpoint.id, endpoint.recent_transitions, endpoint.cause
        )
    }));
    let unnamed = flapping().skip(FLAPPING_NAMED_MAX).count();
    if unnamed > 0 {
        warnings.push(format!("{unnamed} more endpoints are flapping"));
    }
    warnings
}

fn endpoint_status(
    published: &Published,
    state: &State,
    endpoint: &Endpoint,
    now: Instant,
) -> EndpointStatus {
    let region = &published.world.topology.regions[endpoint.region.index()];
    let health = state.ledger.get(&endpoint.id);
    let drained = endpoint.drain.is_draining()
        || region.drain.is_draining()
        || state.admin.drained_endpoints.contains(&endpoint.id)
        || state.admin.drained_regions.contains(&region.id);
    let word = match health {
        _ if drained => "drained",
        Some(health) if health.probed == Probed::Down => "down",
        Some(health) if health.is_ejected() => "ejected",
        _ => "serving",
    };
    EndpointStatus {
        id: endpoint.id.to_string(),
        region: region.id.to_string(),
        address: endpoint.socket_addr().to_string(),
        state: word,
        cause: health.map_or_else(|| "not probed yet".into(), |health| health.cause.clone()),
        since_s: health.map_or(0, |health| now.duration_since(health.since).as_secs()),
        transitions: health.map_or(0, EndpointHealth::transitions),
        recent_transitions: health.map_or(0, EndpointHealth::recent_transitions),
        flapping: health.is_some_and(EndpointHealth::is_flapping),
    }
}
