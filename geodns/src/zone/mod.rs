//! Authoritative data: an immutable tree of zones, built when a plan is published and only read
//! afterwards.
//!
//! The tree knows names and record sets and nothing of steering: a steered name carries a number
//! ([`SteeredIdx`]) that its builder chose. Anything that can produce names and record data can
//! build it (today the topology; master files and transfers use the same [`ZoneTreeBuilder`]).

mod build;
mod rrset;
mod tree;

use std::fmt;

use thiserror::Error;

pub(crate) use build::wire_name;
pub use build::{NS_SET_BYTES_MAX, ZoneTreeBuilder};
pub use rrset::RrSet;
pub use tree::{
    CNAME_CHAIN_MAX, Cut, Found, Glue, Node, NodeIdx, SteeredIdx, Zone, ZoneIdx, ZoneTree,
};

use crate::wire::RType;

/// Why a name or record could not be put into the tree. The rest of the tree is served without it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ZoneError {
    /// Not a domain name.
    #[error("`{text}` is not a domain name: {reason}")]
    Name {
        /// The text as configured.
        text: String,
        /// What the parser said.
        reason: String,
    },
    /// No zone of ours contains the name.
    #[error("`{name}` is in none of the zones")]
    OutOfZone {
        /// The name.
        name: DisplayName,
    },
    /// Two zones have one origin.
    #[error("zone `{origin}` is given twice")]
    ZoneTwice {
        /// The origin.
        origin: DisplayName,
    },
    /// A CNAME stands beside other data (RFC 1034 §3.6.2).
    #[error("`{name}` has a CNAME and other records")]
    CnameAndOther {
        /// The owner.
        name: DisplayName,
    },
    /// A steered name has static addresses or a CNAME: which should be answered?
    #[error("`{name}` is steered and has static {rtype} records")]
    SteeredAndStatic {
        /// The owner.
        name: DisplayName,
        /// The static type.
        rtype: DisplayType,
    },
    /// Two services want one name.
    #[error("`{name}` is steered by two services")]
    SteeredTwice {
        /// The owner.
        name: DisplayName,
    },
    /// A name below a delegation is the child zone's (RFC 1034 §4.2.1).
    #[error("`{name}` is steered but lies below the delegation at `{cut}`")]
    BelowCut {
        /// The owner.
        name: DisplayName,
        /// The delegated name.
        cut: DisplayName,
    },
    /// A record set beyond what one message can carry.
    #[error("the {rtype} records of `{name}` are {bytes} bytes, more than {bytes_max}")]
    TooLarge {
        /// The owner.
        name: DisplayName,
        /// The type.
        rtype: DisplayType,
        /// Their size on the wire.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// hickory-proto could not encode the data.
    #[error("a {rtype} record of `{name}` cannot be encoded: {reason}")]
    Encode {
        /// The owner.
        name: DisplayName,
        /// The type.
        rtype: DisplayType,
        /// What the encoder said.
        reason: String,
    },
}

/// A wire name that prints as text with a trailing dot.
#[derive(Clone, PartialEq, Eq)]
pub struct DisplayName(pub Box<[u8]>);

impl fmt::Display for DisplayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = &*self.0;
        if rest.first().is_none_or(|length| *length == 0) {
            return f.write_str(".");
        }
        while let Some((&length, after)) = rest.split_first()
            && length != 0
        {
            let (label, next) = after.split_at(usize::from(length).min(after.len()));
            write!(f, "{}.", label.escape_ascii())?;
            rest = next;
        }
        Ok(())
    }
}

impl fmt::Debug for DisplayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A record type that prints as its mnemonic.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DisplayType(pub RType);

impl fmt::Display for DisplayType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", hickory_proto::rr::RecordType::from(self.0.0))
    }
}

impl fmt::Debug for DisplayType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests;
