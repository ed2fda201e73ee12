//! Active health checks.

use serde::{Deserialize, Serialize};

use super::{DnsName, RecordType};
use crate::units::{Millis, Ratio};
use crate::words;

words! {
    /// How an HTTP check speaks.
    Scheme, "scheme" {
        /// In the clear.
        Http = "http",
        /// Over TLS; the certificate must be valid for the host name.
        Https = "https",
    }, default Http
}

/// Status codes from `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusRange {
    /// The lowest, 100 or more.
    pub first: u16,
    /// The highest, 599 or less.
    pub last: u16,
}

impl StatusRange {
    /// Whether a status lies in it.
    #[must_use]
    pub const fn contains(self, status: u16) -> bool {
        self.first <= status && status <= self.last
    }
}

/// A request that must be answered with one of some statuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpCheck {
    /// Path and query, beginning with `/`.
    pub path: String,
    /// The Host header; the endpoint's address when absent.
    pub host: Option<DnsName>,
    /// What counts as healthy; never empty.
    pub expect_status: Vec<StatusRange>,
    /// Clear text or TLS.
    pub scheme: Scheme,
}

/// What is asked of the endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckKind {
    /// An HTTP GET.
    Http(HttpCheck),
    /// A TCP connection.
    Tcp,
    /// A DNS question; any answer without an error code is healthy.
    Dns {
        /// The name asked for.
        name: DnsName,
        /// The type asked for.
        rtype: RecordType,
    },
    /// A program; exit code 0 is healthy. `ADDRESS` and `PORT` are in its environment.
    Exec {
        /// An absolute path.
        command: String,
        /// Its arguments.
        args: Vec<String>,
    },
}

impl CheckKind {
    /// One word for logs and metrics.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::Tcp => "tcp",
            Self::Dns { .. } => "dns",
            Self::Exec { .. } => "exec",
        }
    }
}

/// One active check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// What is asked.
    pub kind: CheckKind,
    /// From the start of one probe to the start of the next.
    pub interval: Millis,
    /// When a probe has failed; shorter than the interval.
    pub timeout: Millis,
    /// How far the interval is spread at random, so that probes do not march in step.
    pub jitter: Ratio,
    /// Successes in a row until up.
    pub rise: u8,
    /// Failures in a row until down.
    pub fall: u8,
    /// The port probed; the endpoint's own when absent.
    pub port: Option<u16>,
}

impl HealthCheck {
    /// The interval where neither the check nor `multi_region_config` names one.
    pub const DEFAULT_INTERVAL: Millis = Millis(1_000);
    /// The timeout where the check names none and the interval is longer.
    pub const DEFAULT_TIMEOUT: Millis = Millis(500);
    /// The jitter where the check names none.
    pub const DEFAULT_JITTER_PERCENT: u8 = 10;
    /// `rise` and `fall` where the check names none.
    pub const DEFAULT_THRESHOLD: u8 = 2;
    /// The shortest interval: a hundred probes a second per endpoint serve nobody.
    pub const MIN_INTERVAL: Millis = Millis(10);
    /// The largest `rise` or `fall`.
    pub const MAX_THRESHOLD: u8 = 20;

    /// The longest time from a failure to the check's verdict: the failure may fall just after a
    /// probe, each of `fall` probes waits for its (jittered) turn, the last one for its timeout.
    #[must_use]
    pub fn detection(&self) -> Millis {
        let waited = self.interval.times(u64::from(self.fall));
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "milliseconds of some minutes times a ratio: exact, positive, far below 2^53"
        )]
        let jitter = (waited.0 as f64 * self.jitter.get()).ceil() as u64;
        Millis(
            waited
                .0
                .saturating_add(jitter)
                .saturating_add(self.timeout.0),
        )
    }
}
