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
