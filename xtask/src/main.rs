//! Project tasks: everything a newcomer runs starts with `cargo xtask`.
//!
//! One module a task. Tasks only arrange commands; whatever a user of Meridian
//! could need lives in the `meridian` binary instead.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a task runner talks to a terminal"
)]

mod bench;
mod check;
mod demo;
mod dist;
mod setup;
mod shell;
mod tests_all;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Meridian's project tasks.
#[derive(Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what building, testing and benchmarking need from the system's packages.
    Setup,
    /// Start five regions, GeoDNS, proxy, store, model and admin API on loopback.
    Demo(demo::DemoArgs),
    /// Run every test, as CI does.
    Test,
    /// The quick check: format, clippy, tidy, unit tests.
    Check,
    /// The architecture rules of `ARCHITECTURE.md` as a test.
    Tidy,
    /// Measure against named peers: see `cargo xtask bench --help`.
    Bench(bench::BenchArgs),
    /// Build a release archive under `target/dist`.
    Dist,
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Setup => setup::run(setup::Need::Test),
        Task::Demo(args) => demo::run(&args),
        Task::Test => tests_all::run(),
        Task::Check => check::run(),
        Task::Tidy => tidy::run(),
        Task::Bench(args) => bench::run(&args),
        Task::Dist => dist::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
