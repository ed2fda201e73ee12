#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

use meridian_engine::class::ClassTableBuilder;
use proptest::prelude::*;

use super::*;

fn table(nets: &[(&str, &str)]) -> ClassTable {
    let mut builder = ClassTableBuilder::new();
    for (net, country) in nets {
        let class = ClientClass::default().in_country(country.parse().unwrap());
        builder.insert(net.parse().unwrap(), class).unwrap();
    }
    builder.build().unwrap()
}

#[test]
fn space_is_counted_by_country_and_class() {
    let before = table(&[("192.0.2.0/24", "DE"), ("2001:db8::/32", "DE")]);
    let after = table(&[
        ("192.0.2.0/25", "DE"),
        ("192.0.2.128/25", "FR"),
        ("198.51.100.0/24", "JP"),
    ]);
    let diff = diff(&before, &after, 2);
    let space = |v4_addresses, v6_48s, ranges| Space {
        v4_addresses,
        v6_48s,
        ranges,
    };
    assert_eq!(diff.changed, space(128 + 256, 1 << 16, 3));
    let countries: Vec<_> = diff
        .by_country
        .iter()
        .map(|moved| (moved.from.as_str(), moved.to.as_str(), moved.space))
        .collect();
    assert_eq!(
        countries,
        [
            ("unknown", "JP", space(256, 0, 1)),
            ("DE", "FR", space(128, 0, 1)),
            // A /32 is a smaller part of its family.
            ("DE", "unknown", space(0, 1 << 16, 1)),
        ]
    );
    assert_eq!(
        diff.by_field,
        [("country", diff.changed), ("location", diff.changed)]
    );
    assert_eq!(diff.by_class.len(), 2, "as many as asked for");
    assert_eq!(diff.ranges.len(), 2);
    assert_eq!(diff.ranges[0].first.to_string(), "192.0.2.128");
    assert_eq!(diff.ranges[0].last.to_string(), "192.0.2.255");
    assert!(super::diff(&after, &after, 9).is_empty());
}

/// Classes have other numbers in another table; only what they say counts.
#[test]
fn numbers_of_classes_do_not_count() {
    let before = table(&[("192.0.2.0/24", "DE"), ("198.51.100.0/24", "FR")]);
    let after = table(&[("198.51.100.0/24", "FR"), ("192.0.2.0/24", "DE")]);
    assert_ne!(before.classes(), after.classes());
    assert!(diff(&before, &after, 9).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Every address is in a changed range exactly when its class differs.
    #[test]
    fn ranges_are_what_differs(
        nets in prop::collection::vec((any::<u8>(), 24_u8..=32, 0..3_usize, any::<bool>()), 0..12),
    ) {
        let codes = ["DE", "FR", "JP"];
        let of = |second: bool| {
            let nets: Vec<_> = nets
                .iter()
                .filter(|(.., both)| *both || second)
                .map(|(byte, len, code, _)| (format!("10.0.0.{byte}/{len}"), codes[*code]))
                .collect();
            let nets: Vec<_> = nets.iter().map(|(net, code)| (net.as_str(), *code)).collect();
            table(&nets)
        };
        let (before, after) = (of(false), of(true));
        let diff = diff(&before, &after, usize::MAX);
        let mut counted = 0;
        for byte in 0..=u8::MAX {
            let address = IpAddr::from([10, 0, 0, byte]);
            let class = |table: &ClassTable| table.class(table.lookup(address).class).clone();
            let differs = class(&before) != class(&after);
            let listed = diff.ranges.iter().any(|range| (range.first..=range.last).contains(&address));
            prop_assert_eq!(listed, differs);
            counted += u64::from(differs);
        }
        prop_assert_eq!(diff.changed.v4_addresses, counted);
    }
}
