use super::*;
use crate::class::ClassId;

#[test]
fn worlds_have_the_size_asked_for_and_repeat() {
    let world = sized(
        Size {
            regions: 5,
            endpoints_per_region: 3,
            services: 6,
            classes: 40,
        },
        9,
    );
    assert_eq!(world.topology.regions.len(), 5);
    assert_eq!(world.topology.endpoints.len(), 15);
    assert_eq!(world.topology.services.len(), 6);
    assert_eq!(world.classes.classes().len(), 41);
    for class in [1, 17, 40] {
        assert_eq!(
            world.classes.lookup(address_of(class)).class,
            ClassId(class as u32)
        );
    }
    let again = sized(
        Size {
            regions: 5,
            endpoints_per_region: 3,
            services: 6,
            classes: 40,
        },
        9,
    );
    assert_eq!(crate::compile(&world), crate::compile(&again));
}

#[test]
fn tenants_share_no_machine_and_repeat() {
    let world = tenants(12, 600, 30, 7);
    assert_eq!(world.topology.services.len(), 600);
    for at in 0..600 {
        let service = ServiceIdx(at as u16);
        assert!(
            world.topology.endpoints_of(service).next().is_some(),
            "{at}"
        );
    }
    assert!(
        world
            .topology
            .endpoints
            .iter()
            .all(|endpoint| endpoint.services.len() == 1)
    );
    assert!(
        world
            .topology
            .endpoints
            .is_sorted_by_key(|endpoint| endpoint.region)
    );
    assert_eq!(world.topology, tenants(12, 600, 30, 7).topology);
    // Machines differ, decisions do not: far fewer rows than services.
    let plan = crate::compile(&world);
    assert!(plan.row_count() < 300, "{} rows", plan.row_count());
}
