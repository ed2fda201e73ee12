//! Zones on disk: `state/zones/`, one file for each zone, so that a node answers after a restart
//! before its primaries do.
//!
//! A file is magic, origin, records in wire form and a BLAKE3 sum over all before it. It is written
//! beside its place, synced and renamed, so that a crash leaves the old one or the new one. Its
//! modification time says when a primary last confirmed the zone; expiry counts from there. A file
//! that is damaged is left where it is, reported, and replaced by the next transfer.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use thiserror::Error;

use super::record::name_bytes;
use crate::wire::RType;
use crate::zone::{StaticZone, StaticZoneBuilder, ZoneError};

const MAGIC: &[u8; 8] = b"MERZONE1";
const SUM_BYTES: usize = 32;
/// What follows a zone's name in its file's name.
const SUFFIX: &str = "zone";

/// Why a zone's file cannot be used.
#[derive(Debug, Error)]
pub(crate) enum DiskError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path}: the file is damaged; it is ignored until the next transfer replaces it")]
    Damaged { path: PathBuf },
    #[error("{path}: {source}")]
    Zone { path: PathBuf, source: ZoneError },
}

/// The folder.
#[derive(Clone, Debug)]
pub(crate) struct ZoneFolder(PathBuf);

/// A zone as it was kept.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) zone: StaticZone,
    /// When it was last confirmed, in seconds since 1970.
    pub(crate) confirmed_at: u64,
}

impl ZoneFolder {
    /// The folder `zones` in the state folder; made when missing.
    pub(crate) fn open(state: &Path) -> Result<Self, DiskError> {
        let folder = state.join("zones");
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        Ok(Self(folder))
    }

    /// The file of a zone.
    pub(crate) fn path(&self, origin: &[u8], suffix: &str) -> PathBuf {
        self.0.join(format!("{}.{suffix}", file_name(origin)))
    }

    /// Reads a zone; `None` when none was kept.
    pub(crate) fn load(&self, origin: &[u8]) -> Result<Option<Kept>, DiskError> {
        let path = self.path(origin, SUFFIX);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(DiskError::Io { path, source }),
        };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(at(&path))?;
        let modified = file.metadata().and_then(|data| data.modified());
        let confirmed_at = modified
            .map_err(at(&path))?
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let damaged = || DiskError::Damaged { path: path.clone() };
        let builder = decode(&bytes, origin).ok_or_else(damaged)?;
        let zone = builder.build().map_err(|source| DiskError::Zone {
            path: path.clone(),
            source,
        })?;
        Ok(Some(Kept { zone, confirmed_at }))
    }

    /// Keeps a zone that was just confirmed.
    pub(crate) fn save(&self, zone: &StaticZone) -> Result<(), DiskError> {
        let path = self.path(zone.origin(), SUFFIX);
        replace(&path, |file| encode(zone, file)).map_err(at(&path))
    }

    /// Notes that a zone was confirmed without a change.
    pub(crate) fn confirm(&self, origin: &[u8], unix_seconds: u64) -> Result<(), DiskError> {
        let path = self.path(origin, SUFFIX);
        let when = SystemTime::UNIX_EPOCH + Duration::from_secs(unix_seconds);
        let file = File::options().write(true).open(&path);
        file.and_then(|file| file.set_modified(when))
            .map_err(at(&path))
    }

    /// Forgets a zone.
    pub(crate) fn remove(&self, origin: &[u8]) -> Result<(), DiskError> {
        let path = self.path(origin, SUFFIX);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(DiskError::Io {
                path,
                source: error,
            }),
            _ => Ok(()),
        }
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> DiskError {
    let path = path.to_path_buf();
    move |source| DiskError::Io { path, source }
}

/// Writes a file beside its place, syncs it and moves it there.
pub(crate) fn replace(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(OsStr::new(".new"));
    let beside = PathBuf::from(beside);
    let mut file = BufWriter::new(File::create(&beside)?);
    write(&mut file)?;
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    // The new name must survive a crash, too.
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// A zone's name as a file's: letters, digits, `-`, `_` and dots as they are, the rest as `%XX`.
fn file_name(origin: &[u8]) -> String {
    use std::fmt::Write as _;

    let mut name = String::new();
    let mut rest = origin;
    while let Some((&length, after)) = rest.split_first()
        && length != 0
    {
        let (label, next) = after.split_at(usize::from(length).min(after.len()));
        for byte in label {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
                name.push(char::from(*byte));
            } else {
                // A String takes everything.
                let _ = write!(name, "%{byte:02x}");
            }
        }
        if next != [0] {
            name.push('.');
        }
        rest = next;
    }
    if name.is_empty() {
        name.push_str("%2e");
    }
    // 255 bytes of name may need more than a file's name may have.
    if name.len() > 200 {
        name = format!("%sum{}", blake3::hash(origin).to_hex());
    }
    name
}

/// Hashes what passes to the file.
struct Summing<'w, W> {
    to: &'w mut W,
    sum: blake3::Hasher,
}

impl<W: Write> Summing<'_, W> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.update(bytes);
        self.to.write_all(bytes)
    }
}

fn encode(zone: &StaticZone, to: &mut impl Write) -> io::Result<()> {
    let mut to = Summing {
        to,
        sum: blake3::Hasher::new(),
    };
    to.put(MAGIC)?;
    to.put(zone.origin())?;
    for record in zone.records() {
        to.put(record.owner)?;
        to.put(&record.rtype.0.to_be_bytes())?;
        to.put(&record.ttl_seconds.to_be_bytes())?;
        // Data came with 16 bits of length.
        to.put(&(record.data.len() as u16).to_be_bytes())?;
        to.put(record.data)?;
    }
    let sum = to.sum.finalize();
    to.to.write_all(sum.as_bytes())
}

/// The zone of a file's bytes, or `None` when they are not what was written.
fn decode(bytes: &[u8], origin: &[u8]) -> Option<StaticZoneBuilder> {
    let (bytes, sum) = bytes.split_at_checked(bytes.len().checked_sub(SUM_BYTES)?)?;
    if *blake3::hash(bytes).as_bytes() != *sum {
        return None;
    }
    let mut rest = bytes.strip_prefix(MAGIC)?.strip_prefix(origin)?;
    let mut builder = StaticZoneBuilder::new(origin);
    while !rest.is_empty() {
        let (owner, after) = rest.split_at_checked(name_bytes(rest)?)?;
        let (head, after) = after.split_first_chunk::<8>()?;
        let rtype = RType(u16::from_be_bytes([head[0], head[1]]));
        let ttl = u32::from_be_bytes([head[2], head[3], head[4], head[5]]);
        let length = usize::from(u16::from_be_bytes([head[6], head[7]]));
        let (data, after) = after.split_at_checked(length)?;
        builder.record(owner, rtype, ttl, data);
        rest = after;
    }
    Some(builder)
}

#[cfg(test)]
mod tests;
