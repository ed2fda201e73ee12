//! The secrets behind cookies: random and turned over by the clock, or from a file that an anycast
//! set shares.
//!
//! A file has one secret a line, 32 hexadecimal digits, `#` begins a comment. The first signs, all
//! verify: a set of servers rolls over by adding the next secret as the last line everywhere, then
//! moving it to the top everywhere, then dropping the old one. The file is read again every
//! [`FILE_POLL`]; one that cannot be read leaves the secrets in force.
//!
//! A random secret is kept as the second for one more turn, so no cookie dies of a rotation.
//! Secrets are never logged; their `Debug` says only how many there are.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use arc_swap::ArcSwap;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use super::GuardError;
use super::config::CookieSettings;

/// Most secrets in force: old, present, next and one to spare.
pub(super) const SECRETS_MAX: usize = 4;
/// How often the file is read.
const FILE_POLL: Duration = Duration::from_secs(5);
/// Largest file read.
const FILE_BYTES_MAX: u64 = 4096;

/// One secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Secret([u8; 16]);

impl Secret {
    pub(super) const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    pub(super) fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// The secrets in force: the first signs, all verify.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secrets {
    signing: Secret,
    verifying: Vec<Secret>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Secrets({})", 1 + self.verifying.len())
    }
}

impl Secrets {
    pub(super) const fn one(secret: Secret) -> Self {
        Self {
            signing: secret,
            verifying: Vec::new(),
        }
    }

    pub(super) fn signing(&self) -> &Secret {
        &self.signing
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.signing).chain(&self.verifying)
    }

    /// A new secret signs, the last one still verifies.
    fn turned(&self, signing: Secret) -> Self {
        Self {
            signing,
            verifying: vec![self.signing],
        }
    }

    /// Reads the file's text.
    fn parse(file: &Path, text: &str) -> Result<Self, SecretError> {
        let mut secrets = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let mut bytes = [0; 16];
            hex::decode_to_slice(line, &mut bytes).map_err(|_| SecretError::Line {
                file: file.to_owned(),
                line: at + 1,
            })?;
            secrets.push(Secret(bytes));
        }
        let count = secrets.len();
        let mut secrets = secrets.into_iter();
        match secrets.next() {
            Some(signing) if count <= SECRETS_MAX => Ok(Self {
                signing,
                verifying: secrets.collect(),
            }),
            _ => Err(SecretError::Count {
                file: file.to_owned(),
                count,
            }),
        }
    }

    fn read(file: &Path) -> Result<Self, SecretError> {
        let unreadable = |source| SecretError::Read {
            file: file.to_owned(),
            source,
        };
        let bytes = fs::metadata(file).map_err(unreadable)?.len();
        if bytes > FILE_BYTES_MAX {
            return Err(SecretError::TooLarge {
                file: file.to_owned(),
                bytes,
            });
        }
        Self::parse(file, &fs::read_to_string(file).map_err(unreadable)?)
    }
}

/// A file of secrets that cannot be used. No variant carries what the file says.
#[derive(Debug, Error)]
pub enum SecretError {
    /// It could not be read.
    #[error("`secret_file` {}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is larger than any such file.
    #[error("`secret_file` {}: {bytes} bytes, more than {FILE_BYTES_MAX}", file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// A line is not a secret.
    #[error(
        "`secret_file` {} line {line}: not 32 hexadecimal digits; `openssl rand -hex 16` makes some",
        file.display()
    )]
    Line {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// None, or too many.
    #[error("`secret_file` {}: {count} secrets, allowed is 1 to {SECRETS_MAX}", file.display())]
    Count {
        /// The file.
        file: PathBuf,
        /// How many.
        count: usize,
    },
}

/// Where secrets come from, and when they change.
#[derive(Debug)]
pub(super) enum Keeper {
    /// From a file that is read again and again.
    File(PathBuf),
    /// At random, a new one every so often.
    Random(Duration),
    /// They do not.
    Never,
}

impl Keeper {
    pub(super) fn new(settings: &CookieSettings) -> Self {
        match &settings.secret_file {
            Some(file) => Self::File(file.clone()),
            None => Self::Random(settings.rotate),
        }
    }

    pub(super) fn first(&self) -> Result<Secrets, GuardError> {
        Ok(match self {
            Self::File(file) => Secrets::read(file)?,
            Self::Random(_) | Self::Never => Secrets::one(Secret::random()?),
        })
    }

    pub(super) async fn keep(&self, secrets: &ArcSwap<Secrets>, shutdown: CancellationToken) {
        let every = match self {
            Self::File(_) => FILE_POLL,
            Self::Random(every) => *every,
            Self::Never => return,
        };
        let mut failing = false;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(every) => {}
            }
            match self.next(&secrets.load()) {
                Ok(Some(next)) => {
                    tracing::info!(secrets = ?next, "dns: new cookie secrets");
                    secrets.store(next.into());
                    failing = false;
                }
                Ok(None) => failing = false,
                // Once for each failure that lasts, not every few seconds.
                Err(error) if !failing => {
                    tracing::error!(%error, "dns: the last cookie secrets stay in force");
                    failing = true;
                }
                Err(_) => {}
            }
        }
    }

    /// The secrets that follow `now`, if it is time for others. A file this small is read in place.
    fn next(&self, now: &Secrets) -> Result<Option<Secrets>, GuardError> {
        let next = match self {
            Self::File(file) => Secrets::read(file)?,
            Self::Random(_) => now.turned(Secret::random()?),
            Self::Never => return Ok(None),
        };
        Ok((next != *now).then_some(next))
    }
}

#[cfg(test)]
mod tests;
