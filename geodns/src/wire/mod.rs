//! The DNS wire format as this server needs it on the packet path: a query read in place, a
//! response written straight into the caller's buffer.
//!
//! hickory-proto encodes record data when a zone is built and decodes our packets in the tests; it
//! is not used per packet because it allocates for every name and message. What is here is only
//! what an authoritative server must read (header, one question, OPT, client subnet) and write.
//!
//! Limits: one question per message, [`ADDITIONALS_MAX`] additional records in a query, names up to
//! [`NAME_BYTES_MAX`] bytes.

mod ecs;
mod fresh;
mod name;
mod opt;
mod options;
mod query;
mod write;

pub use ecs::{ClientSubnet, EcsError, FAMILY_IPV4, FAMILY_IPV6, FAMILY_NONE};
pub use fresh::freshness_seconds;
pub use name::{LowerName, NameError, label_count, parent_of};
pub use opt::{OptReply, PADDING_BLOCK_BYTES};
pub use options::{CLIENT_COOKIE_BYTES, Cookie, SERVER_COOKIE_BYTES, ServerCookie};
pub use query::{
    ADDITIONALS_MAX, Edns, Header, OPT_RECORD_BYTES, Query, QueryRoom, Question, Rejection,
};
pub use write::{
    Authority, ExtendedError, Full, Mark, Owner, RECORD_HEAD_BYTES, ResponseWriter, Section,
    TargetAt,
};

/// Bytes of a message header (RFC 1035 §4.1.1).
pub const HEADER_BYTES: usize = 12;
/// Longest name on the wire, root byte included (RFC 1035 §2.3.4).
pub const NAME_BYTES_MAX: usize = 255;
/// Largest UDP response for a client without EDNS (RFC 1035 §4.2.1).
pub const PLAIN_UDP_BYTES_MAX: usize = 512;
/// Largest message over TCP: the length prefix has 16 bits (RFC 1035 §4.2.2).
pub const TCP_BYTES_MAX: usize = 65_535;

/// A record or question type. A number, not an enum: an unknown type is answered like a known one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RType(pub u16);

impl RType {
    /// IPv4 address (RFC 1035).
    pub const A: Self = Self(1);
    /// Name server (RFC 1035).
    pub const NS: Self = Self(2);
    /// Canonical name (RFC 1035).
    pub const CNAME: Self = Self(5);
    /// Start of authority (RFC 1035).
    pub const SOA: Self = Self(6);
    /// Pointer (RFC 1035).
    pub const PTR: Self = Self(12);
    /// Mail exchange (RFC 1035).
    pub const MX: Self = Self(15);
    /// Text (RFC 1035).
    pub const TXT: Self = Self(16);
    /// IPv6 address (RFC 3596).
    pub const AAAA: Self = Self(28);
    /// Service (RFC 2782).
    pub const SRV: Self = Self(33);
    /// Alias of a whole tree (RFC 6672).
    pub const DNAME: Self = Self(39);
    /// EDNS pseudo-record (RFC 6891).
    pub const OPT: Self = Self(41);
    /// Delegation signer: the one type the parent side of a cut answers (RFC 4035 §3.1.4.1).
    pub const DS: Self = Self(43);
    /// Signature of a record set (RFC 4034).
    pub const RRSIG: Self = Self(46);
    /// The next name of a signed zone (RFC 4034).
    pub const NSEC: Self = Self(47);
    /// Key of a signed zone (RFC 4034).
    pub const DNSKEY: Self = Self(48);
    /// The next hashed name of a signed zone (RFC 5155).
    pub const NSEC3: Self = Self(50);
    /// How the names of a signed zone are hashed (RFC 5155).
    pub const NSEC3PARAM: Self = Self(51);
    /// Service binding (RFC 9460).
    pub const SVCB: Self = Self(64);
    /// Service binding for HTTP (RFC 9460).
    pub const HTTPS: Self = Self(65);
    /// The DS a child asks its parent for (RFC 7344).
    pub const CDS: Self = Self(59);
    /// The key a child asks its parent to point at (RFC 7344).
    pub const CDNSKEY: Self = Self(60);
    /// In the types of an NSEC record: the name does not exist (RFC 9824).
    pub const NXNAME: Self = Self(128);
    /// A name that stands for addresses found elsewhere: never on the wire.
    pub const ALIAS: Self = Self(meridian_topology::rdata::ALIAS);
    /// Key agreement, a meta type (RFC 2930).
    pub const TKEY: Self = Self(249);
    /// Transaction signature, a meta type (RFC 8945).
    pub const TSIG: Self = Self(250);
    /// Incremental transfer (RFC 1995).
    pub const IXFR: Self = Self(251);
    /// Full transfer (RFC 5936).
    pub const AXFR: Self = Self(252);
    /// Obsolete mailbox question (RFC 1035).
    pub const MAILB: Self = Self(253);
    /// Obsolete mail agent question (RFC 1035).
    pub const MAILA: Self = Self(254);
    /// Any type, answered minimally (RFC 8482).
    pub const ANY: Self = Self(255);
}

/// A record or question class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class(pub u16);

impl Class {
    /// The Internet, the only class served.
    pub const IN: Self = Self(1);
    /// CHAOS: questions about the server itself (RFC 4892).
    pub const CHAOS: Self = Self(3);
}

/// The operation a message asks for (RFC 1035 §4.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opcode(pub u8);

impl Opcode {
    /// A standard query.
    pub const QUERY: Self = Self(0);
    /// A zone has changed (RFC 1996).
    pub const NOTIFY: Self = Self(4);
    /// A dynamic update (RFC 2136).
    pub const UPDATE: Self = Self(5);

    /// Whether the packet path leaves messages of this kind to the slow one.
    #[must_use]
    pub fn is_slow(self) -> bool {
        matches!(self, Self::NOTIFY | Self::UPDATE)
    }
}

/// A response code this server sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Rcode {
    /// The name exists; the answer section may still be empty (NODATA).
    NoError = 0,
    /// The query could be read in part only.
    FormErr = 1,
    /// A steered name for which nothing may be answered now.
    ServFail = 2,
    /// The name does not exist.
    NxDomain = 3,
    /// An operation we do not have.
    NotImp = 4,
    /// A name, class or transfer we do not serve.
    Refused = 5,
    /// A name exists that a dynamic update wants absent (RFC 2136 §2.2), or a DNAME would make a name
    /// too long (RFC 6672 §2.2).
    YxDomain = 6,
    /// A record set exists that a dynamic update wants absent (RFC 2136 §2.2).
    YxRrset = 7,
    /// A record set is missing that a dynamic update wants present (RFC 2136 §2.2).
    NxRrset = 8,
    /// Not our zone, or a signature we do not accept (RFC 2136 §2.2, RFC 8945 §5.2).
    NotAuth = 9,
    /// A name of a dynamic update outside its zone (RFC 2136 §2.2).
    NotZone = 10,
    /// An EDNS version above 0 (RFC 6891 §6.1.3).
    BadVers = 16,
    /// The server cookie is missing or wrong, and policy asks for one (RFC 7873 §8).
    BadCookie = 23,
}

impl Rcode {
    /// Every code, in the order of [`Rcode::index`].
    pub const ALL: [Self; 13] = [
        Self::NoError,
        Self::FormErr,
        Self::ServFail,
        Self::NxDomain,
        Self::NotImp,
        Self::Refused,
        Self::YxDomain,
        Self::YxRrset,
        Self::NxRrset,
        Self::NotAuth,
        Self::NotZone,
        Self::BadVers,
        Self::BadCookie,
    ];

    /// Position in [`Rcode::ALL`]: what arrays of counters are indexed by.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::NoError => 0,
            Self::FormErr => 1,
            Self::ServFail => 2,
            Self::NxDomain => 3,
            Self::NotImp => 4,
            Self::Refused => 5,
            Self::YxDomain => 6,
            Self::YxRrset => 7,
            Self::NxRrset => 8,
            Self::NotAuth => 9,
            Self::NotZone => 10,
            Self::BadVers => 11,
            Self::BadCookie => 12,
        }
    }

    /// The mnemonic that dig prints and the metrics carry.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoError => "NOERROR",
            Self::FormErr => "FORMERR",
            Self::ServFail => "SERVFAIL",
            Self::NxDomain => "NXDOMAIN",
            Self::NotImp => "NOTIMP",
            Self::Refused => "REFUSED",
            Self::YxDomain => "YXDOMAIN",
            Self::YxRrset => "YXRRSET",
            Self::NxRrset => "NXRRSET",
            Self::NotAuth => "NOTAUTH",
            Self::NotZone => "NOTZONE",
            Self::BadVers => "BADVERS",
            Self::BadCookie => "BADCOOKIE",
        }
    }

    /// The four bits that go into the header; the rest goes into OPT.
    #[must_use]
    pub const fn low_bits(self) -> u8 {
        (self as u16 & 0x0f) as u8
    }

    /// The eight bits that go into OPT's extended code (RFC 6891 §6.1.3).
    #[must_use]
    pub const fn high_bits(self) -> u8 {
        (self as u16 >> 4) as u8
    }
}

/// Big-endian 16 bits at `at`, or `None` past the end.
fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let pair = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes([pair[0], pair[1]]))
}

#[cfg(test)]
mod tests;
