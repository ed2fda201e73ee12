//! Follows a folder of master files while a server runs.
//!
//! Events only ring a bell (a channel of one); it is answered once the folder was quiet for
//! [`QUIET`], at the latest after [`QUIET_MAX`]. Where the system loses events (network
//! file systems), the folder is looked at every [`LOOK_AGAIN`].

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{FileStatus, FolderError, FolderReport, ZoneFolder};
use crate::metrics::DnsMetrics;

/// How long the folder must be quiet before it is read.
const QUIET: Duration = Duration::from_millis(100);
/// How long steady writing may delay that.
const QUIET_MAX: Duration = Duration::from_secs(2);
/// How often the folder is looked at without an event.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// The folder cannot be read or watched.
#[derive(Debug, Error)]
pub enum WatchError {
    /// It cannot be read.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// It cannot be watched.
    #[error("dns: the zone files' folder `{}` cannot be watched", folder.display())]
    Watch {
        /// The folder.
        folder: PathBuf,
        /// What the notification service said.
        #[source]
        source: notify::Error,
    },
}

/// A folder that is read again when it changes.
#[derive(Debug)]
pub struct ZoneFolderWatcher {
    folder: Arc<Mutex<ZoneFolder>>,
    metrics: DnsMetrics,
    bell: mpsc::Receiver<()>,
    _watcher: RecommendedWatcher,
}

/// A look at the files of a watched folder, for status pages. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ZoneFilesStatus(Arc<Mutex<ZoneFolder>>);

impl ZoneFilesStatus {
    /// Every file, by name. Waits while files are being read.
    #[must_use]
    pub fn files(&self) -> Vec<FileStatus> {
        lock(&self.0).status()
    }
}

impl ZoneFolderWatcher {
    /// Reads the folder and begins to watch it; changes are read once [`ZoneFolderWatcher::run`]
    /// runs. Files with mistakes are no error.
    ///
    /// # Errors
    /// [`WatchError`].
    pub fn start(mut folder: ZoneFolder, metrics: DnsMetrics) -> Result<Self, WatchError> {
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
        let watch_error = |source| WatchError::Watch {
            folder: folder.path().to_owned(),
            source,
        };
        // Watched before it is read: a change in between rings.
        let mut watcher = notify::recommended_watcher(on_event).map_err(watch_error)?;
        watcher
            .watch(folder.path(), RecursiveMode::Recursive)
            .map_err(watch_error)?;
        let report = folder.scan()?;
        count(&metrics, &folder, report);
        Ok(Self {
            folder: Arc::new(Mutex::new(folder)),
            metrics,
            bell,
            _watcher: watcher,
        })
    }

    /// The files, for status pages.
    #[must_use]
    pub fn status(&self) -> ZoneFilesStatus {
        ZoneFilesStatus(Arc::clone(&self.folder))
    }

    /// Reads what changes until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                rung = self.bell.recv() => if rung.is_none() { return },
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = settle(&mut self.bell) => {}
            }
            let (folder, metrics) = (Arc::clone(&self.folder), self.metrics.clone());
            let scan = move || {
                let mut folder = lock(&folder);
                match folder.scan() {
                    Ok(report) => count(&metrics, &folder, report),
                    Err(error) => {
                        tracing::error!(%error, "zone files are not read; the zones stay as they are");
                    }
                }
            };
            if let Err(error) = tokio::task::spawn_blocking(scan).await {
                tracing::error!(%error, "reading zone files did not finish");
            }
        }
    }
}

async fn settle(bell: &mut mpsc::Receiver<()>) {
    let quiet =
        async { while let Ok(Some(())) = tokio::time::timeout(QUIET, bell.recv()).await {} };
    // Elapsing is the bound at work, not a failure.
    let _ = tokio::time::timeout(QUIET_MAX, quiet).await;
}

fn count(metrics: &DnsMetrics, folder: &ZoneFolder, report: FolderReport) {
    metrics.count_zone_files(
        folder.status().iter().map(|file| file.mistakes.is_empty()),
        report,
    );
}

/// A scan that panicked left files out at worst; the next reads them.
fn lock(folder: &Mutex<ZoneFolder>) -> std::sync::MutexGuard<'_, ZoneFolder> {
    folder.lock().unwrap_or_else(PoisonError::into_inner)
}
