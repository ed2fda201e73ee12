//! The bounds of the store, by name, and the check every transaction passes in either engine.
//!
//! They are chosen so that what one engine takes the other takes too: etcd refuses requests above
//! 1.5 MiB and transactions above 128 operations by default.

use std::{collections::HashSet, time::Duration};

use crate::{Op, StoreError, Txn};

/// Longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 1024;
/// Largest value, in bytes. Anything larger belongs in a file named by its hash.
pub const VALUE_BYTES_MAX: usize = 1 << 20;
/// Most comparisons, and most operations, of one transaction.
pub const TXN_OPS_MAX: usize = 128;
/// Largest sum of keys and values of one transaction, in bytes.
pub const TXN_BYTES_MAX: usize = VALUE_BYTES_MAX + 256 * 1024;
/// Shortest lease: etcd with default timing grants no less.
pub const LEASE_TTL_MIN: Duration = Duration::from_secs(2);
/// Longest lease.
pub const LEASE_TTL_MAX: Duration = Duration::from_secs(24 * 3600);
/// Events waiting for a slow watcher. Beyond them the engine waits; it never drops.
pub const WATCH_QUEUE_EVENTS: usize = 64;

/// Refuses transactions that one of the engines could not take.
///
/// # Errors
/// Names the first violated bound.
pub fn check_txn(txn: &Txn) -> Result<(), StoreError> {
    let parts = txn.compare.len().max(txn.ops.len());
    if parts > TXN_OPS_MAX {
        return Err(StoreError::TxnTooLong { parts });
    }
    let mut bytes = 0;
    for compare in &txn.compare {
        check_key(&compare.key)?;
        bytes += compare.key.len();
    }
    let mut written = HashSet::with_capacity(txn.ops.len());
    for op in &txn.ops {
        check_key(op.key())?;
        if !written.insert(op.key()) {
            return Err(StoreError::DuplicateKey {
                key: readable(op.key()),
            });
        }
        bytes += op.key().len();
        if let Op::Put { key, value, .. } = op {
            if value.len() > VALUE_BYTES_MAX {
                return Err(StoreError::ValueTooLarge {
                    key: readable(key),
                    bytes: value.len(),
                });
            }
            bytes += value.len();
        }
    }
    if bytes > TXN_BYTES_MAX {
        return Err(StoreError::TxnTooLarge { bytes });
    }
    Ok(())
}

/// Refuses empty and over-long keys.
///
/// # Errors
/// [`StoreError::KeySize`].
pub fn check_key(key: &[u8]) -> Result<(), StoreError> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Err(StoreError::KeySize { bytes: key.len() });
    }
    Ok(())
}

/// The time to live that will be granted for a wish: whole seconds within the bounds.
#[must_use]
pub fn lease_ttl(wish: Duration) -> Duration {
    let whole = wish.as_secs() + u64::from(wish.subsec_nanos() > 0);
    Duration::from_secs(whole).clamp(LEASE_TTL_MIN, LEASE_TTL_MAX)
}

/// A key as shown in messages.
pub(crate) fn readable(key: &[u8]) -> String {
    key.escape_ascii().to_string()
}

#[cfg(test)]
mod tests;
