//! Names of things: one newtype per kind, so that a region can never be looked up as a zone.
//!
//! An id is 1 to [`MAX_ID_LEN`] bytes of lower-case letters, digits, `-`, `_` and `.`, beginning
//! with a letter or a digit. Ids end up in store keys, metric labels and file names, so the
//! alphabet holds nothing that any of those would have to escape. They share their text
//! (`Arc<str>`): a clone is a counter.
//!
//! [`RegionIdx`], [`EndpointIdx`] and [`ServiceIdx`] are positions in the sorted vectors of one
//! [`Topology`](crate::Topology). They mean nothing beside another topology.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest id, in bytes: a DNS label, because regions and services become parts of names.
pub const MAX_ID_LEN: usize = 63;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// There is no text.
    #[error("an id may not be empty")]
    Empty,
    /// The text is longer than [`MAX_ID_LEN`] bytes.
    #[error("an id has at most {MAX_ID_LEN} characters, this one has {len}")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// A character outside the alphabet.
    #[error("`{found}` may not stand in an id (allowed: a-z, 0-9, `-`, `_`, `.`)")]
    Character {
        /// The first offending character.
        found: char,
    },
    /// The first character is not a letter or a digit.
    #[error("an id begins with a letter or a digit, not with `{found}`")]
    FirstCharacter {
        /// The first character.
        found: char,
    },
}

fn check_id(text: &str) -> Result<(), IdError> {
    let first = text.chars().next().ok_or(IdError::Empty)?;
    if let Some(found) = text
        .chars()
        .find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-' | '_' | '.'))
    {
        return Err(IdError::Character { found });
    }
    if !first.is_ascii_alphanumeric() {
        return Err(IdError::FirstCharacter { found: first });
    }
    if text.len() > MAX_ID_LEN {
        return Err(IdError::TooLong { len: text.len() });
    }
    Ok(())
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident: $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// What this id names, in words for messages.
            pub const WHAT: &'static str = $what;

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                check_id(text)?;
                Ok(Self(Arc::from(text)))
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    )*};
}

ids! {
    /// A place with endpoints.
    RegionId: "region";
    /// A failure domain inside a region.
    ZoneId: "zone";
    /// An address that serves services.
    EndpointId: "endpoint";
    /// What clients ask for.
    ServiceId: "service";
    /// One of our own machines.
    NodeId: "edge node";
    /// How an endpoint is chosen.
    PolicyId: "policy";
    /// Who runs a region: `aws`, `gcp`, `azure`, or a name of the operator's own.
    ProviderId: "provider";
    /// A group of clients that the operator names by address ranges.
    GroupId: "client group";
    /// A compliance or placement label, such as `gdpr` or `pci`.
    Label: "label";
}

macro_rules! indices {
    ($($(#[$doc:meta])* $name:ident($int:ty);)*) => {$(
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $int);

        impl $name {
            /// The position as an array index.
            #[must_use]
            pub const fn index(self) -> usize {
                self.0 as usize
            }

            /// The index at a position; `None` beyond what the integer can hold.
            #[must_use]
            pub fn from_index(index: usize) -> Option<Self> {
                index.try_into().ok().map(Self)
            }
        }
    )*};
}

indices! {
    /// Position in [`Topology::regions`](crate::Topology::regions).
    RegionIdx(u16);
    /// Position in [`Topology::endpoints`](crate::Topology::endpoints).
    EndpointIdx(u32);
    /// Position in [`Topology::services`](crate::Topology::services).
    ServiceIdx(u16);
}

#[cfg(test)]
mod tests;
