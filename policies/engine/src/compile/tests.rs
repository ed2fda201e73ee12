use std::collections::HashMap;
use std::sync::Arc;

use meridian_topology::EndpointIdx;
use meridian_topology::units::{Ratio, Weight};

use super::*;
use crate::policy::{PolicySet, WhenNone};
use crate::{ClientKey, EndpointState, HealthBits, Reason, synthetic};

fn world() -> World {
    synthetic::world(12, 4, 4, 30, 3)
}

/// Service 0 goes to the nearest region; service 3 spreads over up to three by capacity.
const NEAREST: ServiceIdx = ServiceIdx(0);

fn with_policy(world: &mut World, change: impl Fn(&mut crate::policy::Policy)) {
    let changed = world.policies.policies().iter().cloned().map(|mut policy| {
        change(&mut policy);
        policy
    });
    world.policies = Arc::new(PolicySet::new(changed.collect::<Vec<_>>()));
}

#[test]
fn generations_name_decisions_not_worlds() {
    let mut world = world();
    let generation = compile(&world).generation();
    world.tick += 1;
    world
        .health
        .set(world.topology.endpoints[0].id.clone(), EndpointState::Down);
    assert_eq!(
        compile(&world).generation(),
        generation,
        "a health change changes no decision"
    );
    with_policy(&mut world, |policy| policy.when_none = WhenNone::Closed);
    assert_ne!(compile(&world).generation(), generation);
}

#[test]
fn distances_agree_with_haversine() {
    let world = world();
    let context = Context::new(&world);
    let classes = world.classes.classes();
    let rows = context.rows(0..classes.len());
    for (at, class) in classes.iter().enumerate() {
        for (region, km) in world.topology.regions.iter().zip(rows.of(at).km) {
            match &class.location {
                Some(location) => {
                    let exact = location.distance_km(&region.location.coordinates);
                    assert!((exact - f64::from(*km)).abs() < 15.0, "{exact} {km}");
                }
                None => assert!(km.is_nan()),
            }
        }
    }
}

#[test]
fn a_dead_region_is_left_and_comes_back_by_its_ramp() {
    let world = world();
    let plan = compile(&world);
    let bits = HealthBits::new(&plan, &world);
    let class = ClassId(5);
    let keys: Vec<ClientKey> = (0..4_000_u64)
        .map(|key| ClientKey(hash::mix(key)))
        .collect();
    let picks = || -> Vec<_> {
        keys.iter()
            .map(|key| plan.pick(NEAREST, class, *key, &bits).unwrap())
            .collect()
    };
    let usual = picks();
    let home = usual[0].region;
    assert!(
        usual
            .iter()
            .all(|pick| pick.region == home && pick.reason == Reason::Best)
    );
    let region: Vec<_> = world
        .topology
        .endpoints_in(home)
        .map(|(at, _)| at)
        .collect();
    for endpoint in &region {
        bits.set_endpoint(&plan, *endpoint, EndpointState::Down);
    }
    assert!(
        picks()
            .iter()
            .all(|pick| pick.region != home && pick.reason == Reason::Failover)
    );
    bits.set_region_ramp(home, Ratio::new(0.25).unwrap());
    for endpoint in &region {
        bits.set_endpoint(&plan, *endpoint, EndpointState::Up);
    }
    let back = picks().iter().filter(|pick| pick.region == home).count();
    assert!((900..1_100).contains(&back), "{back} of 4000 at 25 %");
    // Whoever is back has the endpoint of before.
    for (then, now) in usual.iter().zip(picks()) {
        assert!(now.region != home || now.endpoint == then.endpoint);
    }
    bits.set_region_ramp(home, Ratio::ONE);
    assert_eq!(picks(), usual);
}

#[test]
fn retries_leave_a_region_after_two_failures() {
    let world = world();
    let plan = compile(&world);
    let bits = HealthBits::new(&plan, &world);
    let (class, key) = (ClassId(5), ClientKey(1));
    let mut failed = Vec::new();
    let mut regions = Vec::new();
    for _ in 0..4 {
        let pick = plan
            .pick_excluding(NEAREST, class, key, &bits, &failed)
            .unwrap();
        failed.push(pick.endpoint);
        regions.push(pick.region);
    }
    assert_eq!(regions[0], regions[1]);
    assert_ne!(regions[1], regions[2]);
    assert_eq!(regions[2], regions[3]);
}

/// The propensity is the share of random keys, within the ring's balance.
#[test]
fn propensities_are_frequencies() {
    let world = world();
    let plan = compile(&world);
    let bits = HealthBits::new(&plan, &world);
    let service = ServiceIdx(3);
    const KEYS: u64 = 50_000;
    let mut counts: HashMap<_, (u64, f32)> = HashMap::new();
    for key in 0..KEYS {
        let pick = plan
            .pick(service, ClassId(7), ClientKey(hash::mix(key)), &bits)
            .unwrap();
        counts
            .entry(pick.endpoint)
            .or_insert((0, pick.propensity))
            .0 += 1;
    }
    for (count, propensity) in counts.values() {
        let frequency = *count as f32 / KEYS as f32;
        assert!(
            (frequency / propensity - 1.0).abs() < 0.25,
            "{frequency} {propensity}"
        );
    }
}

#[test]
fn full_regions_are_a_last_resort_or_out() {
    let mut world = world();
    for utilization in world.load.utilization.values_mut() {
        *utilization = 1.2;
    }
    let weighted = ServiceIdx(1);
    let plan = compile(&world);
    let bits = HealthBits::new(&plan, &world);
    let pick = plan
        .pick(weighted, ClassId(3), ClientKey(3), &bits)
        .unwrap();
    assert_eq!(pick.reason, Reason::LastResort);
    with_policy(&mut world, |policy| policy.when_none = WhenNone::Closed);
    let plan = compile(&world);
    let bits = HealthBits::new(&plan, &world);
    assert_eq!(plan.pick(weighted, ClassId(3), ClientKey(3), &bits), None);
}

/// Eight services: endpoint n of every region serves services n and n + 4, all by one policy.
fn own_machines() -> World {
    let mut world = synthetic::world(12, 4, 8, 30, 3);
    let mut topology = (*world.topology).clone();
    let policy = topology.services[1].policy.clone();
    for service in &mut topology.services {
        service.policy = policy.clone();
    }
    for (at, endpoint) in topology.endpoints.iter_mut().enumerate() {
        let machine = (at % 4) as u16;
        endpoint.services = vec![ServiceIdx(machine), ServiceIdx(machine + 4)];
        endpoint.compliance.clear();
    }
    world.topology = Arc::new(topology);
    world
}

#[test]
fn services_that_rank_alike_share_a_row() {
    let world = own_machines();
    let plan = compile(&world);
    assert_eq!(plan.row_count(), 1, "one policy, the same regions");
    assert_eq!(plan.service_pools.len(), 4 * 12, "twins share their pools");
    let bits = HealthBits::new(&plan, &world);
    for service in 0..8_u16 {
        for class in 0..31 {
            let key = ClientKey(hash::mix(u64::from(service) << 32 | class));
            let pick = plan
                .pick(ServiceIdx(service), ClassId(class as u32), key, &bits)
                .unwrap();
            // Every service on its own machines.
            assert_eq!(pick.endpoint.index() % 4, usize::from(service % 4));
        }
    }
}

#[test]
fn a_service_that_ranks_otherwise_has_its_own_row() {
    let mut world = own_machines();
    let mut topology = (*world.topology).clone();
    // Service 2's machine in region 0 has a price of its own; its twin, service 6, leaves region 1.
    let mut cost = topology.regions[0].cost;
    cost.request = meridian_topology::units::UsdPerMillionRequests::new(99.0).unwrap();
    topology.endpoints[2].cost = Some(cost);
    topology.endpoints[6].services = vec![ServiceIdx(2)];
    // Another weight of the only machine changes nothing where one region takes all clients.
    topology.endpoints[1].weight = Weight(7);
    world.topology = Arc::new(topology);
    let plan = compile(&world);
    assert_eq!(plan.row_count(), 3);
    assert_eq!(
        plan.row_number(ServiceIdx(1)),
        plan.row_number(ServiceIdx(3))
    );
    assert!(
        plan.candidates(ServiceIdx(6), ClassId(3))
            .all(|endpoint| endpoint != EndpointIdx(6))
    );
}

/// A row is what the service would have alone.
#[test]
fn shared_rows_decide_as_single_compiles_do() {
    for world in [own_machines(), world()] {
        let plan = compile(&world);
        let bits = HealthBits::new(&plan, &world);
        for service in (0..world.topology.services.len()).map(|at| ServiceIdx(at as u16)) {
            for class in (0..31).map(ClassId) {
                let alone = compile_one(&world, service, class, &mut crate::recorder::Silent);
                let alone_bits = HealthBits::new(&alone, &world);
                assert_eq!(
                    plan.shares(service, class, &bits),
                    alone.shares(service, ClassId(0), &alone_bits),
                    "{service:?} {class:?}"
                );
            }
        }
    }
}
