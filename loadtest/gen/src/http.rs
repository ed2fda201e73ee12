//! `bench http`, `http-new`, `http-growth`, `tls` and `h2`: requests through each proxy, each with
//! one worker.
//!
//! The proxy has core 0; the upstream ([`responder`]) and the load share core 1. `wrk` makes it, or
//! `h2load` where HTTP/2 is spoken. Both are closed loops, so their percentiles say how long a request
//! takes at the proxy's full speed, not at a fixed load; `cpu_us_per_request` does not depend on who
//! saturates first and is the figure to compare. One more subject is ourselves with every request in
//! pingora's lane: what it costs beyond our own.

mod h2load;
mod load;
pub mod responder;
pub(crate) mod servers;
mod suite;
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
    report::{Better, Growth, Metric, OURS, Report, Row, Samples, log_log_slope},
    rounds::{self, Effort},
};

use load::Load;
use suite::Case;
pub(crate) use suite::Protocol;
pub use suite::{GROWTH, H2, HTTP, NEW, Suite, TLS};

/// Ourselves, with pingora's lane alone.
pub const PINGORA: &str = "meridian-pingora";
/// Who we are measured against.
pub const PEERS: [&str; 3] = ["haproxy", "nginx", PINGORA];
/// Most connections that a proxy is set up for on each side. With both sides it stays below the 20,000
/// open files that some systems allow a process.
pub const CONNECTIONS_MAX: usize = 9_500;
/// The host asked for.
pub const HOST: &str = "bench.example";
/// Longest wait for the answer to a single request.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Requests before the first measurement, as time: connections to the upstream are opened.
const WARM_UP: Duration = Duration::from_secs(1);

/// What is the same for all proxies.
pub(crate) struct Setup<'a> {
    /// Where each gets a folder.
    pub(crate) folder: &'a Path,
    pub(crate) upstream: SocketAddr,
    /// How clients come.
    pub(crate) protocol: Protocol,
    /// With what TLS is served, where it is.
    pub(crate) tls: &'a servers::Tls,
}

/// A proxy under test.
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) process: Pinned,
    pub(crate) address: SocketAddr,
}

/// Runs a benchmark.
///
/// # Errors
/// When a subject cannot be started or answers wrongly, or the load cannot be made.
pub fn run(suite: &Suite, wanted: Option<&[String]>, effort: Effort) -> Result<Report, GenError> {
    let names = rounds::subjects(suite.peers, wanted)?;
    let folder = tempfile::tempdir()?;
    let load = Load::new(suite.protocol, folder.path())?;
    let (_responder, upstream) = start_responder(folder.path())?;
    let tls = servers::Tls::make(folder.path())?;
    let setup = Setup {
        folder: folder.path(),
        upstream,
        protocol: suite.protocol,
        tls: &tls,
    };
    let mut subjects = names
        .iter()
        .map(|name| start(name, &setup))
        .collect::<Result<Vec<_>, _>>()?;
    for subject in &subjects {
        load.run(subject.address, &suite.cases[0], WARM_UP)?;
    }
    let samples = rounds::interleave(effort, &mut subjects, |subject, samples| {
        let mut cases = suite.cases.iter();
        cases.try_for_each(|case| measure(&load, subject, case, effort.duration(), samples))
    })?;
    let metrics: Vec<Metric> = suite.cases.iter().flat_map(metrics).collect();
    let (rows, ratios) = samples.summarise(&metrics, &names);
    Ok(Report {
        bench: suite.name.to_owned(),
        machine: Machine::here(),
        rounds: effort.rounds(),
        growth: growth(suite, &rows),
        rows,
        ratios,
    })
}

/// How our medians grow with connections, where the benchmark asks for it.
fn growth(suite: &Suite, rows: &[Row]) -> Vec<Growth> {
    let point = |metric: &str, case: &Case| {
        let name = format!("{metric}_{}", case.name);
        let row = rows
            .iter()
            .find(|row| row.subject == OURS && row.metric == name)?;
        Some((case.connections as f64, row.median))
    };
    suite
        .growth
        .iter()
        .map(|&metric| {
            let points: Vec<(f64, f64)> = suite
                .cases
                .iter()
                .filter_map(|case| point(metric, case))
                .collect();
            Growth {
                metric: metric.to_owned(),
                over: "connections".to_owned(),
                slope: log_log_slope(&points),
                points,
            }
        })
        .collect()
}

fn metrics(case: &Case) -> Vec<Metric> {
    let metric = |name: String, unit, better| Metric {
        name,
        unit,
        better,
        goals: Vec::new(),
    };
    let (more, less) = (Better::Higher, Better::Lower);
    let [rate, cpu, p50, p99] = case.metrics();
    let goal = case.goal.map(|goal| ("haproxy", goal));
    vec![
        metric(rate, "1/s", more),
        Metric {
            goals: goal.into_iter().collect(),
            ..metric(cpu, "us", less)
        },
        metric(p50, "ms", less),
        metric(p99, "ms", less),
    ]
}

/// An upstream that answers, and where.
pub(crate) fn start_responder(folder: &Path) -> Result<(Pinned, SocketAddr), GenError> {
    let address = process::free_address()?;
    let program = std::env::current_exe()?;
    let args = ["respond".to_owned(), address.to_string()];
    let log = folder.join("responder.log");
    let mut responder = Pinned::start("responder", LOAD_CORE, &program, &args, &log)?;
    responder.wait_until(|| get(address))?;
    Ok((responder, address))
}

/// A proxy by its name that takes connections.
pub(crate) fn start(name: &str, setup: &Setup<'_>) -> Result<Subject, GenError> {
    let folder = setup.folder.join(name);
    process::make_folder(&folder)?;
    let address = process::free_address()?;
    let job = servers::Job {
        folder: &folder,
        address,
        setup,
    };
    let mut process = match name {
        OURS => servers::meridian(&job, "own")?,
        PINGORA => servers::meridian(&job, "pingora")?,
        "haproxy" => servers::haproxy(&job)?,
        _ => servers::nginx(&job)?,
    };
    process.wait_until(|| match setup.protocol {
        Protocol::Http => get(address),
        // Whether answers are right is seen by the load.
        Protocol::Https | Protocol::H2 => TcpStream::connect_timeout(&address, ANSWER_WITHIN)
            .map(|_| ())
            .map_err(|error| error.to_string()),
    })?;
    Ok(Subject {
        name: name.to_owned(),
        process,
        address,
    })
}

/// One case of one round of one subject.
fn measure(
    load: &Load,
    subject: &mut Subject,
    case: &Case,
    time: Duration,
    samples: &mut Samples,
) -> Result<(), GenError> {
    let before = subject.process.cpu();
    let result = load.run(subject.address, case, time)?;
    let used = subject.process.cpu().saturating_sub(before);
    if result.failed > 0 || result.requests == 0 {
        return Err(GenError::WrongAnswer {
            subject: subject.name.clone(),
            detail: format!("{result:?} in case {}", case.name),
        });
    }
    let requests = result.requests as f64;
    let values = [
        requests * 1e6 / result.duration_us,
        used.as_secs_f64() * 1e6 / requests,
        result.p50_us / 1e3,
        result.p99_us / 1e3,
    ];
    for (metric, value) in case.metrics().iter().zip(values) {
        samples.add(&subject.name, metric, value);
    }
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
pub(crate) mod tests;
