//! A class table as a file: built once, copied to every node, mapped or read without parsing.
//!
//! Layout, all numbers little-endian:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `MRDNGEO` and a line feed |
//! | 8 | 4 | format, 1 |
//! | 12 | 4 | number of sections, 8 |
//! | 16 | 8 | length of the file |
//! | 24 | 8 | when it was built, in seconds since 1970 |
//! | 32 | 32 | BLAKE3 of the whole file with these 32 bytes zero |
//! | 64 | 8 × 16 | offset and length of each section |
//!
//! Sections begin at multiples of 64, in this order, with zeros between: *about* (JSON), *classes*
//! (records of 40 bytes: latitude and longitude as f64; asn, provider, region, group as u32, the last
//! three numbers of names counted from 1; two letters of country; u16 of flags, 1 a location, 2 an
//! autonomous system, 4 a country; four zeros), *names* (u32 offsets into the next, one more than names),
//! *text* (UTF-8), IPv4 *starts* (u32) and *classes* (u16), IPv6 *starts* (u128) and *classes* (u16). A range
//! goes from its start to the next; an address is found by binary search over the starts.
//!
//! So the bulk of the file is four arrays that need no parsing: a program in any language may map the
//! file and search them where they lie (a test does, in Python). We *read* them, each section straight
//! into an aligned, typed array through `zerocopy`, because a safe map does not exist: mapping is
//! `unsafe` in every crate that offers it, since whoever truncates the file afterwards kills the process
//! with SIGBUS, and a table that is replaced on a running node is exactly that file. A read costs one
//! pass that the checksum makes anyway. See decision record 0012.
//!
//! A file is believed only when its checksum is right and everything in it is in bounds; what is wrong
//! is a [`TableError`], never a panic.

mod read;
mod write;

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use meridian_engine::class::ClassTable;
use serde::{Deserialize, Serialize};

use crate::GeoError;

/// The first bytes of every table.
pub const MAGIC: [u8; 8] = *b"MRDNGEO\n";
/// The format written and read here.
pub const FORMAT: u32 = 1;
/// The largest file that is read: a city database makes a few tens of megabytes.
pub const MAX_TABLE_BYTES: u64 = 1 << 30;

/// Number of sections.
const SECTIONS: usize = 8;
/// Bytes before the first section.
const HEADER_BYTES: usize = 64 + SECTIONS * 16;
/// Where the checksum stands.
const CHECKSUM: std::ops::Range<usize> = 32..64;
/// Sections begin at multiples of this: a cache line, and enough for every number.
const ALIGN: usize = 64;
/// Bytes of a class.
const CLASS_BYTES: usize = 40;
/// Flags of a class.
const HAS_LOCATION: u16 = 1;
const HAS_ASN: u16 = 2;
const HAS_COUNTRY: u16 = 4;

/// Why bytes are no table.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// It begins otherwise.
    #[error("it does not begin as one; make one with `meridian geo build`")]
    Magic,
    /// A format of another release.
    #[error(
        "its format is {found}, this release reads {FORMAT}; build it again with `meridian geo build`"
    )]
    Format {
        /// The format it says it has.
        found: u32,
    },
    /// Shorter or longer than it says.
    #[error(
        "it says that it has {said} bytes and has {is}: it was cut off or is still being written"
    )]
    Length {
        /// What the header says.
        said: u64,
        /// What there is.
        is: u64,
    },
    /// Damaged.
    #[error("its checksum is wrong: it is damaged")]
    Checksum,
    /// Whole, but made wrongly.
    #[error("its {section} are not what this format allows: {problem}")]
    Content {
        /// The section.
        section: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// It could not be read.
    #[error("it cannot be read")]
    Read(#[from] std::io::Error),
}

/// Where a table came from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// Program and release.
    pub built_by: String,
    /// When, in seconds since 1970.
    pub built_unix_seconds: u64,
    /// Size of the cells that places are rounded to.
    pub grid_degrees: f64,
    /// The autonomous systems that have classes of their own.
    pub asns: Vec<u32>,
    /// What it is made of, lowest first.
    pub sources: Vec<SourceNote>,
}

/// One source of a table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceNote {
    /// `registry`, `mmdb_city`, `mmdb_asn`, `providers` or `overrides`.
    pub kind: String,
    /// The file's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Its size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// When it was last written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified_unix_seconds: Option<u64>,
    /// What it says it is.
    pub detail: String,
}

/// A class table and where it came from.
#[derive(Clone, Debug)]
pub struct Table {
    /// Who asks.
    pub classes: Arc<ClassTable>,
    /// What it is made of.
    pub about: About,
    /// Names the content: the first 16 hexadecimal digits of the checksum. `None` before it is a file.
    pub id: Option<String>,
    /// Size of its file, or of its memory before it is one.
    pub bytes: u64,
}

impl Table {
    /// A table that is no file yet.
    #[must_use]
    pub fn new(classes: Arc<ClassTable>, about: About) -> Self {
        Self {
            bytes: classes.memory_bytes() as u64,
            classes,
            about,
            id: None,
        }
    }

    /// Reads and verifies a file.
    ///
    /// # Errors
    /// [`GeoError::Table`] when it is no table, damaged, or of another format.
    pub fn open(path: &Path) -> Result<Self, GeoError> {
        let failed = |source| GeoError::Read {
            path: path.to_owned(),
            source,
        };
        let mut file = File::open(path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        if bytes > MAX_TABLE_BYTES {
            return Err(GeoError::TooLarge {
                path: path.to_owned(),
                bytes,
                bytes_max: MAX_TABLE_BYTES,
            });
        }
        read::read(&mut file, bytes).map_err(|source| GeoError::Table {
            path: path.to_owned(),
            source,
        })
    }

    /// Reads and verifies the bytes of a file.
    ///
    /// # Errors
    /// [`TableError`] when they are no table.
    pub fn from_bytes(mut bytes: &[u8]) -> Result<Self, TableError> {
        let length = bytes.len() as u64;
        read::read(&mut bytes, length)
    }

    /// The bytes of the file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        write::bytes(&self.classes, &self.about)
    }

    /// Writes the file beside its place and renames it there, so that no reader sees half of it.
    /// Returns the table as a reader of the file has it.
    ///
    /// # Errors
    /// [`GeoError::Read`] with the system's reason when it cannot be written.
    pub fn save(&self, path: &Path) -> Result<Self, GeoError> {
        let failed = |source| GeoError::Read {
            path: path.to_owned(),
            source,
        };
        let bytes = self.to_bytes();
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let write = || {
            let mut file = File::create(&partial)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            std::fs::rename(&partial, path)
        };
        write().map_err(failed)?;
        Ok(Self {
            id: Some(id_of(&bytes[CHECKSUM])),
            bytes: bytes.len() as u64,
            ..self.clone()
        })
    }
}

/// The name of a content.
fn id_of(checksum: &[u8]) -> String {
    hex::encode(&checksum[..8])
}

/// The next multiple of [`ALIGN`].
const fn aligned(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGN)
}

#[cfg(test)]
mod tests;
