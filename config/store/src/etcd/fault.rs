//! Sorting etcd's failures: what may be tried elsewhere, what may already have happened, what is
//! final. Messages are etcd's `api/v3rpc/rpctypes/error.go`, unchanged from 3.4 to 3.6.

use std::error::Error as _;

use etcd_client::Error;
use tonic::{Code, ConnectError, Status};

use crate::StoreError;

/// Whether repeating a call could do something twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Repeating is harmless.
    Read,
    /// Repeating may write twice.
    Write,
}

/// One failed attempt.
#[derive(Debug)]
pub(super) enum Fault {
    /// The call was not carried out: no connection, no leader, or shed by the member.
    Unreached(String),
    /// The connection or the answer was lost: the call may have been carried out.
    Lost(String),
    /// The revision asked for is compacted.
    Compacted,
    /// The answer is larger than we take.
    TooLarge,
    /// No such lease.
    LeaseNotFound,
    /// Wrong name, password or permission.
    Denied(String),
    /// Anything else; final.
    Rejected(String),
}

impl Fault {
    /// Whether another member may do better.
    pub(super) fn try_elsewhere(&self, effect: Effect) -> bool {
        match self {
            Self::Unreached(_) => true,
            Self::Lost(_) => effect == Effect::Read,
            _ => false,
        }
    }

    /// The failure in the store's terms.
    pub(super) fn into_error(self, effect: Effect) -> StoreError {
        match self {
            Self::Lost(detail) if effect == Effect::Write => StoreError::OutcomeUnknown { detail },
            Self::Unreached(detail) | Self::Lost(detail) => StoreError::Unavailable { detail },
            Self::Denied(detail) => StoreError::Denied { detail },
            Self::Rejected(detail) => StoreError::Rejected { detail },
            Self::Compacted => rejected("the revision is compacted"),
            Self::TooLarge => rejected("an entry is larger than a page"),
            Self::LeaseNotFound => rejected("the lease does not exist"),
        }
    }
}

fn rejected(detail: &str) -> StoreError {
    StoreError::Rejected {
        detail: detail.to_owned(),
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::GRpcStatus(status) => from_status(&status),
            // Raised while connecting.
            Error::TransportError(_) | Error::IoError(_) | Error::EndpointError(_) => {
                Self::Unreached(error.to_string())
            }
            // The only text etcd-client gives this error for a lease that answers with no time left.
            Error::LeaseKeepAliveError(text) if text == "lease not found" => Self::LeaseNotFound,
            Error::LeaseKeepAliveError(_) | Error::WatchError(_) | Error::Internal(_) => {
                Self::Lost(error.to_string())
            }
            _ => Self::Rejected(error.to_string()),
        }
    }
}

fn from_status(status: &Status) -> Fault {
    let text = status.message();
    let detail = || format!("{:?}: {text}", status.code());
    if never_connected(status) {
        return Fault::Unreached(detail());
    }
    match status.code() {
        // Checked before anything is proposed.
        Code::Unavailable if text == "etcdserver: no leader" => Fault::Unreached(detail()),
        Code::ResourceExhausted if text.contains("too many requests") => Fault::Unreached(detail()),
        Code::OutOfRange if text.contains("compacted") => Fault::Compacted,
        // tonic: "decoded message length too large".
        Code::OutOfRange if text.contains("too large") => Fault::TooLarge,
        Code::NotFound if text.contains("lease not found") => Fault::LeaseNotFound,
        Code::PermissionDenied | Code::Unauthenticated => Fault::Denied(detail()),
        Code::InvalidArgument if text.contains("user") || text.contains("auth") => {
            Fault::Denied(detail())
        }
        // `leader changed` and `request timed out` among them.
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Aborted => {
            Fault::Lost(detail())
        }
        // How tonic reports a connection that broke under a call.
        Code::Unknown | Code::Internal => Fault::Lost(detail()),
        _ => Fault::Rejected(detail()),
    }
}

/// Whether the status was made by our side because no connection came about.
fn never_connected(status: &Status) -> bool {
    let mut source = status.source();
    while let Some(error) = source {
        if error.is::<ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}
