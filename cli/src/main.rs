//! `meridian`: the one binary. Wiring only: every command is a thin layer over the rooms.

mod client;
mod commands;
mod config;
mod demo;
mod dns_facts;
mod failure;
mod framed;
mod output;
mod serve;
mod signals;
#[cfg(test)]
mod tests;

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Parser, Subcommand};

use crate::client::NodeArgs;
use crate::commands::{
    apply, check, completions, dns, drain, explain, geo, get, import, init, man, models,
};
use crate::failure::Failure;

/// Decides where every client should go, and takes it there.
#[derive(Debug, Parser)]
#[command(
    name = "meridian",
    version,
    disable_help_subcommand = true,
    max_term_width = 100,
    after_help = "Example:\n  meridian demo --check\n\nExit codes: 0 fine, 1 a problem found or failed, 2 usage."
)]
pub struct Cli {
    #[command(flatten)]
    node: NodeArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run this node: DNS, HTTP, streams, admin API.
    #[command(after_help = "Example:\n  meridian serve --dir /etc/meridian")]
    Serve,
    /// Write a first deployment directory with commented YAML.
    Init(init::InitArgs),
    /// Make a deployment directory out of another server's configuration.
    Import(import::ImportArgs),
    /// Check a deployment directory without running it.
    Check(check::CheckArgs),
    /// Put a deployment directory's topology and policies into a running node's store.
    Apply(apply::ApplyArgs),
    /// Show facts of a running node.
    Get(get::GetArgs),
    /// Say where a client would be sent, and why.
    Explain(explain::ExplainArgs),
    /// Send no new clients to a region or an endpoint.
    Drain(drain::DrainArgs),
    /// End a drain.
    Undrain(drain::UndrainArgs),
    /// Train, judge, promote and roll back performance models.
    Models(models::ModelsArgs),
    /// Ask what DNS would answer a client, and why.
    Dns(dns::DnsArgs),
    /// Build, ask and compare class tables: who a client is, by its address.
    Geo(geo::GeoArgs),
    /// Run five regions and everything else on loopback.
    Demo(demo::DemoArgs),
    /// Print completions for a shell.
    Completions(completions::CompletionsArgs),
    /// Write the manual pages into a folder.
    Man(man::ManArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failed(&Failure::from(error)),
    };
    let result = runtime.block_on(run(cli));
    // Blocking work that nobody waits for any more (a file watch) must not hold the exit up.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failed(&failure),
    }
}

async fn run(cli: Cli) -> Result<(), Failure> {
    let node = &cli.node;
    match cli.command {
        Command::Serve => serve::run(&node.dir).await,
        Command::Init(args) => init::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Check(args) => check::run(&node.dir, &args),
        Command::Apply(args) => apply::run(node, &args).await,
        Command::Get(args) => get::run(node, &args).await,
        Command::Explain(args) => explain::run(node, &args).await,
        Command::Drain(args) => drain::run(node, &args).await,
        Command::Undrain(args) => drain::undo(node, &args).await,
        Command::Models(args) => models::run(node, &args),
        Command::Dns(args) => dns::run(node, &args).await,
        Command::Geo(args) => geo::run(node, &args),
        Command::Demo(args) => demo::run(&args).await,
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    }
}

fn failed(failure: &Failure) -> ExitCode {
    use std::io::Write;
    let _terminal_gone = writeln!(std::io::stderr().lock(), "{}", failure.report().trim_end());
    ExitCode::from(1)
}

/// Seconds since the Unix epoch.
pub fn unix_seconds() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}
