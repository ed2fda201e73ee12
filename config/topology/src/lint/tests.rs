#![allow(clippy::unwrap_used, reason = "tests")]

use expect_test::{Expect, expect};

use super::*;
use crate::SourceFile;

/// The block of contract.md as it stands there.
const CONTRACT: &str = r#"
multi_region_config:
  regions: { primary: us-east-1, secondary: [us-west-2, eu-west-1, ap-southeast-1], edge_regions: [us-central-1, eu-central-1, ap-northeast-1] }
  replication: { consistency_model: strong, min_replicas: 3, max_replicas: 12, topology: mesh }
  network: { enable_dpdk: true, enable_sriov: true, bandwidth_limit: "10Gbps", latency_target: "1ms" }
  failover: { automatic_failover: true, rto_target: "5s", rpo_target: "1s", health_check_interval: "5s" }
"#;

fn regions() -> String {
    let mut text = "regions:\n".to_owned();
    for (id, latitude, longitude) in [
        ("us-east-1", 38.95, -77.45),
        ("us-west-2", 45.84, -119.70),
        ("eu-west-1", 53.35, -6.26),
        ("ap-southeast-1", 1.29, 103.85),
        ("us-central-1", 41.26, -95.86),
        ("eu-central-1", 50.11, 8.68),
        ("ap-northeast-1", 35.69, 139.69),
    ] {
        text.push_str(&format!(
            "  - id: {id}\n    location: {{ country: US, latitude: {latitude}, \
             longitude: {longitude}, provider: aws }}\n    endpoints: \
             [{{ id: {id}-1, address: 192.0.2.1, port: 80, services: [api] }}]\n"
        ));
    }
    text
}

fn load(block: &str, rest: &str) -> Topology {
    let files = [
        SourceFile::new("regions.yaml", regions()),
        SourceFile::new("block.yaml", block),
        SourceFile::new("rest.yaml", rest),
    ];
    Topology::parse(&files).unwrap_or_else(|problems| panic!("{problems}"))
}

fn check(block: &str, rest: &str, expected: &Expect) {
    let lints: Vec<String> = load(block, rest)
        .lints()
        .iter()
        .map(ToString::to_string)
        .collect();
    expected.assert_eq(&lints.join("\n"));
}

const API: &str = "services: [{ id: api, policy: p, health_checks: [{ tcp: {} }] }]\n";

#[test]
fn the_contract_block_loads_and_has_effect() {
    let topology = load(CONTRACT, API);
    let block = topology.multi_region.as_ref().unwrap();
    let effects: Vec<String> = block
        .effects(&topology)
        .iter()
        .map(|it| format!("{} = {}: {}", it.key, it.value, it.effect))
        .collect();
    expect![[r#"
        regions.primary = us-east-1: priority 0: serves first wherever a policy goes by priority
        regions.secondary = us-west-2, eu-west-1, ap-southeast-1: priorities 1, 2, 3 and so on, in this order
        regions.edge_regions = us-central-1, eu-central-1, ap-northeast-1: priority behind the last secondary; no replica of the store is expected there
        replication.consistency_model = strong: how current reads of the store must be; judged against `rpo_target`
        replication.min_replicas = 3: fewer members of the store are a warning
        replication.max_replicas = 12: more members of the store are a warning
        replication.topology = mesh: who passes changes to whom
        network.enable_dpdk = on: a warning when no machine of type `network` or `full` can
        network.enable_sriov = on: a warning when no machine of type `network` or `full` can
        network.bandwidth_limit = 10Gbps: a warning for machines whose interfaces are slower
        network.latency_target = 1ms: a warning when light needs longer to the replicas that a write waits for
        failover.automatic_failover = automatic: probes and passive reports move clients at once
        failover.rto_target = 5s: a warning for services whose checks and DNS caches are slower
        failover.rpo_target = 1s: a warning when the consistency model may lose more
        failover.health_check_interval = 5s: the interval of health checks that name none"#]].assert_eq(&effects.join("\n"));

    let priorities: Vec<(&str, u8)> = topology
        .regions
        .iter()
        .map(|region| (region.id.as_str(), region.priority))
        .collect();
    assert_eq!(
        priorities,
        [
            ("ap-northeast-1", 4),
            ("ap-southeast-1", 3),
            ("eu-central-1", 4),
            ("eu-west-1", 2),
            ("us-central-1", 4),
            ("us-east-1", 0),
            ("us-west-2", 1),
        ]
    );
    assert_eq!(
        topology.services[0].health_checks[0].interval,
        Millis(5_000)
    );
    assert_eq!(topology.failover_mode(), FailoverMode::Automatic);
}

#[test]
fn the_contract_block_on_a_topology_that_cannot_keep_it() {
    check(
        CONTRACT,
        API,
        &expect![[r#"
        warning[rto-detection]: service api: its checks may need 11500ms to notice a failure, more than `rto_target` 5s; shorten `interval` or `timeout`, or lower `fall`
        warning[dpdk]: network.enable_dpdk: no machine of type `network` or `full` has an interface with `dpdk`; declare one under `edge_nodes`, or turn it off
        warning[sriov]: network.enable_sriov: no machine of type `network` or `full` has an interface with `sriov`; declare one under `edge_nodes`, or turn it off
        warning[latency-target]: network.latency_target: a write in `us-east-1` waits for `eu-west-1`, 5466 km away: at least 54.7 ms by fibre, more than 1ms; raise the target, or choose secondaries that are closer"#]],
    );
}

#[test]
fn manual_failover() {
    let block = "multi_region_config:\n  regions: { primary: us-east-1 }\n  replication: \
                 { consistency_model: eventual, min_replicas: 2 }\n  failover: \
                 { automatic_failover: false, rto_target: 1m, rpo_target: 1s }\n";
    assert_eq!(load(block, API).failover_mode(), FailoverMode::Manual);
    check(
        block,
        API,
        &expect![[r#"
        warning[rpo-consistency]: failover.rpo_target: eventual replication may lose more than 1s of acknowledged writes; choose `consistency_model: strong`, which loses none
        warning[rto-manual]: failover.rto_target: with `automatic_failover: false` a person has to act within 1m; turn `automatic_failover` on, or drop the objective
        warning[too-few-replicas]: replication.min_replicas: primary and secondary regions are 1; at least 2 are wanted; add members, or lower `min_replicas`"#]],
    );
}

#[test]
fn targets_that_are_met_are_silent() {
    let block = "multi_region_config:\n  regions: { primary: us-east-1, secondary: [us-west-2, \
                 eu-west-1] }\n  replication: { min_replicas: 3 }\n  network: \
                 { latency_target: 40ms }\n  failover: { rto_target: 2s, \
                 health_check_interval: 500ms }\n";
    check(block, API, &expect![""]);
}

#[test]
fn checks_names_and_answers() {
    let rest = "services:\n  - { id: api, policy: p, dns: { names: [api.example.com], answer: \
                { cname: [{ region: us-east-1, name: use1.example.com }] } } }\n  - { id: idle, \
                policy: p }\ndns_zones:\n  - { origin: example.com, ns: [ns1.example.com, \
                ns.example.org], soa: { mname: a.b, rname: c.d } }\n";
    check(
        "services: []\n",
        rest,
        &expect![[r#"
        warning[cname-target]: service api: its CNAME answer has no name for ap-northeast-1, ap-southeast-1, eu-central-1, eu-west-1, us-central-1, us-west-2; clients sent there would get no answer: add the regions to `answer.cname`
        warning[no-endpoint]: service idle: no endpoint serves it; name it in the `services` of an endpoint
        warning[no-health-check]: endpoint ap-northeast-1-1: nothing checks its health; add `health_checks` to it or to its service
        warning[no-health-check]: endpoint ap-southeast-1-1: nothing checks its health; add `health_checks` to it or to its service
        warning[no-health-check]: endpoint eu-central-1-1: nothing checks its health; add `health_checks` to it or to its service
        warning[no-health-check]: endpoint eu-west-1-1: nothing checks its health; add `health_checks` to it or to its service
        warning[no-health-check]: endpoint us-central-1-1: nothing checks its health; add `health_checks` to it or to its service
        warning[no-health-check]: endpoint us-east-1-1: nothing checks its health; add `health_checks` to it or to its service
        warning[no-health-check]: endpoint us-west-2-1: nothing checks its health; add `health_checks` to it or to its service
        warning[name-server-address]: zone example.com: its name server `ns1.example.com` has no address in it; add an A or AAAA record for it"#]],
    );
}
