//! A watcher that rebuilds what it watches and refuses gaps, repetitions and disorder.

use std::{collections::BTreeMap, time::Duration};

use meridian_store::{Batch, Change, Entry, Revision, Snapshot, Store, WatchEvent, WatchStream};

/// Longest wait for anything that must happen; far above what a busy machine needs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The state under a prefix as told by events alone.
#[derive(Debug)]
pub struct Follower {
    stream: WatchStream,
    pub state: BTreeMap<Vec<u8>, Entry>,
    pub last: Revision,
    pub resyncs: usize,
}

impl Follower {
    /// Starts from what is there now.
    pub async fn start(store: &dyn Store, prefix: &str) -> Self {
        let snapshot = store.snapshot(prefix.as_bytes()).await.unwrap();
        let stream = store
            .watch(prefix.as_bytes(), snapshot.revision)
            .await
            .unwrap();
        let mut follower = Self::from_stream(stream, snapshot.revision);
        follower.replace(snapshot);
        follower
    }

    /// Starts with nothing at `after`.
    pub fn from_stream(stream: WatchStream, after: Revision) -> Self {
        Self {
            stream,
            state: BTreeMap::new(),
            last: after,
            resyncs: 0,
        }
    }

    /// The next event, checked and applied.
    pub async fn next(&mut self) -> WatchEvent {
        let event = tokio::time::timeout(PATIENCE, self.stream.next())
            .await
            .expect("an event within patience")
            .expect("the watch goes on");
        match &event {
            WatchEvent::Batch(batch) => self.apply(batch),
            WatchEvent::Resync(snapshot) => {
                self.resyncs += 1;
                self.last = snapshot.revision;
                self.replace(snapshot.clone());
            }
        }
        event
    }

    /// The next event, which must be a batch.
    pub async fn batch(&mut self) -> Batch {
        match self.next().await {
            WatchEvent::Batch(batch) => batch,
            WatchEvent::Resync(snapshot) => panic!("resync to {}", snapshot.revision),
        }
    }

    /// Follows until everything up to `revision` is in.
    pub async fn reach(&mut self, revision: Revision) {
        while self.last < revision {
            self.next().await;
        }
    }

    /// No event comes while the store goes on elsewhere.
    pub async fn expect_quiet(&mut self) {
        let quiet = tokio::time::timeout(Duration::from_millis(200), self.stream.next()).await;
        assert!(quiet.is_err(), "unexpected {quiet:?}");
    }

    /// What was followed is what is there.
    pub async fn assert_equals(&self, store: &dyn Store, prefix: &str) {
        let now = store.snapshot(prefix.as_bytes()).await.unwrap();
        let followed: Vec<&Entry> = self.state.values().collect();
        assert_eq!(followed, now.entries.iter().collect::<Vec<_>>());
    }

    fn apply(&mut self, batch: &Batch) {
        assert!(batch.revision > self.last, "{batch:?} after {}", self.last);
        assert!(!batch.changes.is_empty(), "empty {batch:?}");
        self.last = batch.revision;
        for change in &batch.changes {
            match change {
                Change::Put(entry) => {
                    assert_eq!(entry.revision, batch.revision);
                    self.state.insert(entry.key.clone(), entry.clone());
                }
                Change::Delete { key } => {
                    assert!(self.state.remove(key).is_some(), "{batch:?}: nothing there");
                }
            }
        }
    }

    fn replace(&mut self, snapshot: Snapshot) {
        self.state = snapshot
            .entries
            .into_iter()
            .map(|entry| (entry.key.clone(), entry))
            .collect();
    }
}
