#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use meridian_engine::PolicySet;
use meridian_topology::{SourceFile, Topology};

use super::*;
use crate::dns::SEED;

/// What the benchmarks write passes the same door as what users write.
#[test]
fn our_deployments_are_valid() {
    let upstream = "127.0.0.1:8080".parse().unwrap();
    let cases = [
        (dns_topology(&Geography::new(SEED)), PLACES.len()),
        (one_upstream(upstream, HTTP_ENTRY), 1),
    ];
    for (text, regions) in cases {
        let file = SourceFile::new("topology.yaml", text);
        let topology = Topology::parse(&[file]).unwrap();
        assert_eq!(topology.regions.len(), regions);
        assert_eq!(topology.endpoints.len(), regions);
        let policy = SourceFile::new("policies/bench.yaml", POLICY);
        PolicySet::parse(&[policy], &topology).unwrap();
    }
}
