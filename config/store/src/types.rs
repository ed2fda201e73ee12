//! The nouns of the store: revisions, entries, transactions, watch events. Plain data.

use std::{fmt, time::Duration};

use serde::Serialize;

/// A point in the store's history. Every committed transaction that changes something takes the
/// next one; they never go back while the store lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Revision(pub u64);

impl Revision {
    /// Before the first change.
    pub const ZERO: Self = Self(0);

    /// The revision right after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

/// Names a lease within one store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct LeaseId(pub i64);

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// A granted lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Its name, for [`Op::Put`] and renewals.
    pub id: LeaseId,
    /// How long it lives without renewal, as granted.
    pub ttl: Duration,
}

/// One key with its value.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
    /// The revision that last wrote it.
    pub revision: Revision,
    /// The lease it lives under, if any.
    pub lease: Option<LeaseId>,
}

impl fmt::Debug for Entry {
    /// Keys are paths and readable; values may be large, so only their length is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}={}B@{}",
            self.key.escape_ascii(),
            self.value.len(),
            self.revision
        )?;
        match self.lease {
            Some(lease) => write!(f, " lease {lease}"),
            None => Ok(()),
        }
    }
}

/// All entries under a prefix as of one revision, sorted by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The store's revision when it was taken (not only of changes under the prefix).
    pub revision: Revision,
    /// The entries, sorted by key.
    pub entries: Vec<Entry>,
}

/// One key's change within a [`Batch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The key has this value now.
    Put(Entry),
    /// The key is gone: deleted, or its lease ended.
    Delete {
        /// The key.
        key: Vec<u8>,
    },
}

/// All changes of one revision under the watched prefix: one transaction, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The revision.
    pub revision: Revision,
    /// What changed, in the order of the transaction's operations. Never empty.
    pub changes: Vec<Change>,
}

/// What a watcher receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// The next change.
    Batch(Batch),
    /// The changes since the last event are no longer known: here is everything, and the stream
    /// continues from its revision. Keys absent here are gone.
    Resync(Snapshot),
}

impl WatchEvent {
    /// The revision the watcher has reached with this event.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        match self {
            Self::Batch(batch) => batch.revision,
            Self::Resync(snapshot) => snapshot.revision,
        }
    }
}

/// What a comparison demands of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The key does not exist.
    Absent,
    /// The key was last written at exactly this revision.
    At(Revision),
}

impl Expect {
    /// Whether a key last written at `found` (`None`: no such key) meets the demand.
    #[must_use]
    pub fn holds(self, found: Option<Revision>) -> bool {
        match self {
            Self::Absent => found.is_none(),
            Self::At(revision) => found == Some(revision),
        }
    }
}

/// One condition of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compare {
    /// The key looked at.
    pub key: Vec<u8>,
    /// What must be true of it.
    pub expect: Expect,
}

/// One write of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Write a value, replacing what was there, its lease included.
    Put {
        /// The key.
        key: Vec<u8>,
        /// The value.
        value: Vec<u8>,
        /// Let the key live under this lease.
        lease: Option<LeaseId>,
    },
    /// Remove a key; nothing happens when it does not exist.
    Delete {
        /// The key.
        key: Vec<u8>,
    },
}

impl Op {
    /// The key written.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
}

/// A compare-and-set transaction: if every comparison holds, every operation is applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Txn {
    /// The conditions; none means always.
    pub compare: Vec<Compare>,
    /// The writes; no two may name the same key.
    pub ops: Vec<Op>,
}

impl Txn {
    /// A transaction without conditions and writes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Demands that `key` does not exist.
    #[must_use]
    pub fn expect_absent(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.compare.push(Compare {
            key: key.into(),
            expect: Expect::Absent,
        });
        self
    }

    /// Demands that `key` was last written at `revision`.
    #[must_use]
    pub fn expect_at(mut self, key: impl Into<Vec<u8>>, revision: Revision) -> Self {
        self.compare.push(Compare {
            key: key.into(),
            expect: Expect::At(revision),
        });
        self
    }

    /// Writes `value` at `key`.
    #[must_use]
    pub fn put(mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        self.ops.push(Op::Put {
            key: key.into(),
            value: value.into(),
            lease: None,
        });
        self
    }

    /// Writes `value` at `key` under `lease`.
    #[must_use]
    pub fn put_leased(
        mut self,
        key: impl Into<Vec<u8>>,
        value: impl Into<Vec<u8>>,
        lease: LeaseId,
    ) -> Self {
        self.ops.push(Op::Put {
            key: key.into(),
            value: value.into(),
            lease: Some(lease),
        });
        self
    }

    /// Removes `key`.
    #[must_use]
    pub fn delete(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.ops.push(Op::Delete { key: key.into() });
        self
    }
}

/// A comparison that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The key compared.
    pub key: Vec<u8>,
    /// What was demanded.
    pub expected: Expect,
    /// When the key was last written; `None` when it does not exist.
    pub found: Option<Revision>,
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TxnOutcome {
    /// All operations are in.
    Committed {
        /// The store's revision afterwards. When no operation changed anything (deletes of absent
        /// keys) this is the revision from before.
        revision: Revision,
    },
    /// Nothing was written.
    Conflict {
        /// The store's revision when the comparisons were made.
        revision: Revision,
        /// Every comparison that failed, in the transaction's order.
        conflicts: Vec<Conflict>,
    },
}

/// Which engine serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// One redb file in this process.
    Embedded,
    /// The same in memory only.
    Memory,
    /// An etcd cluster.
    Etcd,
}

/// How one member of the store fares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemberStatus {
    /// Its address, or its file.
    pub endpoint: String,
    /// Its version when it answers, the failure when it does not.
    pub state: Result<String, String>,
    /// Bytes its database takes on disk; 0 when unknown.
    pub size_bytes: u64,
}

/// How the store fares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoreStatus {
    /// The engine.
    pub engine: Engine,
    /// The newest revision.
    pub revision: Revision,
    /// Each member.
    pub members: Vec<MemberStatus>,
}
