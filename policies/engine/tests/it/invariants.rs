//! Properties of every decision, over random worlds.

use std::collections::BTreeSet;
use std::sync::Arc;

use meridian_engine::plan::MAX_ANSWERS;
use meridian_engine::policy::Wall;
use meridian_engine::{
    ClassId, ClientKey, EndpointState, Family, HealthBits, Pick, Plan, Reason, Wanted, World,
    compile,
};
use meridian_topology::{EndpointIdx, Place, ServiceIdx, Topology};
use proptest::prelude::*;

use crate::worlds::{Chance, disturb, random_world};

const KEYS: u64 = 40;
/// Keys that are followed through all their retries.
const RETRIED_KEYS: u64 = 6;

fn services(world: &World) -> impl Iterator<Item = ServiceIdx> {
    (0..world.topology.services.len()).map(|at| ServiceIdx(at as u16))
}

fn classes(world: &World) -> impl Iterator<Item = ClassId> {
    (0..world.classes.classes().len()).map(|at| ClassId(at as u32))
}

/// Whether the policy's walls let a client of the class go to the endpoint: read off the policy, with
/// none of the engine's code but the condition.
fn allowed(world: &World, service: ServiceIdx, class: ClassId, endpoint: EndpointIdx) -> bool {
    let endpoint = &world.topology.endpoints[endpoint.index()];
    let region = &world.topology.regions[endpoint.region.index()];
    let policy = &world.topology.services[service.index()].policy;
    let policy = world.policies.get(policy).unwrap();
    let client = world.classes.class(class);
    let country = region.location.country.country().unwrap();
    let applying = policy
        .eligible
        .iter()
        .filter(|eligible| eligible.when.applies(client));
    let mut walls = applying.map(|eligible| match &eligible.wall {
        Wall::Compliance { require, within } => {
            let labelled = require.iter().all(|label| {
                endpoint.compliance.contains(label) || region.compliance.contains(label)
            });
            let inside = within.iter().any(|place| match place {
                Place::Eu => country.eu,
                Place::Eea => country.eea,
                Place::Continent(continent) => country.continent == *continent,
                Place::Country(code) => region.location.country == *code,
                Place::Provider(provider) => region.location.provider == *provider,
                Place::Asn(_) | Place::Group(_) => false,
            });
            labelled && (within.is_empty() || inside)
        }
        Wall::Provider { forbid, .. } => !forbid.contains(&region.location.provider),
        Wall::Regions { only, never, .. } => {
            (only.is_empty() || only.contains(&region.id)) && !never.contains(&region.id)
        }
    });
    endpoint.services.contains(&service) && walls.all(|passes| passes)
}

/// Everything that can be asked of a plan, for many keys.
fn all_picks(plan: &Plan, service: ServiceIdx, class: ClassId, bits: &HealthBits) -> Vec<Pick> {
    let mut picks = Vec::new();
    for key in 0..RETRIED_KEYS {
        let key = ClientKey::from_bytes(&key.to_le_bytes());
        let mut failed = Vec::new();
        while let Some(pick) = plan.pick_excluding(service, class, key, bits, &failed) {
            failed.push(pick.endpoint);
            picks.push(pick);
        }
        let Some(first) = picks.first().copied() else {
            break;
        };
        let mut many = [first; 4];
        let found = plan.pick_many(service, class, key, bits, &mut many);
        picks.extend_from_slice(&many[..found]);
        for family in Family::ALL {
            let wanted = Wanted::up_to(4).of(family);
            let found = plan.pick_many_of(service, class, key, bits, wanted, &mut many);
            picks.extend_from_slice(&many[..found.count()]);
        }
    }
    picks
}

/// The passes of a pick, strictest first.
fn rank(reason: Reason) -> usize {
    let passes: [&[Reason]; 4] = [
        &[Reason::Best, Reason::Spread, Reason::Failover],
        &[Reason::Panic],
        &[Reason::LastResort],
        &[Reason::IgnoringHealth],
    ];
    passes
        .iter()
        .position(|pass| pass.contains(&reason))
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Invariant 5: under no health, load, ramp, drain or score does a pick, a retry or a multi-value
    /// answer leave the wall, and each is one of the plan's candidates.
    #[test]
    fn compliance_is_a_wall(seed in any::<u64>()) {
        let mut world = random_world(seed);
        let plan = compile(&world);
        let mut chance = Chance::new(seed);
        for _ in 0..3 {
            // The plan stays while the world's health goes elsewhere.
            disturb(&mut world, &mut chance);
            let bits = HealthBits::new(&plan, &world);
            for service in services(&world) {
                for class in classes(&world) {
                    let candidates: BTreeSet<EndpointIdx> = plan.candidates(service, class).collect();
                    for pick in all_picks(&plan, service, class, &bits) {
                        prop_assert!(allowed(&world, service, class, pick.endpoint));
                        prop_assert!(candidates.contains(&pick.endpoint));
                        prop_assert!(pick.propensity > 0.0 && pick.propensity <= 1.0);
                    }
                    for (endpoint, share) in plan.shares(service, class, &bits) {
                        prop_assert!(allowed(&world, service, class, endpoint));
                        prop_assert!(share > 0.0 && share <= 1.0 + 1e-5);
                    }
                }
            }
        }
    }

    /// Only the dead are avoided: a pick serves unless the policy ignores health, and nobody is turned
    /// away while a candidate lives.
    #[test]
    fn the_living_serve(seed in any::<u64>()) {
        let world = random_world(seed);
        let plan = compile(&world);
        let bits = HealthBits::new(&plan, &world);
        for service in services(&world) {
            for class in classes(&world) {
                let someone = plan.candidates(service, class).any(|e| bits.is_available(e));
                let pick = plan.pick(service, class, ClientKey(seed), &bits);
                if someone {
                    prop_assert!(pick.is_some_and(|pick| bits.is_available(pick.endpoint)));
                } else if let Some(pick) = pick {
                    prop_assert_eq!(pick.reason, Reason::IgnoringHealth);
                }
                let shares: f32 = plan.shares(service, class, &bits).iter().map(|(_, s)| s).sum();
                prop_assert!(pick.is_none() || (shares - 1.0).abs() < 1e-3, "{}", shares);
            }
        }
    }

    /// A multi-value answer holds nobody worse than its first: a client may use any of them.
    #[test]
    fn answers_are_as_good_as_their_first(seed in any::<u64>()) {
        let mut world = random_world(seed);
        let plan = compile(&world);
        disturb(&mut world, &mut Chance::new(seed));
        let bits = HealthBits::new(&plan, &world);
        for service in services(&world) {
            for class in classes(&world) {
                let Some(first) = plan.pick(service, class, ClientKey(seed), &bits) else {
                    continue;
                };
                let mut many = [first; MAX_ANSWERS];
                let found = plan.pick_many(service, class, ClientKey(seed), &bits, &mut many);
                prop_assert_eq!(many[..found].first(), Some(&first));
                for pick in &many[..found] {
                    prop_assert!(bits.is_available(pick.endpoint) || !bits.is_available(first.endpoint));
                    prop_assert!(rank(pick.reason) <= rank(first.reason), "{:?} {:?}", first, pick);
                }
            }
        }
    }

    /// Equal worlds make equal plans, and equal questions get equal answers.
    #[test]
    fn picks_replay(seed in any::<u64>()) {
        let (one, other) = (random_world(seed), random_world(seed));
        let (plan, again) = (compile(&one), compile(&other));
        prop_assert_eq!(&plan, &again);
        let (bits, same_bits) = (HealthBits::new(&plan, &one), HealthBits::new(&again, &other));
        for service in services(&one) {
            for class in classes(&one) {
                let ask = |plan: &Plan, bits| plan.pick(service, class, ClientKey(seed), bits);
                prop_assert_eq!(ask(&plan, &bits), ask(&again, &same_bits));
            }
        }
    }

    /// Flipping health bits one by one ends where starting from the flipped world does.
    #[test]
    fn health_bits_follow_the_world(seed in any::<u64>()) {
        let mut world = random_world(seed);
        world.health.down.clear();
        world.health.ramp.clear();
        let plan = compile(&world);
        let bits = HealthBits::new(&plan, &world);
        let mut chance = Chance::new(seed);
        for at in 0..world.topology.endpoints.len() {
            for _ in 0..3 {
                let state = chance.one_of(&[EndpointState::Up, EndpointState::Down]);
                bits.set_endpoint(&plan, EndpointIdx(at as u32), state);
                world.health.set(world.topology.endpoints[at].id.clone(), state);
            }
        }
        let fresh = HealthBits::new(&plan, &world);
        for service in services(&world) {
            for class in classes(&world) {
                let ask = |bits| plan.pick(service, class, ClientKey(seed), bits);
                prop_assert_eq!(ask(&bits), ask(&fresh));
            }
        }
    }

    /// An endpoint that fails or is removed moves its own clients and nobody else's, and both ways
    /// move them to the same place.
    #[test]
    fn removing_one_endpoint_moves_only_its_clients(seed in any::<u64>(), at in any::<prop::sample::Index>()) {
        let mut world = calm(random_world(seed));
        prop_assume!(world.topology.endpoints.len() > 1);
        let gone = at.index(world.topology.endpoints.len());
        let gone_id = world.topology.endpoints[gone].id.clone();
        let plan = compile(&world);
        let before = HealthBits::new(&plan, &world);
        let after = HealthBits::new(&plan, &world);
        after.set_endpoint(&plan, EndpointIdx(gone as u32), EndpointState::Down);
        let smaller = without(&world, gone);
        let removed_plan = compile(&smaller);
        let removed_bits = HealthBits::new(&removed_plan, &smaller);
        let name = |topology: &Topology, pick: Option<Pick>| {
            pick.map(|pick| topology.endpoints[pick.endpoint.index()].id.clone())
        };
        for service in services(&world) {
            for class in classes(&world) {
                for key in (0..KEYS).map(|key| ClientKey::from_bytes(&key.to_le_bytes())) {
                    let first = name(&world.topology, plan.pick(service, class, key, &before));
                    let failed = name(&world.topology, plan.pick(service, class, key, &after));
                    let removed = removed_plan.pick(service, class, key, &removed_bits);
                    let removed = name(&smaller.topology, removed);
                    if first != Some(gone_id.clone()) {
                        prop_assert_eq!(&first, &failed);
                    }
                    prop_assert_ne!(&failed, &Some(gone_id.clone()));
                    // A region that loses its last endpoint leaves the topology's routes altogether.
                    prop_assert_eq!(&failed, &removed);
                }
            }
        }
        world.tick += 1;
    }
}

/// All up, idle, below nine regions (a route holds eight), no thresholds, and nothing whose value
/// depends on which endpoints a region has.
fn calm(mut world: World) -> World {
    let mut topology = (*world.topology).clone();
    topology.regions.truncate(8);
    let regions = topology.regions.len();
    topology
        .endpoints
        .retain(|endpoint| endpoint.region.index() < regions);
    for region in &mut topology.regions {
        region.drain = meridian_topology::model::Drain::Serving;
    }
    let ids: BTreeSet<_> = topology
        .regions
        .iter()
        .map(|region| region.id.clone())
        .collect();
    let policies = world.policies.policies().iter().map(|policy| {
        let mut policy = policy.clone();
        policy.failover = Default::default();
        policy.spread.split = meridian_engine::policy::Split::Equal;
        policy.spread.best_within = meridian_topology::units::Millis(0);
        policy.spread.at_most = 1;
        policy.spread.weights.retain(|(id, _)| ids.contains(id));
        policy.when_none = meridian_engine::policy::WhenNone::Closed;
        policy
    });
    world.policies = Arc::new(meridian_engine::PolicySet::new(
        policies.collect::<Vec<_>>(),
    ));
    world.topology = Arc::new(topology);
    world.health = Default::default();
    world.load = Default::default();
    world.admin = Default::default();
    world
}

fn without(world: &World, endpoint: usize) -> World {
    let mut smaller = world.clone();
    let mut topology = (*world.topology).clone();
    topology.endpoints.remove(endpoint);
    smaller.topology = Arc::new(topology);
    smaller
}
