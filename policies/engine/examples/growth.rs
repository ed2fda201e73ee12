//! How compiling and picking grow with the world: run in release, one core.
//!
//! `cargo run --release -p meridian-engine --example growth`

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a benchmark reads the clock and prints"
)]

use std::hint::black_box;
use std::time::Instant;

use meridian_engine::{ClassId, ClientKey, EndpointState, HealthBits, Plan, compile, synthetic};
use meridian_topology::{EndpointIdx, ServiceIdx};

const SERVICES: usize = 20;
const CLASSES: usize = 5_000;
const TENANTS: usize = 10_000;
const ENDPOINTS: usize = 1_000;
const ROUNDS: usize = 7;
const PICKS: usize = 1_000_000;

/// Time that this thread has had a processor for, in nanoseconds, where the system counts it (Linux);
/// elsewhere time as it passes. A busy machine then spoils caches, not figures.
fn now_ns(start: Instant) -> f64 {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let on_cpu = schedstat
        .split_whitespace()
        .next()
        .and_then(|ns| ns.parse().ok());
    on_cpu.unwrap_or_else(|| start.elapsed().as_nanos() as f64)
}

/// Median time of a pick in nanoseconds, clients and services drawn evenly.
fn pick_ns(plan: &Plan, services: usize, bits: &HealthBits, epoch: Instant) -> f64 {
    let questions: Vec<(ServiceIdx, ClassId, ClientKey)> = (0..PICKS as u64)
        .map(|at| {
            let key = ClientKey::from_bytes(&at.to_le_bytes());
            let service = ServiceIdx((key.0 % services as u64) as u16);
            (service, ClassId((key.0 >> 20) as u32 % CLASSES as u32), key)
        })
        .collect();
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = now_ns(epoch);
            for (service, class, key) in &questions {
                black_box(plan.pick(*service, *class, *key, bits));
            }
            (now_ns(epoch) - start) / PICKS as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

fn main() {
    let epoch = Instant::now();
    println!(
        "regions endpoints plan_ms plan_bytes routes pick_ns pick_ns_10%_down set_endpoint_ns"
    );
    for regions in [1, 10, 50, 200] {
        let world = synthetic::world(regions, ENDPOINTS, SERVICES, CLASSES, 1);
        let mut times: Vec<f64> = (0..ROUNDS)
            .map(|_| {
                let start = now_ns(epoch);
                black_box(compile(&world));
                (now_ns(epoch) - start) / 1e6
            })
            .collect();
        times.sort_by(f64::total_cmp);
        let plan = compile(&world);
        let bits = HealthBits::new(&plan, &world);
        let healthy = pick_ns(&plan, SERVICES, &bits, epoch);
        let start = now_ns(epoch);
        let endpoints = regions * ENDPOINTS;
        for at in (0..endpoints).step_by(10) {
            bits.set_endpoint(&plan, EndpointIdx(at as u32), EndpointState::Down);
        }
        let set_ns = (now_ns(epoch) - start) / (endpoints as f64 / 10.0);
        println!(
            "{regions} {endpoints} {:.1} {} {} {healthy:.1} {:.1} {set_ns:.0}",
            times[ROUNDS / 2],
            plan.memory_bytes(),
            plan.route_count(),
            pick_ns(&plan, SERVICES, &bits, epoch),
        );
    }
    tenants(epoch);
}

/// Ten thousand services, each on machines of its own.
fn tenants(epoch: Instant) {
    let world = synthetic::tenants(50, TENANTS, CLASSES, 1);
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = now_ns(epoch);
            black_box(compile(&world));
            (now_ns(epoch) - start) / 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let plan = compile(&world);
    let start = now_ns(epoch);
    let bits = HealthBits::new(&plan, &world);
    let bits_ms = (now_ns(epoch) - start) / 1e6;
    println!(
        "{TENANTS} tenants, {} endpoints: plan_ms {:.1} plan_bytes {} rows {} routes {} bits_ms {bits_ms:.1} pick_ns {:.1}",
        world.topology.endpoints.len(),
        times[ROUNDS / 2],
        plan.memory_bytes(),
        plan.row_count(),
        plan.route_count(),
        pick_ns(&plan, TENANTS, &bits, epoch),
    );
}
