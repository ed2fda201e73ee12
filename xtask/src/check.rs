//! The quick check that runs all the time while working.

use anyhow::Result;

use crate::{setup, shell, tidy};

/// Format, lints, tidy and unit tests.
pub fn run() -> Result<()> {
    setup::run(setup::Need::Build)?;
    lints()?;
    shell::run(&mut unit_tests())
}

/// Everything that reads code without running it.
pub fn lints() -> Result<()> {
    shell::run(&mut shell::cargo(&["fmt", "--all", "--check"]))?;
    tidy::run()?;
    shell::run(&mut shell::cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ]))
}

fn unit_tests() -> std::process::Command {
    if shell::installed("cargo-nextest") {
        shell::cargo(&["nextest", "run", "--workspace", "--lib", "--bins"])
    } else {
        shell::cargo(&["test", "--workspace", "--lib", "--bins", "--quiet"])
    }
}
