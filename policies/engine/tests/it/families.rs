//! Picks among the endpoints of one address family, and answers of several.

use meridian_engine::explain::{Client, Query, Surface};
use meridian_engine::plan::MAX_ANSWERS;
use meridian_engine::{
    ClassId, ClientKey, Family, HealthBits, Pick, Plan, Wanted, World, compile, explain,
};
use meridian_topology::{EndpointIdx, ServiceIdx};
use proptest::prelude::*;

use crate::worlds::{Chance, client, disturb, random_world};

fn family_of(world: &World, endpoint: EndpointIdx) -> Family {
    Family::of(world.topology.endpoints[endpoint.index()].address)
}

/// A pick to fill arrays with.
fn blank() -> Pick {
    Pick {
        endpoint: EndpointIdx(0),
        region: meridian_topology::RegionIdx(0),
        propensity: 0.0,
        reason: meridian_engine::Reason::Best,
    }
}

fn each(world: &World, plan: &Plan, mut check: impl FnMut(ServiceIdx, ClassId)) {
    for service in 0..world.topology.services.len() {
        for class in 0..plan.classes() {
            check(ServiceIdx(service as u16), ClassId(class as u32));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// A family that has a usable endpoint on the client's route is never answered with nothing; who
    /// is picked is of the family, alive, and the same for `pick_of` and `pick_many_of`.
    #[test]
    fn a_family_with_a_usable_endpoint_is_answered(seed in any::<u64>()) {
        let mut world = random_world(seed);
        let plan = compile(&world);
        disturb(&mut world, &mut Chance::new(seed));
        let bits = HealthBits::new(&plan, &world);
        let key = ClientKey(seed);
        each(&world, &plan, |service, class| {
            for family in Family::ALL {
                let mut of_family = plan
                    .candidates(service, class)
                    .filter(|endpoint| family_of(&world, *endpoint) == family);
                let usable = of_family.any(|endpoint| bits.is_available(endpoint));
                let pick = plan.pick_of(service, class, key, &bits, family);
                if usable {
                    let pick = pick.unwrap();
                    assert!(bits.is_available(pick.endpoint));
                    assert!(pick.propensity > 0.0 && pick.propensity <= 1.0);
                }
                let mut many = [blank(); MAX_ANSWERS];
                let wanted = Wanted::up_to(MAX_ANSWERS).of(family);
                let found = plan.pick_many_of(service, class, key, &bits, wanted, &mut many);
                assert_eq!(many[..found.count()].first().copied(), pick);
                for pick in &many[..found.count()] {
                    assert_eq!(family_of(&world, pick.endpoint), family);
                }
                let shares = plan.shares_of(service, class, &bits, family);
                for (endpoint, share) in &shares {
                    assert!(family_of(&world, *endpoint) == family && *share > 0.0);
                }
                assert_eq!(shares.is_empty(), pick.is_none());
            }
        });
    }

    /// A plan that was compiled when everything lived has somebody of each family that the service has
    /// inside the walls, in however many regions: a route keeps a place for each.
    #[test]
    fn routes_hold_every_family(seed in any::<u64>()) {
        let mut world = random_world(seed);
        world.health.down.clear();
        world.admin = Default::default();
        world.load = Default::default();
        let plan = compile(&world);
        each(&world, &plan, |service, class| {
            let picked = |world: &World, plan: &Plan, family| {
                let bits = HealthBits::new(plan, world);
                plan.pick_of(service, class, ClientKey(seed), &bits, family)
            };
            for family in Family::ALL {
                // Without the other family there is no competition for places.
                let mut alone = world.clone();
                let mut topology = (*world.topology).clone();
                for (at, endpoint) in topology.endpoints.iter_mut().enumerate() {
                    if family_of(&world, EndpointIdx(at as u32)) != family {
                        endpoint.weight = meridian_topology::Weight(0);
                    }
                }
                alone.topology = std::sync::Arc::new(topology);
                let somebody = picked(&alone, &compile(&alone), family).is_some();
                assert_eq!(picked(&world, &plan, family).is_some(), somebody, "{family:?}");
            }
        });
    }

    /// With `at_least`, an answer holds all that its first region has, others only while it is short.
    #[test]
    fn an_answer_stays_where_it_began_unless_it_is_short(seed in any::<u64>(), least in 1_usize..4) {
        let mut world = random_world(seed);
        let plan = compile(&world);
        disturb(&mut world, &mut Chance::new(seed));
        let bits = HealthBits::new(&plan, &world);
        let key = ClientKey(seed);
        each(&world, &plan, |service, class| {
            let (mut full, mut short) = ([blank(); MAX_ANSWERS], [blank(); MAX_ANSWERS]);
            let wanted = Wanted::up_to(MAX_ANSWERS);
            let all = plan.pick_many_of(service, class, key, &bits, wanted, &mut full);
            let wanted = Wanted { at_least: least, ..wanted };
            let some = plan.pick_many_of(service, class, key, &bits, wanted, &mut short);
            assert!(some.count() <= all.count() && some.count() >= least.min(all.count()));
            // The same endpoints in the same order, as far as the regions are used.
            let head = least.min(all.count());
            assert_eq!(&full[..head], &short[..head]);
            for pick in &short[head..some.count()] {
                assert!(short[..head].iter().any(|first| first.region == pick.region));
            }
            let own = |picks: &[Pick]| {
                let of_first = picks.iter().filter(|pick| pick.region == full[0].region);
                of_first.map(|pick| pick.endpoint).collect::<Vec<_>>()
            };
            if all.count() > 0 && all.count() < MAX_ANSWERS {
                assert_eq!(own(&full[..all.count()]), own(&short[..some.count()]));
            }
        });
    }
}

/// What is explained for a family is what is picked for it.
#[test]
fn explanations_of_a_family_agree_with_its_picks() {
    let mut served = 0;
    for seed in 0..1_000 {
        let world = random_world(seed);
        let plan = compile(&world);
        let bits = HealthBits::new(&plan, &world);
        let mut chance = Chance::new(seed ^ 0xfa01);
        let address = client(&mut chance);
        let service = &world.topology.services[chance.below(world.topology.services.len())];
        let index = plan.service(&service.id).unwrap();
        let class = world.classes.lookup(address).class;
        for family in Family::ALL {
            let key = plan.client_key(index, address);
            let pick = plan.pick_of(index, class, key, &bits, family);
            let query = Query {
                service: service.id.clone(),
                client: Client::Address(address),
                surface: Surface::Dns,
                family: Some(family),
                key: None,
                plan_generation: None,
            };
            let explained = explain(&world, &query).unwrap();
            let picked = pick.map(|pick| {
                let endpoint = &world.topology.endpoints[pick.endpoint.index()];
                (endpoint.id.clone(), pick.reason, f64::from(pick.propensity))
            });
            let chosen = explained
                .choice
                .map(|c| (c.endpoint, c.reason, c.propensity));
            assert_eq!(picked, chosen, "seed {seed} {family:?}");
            served += usize::from(picked.is_some());
        }
    }
    assert!(served > 300, "{served} served");
}
