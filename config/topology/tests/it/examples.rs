//! Every example deployment loads and survives serde.

use meridian_topology::{Place, Topology};

use super::{read, root};

const EXAMPLES: &[&str] = &[
    "demo",
    "single-node",
    "three-regions-etcd",
    "multi-region",
    "edge",
];

fn example(name: &str) -> Topology {
    let path = root()
        .join("config/examples")
        .join(name)
        .join("topology.yaml");
    let file = read(&path);
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
        let topology = example(name);
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
fn the_demo_is_what_its_readme_promises() {
    let demo = example("demo");
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
