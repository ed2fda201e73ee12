//! The embedded engine: one redb file, or memory, in this process.
//!
//! [`disk`] makes every change one database transaction over the [`tables`]; [`leases`] holds the
//! deadlines in memory, time passed in. A watcher is a cursor into the history table: it reads the
//! history at its own pace and sleeps until the revision moves, so a slow watcher costs no memory
//! and one that falls behind the bounded history gets a `Resync`.
//!
//! redb blocks on the disk, so calls run on tokio's blocking threads. After a restart every lease
//! starts anew with its whole time to live, as etcd does after a change of leader: holders get
//! the chance to renew.

mod disk;
mod leases;
mod tables;

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{debug, info, warn};

use self::{
    disk::{Disk, Tail},
    leases::LeaseTable,
};
use crate::{
    Batch, EmbeddedConfig, Engine, Entry, Lease, LeaseId, MemberStatus, Revision, Snapshot, Store,
    StoreError, StoreStatus, Txn, TxnOutcome, WatchEvent, WatchStream, limits, watch::WatchSender,
};

pub(crate) use self::disk::HistoryLimits;

/// Wait after the database failed to end a lease before trying again.
const EXPIRY_RETRY: Duration = Duration::from_secs(1);

/// The embedded store. Dropping it ends its watches with [`StoreError::Closed`].
pub struct Embedded {
    shared: Arc<Shared>,
    _closes: DropGuard,
}

/// What calls, watchers and the expiry task have in common.
struct Shared {
    disk: Arc<Disk>,
    path: Option<PathBuf>,
    /// The newest committed revision; watchers sleep on it.
    revision: watch::Sender<Revision>,
    leases: Mutex<LeaseTable>,
    leases_changed: Notify,
    closed: CancellationToken,
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded")
            .field("path", &self.shared.path)
            .field("revision", &*self.shared.revision.borrow())
            .finish_non_exhaustive()
    }
}

impl Embedded {
    /// Opens the file at `path`, creating it and its folder when missing.
    ///
    /// # Errors
    /// When the file is in use, of an unknown format, damaged or not writable.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        Self::start(&EmbeddedConfig {
            path: Some(path.into()),
            ..EmbeddedConfig::default()
        })
        .await
    }

    /// A store that forgets everything when dropped.
    ///
    /// # Errors
    /// Only if the in-memory database cannot be set up.
    pub async fn in_memory() -> Result<Self, StoreError> {
        Self::start(&EmbeddedConfig::default()).await
    }

    /// Opens the store a configuration describes.
    ///
    /// # Errors
    /// As [`Embedded::open`].
    pub async fn start(config: &EmbeddedConfig) -> Result<Self, StoreError> {
        let path = config.path.clone();
        let limits = HistoryLimits {
            revisions: config.history_revisions,
            bytes: config.history_bytes,
        };
        let (disk, revision, granted) = blocking({
            let path = path.clone();
            move || {
                let disk = Disk::open(path.as_deref(), limits)?;
                let revision = disk.revision()?;
                let granted = disk.leases()?;
                Ok((disk, revision, granted))
            }
        })
        .await?;
        info!(path = ?path, %revision, leases = granted.len(), "embedded store opened");
        let now = Instant::now().into_std();
        let mut leases = LeaseTable::default();
        for lease in granted {
            leases.insert(lease, now);
        }
        let shared = Arc::new(Shared {
            disk: Arc::new(disk),
            path,
            revision: watch::Sender::new(revision),
            leases: Mutex::new(leases),
            leases_changed: Notify::new(),
            closed: CancellationToken::new(),
        });
        let closes = shared.closed.clone().drop_guard();
        tokio::spawn(Arc::clone(&shared).expire_leases());
        Ok(Self {
            shared,
            _closes: closes,
        })
    }
}

impl Shared {
    /// Runs `work` on the database off the runtime's workers.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Disk) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let disk = Arc::clone(&self.disk);
        blocking(move || work(&disk)).await
    }

    /// Runs `work`, which answers with the revision it reached, and wakes the watchers. The waking
    /// is part of the blocking work so that a caller who loses patience cannot prevent it.
    async fn write<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Disk) -> Result<(T, Revision), StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = Arc::clone(self);
        blocking(move || {
            let (answer, reached) = work(&shared.disk)?;
            shared.revision.send_if_modified(|newest| {
                let moved = reached > *newest;
                *newest = reached.max(*newest);
                moved
            });
            Ok(answer)
        })
        .await
    }

    fn leases(&self) -> MutexGuard<'_, LeaseTable> {
        // A panic elsewhere cannot leave the table half changed: its updates are single calls.
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends leases as they run out, until the store closes.
    async fn expire_leases(self: Arc<Self>) {
        loop {
            let changed = self.leases_changed.notified();
            let next = self.leases().next_deadline().map(Instant::from_std);
            let due = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.closed.cancelled() => return,
                () = changed => continue,
                () = due => {}
            }
            let expired = self.leases().take_expired(Instant::now().into_std());
            for lease in expired {
                debug!(lease = %lease.id, "lease expired");
                if let Err(error) = self.write(move |disk| disk.revoke(lease.id)).await {
                    warn!(lease = %lease.id, %error, "could not end an expired lease; will retry");
                    let again = Instant::now().into_std() + EXPIRY_RETRY;
                    self.leases().expire_at(lease, again);
                }
            }
        }
    }

    /// Feeds one watcher from the history table.
    async fn feed(self: Arc<Self>, prefix: Vec<u8>, after: Revision, out: WatchSender) {
        let result = tokio::select! {
            () = self.closed.cancelled() => Err(StoreError::Closed),
            result = self.follow(prefix, after, &out) => result,
        };
        if let Err(error) = result {
            // The receiver may be gone already; then nobody needs to know.
            let _ = out.send(Err(error)).await;
        }
    }

    /// Sends everything after `last`, for ever; returns when the receiver is gone.
    async fn follow(
        &self,
        prefix: Vec<u8>,
        mut last: Revision,
        out: &WatchSender,
    ) -> Result<(), StoreError> {
        let mut newest = self.revision.subscribe();
        loop {
            newest.borrow_and_update();
            let key_prefix = prefix.clone();
            match self.read(move |disk| disk.tail(&key_prefix, last)).await? {
                Tail::Page { batches, through } => {
                    for batch in batches {
                        if send_batch(out, batch).await.is_err() {
                            return Ok(());
                        }
                    }
                    let caught_up = through == last;
                    last = through;
                    if !caught_up {
                        continue;
                    }
                }
                Tail::Gone { reason } => {
                    info!(%last, reason, "watch resynchronises from a snapshot");
                    let key_prefix = prefix.clone();
                    let snapshot = self.read(move |disk| disk.snapshot(&key_prefix)).await?;
                    last = snapshot.revision;
                    if out.send(Ok(WatchEvent::Resync(snapshot))).await.is_err() {
                        return Ok(());
                    }
                    continue;
                }
            }
            // The sender lives in `self`, so this cannot fail; a closed store is noticed in `feed`.
            newest.changed().await.map_err(|_| StoreError::Closed)?;
        }
    }
}

/// Hands one batch over; an error means the receiver is gone.
async fn send_batch(out: &WatchSender, batch: Batch) -> Result<(), ()> {
    out.send(Ok(WatchEvent::Batch(batch))).await.map_err(|_| ())
}

/// Runs blocking `work`; the runtime going away reads as the store being closed.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or(Err(StoreError::Closed))
}

#[async_trait]
impl Store for Embedded {
    async fn snapshot(&self, prefix: &[u8]) -> Result<Snapshot, StoreError> {
        let prefix = prefix.to_vec();
        self.shared.read(move |disk| disk.snapshot(&prefix)).await
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Entry>, StoreError> {
        limits::check_key(key)?;
        let key = key.to_vec();
        self.shared.read(move |disk| disk.get(&key)).await
    }

    async fn watch(&self, prefix: &[u8], after: Revision) -> Result<WatchStream, StoreError> {
        let (shared, prefix) = (Arc::clone(&self.shared), prefix.to_vec());
        Ok(WatchStream::start(|out| {
            tokio::spawn(shared.feed(prefix, after, out))
        }))
    }

    async fn commit(&self, txn: Txn) -> Result<TxnOutcome, StoreError> {
        limits::check_txn(&txn)?;
        self.shared.write(move |disk| disk.apply(&txn)).await
    }

    async fn grant_lease(&self, ttl: Duration) -> Result<Lease, StoreError> {
        let ttl = limits::lease_ttl(ttl);
        let lease = self.shared.read(move |disk| disk.grant(ttl)).await?;
        self.shared
            .leases()
            .insert(lease, Instant::now().into_std());
        self.shared.leases_changed.notify_one();
        Ok(lease)
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        // The expiry task wakes at the old deadline, finds nothing due and sleeps again.
        match self.shared.leases().renew(lease, Instant::now().into_std()) {
            Some(_) => Ok(()),
            None => Err(StoreError::LeaseNotFound { lease }),
        }
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        let known = self.shared.leases().remove(lease);
        if known.is_none() {
            return Err(StoreError::LeaseNotFound { lease });
        }
        self.shared.write(move |disk| disk.revoke(lease)).await
    }

    async fn status(&self) -> Result<StoreStatus, StoreError> {
        let path = self.shared.path.clone();
        let engine = path.as_ref().map_or(Engine::Memory, |_| Engine::Embedded);
        let size_bytes = match &path {
            Some(path) => tokio::fs::metadata(path).await.map_or(0, |meta| meta.len()),
            None => 0,
        };
        Ok(StoreStatus {
            engine,
            revision: self.shared.read(Disk::revision).await?,
            members: vec![MemberStatus {
                endpoint: path.map_or_else(|| "memory".to_owned(), |p| p.display().to_string()),
                state: Ok(format!("redb format {}", disk::FORMAT)),
                size_bytes,
            }],
        })
    }
}

#[cfg(test)]
mod tests;
