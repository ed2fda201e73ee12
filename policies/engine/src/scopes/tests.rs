use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::*;
use crate::synthetic;

proptest! {
    #[test]
    fn marks_find_their_neighbours(
        changes in prop::collection::btree_set(1_usize..9_000, 0..40),
        len in 1_usize..9_000,
        asked in prop::collection::vec(any::<prop::sample::Index>(), 20),
    ) {
        let mut set: BTreeSet<usize> = changes.into_iter().filter(|at| *at < len).collect();
        set.insert(0);
        let mut value = 0;
        let marks = Marks::of_changes((0..len).map(|at| {
            value += u32::from(set.contains(&at));
            value
        }));
        let bytes: usize = marks.levels.iter().map(|level| level.len() * 8).sum();
        prop_assert_eq!(bytes, Marks::bytes_for(len));
        for asked in asked {
            let at = asked.index(len);
            prop_assert_eq!(marks.at_or_before(at), set.range(..=at).next_back().copied());
            prop_assert_eq!(marks.after(at), set.range(at + 1..).next().copied());
        }
    }
}

/// Services of one policy share a cover, and covers merge classes.
#[test]
fn services_of_equal_division_share_a_cover() {
    let world = synthetic::world(8, 2, 40, 500, 5);
    let plan = crate::compile(&world);
    let scopes = Scopes::build(&plan, &world.classes, COVER_BYTES_MAX);
    let (covers, bytes) = scopes.size();
    // Four policies, two ways to merge; some of them coincide.
    assert!((2..=8).contains(&covers), "{covers} covers");
    assert_eq!(
        bytes,
        covers * (Marks::bytes_for(world.classes.range_counts().0) + 8)
    );
    let longer = |merge| {
        let own = |class| {
            let address = synthetic::address_of(class);
            let own = world.classes.lookup(address);
            let merged = scopes.prefix_len(ServiceIdx(0), merge, &world.classes, address, own);
            assert!(merged <= own.prefix_len, "merging never splits");
            merged < own.prefix_len
        };
        (0..500).filter(|class| own(*class)).count()
    };
    // Service 0 goes to the nearest region: neighbouring places of one country often share it.
    let (by_spread, by_route) = (longer(Merge::Spread), longer(Merge::Route));
    assert!(
        by_spread > 20 && by_spread >= by_route,
        "{by_spread} {by_route}"
    );
}

/// Beyond the memory granted, scopes are those of the classes.
#[test]
fn without_memory_the_class_itself_is_the_scope() {
    let world = synthetic::world(8, 2, 4, 100, 5);
    let plan = crate::compile(&world);
    let scopes = Scopes::build(&plan, &world.classes, 0);
    assert_eq!(scopes.size(), (0, 0));
    for bits in [0_u32, 0x0100_0007, 0x0100_2007, u32::MAX] {
        let address = IpAddr::V4(Ipv4Addr::from_bits(bits));
        let found = world.classes.lookup(address);
        for merge in Merge::ALL {
            let scope = scopes.prefix_len(ServiceIdx(1), merge, &world.classes, address, found);
            assert_eq!(scope, found.prefix_len);
        }
    }
}
