//! Which types there are, and of which fields the data of each consists.

use std::fmt;

/// One field of record data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// A domain name.
    Name,
    U8,
    U16,
    U32,
    /// Seconds, 32 bits; in text with units if wanted.
    Period,
    /// A record type, 16 bits.
    Type,
    /// A DNSSEC algorithm, 8 bits.
    Algorithm,
    /// A certificate type, 16 bits.
    CertType,
    /// A time in seconds since 1970, 32 bits.
    Time,
    Ipv4,
    Ipv6,
    /// A string of at most 255 bytes with its length before it.
    Text,
    /// The same, but it may be missing.
    OptionalText,
    /// One or more of those, to the end.
    Texts,
    /// A string without its length, to the end.
    RawText,
    /// Bytes to the end, in base64.
    Base64,
    /// The same, but there may be none.
    OptionalBase64,
    /// Bytes to the end, in hexadecimal.
    Hex,
    /// Bytes with an 8-bit length before them, in hexadecimal; `-` for none.
    CountedHex,
    /// Bytes with an 8-bit length before them, in base32hex.
    CountedBase32,
    /// A type bitmap to the end (RFC 4034 section 4.1.2).
    Types,
    /// So many bytes as hexadecimal pairs with hyphens.
    Pairs(usize),
    /// 64 bits as four groups of hexadecimal digits.
    Quads,
    /// Service parameters to the end (RFC 9460).
    Params,
    /// A place on earth (RFC 1876).
    Location,
    /// Address prefixes to the end (RFC 3123).
    Prefixes,
    /// A gateway whose kind is the data's second byte (RFC 4025).
    Gateway,
}

pub(super) type Layout = [(&'static str, Field)];

struct RecordType {
    number: u16,
    name: &'static str,
    layout: &'static Layout,
}

const fn t(number: u16, name: &'static str, layout: &'static Layout) -> RecordType {
    RecordType {
        number,
        name,
        layout,
    }
}

use Field::{
    Algorithm, Base64, CertType, CountedBase32, CountedHex, Gateway, Hex, Ipv4, Ipv6, Location,
    Name, OptionalBase64, OptionalText, Pairs, Params, Period, Prefixes, Quads, RawText, Text,
    Texts, Time, Type, Types, U8, U16, U32,
};

const ONE_NAME: &Layout = &[("name", Name)];
const PREFERENCE_NAME: &Layout = &[("preference", U16), ("name", Name)];
const KEY: &Layout = &[
    ("flags", U16),
    ("protocol", U8),
    ("algorithm", Algorithm),
    ("public key", OptionalBase64),
];
const SIGNATURE: &Layout = &[
    ("type covered", Type),
    ("algorithm", Algorithm),
    ("labels", U8),
    ("original TTL", Period),
    ("expiration", Time),
    ("inception", Time),
    ("key tag", U16),
    ("signer", Name),
    ("signature", Base64),
];
const DIGEST: &Layout = &[
    ("key tag", U16),
    ("algorithm", Algorithm),
    ("digest type", U8),
    ("digest", Hex),
];
const CERTIFICATE_ASSOCIATION: &Layout = &[
    ("usage", U8),
    ("selector", U8),
    ("matching type", U8),
    ("association data", Hex),
];
const SERVICE: &Layout = &[("priority", U16), ("target", Name), ("parameters", Params)];

/// Sorted by number. Where each is defined: <https://www.iana.org/assignments/dns-parameters>.
const TYPES: &[RecordType] = &[
    t(1, "A", &[("address", Ipv4)]),
    t(2, "NS", ONE_NAME),
    t(3, "MD", ONE_NAME),
    t(4, "MF", ONE_NAME),
    t(5, "CNAME", ONE_NAME),
    t(
        6,
        "SOA",
        &[
            ("primary server", Name),
            ("mailbox", Name),
            ("serial", U32),
            ("refresh", Period),
            ("retry", Period),
            ("expire", Period),
            ("minimum", Period),
        ],
    ),
    t(7, "MB", ONE_NAME),
    t(8, "MG", ONE_NAME),
    t(9, "MR", ONE_NAME),
    t(12, "PTR", ONE_NAME),
    t(13, "HINFO", &[("CPU", Text), ("OS", Text)]),
    t(14, "MINFO", &[("mailbox", Name), ("error mailbox", Name)]),
    t(15, "MX", PREFERENCE_NAME),
    t(16, "TXT", &[("text", Texts)]),
    t(17, "RP", &[("mailbox", Name), ("text name", Name)]),
    t(18, "AFSDB", &[("subtype", U16), ("name", Name)]),
    t(19, "X25", &[("address", Text)]),
    t(
        20,
        "ISDN",
        &[("address", Text), ("subaddress", OptionalText)],
    ),
    t(21, "RT", PREFERENCE_NAME),
    t(24, "SIG", SIGNATURE),
    t(25, "KEY", KEY),
    t(
        26,
        "PX",
        &[("preference", U16), ("MAP822", Name), ("MAPX400", Name)],
    ),
    t(
        27,
        "GPOS",
        &[("longitude", Text), ("latitude", Text), ("altitude", Text)],
    ),
    t(28, "AAAA", &[("address", Ipv6)]),
    t(29, "LOC", &[("location", Location)]),
    t(
        33,
        "SRV",
        &[
            ("priority", U16),
            ("weight", U16),
            ("port", U16),
            ("target", Name),
        ],
    ),
    t(
        35,
        "NAPTR",
        &[
            ("order", U16),
            ("preference", U16),
            ("flags", Text),
            ("services", Text),
            ("regular expression", Text),
            ("replacement", Name),
        ],
    ),
    t(36, "KX", PREFERENCE_NAME),
    t(
        37,
        "CERT",
        &[
            ("type", CertType),
            ("key tag", U16),
            ("algorithm", Algorithm),
            ("certificate", Base64),
        ],
    ),
    t(39, "DNAME", ONE_NAME),
    t(42, "APL", &[("prefixes", Prefixes)]),
    t(43, "DS", DIGEST),
    t(
        44,
        "SSHFP",
        &[
            ("algorithm", U8),
            ("fingerprint type", U8),
            ("fingerprint", Hex),
        ],
    ),
    t(
        45,
        "IPSECKEY",
        &[
            ("precedence", U8),
            ("gateway type", U8),
            ("algorithm", U8),
            ("gateway", Gateway),
            ("public key", OptionalBase64),
        ],
    ),
    t(46, "RRSIG", SIGNATURE),
    t(47, "NSEC", &[("next name", Name), ("types", Types)]),
    t(48, "DNSKEY", KEY),
    t(49, "DHCID", &[("digest", Base64)]),
    t(
        50,
        "NSEC3",
        &[
            ("hash algorithm", U8),
            ("flags", U8),
            ("iterations", U16),
            ("salt", CountedHex),
            ("next hashed name", CountedBase32),
            ("types", Types),
        ],
    ),
    t(
        51,
        "NSEC3PARAM",
        &[
            ("hash algorithm", U8),
            ("flags", U8),
            ("iterations", U16),
            ("salt", CountedHex),
        ],
    ),
    t(52, "TLSA", CERTIFICATE_ASSOCIATION),
    t(53, "SMIMEA", CERTIFICATE_ASSOCIATION),
    t(59, "CDS", DIGEST),
    t(60, "CDNSKEY", KEY),
    t(61, "OPENPGPKEY", &[("key", Base64)]),
    t(
        62,
        "CSYNC",
        &[("serial", U32), ("flags", U16), ("types", Types)],
    ),
    t(
        63,
        "ZONEMD",
        &[
            ("serial", U32),
            ("scheme", U8),
            ("hash algorithm", U8),
            ("digest", Hex),
        ],
    ),
    t(64, "SVCB", SERVICE),
    t(65, "HTTPS", SERVICE),
    t(99, "SPF", &[("text", Texts)]),
    t(104, "NID", &[("preference", U16), ("node", Quads)]),
    t(105, "L32", &[("preference", U16), ("locator", Ipv4)]),
    t(106, "L64", &[("preference", U16), ("locator", Quads)]),
    t(107, "LP", PREFERENCE_NAME),
    t(108, "EUI48", &[("address", Pairs(6))]),
    t(109, "EUI64", &[("address", Pairs(8))]),
    t(
        256,
        "URI",
        &[("priority", U16), ("weight", U16), ("target", RawText)],
    ),
    t(
        257,
        "CAA",
        &[("flags", U8), ("tag", Text), ("value", RawText)],
    ),
    t(32769, "DLV", DIGEST),
    t(ALIAS, "ALIAS", ONE_NAME),
];

/// A name that stands for addresses found elsewhere. No standard has it; the number is PowerDNS's, of
/// the private range (RFC 6895 section 3.1), and is never sent.
pub const ALIAS: u16 = 65_401;

/// Types that stand for a question or a message's own records, never for data.
const META: &[(u16, &str)] = &[
    (41, "OPT"),
    (249, "TKEY"),
    (250, "TSIG"),
    (251, "IXFR"),
    (252, "AXFR"),
    (253, "MAILB"),
    (254, "MAILA"),
    (255, "ANY"),
];

/// The fields of a type's data; `None` for a type that is opaque.
pub(super) fn layout_of(rtype: u16) -> Option<&'static Layout> {
    let at = TYPES
        .binary_search_by_key(&rtype, |known| known.number)
        .ok()?;
    Some(TYPES[at].layout)
}

/// A type's number from its name, in any case, or from `TYPE123` (RFC 3597 section 5). Types that
/// cannot be data are unknown here.
#[must_use]
pub fn rtype_from_text(text: &str) -> Option<u16> {
    let known = TYPES
        .iter()
        .find(|known| known.name.eq_ignore_ascii_case(text));
    if let Some(known) = known {
        return Some(known.number);
    }
    if text.eq_ignore_ascii_case("ANAME") {
        return Some(ALIAS);
    }
    let (head, digits) = text.split_at_checked(4)?;
    if !head.eq_ignore_ascii_case("TYPE") || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = digits.parse().ok()?;
    (number != 0 && META.iter().all(|(meta, _)| *meta != number)).then_some(number)
}

/// The names of all types that can be data, by number.
pub(crate) fn rtype_names() -> impl Iterator<Item = &'static str> {
    TYPES.iter().map(|known| known.name)
}

/// A type's number, printed as its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RTypeName(pub u16);

impl fmt::Display for RTypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = TYPES.iter().map(|known| (known.number, known.name));
        let found = known
            .chain(META.iter().copied())
            .find(|(number, _)| *number == self.0);
        match found {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "TYPE{}", self.0),
        }
    }
}
