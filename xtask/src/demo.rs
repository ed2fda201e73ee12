//! The demo: set up, build, hand over to `meridian demo`.

use anyhow::Result;
use clap::Args;

use crate::{setup, shell};

/// What `cargo xtask demo` passes on.
#[derive(Args)]
pub struct DemoArgs {
    /// Drive real clients through the demo world, print what they saw, exit 0 or 1.
    #[arg(long)]
    check: bool,
    /// Where the demo keeps its state: `embedded` or `etcd` (three local nodes).
    #[arg(long, default_value = "embedded")]
    store: String,
}

/// Builds the release binary and runs the demo until Ctrl-C, or its check.
pub fn run(args: &DemoArgs) -> Result<()> {
    // Only the demo on etcd needs more than what compiles it.
    let need = if args.store == "etcd" {
        setup::Need::Test
    } else {
        setup::Need::Build
    };
    setup::run(need)?;
    shell::run(&mut shell::cargo(&[
        "build",
        "--release",
        "--package",
        "meridian",
    ]))?;
    let binary = shell::root().join("target/release/meridian");
    let binary = binary.to_string_lossy();
    let mut words = vec!["demo", "--store", &args.store];
    if args.check {
        words.push("--check");
    }
    shell::run(&mut shell::command(&binary, &words))
}

/// The demo's check on the debug build that the tests have just made.
pub fn check_debug_build() -> Result<()> {
    shell::run(&mut shell::cargo(&[
        "run",
        "--quiet",
        "--package",
        "meridian",
        "--",
        "demo",
        "--check",
    ]))
}
