//! The bearer token: made once, kept in a file that only the node's user can read.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Bytes of randomness in a token; it is written in hexadecimal.
const RANDOM_BYTES: usize = 32;

/// A secret that is never printed.
#[derive(Clone)]
pub struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

impl Token {
    /// Reads the token of `path`, or makes one there with mode 0600.
    ///
    /// # Errors
    /// The operating system's; an empty or oversized file is `InvalidData`.
    pub fn load_or_create(path: &Path) -> std::io::Result<Self> {
        match std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
        {
            Ok(mut file) => {
                let token = Self(random_hex()?);
                file.write_all(token.0.as_bytes())?;
                file.sync_all()?;
                Ok(token)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Self::load(path),
            Err(error) => Err(error),
        }
    }

    /// Reads the token of `path`.
    pub fn load(path: &Path) -> std::io::Result<Self> {
        let mut text = String::new();
        std::fs::File::open(path)?
            .take(1024)
            .read_to_string(&mut text)?;
        let token = text.trim();
        if token.len() < RANDOM_BYTES {
            let message = format!(
                "{}: the token is too short; delete the file to make a new one",
                path.display()
            );
            return Err(std::io::Error::new(ErrorKind::InvalidData, message));
        }
        Ok(Self(token.to_owned()))
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

fn random_hex() -> std::io::Result<String> {
    let mut bytes = [0; RANDOM_BYTES];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
