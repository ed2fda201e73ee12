//! The embedded store's database: every read is one redb read transaction, every change one write
//! transaction over the [`super::tables`].
//!
//! The history keeps whole revisions only, the newest always among them, bounded by number and by
//! bytes; `compacted` is the newest revision that is no longer in it. redb makes a commit durable
//! before it returns, so an acknowledged write survives a crash.

use std::{io, path::Path, time::Duration};

use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, backends::InMemoryBackend};

use super::tables::{Changes, ENTRIES, HISTORY, LEASES, META, Tables, entry, number, row_bytes};
use crate::{
    Batch, Change, Entry, Lease, LeaseId, Op, Revision, Snapshot, StoreError, Txn, TxnOutcome,
};

/// The layout above; a change of it gets the next number.
pub(super) const FORMAT: u64 = 1;
/// Memory redb may use to cache pages.
const CACHE_BYTES: usize = 16 << 20;
/// Revisions a watcher reads in one go.
const TAIL_REVISIONS_MAX: u64 = 256;
/// Bytes a watcher reads in one go, give or take one revision.
const TAIL_BYTES_MAX: usize = 4 << 20;
/// How much history is kept for watchers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HistoryLimits {
    /// Most revisions.
    pub(crate) revisions: u64,
    /// Most bytes.
    pub(crate) bytes: u64,
}

impl Default for HistoryLimits {
    fn default() -> Self {
        Self {
            revisions: 10_000,
            bytes: 64 << 20,
        }
    }
}

/// What follows a revision in the history.
#[derive(Debug)]
pub(super) enum Tail {
    /// The next batches under the prefix, in order.
    Page {
        /// The batches.
        batches: Vec<Batch>,
        /// Everything up to here has been looked at; equal to the start when there is no more.
        through: Revision,
    },
    /// The history does not reach back (or forward) to the revision asked for.
    Gone {
        /// Why, for the log.
        reason: &'static str,
    },
}

/// The database.
pub(super) struct Disk {
    db: Database,
    limits: HistoryLimits,
}

impl Disk {
    /// Opens or creates the file; without a path the database lives in memory.
    pub(super) fn open(path: Option<&Path>, limits: HistoryLimits) -> Result<Self, StoreError> {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        let opened = match path {
            Some(path) => {
                create_folder(path)?;
                builder.create(path)
            }
            None => builder.create_with_backend(InMemoryBackend::new()),
        };
        let db = opened.map_err(|error| open_error(path, error))?;
        let disk = Self { db, limits };
        disk.initialise()?;
        Ok(disk)
    }

    /// Creates the tables of a new file and refuses files of another format.
    fn initialise(&self) -> Result<(), StoreError> {
        let write = self.db.begin_write()?;
        {
            let mut tables = Tables::open(&write)?;
            match tables.meta("format")? {
                0 => tables.set_meta("format", FORMAT)?,
                FORMAT => {}
                found => {
                    return Err(StoreError::UnknownFormat {
                        found,
                        known: FORMAT,
                    });
                }
            }
        }
        write.commit()?;
        Ok(())
    }

    /// The newest revision.
    pub(super) fn revision(&self) -> Result<Revision, StoreError> {
        let meta = self.db.begin_read()?.open_table(META)?;
        Ok(Revision(number(&meta, "revision")?))
    }

    /// Every lease as granted.
    pub(super) fn leases(&self) -> Result<Vec<Lease>, StoreError> {
        let table = self.db.begin_read()?.open_table(LEASES)?;
        let mut leases = Vec::new();
        for row in table.iter()? {
            let (id, ttl) = row?;
            leases.push(Lease {
                id: LeaseId(id.value()),
                ttl: Duration::from_secs(ttl.value()),
            });
        }
        Ok(leases)
    }

    /// Everything under `prefix` and the revision of that view.
    pub(super) fn snapshot(&self, prefix: &[u8]) -> Result<Snapshot, StoreError> {
        let read = self.db.begin_read()?;
        let revision = Revision(number(&read.open_table(META)?, "revision")?);
        let table = read.open_table(ENTRIES)?;
        let mut entries = Vec::new();
        for row in table.range(prefix..)? {
            let (key, row) = row?;
            if !key.value().starts_with(prefix) {
                break;
            }
            entries.push(entry(key.value(), row.value()));
        }
        Ok(Snapshot { revision, entries })
    }

    /// One entry.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Entry>, StoreError> {
        let table = self.db.begin_read()?.open_table(ENTRIES)?;
        Ok(table.get(key)?.map(|row| entry(key, row.value())))
    }

    /// The next stretch of history under `prefix` after `after`.
    pub(super) fn tail(&self, prefix: &[u8], after: Revision) -> Result<Tail, StoreError> {
        let read = self.db.begin_read()?;
        let meta = read.open_table(META)?;
        if after.0 < number(&meta, "compacted")? {
            let reason = "history is compacted";
            return Ok(Tail::Gone { reason });
        }
        let newest = number(&meta, "revision")?;
        if after.0 > newest {
            let reason = "the store is older than the watcher";
            return Ok(Tail::Gone { reason });
        }
        let end = newest.min(after.0 + TAIL_REVISIONS_MAX);
        let history = read.open_table(HISTORY)?;
        let mut batches: Vec<Batch> = Vec::new();
        let mut bytes = 0;
        for row in history.range((after.0 + 1, 0)..=(end, u32::MAX))? {
            let (at, row) = row?;
            let (revision, (key, lease, value)) = (Revision(at.value().0), row.value());
            if bytes >= TAIL_BYTES_MAX && batches.last().is_some_and(|b| b.revision < revision) {
                let through = Revision(revision.0 - 1);
                return Ok(Tail::Page { batches, through });
            }
            if !key.starts_with(prefix) {
                continue;
            }
            bytes += row_bytes(key, value);
            let change = match value {
                Some(value) => Change::Put(entry(key, (revision.0, lease, value))),
                None => Change::Delete { key: key.to_vec() },
            };
            match batches.last_mut() {
                Some(batch) if batch.revision == revision => batch.changes.push(change),
                _ => batches.push(Batch {
                    revision,
                    changes: vec![change],
                }),
            }
        }
        let through = Revision(end);
        Ok(Tail::Page { batches, through })
    }

    /// Applies a transaction that has passed [`crate::limits::check_txn`].
    pub(super) fn apply(&self, txn: &Txn) -> Result<(TxnOutcome, Revision), StoreError> {
        let write = self.db.begin_write()?;
        let mut tables = Tables::open(&write)?;
        let before = Revision(tables.meta("revision")?);
        let conflicts = tables.conflicts(txn)?;
        if !conflicts.is_empty() {
            let outcome = TxnOutcome::Conflict {
                revision: before,
                conflicts,
            };
            return Ok((outcome, before));
        }
        let mut change = Changes::after(before);
        for op in &txn.ops {
            match op {
                Op::Put { key, value, lease } => tables.put(&mut change, key, value, *lease)?,
                Op::Delete { key } => tables.delete(&mut change, key)?,
            }
        }
        let revision = tables.finish(&change, self.limits)?;
        drop(tables);
        write.commit()?;
        Ok((TxnOutcome::Committed { revision }, revision))
    }

    /// Stores a new lease.
    pub(super) fn grant(&self, ttl: Duration) -> Result<Lease, StoreError> {
        let write = self.db.begin_write()?;
        let number = {
            let mut tables = Tables::open(&write)?;
            let number = tables.meta("next_lease")? + 1;
            tables.set_meta("next_lease", number)?;
            number
        };
        let id = i64::try_from(number).map_err(|_| StoreError::Rejected {
            detail: "all lease numbers are used up".to_owned(),
        })?;
        write.open_table(LEASES)?.insert(id, ttl.as_secs())?;
        write.commit()?;
        let id = LeaseId(id);
        Ok(Lease { id, ttl })
    }

    /// Ends a lease and deletes its keys under one revision. An unknown lease changes nothing.
    pub(super) fn revoke(&self, lease: LeaseId) -> Result<((), Revision), StoreError> {
        let write = self.db.begin_write()?;
        let mut tables = Tables::open(&write)?;
        let keys = tables.keys_under(lease)?;
        let mut change = Changes::after(Revision(tables.meta("revision")?));
        for key in &keys {
            tables.delete(&mut change, key)?;
        }
        tables.leases.remove(lease.0)?;
        let revision = tables.finish(&change, self.limits)?;
        drop(tables);
        write.commit()?;
        Ok(((), revision))
    }
}

/// Makes the folder the file will be in.
fn create_folder(path: &Path) -> Result<(), StoreError> {
    let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) else {
        return Ok(());
    };
    std::fs::create_dir_all(folder).map_err(|source| StoreError::File {
        path: folder.to_owned(),
        source,
    })
}

/// Why the database would not open, in the store's own terms.
fn open_error(path: Option<&Path>, error: DatabaseError) -> StoreError {
    let path = path.unwrap_or(Path::new("memory")).to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::InUse { path },
        DatabaseError::Storage(redb::StorageError::Io(source)) => {
            // redb says `InvalidData` for a file that is no database of its own.
            let source = match source.kind() {
                io::ErrorKind::InvalidData => {
                    io::Error::new(source.kind(), "not a store's database file")
                }
                _ => source,
            };
            StoreError::File { path, source }
        }
        other => StoreError::Database(Box::new(other.into())),
    }
}
