//! The folder of keys: one folder a zone, `keys.json` with the facts and a PEM file per private key.
//!
//! Files are written whole (a temporary file, synced, renamed) and private keys with mode 0600 from
//! the first byte on. A private key that others can read is refused. What is read of a private key is
//! wiped from memory when it has been turned into a signing key; nothing of it is ever in an error.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use thiserror::Error;
use zeroize::Zeroizing;

use super::key::{Algorithm, KeyError, KeyRole, SigningKey};
use super::lifecycle::{FACTS_VERSION, KeyFacts, KeyState, NewKey, ZoneFacts};

/// The facts' file in a zone's folder.
pub const FACTS_FILE: &str = "keys.json";
/// Largest file read: keys and facts are far smaller.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Tries for a key whose tag no other key of the zone has.
const TAG_TRIES: usize = 16;
/// Characters in a line of PEM (RFC 7468 §2).
const PEM_LINE: usize = 64;

/// A key folder that cannot be read or written.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The system said no.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The facts are no facts.
    #[error("{path}: {reason}; restore the file from a backup, `meridian dns keys` wrote it")]
    Facts {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Others may read a private key.
    #[error("{path}: mode {mode:04o} lets others read a private key; run `chmod 600 {path}`")]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not a private key.
    #[error("{path}: {source}; expected a PKCS#8 file, PEM (`BEGIN PRIVATE KEY`) or DER")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyError,
    },
    /// The file is not the key the facts speak of.
    #[error(
        "{path} is key {found}, and {FACTS_FILE} says it is {expected}; restore the file from a backup"
    )]
    Swapped {
        /// The file.
        path: PathBuf,
        /// The tag by the facts.
        expected: u16,
        /// The tag of the file.
        found: u16,
    },
    /// Another command works on the zone's keys.
    #[error(
        "another `meridian dns keys` command works on {zone} (it holds {path}); try again when it has ended"
    )]
    Busy {
        /// The zone.
        zone: String,
        /// The lock's file.
        path: PathBuf,
    },
    /// No usable tag was found.
    #[error("every key generated for {zone} had the tag of another; try again")]
    Tags {
        /// The zone.
        zone: String,
    },
}

/// The folder of all zones' keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFolder {
    root: PathBuf,
}

impl KeyFolder {
    /// Keys under `root`, which need not exist yet.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.into() }
    }

    /// A zone's folder.
    #[must_use]
    pub fn zone_folder(&self, zone: &str) -> PathBuf {
        let name = zone.trim_end_matches('.');
        self.root.join(if name.is_empty() { "+root" } else { name })
    }

    /// The facts' file of a zone.
    #[must_use]
    pub fn facts_file(&self, zone: &str) -> PathBuf {
        self.zone_folder(zone).join(FACTS_FILE)
    }

    /// What is known of a zone's keys; `None` when it never had any.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn facts(&self, zone: &str) -> Result<Option<ZoneFacts>, StoreError> {
        let path = self.facts_file(zone);
        let bytes = match read(&path) {
            Ok(bytes) => bytes,
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let wrong = |reason: String| StoreError::Facts {
            path: path.clone(),
            reason,
        };
        let facts: ZoneFacts =
            serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        check(&facts, zone).map_err(wrong)?;
        Ok(Some(facts))
    }

    /// Writes the facts.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn save(&self, facts: &ZoneFacts) -> Result<(), StoreError> {
        let path = self.facts_file(&facts.zone);
        let mut text = serde_json::to_vec_pretty(facts).map_err(|error| StoreError::Facts {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        text.push(b'\n');
        let draft = path.with_extension("json.new");
        remove_if_there(&draft)?;
        write_new(&draft, &text, 0o644)?;
        fs::rename(&draft, &path).map_err(at(&path))?;
        sync_folder(&self.zone_folder(&facts.zone))
    }

    /// Makes a private key and its file; the facts are the caller's to save.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn generate(
        &self,
        facts: &ZoneFacts,
        algorithm: Algorithm,
        role: KeyRole,
    ) -> Result<NewKey, StoreError> {
        let folder = self.zone_folder(&facts.zone);
        let wrong = |source| StoreError::Key {
            path: folder.clone(),
            source,
        };
        for _ in 0..TAG_TRIES {
            let pkcs8 = SigningKey::generate(algorithm).map_err(wrong)?;
            let key = SigningKey::from_pkcs8(&pkcs8, algorithm, role).map_err(wrong)?;
            if !facts.keys.iter().any(|other| other.tag == key.tag) {
                return self.add(&facts.zone, &key, &pkcs8);
            }
        }
        Err(StoreError::Tags {
            zone: facts.zone.clone(),
        })
    }

    /// Copies a private key from elsewhere into the zone's folder; the facts are the caller's to save.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn import(
        &self,
        zone: &str,
        from: &Path,
        algorithm: Algorithm,
        role: KeyRole,
    ) -> Result<NewKey, StoreError> {
        let pkcs8 = read_private(from)?;
        let key = parse(from, &pkcs8, algorithm, role)?;
        self.add(zone, &key, &pkcs8)
    }

    fn add(&self, zone: &str, key: &SigningKey, pkcs8: &[u8]) -> Result<NewKey, StoreError> {
        let folder = self.zone_folder(zone);
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        let file = format!("{}-{}.pem", key.tag, key.algorithm);
        write_new(&folder.join(&file), &pem(pkcs8), 0o600)?;
        sync_folder(&folder)?;
        Ok(NewKey {
            tag: key.tag,
            algorithm: key.algorithm,
            role: key.role,
            file,
        })
    }

    /// Reads a zone's private key.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn key(&self, zone: &str, facts: &KeyFacts) -> Result<SigningKey, StoreError> {
        let path = self.zone_folder(zone).join(&facts.file);
        let key = parse(&path, &read_private(&path)?, facts.algorithm, facts.role)?;
        if key.tag == facts.tag {
            Ok(key)
        } else {
            Err(StoreError::Swapped {
                path,
                expected: facts.tag,
                found: key.tag,
            })
        }
    }

    /// Deletes a private key's file; one that is gone already is no error.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn delete(&self, zone: &str, facts: &KeyFacts) -> Result<(), StoreError> {
        remove_if_there(&self.zone_folder(zone).join(&facts.file))
    }
}

/// What serde cannot see.
fn check(facts: &ZoneFacts, zone: &str) -> Result<(), String> {
    if facts.version != FACTS_VERSION {
        return Err(format!(
            "`version` is {}, this program reads {FACTS_VERSION}",
            facts.version
        ));
    }
    if facts.zone.trim_end_matches('.') != zone.trim_end_matches('.') {
        return Err(format!("`zone` is {}, expected {zone}", facts.zone));
    }
    for key in &facts.keys {
        let is_plain = Path::new(&key.file).file_name() == Some(key.file.as_ref());
        if !is_plain {
            return Err(format!("`file` of key {} is no plain file name", key.tag));
        }
    }
    let signers = facts
        .keys
        .iter()
        .filter(|key| key.state == KeyState::Active && key.role.signs_data())
        .count();
    if signers > 1 {
        return Err("more than one active key signs the zone's data".into());
    }
    Ok(())
}

fn parse(
    path: &Path,
    pkcs8: &[u8],
    algorithm: Algorithm,
    role: KeyRole,
) -> Result<SigningKey, StoreError> {
    SigningKey::from_pkcs8(pkcs8, algorithm, role).map_err(|source| StoreError::Key {
        path: path.into(),
        source,
    })
}

/// A private key's PKCS#8 form.
fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let mode = fs::metadata(path).map_err(at(path))?.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(StoreError::Mode {
            path: path.into(),
            mode,
        });
    }
    let bytes = Zeroizing::new(read(path)?);
    if !bytes.trim_ascii_start().starts_with(b"-----") {
        return Ok(bytes);
    }
    let key = PrivatePkcs8KeyDer::from_pem_slice(&bytes).map_err(|error| StoreError::Facts {
        path: path.into(),
        reason: error.to_string(),
    })?;
    Ok(Zeroizing::new(key.secret_pkcs8_der().to_vec()))
}

fn read(path: &Path) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(at(path))?;
    file.take(FILE_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(at(path))?;
    Ok(bytes)
}

fn pem(pkcs8: &[u8]) -> Zeroizing<Vec<u8>> {
    let text = Zeroizing::new(data_encoding::BASE64.encode(pkcs8));
    let mut pem = Zeroizing::new(Vec::with_capacity(text.len() + 128));
    pem.extend_from_slice(b"-----BEGIN PRIVATE KEY-----\n");
    for line in text.as_bytes().chunks(PEM_LINE) {
        pem.extend_from_slice(line);
        pem.push(b'\n');
    }
    pem.extend_from_slice(b"-----END PRIVATE KEY-----\n");
    pem
}

/// Writes a file that must not exist, with its mode from the start, down to the disk.
fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), StoreError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(at(path))?;
    file.write_all(bytes).map_err(at(path))?;
    file.sync_all().map_err(at(path))
}

fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    let opened = File::open(folder).map_err(at(folder))?;
    opened.sync_all().map_err(at(folder))
}

fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(StoreError::Io {
            path: path.into(),
            source,
        }),
        _ => Ok(()),
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError::Io {
        path: path.into(),
        source,
    }
}
