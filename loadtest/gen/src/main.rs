//! `meridian-gen`: the benchmarks, and the loaders and upstreams they start on other cores.

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand, ValueEnum};
use meridian_gen::{GenError, bench, dns, dns::query::Ask, dns_xdp, http, rounds::Effort, tcp};

/// Load, and side-by-side runs against peers.
#[derive(Parser)]
#[command(
    version,
    after_help = "Example: meridian-gen bench dns --peers gdnsd --quick -o json"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run one benchmark; the table goes to standard error.
    Bench {
        /// `decide`, `compile`, `dns`, `dns-xdp`, `http`, `http-new`, `http-growth`, `tls`, `h2`, `tcp`
        /// or `idle-memory`.
        name: String,
        /// Only these peers, comma-separated.
        #[arg(long, value_delimiter = ',')]
        peers: Option<Vec<String>>,
        /// Under a minute: fewer and shorter rounds.
        #[arg(long)]
        quick: bool,
        /// What goes to standard output.
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Load a DNS server with the benchmark's questions.
    #[command(hide = true)]
    LoadDns {
        kind: LoadKind,
        ask: Ask,
        target: SocketAddr,
        millis: u64,
    },
    /// Load a DNS server through AF_XDP, from this network namespace.
    #[command(hide = true)]
    LoadXdp {
        qps: u32,
        millis: u64,
        #[command(flatten)]
        path: dns_xdp::load::Path,
    },
    /// Answer HTTP requests with 1 KB.
    #[command(hide = true)]
    Respond { listen: SocketAddr },
    /// Load a TCP proxy.
    #[command(hide = true)]
    LoadTcp {
        kind: tcp::Kind,
        target: SocketAddr,
        millis: u64,
    },
    /// Answer messages with as many bytes as they want.
    #[command(hide = true)]
    RespondTcp { listen: SocketAddr },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Nothing more.
    Table,
    /// The contract's object.
    Json,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LoadKind {
    Flood,
    Pace,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("meridian-gen: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), GenError> {
    match command {
        Command::Bench {
            name,
            peers,
            quick,
            output,
        } => {
            let effort = if quick { Effort::Quick } else { Effort::Full };
            let report = bench::run(&name, peers.as_deref(), effort)?;
            say(&report.table());
            if output == Output::Json {
                print(&serde_json::to_string_pretty(&report)?);
            }
        }
        Command::LoadDns {
            kind,
            ask,
            target,
            millis,
        } => {
            let time = Duration::from_millis(millis);
            print(&match kind {
                LoadKind::Flood => {
                    serde_json::to_string(&dns::load::flood(target, ask, time, dns::SEED)?)?
                }
                LoadKind::Pace => {
                    let found = dns::load::pace(target, ask, time, dns::PACE_QPS, dns::SEED)?;
                    serde_json::to_string(&found)?
                }
            });
        }
        Command::LoadXdp { qps, millis, path } => {
            let time = Duration::from_millis(millis);
            let rate = dns_xdp::load::run(path, qps, time)?;
            print(&serde_json::to_string(&rate)?);
        }
        Command::Respond { listen } => http::responder::run(listen)?,
        Command::LoadTcp {
            kind,
            target,
            millis,
        } => {
            let moved = tcp::load::run(kind, target, Duration::from_millis(millis))?;
            print(&serde_json::to_string(&moved)?);
        }
        Command::RespondTcp { listen } => tcp::responder::run(listen)?,
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "results are this program's output")]
fn print(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "tables and failures are for people")]
fn say(text: &str) {
    eprintln!("{text}");
}
