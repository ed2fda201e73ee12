//! The tables of the embedded store, and what one transaction does to them.
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | name | number: `format`, `revision`, `compacted`, `history_bytes`, `next_lease` |
//! | `entries` | key | revision, lease (0: none), value |
//! | `history` | revision, index in the transaction | key, lease, value (`None`: deleted) |
//! | `leases` | lease | time to live in seconds |
//! | `leased` | lease, key | nothing: which keys a lease holds |

use redb::{ReadableTable, Table, TableDefinition, WriteTransaction};

use super::disk::HistoryLimits;
use crate::{Conflict, Entry, LeaseId, Revision, StoreError, Txn};

/// Added to the sizes of key and value when history is measured: the row's own cost.
const ROW_BYTES: usize = 48;
/// In the tables, the lease of keys without one. Leases are numbered from 1.
const NO_LEASE: i64 = 0;

/// Revision, and index within its transaction.
pub(super) type HistoryKey = (u64, u32);
/// Key, lease, and the value unless deleted.
pub(super) type HistoryRow<'a> = (&'a [u8], i64, Option<&'a [u8]>);

pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
pub(super) const ENTRIES: TableDefinition<'_, &[u8], (u64, i64, &[u8])> =
    TableDefinition::new("entries");
pub(super) const HISTORY: TableDefinition<'_, HistoryKey, HistoryRow<'_>> =
    TableDefinition::new("history");
pub(super) const LEASES: TableDefinition<'_, i64, u64> = TableDefinition::new("leases");
pub(super) const LEASED: TableDefinition<'_, (i64, &[u8]), ()> = TableDefinition::new("leased");

/// The changes of the transaction under way: its revision and how many rows it has.
pub(super) struct Changes {
    before: Revision,
    rows: u32,
    bytes: usize,
}

impl Changes {
    pub(super) fn after(before: Revision) -> Self {
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
pub(super) struct Tables<'txn> {
    meta: Table<'txn, &'static str, u64>,
    entries: Table<'txn, &'static [u8], (u64, i64, &'static [u8])>,
    history: Table<'txn, HistoryKey, HistoryRow<'static>>,
    pub(super) leases: Table<'txn, i64, u64>,
    leased: Table<'txn, (i64, &'static [u8]), ()>,
}

impl<'txn> Tables<'txn> {
    pub(super) fn open(write: &'txn WriteTransaction) -> Result<Self, StoreError> {
        Ok(Self {
            meta: write.open_table(META)?,
            entries: write.open_table(ENTRIES)?,
            history: write.open_table(HISTORY)?,
            leases: write.open_table(LEASES)?,
            leased: write.open_table(LEASED)?,
        })
    }

    pub(super) fn meta(&self, name: &'static str) -> Result<u64, StoreError> {
        number(&self.meta, name)
    }

    pub(super) fn set_meta(&mut self, name: &'static str, to: u64) -> Result<(), StoreError> {
        self.meta.insert(name, to)?;
        Ok(())
    }

    /// The comparisons of `txn` that do not hold.
    pub(super) fn conflicts(&self, txn: &Txn) -> Result<Vec<Conflict>, StoreError> {
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

    pub(super) fn put(
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

    pub(super) fn delete(&mut self, change: &mut Changes, key: &[u8]) -> Result<(), StoreError> {
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
    pub(super) fn keys_under(&self, lease: LeaseId) -> Result<Vec<Vec<u8>>, StoreError> {
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
    pub(super) fn finish(
        &mut self,
        change: &Changes,
        limits: HistoryLimits,
    ) -> Result<Revision, StoreError> {
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
pub(super) fn row_bytes(key: &[u8], value: Option<&[u8]>) -> usize {
    ROW_BYTES + key.len() + value.map_or(0, <[u8]>::len)
}

/// A number of the meta table; 0 when it was never set.
pub(super) fn number(
    meta: &impl ReadableTable<&'static str, u64>,
    name: &'static str,
) -> Result<u64, StoreError> {
    Ok(meta.get(name)?.map_or(0, |row| row.value()))
}

/// A row of the entries table as an entry.
pub(super) fn entry(key: &[u8], (revision, lease, value): (u64, i64, &[u8])) -> Entry {
    Entry {
        key: key.to_vec(),
        value: value.to_vec(),
        revision: Revision(revision),
        lease: (lease != NO_LEASE).then_some(LeaseId(lease)),
    }
}
