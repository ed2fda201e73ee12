//! The YAML of `docs/streams.md` is read by the code that reads it in service.

use meridian_stream::StreamConfig;
use meridian_topology::{SourceFile, Topology, door};
use serde::Deserialize;

const PAGE: &str = include_str!("../../../../docs/streams.md");

/// The part of `meridian.yaml` that is this room's.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Node {
    stream: StreamConfig,
}

fn yaml_blocks() -> Vec<&'static str> {
    let blocks = PAGE.split("```yaml\n").skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap())
        .collect()
}

#[test]
fn every_block_is_valid() {
    let blocks = yaml_blocks();
    let [ports, names, node] = blocks.as_slice() else {
        panic!("three blocks are known, there are {}", blocks.len());
    };
    for (text, services) in [(ports, 2), (names, 3)] {
        let file = SourceFile::new("topology.yaml", *text);
        let topology = Topology::parse(&[file]).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(topology.services.len(), services);
    }

    let node =
        door::parse::<Node>("meridian.yaml", node).unwrap_or_else(|problems| panic!("{problems}"));
    node.value.stream.validate().unwrap();
}
