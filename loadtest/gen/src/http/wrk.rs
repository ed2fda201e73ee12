//! Running `wrk` and understanding it: a script prints the totals as JSON.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{HOST, load::Totals, suite::Case};
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

impl Wrk {
    pub(super) fn new(folder: &Path, scheme: &'static str) -> Result<Self, GenError> {
        let script = folder.join("wrk.lua");
        process::write(&script, include_str!("../../templates/wrk.lua"))?;
        let program = process::find("wrk", "wrk")?;
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
