//! Running `h2load` and understanding it: counts from what it prints, percentiles from its log.
//!
//! h2load prints no percentiles, but logs each answer: when it was asked for, its status, how many
//! microseconds it took. It counts and logs what is answered within the time given; what is under
//! way at the end is neither answered nor failed. Servers choose differently among cipher suites, so
//! it offers one: all subjects do the same cryptography.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use hdrhistogram::Histogram;

use super::{HOST, load::Totals, suite::Case};
use crate::{
    GenError,
    process::{self, LOAD_CORE},
};

/// Requests under way on one connection.
const STREAMS: usize = 10;
/// The suite of all connections.
const CIPHERS: &str = "TLS_AES_128_GCM_SHA256";
/// How much of a log is read: some ten million answers.
const LOG_BYTES_MAX: u64 = 256 << 20;
/// Highest time of an answer that is told apart.
const TIME_MAX_US: u64 = 100_000_000;

/// h2load with its log.
pub(super) struct H2load {
    program: PathBuf,
    log: PathBuf,
}

impl H2load {
    pub(super) fn new(folder: &Path) -> Result<Self, GenError> {
        Ok(Self {
            program: process::find("h2load", "nghttp2-client")?,
            log: folder.join("h2load.log"),
        })
    }

    /// Asks over and over; every connection stays.
    pub(super) fn run(
        &self,
        target: SocketAddr,
        case: &Case,
        time: Duration,
    ) -> Result<Totals, GenError> {
        let seconds = time.as_secs().max(1);
        let args = [
            "--threads=1".to_owned(),
            format!("--clients={}", case.connections),
            format!("--max-concurrent-streams={STREAMS}"),
            format!("--duration={seconds}"),
            format!("--tls13-ciphers={CIPHERS}"),
            "--npn-list=h2".to_owned(),
            format!("--log-file={}", self.log.display()),
            format!("--connect-to={target}"),
            format!("https://{HOST}{}", case.path),
        ];
        let output = process::output(LOAD_CORE, &self.program, &args)?;
        let times = self.take_log().map_err(|source| GenError::File {
            path: self.log.clone(),
            source,
        })?;
        let Some(Counts { good, failed }) = counts(&output) else {
            return Err(GenError::Failed {
                program: "h2load".to_owned(),
                detail: output,
            });
        };
        Ok(Totals {
            requests: good,
            failed,
            duration_us: seconds as f64 * 1e6,
            p50_us: times.value_at_quantile(0.50) as f64,
            p99_us: times.value_at_quantile(0.99) as f64,
        })
    }

    /// Reads the log and removes it: h2load would go on at its end.
    fn take_log(&self) -> io::Result<Histogram<u64>> {
        let log = File::open(&self.log)?;
        let times = times(BufReader::new(log.take(LOG_BYTES_MAX)))?;
        fs::remove_file(&self.log)?;
        Ok(times)
    }
}

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Counts {
    /// Answers with a status of 2xx.
    pub(super) good: u64,
    /// Other answers, and requests without one.
    pub(super) failed: u64,
}

/// Finds the counts in what was printed.
pub(super) fn counts(output: &str) -> Option<Counts> {
    let requests = |name| count(output, "requests: ", name);
    let statuses = |name| count(output, "status codes: ", name);
    // Answers of 4xx and 5xx are among the failed.
    let failed = requests("failed")? + requests("errored")? + requests("timeout")?;
    Some(Counts {
        good: statuses("2xx")?,
        failed: failed + statuses("3xx")?,
    })
}

/// The number before `name` in the line that begins with `title`.
fn count(output: &str, title: &str, name: &str) -> Option<u64> {
    let line = output.lines().find_map(|line| line.strip_prefix(title))?;
    let mut parts = line
        .split(',')
        .filter_map(|part| part.trim().split_once(' '));
    let (number, _) = parts.find(|(_, of)| *of == name)?;
    number.parse().ok()
}

/// The times of good answers in a log, in microseconds.
pub(super) fn times(log: impl BufRead) -> io::Result<Histogram<u64>> {
    let mut times = Histogram::<u64>::new_with_max(TIME_MAX_US, 3)
        .expect("3 digits up to 100 s is a valid histogram");
    for line in log.lines() {
        let line = line?;
        let mut fields = line.split('\t').skip(1);
        let is_good = fields.next().is_some_and(|status| status.starts_with('2'));
        let time = fields.next().and_then(|us| us.parse::<u64>().ok());
        if let (true, Some(us)) = (is_good, time) {
            times.saturating_record(us);
        }
    }
    Ok(times)
}
