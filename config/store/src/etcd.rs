//! The etcd engine: a cluster of members behind the same trait.
//!
//! etcd-client 0.21 moves requests; what keeps a fleet alive is here, each from something seen to
//! go wrong:
//!
//! - A balanced client keeps sending calls to a dead member: so one client a member, a time limit
//!   on every attempt, and the next member after a failure ([`members`]).
//! - Nothing reconnects a watch; a compacted or forbidden one ends as a `canceled` response; a
//!   restarted server may repeat events (etcd #15271): see [`watcher`].
//! - An answer above the client's message limit fails the call: so ranges are read in pages at one
//!   revision, which shrink when entries are large ([`Etcd::snapshot`]).
//! - Serializable reads of an isolated member are stale for seconds: every read is linearizable,
//!   and every call demands that the member sees a leader.
//! - HTTP/2 pings below 5 s, or without a call under way, make the server hang up: see [`options`].
//! - Progress requests can overtake events in 3.4 (etcd #15220): never asked for.
//!
//! A write whose answer is lost is never repeated behind the caller's back: it may be in. It ends
//! as [`StoreError::OutcomeUnknown`]. Compaction is the operators' (`--auto-compaction-*`).

mod backoff;
mod fault;
mod members;
mod options;
mod watcher;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use etcd_client as client;
use futures_util::future::join_all;
use tracing::{debug, info};

use self::{
    fault::{Effect, Fault},
    members::Members,
    watcher::Watcher,
};
use crate::{
    Compare, Conflict, Engine, Entry, EtcdConfig, Expect, Lease, LeaseId, MemberStatus, Op,
    Revision, Snapshot, Store, StoreError, StoreStatus, Txn, TxnOutcome, WatchStream, limits,
};

/// Entries of one page; fewer when they do not fit [`PAGE_BYTES_MAX`].
const PAGE_ENTRIES: i64 = 512;
/// Largest page we take from a member, in bytes. Above one value of the largest size.
const PAGE_BYTES_MAX: usize = 8 << 20;
/// How often a snapshot starts over when its revision is compacted while it is read.
const SNAPSHOT_ATTEMPTS_MAX: usize = 5;

/// A store on an etcd cluster.
#[derive(Debug)]
pub struct Etcd {
    members: Arc<Members>,
}

impl Etcd {
    /// Prepares for the configured members; the first call connects. The cluster need not be up.
    ///
    /// # Errors
    /// When the configuration is contradictory or a file it names cannot be read.
    pub async fn connect(config: &EtcdConfig) -> Result<Self, StoreError> {
        let options = options::connect_options(config).await?;
        info!(endpoints = ?config.endpoints, "etcd store");
        Ok(Self {
            members: Arc::new(Members::new(&config.endpoints, &options)),
        })
    }
}

#[async_trait]
impl Store for Etcd {
    async fn snapshot(&self, prefix: &[u8]) -> Result<Snapshot, StoreError> {
        snapshot(&self.members, prefix).await
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Entry>, StoreError> {
        limits::check_key(key)?;
        let answer = self
            .members
            .call(Effect::Read, |mut member| {
                let key = key.to_vec();
                async move { member.get(key, None).await }
            })
            .await;
        let mut answer = answer.map_err(|fault| fault.into_error(Effect::Read))?;
        Ok(answer.take_kvs().pop().map(entry))
    }

    async fn watch(&self, prefix: &[u8], after: Revision) -> Result<WatchStream, StoreError> {
        let (members, prefix) = (Arc::clone(&self.members), prefix.to_vec());
        Ok(WatchStream::start(|out| {
            tokio::spawn(Watcher::new(members, prefix, after, out).run())
        }))
    }

    async fn commit(&self, txn: Txn) -> Result<TxnOutcome, StoreError> {
        limits::check_txn(&txn)?;
        let request = request(&txn);
        let answer = self
            .members
            .call(Effect::Write, |mut member| {
                let request = request.clone();
                async move { member.txn(request).await }
            })
            .await
            .map_err(|fault| match (fault, lease_of(&txn)) {
                (Fault::LeaseNotFound, Some(lease)) => StoreError::LeaseNotFound { lease },
                (fault, _) => fault.into_error(Effect::Write),
            })?;
        let revision = header_revision(answer.header());
        if answer.succeeded() {
            return Ok(TxnOutcome::Committed { revision });
        }
        let conflicts = conflicts(&txn.compare, answer.op_responses());
        Ok(TxnOutcome::Conflict {
            revision,
            conflicts,
        })
    }

    async fn grant_lease(&self, ttl: Duration) -> Result<Lease, StoreError> {
        let seconds = i64::try_from(limits::lease_ttl(ttl).as_secs()).unwrap_or(i64::MAX);
        // A grant whose answer is lost may be repeated: the orphan holds no key and runs out.
        let answer = self
            .members
            .call(Effect::Read, |mut member| async move {
                member.lease_grant(seconds, None).await
            })
            .await
            .map_err(|fault| fault.into_error(Effect::Read))?;
        Ok(Lease {
            id: LeaseId(answer.id()),
            ttl: Duration::from_secs(answer.ttl().unsigned_abs()),
        })
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        // A stream for one renewal: dearer than a kept one, and free of its dead-member traps.
        self.members
            .call(Effect::Read, |mut member| async move {
                member.lease_keep_alive(lease.0).await.map(|_| ())
            })
            .await
            .map_err(|fault| lease_fault(fault, lease, Effect::Read))
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.members
            .call(Effect::Write, |mut member| async move {
                member.lease_revoke(lease.0).await.map(|_| ())
            })
            .await
            .map_err(|fault| lease_fault(fault, lease, Effect::Write))
    }

    async fn status(&self) -> Result<StoreStatus, StoreError> {
        let asked = (0..self.members.len()).map(|at| self.members.status(at));
        let (members, revisions): (Vec<MemberStatus>, Vec<Option<Revision>>) =
            join_all(asked).await.into_iter().unzip();
        let Some(revision) = revisions.into_iter().flatten().max() else {
            let failures = members.iter().filter_map(|m| m.state.as_ref().err());
            return Err(StoreError::Unavailable {
                detail: failures.cloned().collect::<Vec<_>>().join("; "),
            });
        };
        Ok(StoreStatus {
            engine: Engine::Etcd,
            revision,
            members,
        })
    }
}

/// Reads everything under `prefix` at one revision, starting over when that revision is compacted
/// meanwhile.
async fn snapshot(members: &Members, prefix: &[u8]) -> Result<Snapshot, StoreError> {
    for attempt in 1..=SNAPSHOT_ATTEMPTS_MAX {
        match pages(members, prefix).await {
            Err(Fault::Compacted) => debug!(attempt, "snapshot's revision was compacted; again"),
            done => return done.map_err(|fault| fault.into_error(Effect::Read)),
        }
    }
    Err(StoreError::Unavailable {
        detail: format!("compacted {SNAPSHOT_ATTEMPTS_MAX} times while a snapshot was read"),
    })
}

/// Reads a range page by page. The first page sets the revision for all.
async fn pages(members: &Members, prefix: &[u8]) -> Result<Snapshot, Fault> {
    let (mut start, end) = key_range(prefix);
    let mut limit = PAGE_ENTRIES;
    let mut snapshot: Option<Snapshot> = None;
    loop {
        let mut options = client::GetOptions::new()
            .with_range(end.clone())
            .with_limit(limit);
        if let Some(snapshot) = &snapshot {
            options = options.with_revision(wire_revision(snapshot.revision));
        }
        let page = members
            .call(Effect::Read, |member| {
                let (start, options) = (start.clone(), options.clone());
                let mut kv = member.kv_client().max_decoding_message_size(PAGE_BYTES_MAX);
                async move { kv.get(start, Some(options)).await }
            })
            .await;
        let mut page = match page {
            Err(Fault::TooLarge) if limit > 1 => {
                limit = (limit / 8).max(1);
                continue;
            }
            page => page?,
        };
        let snapshot = snapshot.get_or_insert_with(|| Snapshot {
            revision: header_revision(page.header()),
            entries: Vec::new(),
        });
        let more = page.more();
        snapshot
            .entries
            .extend(page.take_kvs().into_iter().map(entry));
        match snapshot.entries.last() {
            Some(last) if more => {
                start.clone_from(&last.key);
                start.push(0);
            }
            _ => return Ok(std::mem::take(snapshot)),
        }
    }
}

/// The key range of a prefix as etcd writes it: `[start, end)`, with `\0` for no end.
fn key_range(prefix: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let start = if prefix.is_empty() {
        vec![0]
    } else {
        prefix.to_vec()
    };
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return (start, end);
        }
    }
    (start, vec![0])
}

/// A transaction as etcd writes it. If a comparison fails it reads the compared keys instead, so
/// that the conflict can say what was found.
fn request(txn: &Txn) -> client::Txn {
    let compares: Vec<_> = txn
        .compare
        .iter()
        .map(|Compare { key, expect }| {
            let revision = match expect {
                // etcd: the modification revision of a key that does not exist is 0.
                Expect::Absent => 0,
                Expect::At(revision) => wire_revision(*revision),
            };
            client::Compare::mod_revision(key.clone(), client::CompareOp::Equal, revision)
        })
        .collect();
    let reads: Vec<_> = txn
        .compare
        .iter()
        .map(|compare| {
            let keys_only = client::GetOptions::new().with_keys_only();
            client::TxnOp::get(compare.key.clone(), Some(keys_only))
        })
        .collect();
    let ops: Vec<_> = txn
        .ops
        .iter()
        .map(|op| match op {
            Op::Put { key, value, lease } => {
                let options = lease.map(|lease| client::PutOptions::new().with_lease(lease.0));
                client::TxnOp::put(key.clone(), value.clone(), options)
            }
            Op::Delete { key } => client::TxnOp::delete(key.clone(), None),
        })
        .collect();
    client::Txn::new()
        .when(compares)
        .and_then(ops)
        .or_else(reads)
}

/// Which comparisons failed, from the keys read in their stead.
fn conflicts(compare: &[Compare], reads: Vec<client::TxnOpResponse>) -> Vec<Conflict> {
    let found = reads.into_iter().map(|read| match read {
        client::TxnOpResponse::Get(mut get) => get.take_kvs().pop().map(|kv| entry(kv).revision),
        _ => None,
    });
    compare
        .iter()
        .zip(found)
        .filter(|(compare, found)| !compare.expect.holds(*found))
        .map(|(compare, found)| Conflict {
            key: compare.key.clone(),
            expected: compare.expect,
            found,
        })
        .collect()
}

/// The lease a refused transaction was about; etcd does not say which, the first is named.
fn lease_of(txn: &Txn) -> Option<LeaseId> {
    txn.ops.iter().find_map(|op| match op {
        Op::Put { lease, .. } => *lease,
        Op::Delete { .. } => None,
    })
}

fn lease_fault(fault: Fault, lease: LeaseId, effect: Effect) -> StoreError {
    match fault {
        Fault::LeaseNotFound => StoreError::LeaseNotFound { lease },
        fault => fault.into_error(effect),
    }
}

fn entry(kv: client::KeyValue) -> Entry {
    let revision = revision(kv.mod_revision());
    let lease = (kv.lease() != 0).then_some(LeaseId(kv.lease()));
    let (key, value) = kv.into_key_value();
    Entry {
        key,
        value,
        revision,
        lease,
    }
}

fn header_revision(header: Option<&client::ResponseHeader>) -> Revision {
    header.map_or(Revision::ZERO, |header| revision(header.revision()))
}

/// etcd's revisions are signed and never negative.
fn revision(wire: i64) -> Revision {
    Revision(u64::try_from(wire).unwrap_or(0))
}

fn wire_revision(revision: Revision) -> i64 {
    i64::try_from(revision.0).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
