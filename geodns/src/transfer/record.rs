//! Records as bytes: what transfers and updates carry, and how they are compared.
//!
//! A [`Record`] holds its owner lowercased and its data with every name spelled out, so that two
//! records are one exactly when their owners, types and [`comparable`] data are the same bytes. Names are
//! decompressed when a message is read ([`super::message`]); which data hold names is a table of
//! layouts ([`layout`]): the types that RFC 1035 lets compress, and the later ones that receivers
//! should decompress all the same (RFC 3597 §4).

use std::cmp::Ordering;

use crate::wire::{NAME_BYTES_MAX, RType};
use crate::zone::RecordRef;

/// A name in wire form, lowercased, root byte included.
pub(crate) type WireName = Box<[u8]>;

/// One record of a zone, class IN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) owner: WireName,
    pub(crate) rtype: RType,
    pub(crate) ttl: u32,
    /// Without compression; the case of names in it is kept.
    pub(crate) data: Box<[u8]>,
}

impl Record {
    pub(crate) fn as_ref(&self) -> RecordRef<'_> {
        RecordRef {
            owner: &self.owner,
            rtype: self.rtype,
            ttl_seconds: self.ttl,
            data: &self.data,
        }
    }

    /// Bytes of memory, about.
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.owner.len() + self.data.len()
    }
}

impl From<RecordRef<'_>> for Record {
    fn from(record: RecordRef<'_>) -> Self {
        Self {
            owner: record.owner.into(),
            rtype: record.rtype,
            ttl: record.ttl_seconds,
            data: record.data.into(),
        }
    }
}

/// A part of record data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// A name.
    Name,
    /// So many bytes.
    Bytes(usize),
    /// A length byte and so many bytes.
    Text,
}

/// The parts of a type's data up to its last name; what follows is copied.
pub(super) fn layout(rtype: RType) -> &'static [Field] {
    use Field::{Bytes, Name, Text};
    match rtype.0 {
        // NS, MD, MF, CNAME, MB, MG, MR, PTR, NXT, DNAME, NSEC
        2 | 3 | 4 | 5 | 7 | 8 | 9 | 12 | 30 | 39 | 47 => &[Name],
        // SOA, MINFO, RP
        6 | 14 | 17 => &[Name, Name],
        // MX, AFSDB, RT, KX, SVCB, HTTPS, LP
        15 | 18 | 21 | 36 | 64 | 65 | 107 => &[Bytes(2), Name],
        // PX
        26 => &[Bytes(2), Name, Name],
        // SIG, RRSIG
        24 | 46 => &[Bytes(18), Name],
        // NAPTR
        35 => &[Bytes(4), Text, Text, Text, Name],
        // SRV
        33 => &[Bytes(6), Name],
        _ => &[],
    }
}

/// Whether names in the data of this type may be compressed in what we send (RFC 3597 §4).
pub(super) fn compresses(rtype: RType) -> bool {
    matches!(rtype.0, 2..=9 | 12 | 14 | 15)
}

/// The data with the names in it lowercased: what equality of records is decided by (RFC 2136 §1.1.1).
pub(crate) fn comparable(rtype: RType, data: &[u8]) -> Box<[u8]> {
    let mut to: Box<[u8]> = data.into();
    let mut at = 0;
    for field in layout(rtype) {
        let bytes = match field {
            Field::Bytes(bytes) => *bytes,
            Field::Text => 1 + data.get(at).copied().map_or(0, usize::from),
            Field::Name => match name_bytes(&data[at.min(data.len())..]) {
                Some(bytes) => {
                    to[at..at + bytes].make_ascii_lowercase();
                    bytes
                }
                None => return to,
            },
        };
        at += bytes;
    }
    to
}

/// Bytes of the uncompressed name that `bytes` starts with, if one is there.
pub(crate) fn name_bytes(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match *bytes.get(at)? {
            0 => return (at < NAME_BYTES_MAX).then_some(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            _ => return None,
        }
    }
}

/// The parts of a SOA that transfers go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SoaTimes {
    pub(crate) serial: u32,
    pub(crate) refresh: u32,
    pub(crate) retry: u32,
    pub(crate) expire: u32,
    pub(crate) minimum: u32,
}

impl SoaTimes {
    /// Reads them from a SOA's data.
    pub(crate) fn read(data: &[u8]) -> Option<Self> {
        let (names, numbers) = data.split_last_chunk::<20>()?;
        let first = name_bytes(names)?;
        if first + name_bytes(&names[first..])? != names.len() {
            return None;
        }
        let (words, _) = numbers.as_chunks::<4>();
        let [serial, refresh, retry, expire, minimum] = words else {
            return None;
        };
        Some(Self {
            serial: u32::from_be_bytes(*serial),
            refresh: u32::from_be_bytes(*refresh),
            retry: u32::from_be_bytes(*retry),
            expire: u32::from_be_bytes(*expire),
            minimum: u32::from_be_bytes(*minimum),
        })
    }
}

/// A SOA's data with another serial.
pub(crate) fn with_serial(data: &[u8], serial: u32) -> Box<[u8]> {
    let mut data: Box<[u8]> = data.into();
    if let Some(at) = data.len().checked_sub(20) {
        data[at..at + 4].copy_from_slice(&serial.to_be_bytes());
    }
    data
}

/// Serial number arithmetic (RFC 1982 §3.2); `None` where it is undefined, half the circle away.
pub(crate) fn compare_serials(a: u32, b: u32) -> Option<Ordering> {
    match a.wrapping_sub(b) {
        0 => Some(Ordering::Equal),
        0x8000_0000 => None,
        1..0x8000_0000 => Some(Ordering::Greater),
        _ => Some(Ordering::Less),
    }
}

/// Whether `a` is newer than `b`.
pub(crate) fn is_newer(a: u32, b: u32) -> bool {
    compare_serials(a, b) == Some(Ordering::Greater)
}

/// The serial after `serial`; 0 is passed over, because some software takes it for "none".
pub(crate) fn next_serial(serial: u32) -> u32 {
    match serial.wrapping_add(1) {
        0 => 1,
        next => next,
    }
}
