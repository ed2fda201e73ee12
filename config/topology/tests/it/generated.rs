//! What is generated and checked in is up to date.

use expect_test::expect_file;
use meridian_topology::reference::{Example, topology_reference};
use meridian_topology::{SourceFile, Topology, init, schema};

use super::{example, root};

#[test]
fn schemas() {
    let folder = root().join("config/schemas");
    let topology = schema::text(&schema::topology_schema());
    expect_file![folder.join("topology.schema.json")].assert_eq(&topology);
    let block = schema::text(&schema::multi_region_schema());
    expect_file![folder.join("multi_region_config.schema.json")].assert_eq(&block);
}

#[test]
fn the_reference() {
    let (edge, multi_region) = (example("edge"), example("multi-region"));
    let text = topology_reference(&[
        Example {
            title: "machines of one's own",
            yaml: &edge.text,
        },
        Example {
            title: "seven regions with roles",
            yaml: &multi_region.text,
        },
    ]);
    expect_file![root().join("docs/reference/topology.md")].assert_eq(&text);
}

#[test]
fn every_block_of_the_reference_loads() {
    let text = std::fs::read_to_string(root().join("docs/reference/topology.md")).unwrap();
    let blocks: Vec<&str> = text
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert_eq!(blocks.len(), 3);
    for block in blocks {
        let file = SourceFile::new("topology.md", block);
        Topology::parse(&[file]).unwrap_or_else(|problems| panic!("{problems}"));
    }
}

#[test]
fn the_yaml_of_init() {
    let path = root().join("config/topology/tests/init.yaml");
    expect_file![path].assert_eq(&init::topology_yaml());
}
