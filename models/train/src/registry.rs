//! Artifacts in a directory, and which of them routes.
//!
//! ```text
//! models/
//!   latency-3f0c9a1b2c3d.model     artifacts, never changed once written
//!   promoted                       one id a line, oldest first: the last one routes
//!   .lock                          held while `promoted` or an artifact is written
//! ```
//!
//! Both the pointer and the history are one small file, replaced by one rename: a reader sees the
//! state before or after, never between, and needs no lock. Writers take an advisory lock, so
//! that of two promotions neither is lost. Nothing is pointed at before it was read back and
//! verified; when that fails the pointer stays where it was.
//!
//! Bounds: [`HISTORY_MAX`] promotions are remembered, [`ARTIFACTS_MAX`] artifacts kept.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use meridian_score::{Artifact, ArtifactError, NAME_LEN_MAX, VERSION_LEN_MAX, valid_label};
use serde::Serialize;
use thiserror::Error;

#[cfg(test)]
mod tests;

/// Promotions remembered for rolling back; the oldest are forgotten first.
pub const HISTORY_MAX: usize = 64;
/// Artifacts one registry keeps; adding another is an error that says so.
pub const ARTIFACTS_MAX: usize = 1_000;
const ID_LEN_MAX: usize = NAME_LEN_MAX + 1 + VERSION_LEN_MAX;
const EXTENSION: &str = "model";
const POINTER: &str = "promoted";
const LOCK: &str = ".lock";
const TEMPORARY: &str = ".writing";

/// Why the registry did not do as it was asked. Whatever was promoted before still is.
#[derive(Debug, Error)]
pub enum RegistryError {
    /// The file system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no such artifact.
    #[error("there is no model {id:?} in {directory}; there are: {known}")]
    NotFound {
        /// What was asked for.
        id: String,
        /// The registry's directory.
        directory: PathBuf,
        /// What there is.
        known: String,
    },
    /// An artifact's file is not what was written.
    #[error("{path}: {source}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ArtifactError,
    },
    /// A file holds another artifact than its name says.
    #[error("{path} holds the model {found:?}: somebody renamed it")]
    Renamed {
        /// The file.
        path: PathBuf,
        /// The artifact in it.
        found: String,
    },
    /// Another artifact of this name and version is there.
    #[error("a different model {id:?} is already in the registry: give this one another version")]
    Exists {
        /// Its id.
        id: String,
    },
    /// The artifact to add cannot be written.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The pointer file was edited by hand.
    #[error("{path}:{line}: {text:?} is not a model id")]
    BadPointer {
        /// The pointer file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What stands there.
        text: String,
    },
    /// Nothing came before.
    #[error("there is no earlier promotion to roll back to")]
    NoPrevious,
    /// Too many artifacts.
    #[error("{directory} holds {ARTIFACTS_MAX} models, the bound: delete some")]
    Full {
        /// The registry's directory.
        directory: PathBuf,
    },
}

/// One artifact, as `models list` shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// `name-version`.
    pub id: String,
    /// Whether it routes.
    pub promoted: bool,
    /// The artifact without its coefficients; none when its file is corrupted.
    #[serde(flatten)]
    pub summary: Option<Summary>,
    /// What is wrong with its file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What one wants to know of an artifact before promoting it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The family.
    pub kind: meridian_score::Kind,
    /// When it was trained, seconds since the Unix epoch.
    pub created_at_unix_s: u64,
    /// What it was trained on.
    pub trained_on: meridian_score::DataSet,
    /// Figures for clients held out of training.
    pub judged: meridian_score::Judged,
}

/// What [`Registry::newest_usable`] found.
#[derive(Debug)]
pub struct Usable {
    /// The newest promoted artifact that loads.
    pub artifact: Option<Artifact>,
    /// Why newer ones were passed over.
    pub passed_over: Vec<RegistryError>,
}

/// A directory of artifacts. Cheap to make; it keeps no state beside the path.
#[derive(Clone, Debug)]
pub struct Registry {
    directory: PathBuf,
}

impl Registry {
    /// Opens a registry, creating its directory when there is none.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, RegistryError> {
        let directory = directory.into();
        fs::create_dir_all(&directory).map_err(|source| at(&directory, source))?;
        Ok(Self { directory })
    }

    /// The registry's directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Adds an artifact and returns its id. Adding one that is there already, but for the time of
    /// its training, changes nothing.
    pub fn add(&self, artifact: &Artifact) -> Result<String, RegistryError> {
        let id = artifact.id();
        let bytes = artifact.encode()?;
        let path = self.path(&id);
        let _lock = self.lock()?;
        if path.exists() {
            let there = self.get(&id)?;
            let same = Artifact {
                created_at_unix_s: artifact.created_at_unix_s,
                ..there
            };
            return if same == *artifact {
                Ok(id)
            } else {
                Err(RegistryError::Exists { id })
            };
        }
        if self.ids()?.len() >= ARTIFACTS_MAX {
            return Err(RegistryError::Full {
                directory: self.directory.clone(),
            });
        }
        self.replace(&path, &bytes)?;
        Ok(id)
    }

    /// Reads an artifact and verifies it.
    pub fn get(&self, id: &str) -> Result<Artifact, RegistryError> {
        // An id becomes a file name: nothing else may reach the file system.
        if !valid_label(id, ID_LEN_MAX) {
            return Err(self.not_found(id)?);
        }
        let path = self.path(id);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(self.not_found(id)?);
            }
            Err(source) => return Err(at(&path, source)),
        };
        let artifact = Artifact::load(&bytes).map_err(|source| RegistryError::Corrupt {
            path: path.clone(),
            source,
        })?;
        if artifact.id() != id {
            return Err(RegistryError::Renamed {
                path,
                found: artifact.id(),
            });
        }
        Ok(artifact)
    }

    /// All artifacts in order of id, corrupted ones with what is wrong.
    pub fn list(&self) -> Result<Vec<Entry>, RegistryError> {
        let promoted = self.history()?.pop();
        let entry = |id: String| {
            let (summary, problem) = match self.get(&id) {
                Ok(artifact) => (Some(Summary::of(artifact)), None),
                Err(error) => (None, Some(error.to_string())),
            };
            Entry {
                promoted: promoted.as_ref() == Some(&id),
                id,
                summary,
                problem,
            }
        };
        Ok(self.ids()?.into_iter().map(entry).collect())
    }

    /// The ids of all promotions remembered, oldest first: the last one routes.
    pub fn history(&self) -> Result<Vec<String>, RegistryError> {
        let path = self.directory.join(POINTER);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(at(&path, source)),
        };
        let line = |(index, line): (usize, &str)| {
            if valid_label(line, ID_LEN_MAX) {
                return Ok(line.to_owned());
            }
            Err(RegistryError::BadPointer {
                path: path.clone(),
                line: index + 1,
                text: line.to_owned(),
            })
        };
        text.lines().enumerate().map(line).collect()
    }

    /// The artifact that routes; none when nothing was promoted yet.
    pub fn current(&self) -> Result<Option<Artifact>, RegistryError> {
        self.history()?.pop().map(|id| self.get(&id)).transpose()
    }

    /// The newest promoted artifact that loads, for a node that starts: a corrupted one is passed
    /// over for the one before it. The pointer is not changed.
    pub fn newest_usable(&self) -> Result<Usable, RegistryError> {
        let mut passed_over = Vec::new();
        for id in self.history()?.into_iter().rev() {
            match self.get(&id) {
                Ok(artifact) => {
                    return Ok(Usable {
                        artifact: Some(artifact),
                        passed_over,
                    });
                }
                Err(error) => passed_over.push(error),
            }
        }
        Ok(Usable {
            artifact: None,
            passed_over,
        })
    }

    /// Verifies an artifact and lets it route.
    pub fn promote(&self, id: &str) -> Result<Artifact, RegistryError> {
        let _lock = self.lock()?;
        let artifact = self.get(id)?;
        let mut history = self.history()?;
        if history.last().is_none_or(|current| current != id) {
            history.push(id.to_owned());
            let forgotten = history.len().saturating_sub(HISTORY_MAX);
            self.point(&history[forgotten..])?;
        }
        Ok(artifact)
    }

    /// Goes back to what was promoted before, after verifying it.
    pub fn rollback(&self) -> Result<Artifact, RegistryError> {
        let _lock = self.lock()?;
        let mut history = self.history()?;
        history.pop();
        let previous = history.last().ok_or(RegistryError::NoPrevious)?;
        let artifact = self.get(previous)?;
        self.point(&history)?;
        Ok(artifact)
    }

    fn point(&self, history: &[String]) -> Result<(), RegistryError> {
        let text: String = history.iter().flat_map(|id| [id.as_str(), "\n"]).collect();
        self.replace(&self.directory.join(POINTER), text.as_bytes())
    }

    /// Writes beside, syncs and renames. The caller holds the lock, so one name is enough, and
    /// what a crash left under it is overwritten.
    fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), RegistryError> {
        let temporary = self.directory.join(TEMPORARY);
        let write = || {
            let mut file = File::create(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&temporary, path)?;
            File::open(&self.directory)?.sync_all()
        };
        write().map_err(|source| at(path, source))
    }

    fn lock(&self) -> Result<File, RegistryError> {
        let path = self.directory.join(LOCK);
        let lock = || {
            let file = File::create(&path)?;
            file.lock()?;
            Ok(file)
        };
        lock().map_err(|source| at(&path, source))
    }

    fn not_found(&self, id: &str) -> Result<RegistryError, RegistryError> {
        Ok(RegistryError::NotFound {
            id: id.to_owned(),
            directory: self.directory.clone(),
            known: self.ids()?.join(", "),
        })
    }

    fn path(&self, id: &str) -> PathBuf {
        self.directory.join(format!("{id}.{EXTENSION}"))
    }

    /// The ids of all artifact files, sorted.
    fn ids(&self) -> Result<Vec<String>, RegistryError> {
        let failed = |source| at(&self.directory, source);
        let mut ids = Vec::new();
        for file in fs::read_dir(&self.directory).map_err(failed)? {
            let path = file.map_err(failed)?.path();
            let is_artifact = path
                .extension()
                .is_some_and(|extension| extension == EXTENSION);
            if let Some(id) = path.file_stem().and_then(|stem| stem.to_str())
                && is_artifact
            {
                ids.push(id.to_owned());
            }
        }
        ids.sort_unstable();
        Ok(ids)
    }
}

impl Summary {
    fn of(artifact: Artifact) -> Self {
        Self {
            kind: artifact.kind(),
            created_at_unix_s: artifact.created_at_unix_s,
            trained_on: artifact.trained_on,
            judged: artifact.judged,
        }
    }
}

fn at(path: &Path, source: io::Error) -> RegistryError {
    RegistryError::Io {
        path: path.to_owned(),
        source,
    }
}
