//! The tasks that follow what can change: the store, the deployment directory, the promoted model.
//! Each outlives every fault of what it follows.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use meridian_score::Artifact;
use meridian_store::{Revision, Store};
use meridian_train::{Registry, RegistryError};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::catalog::{self, Catalog, PREFIX, WriteError};
use crate::directory::{self, DirectoryError, DirectoryWatch};
use crate::sources::{NodeIntent, Sources};
use crate::writer::{DirectoryInput, StoreInput};

/// Pause between attempts to reach a store that is away.
const RETRY: Duration = Duration::from_secs(1);
/// How often the registry's pointer is looked at: a `stat` and, after a change, a read.
const MODEL_PERIOD: Duration = Duration::from_millis(500);

/// Passes every change of the store after `revision` to the writer.
pub(crate) async fn store(
    store: Arc<dyn Store>,
    mut revision: Revision,
    writer: mpsc::Sender<StoreInput>,
    shutdown: CancellationToken,
) {
    let follow = async {
        loop {
            let lost = match store.watch(PREFIX.as_bytes(), revision).await {
                Ok(mut watch) => {
                    if writer.send(StoreInput::Following).await.is_err() {
                        return;
                    }
                    loop {
                        match watch.next().await {
                            Ok(event) => {
                                revision = event.revision();
                                if writer.send(StoreInput::Event(event)).await.is_err() {
                                    return;
                                }
                            }
                            Err(error) => break error,
                        }
                    }
                }
                Err(error) => error,
            };
            if writer
                .send(StoreInput::Lost(lost.to_string()))
                .await
                .is_err()
            {
                return;
            }
            tokio::time::sleep(RETRY).await;
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = follow => {}
    }
}

/// Writes a directory's content into the store, unless that very content was taken over before.
///
/// So an applied change outlives a restart, and an edit of the directory outlives both.
pub(crate) async fn take_over(store: &dyn Store, sources: &Sources) -> Result<(), WriteError> {
    let current = Catalog::read(store).await?;
    let digest = sources.digest();
    if current.sync_digest() != Some(digest.as_bytes().as_slice()) {
        catalog::write_sources(store, &current, sources, Some(digest.as_bytes())).await?;
    }
    Ok(())
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

    /// Works until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            let changed = tokio::select! {
                () = shutdown.cancelled() => return,
                changed = self.watch.settled() => changed,
            };
            if changed.is_none() {
                tracing::error!(folder = %self.folder.display(), "the file watch ended; edits are no longer seen");
                return;
            }
            let says = match self.read_and_take_over().await {
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
