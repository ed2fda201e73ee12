//! What lies where in the store.
//!
//! ```text
//! /meridian/topology/<file>          YAML text
//! /meridian/policies/<file>          YAML text
//! /meridian/drain/region/<id>        reason, in words
//! /meridian/drain/endpoint/<id>      reason, in words
//! /meridian/sync/digest              digest of the directory last taken over
//! /meridian/sync/texts               empty; its revision says when texts last changed
//! ```
//!
//! The texts themselves are stored, not their parsed form: a node of a newer version
//! may understand more of them, and admins read back what they wrote, comments included.

use std::collections::BTreeMap;

use meridian_store::{Change, Revision, Snapshot, Store, StoreError, Txn, TxnOutcome, WatchEvent};
use meridian_topology::SourceFile;

use crate::drain::{Drain, DrainTarget};
use crate::sources::Sources;

/// Everything of ours in the store lies under this prefix.
pub const PREFIX: &str = "/meridian/";
const TOPOLOGY: &str = "/meridian/topology/";
const POLICIES: &str = "/meridian/policies/";
const DRAIN_REGION: &str = "/meridian/drain/region/";
const DRAIN_ENDPOINT: &str = "/meridian/drain/endpoint/";
const SYNC_DIGEST: &str = "/meridian/sync/digest";
/// Written with every change of texts, so that of two writers who read the same state one loses.
const TEXTS_GUARD: &str = "/meridian/sync/texts";

/// The store's content under [`PREFIX`] as of one revision, kept current by watch events.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// The revision this is the state of.
    pub revision: Revision,
    values: BTreeMap<String, Vec<u8>>,
    /// When texts last changed; `None`: never.
    texts_at: Option<Revision>,
}

impl Catalog {
    /// Reads everything once.
    pub async fn read(store: &dyn Store) -> Result<Self, StoreError> {
        Ok(Self::from_snapshot(
            store.snapshot(PREFIX.as_bytes()).await?,
        ))
    }

    fn from_snapshot(snapshot: Snapshot) -> Self {
        let guard = snapshot
            .entries
            .iter()
            .find(|entry| entry.key == TEXTS_GUARD.as_bytes());
        let texts_at = guard.map(|entry| entry.revision);
        let key = |key: Vec<u8>| String::from_utf8_lossy(&key).into_owned();
        let values = snapshot
            .entries
            .into_iter()
            .map(|entry| (key(entry.key), entry.value))
            .collect();
        Self {
            revision: snapshot.revision,
            values,
            texts_at,
        }
    }

    /// Takes over one watch event.
    pub fn apply(&mut self, event: WatchEvent) {
        match event {
            WatchEvent::Resync(snapshot) => *self = Self::from_snapshot(snapshot),
            WatchEvent::Batch(batch) => {
                self.revision = batch.revision;
                for change in batch.changes {
                    match change {
                        Change::Put(entry) => {
                            if entry.key == TEXTS_GUARD.as_bytes() {
                                self.texts_at = Some(entry.revision);
                            }
                            self.values.insert(
                                String::from_utf8_lossy(&entry.key).into_owned(),
                                entry.value,
                            );
                        }
                        Change::Delete { key } => {
                            self.values.remove(String::from_utf8_lossy(&key).as_ref());
                        }
                    }
                }
            }
        }
    }

    /// The YAML texts.
    pub fn sources(&self) -> Sources {
        Sources {
            topology: self.files(TOPOLOGY, ""),
            policies: self.files(POLICIES, "policies/"),
        }
    }

    /// Every drain in force.
    pub fn drains(&self) -> Vec<Drain> {
        let regions = self
            .under(DRAIN_REGION)
            .map(|(id, reason)| (DrainTarget::Region(id.into()), reason));
        let endpoints = self
            .under(DRAIN_ENDPOINT)
            .map(|(id, reason)| (DrainTarget::Endpoint(id.into()), reason));
        regions
            .chain(endpoints)
            .map(|(target, reason)| Drain {
                target,
                reason: String::from_utf8_lossy(reason).into_owned(),
            })
            .collect()
    }

    /// Digest of the deployment directory that was last taken over, if any.
    pub fn sync_digest(&self) -> Option<&[u8]> {
        self.values.get(SYNC_DIGEST).map(Vec::as_slice)
    }

    fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.values
            .range(prefix.to_owned()..)
            .map_while(move |(key, value)| Some((key.strip_prefix(prefix)?, value.as_slice())))
    }

    fn files(&self, prefix: &str, folder: &str) -> Vec<SourceFile> {
        self.under(prefix)
            .map(|(name, text)| SourceFile {
                name: format!("{folder}{name}"),
                text: String::from_utf8_lossy(text).into_owned(),
            })
            .collect()
    }
}

/// What kept a write out.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Somebody else wrote meanwhile.
    #[error("the store changed meanwhile (now at {now}); look at the change and try again")]
    Conflict {
        /// The store's revision.
        now: Revision,
    },
}

/// Replaces all YAML texts in one transaction: files that `sources` lacks are deleted.
///
/// `digest` marks the content as that of a deployment directory.
pub async fn write_sources(
    store: &dyn Store,
    current: &Catalog,
    sources: &Sources,
    digest: Option<&[u8]>,
) -> Result<Revision, WriteError> {
    let wanted = keyed(sources);
    let held = current.sources();
    let held = keyed(&held);
    let mut txn = Txn::new();
    for (key, text) in wanted
        .iter()
        .filter(|(key, text)| held.get(*key) != Some(text))
    {
        txn = txn.put(key.as_str(), text.as_bytes());
    }
    for key in held.keys().filter(|key| !wanted.contains_key(*key)) {
        txn = txn.delete(key.as_str());
    }
    if let Some(digest) = digest.filter(|digest| current.sync_digest() != Some(digest)) {
        txn = txn.put(SYNC_DIGEST, digest);
    }
    if txn.ops.is_empty() {
        return Ok(current.revision);
    }
    let guarded = match current.texts_at {
        Some(at) => txn.expect_at(TEXTS_GUARD, at),
        None => txn.expect_absent(TEXTS_GUARD),
    };
    commit(store, guarded.put(TEXTS_GUARD, "")).await
}

/// Puts a drain into the store.
pub async fn write_drain(store: &dyn Store, drain: &Drain) -> Result<Revision, WriteError> {
    commit(
        store,
        Txn::new().put(drain_key(&drain.target), drain.reason.as_bytes()),
    )
    .await
}

/// Takes a drain out of the store.
pub async fn delete_drain(store: &dyn Store, target: &DrainTarget) -> Result<Revision, WriteError> {
    commit(store, Txn::new().delete(drain_key(target))).await
}

async fn commit(store: &dyn Store, txn: Txn) -> Result<Revision, WriteError> {
    match store.commit(txn).await? {
        TxnOutcome::Committed { revision } => Ok(revision),
        TxnOutcome::Conflict { revision, .. } => Err(WriteError::Conflict { now: revision }),
    }
}

fn drain_key(target: &DrainTarget) -> String {
    match target {
        DrainTarget::Region(id) => format!("{DRAIN_REGION}{id}"),
        DrainTarget::Endpoint(id) => format!("{DRAIN_ENDPOINT}{id}"),
    }
}

/// Store key and text of every file.
fn keyed(sources: &Sources) -> BTreeMap<String, &str> {
    let topology = sources
        .topology
        .iter()
        .map(|file| (format!("{TOPOLOGY}{}", file.name), file.text.as_str()));
    let policies = sources.policies.iter().map(|file| {
        let name = file.name.strip_prefix("policies/").unwrap_or(&file.name);
        (format!("{POLICIES}{name}"), file.text.as_str())
    });
    topology.chain(policies).collect()
}
