//! The data path and `explain` agree, for ten thousand random worlds and clients.

use meridian_engine::explain::{Client, Query, Surface};
use meridian_engine::{HealthBits, compile, explain};

use crate::worlds::{Chance, client, random_world};

const WORLDS: u64 = 10_000;

#[test]
fn explain_and_the_data_path_agree() {
    let mut served = 0;
    for seed in 0..WORLDS {
        let world = random_world(seed);
        let plan = compile(&world);
        let bits = HealthBits::new(&plan, &world);
        let mut chance = Chance::new(seed ^ 0xa93e);
        let address = client(&mut chance);
        let service = &world.topology.services[chance.below(world.topology.services.len())];
        let index = plan.service(&service.id).unwrap();
        let class = world.classes.lookup(address).class;
        let pick = plan.pick(index, class, plan.client_key(index, address), &bits);
        let query = Query {
            service: service.id.clone(),
            client: Client::Address(address),
            surface: Surface::Dns,
            family: None,
            key: None,
            plan_generation: Some(plan.generation()),
        };
        let explanation = explain(&world, &query).unwrap();
        let picked = pick.map(|pick| {
            let endpoint = &world.topology.endpoints[pick.endpoint.index()];
            (endpoint.id.clone(), pick.reason, f64::from(pick.propensity))
        });
        let chosen = explanation
            .choice
            .map(|c| (c.endpoint, c.reason, c.propensity));
        assert_eq!(picked, chosen, "seed {seed}");
        // Who is served has a share, and who has none is not served.
        match &picked {
            Some((endpoint, ..)) => {
                served += 1;
                let share = explanation
                    .picks
                    .iter()
                    .find(|pick| pick.endpoint == *endpoint);
                assert!(share.is_some_and(|share| share.weight > 0.0), "seed {seed}");
                assert_eq!(explanation.fallback, None, "seed {seed}");
            }
            None => assert!(explanation.fallback.is_some(), "seed {seed}"),
        }
    }
    // The generator makes worlds in which most clients find somebody and many do not.
    assert!(
        (WORLDS / 4..WORLDS * 9 / 10).contains(&served),
        "{served} served"
    );
}
