use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};
use proptest::prelude::*;

use super::ranges::flatten;
use super::*;

fn asn(number: u32) -> ClientClass {
    ClientClass {
        asn: Some(number),
        ..ClientClass::default()
    }
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn table(nets: &[(&str, u32)]) -> ClassTable {
    let mut builder = ClassTableBuilder::new();
    for (text, number) in nets {
        builder.insert(net(text), asn(*number)).unwrap();
    }
    builder.build().unwrap()
}

#[test]
fn the_longest_prefix_wins_and_says_how_far_it_holds() {
    let table = table(&[
        ("10.0.0.0/8", 1),
        ("10.1.0.0/16", 2),
        ("10.1.2.0/24", 3),
        ("10.1.2.3/32", 4),
        ("255.255.255.255/32", 5),
        ("2001:db8::/32", 6),
        ("2001:db8:1::/48", 7),
    ]);
    let check = |address: &str, number: Option<u32>, prefix_len: u8| {
        let found = table.lookup(address.parse().unwrap());
        assert_eq!(table.class(found.class).asn, number, "{address}");
        assert_eq!(found.prefix_len, prefix_len, "{address}");
    };
    check("10.200.0.1", Some(1), 9);
    check("10.1.200.1", Some(2), 17);
    check("10.1.2.200", Some(3), 25);
    check("10.1.2.3", Some(4), 32);
    check("10.1.2.2", Some(3), 32);
    check("0.0.0.0", None, 5);
    check("255.255.255.255", Some(5), 32);
    check("::ffff:10.1.2.3", Some(4), 32);
    check("2001:db8:1::9", Some(7), 48);
    check("2001:db8:0::9", Some(6), 48);
    check("2001:db8:2::9", Some(6), 47);
    check("::1", None, 3);
    assert_eq!(
        ClassTable::unknown()
            .lookup("1.2.3.4".parse().unwrap())
            .prefix_len,
        0
    );
}

#[test]
fn a_later_layer_wins_over_a_longer_prefix_and_may_amend() {
    let mut builder = ClassTableBuilder::new();
    let germany = ClientClass::default().in_country("DE".parse().unwrap());
    builder
        .insert(net("192.0.2.0/24"), germany.clone())
        .unwrap();
    builder.next_layer().unwrap();
    let office = ClassPatch {
        group: Some("office".parse().unwrap()),
        ..ClassPatch::default()
    };
    builder.amend(net("192.0.0.0/16"), office);
    let table = builder.build().unwrap();
    let class = |address: &str| {
        table
            .class(table.lookup(address.parse().unwrap()).class)
            .clone()
    };
    assert_eq!(class("192.0.2.1").country, germany.country);
    assert_eq!(
        class("192.0.2.1").group.as_ref().map(GroupId::as_str),
        Some("office")
    );
    assert_eq!(class("192.0.3.1").country, None);
    assert!(class("192.0.2.1").is_in(&Place::Eu));
    assert!(!class("192.1.0.1").is_in(&Place::Group("office".parse().unwrap())));
}

#[test]
fn another_country_forgets_the_location_below() {
    let germany = ClientClass::default().in_country("DE".parse().unwrap());
    let patch = ClassPatch {
        country: Some("JP".parse().unwrap()),
        ..ClassPatch::default()
    };
    let japan = patch.apply(&germany);
    assert_eq!(
        japan,
        ClientClass::default().in_country("JP".parse().unwrap())
    );
}

#[test]
fn a_table_goes_on_from_another() {
    let below = table(&[("10.0.0.0/8", 1), ("2001:db8::/32", 2)]);
    let mut builder = ClassTableBuilder::over(&below);
    builder.insert(net("10.1.0.0/16"), asn(3)).unwrap();
    let above = builder.build().unwrap();
    let asn_of = |table: &ClassTable, address: &str| {
        table
            .class(table.lookup(address.parse().unwrap()).class)
            .asn
    };
    for (address, number) in [("10.1.0.9", 3), ("10.2.0.9", 1), ("2001:db8::9", 2)] {
        assert_eq!(asn_of(&above, address), Some(number), "{address}");
    }
    // What was known keeps its number.
    assert_eq!(above.classes()[..3], below.classes()[..]);
    assert_eq!(ClassTableBuilder::over(&above).build().unwrap(), above);
}

#[test]
fn ranges_make_the_table_again_and_bad_ones_none() {
    let table = table(&[("10.0.0.0/8", 1), ("2001:db8::/32", 2)]);
    let again = |v4: (&[u32], &[u16])| {
        let v6 = (table.v6().starts.to_vec(), table.v6().classes.to_vec());
        ClassTable::from_ranges(table.classes().to_vec(), (v4.0.to_vec(), v4.1.to_vec()), v6)
    };
    let v4 = table.v4();
    assert_eq!(again((v4.starts, v4.classes)).unwrap(), table);
    for bad in [
        (&[][..], &[][..]),
        (&[1][..], &[0][..]),
        (&[0, 0][..], &[0, 1][..]),
        (&[0, 9, 5][..], &[0, 1, 0][..]),
        (&[0][..], &[3][..]),
        (&[0, 5][..], &[0][..]),
    ] {
        assert!(again(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn unsorted_ranges_are_refused() {
    let range = |a: &str, b: &str| (a.parse().unwrap(), b.parse().unwrap(), ClassId::UNKNOWN);
    let mut builder = ClassTableBuilder::new();
    let overlapping = [range("1.0.0.0", "1.0.0.9"), range("1.0.0.9", "1.0.0.20")];
    assert!(matches!(
        builder.layer_of_ranges(overlapping),
        Err(ClassError::Unsorted { .. })
    ));
    assert!(
        builder
            .layer_of_ranges([range("1.0.0.9", "1.0.0.0")])
            .is_err()
    );
}

#[test]
fn classes_are_bounded() {
    let mut builder = ClassTableBuilder::new();
    for number in 0..MAX_CLASSES as u32 - 1 {
        builder.intern(asn(number)).unwrap();
    }
    assert_eq!(
        builder.intern(asn(u32::MAX)),
        Err(ClassError::TooManyClasses)
    );
    assert!(builder.intern(asn(7)).is_ok());
}

/// A net under `10.0.0.0/24`'s last byte, so that nets collide often.
fn small_nets() -> impl Strategy<Value = Vec<(u8, u8)>> {
    prop::collection::vec((any::<u8>(), 24_u8..=32), 0..20)
}

proptest! {
    #[test]
    fn lookup_agrees_with_a_scan(nets in small_nets(), probe in any::<u8>()) {
        let nets: Vec<IpNet> = nets
            .iter()
            .map(|(byte, len)| net(&format!("10.0.0.{byte}/{len}")).trunc())
            .collect();
        let mut builder = ClassTableBuilder::new();
        for (number, net) in nets.iter().enumerate() {
            builder.insert(*net, asn(number as u32)).unwrap();
        }
        let table = builder.build().unwrap();
        let scan = |address: IpAddr| {
            let best = nets.iter().enumerate().filter(|(_, net)| net.contains(&address));
            best.max_by_key(|(at, net)| (net.prefix_len(), *at)).map(|(at, _)| at as u32)
        };
        let address = IpAddr::from([10, 0, 0, probe]);
        let found = table.lookup(address);
        prop_assert_eq!(table.class(found.class).asn, scan(address));
        // The scope is honest (everything inside agrees) and as short as it can be.
        let scope = IpNet::new(address, found.prefix_len).unwrap().trunc();
        for byte in 0..=u8::MAX {
            let other = IpAddr::from([10, 0, 0, byte]);
            if scope.contains(&other) {
                prop_assert_eq!(scan(other), scan(address));
            }
        }
        if found.prefix_len > 24 {
            let wider = IpNet::new(address, found.prefix_len - 1).unwrap().trunc();
            let differs = (0..=u8::MAX).map(|byte| IpAddr::from([10, 0, 0, byte]))
                .any(|other| wider.contains(&other) && scan(other) != scan(address));
            prop_assert!(differs);
        }
    }

    /// Nets of all lengths anywhere, asked at and around their edges: whole /16s, /24s, and less.
    #[test]
    fn lookup_agrees_with_a_scan_everywhere(
        nets in prop::collection::vec((any::<u32>(), 1_u8..=32), 1..40),
        probes in prop::collection::vec(any::<u32>(), 16),
    ) {
        let nets: Vec<Ipv4Net> = nets
            .iter()
            .map(|(bits, len)| Ipv4Net::new(Ipv4Addr::from_bits(*bits), *len).unwrap().trunc())
            .collect();
        let mut builder = ClassTableBuilder::new();
        for (number, net) in nets.iter().enumerate() {
            builder.insert(IpNet::V4(*net), asn(number as u32)).unwrap();
        }
        let table = builder.build().unwrap();
        let scan = |address: u32| {
            let address = Ipv4Addr::from_bits(address);
            let best = nets.iter().enumerate().filter(|(_, net)| net.contains(&address));
            best.max_by_key(|(at, net)| (net.prefix_len(), *at)).map(|(at, _)| at as u32)
        };
        let edges = nets.iter().flat_map(|net| {
            let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
            [first.wrapping_sub(1), first, last, last.wrapping_add(1)]
        });
        for probe in probes.into_iter().chain(edges) {
            let found = table.lookup(IpAddr::V4(Ipv4Addr::from_bits(probe)));
            prop_assert_eq!(table.class(found.class).asn, scan(probe));
            // Both ends of the scope agree, and one bit less would reach another class.
            let hosts = |len: u8| u32::MAX.checked_shr(u32::from(len)).unwrap_or(0);
            let scope = hosts(found.prefix_len);
            prop_assert_eq!(scan(probe & !scope), scan(probe));
            prop_assert_eq!(scan(probe | scope), scan(probe));
            if found.prefix_len > 0 {
                let wider = hosts(found.prefix_len - 1);
                let (low, high) = (probe & !wider, probe | wider);
                let differs = nets
                    .iter()
                    .flat_map(|net| [net.network().to_bits(), net.broadcast().to_bits()])
                    .flat_map(|edge| [edge.wrapping_sub(1), edge, edge.wrapping_add(1)])
                    .chain([low, high])
                    .any(|other| (low..=high).contains(&other) && scan(other) != scan(probe));
                prop_assert!(differs, "{probe:#x}/{}", found.prefix_len);
            }
        }
    }

    #[test]
    fn flattened_nets_are_sorted_and_disjoint(nets in small_nets()) {
        let nets = nets.iter().enumerate().map(|(at, (byte, len))| {
            let size = 1_u32 << (32 - len);
            let first = u32::from(*byte) & !(size - 1);
            (first, first + (size - 1), *len, at)
        }).collect();
        for pair in flatten(nets).windows(2) {
            prop_assert!(pair[0].last < pair[1].first);
        }
    }
}
