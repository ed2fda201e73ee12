//! Authoritative data: immutable zones, built when their data changes and only read afterwards.
//!
//! [`StaticZone`] is one zone's names and records, from whatever source; [`ZoneShelf`] collects
//! those that do not come from the topology; [`ZoneSet`] is what a server answers from: all zones,
//! each with its steered names laid over it ([`ServedZone`]). Nothing here knows what steering
//! means: a steered name carries a number ([`SteeredIdx`]) that its builder chose.

mod build;
mod data;
mod denial;
mod names;
mod rrset;
mod served;
mod set;
mod shelf;
mod static_zone;

use std::fmt;

use thiserror::Error;

pub use build::{NS_SET_BYTES_MAX, PROBLEMS_MAX, StaticZoneBuilder};
pub(crate) use data::{is_within, name_at};
pub use denial::{
    Absence, Denial, NSEC3_BLOCKS_MAX, NSEC3_HASH_BYTES, Nsec3Chain, Nsec3Link, Nsec3Params,
    PROOFS_MAX, Proof,
};
pub use names::canonical_order;
pub(crate) use names::{hash_of, is_same};
pub use rrset::{RrSet, Signatures, Target};
pub use served::{Case, Found, NodeView, ServedZone, SteeredIdx};
pub use set::{ZoneSet, ZoneSetBuilder};
pub use shelf::{Claimed, ShelfSnapshot, Shelved, ZoneShelf, ZoneSource};
pub use static_zone::{Cover, Node, NodeIdx, RecordRef, StaticZone};

/// CNAMEs and DNAMEs followed inside our zones for one question; a longer chain ends the answer
/// there, and the resolver asks on. It also ends loops.
pub const CNAME_CHAIN_MAX: usize = 8;

use crate::wire::RType;

/// Why a name or record could not be put into the tree. The rest of the tree is served without it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ZoneError {
    /// An id that cannot be a label, in the name of an SRV record's target.
    #[error("`{text}` cannot be the target of SRV records: {reason}")]
    Target {
        /// The name as composed.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A zone under `dns.dnssec.zones` came with signatures or keys of its own.
    #[error(
        "zone `{origin}` is under `dns.dnssec.zones` and its data came signed: it is served as it came; take it out of the list, or have it delivered unsigned"
    )]
    SignedAlready {
        /// The origin.
        origin: DisplayName,
    },
    /// A steered name in a zone that came signed: its signatures do not cover what steering answers.
    #[error(
        "`{name}` is steered and its zone `{origin}` came signed: steered answers go out without signatures, and validating resolvers refuse them; have the zone delivered unsigned and list it under `dns.dnssec.zones`, or delegate `{name}` to a zone of its own"
    )]
    SteeredAndSigned {
        /// The name.
        name: DisplayName,
        /// The zone's origin.
        origin: DisplayName,
    },
    /// NSEC3 records whose hashes would let strangers keep this server busy.
    #[error(
        "zone `{origin}` came with NSEC3 of {iterations} iterations and a salt of {salt_bytes} bytes: so many hashes for each question are not made (RFC 9276), so nothing in it is proved absent and validating resolvers refuse its negative answers; have it signed with 0 iterations and no salt"
    )]
    Nsec3TooCostly {
        /// The origin.
        origin: DisplayName,
        /// Iterations beside the first.
        iterations: u16,
        /// Length of the salt.
        salt_bytes: usize,
    },
    /// NSEC3 records that nothing says how to use.
    #[error(
        "zone `{origin}` came with NSEC3 records and no NSEC3PARAM at its apex that fits them: nothing in it is proved absent, and validating resolvers refuse its negative answers"
    )]
    Nsec3WithoutParameters {
        /// The origin.
        origin: DisplayName,
    },
    /// A chain of NSEC or NSEC3 records that was not signed as a whole.
    #[error(
        "the NSEC or NSEC3 record of `{name}` does not lead to the next one: validating resolvers refuse what is denied by it; sign the zone again"
    )]
    DenialGap {
        /// The owner.
        name: DisplayName,
    },
    /// A zone under `dns.dnssec.zones` is not served here.
    #[error("zone `{origin}` is under `dns.dnssec.zones` and is none of the zones")]
    NothingToSign {
        /// The origin.
        origin: DisplayName,
    },
    /// A zone without a start of authority.
    #[error("zone `{origin}` has no SOA record")]
    NoSoa {
        /// The origin.
        origin: DisplayName,
    },
    /// A zone that names no servers: resolvers cannot keep it.
    #[error("zone `{origin}` has no NS records at its apex")]
    NoNs {
        /// The origin.
        origin: DisplayName,
    },
    /// An SOA belongs to the apex.
    #[error("`{name}` has an SOA but is not the apex of its zone")]
    SoaBelowApex {
        /// The owner.
        name: DisplayName,
    },
    /// There is one of these at a name; the first is served.
    #[error("`{name}` has several {rtype} records; the first is served")]
    Several {
        /// The owner.
        name: DisplayName,
        /// The type.
        rtype: DisplayType,
    },
    /// Data that is not of its type's shape.
    #[error("a {rtype} record of `{name}` is malformed")]
    Malformed {
        /// The owner.
        name: DisplayName,
        /// The type.
        rtype: DisplayType,
    },
    /// An RRSIG without the records it signs.
    #[error("`{name}` has an RRSIG over {rtype} records that it does not have")]
    SignatureOfNothing {
        /// The owner.
        name: DisplayName,
        /// The covered type.
        rtype: DisplayType,
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
    /// An ALIAS stands beside addresses.
    #[error("`{name}` has an ALIAS and addresses; the addresses are served: keep one of the two")]
    AliasAndAddresses {
        /// The owner.
        name: DisplayName,
    },
    /// An ALIAS leads to its own name.
    #[error("`{name}` has an ALIAS to itself, which has no addresses: name another target")]
    AliasOfItself {
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
        write!(f, "{}", meridian_topology::rdata::RTypeName(self.0.0))
    }
}

impl fmt::Debug for DisplayType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests;
