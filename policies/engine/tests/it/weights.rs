//! A weight that changes moves the clients that must move, and nobody else.

use std::sync::Arc;

use meridian_engine::policy::{Failover, Policy, PolicySet, Spread, WhenNone};
use meridian_engine::{ClassId, ClientKey, HealthBits, World, compile, synthetic};
use meridian_topology::units::Weight;
use meridian_topology::{EndpointId, RegionId, ServiceIdx};
use proptest::prelude::*;

const KEYS: u64 = 4_000;
/// Clients beyond the share that must move: sampling error of [`KEYS`] draws, four deviations.
const SAMPLING: f64 = 0.032;

/// Six regions of five endpoints, shared by these weights.
fn world(shares: &[u16]) -> World {
    let mut world = synthetic::world(6, 5, 1, 4, 11);
    let id = world.topology.services[0].policy.clone();
    let regions = world.topology.regions.iter().zip(shares);
    let weights: Vec<(RegionId, u16)> = regions.map(|(r, share)| (r.id.clone(), *share)).collect();
    let policy = Policy {
        spread: Spread {
            weights,
            ..Spread::default()
        },
        failover: Failover::default(),
        when_none: WhenNone::Closed,
        ..Policy::nearest(id)
    };
    world.policies = Arc::new(PolicySet::new([policy]));
    world
}

/// Where each key goes: region and endpoint.
fn placed(world: &World) -> Vec<(RegionId, EndpointId)> {
    let plan = compile(world);
    let bits = HealthBits::new(&plan, world);
    let pick = |key: u64| {
        let key = ClientKey::from_bytes(&key.to_le_bytes());
        let pick = plan.pick(ServiceIdx(0), ClassId(1), key, &bits).unwrap();
        let endpoint = &world.topology.endpoints[pick.endpoint.index()];
        (
            world.topology.regions[pick.region.index()].id.clone(),
            endpoint.id.clone(),
        )
    };
    (0..KEYS).map(pick).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Regions: more weight draws clients to the region from all others and moves nobody between
    /// them; less sends its own away; either way by the difference of its shares.
    #[test]
    fn a_region_s_weight_moves_only_its_own_share(
        shares in prop::collection::vec(1_u16..=10_000, 2..=6),
        at in any::<prop::sample::Index>(),
        to in 1_u16..=10_000,
    ) {
        let at = at.index(shares.len());
        let mut changed = shares.clone();
        changed[at] = to;
        let (old, new) = (world(&shares), world(&changed));
        let subject = &old.topology.regions[at].id;
        let (before, after) = (placed(&old), placed(&new));
        let mut moved = 0;
        for ((region_then, endpoint_then), (region_now, endpoint_now)) in before.iter().zip(&after) {
            if region_then == region_now {
                prop_assert_eq!(endpoint_then, endpoint_now, "moved inside its region");
                continue;
            }
            moved += 1;
            let (there, gone) = if to > shares[at] { (region_now, region_then) } else { (region_then, region_now) };
            prop_assert_eq!(there, subject);
            prop_assert_ne!(gone, subject);
        }
        let part = |shares: &[u16]| {
            f64::from(shares[at]) / shares.iter().map(|share| f64::from(*share)).sum::<f64>()
        };
        let must = (part(&changed) - part(&shares)).abs();
        let did = f64::from(moved) / KEYS as f64;
        // Rendezvous takes logarithms by lines between powers of two, which bends shares a little.
        prop_assert!((did - must).abs() < SAMPLING + 0.06 * must, "{} moved, {} must", did, must);
    }

    /// Endpoints: the same inside a region.
    #[test]
    fn an_endpoint_s_weight_moves_only_its_own_share(from in 10_u16..=300, to in 10_u16..=300) {
        let weighted = |weight: u16| {
            let mut world = world(&[1]);
            let mut topology = (*world.topology).clone();
            topology.endpoints[0].weight = Weight(weight);
            world.topology = Arc::new(topology);
            world
        };
        let (old, new) = (weighted(from), weighted(to));
        let subject = &old.topology.endpoints[0].id;
        for ((_, then), (_, now)) in placed(&old).iter().zip(&placed(&new)) {
            if then != now {
                prop_assert_eq!(if to > from { now } else { then }, subject);
            }
        }
    }
}
