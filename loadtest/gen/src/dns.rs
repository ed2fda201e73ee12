//! `bench dns`: A records chosen by geography, asked with random client subnets (RFC 7871), and one
//! static A record asked plainly.
//!
//! All subjects but NSD, which has no geography, are given the same map, 10,000 networks of /24
//! spread over ten places ([`geography`]), and must answer a sample of networks with their place's
//! address before they are measured. One more subject is ourselves with the names of 10,000 services and
//! 5,000 client classes ([`crate::ours::big`]), asked for all those names: what size costs. Two loads, each from the other core: a *flood*, closed loop
//! with a bounded number of questions under way, gives `qps`; a *pace* of 50,000 questions a second,
//! open loop, gives `p99_us_at_50k` and, at that fixed load, `cpu_us_per_query`. The same of plain
//! questions are the rows that begin with `plain_`.

pub mod geography;
pub mod load;
pub mod query;
mod servers;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use crate::{
    GenError,
    machine::Machine,
    process::{self, LOAD_CORE, Pinned},
    report::{Better, Metric, OURS, Report, Samples},
    rounds::{self, Effort},
};

use geography::Geography;
use load::{Flood, Paced};
use query::Ask;

/// Ourselves with 10,000 services.
pub const BIG: &str = "meridian-big";
/// Who we are measured against.
pub const PEERS: [&str; 5] = ["gdnsd", "knot", "pdns", "nsd", BIG];
/// The fixed load, in questions a second.
pub const PACE_QPS: u32 = 50_000;
/// Decides which networks there are.
pub const SEED: u64 = 20_260;
/// What every server answers to the plain load: the record in its zone.
pub const PLAIN_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 251);
/// Questions asked of each subject before it is measured.
const CHECKED: usize = 2_000;

/// A server under test.
struct Subject {
    name: String,
    process: Pinned,
    address: SocketAddr,
}

/// Runs the benchmark.
///
/// # Errors
/// When a subject cannot be started or answers wrongly, or the load cannot be made.
pub fn run(wanted: Option<&[String]>, effort: Effort) -> Result<Report, GenError> {
    let names = rounds::subjects(&PEERS, wanted)?;
    let folder = tempfile::tempdir()?;
    let geography = Geography::new(SEED);
    let mut subjects = names
        .iter()
        .map(|name| start(name, folder.path(), &geography))
        .collect::<Result<Vec<_>, _>>()?;
    let samples = rounds::interleave(effort, &mut subjects, |subject, samples| {
        measure(subject, effort.duration(), samples)
    })?;
    let (rows, ratios) = samples.summarise(&metrics(), &names);
    Ok(Report {
        bench: "dns".to_owned(),
        machine: Machine::here(),
        rounds: effort.rounds(),
        rows,
        ratios,
        growth: Vec::new(),
    })
}

fn metrics() -> Vec<Metric> {
    let metric = |name: &str, unit, better, goals: &[(&'static str, f64)]| Metric {
        name: name.to_owned(),
        unit,
        better,
        goals: goals.to_vec(),
    };
    let (more, less) = (Better::Higher, Better::Lower);
    vec![
        metric("qps", "1/s", more, &[("gdnsd", 1.0), ("knot", 1.3)]),
        metric("cpu_us_per_query", "us", less, &[]),
        metric("p99_us_at_50k", "us", less, &[("gdnsd", 1.0)]),
        metric("p50_us_at_50k", "us", less, &[]),
        metric("lost_share_at_50k", "", less, &[]),
        metric("plain_qps", "1/s", more, &[("gdnsd", 1.0)]),
        metric("plain_cpu_us_per_query", "us", less, &[]),
        metric("plain_p99_us_at_50k", "us", less, &[]),
    ]
}

/// The loads a server can be put to, each with what its metrics' names begin with.
fn loads(name: &str) -> &'static [(Ask, &'static str)] {
    match name {
        // It answers from zones alone.
        "nsd" => &[(Ask::Plain, "plain_")],
        BIG => &[(Ask::Big, "")],
        _ => &[(Ask::Geo, ""), (Ask::Plain, "plain_")],
    }
}

/// Starts a server on its core and makes sure that it knows the map.
fn start(name: &str, folder: &Path, geography: &Geography) -> Result<Subject, GenError> {
    let folder = folder.join(name);
    process::make_folder(&folder)?;
    let address = process::free_address()?;
    let mut process = match name {
        OURS => servers::meridian(&folder, address, geography)?,
        BIG => servers::meridian_big(&folder, address, geography)?,
        "gdnsd" => servers::gdnsd(&folder, address, geography)?,
        "pdns" => servers::pdns(&folder, address, geography)?,
        "nsd" => servers::nsd(&folder, address)?,
        _ => servers::knot(&folder, address, geography)?,
    };
    for (ask, _) in loads(name) {
        let ready = || query::ask(address, *ask, 0, geography.network(0)).map(|_| ());
        process.wait_until(ready)?;
        check(name, address, *ask, geography)?;
    }
    Ok(Subject {
        name: name.to_owned(),
        process,
        address,
    })
}

/// Asks a sample of what will be asked, and compares.
fn check(name: &str, address: SocketAddr, ask: Ask, geography: &Geography) -> Result<(), GenError> {
    for at in 0..CHECKED {
        let network = geography.network(at * geography.len() / CHECKED);
        let wrong = |detail| GenError::WrongAnswer {
            subject: name.to_owned(),
            detail,
        };
        let answer = query::ask(address, ask, at as u16, network).map_err(wrong)?;
        let want = match ask {
            Ask::Geo | Ask::Big => network.place.address(),
            Ask::Plain => PLAIN_ADDRESS,
        };
        if answer != want {
            return Err(wrong(format!("{network}: {answer} instead of {want}")));
        }
    }
    Ok(())
}

/// One round of one subject: flood, then pace, of each kind of question.
fn measure(subject: &mut Subject, time: Duration, samples: &mut Samples) -> Result<(), GenError> {
    for (ask, prefix) in loads(&subject.name) {
        let flood: Flood = load_from_other_core("flood", *ask, subject.address, time)?;
        let qps = flood.answers as f64 / flood.seconds;
        samples.add(&subject.name, &format!("{prefix}qps"), qps);

        let before = subject.process.cpu();
        let paced: Paced = load_from_other_core("pace", *ask, subject.address, time)?;
        let used = subject.process.cpu().saturating_sub(before);
        if paced.answers == 0 {
            return Err(GenError::WrongAnswer {
                subject: subject.name.clone(),
                detail: "no answers at a fixed load".to_owned(),
            });
        }
        let lost = 1.0 - paced.answers as f64 / paced.questions as f64;
        let cpu_us = used.as_secs_f64() * 1e6 / paced.answers as f64;
        let mut add = |metric, value| {
            samples.add(&subject.name, &format!("{prefix}{metric}"), value);
        };
        add("cpu_us_per_query", cpu_us);
        add("p99_us_at_50k", paced.p99_us);
        add("p50_us_at_50k", paced.p50_us);
        add("lost_share_at_50k", lost.max(0.0));
    }
    Ok(())
}

/// Runs this very program as a loader pinned to the other core.
fn load_from_other_core<T: serde::de::DeserializeOwned>(
    kind: &str,
    ask: Ask,
    target: SocketAddr,
    time: Duration,
) -> Result<T, GenError> {
    let program = std::env::current_exe()?;
    let args = [
        "load-dns".to_owned(),
        kind.to_owned(),
        ask.as_str().to_owned(),
        target.to_string(),
        time.as_millis().to_string(),
    ];
    let text = process::output(LOAD_CORE, &program, &args)?;
    Ok(serde_json::from_str(&text)?)
}

#[cfg(test)]
mod tests;
