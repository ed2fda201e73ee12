//! Running `wrk` and understanding it: a script prints the totals as JSON.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use super::{Case, HOST};
use crate::{
    GenError,
    process::{self, LOAD_CORE},
};

/// What precedes the totals in the output.
const MARK: &str = "TOTALS ";

/// wrk with its script.
pub(super) struct Wrk {
    program: PathBuf,
    script: PathBuf,
    scheme: &'static str,
}

/// The totals of a run.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub(super) struct Totals {
    /// Requests answered.
    pub(super) requests: u64,
    /// Answers that were no success, and requests without one.
    pub(super) failed: u64,
    /// How long it took.
    pub(super) duration_us: f64,
    /// Half of the answers took less.
    pub(super) p50_us: f64,
    /// 99 of 100 answers took less.
    pub(super) p99_us: f64,
}

impl Wrk {
    pub(super) fn new(folder: &Path, tls: bool) -> Result<Self, GenError> {
        let script = folder.join("wrk.lua");
        process::write(&script, include_str!("../../templates/wrk.lua"))?;
        let program = process::find("wrk", "wrk")?;
        let scheme = if tls { "https" } else { "http" };
        Ok(Self {
            program,
            script,
            scheme,
        })
    }

    /// Asks over and over.
    pub(super) fn run(
        &self,
        target: SocketAddr,
        case: &Case,
        time: Duration,
    ) -> Result<Totals, GenError> {
        let mut args = vec![
            "--threads=1".to_owned(),
            format!("--connections={}", case.connections),
            format!("--duration={}s", time.as_secs().max(1)),
            "--timeout=10s".to_owned(),
            format!("--header=Host: {HOST}"),
            format!("--script={}", self.script.display()),
        ];
        if case.fresh {
            args.push("--header=Connection: close".to_owned());
        }
        args.push(format!("{}://{target}{}", self.scheme, case.path));
        totals(&process::output(LOAD_CORE, &self.program, &args)?)
    }
}

/// Finds the totals in what was printed.
pub(super) fn totals(output: &str) -> Result<Totals, GenError> {
    let line = output.lines().find_map(|line| line.strip_prefix(MARK));
    let Some(line) = line else {
        return Err(GenError::Failed {
            program: "wrk".to_owned(),
            detail: output.to_owned(),
        });
    };
    Ok(serde_json::from_str(line)?)
}
