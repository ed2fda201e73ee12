//! The embedded engine: the contract in memory and on disk, and what survives a restart.

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use meridian_store::{
    Embedded, EmbeddedConfig, Engine, Revision, Store, StoreConfig, StoreError, Txn, WatchEvent,
};

use crate::{
    contract::{self, Fixture},
    follower::{Follower, PATIENCE},
};

/// Above what the contract's watchers lag behind, and little enough to be filled quickly.
const HISTORY_REVISIONS: u64 = 300;

struct Local(Arc<dyn Store>);

#[async_trait]
impl Fixture for Local {
    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.0)
    }

    async fn compact(&self) {
        for n in 0..=HISTORY_REVISIONS {
            let txn = Txn::new().put("/filler", n.to_string());
            self.0.commit(txn).await.unwrap();
        }
    }
}

async fn start(path: Option<&Path>) -> Arc<dyn Store> {
    let config = StoreConfig::Embedded(EmbeddedConfig {
        path: path.map(Path::to_owned),
        history_revisions: HISTORY_REVISIONS,
        ..EmbeddedConfig::default()
    });
    config.open().await.unwrap()
}

#[tokio::test]
async fn contract_in_memory() {
    contract::run(&Local(start(None).await)).await;
}

#[tokio::test]
async fn contract_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state/store.redb");
    contract::run(&Local(start(Some(&path)).await)).await;
}

#[tokio::test]
async fn a_restart_keeps_everything_and_rearms_leases() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    let (first, lease);
    {
        let store = Embedded::open(&path).await.unwrap();
        lease = store.grant_lease(Duration::from_secs(2)).await.unwrap();
        store.commit(Txn::new().put("/k", "1")).await.unwrap();
        first = store.snapshot(b"").await.unwrap().revision;
        let txn = Txn::new().put("/k", "2").put_leased("/l", "", lease.id);
        store.commit(txn).await.unwrap();
        assert!(matches!(
            Embedded::open(&path).await,
            Err(StoreError::InUse { .. })
        ));
    }
    let store = reopen(&path).await;
    assert_eq!(store.status().await.unwrap().engine, Engine::Embedded);
    // History is still there: the watch continues across the restart.
    let stream = store.watch(b"", first).await.unwrap();
    let mut follower = Follower::from_stream(stream, first);
    assert_eq!(follower.batch().await.changes.len(), 2);
    store.keep_alive(lease.id).await.unwrap();
    // And the lease still ends when nobody renews it.
    follower.batch().await;
    assert_eq!(store.get(b"/l").await.unwrap(), None);
    assert_eq!(store.get(b"/k").await.unwrap().unwrap().value, b"2");
}

/// The old engine's last blocking call may still hold the file for a moment after its drop.
async fn reopen(path: &Path) -> Embedded {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match Embedded::open(path).await {
            Ok(store) => return store,
            Err(StoreError::InUse { .. }) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn dropping_the_store_ends_its_watches() {
    let store = Embedded::in_memory().await.unwrap();
    let mut watch = store.watch(b"", Revision::ZERO).await.unwrap();
    store.commit(Txn::new().put("/k", "")).await.unwrap();
    assert!(matches!(watch.next().await, Ok(WatchEvent::Batch(_))));
    drop(store);
    for _ in 0..2 {
        assert!(matches!(watch.next().await, Err(StoreError::Closed)));
    }
}

#[tokio::test]
async fn a_file_that_is_no_store_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    std::fs::write(&path, "policy: shop\n".repeat(1000)).unwrap();
    let error = Embedded::open(&path).await.unwrap_err();
    assert!(error.to_string().contains("store.redb"), "{error}");
}
