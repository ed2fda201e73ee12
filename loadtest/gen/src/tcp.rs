//! `bench tcp`: bytes through each proxy as a stream, each with one worker.
//!
//! Three loads from the other core, where the upstream ([`responder`]) is, too: a *ping-pong* of 1 KB each way on
//! 64 connections, a new connection for each such exchange, and *bulk*, 100 MB down each of four
//! connections. HAProxy is measured as it comes and with `option splice-auto`.

pub mod load;
pub mod responder;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    time::Duration,
};

use clap::ValueEnum;

use crate::{
    GenError,
    machine::Machine,
    ours,
    process::{self, LOAD_CORE, Pinned, SUBJECT_CORE},
    report::{Better, Metric, OURS, Report, Samples},
    rounds::{self, Effort},
    template::fill,
};

use load::Moved;
use responder::MESSAGE_BYTES;

/// Who we are measured against.
pub const PEERS: [&str; 2] = ["haproxy", "haproxy-splice"];
/// Longest wait for the answer to a single message.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// What is moved, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// 1 KB each way, over and over.
    Pingpong,
    /// The same, each on a connection of its own.
    New,
    /// 100 MB down.
    Bulk,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Pingpong, Self::New, Self::Bulk];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Pingpong => "pingpong",
            Self::New => "new",
            Self::Bulk => "bulk",
        }
    }
}

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
    let program = std::env::current_exe()?;
    let args = ["respond-tcp".to_owned(), upstream.to_string()];
    let log = folder.path().join("responder.log");
    let mut responder = Pinned::start("responder", LOAD_CORE, &program, &args, &log)?;
    responder.wait_until(|| ask(upstream))?;
    let mut subjects = names
        .iter()
        .map(|name| start(name, folder.path(), upstream))
        .collect::<Result<Vec<_>, _>>()?;
    let samples = rounds::interleave(effort, &mut subjects, |subject, samples| {
        let mut kinds = Kind::ALL.into_iter();
        kinds.try_for_each(|kind| measure(subject, kind, effort.duration(), samples))
    })?;
    let (rows, ratios) = samples.summarise(&metrics(), &names);
    Ok(Report {
        bench: "tcp".to_owned(),
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
        metric("pingpongs_per_second", "1/s", more, &[]),
        metric("pingpong_cpu_us", "us", less, &[]),
        metric("connects_per_second", "1/s", more, &[]),
        metric("connect_cpu_us", "us", less, &[]),
        metric("bulk_megabytes_per_second", "MB/s", more, &[]),
        metric("bulk_cpu_ms_per_100mb", "ms", less, &[("haproxy", 0.4)]),
    ]
}

fn start(name: &str, folder: &Path, upstream: SocketAddr) -> Result<Subject, GenError> {
    let folder = folder.join(name);
    process::make_folder(&folder)?;
    let address = process::free_address()?;
    let mut process = match name {
        OURS => {
            ours::write_tcp(&folder, address, upstream)?;
            ours::serve(&folder)?
        }
        "haproxy-splice" => haproxy(&folder, address, upstream, "option splice-auto")?,
        _ => haproxy(&folder, address, upstream, "")?,
    };
    process.wait_until(|| ask(address))?;
    Ok(Subject {
        name: name.to_owned(),
        process,
        address,
    })
}

fn haproxy(
    folder: &Path,
    address: SocketAddr,
    upstream: SocketAddr,
    option: &str,
) -> Result<Pinned, GenError> {
    let values = [
        ("address", address.to_string()),
        ("upstream", upstream.to_string()),
        ("option", option.to_owned()),
    ];
    let path = folder.join("haproxy.cfg");
    process::write(
        &path,
        &fill(include_str!("../templates/haproxy-tcp.cfg"), &values),
    )?;
    let program = process::find("haproxy", "haproxy")?;
    let args = [
        "-db".to_owned(),
        "-f".to_owned(),
        path.display().to_string(),
    ];
    Pinned::start(
        "haproxy",
        SUBJECT_CORE,
        &program,
        &args,
        &folder.join("log"),
    )
}

fn measure(
    subject: &mut Subject,
    kind: Kind,
    time: Duration,
    samples: &mut Samples,
) -> Result<(), GenError> {
    let before = subject.process.cpu();
    let moved = load(subject.address, kind, time)?;
    let used = subject.process.cpu().saturating_sub(before).as_secs_f64() * 1e6;
    if moved.failed > 0 || moved.exchanges == 0 {
        return Err(GenError::WrongAnswer {
            subject: subject.name.clone(),
            detail: format!("{moved:?} of {}", kind.as_str()),
        });
    }
    let (megabytes, exchanges) = (moved.bytes as f64 / 1e6, moved.exchanges as f64);
    let [(rate, done), (cpu, cost)] = match kind {
        Kind::Bulk => [
            ("bulk_megabytes_per_second", megabytes),
            // µs for each MB are a tenth of ms for 100 MB.
            ("bulk_cpu_ms_per_100mb", used / megabytes / 10.0),
        ],
        Kind::Pingpong => [
            ("pingpongs_per_second", exchanges),
            ("pingpong_cpu_us", used / exchanges),
        ],
        Kind::New => [
            ("connects_per_second", exchanges),
            ("connect_cpu_us", used / exchanges),
        ],
    };
    samples.add(&subject.name, rate, done / moved.seconds);
    samples.add(&subject.name, cpu, cost);
    Ok(())
}

/// Has a loader of our own work on the other core.
fn load(target: SocketAddr, kind: Kind, time: Duration) -> Result<Moved, GenError> {
    let args = [
        "load-tcp".to_owned(),
        kind.as_str().to_owned(),
        target.to_string(),
        time.as_millis().to_string(),
    ];
    let printed = process::output(LOAD_CORE, &std::env::current_exe()?, &args)?;
    Ok(serde_json::from_str(&printed)?)
}

/// One message on a connection of its own.
fn ask(server: SocketAddr) -> Result<(), String> {
    let exchange = || -> std::io::Result<()> {
        let mut stream = TcpStream::connect_timeout(&server, ANSWER_WITHIN)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        stream.write_all(&responder::message(MESSAGE_BYTES as u64))?;
        stream.read_exact(&mut [0; MESSAGE_BYTES])
    };
    exchange().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

    use super::*;

    #[test]
    fn installed_peers_pass_bytes_on() {
        let folder = tempfile::tempdir().unwrap();
        let upstream = process::free_address().unwrap();
        std::thread::spawn(move || responder::run(upstream));
        let deadline = std::time::Instant::now() + process::READY_WITHIN;
        while let Err(error) = ask(upstream) {
            assert!(std::time::Instant::now() < deadline, "{error}");
            process::pause(Duration::from_millis(10));
        }
        for name in PEERS {
            match start(name, folder.path(), upstream) {
                Ok(subject) => {
                    for kind in Kind::ALL {
                        let time = Duration::from_millis(200);
                        let moved = load::run(kind, subject.address, time).unwrap();
                        assert!(moved.exchanges > 0, "{name} {kind:?}: {moved:?}");
                        assert_eq!(moved.failed, 0, "{name} {kind:?}: {moved:?}");
                    }
                }
                Err(GenError::Missing { program, package }) => {
                    println!("SKIP: {program} is not installed (Debian: {package})");
                }
                Err(error) => unreachable!("{name}: {error}"),
            }
        }
    }
}
