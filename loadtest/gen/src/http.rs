//! `bench http`, `http-new` and `tls`: requests through each proxy, each with one worker.
//!
//! The proxy has core 0; the upstream ([`responder`]) and `wrk` share core 1. `wrk` is a closed
//! loop, so its percentiles say how long a request takes at the proxy's full speed, not at a fixed
//! load; `cpu_us_per_request` does not depend on who saturates first and is the figure to compare.
//! One more subject is ourselves with every request in pingora's lane: what it costs beyond our own.

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

/// Ourselves, with pingora's lane alone.
pub const PINGORA: &str = "meridian-pingora";
/// Who we are measured against.
pub const PEERS: [&str; 3] = ["haproxy", "nginx", PINGORA];

/// A benchmark: what is asked, in one run.
#[derive(Debug)]
pub struct Suite {
    /// Its name on the command line.
    pub name: &'static str,
    /// Whether clients come over TLS 1.3.
    tls: bool,
    cases: &'static [Case],
}

/// One load, and how much CPU of HAProxy's we may take for it.
#[derive(Debug)]
struct Case {
    /// What its metrics' names end with.
    name: &'static str,
    connections: usize,
    path: &'static str,
    /// Every request on a connection of its own.
    fresh: bool,
    goal: Option<f64>,
}

impl Case {
    const fn kept(name: &'static str, connections: usize, goal: f64) -> Self {
        Self {
            name,
            connections,
            path: "/",
            fresh: false,
            goal: Some(goal),
        }
    }
}

/// HTTP/1.1 keepalive: answers of 1 KB on 64 and 1,000 connections, and of 100 KB.
pub const HTTP: Suite = Suite {
    name: "http",
    tls: false,
    cases: &[
        Case::kept("64", 64, 0.95),
        Case::kept("1000", 1_000, 0.95),
        Case {
            name: "100k",
            connections: 64,
            path: responder::LARGE_PATH,
            fresh: false,
            goal: None,
        },
    ],
};
/// A connection for each request.
pub const NEW: Suite = Suite {
    name: "http-new",
    tls: false,
    cases: &[Case {
        name: "new",
        connections: 64,
        path: "/",
        fresh: true,
        goal: None,
    }],
};
/// TLS 1.3: keepalive, and a whole handshake for each request.
pub const TLS: Suite = Suite {
    name: "tls",
    tls: true,
    cases: &[
        Case::kept("64", 64, 0.95),
        Case {
            name: "handshake",
            connections: 64,
            path: "/",
            fresh: true,
            goal: Some(0.8),
        },
    ],
};
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

/// Runs a benchmark.
///
/// # Errors
/// When a subject cannot be started or answers wrongly, or the load cannot be made.
pub fn run(suite: &Suite, wanted: Option<&[String]>, effort: Effort) -> Result<Report, GenError> {
    let names = rounds::subjects(&PEERS, wanted)?;
    let folder = tempfile::tempdir()?;
    let upstream = process::free_address()?;
    let mut responder = start_responder(folder.path(), upstream)?;
    responder.wait_until(|| get(upstream))?;
    let tls = if suite.tls {
        Some(servers::Tls::make(folder.path())?)
    } else {
        None
    };
    let mut subjects = names
        .iter()
        .map(|name| start(name, folder.path(), upstream, tls.as_ref()))
        .collect::<Result<Vec<_>, _>>()?;
    let load = wrk::Wrk::new(folder.path(), suite.tls)?;
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
        rows,
        ratios,
        growth: Vec::new(),
    })
}

fn metrics(case: &Case) -> Vec<Metric> {
    let metric = |name: &str, unit, better, goals: Vec<(&'static str, f64)>| Metric {
        name: format!("{name}_{}", case.name),
        unit,
        better,
        goals,
    };
    let (more, less) = (Better::Higher, Better::Lower);
    let goals = case.goal.map(|goal| ("haproxy", goal));
    vec![
        metric("requests_per_second", "1/s", more, Vec::new()),
        metric(
            "cpu_us_per_request",
            "us",
            less,
            goals.into_iter().collect(),
        ),
        metric("p50_ms", "ms", less, Vec::new()),
        metric("p99_ms", "ms", less, Vec::new()),
    ]
}

fn start_responder(folder: &Path, address: SocketAddr) -> Result<Pinned, GenError> {
    let program = std::env::current_exe()?;
    let args = ["respond".to_owned(), address.to_string()];
    let log = folder.join("responder.log");
    Pinned::start("responder", LOAD_CORE, &program, &args, &log)
}

fn start(
    name: &str,
    folder: &Path,
    upstream: SocketAddr,
    tls: Option<&servers::Tls>,
) -> Result<Subject, GenError> {
    let folder = folder.join(name);
    process::make_folder(&folder)?;
    let address = process::free_address()?;
    let job = servers::Job {
        folder: &folder,
        address,
        upstream,
        tls,
    };
    let mut process = match name {
        OURS => servers::meridian(&job, "own")?,
        PINGORA => servers::meridian(&job, "pingora")?,
        "haproxy" => servers::haproxy(&job)?,
        _ => servers::nginx(&job)?,
    };
    process.wait_until(|| match tls {
        // Whether answers are right is seen by the load.
        Some(_) => TcpStream::connect_timeout(&address, ANSWER_WITHIN)
            .map(|_| ())
            .map_err(|error| error.to_string()),
        None => get(address),
    })?;
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
    let mut add = |metric: &str, value| {
        samples.add(&subject.name, &format!("{metric}_{}", case.name), value);
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
