#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::collections::BTreeSet;

use meridian_engine::PolicySet;
use meridian_topology::{SourceFile, Topology};

use super::*;
use crate::dns::SEED;

/// What the node's store takes in one transaction (docs/operate.md).
const TRANSACTION_BYTES_MAX: usize = 1_310_720;
/// And as one file.
const FILE_BYTES_MAX: usize = 1 << 20;

#[test]
fn labels_are_names_and_differ() {
    let labels: BTreeSet<[u8; 3]> = (0..SERVICES_MAX).map(label).collect();
    assert_eq!(labels.len(), SERVICES_MAX);
    assert!(labels.iter().all(|label| label[0].is_ascii_lowercase()));
    assert_eq!(
        label(SERVICES_MAX),
        *b"www",
        "one more would be service 0's"
    );
}

#[test]
fn ten_thousand_services_pass_the_door_and_fit_the_store() {
    let texts = [regions(10_000), services_text(10_000)];
    assert!(texts.iter().all(|text| text.len() <= FILE_BYTES_MAX));
    let all: usize = texts.iter().map(String::len).sum();
    assert!(all + 1_000 <= TRANSACTION_BYTES_MAX, "{all}");
    let files = texts.map(|text| SourceFile::new("topology.yaml", text));
    let topology = Topology::parse(&files).unwrap();
    assert_eq!(topology.services.len(), 10_000);
    assert!(
        topology
            .endpoints
            .iter()
            .all(|endpoint| endpoint.services.len() == 10_000)
    );
    let policy = SourceFile::new("policies/bench.yaml", POLICY);
    PolicySet::parse(&[policy], &topology).unwrap();
}

#[test]
fn every_network_has_a_spot_near_its_place() {
    let geography = Geography::new(SEED);
    let text = overrides(&geography, 5_000);
    let spots: BTreeSet<&str> = text
        .lines()
        .skip(1)
        .map(|line| line.split_once(',').unwrap().1)
        .collect();
    // Places have about a thousand networks each, and five hundred spots.
    assert_eq!(spots.len(), 5_000);
    assert_eq!(text.lines().count(), 1 + geography.len());
}
