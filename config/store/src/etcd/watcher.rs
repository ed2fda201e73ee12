//! One watch over the life of a cluster: sessions with members, one after the other, joined by
//! the last revision delivered.
//!
//! A session asks its member for everything after that revision. It ends when the member is lost
//! (the next member continues), when the history is gone (a snapshot is sent in its stead), or
//! when the cluster refuses us for good. What has been delivered already is dropped, so a watcher
//! sees every revision once and in order whatever servers repeat.
//!
//! Every session begins with a linearizable read: it proves that the member is connected to a
//! quorum, renews an expired token (etcd 3.4 answers a watch with one by "permission denied"), and
//! shows when the cluster was put back to an older state, where a watch would wait in silence.

use std::{convert::Infallible, sync::Arc, time::Duration};

use etcd_client::{Event, EventType, GetOptions, WatchOptions, WatchResponse};
use tokio::time::Instant;
use tracing::{debug, info};

use super::{
    backoff::Backoff,
    fault::{Effect, Fault},
    header_revision, key_range,
    members::{ATTEMPT_TIMEOUT, Members, in_time},
    revision, snapshot, wire_revision,
};
use crate::{
    Batch, Change, Entry, LeaseId, Retry, Revision, StoreError, WatchEvent, watch::WatchSender,
};

/// Largest watch response we take. etcd sends up to 1,000 revisions in one; beyond this a
/// snapshot is cheaper.
const RESPONSE_BYTES_MAX: usize = 64 << 20;
/// A session that lasted this long was healthy: the next wait is short again.
const HEALTHY_AFTER: Duration = Duration::from_secs(5);

/// Why a session ended.
enum End {
    /// Nobody listens any more.
    Abandoned,
    /// The member is gone or useless; another may do.
    Lost(String),
    /// The changes after the last revision cannot be had.
    Gap(&'static str),
    /// The cluster will not serve this watch.
    Refused(StoreError),
}

/// A watch under way.
pub(super) struct Watcher {
    members: Arc<Members>,
    prefix: Vec<u8>,
    last: Revision,
    out: WatchSender,
}

impl Watcher {
    pub(super) fn new(
        members: Arc<Members>,
        prefix: Vec<u8>,
        last: Revision,
        out: WatchSender,
    ) -> Self {
        Self {
            members,
            prefix,
            last,
            out,
        }
    }

    /// Holds one session after the other.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::default();
        let mut at = self.members.preferred();
        loop {
            let began = Instant::now();
            let Err(end) = self.session(at).await;
            let end = match end {
                End::Gap(reason) => {
                    info!(last = %self.last, reason, "watch resynchronises");
                    self.resync().await.err()
                }
                end => Some(end),
            };
            match end {
                None => {}
                Some(End::Lost(reason)) => {
                    let endpoint = self.members.endpoint(at);
                    info!(endpoint, last = %self.last, reason, "watch moves to another member");
                    at = self.members.after(at);
                }
                // A snapshot never ends so; were it to, the next session finds the gap again.
                Some(End::Gap(reason)) => debug!(reason, "no snapshot"),
                Some(End::Abandoned) => return,
                Some(End::Refused(error)) => {
                    // If nobody listens any more nobody needs to know.
                    let _ = self.out.send(Err(error)).await;
                    return;
                }
            }
            if began.elapsed() >= HEALTHY_AFTER {
                backoff.reset();
            }
            backoff.wait().await;
        }
    }

    /// Watches on one member until that ends.
    async fn session(&mut self, at: usize) -> Result<Infallible, End> {
        let mut client = self.members.client(at).await?;
        let (start, end) = key_range(&self.prefix);
        let probe = GetOptions::new()
            .with_range(end.clone())
            .with_limit(1)
            .with_keys_only();
        let probe = in_time(client.get(start.clone(), Some(probe))).await?;
        if header_revision(probe.header()) < self.last {
            return Err(End::Gap("the cluster is older than the watcher"));
        }
        let options = WatchOptions::new()
            .with_range(end)
            .with_start_revision(wire_revision(self.last.next()));
        let mut watch = client
            .watch_client()
            .max_decoding_message_size(RESPONSE_BYTES_MAX);
        let mut stream = in_time(watch.watch(start, Some(options))).await?;
        // The first response says that the watch stands, and comes at once.
        let first = in_time(stream.message()).await?;
        self.accept(first).await?;
        debug!(endpoint = self.members.endpoint(at), last = %self.last, "watch stands");
        loop {
            // No limit here: silence is normal, and a dead connection fails its pings.
            let response = stream.message().await.map_err(Fault::from)?;
            self.accept(response).await?;
        }
    }

    /// Passes one response on.
    async fn accept(&mut self, response: Option<WatchResponse>) -> Result<(), End> {
        let Some(response) = response else {
            return Err(End::Lost("the member closed the watch".to_owned()));
        };
        let reason = response.cancel_reason();
        if response.compact_revision() > 0 || reason.contains("compacted") {
            return Err(End::Gap("history is compacted"));
        }
        if response.canceled() {
            // A refusal shows in the read that begins the next session.
            return Err(End::Lost(format!("canceled: {reason}")));
        }
        for batch in batches(response.events(), self.last) {
            self.last = batch.revision;
            self.send(WatchEvent::Batch(batch)).await?;
        }
        Ok(())
    }

    /// Sends everything anew.
    async fn resync(&mut self) -> Result<(), End> {
        let snapshot = snapshot(&self.members, &self.prefix)
            .await
            .map_err(|error| match error.retry() {
                Retry::Never => End::Refused(error),
                Retry::Later | Retry::CheckFirst => End::Lost(error.to_string()),
            })?;
        self.last = snapshot.revision;
        self.send(WatchEvent::Resync(snapshot)).await
    }

    async fn send(&self, event: WatchEvent) -> Result<(), End> {
        self.out.send(Ok(event)).await.map_err(|_| End::Abandoned)
    }
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Compacted => Self::Gap("history is compacted"),
            Fault::TooLarge => Self::Gap("too much history for one response"),
            Fault::Denied(_) => Self::Refused(fault.into_error(Effect::Read)),
            Fault::Unreached(reason) | Fault::Lost(reason) | Fault::Rejected(reason) => {
                Self::Lost(reason)
            }
            Fault::LeaseNotFound => Self::Lost(format!("odd answer within {ATTEMPT_TIMEOUT:?}")),
        }
    }
}

/// Events grouped by revision, without those already delivered. etcd never splits a revision over
/// two responses unless asked to fragment, which we do not.
fn batches(events: &[Event], last: Revision) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    let fresh = events
        .iter()
        .filter_map(|event| Some((event, event.kv()?)))
        .filter(|(_, kv)| revision(kv.mod_revision()) > last);
    for (event, kv) in fresh {
        let at = revision(kv.mod_revision());
        let change = match event.event_type() {
            EventType::Put => Change::Put(Entry {
                key: kv.key().to_vec(),
                value: kv.value().to_vec(),
                revision: at,
                lease: (kv.lease() != 0).then_some(LeaseId(kv.lease())),
            }),
            EventType::Delete => Change::Delete {
                key: kv.key().to_vec(),
            },
        };
        match batches.last_mut() {
            Some(batch) if batch.revision == at => batch.changes.push(change),
            // Within a response revisions only rise; a repeated one is dropped.
            Some(batch) if batch.revision > at => {}
            _ => batches.push(Batch {
                revision: at,
                changes: vec![change],
            }),
        }
    }
    batches
}
