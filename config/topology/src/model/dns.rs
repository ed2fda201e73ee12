//! DNS names, zones and static records.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::rdata::RTypeName;
use crate::units::{Millis, Ttl};
use crate::words;

/// The longest name in text form (RFC 1035 section 2.3.4: 255 octets on the wire).
const MAX_NAME_LEN: usize = 253;
/// The longest label (RFC 1035 section 2.3.4).
const MAX_LABEL_LEN: usize = 63;

/// Why a text is not a DNS name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DnsNameError {
    /// There is no text.
    #[error("a DNS name may not be empty")]
    Empty,
    /// The name is too long.
    #[error("a DNS name has at most {MAX_NAME_LEN} characters, this one has {len}")]
    TooLong {
        /// Its length in characters.
        len: usize,
    },
    /// Two dots in a row, or one at the start.
    #[error("a label of a DNS name may not be empty: `{name}` has a dot too many")]
    EmptyLabel {
        /// The name as written.
        name: String,
    },
    /// A label is too long.
    #[error("the label `{label}` has {} characters; at most {MAX_LABEL_LEN} are allowed", .label.len())]
    LongLabel {
        /// The label.
        label: String,
    },
    /// A character that host names do not have.
    #[error("`{found}` may not stand in a DNS name")]
    Character {
        /// The first offending character.
        found: char,
    },
    /// A label begins or ends with a hyphen (RFC 952, RFC 1123 section 2.1).
    #[error("the label `{label}` begins or ends with a hyphen")]
    Hyphen {
        /// The label.
        label: String,
    },
}

/// An absolute DNS name in lower case without the final dot. Labels hold letters, digits,
/// hyphens and underscores; the leftmost may be `*` (RFC 4592).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DnsName(Arc<str>);

impl DnsName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The labels from the left.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('.')
    }

    /// Whether the leftmost label is `*`.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.") || &*self.0 == "*"
    }

    /// Whether this name is a zone's origin or below it.
    #[must_use]
    pub fn is_within(&self, origin: &Self) -> bool {
        self.0
            .strip_suffix(origin.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}

impl FromStr for DnsName {
    type Err = DnsNameError;

    fn from_str(text: &str) -> Result<Self, DnsNameError> {
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if name.is_empty() {
            return Err(DnsNameError::Empty);
        }
        for (at, label) in name.split('.').enumerate() {
            check_label(&name, label, at == 0)?;
        }
        if name.len() > MAX_NAME_LEN {
            return Err(DnsNameError::TooLong { len: name.len() });
        }
        Ok(Self(Arc::from(name)))
    }
}

fn check_label(name: &str, label: &str, leftmost: bool) -> Result<(), DnsNameError> {
    if label.is_empty() {
        return Err(DnsNameError::EmptyLabel {
            name: name.to_owned(),
        });
    }
    if label == "*" && leftmost {
        return Ok(());
    }
    if let Some(found) = label
        .chars()
        .find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_')))
    {
        return Err(DnsNameError::Character { found });
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err(DnsNameError::Hyphen {
            label: label.to_owned(),
        });
    }
    if label.len() > MAX_LABEL_LEN {
        return Err(DnsNameError::LongLabel {
            label: label.to_owned(),
        });
    }
    Ok(())
}

impl TryFrom<String> for DnsName {
    type Error = DnsNameError;

    fn try_from(text: String) -> Result<Self, DnsNameError> {
        text.parse()
    }
}

impl From<DnsName> for String {
    fn from(name: DnsName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl AsRef<str> for DnsName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DnsName({})", self.0)
    }
}

words! {
    /// The record types that a health check can ask for.
    RecordType, "record type" {
        /// An IPv4 address.
        A = "A",
        /// An IPv6 address.
        Aaaa = "AAAA",
        /// Another name.
        Cname = "CNAME",
        /// Text.
        Txt = "TXT",
        /// A name server of a child zone.
        Ns = "NS",
        /// A mail exchanger.
        Mx = "MX",
    }
}

/// What a static record says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecordData {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// Another name.
    Cname(DnsName),
    /// Text, each string at most 255 bytes.
    Txt(Vec<String>),
    /// A name server of a child zone.
    Ns(DnsName),
    /// A mail exchanger.
    Mx {
        /// Lower is tried first.
        preference: u16,
        /// Its name.
        exchange: DnsName,
    },
    /// Data of any other type.
    Other {
        /// The type's number.
        rtype: u16,
        /// Its wire form, names uncompressed; well formed where the type is known.
        #[serde(with = "hex")]
        data: Vec<u8>,
    },
}

impl RecordData {
    /// The number of its type.
    #[must_use]
    pub const fn rtype(&self) -> u16 {
        match self {
            Self::A(_) => 1,
            Self::Ns(_) => 2,
            Self::Cname(_) => 5,
            Self::Mx { .. } => 15,
            Self::Txt(_) => 16,
            Self::Aaaa(_) => 28,
            Self::Other { rtype, .. } => *rtype,
        }
    }
}

/// Bytes as hexadecimal text.
mod hex {
    use data_encoding::HEXLOWER;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&HEXLOWER.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        HEXLOWER
            .decode(text.as_bytes())
            .map_err(serde::de::Error::custom)
    }
}

/// The type of a static record, by number; `ALIAS` is one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKind(pub u16);

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        RTypeName(self.0).fmt(f)
    }
}

/// A static record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its owner, absolute.
    pub name: DnsName,
    /// How long it may be cached.
    pub ttl: Ttl,
    /// What it says.
    pub data: RecordData,
}

/// The start of authority (RFC 1035 section 3.3.13).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Soa {
    /// The primary name server.
    pub mname: DnsName,
    /// The mailbox of the responsible person, with the `@` as a dot.
    pub rname: DnsName,
    /// The serial; the server derives one from the plan when absent.
    pub serial: Option<u32>,
    /// How often secondaries look.
    pub refresh: Millis,
    /// How soon they look again after a failure.
    pub retry: Millis,
    /// When they stop answering without the primary.
    pub expire: Millis,
    /// How long a negative answer may be cached (RFC 2308).
    pub minimum: Ttl,
}

/// A zone that we answer for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsZone {
    /// Its apex.
    pub origin: DnsName,
    /// The time to live of records that name none.
    pub ttl: Ttl,
    /// Its start of authority.
    pub soa: Soa,
    /// Its name servers; never empty.
    pub ns: Vec<DnsName>,
    /// Its static records, sorted by name and type.
    pub records: Vec<Record>,
}
