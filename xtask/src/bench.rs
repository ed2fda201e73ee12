//! Benchmarks: set up the peers, build in release, hand over to `meridian-gen`.

use anyhow::Result;
use clap::Args;

use crate::{setup, shell};

/// What `cargo xtask bench` passes on.
#[derive(Args)]
pub struct BenchArgs {
    /// `decide`, `compile`, `dns`, `dns-xdp`, `http`, `http-new`, `http-growth`, `tls`, `h2`, `tcp`
    /// or `idle-memory`.
    name: String,
    /// Only these peers, comma-separated.
    #[arg(long)]
    peers: Option<String>,
    /// Under a minute: fewer and shorter rounds.
    #[arg(long)]
    quick: bool,
    /// `json` prints the contract's object on stdout.
    #[arg(short, long, default_value = "table")]
    output: String,
}

/// Builds what is measured and runs one benchmark.
pub fn run(args: &BenchArgs) -> Result<()> {
    setup::run(setup::Need::Test)?;
    shell::run(&mut shell::cargo(&[
        "build",
        "--release",
        "--package",
        "meridian",
        "--package",
        "meridian-gen",
    ]))?;
    let binary = shell::root().join("target/release/meridian-gen");
    let binary = binary.to_string_lossy();
    let mut words = vec!["bench", &args.name, "--output", &args.output];
    if let Some(peers) = &args.peers {
        words.extend(["--peers", peers]);
    }
    if args.quick {
        words.push("--quick");
    }
    shell::run(&mut shell::command(&binary, &words))
}
