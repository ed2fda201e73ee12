use std::thread;

use super::*;
use crate::{compile, synthetic};

/// Whatever order writers come in, the pools' sums are right once they rest.
#[test]
fn concurrent_writers_leave_true_sums() {
    const ENDPOINTS: u32 = 40;
    let world = synthetic::world(4, 10, 3, 5, 1);
    let plan = compile(&world);
    let bits = HealthBits::new(&plan, &world);
    thread::scope(|scope| {
        for writer in 0..4_u32 {
            let (plan, bits) = (&plan, &bits);
            scope.spawn(move || {
                for round in 0..2_000_u32 {
                    let endpoint = EndpointIdx((round * 7 + writer) % ENDPOINTS);
                    let state = [EndpointState::Up, EndpointState::Down][(round / 3 % 2) as usize];
                    bits.set_endpoint(plan, endpoint, state);
                    let drain = [Drain::Serving, Drain::Draining][(round / 5 % 2) as usize];
                    bits.set_endpoint_drain(plan, endpoint, drain);
                }
            });
        }
    });
    for (at, pool) in plan.pools.iter().enumerate() {
        let living = plan
            .rings
            .members(pool)
            .filter(|member| bits.is_available(*member));
        let points: u32 = living
            .map(|member| plan.endpoint_points[member.index()])
            .sum();
        assert_eq!(bits.live_points(at as u32), points);
    }
}

#[test]
fn causes_are_independent() {
    let world = synthetic::world(2, 3, 1, 1, 1);
    let plan = compile(&world);
    let bits = HealthBits::new(&plan, &world);
    let endpoint = EndpointIdx(4);
    bits.set_endpoint(&plan, endpoint, EndpointState::Down);
    bits.set_region_drain(&plan, RegionIdx(1), Drain::Draining);
    bits.set_endpoint(&plan, endpoint, EndpointState::Up);
    assert!(!bits.is_available(endpoint), "its region is drained");
    bits.set_region_drain(&plan, RegionIdx(1), Drain::Serving);
    assert!(bits.is_available(endpoint));
    assert!(bits.is_available(EndpointIdx(0)));
    // Beyond the topology: nobody there.
    bits.set_endpoint(&plan, EndpointIdx(99), EndpointState::Up);
    assert!(!bits.is_available(EndpointIdx(99)));
}
