//! The converted deployment as files: `topology.yaml`, `policies/`, `meridian.yaml`.

mod policy;
mod zone;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::checks::EndpointChecks;
use super::id;
use super::resources::{Plan, Pool, Service};
use super::vscf::{Data, Value};
use super::zonefile::ZoneText;
use crate::note::Notes;
use crate::yaml;

/// The port of endpoints whose checks name none: DNS answers carry no ports.
const PORT: u16 = 80;
/// Stands for an endpoint that is answered by its region's name only (RFC 5737).
const NAME_ONLY: &str = "192.0.2.0";
/// Largest topology that a node's store takes in one file.
const TOPOLOGY_BYTES_MAX: usize = 1 << 20;
/// The first line of every file.
const HEAD: &str =
    "# Converted from gdnsd by `meridian import gdnsd`; look at what it said to check.\n";

/// Every file by its path below the deployment directory.
pub(super) fn files(
    plan: &Plan,
    zones: &[ZoneText],
    options: Option<&Value>,
    notes: &mut Notes,
) -> BTreeMap<String, String> {
    let policies = policy::Policies::of(plan, notes);
    let mut topology = String::from(HEAD);
    regions(&mut topology, plan, notes);
    services(&mut topology, plan, &policies);
    groups(&mut topology, plan);
    zone::all(&mut topology, zones, notes);
    if topology.len() > TOPOLOGY_BYTES_MAX
        && let Some(largest) = zones.iter().max_by_key(|zone| zone.records.len())
    {
        notes.check(&largest.at, format!("topology.yaml has {} bytes, a node's store takes {TOPOLOGY_BYTES_MAX}: serve the largest zones from zone files (`dns.zone_files`, `external_zones`), {} first", topology.len(), largest.name));
    }
    let mut files = policies.files();
    files.insert("topology.yaml".into(), topology);
    files.insert("meridian.yaml".into(), node(options, notes));
    files
}

/// An endpoint of ours: an address in a region, with its checks.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct EndpointKey<'a> {
    region: &'a str,
    address: String,
    weight: u16,
    checks: &'a EndpointChecks,
}

fn regions(out: &mut String, plan: &Plan, notes: &mut Notes) {
    let mut endpoints: BTreeMap<EndpointKey<'_>, Vec<&str>> = BTreeMap::new();
    let mut seen: BTreeMap<&str, &Pool> = BTreeMap::new();
    let nothing = EndpointChecks::default();
    for service in &plan.services {
        for pool in service.shape.pools.iter().filter(|pool| pool.answers()) {
            seen.entry(&pool.region).or_insert(pool);
            let mut add = |address: String, weight, checks| {
                let key = EndpointKey {
                    region: &pool.region,
                    address,
                    weight,
                    checks,
                };
                let of = endpoints.entry(key).or_default();
                if !of.contains(&service.id.as_str()) {
                    of.push(&service.id);
                }
            };
            for member in &pool.members {
                add(member.address.to_string(), member.weight, &member.checks);
            }
            if let Some(name) = &pool.cname {
                notes.check(&pool.at, format!("region `{}` of service `{}` answers the name {name}: its endpoint {NAME_ONLY} only stands for it and is not checked; give it a real address and a check to fail over", pool.region, service.id));
                add(NAME_ONLY.to_owned(), 100, &nothing);
            }
        }
    }
    if seen.is_empty() {
        return;
    }
    out.push_str("regions:\n");
    let mut ids: BTreeMap<String, usize> = BTreeMap::new();
    for (region, pool) in seen {
        let place = plan.places.location(region, &pool.at, notes);
        let _ = write!(
            out,
            "  - id: {}\n    location: {{ country: {}, latitude: {:.4}, longitude: {:.4}, provider: own }}\n    endpoints:\n",
            yaml::text(region),
            yaml::text(&place.country),
            place.latitude,
            place.longitude,
        );
        for (key, services) in endpoints.iter().filter(|(key, _)| key.region == region) {
            let base = id(&format!(
                "{region}-{}",
                key.address.replace([':', '.'], "-")
            ));
            let count = ids.entry(base.clone()).or_default();
            *count += 1;
            let id = if *count == 1 {
                base
            } else {
                format!("{base}-{count}")
            };
            endpoint(out, &id, key, services);
        }
    }
}

fn endpoint(out: &mut String, id: &str, key: &EndpointKey<'_>, services: &[&str]) {
    let _ = write!(
        out,
        "      - id: {}\n        address: {}\n        port: {}\n        services: {}\n",
        yaml::text(id),
        yaml::text(&key.address),
        key.checks.port.unwrap_or(PORT),
        yaml::list(services),
    );
    if key.weight != 100 {
        let _ = writeln!(out, "        weight: {}", key.weight);
    }
    if key.checks.drained {
        out.push_str("        drain: true\n");
    }
    if !key.checks.checks.is_empty() {
        out.push_str("        health_checks:\n");
        for check in &key.checks.checks {
            let _ = writeln!(out, "          - {{ {check} }}");
        }
    }
}

fn services(out: &mut String, plan: &Plan, policies: &policy::Policies) {
    if plan.services.is_empty() {
        return;
    }
    out.push_str("services:\n");
    for service in &plan.services {
        let mut names = service.names.clone();
        names.sort();
        names.dedup();
        let _ = write!(
            out,
            "  # {} of {}\n  - id: {}\n    policy: {}\n    dns:\n      names: {}\n      ttl: {}s\n",
            service.from,
            service.at,
            yaml::text(&service.id),
            yaml::text(policies.of_service(&service.id)),
            yaml::list(&names),
            service.ttl,
        );
        let targets: Vec<String> = service
            .shape
            .pools
            .iter()
            .filter_map(|pool| {
                let name = pool.cname.as_ref()?;
                Some(format!(
                    "{{ region: {}, name: {} }}",
                    yaml::text(&pool.region),
                    yaml::text(name)
                ))
            })
            .collect();
        if !targets.is_empty() {
            let _ = writeln!(out, "      answer: {{ cname: [{}] }}", targets.join(", "));
        }
    }
}

/// The name of a client group.
fn group(at: usize) -> String {
    format!("nets-{}", at + 1)
}

fn groups(out: &mut String, plan: &Plan) {
    if plan.groups.groups.is_empty() {
        return;
    }
    out.push_str("client_groups:\n");
    for (at, nets) in plan.groups.groups.iter().enumerate() {
        let nets: Vec<String> = nets.iter().map(ToString::to_string).collect();
        let _ = writeln!(
            out,
            "  - {{ id: {}, cidrs: {} }}",
            group(at),
            yaml::list(&nets)
        );
    }
}

/// Whether a service has any endpoint of a family, by region.
fn most_addresses(service: &Service) -> usize {
    let count = |pool: &Pool, v4: bool| {
        let of_family = pool
            .members
            .iter()
            .filter(|member| member.address.is_ipv4() == v4);
        of_family.count()
    };
    let pools = service.shape.pools.iter();
    pools
        .flat_map(|pool| [count(pool, true), count(pool, false)])
        .max()
        .unwrap_or(0)
}

/// `options`: where it listens, and what else has a counterpart.
fn node(options: Option<&Value>, notes: &mut Notes) -> String {
    let mut out = String::from(HEAD);
    let entries = options.map_or(&[][..], Value::entries);
    let text = |key: &str| options.and_then(|options| options.get(key)?.text());
    let port = text("dns_port").unwrap_or("53");
    let mut listen: Vec<String> = Vec::new();
    if let Some(value) = options.and_then(|options| options.get("listen")) {
        let named: Vec<&str> = match &value.data {
            Data::Hash(addresses) => addresses
                .iter()
                .map(|(address, _)| address.as_str())
                .collect(),
            _ => value.texts(),
        };
        for address in named {
            if address == "any" {
                notes.check(&value.at, "`listen => any`: name each address of the host, a socket on 0.0.0.0 answers from the address that the route chooses");
                listen.extend([format!("0.0.0.0:{port}"), format!("[::]:{port}")]);
            } else {
                listen.push(with_port(address, port));
            }
        }
    } else {
        listen.extend([format!("0.0.0.0:{port}"), format!("[::]:{port}")]);
    }
    let _ = writeln!(out, "roles: [dns]\ndns:\n  listen: {}", yaml::list(&listen));
    for (key, value) in entries {
        match (key.as_str(), value.text()) {
            ("max_edns_response", Some(bytes)) => {
                let bytes = bytes.parse().unwrap_or(1232_u32).clamp(512, 4096);
                let _ = writeln!(out, "  udp_bytes_max: {bytes}");
            }
            ("edns_client_subnet", Some(word)) if word.eq_ignore_ascii_case("false") => {
                out.push_str("  client_subnet: nobody\n");
            }
            ("listen" | "dns_port" | "zones_default_ttl" | "edns_client_subnet", _) => {}
            ("experimental_no_chain", Some(word)) if word.eq_ignore_ascii_case("false") => {}
            (
                "run_dir"
                | "state_dir"
                | "username"
                | "udp_threads"
                | "tcp_threads"
                | "tcp_timeout"
                | "tcp_clients_per_thread"
                | "zones_rfc1035_threads"
                | "lock_mem"
                | "weaker_security"
                | "acme_challenge_ttl"
                | "acme_challenge_dns_ttl"
                | "zones_strict_data",
                _,
            ) => notes.check(
                &value.at,
                format!("option `{key}` is not taken over; docs/dns.md lists the settings here"),
            ),
            _ => notes.none(
                &value.at,
                format!("option `{key}`; docs/dns.md lists the settings here"),
            ),
        }
    }
    if let Some(options) = options.filter(|options| options.get("experimental_no_chain").is_none())
    {
        notes.check(&options.at, "gdnsd leaves the target of a CNAME to the resolver; here it is answered too when it is in a zone of this node");
    }
    out
}

fn with_port(address: &str, port: &str) -> String {
    if address.parse::<std::net::SocketAddr>().is_ok() {
        return address.to_owned();
    }
    match address.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V6(v6)) => format!("[{v6}]:{port}"),
        _ => format!("{address}:{port}"),
    }
}
