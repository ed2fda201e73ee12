//! The directory of decision files.
//!
//! A file is named `decisions-<time of its first row, µs since 1970, 20 digits>-<n>.arrow`, so
//! names sort by age. It is written as `….tmp`, synced and renamed: a reader that sees the final
//! name sees a whole file. What a crash left as `….tmp` is removed when the directory is opened.
//! One process owns a directory; readers need no lock.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_ipc::writer::FileWriter;
use arrow_schema::ArrowError;

use super::schema::schema;

const PREFIX: &str = "decisions-";
const FINISHED: &str = "arrow";
const UNFINISHED: &str = "tmp";

/// Finished decision files of a directory, oldest first.
///
/// # Errors
/// The system's.
pub fn decision_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    files_of(directory, FINISHED)
}

fn files_of(directory: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let ours = |path: &PathBuf| {
        let name = path.file_name().and_then(OsStr::to_str);
        name.is_some_and(|name| name.starts_with(PREFIX))
            && path.extension() == Some(OsStr::new(extension))
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if ours(&path) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The directory one writer owns.
pub(super) struct DecisionDirectory {
    path: PathBuf,
    max_files: usize,
    /// Tells files with equal first rows apart.
    sequence: u64,
}

impl DecisionDirectory {
    /// Makes the directory where it is missing and removes unfinished files.
    pub(super) fn open(path: PathBuf, max_files: usize) -> io::Result<Self> {
        fs::create_dir_all(&path)?;
        for unfinished in files_of(&path, UNFINISHED)? {
            fs::remove_file(unfinished)?;
        }
        Ok(Self {
            path,
            max_files,
            sequence: 0,
        })
    }

    /// Writes one finished file.
    pub(super) fn write(
        &mut self,
        first_at_unix_us: u64,
        batch: &RecordBatch,
    ) -> Result<PathBuf, ArrowError> {
        let path = self.unused_name(first_at_unix_us);
        let unfinished = path.with_extension(UNFINISHED);
        let written = write_file(&unfinished, batch)
            .and_then(|()| fs::rename(&unfinished, &path).map_err(ArrowError::from))
            .and_then(|()| sync_directory(&self.path).map_err(ArrowError::from));
        if written.is_err() {
            // Best effort: the next start removes it as well.
            let _ = fs::remove_file(&unfinished);
        }
        written.map(|()| path)
    }

    /// Removes the oldest files until `max_files` are left.
    pub(super) fn remove_oldest(&self) -> io::Result<()> {
        let files = decision_files(&self.path)?;
        let excess = files.len().saturating_sub(self.max_files);
        for path in &files[..excess] {
            fs::remove_file(path)?;
        }
        Ok(())
    }

    /// A name that no earlier run took either: a restart may see the same first row's time.
    fn unused_name(&mut self, first_at_unix_us: u64) -> PathBuf {
        loop {
            let name = format!(
                "{PREFIX}{first_at_unix_us:020}-{:06}.{FINISHED}",
                self.sequence
            );
            self.sequence += 1;
            let path = self.path.join(name);
            if !path.exists() {
                return path;
            }
        }
    }
}

fn write_file(path: &Path, batch: &RecordBatch) -> Result<(), ArrowError> {
    let mut writer = FileWriter::try_new(BufWriter::new(File::create(path)?), &schema())?;
    writer.write(batch)?;
    writer.finish()?;
    let file = writer
        .into_inner()?
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok(())
}

/// Makes a rename survive a power cut.
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
