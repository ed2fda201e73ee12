//! gdnsd (3.x): `config`, `zones/`, `geoip/` as a topology, policies and zones.
//!
//! ```text
//! vscf text ─ vscf ─> values ─ resources ─> steering ┐
//! zone files ─ zonefile ─> static records, DYNA/DYNC ┼─ write ─> topology/ policies/ meridian.yaml
//! service_types ─ checks ─> health checks ───────────┘
//! ```
//!
//! A datacenter becomes a region, an address an endpoint in it, a DYNA or DYNC resource a service, an
//! ordered list of datacenters `regions: { first, only }` of a policy, with the continents, countries
//! and networks it is for as its condition. A place that a map tells apart below countries has no
//! counterpart and is named.

mod checks;
mod map;
mod places;
mod resources;
mod vscf;
mod write;
mod zonefile;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::note::{At, Notes};
use crate::{Converted, Note};

use checks::Checks;
use resources::Resources;
use vscf::{Data, Value};
use zonefile::ZoneText;

/// Largest file that is read, in bytes.
pub const FILE_BYTES_MAX: u64 = 64 << 20;
/// Most zone files that are read.
pub const ZONES_MAX: usize = 10_000;
/// The TTL of records in a zone file that names none (gdnsd.config(5), `zones_default_ttl`).
const TTL_DEFAULT: u32 = 86_400;

/// Why a configuration cannot be converted at all.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A text is not what gdnsd reads.
    #[error("{at}: {text}")]
    Syntax {
        /// Where.
        at: At,
        /// What is wrong.
        text: String,
    },
    /// Neither `config` nor `zones/`.
    #[error("{}: neither `config` nor `zones/` is there; name gdnsd's configuration directory, usually /etc/gdnsd", .0.display())]
    Nothing(PathBuf),
}

/// Converts gdnsd's configuration directory.
///
/// # Errors
/// [`ImportError`]: a file that cannot be read, or that gdnsd would not read either.
pub fn convert(folder: &Path) -> Result<Converted, ImportError> {
    let (config, zones) = (folder.join("config"), folder.join("zones"));
    if !config.exists() && !zones.is_dir() {
        return Err(ImportError::Nothing(folder.to_path_buf()));
    }
    let root = if config.exists() {
        vscf::read_file(&config)?
    } else {
        Value::empty(At {
            file: config.to_string_lossy().into(),
            line: 1,
        })
    };
    let mut notes = Notes::default();
    for (key, value) in root.entries() {
        if !matches!(key.as_str(), "options" | "service_types" | "plugins") {
            notes.none(&value.at, format!("`{key}` is no section of gdnsd"));
        }
    }
    let checks = Checks::read(root.get("service_types"), &mut notes);
    let plugins = root.get("plugins");
    let mut resources = Resources::new(plugins, &checks, folder);
    let ttl_default = options_ttl(root.get("options"));
    let zones = read_zones(&zones, ttl_default, &mut notes)?;
    let plan = resources.plan(&zones, &mut notes)?;
    let options = root.get("options");
    let files = write::files(&plan, &zones, options, &mut notes);
    Ok(Converted {
        files,
        notes: notes.into_list(),
    })
}

/// Reads a bounded text.
fn read_text(path: &Path) -> Result<String, ImportError> {
    let failed = |source| ImportError::Read {
        path: path.to_path_buf(),
        source,
    };
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > FILE_BYTES_MAX {
        let words = format!("{bytes} bytes; at most {FILE_BYTES_MAX} are read");
        return Err(failed(std::io::Error::other(words)));
    }
    let bytes = std::fs::read(path).map_err(failed)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn options_ttl(options: Option<&Value>) -> u32 {
    options
        .and_then(|options| options.get("zones_default_ttl"))
        .and_then(|value| value.text()?.parse().ok())
        .unwrap_or(TTL_DEFAULT)
}

/// Every file of `zones/`: its name is the zone's, with `@` for `/` (gdnsd(8), ZONE FILES).
fn read_zones(
    folder: &Path,
    ttl_default: u32,
    notes: &mut Notes,
) -> Result<Vec<ZoneText>, ImportError> {
    let mut names: BTreeMap<String, PathBuf> = BTreeMap::new();
    let failed = |source| ImportError::Read {
        path: folder.to_path_buf(),
        source,
    };
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if path.is_file() && !name.starts_with('.') {
            names.insert(name.replace('@', "/"), path);
        }
        if names.len() > ZONES_MAX {
            let words = format!("more than {ZONES_MAX} zone files");
            return Err(failed(std::io::Error::other(words)));
        }
    }
    names
        .into_iter()
        .map(|(name, path)| zonefile::read(&name, &path, ttl_default, notes))
        .collect()
}

/// An id of ours out of a name of theirs: lower-case letters, digits, `-`, `_` and `.`.
fn id(text: &str) -> String {
    let mapped: String = text
        .to_lowercase()
        .chars()
        .map(|c| match c {
            'a'..='z' | '0'..='9' | '-' | '_' | '.' => c,
            _ => '-',
        })
        .take(63)
        .collect();
    let trimmed = mapped.trim_matches(['-', '.', '_']);
    if trimmed.is_empty() {
        "unnamed".into()
    } else {
        trimmed.to_owned()
    }
}

/// Whether a text says true as gdnsd reads it.
fn is_true(value: Option<&Value>) -> bool {
    matches!(value.map(|value| &value.data), Some(Data::Text(text)) if text.eq_ignore_ascii_case("true"))
}

/// Counts notes of a kind: for the summary of a report.
#[must_use]
pub fn count(notes: &[Note], kind: crate::NoteKind) -> usize {
    notes.iter().filter(|note| note.kind == kind).count()
}

#[cfg(test)]
mod tests;
