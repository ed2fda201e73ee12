//! One command at a time on a zone's keys: an advisory lock on a file in the zone's folder.
//!
//! A step reads the facts, perhaps makes a key, and writes the facts; two at once would lose one's
//! change, and with it perhaps a key that signs. The lock is the system's (`flock`): it ends with the
//! process however that ends, so a killed command leaves nothing to clean up. Only commands take it. A
//! running node reads without: facts are replaced whole.
//!
//! Limits: it binds commands on one host, and those of several where the file system shares locks.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;

use super::store::{KeyFolder, StoreError};

/// The lock's file. It is never deleted: a command that opened it before would hold the lock of a file
/// that the next one does not see.
const LOCK_FILE: &str = ".lock";

/// A zone's keys are one command's until this is dropped.
#[derive(Debug)]
pub(crate) struct ZoneLock {
    /// Closing it ends the lock.
    _file: File,
}

impl KeyFolder {
    /// Takes a zone's lock, or says who has to end first. Never waits: what the other command does may
    /// be what this one was for.
    ///
    /// # Errors
    /// [`StoreError::Busy`] and [`StoreError::Io`]
    pub(crate) fn lock(&self, zone: &str) -> Result<ZoneLock, StoreError> {
        let folder = self.zone_folder(zone);
        let failed = |path: &std::path::Path, source| StoreError::Io {
            path: path.into(),
            source,
        };
        fs::create_dir_all(&folder).map_err(|source| failed(&folder, source))?;
        let path = folder.join(LOCK_FILE);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|source| failed(&path, source))?;
        match file.try_lock() {
            Ok(()) => Ok(ZoneLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Busy {
                zone: zone.trim_end_matches('.').into(),
                path,
            }),
            Err(TryLockError::Error(source)) => Err(failed(&path, source)),
        }
    }
}
