//! The ready policies and the decisions they make for a fixed table of clients, and the policies of
//! the example deployments, which must load against their topologies.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use expect_test::expect_file;
use meridian_engine::class::{ClassTable, ClassTableBuilder, ClientClass};
use meridian_engine::{ClassId, HealthBits, MinuteOfDay, Plan, PolicySet, World, compile};
use meridian_topology::{EndpointIdx, RegionIdx, ServiceIdx, SourceFile, Topology};

const CLIENTS: &[&str] = &[
    "DE", "FR", "GB", "NO", "US", "CA", "BR", "JP", "IN", "AU", "ZA", "??",
];

/// Clients by country, `??` is the unknown one.
fn classes() -> ClassTable {
    let mut builder = ClassTableBuilder::new();
    for code in CLIENTS.iter().filter(|code| **code != "??") {
        builder
            .intern(ClientClass::default().in_country(code.parse().unwrap()))
            .unwrap();
    }
    builder.build().unwrap()
}

fn class_of(code: &str) -> ClassId {
    let at = CLIENTS.iter().position(|known| *known == code).unwrap();
    ClassId(if code == "??" { 0 } else { at as u32 + 1 })
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub fn read(path: &Path) -> SourceFile {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    SourceFile::new(name, std::fs::read_to_string(path).unwrap())
}

/// The YAML files of a folder, by name.
pub fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .collect();
    files.sort();
    files
}

pub fn fixture_topology() -> Topology {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/topology.yaml");
    Topology::parse(&[read(&path)]).unwrap_or_else(|problems| panic!("{problems}"))
}

fn library() -> World {
    let topology = fixture_topology();
    let files: Vec<SourceFile> = yaml_files(&root().join("policies/library"))
        .iter()
        .map(|path| read(path))
        .collect();
    let policies =
        PolicySet::parse(&files, &topology).unwrap_or_else(|problems| panic!("{problems}"));
    World::new(Arc::new(topology), Arc::new(policies), Arc::new(classes()))
}

/// Shares of the regions, such as `eu-central-1 60%, westeurope 40%`.
fn shares(
    world: &World,
    plan: &Plan,
    bits: &HealthBits,
    service: ServiceIdx,
    class: ClassId,
) -> String {
    let mut regions: Vec<(RegionIdx, f32)> = Vec::new();
    for (endpoint, share) in plan.shares(service, class, bits) {
        let region = world.topology.endpoints[endpoint.index()].region;
        match regions.iter_mut().find(|(known, _)| *known == region) {
            Some((_, sum)) => *sum += share,
            None => regions.push((region, share)),
        }
    }
    regions.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let names = regions.iter().map(|(region, share)| {
        format!(
            "{} {:.0}%",
            world.topology.regions[region.index()].id,
            share * 100.0
        )
    });
    let names: Vec<String> = names.collect();
    if names.is_empty() {
        "refused".to_owned()
    } else {
        names.join(", ")
    }
}

/// Where each client goes, and where when the regions it went to are dead.
fn decisions(world: &World, service: ServiceIdx) -> String {
    let plan = compile(world);
    let mut table = String::new();
    for code in CLIENTS {
        let class = class_of(code);
        let bits = HealthBits::new(&plan, world);
        let usual = shares(world, &plan, &bits, service, class);
        let used: Vec<RegionIdx> = plan
            .shares(service, class, &bits)
            .iter()
            .map(|(endpoint, _)| world.topology.endpoints[endpoint.index()].region)
            .collect();
        for (at, endpoint) in world.topology.endpoints.iter().enumerate() {
            if used.contains(&endpoint.region) {
                let down = meridian_engine::EndpointState::Down;
                bits.set_endpoint(&plan, EndpointIdx(at as u32), down);
            }
        }
        let without = shares(world, &plan, &bits, service, class);
        writeln!(table, "{code}: {usual} | those dead: {without}").unwrap();
    }
    table
}

#[test]
fn ready_policies_decide_as_recorded() {
    let mut world = library();
    for service in 0..world.topology.services.len() {
        let id = world.topology.services[service].id.clone();
        let hours: &[u16] = if id.as_str() == "follow-the-sun" {
            &[2, 10, 18]
        } else {
            &[12]
        };
        let mut golden = String::new();
        for hour in hours {
            world.time = MinuteOfDay::new(hour * 60);
            writeln!(golden, "at {hour:02}:00 UTC").unwrap();
            golden += &decisions(&world, ServiceIdx(service as u16));
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/library/{id}.txt"));
        expect_file![path].assert_eq(&golden);
    }
}

#[test]
fn every_ready_policy_has_a_golden() {
    let world = library();
    let services: Vec<&str> = world
        .topology
        .services
        .iter()
        .map(|s| s.policy.as_str())
        .collect();
    for policy in world.policies.policies() {
        assert!(
            services.contains(&policy.id.as_str()),
            "{} is in no service",
            policy.id
        );
        assert!(
            !policy.description.is_empty(),
            "{} says not what it is for",
            policy.id
        );
    }
}

#[test]
fn policies_of_the_examples_load() {
    let mut seen = 0;
    for entry in std::fs::read_dir(root().join("config/examples")).unwrap() {
        let folder = entry.unwrap().path();
        let topology = folder.join("topology.yaml");
        if !topology.exists() || !folder.join("policies").exists() {
            continue;
        }
        let topology =
            Topology::parse(&[read(&topology)]).unwrap_or_else(|problems| panic!("{problems}"));
        let files: Vec<SourceFile> = yaml_files(&folder.join("policies"))
            .iter()
            .map(|path| read(path))
            .collect();
        PolicySet::parse(&files, &topology)
            .unwrap_or_else(|problems| panic!("{}: {problems}", folder.display()));
        seen += 1;
    }
    assert!(seen >= 5, "only {seen} examples have policies");
}

/// The JSON that scripts read, with every stage in use.
#[test]
fn an_explanation_reads_as_recorded() {
    use meridian_engine::explain::{Client, Query, Surface};
    let mut world = library();
    world
        .load
        .utilization
        .insert("westeurope".parse().unwrap(), 0.95);
    world
        .load
        .utilization
        .insert("eu-central-1".parse().unwrap(), 0.8);
    world.health.down.insert("use1-1".parse().unwrap());
    world.health.down.insert("use1-2".parse().unwrap());
    let query = |service: &str, key| Query {
        service: service.parse().unwrap(),
        client: Client::Class(class_of("DE")),
        surface: Surface::Http,
        family: None,
        key,
        plan_generation: Some(7),
    };
    let key = Some(meridian_engine::ClientKey(1));
    for service in ["multi-cloud", "eu-only"] {
        let explanation = meridian_engine::explain(&world, &query(service, key)).unwrap();
        let json = serde_json::to_string_pretty(&explanation).unwrap() + "\n";
        let path = format!("tests/library/explain-{service}.json");
        expect_file![Path::new(env!("CARGO_MANIFEST_DIR")).join(path)].assert_eq(&json);
        let back: meridian_engine::Explanation = serde_json::from_str(&json).unwrap();
        assert_eq!(back.stages.len(), 5);
    }
    let wrong = meridian_engine::explain(&world, &query("multi-clud", None)).unwrap_err();
    assert_eq!(
        wrong.to_string(),
        "there is no service `multi-clud`; did you mean `multi-cloud`?"
    );
}

/// A world survives being written down: the replayed one decides the same.
#[test]
fn worlds_replay_from_json() {
    let mut world = library();
    world
        .health
        .ramp
        .insert("us-east-1".parse().unwrap(), crate::worlds::ratio(0.25));
    let text = serde_json::to_string(&world).unwrap();
    let replayed: World = serde_json::from_str(&text).unwrap();
    assert_eq!(compile(&replayed), compile(&world));
}
