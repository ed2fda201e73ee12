//! Zones as master files (RFC 1035 §5): reading them, writing them, and a folder of them kept in
//! step with what is served.
//!
//! [`read_file`] makes a [`StaticZone`](crate::zone::StaticZone) from a file with `$ORIGIN`, `$TTL`
//! (RFC 2308), `$INCLUDE` and BIND's `$GENERATE`; [`write_zone`] writes one that reads back the
//! same. [`ZoneFolder`] reads every `*.zone` of a folder onto the shelf and follows changes; a file
//! with a mistake keeps its last good zone served.
//!
//! What record data looks like is the topology's to know (`meridian_topology::rdata`): YAML records
//! are read by the same code.

mod entry;
mod folder;
mod generate;
mod read;
mod watch;
mod write;

use std::fmt;

use thiserror::Error;

pub use folder::{FileStatus, FolderError, FolderReport, ZoneFolder, origin_of_file_name};
pub use read::{read_file, read_text};
pub use watch::{WatchError, ZoneFilesStatus, ZoneFolderWatcher};
pub use write::write_zone;

/// Largest master file.
pub const FILE_BYTES_MAX: u64 = 512 << 20;
/// Deepest `$INCLUDE` within `$INCLUDE`; it also ends loops.
pub const INCLUDE_DEPTH_MAX: usize = 8;
/// Most files that one zone includes, itself counted.
pub const INCLUDES_MAX: usize = 1_000;
/// Most records that one `$GENERATE` makes.
pub const GENERATE_MAX: u32 = 65_536;
/// Most mistakes reported of one file.
pub const MISTAKES_MAX: usize = 20;

/// One mistake in a master file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct Mistake {
    /// The file, as it was named.
    pub file: String,
    /// Its line and column, from 1; none when the file as a whole is meant.
    pub place: Option<(u32, u32)>,
    /// The field, where one is wrong.
    pub field: Option<&'static str>,
    /// What is wrong, and what would be right.
    pub reason: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some((line, column)) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        match self.field {
            Some(field) => write!(f, ": {field}: {}", self.reason),
            None => write!(f, ": {}", self.reason),
        }
    }
}

/// Why a master file is not a zone: at least one mistake.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct MasterError {
    /// The first [`MISTAKES_MAX`], in the order of the text.
    pub mistakes: Vec<Mistake>,
}

impl fmt::Display for MasterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, mistake) in self.mistakes.iter().enumerate() {
            if at > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{mistake}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
