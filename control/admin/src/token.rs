//! The bearer token: made once, kept in a file that only the node's user can read.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

#[cfg(test)]
mod tests;

/// Bytes of randomness in a token; it is written in hexadecimal.
const RANDOM_BYTES: usize = 32;
/// A file with more than this is no token.
const FILE_BYTES_MAX: u64 = 1_024;

/// A secret that is never printed.
#[derive(Clone)]
pub struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

impl Token {
    /// Reads the token of `path`, or makes one there with mode 0600. A file that others may read is
    /// used, with a warning: its owner may have reasons.
    ///
    /// # Errors
    /// The operating system's; a file that holds no token is `InvalidData`.
    pub fn load_or_create(path: &Path) -> Result<Self> {
        let token = match Self::load(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Self::create(path)?,
            loaded => loaded?,
        };
        let mode = std::fs::metadata(path)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            tracing::warn!(path = %path.display(), mode = format_args!("{mode:o}"), "others may read the admin token");
        }
        Ok(token)
    }

    /// Writes beside and links into place: the file appears whole, and two nodes that start at once
    /// end up with the same token.
    fn create(path: &Path) -> Result<Self> {
        let token = random_hex(RANDOM_BYTES)?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}", random_hex(8)?));
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&beside)?;
            file.write_all(token.as_bytes())?;
            file.sync_all()?;
            match std::fs::hard_link(&beside, path) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
                _made_or_there => Ok(()),
            }
        };
        let written = write();
        // The link stays; without one there is nothing worth keeping.
        let _cannot_be_helped = std::fs::remove_file(&beside);
        written?;
        Self::load(path)
    }

    /// Reads the token of `path`.
    ///
    /// # Errors
    /// The operating system's; a file that holds no token is `InvalidData`.
    pub fn load(path: &Path) -> Result<Self> {
        let mut bytes = Vec::new();
        File::open(path)?
            .take(FILE_BYTES_MAX + 1)
            .read_to_end(&mut bytes)?;
        let wrong = |what: &str| {
            let message = format!(
                "{}: the token is {what}; delete the file and restart the node to make a new one",
                path.display()
            );
            Error::new(ErrorKind::InvalidData, message)
        };
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(wrong("too long"));
        }
        let token = bytes.trim_ascii();
        if token.len() < RANDOM_BYTES {
            return Err(wrong("too short"));
        }
        match std::str::from_utf8(token) {
            Ok(token) if token.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Ok(Self(token.to_owned()))
            }
            _ => Err(wrong("not plain text")),
        }
    }

    /// Whether `presented` is the token. Compares digests, so that the time taken tells nothing of the secret.
    pub fn matches(&self, presented: &str) -> bool {
        blake3::hash(self.0.as_bytes()) == blake3::hash(presented.as_bytes())
    }

    /// The `Authorization` header that presents it.
    pub fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

fn random_hex(bytes: usize) -> Result<String> {
    let mut random = vec![0; bytes];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}
