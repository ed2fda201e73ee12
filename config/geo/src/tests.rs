#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use meridian_engine::class::{ClassTable, ClientClass};
use meridian_topology::{Place, SourceFile};
use proptest::prelude::*;

use super::*;

fn topology(groups: &str) -> Topology {
    let text = format!(
        "regions:\n  - id: tokyo\n    location: {{ country: JP, latitude: 35.7, longitude: 139.7, provider: gcp }}\n{groups}"
    );
    Topology::parse(&[SourceFile::new("topology.yaml", text)]).unwrap()
}

fn class(table: &ClassTable, address: &str) -> ClientClass {
    table
        .class(table.lookup(address.parse().unwrap()).class)
        .clone()
}

#[test]
fn countries_come_from_the_registries() {
    let table = build(&topology(""), &Sources::default()).unwrap();
    let country = |address: &str| class(&table, address).country.map(|code| code.to_string());
    let check = |address: &str, code: Option<&str>| {
        assert_eq!(country(address).as_deref(), code, "{address}");
    };
    check("8.8.8.8", Some("US"));
    check("193.0.6.139", Some("NL"));
    check("202.12.29.175", Some("AU"));
    check("2001:67c:2e8:22::c100:68b", Some("NL"));
    check("2a00:1450:4001:800::200e", Some("IE"));
    check("10.0.0.1", None);
    check("127.0.0.1", None);
    check("::1", None);
    assert!(class(&table, "193.0.6.139").is_in(&Place::Eu));
    assert!(
        table.classes().len() < 300,
        "{} classes",
        table.classes().len()
    );
}

#[test]
fn client_groups_win_and_amend() {
    let groups = "client_groups:
  - { id: office, cidrs: [193.0.6.0/24], latitude: 52.5, longitude: 13.4 }
  - { id: cloud, cidrs: [8.8.8.0/24, \"2001:db8::/32\"], region: tokyo }
  - { id: lab, cidrs: [127.0.0.0/8], country: BR, asn: 64500, provider: own }
";
    let table = build(&topology(groups), &Sources::default()).unwrap();
    let office = class(&table, "193.0.6.139");
    assert_eq!(office.country.unwrap().as_str(), "NL");
    assert_eq!(office.location.unwrap().latitude(), 52.5);
    assert!(office.is_in(&Place::Group("office".parse().unwrap())));
    for address in ["8.8.8.8", "2001:db8::1"] {
        let cloud = class(&table, address);
        assert_eq!(cloud.country.unwrap().as_str(), "JP");
        assert_eq!(cloud.region.unwrap().as_str(), "tokyo");
        assert_eq!(cloud.provider.unwrap().as_str(), "gcp");
    }
    let lab = class(&table, "127.1.2.3");
    assert_eq!(
        (lab.country.unwrap().as_str(), lab.asn),
        ("BR", Some(64_500))
    );
    assert_eq!(table.lookup("127.1.2.3".parse().unwrap()).prefix_len, 8);
}

#[test]
fn a_missing_or_damaged_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("city.mmdb");
    let sources = Sources {
        mmdb_city: Some(path.clone()),
        ..Sources::default()
    };
    let missing = build(&topology(""), &sources).unwrap_err();
    assert!(matches!(&missing, GeoError::Read { path: named, .. } if *named == path));
    std::fs::write(&path, b"not a database").unwrap();
    let damaged = build(&topology(""), &sources).unwrap_err();
    assert!(matches!(&damaged, GeoError::Mmdb { path: named, .. } if *named == path));
}

/// A file of the given content in a folder that lives as long as the test.
pub(crate) fn list(name: &str, content: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    (folder, path)
}

/// Registry below provider below measured place below group.
#[test]
fn layers_lie_in_the_order_promised() {
    let groups = "client_groups:\n  - { id: office, cidrs: [193.0.6.8/29] }\n";
    let topology = topology(groups);
    let (_keep, providers) = list("clouds.csv", "193.0.6.0/24, gcp, tokyo\n");
    let (_keep_too, overrides) = list(
        "measured.csv",
        "193.0.6.0/28,1.5,2.5\n193.0.6.4/30,3.5,4.5,FR\n",
    );
    let sources = Sources {
        providers: vec![providers],
        overrides: vec![overrides],
        ..Sources::default()
    };
    let table = build(&topology, &sources).unwrap();
    let check = |address: &str, country: &str, latitude: f64, group: Option<&str>| {
        let class = class(&table, address);
        assert_eq!(class.country.unwrap().as_str(), country, "{address}");
        assert_eq!(class.location.unwrap().latitude(), latitude, "{address}");
        assert_eq!(
            class.group.as_ref().map(|id| id.as_str()),
            group,
            "{address}"
        );
    };
    let provider = class(&table, "193.0.6.200");
    assert_eq!(provider.provider.unwrap().as_str(), "gcp");
    assert_eq!(provider.region.unwrap().as_str(), "tokyo");
    check("193.0.6.200", "JP", 35.7, None);
    check("193.0.6.1", "JP", 1.5, None);
    check("193.0.6.5", "FR", 3.5, None);
    check("193.0.6.9", "JP", 1.5, Some("office"));
    // Built in two steps, as a node does, it is the same table.
    let base = build_table(&topology, &sources, GRID_DEGREES[0], 0).unwrap();
    assert_eq!(with_groups(&base.classes, &topology).unwrap(), table);
}

fn table() -> &'static ClassTable {
    static TABLE: std::sync::OnceLock<Arc<ClassTable>> = std::sync::OnceLock::new();
    TABLE.get_or_init(|| build(&topology(""), &Sources::default()).unwrap())
}

/// The country by the crate that the ranges were made from, as far as it is one.
fn expected(address: IpAddr) -> Option<String> {
    let code = iptocc::country_code(address)?;
    let known: meridian_topology::CountryCode = code.parse().ok()?;
    known.country().map(|country| country.code.to_string())
}

fn found(address: IpAddr) -> Option<String> {
    let table = table();
    table
        .class(table.lookup(address).class)
        .country
        .map(|code| code.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// By /24, as `build.rs` enumerates them.
    #[test]
    fn v4_agrees_with_the_registries(bits in any::<u32>()) {
        let address = IpAddr::V4(Ipv4Addr::from_bits(bits & !0xff));
        prop_assert_eq!(found(address), expected(address));
    }
}

/// Addresses in delegated IPv6 space; a lone /48 may be missed (see `build.rs`), one in ten thousand.
#[test]
fn v6_agrees_with_the_registries_almost_everywhere() {
    const SAMPLES: u64 = 200_000;
    let mut wrong = 0;
    for sample in 0..SAMPLES {
        // Fibonacci hashing spreads the samples over the blocks and within them.
        let spread = sample.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let block =
            [0x2001_u64, 0x2400, 0x2600, 0x2620, 0x2800, 0x2a00, 0x2c0f][sample as usize % 7];
        let upper = block << 48 | spread >> 16;
        let address = IpAddr::V6(Ipv6Addr::from_bits(u128::from(upper) << 64 | 1));
        wrong += u64::from(found(address) != expected(address));
    }
    assert!(wrong * 10_000 <= SAMPLES, "{wrong} of {SAMPLES} addresses");
}

#[test]
fn scopes_are_honest() {
    let table = table();
    for sample in 0..20_000_u32 {
        let bits = sample.wrapping_mul(0x9e37_79b9);
        let matched = table.lookup(IpAddr::V4(Ipv4Addr::from_bits(bits)));
        let hosts = u64::from(u32::MAX) >> matched.prefix_len;
        let first = u64::from(bits) & !hosts;
        for edge in [first, first | hosts] {
            let edge = IpAddr::V4(Ipv4Addr::from_bits(edge as u32));
            assert_eq!(table.lookup(edge).class, matched.class, "{edge}");
        }
    }
}
