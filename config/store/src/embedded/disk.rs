//! The tables of the embedded store, and every change as one redb transaction.
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | name | number: `format`, `revision`, `compacted`, `history_bytes`, `next_lease` |
//! | `entries` | key | revision, lease (0: none), value |
//! | `history` | revision, index in the transaction | key, lease, value (`None`: deleted) |
//! | `leases` | lease | time to live in seconds |
//! | `leased` | lease, key | nothing: which keys a lease holds |
//!
//! The history keeps whole revisions only, the newest always among them, bounded by number and by
//! bytes; `compacted` is the newest revision that is no longer in it. redb makes a commit durable
//! before it returns, so an acknowledged write survives a crash.

use std::{io, path::Path, time::Duration};

use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, Table, TableDefinition,
    WriteTransaction, backends::InMemoryBackend,
};

use crate::{
    Batch, Change, Conflict, Entry, Lease, LeaseId, Op, Revision, Snapshot, StoreError, Txn,
    TxnOutcome,
};

/// The layout above; a change of it gets the next number.
pub(super) const FORMAT: u64 = 1;
/// Memory redb may use to cache pages.
const CACHE_BYTES: usize = 16 << 20;
/// Revisions a watcher reads in one go.
const TAIL_REVISIONS_MAX: u64 = 256;
/// Bytes a watcher reads in one go, give or take one revision.
const TAIL_BYTES_MAX: usize = 4 << 20;
/// Added to the sizes of key and value when history is measured: the row's own cost.
const ROW_BYTES: usize = 48;
/// In the tables, the lease of keys without one. Leases are numbered from 1.
const NO_LEASE: i64 = 0;

/// Revision, and index within its transaction.
type HistoryKey = (u64, u32);
/// Key, lease, and the value unless deleted.
type HistoryRow<'a> = (&'a [u8], i64, Option<&'a [u8]>);

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const ENTRIES: TableDefinition<'_, &[u8], (u64, i64, &[u8])> = TableDefinition::new("entries");
const HISTORY: TableDefinition<'_, HistoryKey, HistoryRow<'_>> = TableDefinition::new("history");
const LEASES: TableDefinition<'_, i64, u64> = TableDefinition::new("leases");
const LEASED: TableDefinition<'_, (i64, &[u8]), ()> = TableDefinition::new("leased");

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

/// The changes of the transaction under way: its revision and how many rows it has.
struct Changes {
    before: Revision,
    rows: u32,
    bytes: usize,
}

impl Changes {
    fn after(before: Revision) -> Self {
        Self {
            before,
            rows: 0,
            bytes: 0,
        }
    }

    /// Where the next history row goes.
    fn next_row(&mut self, bytes: usize) -> (u64, u32) {
        let at = (self.before.next().0, self.rows);
        self.rows += 1;
        self.bytes += bytes;
        at
    }
}

/// All tables, open for writing.
struct Tables<'txn> {
    meta: Table<'txn, &'static str, u64>,
    entries: Table<'txn, &'static [u8], (u64, i64, &'static [u8])>,
    history: Table<'txn, HistoryKey, HistoryRow<'static>>,
    leases: Table<'txn, i64, u64>,
    leased: Table<'txn, (i64, &'static [u8]), ()>,
}

impl<'txn> Tables<'txn> {
    fn open(write: &'txn WriteTransaction) -> Result<Self, StoreError> {
        Ok(Self {
            meta: write.open_table(META)?,
            entries: write.open_table(ENTRIES)?,
            history: write.open_table(HISTORY)?,
            leases: write.open_table(LEASES)?,
            leased: write.open_table(LEASED)?,
        })
    }

    fn meta(&self, name: &'static str) -> Result<u64, StoreError> {
        number(&self.meta, name)
    }

    fn set_meta(&mut self, name: &'static str, to: u64) -> Result<(), StoreError> {
        self.meta.insert(name, to)?;
        Ok(())
    }

    /// The comparisons of `txn` that do not hold.
    fn conflicts(&self, txn: &Txn) -> Result<Vec<Conflict>, StoreError> {
        let mut conflicts = Vec::new();
        for compare in &txn.compare {
            let row = self.entries.get(compare.key.as_slice())?;
            let found = row.map(|row| Revision(row.value().0));
            if !compare.expect.holds(found) {
                conflicts.push(Conflict {
                    key: compare.key.clone(),
                    expected: compare.expect,
                    found,
                });
            }
        }
        Ok(conflicts)
    }

    fn put(
        &mut self,
        change: &mut Changes,
        key: &[u8],
        value: &[u8],
        lease: Option<LeaseId>,
    ) -> Result<(), StoreError> {
        if let Some(lease) = lease
            && self.leases.get(lease.0)?.is_none()
        {
            return Err(StoreError::LeaseNotFound { lease });
        }
        let new_lease = lease.map_or(NO_LEASE, |lease| lease.0);
        let at = change.next_row(row_bytes(key, Some(value)));
        let old = self.entries.insert(key, (at.0, new_lease, value))?;
        let old_lease = old.map_or(NO_LEASE, |row| row.value().1);
        if old_lease != NO_LEASE {
            self.leased.remove((old_lease, key))?;
        }
        if new_lease != NO_LEASE {
            self.leased.insert((new_lease, key), ())?;
        }
        self.history.insert(at, (key, new_lease, Some(value)))?;
        Ok(())
    }

    fn delete(&mut self, change: &mut Changes, key: &[u8]) -> Result<(), StoreError> {
        let Some(old_lease) = self.entries.remove(key)?.map(|row| row.value().1) else {
            return Ok(());
        };
        if old_lease != NO_LEASE {
            self.leased.remove((old_lease, key))?;
        }
        let at = change.next_row(row_bytes(key, None));
        self.history.insert(at, (key, NO_LEASE, None))?;
        Ok(())
    }

    /// Which keys live under `lease`.
    fn keys_under(&self, lease: LeaseId) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut keys = Vec::new();
        for row in self.leased.range((lease.0, &[][..])..)? {
            let (at, ()) = row.map(|(at, _)| (at, ()))?;
            let (of, key) = at.value();
            if of != lease.0 {
                break;
            }
            keys.push(key.to_vec());
        }
        Ok(keys)
    }

    /// Takes the next revision if anything changed, and trims the history to its bounds.
    fn finish(&mut self, change: &Changes, limits: HistoryLimits) -> Result<Revision, StoreError> {
        if change.rows == 0 {
            return Ok(change.before);
        }
        let revision = change.before.next();
        self.set_meta("revision", revision.0)?;
        let mut bytes = self.meta("history_bytes")? + change.bytes as u64;
        while let Some(oldest) = self.oldest()? {
            let kept = revision.0 - oldest + 1;
            let over = kept > limits.revisions || bytes > limits.bytes;
            if !over || oldest == revision.0 {
                break;
            }
            bytes = bytes.saturating_sub(self.forget(oldest)?);
            self.set_meta("compacted", oldest)?;
        }
        self.set_meta("history_bytes", bytes)?;
        Ok(revision)
    }

    /// The oldest revision in the history.
    fn oldest(&self) -> Result<Option<u64>, StoreError> {
        Ok(self.history.first()?.map(|(at, _)| at.value().0))
    }

    /// Drops one revision from the history; how many bytes that were.
    fn forget(&mut self, revision: u64) -> Result<u64, StoreError> {
        let rows = (revision, 0)..=(revision, u32::MAX);
        let mut bytes = 0;
        for row in self.history.extract_from_if(rows, |_, _| true)? {
            let (_, row) = row?;
            let (key, _, value) = row.value();
            bytes += row_bytes(key, value) as u64;
        }
        Ok(bytes)
    }
}

/// What a history row counts against the bound.
fn row_bytes(key: &[u8], value: Option<&[u8]>) -> usize {
    ROW_BYTES + key.len() + value.map_or(0, <[u8]>::len)
}

/// A number of the meta table; 0 when it was never set.
fn number(
    meta: &impl ReadableTable<&'static str, u64>,
    name: &'static str,
) -> Result<u64, StoreError> {
    Ok(meta.get(name)?.map_or(0, |row| row.value()))
}

/// A row of the entries table as an entry.
fn entry(key: &[u8], (revision, lease, value): (u64, i64, &[u8])) -> Entry {
    Entry {
        key: key.to_vec(),
        value: value.to_vec(),
        revision: Revision(revision),
        lease: (lease != NO_LEASE).then_some(LeaseId(lease)),
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
