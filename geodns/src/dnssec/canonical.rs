//! What a signature covers: a record set in canonical form behind the head of its RRSIG
//! (RFC 4034 §3.1.8.1 and §6).
//!
//! Sets are read in the form in which they are copied into responses ([`crate::zone::RrSet`]):
//! record after record, twelve bytes of head, names in the data uncompressed. So a static set and
//! one that steering just wrote into a response are signed by the same code.

use hickory_proto::rr::Name;

use crate::wire::{RECORD_HEAD_BYTES, RType, label_count};

/// Bytes of RRSIG data before the signer's name.
pub(crate) const HEAD_BYTES: usize = 18;

/// A record set as it is signed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Set<'a> {
    /// The owner as answered, lowercased wire form: not the wildcard it may stem from.
    pub(crate) owner: &'a [u8],
    pub(crate) rtype: RType,
    /// The configured TTL; an answer may carry a smaller one and still validates.
    pub(crate) original_ttl_seconds: u32,
    /// The records, each behind a head of twelve bytes.
    pub(crate) records: &'a [u8],
}

impl<'a> Set<'a> {
    /// Every record's data.
    pub(crate) fn data(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = self.records;
        std::iter::from_fn(move || {
            let head = rest.first_chunk::<RECORD_HEAD_BYTES>()?;
            let end = RECORD_HEAD_BYTES + usize::from(u16::from_be_bytes([head[10], head[11]]));
            let data = rest.get(RECORD_HEAD_BYTES..end)?;
            rest = &rest[end..];
            Some(data)
        })
    }

    /// Labels as an RRSIG counts them: without the root and without a leading `*`.
    pub(crate) fn labels(&self) -> u8 {
        // A name has at most 127 labels.
        (label_count(self.owner) - usize::from(self.owner.starts_with(b"\x01*"))) as u8
    }
}

/// RRSIG data before the signer's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) covered: RType,
    pub(crate) algorithm: u8,
    pub(crate) labels: u8,
    pub(crate) original_ttl_seconds: u32,
    pub(crate) expiration: u32,
    pub(crate) inception: u32,
    pub(crate) key_tag: u16,
}

impl Head {
    pub(crate) fn to_bytes(self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        bytes[0..2].copy_from_slice(&self.covered.0.to_be_bytes());
        bytes[2] = self.algorithm;
        bytes[3] = self.labels;
        bytes[4..8].copy_from_slice(&self.original_ttl_seconds.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.expiration.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.inception.to_be_bytes());
        bytes[16..18].copy_from_slice(&self.key_tag.to_be_bytes());
        bytes
    }
}

/// The bytes that are signed: head, signer's name, then the records in canonical form and order,
/// duplicates once.
pub(crate) fn to_be_signed(set: &Set<'_>, head: Head, signer: &[u8]) -> Vec<u8> {
    let mut data: Vec<Vec<u8>> = set.data().map(|data| canonical(set.rtype, data)).collect();
    data.sort_unstable();
    data.dedup();
    let mut bytes = Vec::with_capacity(HEAD_BYTES + signer.len() + 2 * set.records.len() + 256);
    bytes.extend_from_slice(&head.to_bytes());
    bytes.extend_from_slice(signer);
    for data in data {
        bytes.extend_from_slice(set.owner);
        bytes.extend_from_slice(&set.rtype.0.to_be_bytes());
        bytes.extend_from_slice(&[0, 1]);
        bytes.extend_from_slice(&set.original_ttl_seconds.to_be_bytes());
        // It came from a field of 16 bits.
        bytes.extend_from_slice(&(data.len() as u16).to_be_bytes());
        bytes.extend_from_slice(&data);
    }
    bytes
}

/// Where a type's data has names that canonical form puts in lower case (RFC 4034 §6.2 as narrowed
/// by RFC 6840 §5.1). Types not listed have none: also SVCB, HTTPS and every type since RFC 3597.
fn names_of(rtype: RType, data: &[u8]) -> (usize, usize) {
    match rtype.0 {
        // NS, MD, MF, CNAME, MB, MG, MR, PTR, DNAME
        2..=5 | 7..=9 | 12 | 39 => (0, 1),
        // SOA, MINFO, RP
        6 | 14 | 17 => (0, 2),
        // MX, AFSDB, RT, KX
        15 | 18 | 21 | 36 => (2, 1),
        // PX
        26 => (2, 2),
        // SRV
        33 => (6, 1),
        // NAPTR: order, preference and three strings before the name.
        35 => {
            let strings = (0..3).try_fold(4, |at, _| Some(at + 1 + usize::from(*data.get(at)?)));
            (strings.unwrap_or(data.len()), 1)
        }
        _ => (0, 0),
    }
}

/// One record's data with its names in lower case.
fn canonical(rtype: RType, data: &[u8]) -> Vec<u8> {
    let (start, names) = names_of(rtype, data);
    let mut data = data.to_vec();
    let mut at = start;
    for _ in 0..names {
        while let Some(&length) = data.get(at) {
            let end = at + 1 + usize::from(length);
            if let Some(label) = data.get_mut(at + 1..end) {
                label.make_ascii_lowercase();
            }
            at = end;
            if length == 0 {
                break;
            }
        }
    }
    data
}

/// A name's lowercased wire form.
pub(crate) fn wire_name(name: &Name) -> Box<[u8]> {
    let mut wire = Vec::with_capacity(name.len() + 1);
    for label in name.iter() {
        // Labels have at most 63 bytes: hickory-proto checked it.
        wire.push(label.len() as u8);
        wire.extend(label.iter().map(u8::to_ascii_lowercase));
    }
    wire.push(0);
    wire.into()
}
