//! Every example deployment loads and survives serde.

use expect_test::expect;
use meridian_topology::{Place, Topology};

use super::example;

const EXAMPLES: &[&str] = &[
    "demo",
    "single-node",
    "three-regions-etcd",
    "multi-region",
    "edge",
];

fn load(name: &str) -> Topology {
    let file = example(name);
    assert!(
        file.text
            .starts_with("# yaml-language-server: $schema=../../schemas/topology.schema.json\n"),
        "{name}: editors find the schema by the first line"
    );
    Topology::parse(&[file]).unwrap_or_else(|problems| panic!("{name}:\n{problems}"))
}

#[test]
fn examples_load_and_replay() {
    for name in EXAMPLES {
        let topology = load(name);
        let json = serde_json::to_string(&topology).unwrap();
        let again: Topology = serde_json::from_str(&json).unwrap();
        assert_eq!(again, topology, "{name}");
        for (at, region) in topology.regions.iter().enumerate() {
            assert_eq!(topology.region(&region.id).unwrap().index(), at, "{name}");
        }
        for endpoint in &topology.endpoints {
            assert!(topology.checks(endpoint).count() > 0, "{}", endpoint.id);
        }
    }
}

#[test]
fn the_block_of_the_contract_orders_seven_regions() {
    let topology = load("multi-region");
    let block = topology.multi_region.as_ref().unwrap();
    assert_eq!(block.secondary.len() + block.edge_regions.len(), 6);
    assert_eq!(topology.regions[block.primary.index()].priority, 0);
}

#[test]
fn the_demo_is_what_its_readme_promises() {
    let demo = load("demo");
    assert_eq!(demo.regions.len(), 5);
    let eu: Vec<&str> = demo
        .regions
        .iter()
        .filter(|region| region.location.country.country().is_some_and(|c| c.eu))
        .map(|region| region.id.as_str())
        .collect();
    assert_eq!(eu, ["eu-central-1", "eu-west-1"]);
    for region in &demo.regions {
        let gdpr = region
            .compliance
            .iter()
            .any(|label| label.as_str() == "gdpr");
        assert_eq!(gdpr, eu.contains(&region.id.as_str()), "{}", region.id);
    }
    let addresses: std::collections::BTreeSet<_> = demo
        .endpoints
        .iter()
        .map(|endpoint| endpoint.socket_addr())
        .collect();
    assert_eq!(addresses.len(), demo.endpoints.len(), "no address twice");
    assert!(demo.client_group(&"office".parse().unwrap()).is_some());
    assert_eq!(
        Place::parse("group:office").unwrap().to_string(),
        "group:office"
    );
}

/// Examples may show promises that physics forbids (the contract's 1ms between continents), but
/// none that a reader would copy unaware.
#[test]
fn what_is_said_of_the_examples() {
    let mut said = String::new();
    for name in EXAMPLES {
        for lint in load(name).lints() {
            said.push_str(&format!("{name}: {lint}\n"));
        }
    }
    expect![[r#"
        multi-region: warning[latency-target]: network.latency_target: a write in `us-east-1` waits for `eu-west-1`, 5466 km away: at least 54.7 ms by fibre, more than 1ms; raise the target, or choose secondaries that are closer
    "#]].assert_eq(&said);
}
