//! A file that is renamed away before it grows beyond a size.
//!
//! `PATH` is current; `PATH.1` is the youngest of the old ones. With `max_files` files kept there
//! are never more than `max_files × max_bytes` bytes, give or take one batch that alone is larger.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Most files a rotation may keep.
pub const FILES_MAX: usize = 100;

/// See the module's documentation.
#[derive(Debug)]
pub struct RotatingFile {
    path: PathBuf,
    file: File,
    size_bytes: u64,
    max_bytes: u64,
    max_files: usize,
}

impl RotatingFile {
    /// Opens `path` for appending and makes its directory where it is missing.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: PathBuf, max_bytes: u64, max_files: usize) -> io::Result<Self> {
        if let Some(directory) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            std::fs::create_dir_all(directory)?;
        }
        let (file, size_bytes) = append_to(&path)?;
        Ok(Self {
            path,
            file,
            size_bytes,
            max_bytes,
            max_files: max_files.clamp(1, FILES_MAX),
        })
    }

    /// Writes whole lines; rotates first if they would not fit.
    ///
    /// # Errors
    /// The system's. After an error the file stays usable.
    pub fn write_lines(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.size_bytes > 0
            && self.size_bytes.saturating_add(lines.len() as u64) > self.max_bytes
        {
            self.rotate()?;
        }
        self.file.write_all(lines)?;
        self.size_bytes += lines.len() as u64;
        Ok(())
    }

    /// Opens the file again under its name: somebody else may have renamed it.
    ///
    /// # Errors
    /// The system's; the old file stays in use then.
    pub fn reopen(&mut self) -> io::Result<()> {
        (self.file, self.size_bytes) = append_to(&self.path)?;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        if self.max_files == 1 {
            self.file.set_len(0)?;
            self.size_bytes = 0;
            return Ok(());
        }
        for n in (1..self.max_files - 1).rev() {
            ignore_missing(std::fs::rename(
                numbered(&self.path, n),
                numbered(&self.path, n + 1),
            ))?;
        }
        ignore_missing(std::fs::rename(&self.path, numbered(&self.path, 1)))?;
        self.reopen()
    }
}

fn append_to(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let size_bytes = file.metadata()?.len();
    Ok((file, size_bytes))
}

fn numbered(path: &Path, n: usize) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{n}"));
    name.into()
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
