//! Which server this is: NSID (RFC 5001) and the CHAOS names that BIND made a custom (RFC 4892).
//!
//! `id.server.` and `hostname.bind.` answer the server's id, `version.bind.` and `version.server.` a
//! version. Both are off unless they are written down: a version helps whoever looks for old servers
//! most, and an id is a name of the operator's choice.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::ConfigError;
use crate::wire::{Owner, RType};

/// Longest id or version: one character string of a TXT record.
pub const IDENTITY_BYTES_MAX: usize = 255;

/// Class CHAOS (RFC 1035 §3.2.4).
const CHAOS: u16 = 3;

/// What the server says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IdentityConfig {
    /// Answered to NSID and to `id.server` and `hostname.bind` in class CHAOS; at most 255 bytes.
    /// Default: nothing.
    pub id: Option<String>,
    /// Answered to `version.bind` and `version.server` in class CHAOS; at most 255 bytes. Default:
    /// nothing.
    pub version: Option<String>,
}

impl IdentityConfig {
    /// Checks the lengths and makes the answers.
    pub(crate) fn validate(&self) -> Result<Identity, ConfigError> {
        let text = |field, text: &str| {
            crate::config::in_range(field, text.len(), 0..=IDENTITY_BYTES_MAX)?;
            Ok::<_, ConfigError>((!text.is_empty()).then(|| Said::new(text.as_bytes())))
        };
        let id = self.id.as_deref().unwrap_or_default();
        Ok(Identity {
            id: text("identity.id", id)?,
            version: text(
                "identity.version",
                self.version.as_deref().unwrap_or_default(),
            )?,
        })
    }
}

/// The answers about the server itself; by default none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    id: Option<Said>,
    version: Option<Said>,
}

/// A text and the TXT record that says it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    text: Box<[u8]>,
    record: Box<[u8]>,
}

impl Said {
    fn new(text: &[u8]) -> Self {
        let mut record = Owner::QUESTION.pointer().to_vec();
        record.extend(RType::TXT.0.to_be_bytes());
        record.extend(CHAOS.to_be_bytes());
        // TTL 0: nobody gains from keeping it.
        record.extend([0; 4]);
        // At most 255.
        record.extend([0, 0]);
        let data_bytes = 1 + text.len() as u16;
        let end = record.len();
        record[end - 2..].copy_from_slice(&data_bytes.to_be_bytes());
        record.push(text.len() as u8);
        record.extend_from_slice(text);
        Self {
            text: text.into(),
            record: record.into(),
        }
    }
}

impl Identity {
    /// What NSID says.
    pub(crate) fn nsid(&self) -> Option<&[u8]> {
        self.id.as_ref().map(|said| &*said.text)
    }

    /// The TXT record of a lowercased name in class CHAOS; `None` for a name that says nothing.
    pub(crate) fn chaos(&self, name: &[u8]) -> Option<&[u8]> {
        let said = match name {
            b"\x02id\x06server\0" | b"\x08hostname\x04bind\0" => &self.id,
            b"\x07version\x04bind\0" | b"\x07version\x06server\0" => &self.version,
            _ => return None,
        };
        said.as_ref().map(|said| &*said.record)
    }
}

#[cfg(test)]
mod tests;
