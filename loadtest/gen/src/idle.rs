//! `bench idle-memory`: what a connection costs a proxy while nothing happens on it.
//!
//! In each round every subject is started anew, for plain HTTP and again for TLS 1.3. A few
//! connections ask once and stay ([`clients`]), so that the process is warm; then thousands more, one
//! after the other. The figure is by how much the memory of the process and its workers grew, a second
//! after the last answer, for each connection. Ratios to `budget` are to what one may cost us.
//!
//! Limits: what the kernel keeps for a socket is not counted, nor are tables that a proxy sets aside
//! for its most connections when it starts.

mod clients;

use std::time::Duration;

use crate::{
    GenError,
    http::{self, Protocol, Setup, servers::Tls},
    machine::Machine,
    process,
    report::{Better, Metric, OURS, Ratio, Report, Row},
    rounds::{self, Effort},
};

use clients::Clients;

/// Connections before the first look at the memory; they stay, so that what they took is not used
/// again.
const WARM_UP: usize = 100;
/// Silence before the first look.
const SETTLE: Duration = Duration::from_millis(200);
/// Silence before the second look.
const QUIET: Duration = Duration::from_secs(1);
/// The name under which the ratios compare us with what a connection may cost.
const BUDGET: &str = "budget";

/// One way to come, and what a connection may cost us then.
struct Case {
    protocol: Protocol,
    metric: &'static str,
    budget_bytes: f64,
}

const CASES: [Case; 2] = [
    Case {
        protocol: Protocol::Http,
        metric: "plain_bytes_per_connection",
        budget_bytes: 2_048.0,
    },
    Case {
        protocol: Protocol::Https,
        metric: "tls_bytes_per_connection",
        budget_bytes: 20_480.0,
    },
];

/// How much is opened, and how often. Memory hardly differs from round to round.
struct Extent {
    connections: usize,
    rounds: usize,
}

impl Extent {
    const fn of(effort: Effort) -> Self {
        match effort {
            Effort::Quick => Self {
                connections: 3_000,
                rounds: 1,
            },
            Effort::Full => Self {
                connections: 9_000,
                rounds: 5,
            },
        }
    }
}

/// Runs the benchmark.
///
/// # Errors
/// When a subject cannot be started, answers wrongly or closes connections.
pub fn run(wanted: Option<&[String]>, effort: Effort) -> Result<Report, GenError> {
    let mut names = rounds::subjects(&http::PEERS, wanted)?;
    let extent = Extent::of(effort);
    let folder = tempfile::tempdir()?;
    let (_responder, upstream) = http::start_responder(folder.path())?;
    let tls = Tls::make(folder.path())?;
    let samples = rounds::turns(extent.rounds, &mut names, |name, samples| {
        for case in &CASES {
            let folder = tempfile::tempdir()?;
            let setup = Setup {
                folder: folder.path(),
                upstream,
                protocol: case.protocol,
                tls: &tls,
            };
            let bytes = bytes_each(name, &setup, extent.connections)?;
            samples.add(name, case.metric, bytes);
        }
        Ok(())
    })?;
    let metrics = CASES.map(|case| Metric {
        name: case.metric.to_owned(),
        unit: "B",
        better: Better::Lower,
        goals: Vec::new(),
    });
    let (rows, mut ratios) = samples.summarise(&metrics, &names);
    ratios.extend(budgets(&rows));
    Ok(Report {
        bench: "idle-memory".to_owned(),
        machine: Machine::here(),
        rounds: extent.rounds,
        rows,
        ratios,
        growth: Vec::new(),
    })
}

/// Bytes by which a subject grows with each of so many connections.
fn bytes_each(name: &str, setup: &Setup<'_>, connections: usize) -> Result<f64, GenError> {
    let subject = http::start(name, setup)?;
    let wrong = |detail: String| GenError::WrongAnswer {
        subject: name.to_owned(),
        detail,
    };
    let mut clients = Clients::new(setup, subject.address)?;
    let mut open = |count| {
        clients
            .open(count)
            .map_err(|error| wrong(error.to_string()))
    };
    open(WARM_UP)?;
    process::pause(SETTLE);
    let before = subject.process.anonymous_bytes();
    if before == 0 {
        return Err(GenError::Failed {
            program: subject.name,
            detail: "the system does not say how much memory it has".to_owned(),
        });
    }
    open(connections)?;
    process::pause(QUIET);
    let after = subject.process.anonymous_bytes();
    let closed = clients.closed()?;
    if closed > 0 {
        return Err(wrong(format!("{closed} idle connections were closed")));
    }
    Ok(after.saturating_sub(before) as f64 / connections as f64)
}

/// How we compare with what a connection may cost.
fn budgets(rows: &[Row]) -> Vec<Ratio> {
    let ours = |case: &Case| {
        let row = rows
            .iter()
            .find(|row| row.subject == OURS && row.metric == case.metric)?;
        Some(Ratio {
            metric: case.metric.to_owned(),
            peer: BUDGET.to_owned(),
            ours_over_peer: row.median / case.budget_bytes,
            goal: Some(1.0),
            better: Better::Lower,
        })
    };
    CASES.iter().filter_map(ours).collect()
}

#[cfg(test)]
mod tests;
