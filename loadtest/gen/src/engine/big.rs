//! The big case of `bench compile`: 10,000 services for 5,000 classes.
//!
//! First the engine alone, on a world in which every service has machines of its own, then a node on a
//! deployment that a user could write, from whose metrics compile and zones are read: what a publication
//! costs before the new plan answers.

use std::{
    hint::black_box,
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    time::Instant,
};

use meridian_engine::{HealthBits, compile, synthetic};

use super::{Picks, REGIONS, SEED, metric, time_compile};
use crate::{
    GenError,
    dns::{
        SEED as MAP_SEED,
        geography::{Geography, Random},
        query,
    },
    ours::{
        self,
        big::{CLASSES, SERVICES},
    },
    process,
    report::{Metric, OURS, Samples},
    rounds::Effort,
};

/// Look-ups timed together.
const LOOKUPS: usize = 1 << 20;

/// What the big case measures.
pub(super) fn metrics() -> Vec<Metric> {
    vec![
        metric("big_plan_ms", "ms"),
        metric("big_plan_bytes", "B"),
        metric("big_plan_rows", ""),
        metric("big_pick_ns", "ns"),
        metric("big_class_lookup_ns", "ns"),
        metric("big_node_plan_ms", "ms"),
        metric("big_node_zones_ms", "ms"),
        metric("big_node_resident_bytes", "B"),
    ]
}

/// Measures all of it.
pub(super) fn measure(effort: Effort, samples: &mut Samples) -> Result<(), GenError> {
    engine(effort, samples)?;
    node(samples)
}

fn engine(effort: Effort, samples: &mut Samples) -> Result<(), GenError> {
    let world = synthetic::tenants(REGIONS, SERVICES, CLASSES, SEED);
    for _ in 0..effort.rounds() {
        let (ms, bytes) = time_compile(&world);
        samples.add(OURS, "big_plan_ms", ms);
        samples.add(OURS, "big_plan_bytes", bytes);
    }
    let plan = compile(&world);
    samples.add(OURS, "big_plan_rows", plan.row_count() as f64);
    let bits = HealthBits::new(&plan, &world);
    let picks = Picks::draw(SERVICES, CLASSES);
    picks.time(&plan, &bits)?;
    let mut random = Random::new(SEED);
    let addresses: Vec<IpAddr> = (0..LOOKUPS)
        // Most addresses of the world's classes, some of none.
        .map(|_| Ipv4Addr::from_bits((1 << 24) + random.below(CLASSES * 300) as u32).into())
        .collect();
    for _ in 0..effort.rounds() {
        samples.add(OURS, "big_pick_ns", picks.time(&plan, &bits)?);
        let began = Instant::now();
        for address in &addresses {
            black_box(world.classes.lookup(black_box(*address)));
        }
        let ns = began.elapsed().as_secs_f64() * 1e9 / LOOKUPS as f64;
        samples.add(OURS, "big_class_lookup_ns", ns);
    }
    Ok(())
}

/// A node that serves the big deployment, and what it says of itself.
fn node(samples: &mut Samples) -> Result<(), GenError> {
    let folder = tempfile::tempdir()?;
    let address = process::free_address()?;
    let geography = Geography::new(MAP_SEED);
    let admin = ours::big::write_dns_big(folder.path(), address, &geography, SERVICES, CLASSES)?;
    let mut node = ours::serve(folder.path())?;
    node.wait_until(|| query::ask(address, query::Ask::Geo, 0, geography.network(0)).map(|_| ()))?;
    let text = scrape(admin)?;
    let value = |name: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = line.and_then(|value| value.trim().parse::<f64>().ok());
        value.ok_or_else(|| GenError::World(format!("the node does not count {name}")))
    };
    let compiles = value("meridian_live_compile_seconds_count")?.max(1.0);
    let compile_ms = value("meridian_live_compile_seconds_sum")? / compiles * 1e3;
    samples.add(OURS, "big_node_plan_ms", compile_ms);
    samples.add(
        OURS,
        "big_node_zones_ms",
        value("meridian_dns_zones_build_seconds")? * 1e3,
    );
    samples.add(
        OURS,
        "big_node_resident_bytes",
        node.resident_bytes() as f64,
    );
    Ok(())
}

/// The node's metrics as text.
fn scrape(admin: SocketAddr) -> Result<String, GenError> {
    let mut stream = TcpStream::connect(admin)?;
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}
