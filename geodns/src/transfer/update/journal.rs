//! Updates on disk: `state/zones/ZONE.updates`, written before an update is answered.
//!
//! Behind magic and origin stands entry after entry: length, the first half of a BLAKE3 sum, and
//! what the update left: its serial and every set it changed, as the set is now. Reading the entries
//! in order gives the layer. An entry that a crash cut short was not answered, and is cut off.
//!
//! Limits: a file of more than [`COMPACT_BYTES`] that is four times as large as what it says is
//! written anew.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::super::disk::replace;
use super::super::record::name_bytes;
use super::layer::{Layer, LayerSet, SetKey};
use crate::wire::RType;

const MAGIC: &[u8; 8] = b"MERUPD01";
const SUM_BYTES: usize = 16;
const HEAD_BYTES: usize = 4 + SUM_BYTES;
/// Files below this are not written anew.
const COMPACT_BYTES: u64 = 1 << 20;

/// An open journal, at its end.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    origin: Box<[u8]>,
    file: File,
    /// Bytes up to the end of the last whole entry.
    bytes: u64,
    /// What stands behind `bytes` could not be cut off: nothing may be written any more.
    broken: bool,
}

/// What opening a journal found.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) journal: Journal,
    pub(crate) layer: Layer,
    /// Bytes of an unfinished entry that were cut off.
    pub(crate) cut: u64,
}

impl Journal {
    /// Opens or makes the journal of a zone.
    ///
    /// # Errors
    /// What the system says, or that the file is no journal of this zone.
    pub(crate) fn open(path: &Path, origin: &[u8]) -> io::Result<Opened> {
        let head = [MAGIC, origin].concat();
        if !path.exists() {
            replace(path, |file| file.write_all(&head))?;
        }
        let mut file = OpenOptions::new().read(true).write(true).open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let entries = bytes.strip_prefix(&*head).ok_or_else(|| {
            let text = format!("{}: not a journal of updates of this zone", path.display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        })?;
        let (layer, read) = replay(entries);
        let whole = (head.len() + read) as u64;
        let cut = bytes.len() as u64 - whole;
        if cut > 0 {
            file.set_len(whole)?;
            file.sync_all()?;
        }
        file.seek(SeekFrom::Start(whole))?;
        let journal = Self {
            path: path.into(),
            origin: origin.into(),
            file,
            bytes: whole,
            broken: false,
        };
        Ok(Opened {
            journal,
            layer,
            cut,
        })
    }

    /// Writes what an update left and waits for the disk.
    ///
    /// # Errors
    /// What the system says; the journal is then as it was.
    pub(crate) fn append(&mut self, layer: &Layer, changed: &[SetKey]) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other(
                "an earlier write failed and could not be undone; restart the node",
            ));
        }
        let entry = encode(layer, changed.iter())?;
        let written = self
            .file
            .write_all(&entry)
            .and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            let undone = self
                .file
                .set_len(self.bytes)
                .and_then(|()| self.file.seek(SeekFrom::Start(self.bytes)));
            self.broken = undone.is_err();
            return Err(error);
        }
        self.bytes += entry.len() as u64;
        // The update itself is safe; a file that stays large is no failure of it.
        if let Err(error) = self.compact(layer) {
            tracing::warn!(file = %self.path.display(), %error, "the journal of updates could not be written anew");
        }
        Ok(())
    }

    fn compact(&mut self, layer: &Layer) -> io::Result<()> {
        if self.bytes < COMPACT_BYTES {
            return Ok(());
        }
        let entry = encode(layer, layer.sets.keys())?;
        if self.bytes < 4 * entry.len() as u64 {
            return Ok(());
        }
        let head = [MAGIC, &*self.origin].concat();
        replace(&self.path, |file| {
            file.write_all(&head)?;
            file.write_all(&entry)
        })?;
        // From here on the path is another file: entries into the old one would be lost.
        self.broken = true;
        let mut file = OpenOptions::new().read(true).write(true).open(&self.path)?;
        self.bytes = file.seek(SeekFrom::End(0))?;
        self.file = file;
        self.broken = false;
        Ok(())
    }
}

/// The layer that entries lead to, and the bytes of the whole ones.
fn replay(entries: &[u8]) -> (Layer, usize) {
    let mut layer = Layer::default();
    let mut rest = entries;
    while let Some((payload, after)) = next_entry(rest) {
        let mut next = layer.clone_serial();
        if apply(payload, &mut next).is_none() {
            break;
        }
        layer.take(next);
        rest = after;
    }
    (layer, entries.len() - rest.len())
}

/// Changes read from one entry.
struct Changes {
    serial: u32,
    sets: Vec<(SetKey, LayerSet)>,
}

impl Layer {
    fn clone_serial(&self) -> Changes {
        Changes {
            serial: self.serial,
            sets: Vec::new(),
        }
    }

    fn take(&mut self, changes: Changes) {
        self.serial = changes.serial;
        for (key, set) in changes.sets {
            if set.data.is_empty() {
                self.sets.remove(&key);
            } else {
                self.sets.insert(key, set);
            }
        }
    }
}

fn next_entry(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_at_checked(SUM_BYTES)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (payload, rest) = rest.split_at_checked(length)?;
    let right = blake3::hash(payload).as_bytes()[..SUM_BYTES] == *sum;
    right.then_some((payload, rest))
}

fn apply(payload: &[u8], changes: &mut Changes) -> Option<()> {
    let (serial, mut rest) = payload.split_first_chunk::<4>()?;
    changes.serial = u32::from_be_bytes(*serial);
    while !rest.is_empty() {
        let (owner, after) = rest.split_at_checked(name_bytes(rest)?)?;
        let (head, after) = after.split_first_chunk::<10>()?;
        let number =
            |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let rtype = RType(u16::from_be_bytes([head[0], head[1]]));
        let mut set = LayerSet {
            ttl: number(2),
            data: Vec::new(),
        };
        rest = after;
        for _ in 0..number(6) {
            let (length, after) = rest.split_first_chunk::<2>()?;
            let (data, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            set.data.push(data.into());
            rest = after;
        }
        changes.sets.push(((owner.into(), rtype), set));
    }
    Some(())
}

fn encode<'k>(layer: &Layer, keys: impl Iterator<Item = &'k SetKey>) -> io::Result<Vec<u8>> {
    let mut entry = vec![0; HEAD_BYTES];
    entry.extend_from_slice(&layer.serial.to_be_bytes());
    let none = LayerSet::default();
    for key in keys {
        let set = layer.sets.get(key).unwrap_or(&none);
        entry.extend_from_slice(&key.0);
        entry.extend_from_slice(&key.1.0.to_be_bytes());
        entry.extend_from_slice(&set.ttl.to_be_bytes());
        // At most `RECORDS_MAX`.
        entry.extend_from_slice(&(set.data.len() as u32).to_be_bytes());
        for data in &set.data {
            // Data came with 16 bits of length.
            entry.extend_from_slice(&(data.len() as u16).to_be_bytes());
            entry.extend_from_slice(data);
        }
    }
    let length = u32::try_from(entry.len() - HEAD_BYTES).map_err(io::Error::other)?;
    let sum = blake3::hash(&entry[HEAD_BYTES..]);
    entry[..4].copy_from_slice(&length.to_be_bytes());
    entry[4..HEAD_BYTES].copy_from_slice(&sum.as_bytes()[..SUM_BYTES]);
    Ok(entry)
}

#[cfg(test)]
mod tests;
