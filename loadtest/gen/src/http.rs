//! `bench http`: HTTP/1.1 keepalive through each proxy, 1 KB responses, 64 and 1,000 connections.
//!
//! The proxy has core 0; the upstream ([`responder`]) and `wrk` share core 1. `wrk` is a closed
//! loop, so its percentiles say how long a request takes at the proxy's full speed, not at a fixed
//! load; `cpu_us_per_request` does not depend on who saturates first and is the figure to compare.

pub mod responder;
mod servers;
mod wrk;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
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

/// Who we are measured against.
pub const PEERS: [&str; 2] = ["haproxy", "nginx"];
/// Connections held open by the clients, case by case.
pub const CONNECTIONS: [usize; 2] = [64, 1_000];
/// The host asked for.
pub const HOST: &str = "bench.example";
/// Longest wait for the answer to a single request.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Requests before the first measurement, as time: connections to the upstream are opened.
const WARM_UP: Duration = Duration::from_secs(1);

/// A proxy under test.
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
    let upstream = process::free_address()?;
    let mut responder = start_responder(folder.path(), upstream)?;
    responder.wait_until(|| get(upstream))?;
    let mut subjects = names
        .iter()
        .map(|name| start(name, folder.path(), upstream))
        .collect::<Result<Vec<_>, _>>()?;
    let load = wrk::Wrk::new(folder.path())?;
    for subject in &subjects {
        load.run(subject.address, CONNECTIONS[0], WARM_UP)?;
    }
    let samples = rounds::interleave(effort, &mut subjects, |subject, samples| {
        CONNECTIONS
            .iter()
            .try_for_each(|&count| measure(&load, subject, count, effort.duration(), samples))
    })?;
    let metrics: Vec<Metric> = CONNECTIONS.into_iter().flat_map(metrics).collect();
    let (rows, ratios) = samples.summarise(&metrics, &names);
    Ok(Report {
        bench: "http".to_owned(),
        machine: Machine::here(),
        rounds: effort.rounds(),
        rows,
        ratios,
        growth: Vec::new(),
    })
}

fn metrics(connections: usize) -> Vec<Metric> {
    let metric = |name: &str, unit, better, goals: &[(&'static str, f64)]| Metric {
        name: format!("{name}_{connections}"),
        unit,
        better,
        goals: goals.to_vec(),
    };
    let (more, less) = (Better::Higher, Better::Lower);
    vec![
        metric("requests_per_second", "1/s", more, &[]),
        metric("cpu_us_per_request", "us", less, &[("haproxy", 0.95)]),
        metric("p50_ms", "ms", less, &[]),
        metric("p99_ms", "ms", less, &[]),
    ]
}

fn start_responder(folder: &Path, address: SocketAddr) -> Result<Pinned, GenError> {
    let program = std::env::current_exe()?;
    let args = ["respond".to_owned(), address.to_string()];
    let log = folder.join("responder.log");
    Pinned::start("responder", LOAD_CORE, &program, &args, &log)
}

fn start(name: &str, folder: &Path, upstream: SocketAddr) -> Result<Subject, GenError> {
    let folder = folder.join(name);
    process::make_folder(&folder)?;
    let address = process::free_address()?;
    let mut process = match name {
        OURS => servers::meridian(&folder, address, upstream)?,
        "haproxy" => servers::haproxy(&folder, address, upstream)?,
        _ => servers::nginx(&folder, address, upstream)?,
    };
    process.wait_until(|| get(address))?;
    Ok(Subject {
        name: name.to_owned(),
        process,
        address,
    })
}

/// One case of one round of one subject.
fn measure(
    load: &wrk::Wrk,
    subject: &mut Subject,
    connections: usize,
    time: Duration,
    samples: &mut Samples,
) -> Result<(), GenError> {
    let before = subject.process.cpu();
    let result = load.run(subject.address, connections, time)?;
    let used = subject.process.cpu().saturating_sub(before);
    if result.failed > 0 || result.requests == 0 {
        return Err(GenError::WrongAnswer {
            subject: subject.name.clone(),
            detail: format!("{result:?} with {connections} connections"),
        });
    }
    let mut add = |metric: &str, value| {
        samples.add(&subject.name, &format!("{metric}_{connections}"), value);
    };
    let requests = result.requests as f64;
    add("requests_per_second", requests * 1e6 / result.duration_us);
    add("cpu_us_per_request", used.as_secs_f64() * 1e6 / requests);
    add("p50_ms", result.p50_us / 1e3);
    add("p99_ms", result.p99_us / 1e3);
    Ok(())
}

/// One request on a new connection; the answer must be the responder's.
fn get(server: SocketAddr) -> Result<(), String> {
    let exchange = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&server, ANSWER_WITHIN)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        write!(
            stream,
            "GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    };
    let answer = exchange().map_err(|error| error.to_string())?;
    if answer.starts_with(b"HTTP/1.1 200") && answer.ends_with(&responder::BODY) {
        return Ok(());
    }
    let line = answer
        .split(|byte| *byte == b'\r')
        .next()
        .unwrap_or(&answer);
    Err(String::from_utf8_lossy(line).into_owned())
}

#[cfg(test)]
mod tests;
