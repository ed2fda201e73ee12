//! The store: where the desired state of a deployment is kept, as bytes under keys.
//!
//! One trait, [`Store`], and two engines behind it. [`Embedded`] keeps everything in one redb file
//! (or in memory) for a single node; [`Etcd`] speaks to an etcd cluster. Both number every change
//! with one monotonic [`Revision`], so a reader takes a [`Snapshot`], then watches from the
//! snapshot's revision and misses nothing: each committed transaction arrives exactly once, whole
//! and in order, as a [`Batch`]. When the history a watcher needs is gone (compaction, a store
//! restored from a backup), it gets a [`WatchEvent::Resync`] with a whole new snapshot instead of
//! a gap.
//!
//! What it does not do: it knows nothing of topology or policies, does not cache, and serves no
//! stale reads; every read reflects every commit acknowledged before it. Consistency levels and
//! relays come later behind the same trait.
//!
//! ```
//! # tokio::runtime::Runtime::new().expect("runtime").block_on(async {
//! use meridian_store::{Embedded, Store, Txn, TxnOutcome, WatchEvent};
//!
//! let store = Embedded::in_memory().await?;
//! let before = store.snapshot(b"/meridian/").await?;
//! let mut watch = store.watch(b"/meridian/", before.revision).await?;
//! let txn = Txn::new().expect_absent("/meridian/drain/region/a").put("/meridian/drain/region/a", "");
//! let TxnOutcome::Committed { revision } = store.commit(txn).await? else { panic!("conflict") };
//! let WatchEvent::Batch(batch) = watch.next().await? else { panic!("resync") };
//! assert_eq!(batch.revision, revision);
//! # Ok::<(), meridian_store::StoreError>(()) }).expect("the store works");
//! ```

mod config;
mod embedded;
mod error;
mod etcd;
pub mod limits;
mod types;
mod watch;

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;

pub use config::{EmbeddedConfig, EtcdConfig, EtcdTls, StoreConfig};
pub use embedded::Embedded;
pub use error::{Retry, StoreError};
pub use etcd::Etcd;
pub use types::{
    Batch, Change, Compare, Conflict, Engine, Entry, Expect, Lease, LeaseId, MemberStatus, Op,
    Revision, Snapshot, StoreStatus, Txn, TxnOutcome, WatchEvent,
};
pub use watch::WatchStream;

/// A revisioned key-value store. All methods are cancel safe in the sense that dropping the future
/// leaves the store consistent; a dropped [`Store::commit`] may still have taken effect.
#[async_trait]
pub trait Store: Send + Sync + Debug {
    /// Every entry whose key starts with `prefix`, sorted by key, all as of one revision.
    async fn snapshot(&self, prefix: &[u8]) -> Result<Snapshot, StoreError>;

    /// The entry at `key` now.
    async fn get(&self, key: &[u8]) -> Result<Option<Entry>, StoreError>;

    /// Every change under `prefix` with a revision greater than `after`: pass the revision of a
    /// snapshot to continue from it. The stream outlives lost members and compaction.
    async fn watch(&self, prefix: &[u8], after: Revision) -> Result<WatchStream, StoreError>;

    /// Applies all operations of `txn` under one new revision if all its comparisons hold, and
    /// none of them otherwise. On [`Retry::CheckFirst`] errors the caller reads before it retries.
    async fn commit(&self, txn: Txn) -> Result<TxnOutcome, StoreError>;

    /// A new lease: keys put under it vanish when it is not renewed for its time to live. `ttl` is
    /// rounded up to whole seconds and to [`limits::LEASE_TTL_MIN`]; the answer says what was
    /// granted.
    async fn grant_lease(&self, ttl: Duration) -> Result<Lease, StoreError>;

    /// Renews a lease once, for its whole time to live from now.
    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError>;

    /// Ends a lease now and deletes its keys under one revision.
    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError>;

    /// What the engine is and how it fares.
    async fn status(&self) -> Result<StoreStatus, StoreError>;
}
