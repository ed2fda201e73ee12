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
//! tasks and of that NAPI thread at a fixed load, from the scheduler's statistics. One more subject is
//! ourselves with busy polling: then the server's thread does the receive work, on its core, and there is no
//! thread to pin; its processor time below saturation says nothing, so only its rates are taken.
//!
//! A server that is offered more than it can answer loses time on what it drops. So each rate is the best
//! of several offers: far too much, then falling from twice what was answered of that, until nearly all is
//! answered; in later rounds, offers close to the best one.
//!
//! Limits: needs root, and two cores. kxdpgun takes two seconds beside each measurement, so
//! `--quick` is a single round.

mod gun;
pub mod load;
mod servers;
mod wire;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    time::Duration,
};

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

/// Who we are measured against: on sockets, Knot in XDP mode, and ourselves busy polling.
pub const PEERS: [&str; 5] = ["gdnsd", "nsd", "knot", KNOT_XDP, BUSY];
/// Knot with its own AF_XDP.
const KNOT_XDP: &str = "knot-xdp";
/// Ourselves with `dns.xdp.busy_poll`.
const BUSY: &str = "meridian-busy";
/// The fixed load, in questions a second.
const PACE_QPS: u32 = 150_000;
/// What is offered first: more than anybody answers.
const FLOOD_QPS: u32 = 1_500_000;
/// What is offered next, over what was answered of that.
const OFFER_STEPS: [f64; 6] = [2.0, 1.6, 1.3, 1.15, 1.05, 0.95];
/// A server that answers so much of an offer can answer no more of a smaller one.
const ANSWERED_ENOUGH: f64 = 0.98;
/// What is offered in later rounds, over the best offer so far.
const OFFER_AGAIN: [f64; 2] = [1.05, 1.0];

/// A server under test on its own wire.
struct Subject {
    name: String,
    process: Pinned,
    wire: Wire,
    /// What was offered when it answered most, by metric.
    offers: BTreeMap<&'static str, u32>,
}

/// How much of it a run does.
#[derive(Clone, Copy)]
struct Plan {
    rounds: usize,
    time: Duration,
}

impl Plan {
    fn of(effort: Effort) -> Self {
        match effort {
            Effort::Quick => Self {
                rounds: 1,
                time: Duration::from_millis(500),
            },
            Effort::Full => Self {
                rounds: 5,
                time: Duration::from_secs(1),
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
        if name == BUSY {
            wire.defer_interrupts()?;
        }
        let process = servers::start(name, &wire, &folder, &geography)?;
        subjects.push(Subject {
            name: name.clone(),
            process,
            wire,
            offers: BTreeMap::new(),
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
        offers,
    } = subject;
    let by_gun = |qps| gun::fire(wire, qps, plan.time);
    let by_loader = |qps| load::from_other_core(wire, qps, plan.time);
    wire.release_napi()?;
    if name == BUSY {
        samples.add(name, "qps", best(offers.entry("qps"), by_gun)?);
        samples.add(name, "ecs_qps", best(offers.entry("ecs_qps"), by_loader)?);
        return Ok(());
    }
    let default_veth = best(offers.entry("default_veth_qps"), by_gun)?;
    let napi = wire.pin_napi()?;
    let mut add = |metric: &str, value| samples.add(name, metric, value);
    add("default_veth_qps", default_veth);
    add("qps", best(offers.entry("qps"), by_gun)?);
    add("ecs_qps", best(offers.entry("ecs_qps"), by_loader)?);
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
            paced.answered_share(),
        );
    }
    Ok(())
}

/// The highest rate of answers over a few offers; keeps the offer it was at for the next time.
fn best(
    known: Entry<'_, &'static str, u32>,
    load: impl Fn(u32) -> Result<Rate, GenError>,
) -> Result<f64, GenError> {
    let scaled = |rate: f64, by: f64| (rate * by).clamp(1_000.0, f64::from(FLOOD_QPS)) as u32;
    let mut best = (0.0, FLOOD_QPS);
    let mut try_offer = |offer: u32| -> Result<Rate, GenError> {
        let rate = load(offer)?;
        if rate.answers_per_second() > best.0 {
            best = (rate.answers_per_second(), offer);
        }
        Ok(rate)
    };
    if let Entry::Occupied(known) = &known {
        for by in OFFER_AGAIN {
            try_offer(scaled(f64::from(*known.get()), by))?;
        }
    } else {
        let flooded = try_offer(FLOOD_QPS)?.answers_per_second();
        for by in OFFER_STEPS {
            if try_offer(scaled(flooded, by))?.answered_share() >= ANSWERED_ENOUGH {
                break;
            }
        }
    }
    known.insert_entry(best.1);
    Ok(best.0)
}

#[cfg(test)]
mod tests;
