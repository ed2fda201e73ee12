//! Every test, as CI runs them.
//!
//! A test that cannot run here (no root, no package) prints one line that starts
//! with `SKIP:`; those lines are shown again and counted at the end. Under `CI=true`
//! a skip that is not on [`SKIPS_ALLOWED_IN_CI`] is a failure.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::{check, demo, setup, shell};

/// Skips that CI accepts: the start of the line, and why.
const SKIPS_ALLOWED_IN_CI: &[(&str, &str)] = &[
    (
        "SKIP: no data sets",
        "the public data sets lie beside the checkout, not in it; a clone elsewhere has none",
    ),
    (
        "SKIP: this kernel has no VLAN interfaces",
        "CI's kernel is built without 802.1Q; frames with tags are tested without it",
    ),
];

/// Runs lints, tests, documentation tests and the demo's own check.
pub fn run() -> Result<()> {
    setup::run(setup::Need::Test)?;
    check::lints()?;
    let mut skips = Vec::new();
    let mut counts = Counts::default();
    counts.add(&capture(&mut all_tests(), &mut skips)?);
    counts.add(&capture(
        &mut shell::cargo(&["test", "--workspace", "--doc", "--quiet"]),
        &mut skips,
    )?);
    demo::check_debug_build()?;
    counts.passed += 1;
    report(&skips, &counts)
}

fn all_tests() -> Command {
    if shell::installed("cargo-nextest") {
        shell::cargo(&[
            "nextest",
            "run",
            "--workspace",
            "--no-fail-fast",
            "--success-output",
            "immediate",
            "--status-level",
            "fail",
        ])
    } else {
        shell::cargo(&[
            "test",
            "--workspace",
            "--lib",
            "--bins",
            "--tests",
            "--no-fail-fast",
            "--",
            "--nocapture",
        ])
    }
}

/// Runs `command`, shows its output and collects the `SKIP:` lines.
fn capture(command: &mut Command, skips: &mut Vec<String>) -> Result<Vec<String>> {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("could not start the test runner")?;
    let errors = child.stderr.take().context("stderr is piped")?;
    let reader = std::thread::spawn(move || lines_of(errors));
    let mut lines = lines_of(child.stdout.take().context("stdout is piped")?);
    lines.extend(reader.join().unwrap_or_default());
    skips.extend(
        lines
            .iter()
            .map(|line| line.trim())
            .filter(|line| line.starts_with("SKIP:"))
            .map(String::from),
    );
    let status = child.wait()?;
    if !status.success() {
        bail!("the tests above failed: {status}");
    }
    Ok(lines)
}

fn lines_of(stream: impl std::io::Read) -> Vec<String> {
    BufReader::new(stream)
        .lines()
        .map_while(Result::ok)
        .inspect(|line| eprintln!("{line}"))
        .collect()
}

#[derive(Default)]
struct Counts {
    passed: usize,
}

impl Counts {
    /// Reads the closing line of nextest (`12 tests run: 12 passed`); without one, those of libtest
    /// (`ok. 12 passed`), which nextest shows for each single test.
    fn add(&mut self, lines: &[String]) {
        let nextest = lines.iter().any(|line| line.contains("tests run:"));
        let closing = if nextest {
            "tests run:"
        } else {
            "test result:"
        };
        for line in lines.iter().filter(|line| line.contains(closing)) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let passed = words.windows(2).find(|pair| pair[1].starts_with("passed"));
            self.passed += passed
                .and_then(|pair| pair[0].parse::<usize>().ok())
                .unwrap_or(0);
        }
    }
}

fn report(skips: &[String], counts: &Counts) -> Result<()> {
    for skip in skips {
        println!("{skip}");
    }
    println!(
        "{} passed, 0 failed, {} skipped",
        counts.passed,
        skips.len()
    );
    let allowed = |skip: &String| {
        SKIPS_ALLOWED_IN_CI
            .iter()
            .any(|(start, _)| skip.starts_with(start))
    };
    let refused: Vec<&String> = skips.iter().filter(|skip| !allowed(skip)).collect();
    if std::env::var_os("CI").is_some() && !refused.is_empty() {
        bail!("{} skip(s) that CI does not accept", refused.len());
    }
    if counts.passed == 0 {
        bail!("no test ran");
    }
    Ok(())
}
