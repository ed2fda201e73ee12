//! What docs/dns-transfers.md shows is what the code reads and counts.

use meridian_geodns::DnsConfig;
use meridian_topology::door;
use serde::Deserialize;

use super::secondary;
use crate::rig::Rig;

const PAGE: &str = include_str!("../../../../docs/dns-transfers.md");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Node {
    dns: DnsConfig,
}

#[test]
fn every_block_loads() {
    let blocks: Vec<&str> = PAGE
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert_eq!(blocks.len(), 5);
    for text in blocks {
        let node = door::parse::<Node>("docs/dns-transfers.md", text)
            .unwrap_or_else(|problems| panic!("{problems}"));
        let mut dns = node.value.dns;
        dns.keep_zones_in("state".as_ref());
        dns.validate(std::num::NonZeroUsize::MIN).unwrap();
    }
    // What it calls the defaults are the defaults.
    let defaults = DnsConfig::default().transfers;
    assert!(PAGE.contains(&format!("max_concurrent: {}\n", defaults.max_concurrent)));
    assert!(PAGE.contains(&format!("journal_bytes: {}\n", defaults.journal_bytes)));
    assert!(PAGE.contains(&format!(
        "bytes_max: {}\n",
        secondary("z.test", 1).bytes_max
    )));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_is_listed() {
    let plain = meridian_telemetry::Metrics::new();
    meridian_geodns::DnsMetrics::register(&plain).unwrap();
    let rig = Rig::start(|_| ());
    let ours = [
        "transfers",
        "secondary",
        "notify",
        "updates",
        "tsig",
        "slow",
    ];
    let mut listed = 0;
    for name in rig.metrics.names() {
        if ours
            .iter()
            .any(|word| name.starts_with(&format!("meridian_dns_{word}")))
        {
            assert!(
                PAGE.contains(&format!("`{name}`")),
                "docs/dns-transfers.md does not list {name}"
            );
            listed += 1;
        }
    }
    assert_eq!(listed, 18);
    rig.stop().await;
}
