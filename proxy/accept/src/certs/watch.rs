//! Reload when the files change.
//!
//! Directories are watched, not files: renewals replace files by rename, and
//! Kubernetes swaps a symlink beside them. Events only ring a bell (a channel
//! of one); the bell is answered once the directories were quiet for
//! [`QUIET`], at the latest after [`QUIET_MAX`], so that a certificate and its
//! key written one after the other are read together.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{CertConfig, CertStore, Reload};

/// How long the directories must be quiet before the files are read.
const QUIET: Duration = Duration::from_millis(200);

/// How long steady writing beside the certificates may delay a reload.
const QUIET_MAX: Duration = Duration::from_secs(5);

/// A directory could not be watched.
#[derive(Debug, thiserror::Error)]
#[error("cannot watch {} for certificate changes: {source}", directory.display())]
pub struct WatchError {
    /// The directory; empty when watching itself is not available.
    pub directory: PathBuf,
    /// What the notification service said.
    #[source]
    pub source: notify::Error,
}

/// Watches the directories of a store's files.
#[derive(Debug)]
pub struct CertWatcher {
    store: Arc<CertStore>,
    bell: mpsc::Receiver<()>,
    _watcher: RecommendedWatcher,
}

impl CertWatcher {
    /// Begins to watch; nothing is reloaded until [`CertWatcher::run`] runs.
    ///
    /// # Errors
    /// A directory cannot be watched (it is gone, or out of inotify watches).
    pub fn new(store: Arc<CertStore>) -> Result<Self, WatchError> {
        let (ring, bell) = mpsc::channel(1);
        let on_event = move |event: notify::Result<notify::Event>| {
            // Reading the files is an event too; answering it would never end.
            let is_access =
                matches!(&event, Ok(event) if matches!(event.kind, EventKind::Access(_)));
            if !is_access {
                // Full means that the bell already rings.
                let _ = ring.try_send(());
            }
        };
        let mut watcher = notify::recommended_watcher(on_event).map_err(|source| WatchError {
            directory: PathBuf::new(),
            source,
        })?;
        for directory in directories(store.config()) {
            watcher
                .watch(&directory, RecursiveMode::NonRecursive)
                .map_err(|source| WatchError { directory, source })?;
        }
        Ok(Self {
            store,
            bell,
            _watcher: watcher,
        })
    }

    /// Reloads on changes until `shutdown`. Errors are logged; the store keeps
    /// the last good certificates.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                rung = self.bell.recv() => if rung.is_none() { return },
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = settle(&mut self.bell) => {}
            }
            reload(&self.store).await;
        }
    }
}

async fn settle(bell: &mut mpsc::Receiver<()>) {
    let quiet =
        async { while let Ok(Some(())) = tokio::time::timeout(QUIET, bell.recv()).await {} };
    // Elapsing is the bound at work, not a failure.
    let _ = tokio::time::timeout(QUIET_MAX, quiet).await;
}

async fn reload(store: &Arc<CertStore>) {
    let store = Arc::clone(store);
    match tokio::task::spawn_blocking(move || store.reload()).await {
        Ok(Ok(Reload::Changed)) => tracing::info!("certificates reloaded"),
        Ok(Ok(Reload::Unchanged)) => {}
        Ok(Err(error)) => {
            tracing::error!(%error, "certificates not reloaded; the last good ones stay in use");
        }
        Err(error) => tracing::error!(%error, "certificate reload did not finish"),
    }
}

/// Where the files are named and, through symlinks, where they lie.
fn directories(config: &CertConfig) -> BTreeSet<PathBuf> {
    let parent = |file: &Path| match file.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Some(PathBuf::from(".")),
        Some(parent) => Some(parent.to_owned()),
        None => None,
    };
    config
        .certificates
        .iter()
        .flat_map(|source| [&source.certificate, &source.key])
        .flat_map(|file| {
            [
                parent(file),
                file.canonicalize().ok().as_deref().and_then(parent),
            ]
        })
        .flatten()
        .collect()
}
