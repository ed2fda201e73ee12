//! Every master file of a folder, on the shelf.
//!
//! A scan reads the files that changed since the last one (by time, size and inode, those that they
//! include, too), puts good zones on the shelf and takes away those whose file is gone. A file with a
//! mistake keeps the zone it had; the mistake is in [`FileStatus`], in the log and in the metrics.
//! Limits: [`FILES_MAX`] files; folders inside the folder hold included files only.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use thiserror::Error;

use super::{MasterError, Mistake, read_file};
use crate::zone::{DisplayName, StaticZone, ZoneShelf, ZoneSource};
use meridian_topology::rdata::read_name;

/// Most master files of a folder; more are not read, and the log says so.
pub const FILES_MAX: usize = 100_000;
/// How the name of a master file ends.
const EXTENSION: &str = "zone";

/// The folder cannot be read.
#[derive(Debug, Error)]
#[error("dns: the zone files' folder `{}` cannot be read; create it, or correct `zone_files`", folder.display())]
pub struct FolderError {
    /// The folder.
    pub folder: PathBuf,
    /// What the system said.
    #[source]
    pub source: std::io::Error,
}

/// What became of one master file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileStatus {
    /// The file.
    pub file: PathBuf,
    /// The zone that it last had without a mistake, which is served.
    pub origin: Option<String>,
    /// That zone's serial.
    pub serial: Option<u32>,
    /// Records left out of it, and why.
    pub problems: Vec<String>,
    /// Why the file as it is now is not served.
    pub mistakes: Vec<String>,
}

/// What a scan did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FolderReport {
    /// Files read because they were new or had changed.
    pub read: usize,
    /// Those among them with mistakes.
    pub failed: usize,
    /// Zones taken away.
    pub removed: usize,
}

/// A folder of master files and the shelf that its zones stand on.
#[derive(Debug)]
pub struct ZoneFolder {
    folder: PathBuf,
    shelf: ZoneShelf,
    files: BTreeMap<PathBuf, ReadFile>,
}

/// A file as it was read.
#[derive(Debug)]
struct ReadFile {
    /// It and the files it includes.
    stamps: BTreeMap<PathBuf, Stamp>,
    /// What stands on the shelf.
    zone: Option<Arc<StaticZone>>,
    mistakes: Vec<Mistake>,
}

/// Tells that a file changed; none for a file that cannot be looked at.
type Stamp = Option<(i64, i64, u64, u64)>;

impl ZoneFolder {
    /// A folder that has not been read yet.
    #[must_use]
    pub fn new(folder: PathBuf, shelf: ZoneShelf) -> Self {
        Self {
            folder,
            shelf,
            files: BTreeMap::new(),
        }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Brings the shelf up to date with the folder.
    ///
    /// # Errors
    /// [`FolderError`]; the shelf is as before then.
    pub fn scan(&mut self) -> Result<FolderReport, FolderError> {
        let there = self.list()?;
        let mut report = FolderReport::default();
        let gone: Vec<PathBuf> = self
            .files
            .keys()
            .filter(|file| !there.contains(*file))
            .cloned()
            .collect();
        for file in gone {
            report.removed += usize::from(self.forget(&file));
        }
        for file in there {
            let unchanged = self.files.get(&file).is_some_and(|read| {
                // A claim that another source let go may be free now.
                read.is_served(&self.shelf)
                    && read
                        .stamps
                        .iter()
                        .all(|(path, stamp)| stamp_of(path) == *stamp)
            });
            if !unchanged {
                report.read += 1;
                report.failed += usize::from(!self.read(file));
            }
        }
        Ok(report)
    }

    /// Every file, by name.
    #[must_use]
    pub fn status(&self) -> Vec<FileStatus> {
        let status = |(file, read): (&PathBuf, &ReadFile)| FileStatus {
            file: file.clone(),
            origin: read
                .zone
                .as_ref()
                .map(|zone| DisplayName(zone.origin().into()).to_string()),
            serial: read.zone.as_ref().map(|zone| zone.serial()),
            problems: read
                .zone
                .iter()
                .flat_map(|zone| zone.problems())
                .map(ToString::to_string)
                .collect(),
            mistakes: read.mistakes.iter().map(ToString::to_string).collect(),
        };
        self.files.iter().map(status).collect()
    }

    fn list(&self) -> Result<BTreeSet<PathBuf>, FolderError> {
        let error = |source| FolderError {
            folder: self.folder.clone(),
            source,
        };
        let mut files = BTreeSet::new();
        for entry in std::fs::read_dir(&self.folder).map_err(error)? {
            let path = entry.map_err(error)?.path();
            let hidden = path
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if path.extension() != Some(OsStr::new(EXTENSION)) || hidden || path.is_dir() {
                continue;
            }
            if files.len() == FILES_MAX {
                tracing::error!(folder = %self.folder.display(), "more than {FILES_MAX} zone files; the rest is not read");
                break;
            }
            files.insert(path);
        }
        Ok(files)
    }

    /// Takes the zone of a file that is gone off the shelf; says whether it had one.
    fn forget(&mut self, file: &Path) -> bool {
        let Some(zone) = self.files.remove(file).and_then(|read| read.zone) else {
            return false;
        };
        tracing::info!(file = %file.display(), zone = %DisplayName(zone.origin().into()), "zone file is gone; its zone is not served any more");
        self.shelf.remove(ZoneSource::File, zone.origin());
        true
    }

    /// Reads a file and shelves its zone; says whether it is good.
    fn read(&mut self, file: PathBuf) -> bool {
        let before = self.files.remove(&file).and_then(|read| read.zone);
        let read = origin_of_file_name(&file)
            .map(|origin| read_file(&file, &self.folder, &origin))
            .unwrap_or_else(|mistake| (Err(mistake), BTreeSet::new()));
        let (result, mut read_files) = read;
        read_files.insert(file.clone());
        // A file that is written while it is read gets another stamp, and is read again.
        let stamps = read_files
            .into_iter()
            .map(|path| (path.clone(), stamp_of(&path)))
            .collect();
        let shelved = result.and_then(|zone| self.shelve(&file, Arc::new(zone), before.as_deref()));
        let (zone, mistakes) = match shelved {
            Ok(zone) => (Some(zone), Vec::new()),
            Err(error) => (before, error.mistakes),
        };
        match &zone {
            _ if !mistakes.is_empty() => {
                let kept = if zone.is_some() {
                    "; the last good zone stays"
                } else {
                    ""
                };
                for mistake in &mistakes {
                    tracing::error!(%mistake, "zone file is not served{kept}");
                }
            }
            Some(zone) => {
                tracing::info!(file = %file.display(), zone = %DisplayName(zone.origin().into()), serial = zone.serial(), "zone file read");
            }
            None => {}
        }
        let good = mistakes.is_empty();
        let read = ReadFile {
            stamps,
            zone,
            mistakes,
        };
        self.files.insert(file, read);
        good
    }

    fn shelve(
        &self,
        file: &Path,
        zone: Arc<StaticZone>,
        before: Option<&StaticZone>,
    ) -> Result<Arc<StaticZone>, MasterError> {
        let refuse = |reason: String| MasterError {
            mistakes: vec![Mistake {
                file: file.display().to_string(),
                place: None,
                field: None,
                reason,
            }],
        };
        let same = |other: &&PathBuf| {
            let theirs = self.files.get(*other).and_then(|read| read.zone.as_ref());
            theirs.is_some_and(|theirs| theirs.origin() == zone.origin())
        };
        if let Some(other) = self.files.keys().find(same) {
            return Err(refuse(format!(
                "the zone `{}` is in `{}` already; keep one of the two",
                DisplayName(zone.origin().into()),
                other.display()
            )));
        }
        (self.shelf.put(ZoneSource::File, Arc::clone(&zone)))
            .map_err(|error| refuse(error.to_string()))?;
        if let Some(before) = before
            && before.origin() != zone.origin()
        {
            self.shelf.remove(ZoneSource::File, before.origin());
        }
        Ok(zone)
    }
}

impl ReadFile {
    /// Whether there is nothing that a second reading could mend.
    fn is_served(&self, shelf: &ZoneShelf) -> bool {
        match &self.zone {
            Some(zone) if self.mistakes.is_empty() => shelf
                .get(zone.origin())
                .is_some_and(|there| Arc::ptr_eq(&there.zone, zone)),
            _ => true,
        }
    }
}

fn stamp_of(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.size(),
        metadata.ino(),
    ))
}

/// The origin that a file's name suggests: `example.com.zone` and `example.com` are `example.com.`,
/// `root.zone` is the root. Only names before the first `$ORIGIN` depend on it.
///
/// # Errors
/// When it is not a domain name.
pub fn origin_of_file_name(file: &Path) -> Result<Vec<u8>, MasterError> {
    let stem = if file.extension() == Some(OsStr::new(EXTENSION)) {
        file.file_stem()
    } else {
        file.file_name()
    };
    let stem = stem.unwrap_or_default().as_encoded_bytes();
    if matches!(stem, b"root" | b"@") {
        return Ok(vec![0]);
    }
    read_name(stem, &[0]).map_err(|reason| MasterError {
        mistakes: vec![Mistake {
            file: file.display().to_string(),
            place: None,
            field: Some("file name"),
            reason: format!("{reason}; name the file after its zone, as in `example.com.zone`"),
        }],
    })
}
