//! The tasks that follow what can change: the store, the deployment directory, the promoted model.
//! Each outlives every fault of what it follows.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use meridian_score::Artifact;
use meridian_store::{Retry, Revision, Store, StoreError, WatchEvent};
use meridian_train::{Registry, RegistryError};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::catalog::{self, Catalog, PREFIX, WriteError};
use crate::directory::{self, DirectoryError, DirectoryWatch};
use crate::ports::{DirectoryInput, StoreInput};
use crate::sources::{NodeIntent, Sources};

/// Pause between attempts to reach a store that is away.
const RETRY: Duration = Duration::from_secs(1);
/// How often a directory's content is offered anew when others keep writing.
const CONFLICTS_MAX: usize = 5;
/// How often the store is asked whether it answers.
const HEALTH_PERIOD: Duration = Duration::from_secs(2);
/// A store that takes longer is lost, for the status.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the registry's pointer is looked at: a `stat` and, after a change, a read.
const MODEL_PERIOD: Duration = Duration::from_millis(500);

/// Passes every change of the store to the writer: those after `known`, or, when the store was away
/// at start, all there is once it answers.
pub(crate) async fn store(
    store: Arc<dyn Store>,
    known: Option<Revision>,
    writer: mpsc::Sender<StoreInput>,
    shutdown: CancellationToken,
) {
    let follow = async {
        let mut revision = known;
        while !writer.is_closed() {
            if let Err(error) = follow_once(&*store, &mut revision, &writer).await {
                tracing::warn!(%error, "the store's watch ended; trying again");
            }
            tokio::time::sleep(RETRY).await;
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = follow => {}
    }
}

/// Follows until the watch ends; `revision` is how far the writer knows.
async fn follow_once(
    store: &dyn Store,
    revision: &mut Option<Revision>,
    writer: &mpsc::Sender<StoreInput>,
) -> Result<(), StoreError> {
    let after = match *revision {
        Some(revision) => revision,
        None => {
            let snapshot = store.snapshot(PREFIX.as_bytes()).await?;
            let at = snapshot.revision;
            if writer
                .send(StoreInput::Event(WatchEvent::Resync(snapshot)))
                .await
                .is_err()
            {
                return Ok(());
            }
            *revision = Some(at);
            at
        }
    };
    let mut watch = store.watch(PREFIX.as_bytes(), after).await?;
    loop {
        let event = watch.next().await?;
        *revision = Some(event.revision());
        if writer.send(StoreInput::Event(event)).await.is_err() {
            return Ok(());
        }
    }
}

/// Asks the store for a key now and then, and tells the writer when it stops or begins to answer.
/// A watch alone would not show it: it waits for a lost store without a word.
pub(crate) async fn store_health(
    store: Arc<dyn Store>,
    mut lost: Option<String>,
    writer: mpsc::Sender<StoreInput>,
    shutdown: CancellationToken,
) {
    loop {
        let answer = tokio::time::timeout(HEALTH_TIMEOUT, store.get(PREFIX.as_bytes())).await;
        let now = match answer {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no answer within {HEALTH_TIMEOUT:?}")),
        };
        if now.is_some() != lost.is_some() {
            let says = now.clone().map_or(StoreInput::Following, StoreInput::Lost);
            if writer.send(says).await.is_err() {
                return;
            }
            lost = now;
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(HEALTH_PERIOD) => {}
        }
    }
}

/// Writes a directory's content into the store, unless that very content was taken over before.
///
/// So an applied change outlives a restart, and an edit of the directory outlives both.
pub(crate) async fn take_over(store: &dyn Store, sources: &Sources) -> Result<(), WriteError> {
    let digest = sources.digest();
    let mut tries = 0;
    loop {
        let current = Catalog::read(store).await?;
        if current.sync_digest() == Some(digest.as_bytes().as_slice()) {
            return Ok(());
        }
        tries += 1;
        match catalog::write_sources(store, &current, sources, Some(digest.as_bytes())).await {
            // Somebody else wrote between the look and the write: look again.
            Err(WriteError::Conflict { .. }) if tries < CONFLICTS_MAX => {}
            written => return written.map(drop),
        }
    }
}

/// Whether the directory's content at start is in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TakeOver {
    /// It is.
    Done,
    /// The store was away: it still has to be put there.
    Due,
}

/// The task that takes edits of the deployment directory over.
pub(crate) struct Directory {
    folder: PathBuf,
    node: Option<Arc<NodeIntent>>,
    store: Arc<dyn Store>,
    watch: DirectoryWatch,
    writer: mpsc::Sender<DirectoryInput>,
}

impl Directory {
    /// Starts watching.
    pub fn watch(
        folder: PathBuf,
        node: Option<Arc<NodeIntent>>,
        store: Arc<dyn Store>,
        writer: mpsc::Sender<DirectoryInput>,
    ) -> Result<Self, DirectoryError> {
        let watch = DirectoryWatch::start(&folder)?;
        Ok(Self {
            folder,
            node,
            store,
            watch,
            writer,
        })
    }

    /// Works until `shutdown`. `first` says whether the content at start still has to be taken over.
    pub async fn run(mut self, first: TakeOver, shutdown: CancellationToken) {
        let mut pending = first == TakeOver::Due;
        loop {
            let changed = tokio::select! {
                () = std::future::ready(()), if pending => Some(()),
                () = shutdown.cancelled() => return,
                changed = self.watch.settled() => changed,
            };
            pending = false;
            if changed.is_none() {
                tracing::error!(folder = %self.folder.display(), "the file watch ended; edits are no longer seen");
                return;
            }
            let took = tokio::select! {
                () = shutdown.cancelled() => return,
                took = self.read_and_take_over() => took,
            };
            let says = match took {
                Ok(()) => DirectoryInput::Sound,
                Err(problems) => DirectoryInput::Rejected(problems),
            };
            if self.writer.send(says).await.is_err() {
                return;
            }
        }
    }

    async fn read_and_take_over(&self) -> Result<(), String> {
        let (folder, node) = (self.folder.clone(), self.node.clone());
        let read = tokio::task::spawn_blocking(move || {
            let sources = directory::read(&folder).map_err(|error| error.to_string())?;
            sources
                .read(node.as_deref())
                .map_err(|problems| problems.to_string())?;
            Ok::<_, String>(sources)
        });
        let sources = read.await.map_err(|error| error.to_string())??;
        while let Err(error) = take_over(&*self.store, &sources).await {
            let WriteError::Store(error) = error else {
                return Err(error.to_string());
            };
            if error.retry() == Retry::Never {
                return Err(error.to_string());
            }
            tracing::warn!(%error, "the store does not take the directory's content yet");
            tokio::time::sleep(RETRY).await;
        }
        Ok(())
    }
}

/// The promoted model of the registry, and changes of it.
pub(crate) struct ModelFeed {
    registry: Option<Registry>,
    current: watch::Sender<Option<Arc<Artifact>>>,
    /// What was last complained about: the same fault is logged once.
    complained: Option<String>,
}

impl ModelFeed {
    /// Reads the registry once. A damaged model means the newest sound one before it, or deciding
    /// by distance, loudly.
    pub fn open(folder: Option<&Path>) -> Result<Self, RegistryError> {
        let registry = folder.map(Registry::open).transpose()?;
        let mut feed = Self {
            registry,
            current: watch::Sender::new(None),
            complained: None,
        };
        feed.look();
        if let (Some(registry), None) = (&feed.registry, feed.current()) {
            let usable = registry.newest_usable()?;
            feed.current.send_replace(usable.artifact.map(Arc::new));
        }
        Ok(feed)
    }

    /// The promoted model.
    pub fn current(&self) -> Option<Arc<Artifact>> {
        self.current.borrow().clone()
    }

    /// Learns of each promotion and rollback.
    pub fn subscribe(&self) -> watch::Receiver<Option<Arc<Artifact>>> {
        self.current.subscribe()
    }

    /// Works until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut period = tokio::time::interval(MODEL_PERIOD);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = period.tick() => self.look(),
            }
        }
    }

    /// Takes over what is promoted now; after a fault the last good model stays.
    fn look(&mut self) {
        let Some(registry) = &self.registry else {
            return;
        };
        let fresh = registry.history().and_then(|history| match history.last() {
            Some(id) if self.current().is_some_and(|known| known.id() == *id) => Ok(None),
            Some(id) => registry.get(id).map(|model| Some(Arc::new(model))),
            None => Ok(None),
        });
        match fresh {
            Ok(fresh) => {
                self.complained = None;
                if fresh.is_some() {
                    self.current.send_replace(fresh);
                }
            }
            Err(error) => {
                let error = error.to_string();
                if self.complained.as_ref() != Some(&error) {
                    tracing::error!(%error, "the promoted model cannot be used; the last good one stays");
                    self.complained = Some(error);
                }
            }
        }
    }
}
