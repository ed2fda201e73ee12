//! The deployment directory: `topology.yaml` or `topology/*.yaml`, and `policies/*.yaml`.
//!
//! Reading is bounded in files and bytes; watching only says *something changed*,
//! debounced, because editors write a file in several steps. What the files mean
//! is for [`crate::sources`] to find out.

use std::path::{Path, PathBuf};
use std::time::Duration;

use meridian_topology::SourceFile;
use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::sources::Sources;

/// Largest YAML file that is read, in bytes: what the store takes as one value.
pub const FILE_BYTES_MAX: u64 = meridian_store::limits::VALUE_BYTES_MAX as u64;
/// Most YAML files in one folder.
pub const FILES_MAX: usize = 1_000;
/// An edit counts as finished when nothing has changed for this long.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// A file that never rests (a log in the directory) holds no edit up for longer than this.
const DEBOUNCE_MAX: Duration = Duration::from_secs(1);

/// Why the deployment directory could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// What was being read.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file beyond [`FILE_BYTES_MAX`].
    #[error(
        "{path}: {bytes} bytes; at most {FILE_BYTES_MAX} are read: split the file under topology/"
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// A folder with more than [`FILES_MAX`] YAML files.
    #[error("{path}: more than {FILES_MAX} YAML files; join some of them")]
    TooMany {
        /// The folder.
        path: PathBuf,
    },
    /// Neither `topology.yaml` nor `topology/` is there.
    #[error(
        "{path}: no topology.yaml and no topology/ folder; `meridian init {path}` writes a first one"
    )]
    NoTopology {
        /// The deployment directory.
        path: PathBuf,
    },
    /// The file watcher could not be started.
    #[error("cannot watch {path}: {source}")]
    Watch {
        /// The deployment directory.
        path: PathBuf,
        /// The watcher's reason.
        source: notify::Error,
    },
}

/// Reads every source file of a deployment directory; names are relative to it.
pub fn read(folder: &Path) -> Result<Sources, DirectoryError> {
    let mut topology = Vec::new();
    let single = folder.join("topology.yaml");
    if single.is_file() {
        topology.push(read_file(folder, &single)?);
    }
    topology.extend(read_folder(folder, "topology")?);
    if topology.is_empty() {
        return Err(DirectoryError::NoTopology {
            path: folder.to_path_buf(),
        });
    }
    let policies = read_folder(folder, "policies")?;
    Ok(Sources { topology, policies })
}

fn read_folder(base: &Path, name: &str) -> Result<Vec<SourceFile>, DirectoryError> {
    let folder = base.join(name);
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let io = |source| DirectoryError::Io {
        path: folder.clone(),
        source,
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path
            .extension()
            .is_some_and(|ending| ending == "yaml" || ending == "yml")
        {
            paths.push(path);
        }
        if paths.len() > FILES_MAX {
            return Err(DirectoryError::TooMany { path: folder });
        }
    }
    paths.sort();
    paths.iter().map(|path| read_file(base, path)).collect()
}

fn read_file(base: &Path, path: &Path) -> Result<SourceFile, DirectoryError> {
    let io = |source| DirectoryError::Io {
        path: path.to_path_buf(),
        source,
    };
    let bytes = std::fs::metadata(path).map_err(io)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(DirectoryError::TooLarge {
            path: path.to_path_buf(),
            bytes,
        });
    }
    let text = std::fs::read_to_string(path).map_err(io)?;
    let name = path
        .strip_prefix(base)
        .unwrap_or(path)
        .to_string_lossy()
        .into_owned();
    Ok(SourceFile { name, text })
}

/// Keeps the operating system's watch alive; dropping it ends the watch.
pub struct DirectoryWatch {
    _watcher: notify::RecommendedWatcher,
    changed: mpsc::Receiver<()>,
}

impl DirectoryWatch {
    /// Watches `folder` and everything below it.
    pub fn start(folder: &Path) -> Result<Self, DirectoryError> {
        // One place is enough: a pending signal already says "read again".
        let (signal, changed) = mpsc::channel(1);
        let failed = |source| DirectoryError::Watch {
            path: folder.to_path_buf(),
            source,
        };
        let base = std::fs::canonicalize(folder).map_err(|source| DirectoryError::Io {
            path: folder.to_path_buf(),
            source,
        })?;
        let root = base.clone();
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                let is_edit = event.as_ref().is_ok_and(|event| {
                    !event.kind.is_access()
                        && event.paths.iter().any(|path| may_be_source(&root, path))
                });
                // A watcher's error (an overflowed queue) means unseen changes: read again too.
                if is_edit || event.is_err() {
                    let _already_pending = signal.try_send(());
                }
            })
            .map_err(failed)?;
        watcher
            .watch(&base, RecursiveMode::Recursive)
            .map_err(failed)?;
        Ok(Self {
            _watcher: watcher,
            changed,
        })
    }

    /// Waits until an edit has settled, or has gone on for [`DEBOUNCE_MAX`]. `None` when the watch
    /// has ended.
    pub async fn settled(&mut self) -> Option<()> {
        self.changed.recv().await?;
        let deadline = tokio::time::Instant::now() + DEBOUNCE_MAX;
        while tokio::time::Instant::now() < deadline {
            match tokio::time::timeout(DEBOUNCE, self.changed.recv()).await {
                Ok(event) => event?,
                Err(_quiet) => break,
            }
        }
        Some(())
    }
}

/// Whether a changed path can bear on the sources: `topology/`, `policies/`, or anything directly in
/// the directory (the files themselves, and the links that configuration managers swap). What the
/// node writes into folders of its own there (state, logs, models) is not.
fn may_be_source(root: &Path, path: &Path) -> bool {
    let Ok(inside) = path.strip_prefix(root) else {
        return true;
    };
    let mut parts = inside.components();
    let first = parts.next().map(|part| part.as_os_str().to_owned());
    parts.next().is_none()
        || first.is_some_and(|folder| folder == "topology" || folder == "policies")
}
