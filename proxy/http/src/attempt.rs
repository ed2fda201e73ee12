//! Why an attempt at an upstream failed, and whether another may be made.
//!
//! The rule (RFC 9110, section 9.2.2): a request may be sent again when no byte
//! of it can have reached an upstream, or when its method is idempotent, its
//! body is still whole in pingora's retry buffer (64 KiB) and nothing of a
//! response was sent. [`may_retry`] is that rule as a pure function; the bounds
//! around it are the route's attempts and [`ATTEMPTS_MAX`].

use meridian_live::PassiveKind;
use meridian_topology::RetryOn;
use pingora_core::{Error, ErrorSource, ErrorType};
use rustix::io::Errno;

/// Most upstreams one request tries, whatever its route says.
pub(crate) const ATTEMPTS_MAX: usize = 8;

/// What went wrong with one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No connection: refused, unreachable, TLS failed.
    Connect,
    /// No connection in time.
    ConnectTimeout,
    /// The connection ended before the answer did.
    Closed,
    /// No answer in time.
    Timeout,
    /// An answer with a status the route retries.
    Status(u16),
    /// The answer is not HTTP.
    Malformed,
    /// Ours: no socket, no memory. Says nothing of the endpoint.
    Local,
}

impl Failure {
    /// As the label `reason` of metrics. [`Failure::REASONS`] lists them all.
    pub(crate) fn reason(self) -> Reason {
        match self {
            Self::Connect => Reason::Connect,
            Self::ConnectTimeout => Reason::ConnectTimeout,
            Self::Closed => Reason::Closed,
            Self::Timeout => Reason::Timeout,
            Self::Status(_) => Reason::Status,
            Self::Malformed => Reason::Malformed,
            Self::Local => Reason::Local,
        }
    }

    /// What it says of the endpoint's health. Silence and a close are the
    /// endpoint's only while the exchange waits for it alone: a client that
    /// stalls its upload, or takes its answer slowly, brings about both, and
    /// must not be able to eject anybody.
    pub(crate) fn passive(self, stage: Stage) -> Option<PassiveKind> {
        let alone = matches!(stage, Stage::Connecting | Stage::Waiting);
        match self {
            Self::Timeout | Self::Closed if !alone => None,
            Self::Connect | Self::Closed | Self::Malformed => Some(PassiveKind::ConnectFailed),
            Self::ConnectTimeout | Self::Timeout => Some(PassiveKind::Timeout),
            Self::Status(status) if status >= 500 => Some(PassiveKind::Status5xx),
            Self::Status(_) | Self::Local => None,
        }
    }

    /// The status a client gets when this was the last attempt.
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::Connect | Self::Closed | Self::Malformed => 502,
            Self::ConnectTimeout | Self::Timeout => 504,
            Self::Status(status) => status,
            Self::Local => 503,
        }
    }

    /// Of an error while connecting.
    pub(crate) fn of_connect(error: &Error) -> Self {
        match error.etype() {
            ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => Self::ConnectTimeout,
            ErrorType::InternalError | ErrorType::SocketError | ErrorType::BindError => Self::Local,
            _ => Self::Connect,
        }
    }

    /// Of the system's error while connecting.
    pub(crate) fn of_connecting(error: &std::io::Error) -> Self {
        match Errno::from_io_error(error) {
            // We have run out of something.
            Some(
                Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::ADDRNOTAVAIL,
            ) => Self::Local,
            _ => Self::Connect,
        }
    }

    /// Of an error on an established connection; `None` when the client is at
    /// fault, or we are.
    pub(crate) fn of_exchange(error: &Error) -> Option<Self> {
        if *error.esource() != ErrorSource::Upstream {
            return None;
        }
        Some(match error.etype() {
            ErrorType::ReadTimedout | ErrorType::WriteTimedout => Self::Timeout,
            ErrorType::HTTPStatus(status) => Self::Status(*status),
            ErrorType::ConnectionClosed
            | ErrorType::ReadError
            | ErrorType::WriteError
            | ErrorType::H2Error => Self::Closed,
            _ => Self::Malformed,
        })
    }
}

/// How far an attempt had come when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// There was no connection yet.
    Connecting,
    /// The client still owed a part of its request.
    Uploading,
    /// The request was complete; nothing was answered yet.
    Waiting,
    /// The answer had begun.
    Answering,
}

/// [`Failure`] without its data: what metrics count by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// See [`Failure::Connect`].
    Connect,
    /// See [`Failure::ConnectTimeout`].
    ConnectTimeout,
    /// See [`Failure::Closed`].
    Closed,
    /// See [`Failure::Timeout`].
    Timeout,
    /// See [`Failure::Status`].
    Status,
    /// See [`Failure::Malformed`].
    Malformed,
    /// See [`Failure::Local`].
    Local,
}

impl Reason {
    /// Every reason, in the order of their numbers.
    pub(crate) const ALL: [Self; 7] = [
        Self::Connect,
        Self::ConnectTimeout,
        Self::Closed,
        Self::Timeout,
        Self::Status,
        Self::Malformed,
        Self::Local,
    ];

    /// The label's value.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::ConnectTimeout => "connect_timeout",
            Self::Closed => "closed",
            Self::Timeout => "timeout",
            Self::Status => "status",
            Self::Malformed => "malformed",
            Self::Local => "local",
        }
    }
}

/// Whether bytes of the request may have reached the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Certainly not: there was no connection.
    Nothing,
    /// Perhaps; and whether it may be sent again.
    Perhaps {
        /// The method is idempotent and the body still whole.
        repeatable: bool,
    },
}

/// Whether the rule above, and the route's conditions, allow another attempt.
pub(crate) fn may_retry(failure: Failure, sent: Sent, conditions: &[RetryOn]) -> bool {
    let repeatable = match sent {
        Sent::Nothing => true,
        Sent::Perhaps { repeatable } => repeatable,
    };
    repeatable
        && conditions
            .iter()
            .any(|condition| covers(*condition, failure))
}

/// Whether a route that retries on `condition` retries after `failure`.
pub(crate) fn covers(condition: RetryOn, failure: Failure) -> bool {
    match condition {
        RetryOn::ConnectFailure => matches!(failure, Failure::Connect | Failure::ConnectTimeout),
        RetryOn::Reset => matches!(failure, Failure::Closed | Failure::Malformed),
        RetryOn::Timeout => failure == Failure::Timeout,
        RetryOn::Gateway => matches!(failure, Failure::Status(502..=504)),
        RetryOn::Status5xx => matches!(failure, Failure::Status(500..=599)),
    }
}

#[cfg(test)]
mod tests;
