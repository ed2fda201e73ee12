//! What docs/dns.md shows is what the code reads.

use meridian_engine::{ClassTable, PolicySet, World};
use meridian_geodns::DnsConfig;
use meridian_geodns::zone::ShelfSnapshot;
use meridian_live::Published;
use meridian_topology::{SourceFile, Topology, door};
use serde::Deserialize;

use crate::fixture::{clients, world_of};

const PAGE: &str = include_str!("../../../docs/dns.md");
const ZONES_PAGE: &str = include_str!("../../../docs/dns-zones.md");
const TRANSPORT_PAGE: &str = include_str!("../../../docs/dns-transport.md");
const OPERATE: &str = include_str!("../../../docs/dns-operate.md");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Node {
    dns: DnsConfig,
}

fn blocks(page: &str) -> Vec<String> {
    let fenced = page.split("```yaml\n").skip(1);
    fenced
        .map(|rest| rest.split("```").next().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn every_block_loads() {
    let (settings, topologies): (Vec<_>, Vec<_>) = blocks(PAGE)
        .into_iter()
        .partition(|block| block.starts_with("dns:"));
    assert_eq!((settings.len(), topologies.len()), (2, 1));
    for (at, text) in settings.iter().enumerate() {
        let node = door::parse::<Node>("docs/dns.md", text)
            .unwrap_or_else(|problems| panic!("{problems}"));
        node.value
            .dns
            .validate(std::num::NonZeroUsize::MIN)
            .unwrap();
        // The first block says what the defaults are.
        assert_eq!(at == 0, node.value.dns == DnsConfig::default());
    }
    let world = world_of(&topologies[0], clients());
    let published = std::sync::Arc::new(Published::compile(world.into(), 1));
    let zones = meridian_geodns::zones_for_query(published, &ShelfSnapshot::new()).unwrap();
    assert!(zones.problems().is_empty(), "{:?}", zones.problems());
}

#[test]
fn the_zones_page_shows_what_loads() {
    let (settings, topologies): (Vec<_>, Vec<_>) = blocks(ZONES_PAGE)
        .into_iter()
        .partition(|block| block.starts_with("dns:"));
    assert_eq!((settings.len(), topologies.len()), (3, 1));
    for text in &settings {
        let node = door::parse::<Node>("docs/dns-zones.md", text)
            .unwrap_or_else(|problems| panic!("{problems}"));
        let cores = std::num::NonZeroUsize::MIN;
        node.value.dns.validate(cores).unwrap();
    }
    let file = SourceFile {
        name: "docs/dns-zones.md".into(),
        text: topologies[0].clone(),
    };
    let topology = Topology::parse(&[file]).unwrap_or_else(|problems| panic!("{problems}"));
    let policies = PolicySet::new([]);
    let world = World::new(
        topology.into(),
        policies.into(),
        ClassTable::unknown().into(),
    );
    let published = std::sync::Arc::new(Published::compile(world.into(), 1));
    let zones = meridian_geodns::zones_for_query(published, &ShelfSnapshot::new()).unwrap();
    assert!(zones.problems().is_empty(), "{:?}", zones.problems());
}

#[test]
fn the_transport_page_shows_defaults() {
    let settings: Vec<_> = blocks(TRANSPORT_PAGE)
        .iter()
        .map(|text| {
            let node = door::parse::<Node>("docs/dns-transport.md", text)
                .unwrap_or_else(|problems| panic!("{problems}"));
            node.value
                .dns
                .validate(std::num::NonZeroUsize::MIN)
                .unwrap();
            node.value.dns
        })
        .collect();
    let [all, _cookies, rates] = &settings[..] else {
        panic!("{} blocks", settings.len())
    };
    let defaults = DnsConfig {
        tls: all.tls.clone(),
        https: all.https.clone(),
        quic: all.quic.clone(),
        ..DnsConfig::default()
    };
    assert_eq!(*all, defaults);
    let rates = rates.rate_limit.clone().unwrap();
    let defaults = meridian_geodns::guard::RateLimitConfig {
        exempt: rates.exempt.clone(),
        ..Default::default()
    };
    assert_eq!(rates, defaults);
}

#[test]
fn every_metric_is_listed() {
    let metrics = meridian_telemetry::Metrics::new();
    meridian_geodns::DnsMetrics::register(&metrics).unwrap();
    let names = metrics.names();
    assert!(!names.is_empty());
    for name in names {
        assert!(
            [PAGE, TRANSPORT_PAGE]
                .iter()
                .any(|page| page.contains(&format!("`{name}`"))),
            "neither docs/dns.md nor docs/dns-transport.md lists {name}"
        );
    }
}

#[test]
fn the_operators_page_shows_what_loads_and_names_what_is_counted() {
    let blocks: Vec<&str> = OPERATE
        .split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap_or_default())
        .collect();
    assert_eq!(blocks.len(), 2);
    for text in blocks {
        let node = door::parse::<Node>("docs/dns-operate.md", text)
            .unwrap_or_else(|problems| panic!("{problems}"));
        let tap = node.value.dns.dnstap.clone();
        assert!(tap.is_some(), "{text}");
        node.value
            .dns
            .validate(std::num::NonZeroUsize::MIN)
            .unwrap();
    }
    // Every metric of this room that the page alerts on exists.
    let metrics = meridian_telemetry::Metrics::new();
    meridian_geodns::DnsMetrics::register(&metrics).unwrap();
    let known = metrics.names();
    let words = OPERATE.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let named: std::collections::BTreeSet<&str> = words
        .filter(|word| word.starts_with("meridian_dns_"))
        .collect();
    assert!(named.len() > 6, "{named:?}");
    for name in named {
        assert!(known.iter().any(|it| it == name), "no metric {name}");
    }
}

#[test]
fn the_dnssec_page_shows_defaults() {
    let page = include_str!("../../../docs/dnssec.md");
    // A block inside a list is indented with it.
    let unindented: Vec<_> = page
        .lines()
        .map(|line| line.strip_prefix("   ").unwrap_or(line))
        .collect();
    let first = blocks(&unindented.join("\n")).remove(0);
    let all = blocks(page).remove(1);
    for text in [first, all] {
        let node = door::parse::<Node>("docs/dnssec.md", &text)
            .unwrap_or_else(|problems| panic!("{problems}"));
        let dns = node.value.dns;
        dns.validate(std::num::NonZeroUsize::MIN).unwrap();
        let mut defaults = DnsConfig::default();
        defaults
            .dnssec
            .zones
            .insert("example.com".into(), Default::default());
        assert_eq!(dns, defaults);
    }
}
