//! From world to plan. Pure and deterministic: equal worlds give equal plans, bit for bit.
//!
//! What depends on the service and on which selectors apply to a class, but not on the class itself,
//! is made once for each such combination ([`prepare`]); classes then cost one pass over the regions
//! that are left ([`rank`]), once for all services of one shape ([`shapes`]), and are stored once for
//! each different route. Pools become rings at the end, region by region. Distances and model values
//! are rows of two matrices, made once.
//!
//! Growth: shapes × classes × regions for ranking (about 5 ns each), endpoints × 64 points for rings,
//! services × endpoints for finding shapes. Health changes need none of it.

mod context;
mod prepare;
mod rank;
mod routes;
mod shapes;
mod terms;
mod walls;

use meridian_topology::{RegionIdx, ServiceIdx};

use crate::class::ClassId;
use crate::hash::{self, Fingerprint};
use crate::plan::ring::{Member, Pool, RingBuilder, Rings, points_of};
use crate::plan::{Family, Plan, Route, ServicePlan};
use crate::recorder::Recorder;
use crate::world::World;

pub(crate) use context::{Context, baseline_ms};
use prepare::{Applied, Prepared};
use rank::rank;
use routes::PoolInterner;
use shapes::{Place, Shapes};

/// Generations are whole numbers that JSON readers with doubles keep exactly.
const GENERATION_BITS: u64 = (1 << 53) - 1;

/// Compiles every decision of a world.
#[must_use]
pub fn compile(world: &World) -> Plan {
    let context = Context::new(world);
    let mut shapes = Shapes::new(&context);
    for at in 0..world.topology.services.len() {
        shapes.add(ServiceIdx(at as u16));
    }
    let routes = shapes.take_routes();
    let parts = Parts {
        routes,
        rows: shapes.rows,
        classes: world.classes.classes().len(),
        places: shapes.places,
        service_pools: shapes.service_pools,
    };
    assemble(&context, &shapes.pools, parts)
}

/// The route of one service and class alone, with a recorder watching: a plan of one route.
pub(crate) fn compile_one(
    world: &World,
    service: ServiceIdx,
    class: ClassId,
    recorder: &mut impl Recorder,
) -> Plan {
    let context = Context::new(world);
    let known = if class.index() < world.classes.classes().len() {
        class
    } else {
        ClassId::UNKNOWN
    };
    let class = world.classes.class(known);
    let policy = context.policy(service);
    let rows = context.rows(known.index()..known.index() + 1);
    let mut pools = PoolInterner::default();
    let applied = Applied::to(policy, class);
    let prepared = Prepared::new(&context, service, policy, applied, &mut pools, recorder);
    let mut route = rank(&prepared, policy, &rows.of(0), recorder);
    let candidates = prepared.candidates.iter().map(|candidate| candidate.pool);
    pools.keep_only(&mut route, &candidates.collect::<Vec<_>>());
    let parts = Parts {
        routes: vec![route],
        rows: vec![0],
        classes: 1,
        // Every service has the one route, so that the service keeps its index.
        places: vec![Place::default(); world.topology.services.len()],
        service_pools: (0..pools.len() as u32).collect(),
    };
    assemble(&context, &pools, parts)
}

/// What ranking leaves for a plan.
struct Parts {
    routes: Vec<Route>,
    rows: Vec<u32>,
    classes: usize,
    places: Vec<Place>,
    service_pools: Vec<u32>,
}

fn assemble(context: &Context<'_>, pools: &PoolInterner, mut parts: Parts) -> Plan {
    let (pools, rings, renumbered) = build_rings(context, pools);
    for pool in &mut parts.service_pools {
        *pool = renumbered[*pool as usize];
    }
    parts.service_pools.shrink_to_fit();
    parts.rows.shrink_to_fit();
    let topology = &context.world.topology;
    let services = parts
        .places
        .iter()
        .enumerate()
        .map(|(at, place)| context.service_plan(at, *place))
        .collect();
    let mut plan = Plan {
        generation: 0,
        services,
        classes: parts.classes as u32,
        rows: parts.rows,
        routes: parts.routes,
        service_pools: parts.service_pools,
        pools,
        rings,
        endpoint_regions: topology
            .endpoints
            .iter()
            .map(|endpoint| endpoint.region)
            .collect(),
        endpoint_families: topology
            .endpoints
            .iter()
            .map(|endpoint| Family::of(endpoint.address))
            .collect(),
        endpoint_points: topology
            .endpoints
            .iter()
            .map(|e| points_of(e.weight.0))
            .collect(),
        region_hashes: topology
            .regions
            .iter()
            .map(|r| hash::bytes(r.id.as_str().as_bytes()))
            .collect(),
    };
    plan.generation = generation(&plan, context);
    plan
}

/// The pools' rings, and the new number of each pool: rings are built region by region.
fn build_rings(context: &Context<'_>, interned: &PoolInterner) -> (Vec<Pool>, Rings, Vec<u32>) {
    let endpoints = &context.world.topology.endpoints;
    let mut builder = RingBuilder::new(endpoints.len());
    let mut order: Vec<u32> = (0..interned.len() as u32).collect();
    order.sort_by_key(|pool| interned.region(*pool));
    let mut renumbered = vec![0; order.len()];
    let mut current: Option<RegionIdx> = None;
    for (number, pool) in order.into_iter().enumerate() {
        let region = interned.region(pool);
        if current != Some(region) {
            current = Some(region);
            builder.region(context.region_endpoints(region).map(|at| Member {
                endpoint: at,
                seed: context.endpoint_seeds[at.index()],
                weight: endpoints[at.index()].weight.0,
                family: Family::of(endpoints[at.index()].address),
            }));
        }
        builder.pool(region, interned.members(pool));
        renumbered[pool as usize] = number as u32;
    }
    let (pools, rings) = builder.finish();
    (pools, rings, renumbered)
}

/// A hash of everything a pick depends on.
fn generation(plan: &Plan, context: &Context<'_>) -> u64 {
    let mut print = Fingerprint::new(0x706c_616e);
    for service in &plan.services {
        add_service(&mut print, service);
    }
    for pool in &plan.pools {
        print.add(plan.region_hashes[pool.region.index()]);
        print.add(u64::from(pool.points));
        for member in plan.rings.members(pool) {
            let weight = context.world.topology.endpoints[member.index()].weight.0;
            let family = plan.endpoint_families[member.index()] as u64;
            print.add(context.endpoint_seeds[member.index()] ^ family << 16 ^ u64::from(weight));
        }
    }
    for route in &plan.routes {
        print.add(route.fingerprint());
    }
    for route in &plan.rows {
        print.add(u64::from(*route));
    }
    for pool in &plan.service_pools {
        print.add(u64::from(*pool));
    }
    print.finish() & GENERATION_BITS
}

fn add_service(print: &mut Fingerprint, service: &ServicePlan) {
    print.add(hash::bytes(service.id.as_str().as_bytes()));
    print.add(service.sticky as u64);
    print.add(
        u64::from(service.answers_at_least) << 16
            | u64::from(service.answers) << 8
            | u64::from(service.min_live_regions),
    );
    print.add(u64::from(service.min_live) << 32 | u64::from(service.panic_threshold));
    print.add(u64::from(service.row) << 32 | u64::from(service.first_pool));
    // The debug form names every variant and address; it is short and made once for each service.
    print.add(hash::bytes(format!("{:?}", service.when_none).as_bytes()));
}

#[cfg(test)]
mod tests;
