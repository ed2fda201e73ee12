//! What can go wrong with a store, and what the caller may do about it.

use std::path::PathBuf;

use crate::limits::{KEY_BYTES_MAX, TXN_BYTES_MAX, TXN_OPS_MAX, VALUE_BYTES_MAX};
use crate::types::LeaseId;

/// Whether trying again makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same call will fail again.
    Never,
    /// Nothing happened; the same call may succeed later.
    Later,
    /// The call may have taken effect: read before trying again.
    CheckFirst,
}

/// Failures of a [`crate::Store`].
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A key is empty or longer than [`KEY_BYTES_MAX`].
    #[error("a key has {bytes} bytes; keys have 1 to {KEY_BYTES_MAX}")]
    KeySize {
        /// Its length.
        bytes: usize,
    },
    /// A value is larger than [`VALUE_BYTES_MAX`].
    #[error("the value of {key} has {bytes} bytes; the most is {VALUE_BYTES_MAX}")]
    ValueTooLarge {
        /// Its key.
        key: String,
        /// Its length.
        bytes: usize,
    },
    /// A transaction has more than [`TXN_OPS_MAX`] comparisons or operations.
    #[error("a transaction has {parts} parts; the most is {TXN_OPS_MAX}")]
    TxnTooLong {
        /// How many.
        parts: usize,
    },
    /// A transaction's keys and values sum to more than [`TXN_BYTES_MAX`].
    #[error("a transaction has {bytes} bytes; the most is {TXN_BYTES_MAX}")]
    TxnTooLarge {
        /// How many.
        bytes: usize,
    },
    /// A transaction writes one key twice.
    #[error("a transaction writes {key} twice")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// The lease does not exist: it ended, or never was.
    #[error("lease {lease} does not exist (any more)")]
    LeaseNotFound {
        /// Which.
        lease: LeaseId,
    },
    /// The store was shut down while the call or watch was under way.
    #[error("the store is closed")]
    Closed,
    /// Another process has the store's file open.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The store's file was written by a version this one does not know.
    #[error("the store's file has format {found}; this version reads {known}")]
    UnknownFormat {
        /// What the file says.
        found: u64,
        /// What we read.
        known: u64,
    },
    /// The store's file or a file named in its configuration cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The embedded database failed.
    #[error("embedded database: {0}")]
    Database(#[source] Box<redb::Error>),
    /// The configuration names no usable store.
    #[error("store configuration: {detail}")]
    Config {
        /// What is wrong.
        detail: String,
    },
    /// No member answered in time.
    #[error("no store member answered: {detail}")]
    Unavailable {
        /// The last failure seen.
        detail: String,
    },
    /// A write was sent and its fate is not known: the member was lost before it answered.
    #[error("the outcome of a write is unknown: {detail}")]
    OutcomeUnknown {
        /// The failure seen.
        detail: String,
    },
    /// The store does not accept our name and password, or does not let us touch these keys.
    #[error("the store refuses us: {detail}")]
    Denied {
        /// What it said.
        detail: String,
    },
    /// The store refused the call for a reason this version does not know.
    #[error("the store rejected the call: {detail}")]
    Rejected {
        /// What it said.
        detail: String,
    },
}

impl StoreError {
    /// Whether trying again makes sense.
    #[must_use]
    pub const fn retry(&self) -> Retry {
        match self {
            Self::Unavailable { .. } | Self::InUse { .. } => Retry::Later,
            Self::OutcomeUnknown { .. } => Retry::CheckFirst,
            // A full or failing disk may heal, but whether the last write is in is open.
            Self::Database(_) => Retry::CheckFirst,
            Self::KeySize { .. }
            | Self::ValueTooLarge { .. }
            | Self::TxnTooLong { .. }
            | Self::TxnTooLarge { .. }
            | Self::DuplicateKey { .. }
            | Self::LeaseNotFound { .. }
            | Self::Closed
            | Self::UnknownFormat { .. }
            | Self::File { .. }
            | Self::Config { .. }
            | Self::Denied { .. }
            | Self::Rejected { .. } => Retry::Never,
        }
    }
}

/// Every stage of redb has its own error type; they all convert into its widest one.
macro_rules! from_redb {
    ($($name:ty),*) => {$(
        impl From<$name> for StoreError {
            fn from(error: $name) -> Self {
                Self::Database(Box::new(error.into()))
            }
        }
    )*};
}
from_redb!(
    redb::StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError,
    redb::SetDurabilityError
);
