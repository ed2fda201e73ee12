#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;
use crate::door;
use crate::model::{
    CheckKind, DnsAnswer, Drain, HostPattern, Retries, ServiceDns, StatusRange, TcpListener,
    Timeouts,
};
use crate::units::{Ttl, Weight};

const MINIMAL: &str = r#"
regions:
  - id: b
    location: { country: no, latitude: 59.9, longitude: 10.7, provider: own }
    compliance: [x]
    endpoints:
      - { id: b-1, address: 192.0.2.1, port: 80, services: [web], compliance: [a], drain: true }
  - id: a
    location: { country: DE, latitude: 52.5, longitude: 13.4, provider: own }
    endpoints:
      - { id: z, address: "2001:db8::1", port: 80, services: [web, tcp], health_checks: [{ tcp: {} }] }
      - { id: c, address: 192.0.2.2, port: 80, services: [web] }
services:
  - { id: web, policy: p, dns: { names: [WWW.Example.com.] }, http: [{ hosts: ["*.example.com", "*"] }], health_checks: [{ http: {}, interval: 600ms }] }
  - { id: tcp, policy: p, tcp: [{ listen: "127.0.0.1:7" }] }
dns_zones:
  - { origin: example.com, ns: [ns.example.org], soa: { mname: a.b, rname: c.d }, records: [{ name: "*.dev", type: A, data: 192.0.2.3 }] }
"#;

fn load(files: &[&str]) -> Result<Topology, Problems> {
    let files: Vec<SourceFile> = files
        .iter()
        .enumerate()
        .map(|(at, text)| SourceFile::new(format!("{at}.yaml"), *text))
        .collect();
    Topology::parse(&files)
}

fn minimal() -> Topology {
    load(&[MINIMAL]).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn everything_is_sorted_and_found() {
    let topology = minimal();
    let ids: Vec<&str> = topology.endpoints.iter().map(|e| e.id.as_str()).collect();
    assert_eq!(ids, ["c", "z", "b-1"], "by region, then by id");
    let a = topology.region(&"a".parse().unwrap()).unwrap();
    let in_a: Vec<&str> = topology
        .endpoints_in(a)
        .map(|(_, e)| e.id.as_str())
        .collect();
    assert_eq!(in_a, ["c", "z"]);
    let tcp = topology.service(&"tcp".parse().unwrap()).unwrap();
    let of_tcp: Vec<usize> = topology
        .endpoints_of(tcp)
        .map(|(idx, _)| idx.index())
        .collect();
    assert_eq!(of_tcp, [1]);
    assert_eq!(
        topology.endpoint(&"b-1".parse().unwrap()).unwrap().index(),
        2
    );
    assert!(topology.region(&"q".parse().unwrap()).is_none());
    let name: DnsName = "x.www.example.com".parse().unwrap();
    assert_eq!(
        topology.zone_of(&name).unwrap().origin.as_str(),
        "example.com"
    );
}

#[test]
fn the_order_of_files_and_lists_does_not_matter() {
    let (regions, rest) = MINIMAL.split_once("services:\n  -").unwrap();
    let rest = format!("services:\n  -{rest}");
    assert_eq!(load(&[regions, &rest]).unwrap(), minimal());
    assert_eq!(load(&[&rest, regions]).unwrap(), minimal());
}

#[test]
fn defaults() {
    let topology = minimal();
    let web = &topology.services[1];
    let dns = web.dns.as_ref().unwrap();
    assert_eq!(dns.names[0].as_str(), "www.example.com");
    assert_eq!(dns.ttl, ServiceDns::DEFAULT_TTL);
    assert_eq!(
        dns.answer,
        DnsAnswer::Addresses {
            at_most: 1,
            at_least: None
        }
    );
    let route = &web.http[0];
    assert_eq!(route.path_prefix, "/");
    assert_eq!(route.timeouts, Timeouts::default());
    assert_eq!(route.retries, Retries::default());
    assert!(matches!(
        route.hosts[..],
        [HostPattern::Suffix(_), HostPattern::Any]
    ));
    let check = &web.health_checks[0];
    assert_eq!((check.interval, check.timeout), (Millis(600), Millis(300)));
    assert_eq!((check.rise, check.fall), (2, 2));
    assert_eq!(check.detection(), Millis(1_200 + 120 + 300));
    let CheckKind::Http(http) = &check.kind else {
        panic!("an HTTP check was written");
    };
    assert_eq!(http.path, "/");
    assert_eq!(
        http.expect_status,
        [StatusRange {
            first: 200,
            last: 299
        }]
    );
    let listener = &topology.services[0].tcp[0];
    assert_eq!(listener.idle_timeout, TcpListener::DEFAULT_IDLE_TIMEOUT);
    let (norway, germany) = (&topology.regions[1], &topology.regions[0]);
    assert_eq!(norway.location.country.as_str(), "NO");
    assert_eq!(germany.location.region, "a");
    assert_eq!(topology.endpoints[0].weight, Weight(100));
    assert_eq!(topology.dns_zones[0].records[0].ttl, Ttl(300));
    assert_eq!(
        topology.dns_zones[0].records[0].name.as_str(),
        "*.dev.example.com"
    );
}

#[test]
fn endpoints_inherit_labels_and_checks() {
    let topology = minimal();
    let labels: Vec<&str> = topology.endpoints[2]
        .compliance
        .iter()
        .map(|l| l.as_str())
        .collect();
    assert_eq!(labels, ["a", "x"]);
    assert_eq!(topology.endpoints[2].drain, Drain::Draining);
    let kinds = |at: usize| -> Vec<(bool, &str)> {
        topology
            .checks(&topology.endpoints[at])
            .map(|(service, check)| (service.is_some(), check.kind.word()))
            .collect()
    };
    assert_eq!(kinds(0), [(true, "http")], "of its service");
    assert_eq!(kinds(1), [(false, "tcp")], "its own");
}

#[test]
fn the_block_of_a_node_file_has_the_same_effect() {
    #[derive(serde::Deserialize)]
    struct Node {
        multi_region_config: RawMultiRegion,
    }
    let text = "multi_region_config: { regions: { primary: b, secondary: [a] } }";
    let node = door::parse::<Node>("meridian.yaml", text).unwrap();
    let block = NodeBlock {
        source: &node.source,
        block: &node.value.multi_region_config,
    };
    let files = [SourceFile::new("topology.yaml", MINIMAL)];
    let topology = Topology::parse_with(&files, Some(block)).unwrap();
    let priorities: Vec<u8> = topology
        .regions
        .iter()
        .map(|region| region.priority)
        .collect();
    assert_eq!(priorities, [1, 0]);

    let twice = [SourceFile::new(
        "topology.yaml",
        format!("{MINIMAL}{text}\n"),
    )];
    let problems = Topology::parse_with(&twice, Some(block)).unwrap_err();
    assert_eq!(problems.list()[0].file(), "meridian.yaml");
    assert_eq!(problems.list()[0].code, Code::CONFLICT);
}

#[test]
fn a_files_mistakes_do_not_hide_those_of_another() {
    let problems = load(&["regions: {", "services: [{ id: A, policy: p }]"]).unwrap_err();
    let files: Vec<&str> = problems
        .list()
        .iter()
        .map(|problem| problem.file())
        .collect();
    assert_eq!(files, ["0.yaml", "1.yaml"]);
}

/// A thousand endpoints: more than one allocation or one search step of everything.
#[test]
fn a_large_topology_loads() {
    let mut text = "services: [{ id: s, policy: p }]\nregions:\n".to_owned();
    for region in 0..10 {
        text.push_str(&format!(
            "  - id: r{region}\n    location: {{ country: DE, latitude: 1, longitude: 2, \
             provider: p }}\n    endpoints:\n"
        ));
        for endpoint in 0..100 {
            text.push_str(&format!(
                "      - {{ id: r{region}-{endpoint}, address: 10.{region}.0.{endpoint}, port: 80, \
                 services: [s] }}\n"
            ));
        }
    }
    let topology = load(&[&text]).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(topology.endpoints.len(), 1_000);
    for id in ["r0-0", "r9-99", "r7-50"] {
        let idx = topology.endpoint(&id.parse().unwrap()).unwrap();
        assert_eq!(topology.endpoints[idx.index()].id.as_str(), id);
    }
    assert!(topology.endpoint(&"r10-0".parse().unwrap()).is_none());
}
