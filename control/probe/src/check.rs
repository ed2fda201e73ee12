//! One probe: ask, judge the answer, within the check's timeout.
//!
//! Each kind is a module with one async function that returns `Result<(), Failure>` and marks the
//! [`Phase`] it is in, so that a timeout can say what it was waiting for. Dropping a probe at any
//! point closes its socket or kills its process group.

mod dns;
mod exec;
mod http;
#[cfg(test)]
mod tests;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};

use meridian_topology::{CheckKind, Millis, Scheme, StatusRange};
use tokio::net::TcpStream;

use crate::config::ExecChecks;
use crate::target::Target;
pub use tls::{TlsTrust, TrustError};

/// Why a probe failed. Its text is the cause that logs and the API show.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Nobody listens.
    #[error("connect refused")]
    Refused,
    /// The connection could not be made for another reason.
    #[error("connect failed: {0}")]
    Connect(io::ErrorKind),
    /// The connection broke before the answer.
    #[error("connection broke {phase}: {kind}")]
    Broken {
        /// What was being done.
        phase: Phase,
        /// How it broke.
        kind: io::ErrorKind,
    },
    /// The handshake failed or the certificate does not convince.
    #[error("tls: {0}")]
    Tls(String),
    /// The answer is not the protocol.
    #[error("not an answer: {0}")]
    Protocol(String),
    /// An HTTP status that does not count as healthy.
    #[error("status {got}, expected {}", ranges(.expected))]
    Status {
        /// The status.
        got: u16,
        /// What was expected.
        expected: Vec<StatusRange>,
    },
    /// A DNS answer with an error code.
    #[error("dns answered {0}")]
    DnsCode(String),
    /// No answer in time.
    #[error("timeout after {after} {phase}")]
    Timeout {
        /// The check's timeout.
        after: Millis,
        /// What it was waiting for.
        phase: Phase,
    },
    /// The program could not be started.
    #[error("cannot run the program: {0}")]
    Spawn(io::ErrorKind),
    /// The program said no.
    #[error("exit code {0}")]
    ExitCode(i32),
    /// The program was killed.
    #[error("killed by signal {0}")]
    Signal(i32),
    /// The probe itself broke: a bug of ours.
    #[error("the probe itself failed")]
    Internal,
}

impl Failure {
    /// One word for metrics.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Connect(_) => "connect",
            Self::Broken { .. } => "broken",
            Self::Tls(_) => "tls",
            Self::Protocol(_) => "protocol",
            Self::Status { .. } => "status",
            Self::DnsCode(_) => "dns_code",
            Self::Timeout { .. } => "timeout",
            Self::Spawn(_) => "spawn",
            Self::ExitCode(_) | Self::Signal(_) => "exit",
            Self::Internal => "internal",
        }
    }

    fn connecting(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            kind => Self::Connect(kind),
        }
    }
}

fn ranges(expected: &[StatusRange]) -> String {
    let one = |range: &StatusRange| {
        if range.first == range.last {
            range.first.to_string()
        } else {
            format!("{}-{}", range.first, range.last)
        }
    };
    expected.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// What a probe is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Making the connection.
    Connecting,
    /// The TLS handshake.
    Handshaking,
    /// Waiting for the answer.
    Waiting,
    /// Waiting for the program to end.
    Running,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connecting => "while connecting",
            Self::Handshaking => "in the TLS handshake",
            Self::Waiting => "while waiting for the answer",
            Self::Running => "while the program ran",
        })
    }
}

/// The current [`Phase`], readable after the probe was dropped.
#[derive(Debug, Default)]
struct Progress(AtomicU8);

impl Progress {
    const PHASES: [Phase; 4] = [
        Phase::Connecting,
        Phase::Handshaking,
        Phase::Waiting,
        Phase::Running,
    ];

    fn enter(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Relaxed);
    }

    fn phase(&self) -> Phase {
        Self::PHASES
            .get(usize::from(self.0.load(Ordering::Relaxed)))
            .copied()
            .unwrap_or(Phase::Connecting)
    }
}

/// Runs probes: what they share is the trust in certificates and the right to run programs.
#[derive(Debug, Clone)]
pub struct Checker {
    trust: TlsTrust,
    exec: ExecChecks,
}

impl Checker {
    /// See the fields.
    #[must_use]
    pub const fn new(trust: TlsTrust, exec: ExecChecks) -> Self {
        Self { trust, exec }
    }

    /// Whether this node may probe that way.
    #[must_use]
    pub fn may_run(&self, kind: &CheckKind) -> bool {
        self.exec == ExecChecks::Run || !matches!(kind, CheckKind::Exec { .. })
    }

    /// Probes once. `nonce` tells apart answers to different questions.
    ///
    /// # Errors
    /// The reason why the endpoint does not count as healthy.
    pub async fn probe(&self, target: &Target, nonce: u64) -> Result<(), Failure> {
        let progress = Progress::default();
        let limit = target.check.timeout;
        match tokio::time::timeout(limit.as_duration(), self.ask(target, nonce, &progress)).await {
            Ok(result) => result,
            Err(_) => Err(Failure::Timeout {
                after: limit,
                phase: progress.phase(),
            }),
        }
    }

    async fn ask(&self, target: &Target, nonce: u64, progress: &Progress) -> Result<(), Failure> {
        let address = target.probe_address();
        match &target.check.kind {
            CheckKind::Tcp => connect(address).await.map(drop),
            CheckKind::Http(check) => {
                let stream = connect(address).await?;
                match check.scheme {
                    Scheme::Http => http::ask(stream, check, address, progress).await,
                    Scheme::Https => {
                        progress.enter(Phase::Handshaking);
                        let stream = self.trust.handshake(stream, check, address).await?;
                        http::ask(stream, check, address, progress).await
                    }
                }
            }
            CheckKind::Dns { name, rtype } => {
                progress.enter(Phase::Waiting);
                dns::ask(address, name, *rtype, nonce).await
            }
            CheckKind::Exec { command, args } => {
                progress.enter(Phase::Running);
                exec::run(command, args, address).await
            }
        }
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream, Failure> {
    TcpStream::connect(address)
        .await
        .map_err(|error| Failure::connecting(&error))
}
