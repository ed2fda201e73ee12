//! `bench dns-xdp`: answers over a network card's path instead of loopback.
//!
//! Every subject has two network namespaces of its own, joined by a veth pair with one queue each
//! way ([`wire`]); it answers in one on its core, and the loader asks from the other on the other
//! core. Peers answer a static A record; we answer by geography:
//!
//! - loaded by kxdpgun ([`gun`]), which cannot send client subnets, we steer each query by its
//!   source address, drawn from 256 networks (`qps…`, `cpu_us_per_query`);
//! - loaded by our own AF_XDP loader ([`load`]), all are asked the same question with a random
//!   client subnet of 10,000 (RFC 7871), which we steer by (`ecs_…`).
//!
//! On a veth pair the receiver's softirq runs on the *sender's* core. So `qps` is taken with
//! threaded NAPI whose thread is pinned to the server's core, where a network card's interrupts
//! would be; `default_veth_qps` is the same without. `cpu_us_per_query` is the time of the server's
//! tasks and of that NAPI thread at a fixed load, from the scheduler's statistics.
//!
//! A server that is offered more than it can answer loses time on what it drops. So each rate is
//! the best of a few offers: first far too much, then somewhat more than was answered before.
//!
//! Limits: needs root, and two cores. kxdpgun takes two seconds beside each measurement, so
//! `--quick` is a single round.

mod gun;
pub mod load;
mod servers;
mod wire;

use std::time::Duration;

use crate::{
    GenError,
    dns::geography::Geography,
    machine::Machine,
    process::Pinned,
    report::{Better, Metric, Report, Samples},
    rounds::{self, Effort},
};
use gun::Rate;
use wire::Wire;

/// Who we are measured against: on sockets, and Knot in XDP mode.
pub const PEERS: [&str; 4] = ["gdnsd", "nsd", "knot", KNOT_XDP];
/// Knot with its own AF_XDP.
const KNOT_XDP: &str = "knot-xdp";
/// The fixed load, in questions a second.
const PACE_QPS: u32 = 150_000;
/// What is offered first: more than anybody answers.
const FLOOD_QPS: u32 = 1_500_000;
/// What is offered next, over what was answered.
const OFFER_STEPS: [f64; 3] = [1.15, 1.05, 0.95];

/// A server under test on its own wire.
struct Subject {
    name: String,
    process: Pinned,
    wire: Wire,
}

/// How much of it a run does.
#[derive(Clone, Copy)]
struct Plan {
    rounds: usize,
    time: Duration,
    offers: usize,
}

impl Plan {
    fn of(effort: Effort) -> Self {
        match effort {
            Effort::Quick => Self {
                rounds: 1,
                time: Duration::from_millis(500),
                offers: 1,
            },
            Effort::Full => Self {
                rounds: effort.rounds(),
                time: Duration::from_secs(2),
                offers: 1 + OFFER_STEPS.len(),
            },
        }
    }
}

/// Runs the benchmark.
///
/// # Errors
/// When a subject cannot be started or answers wrongly, or the load cannot be made.
pub fn run(wanted: Option<&[String]>, effort: Effort) -> Result<Report, GenError> {
    let names = rounds::subjects(&PEERS, wanted)?;
    let plan = Plan::of(effort);
    let folder = tempfile::tempdir()?;
    let geography = Geography::new(crate::dns::SEED).with_clients(wire::CLIENTS);
    let mut subjects = Vec::new();
    for (number, name) in names.iter().enumerate() {
        let folder = folder.path().join(name);
        crate::process::make_folder(&folder)?;
        let wire = Wire::new(number)?;
        let process = servers::start(name, &wire, &folder, &geography)?;
        subjects.push(Subject {
            name: name.clone(),
            process,
            wire,
        });
    }
    let mut samples = Samples::default();
    for round in 0..plan.rounds {
        for turn in 0..subjects.len() {
            let at = (round + turn) % subjects.len();
            measure(&mut subjects[at], plan, &mut samples)?;
        }
    }
    let (rows, ratios) = samples.summarise(&metrics(), &names);
    Ok(Report {
        bench: "dns-xdp".to_owned(),
        machine: Machine::here(),
        rounds: plan.rounds,
        rows,
        ratios,
        growth: Vec::new(),
    })
}

fn metrics() -> Vec<Metric> {
    const GOALS: [(&str, f64); 2] = [("gdnsd", 2.5), (KNOT_XDP, 1.1)];
    let metric = |name: &str, unit, better, goals: &[(&'static str, f64)]| Metric {
        name: name.to_owned(),
        unit,
        better,
        goals: goals.to_vec(),
    };
    let (more, less) = (Better::Higher, Better::Lower);
    vec![
        metric("qps", "1/s", more, &GOALS),
        metric("default_veth_qps", "1/s", more, &[]),
        metric("cpu_us_per_query", "us", less, &[]),
        metric("answered_share_at_150k", "", more, &[]),
        metric("ecs_qps", "1/s", more, &GOALS),
        metric("ecs_cpu_us_per_query", "us", less, &[]),
        metric("ecs_answered_share_at_150k", "", more, &[]),
    ]
}

/// One round of one subject.
fn measure(subject: &mut Subject, plan: Plan, samples: &mut Samples) -> Result<(), GenError> {
    let Subject {
        name,
        process,
        wire,
    } = subject;
    let by_gun = |qps| gun::fire(wire, qps, plan.time);
    let by_loader = |qps| load::from_other_core(wire, qps, plan.time);
    wire.release_napi()?;
    let default_veth = best(plan, by_gun)?;
    let napi = wire.pin_napi()?;
    let mut add = |metric: &str, value| samples.add(name, metric, value);
    add("default_veth_qps", default_veth);
    add("qps", best(plan, by_gun)?);
    add("ecs_qps", best(plan, by_loader)?);
    let cpu = || process.cpu() + napi.cpu();
    for (prefix, load) in [
        ("", &by_gun as &dyn Fn(u32) -> Result<Rate, GenError>),
        ("ecs_", &by_loader),
    ] {
        let before = cpu();
        let paced = load(PACE_QPS)?;
        let used = cpu().saturating_sub(before);
        if paced.answers == 0 {
            return Err(GenError::WrongAnswer {
                subject: name.clone(),
                detail: format!("no answers to {PACE_QPS} questions a second"),
            });
        }
        let answers = paced.answers as f64;
        add(
            &format!("{prefix}cpu_us_per_query"),
            used.as_secs_f64() * 1e6 / answers,
        );
        add(
            &format!("{prefix}answered_share_at_150k"),
            answers / paced.questions as f64,
        );
    }
    Ok(())
}

/// The highest rate of answers over a few offers.
fn best(plan: Plan, load: impl Fn(u32) -> Result<Rate, GenError>) -> Result<f64, GenError> {
    let mut best = load(FLOOD_QPS)?.answers_per_second();
    for step in OFFER_STEPS.iter().take(plan.offers - 1) {
        let offer = (best * step).clamp(1_000.0, f64::from(FLOOD_QPS)) as u32;
        best = best.max(load(offer)?.answers_per_second());
    }
    Ok(best)
}

#[cfg(test)]
mod tests;
