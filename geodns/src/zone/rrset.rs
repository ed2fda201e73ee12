//! A record set in the form in which it is copied into responses.

use super::static_zone::NodeIdx;
use super::{DisplayName, DisplayType, ZoneError};
use crate::wire::{Owner, RECORD_HEAD_BYTES, RType};

/// All records of one type at one name, with the signatures that cover them.
///
/// The structure is the wire format itself: record after record, each with a pointer to the
/// question as its owner, names in the data uncompressed so that they can be pointed at. One copy
/// puts the set into a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RrSet {
    rtype: RType,
    count: u16,
    records: Box<[u8]>,
    pub(super) signatures: Option<Signatures>,
    pub(super) targets: Box<[Target]>,
}

/// The RRSIG records that cover a set, precompiled like the set itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signatures {
    count: u16,
    records: Box<[u8]>,
}

/// A name in a set's data whose addresses its zone has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where the name is spelled out in [`RrSet::records`].
    pub offset: u32,
    /// The node with its addresses: at the name, or the wildcard that stands for it.
    pub node: NodeIdx,
}

impl RrSet {
    /// Encodes the data of one set; `name` is only for the error.
    ///
    /// # Errors
    /// [`ZoneError::TooLarge`] above `bytes_max`.
    pub(super) fn encode<'d>(
        name: &[u8],
        rtype: RType,
        ttl_seconds: u32,
        data: impl ExactSizeIterator<Item = &'d [u8]>,
        bytes_max: usize,
    ) -> Result<Self, ZoneError> {
        // Each record has at least 12 of at most 65,535 bytes.
        let count = data.len() as u16;
        Ok(Self {
            rtype,
            count,
            records: encode(name, rtype, ttl_seconds, data, bytes_max)?,
            signatures: None,
            targets: Box::default(),
        })
    }

    /// The type.
    #[must_use]
    pub fn rtype(&self) -> RType {
        self.rtype
    }

    /// Number of records.
    #[must_use]
    pub fn count(&self) -> u16 {
        self.count
    }

    /// Seconds it may be cached.
    #[must_use]
    pub fn ttl_seconds(&self) -> u32 {
        self.records
            .get(6..)
            .and_then(|ttl| ttl.first_chunk())
            .map_or(0, |ttl| u32::from_be_bytes(*ttl))
    }

    /// The precompiled records.
    #[must_use]
    pub fn records(&self) -> &[u8] {
        &self.records
    }

    /// The records' data, each with its offset into [`RrSet::records`].
    pub fn data(&self) -> impl Iterator<Item = (usize, &[u8])> + Clone {
        data_of(&self.records)
    }

    /// The signatures that came with the set, or were made for it.
    #[must_use]
    pub fn signatures(&self) -> Option<&Signatures> {
        self.signatures.as_ref()
    }

    /// The names in the data whose addresses go along, in the order of the data.
    #[must_use]
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// The same set with the TTL of a negative answer (RFC 2308 §3), its signatures too.
    pub(super) fn with_ttl(&self, ttl_seconds: u32) -> Self {
        let mut set = self.clone();
        set_ttl(&mut set.records, ttl_seconds);
        if let Some(signatures) = &mut set.signatures {
            set_ttl(&mut signatures.records, ttl_seconds);
        }
        set
    }
}

impl Signatures {
    /// Encodes RRSIG data that covers one set, with the set's TTL (RFC 4034 §3).
    ///
    /// # Errors
    /// [`ZoneError::TooLarge`] above `bytes_max`.
    pub(crate) fn encode<'d>(
        name: &[u8],
        ttl_seconds: u32,
        data: impl ExactSizeIterator<Item = &'d [u8]>,
        bytes_max: usize,
    ) -> Result<Self, ZoneError> {
        let count = data.len() as u16;
        Ok(Self {
            count,
            records: encode(name, RType::RRSIG, ttl_seconds, data, bytes_max)?,
        })
    }

    /// Number of records.
    #[must_use]
    pub fn count(&self) -> u16 {
        self.count
    }

    /// The precompiled records.
    #[must_use]
    pub fn records(&self) -> &[u8] {
        &self.records
    }

    /// The records' data, each with its offset into [`Signatures::records`].
    pub fn data(&self) -> impl Iterator<Item = (usize, &[u8])> {
        data_of(&self.records)
    }
}

fn encode<'d>(
    name: &[u8],
    rtype: RType,
    ttl_seconds: u32,
    data: impl Iterator<Item = &'d [u8]>,
    bytes_max: usize,
) -> Result<Box<[u8]>, ZoneError> {
    let mut records = Vec::new();
    for data in data {
        records.extend_from_slice(&Owner::QUESTION.pointer());
        records.extend_from_slice(&rtype.0.to_be_bytes());
        records.extend_from_slice(&[0, 1]);
        records.extend_from_slice(&ttl_seconds.to_be_bytes());
        // A longer one is refused below: the set is then longer than `bytes_max`, too.
        records.extend_from_slice(&u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes());
        records.extend_from_slice(data);
    }
    if records.len() > bytes_max {
        return Err(ZoneError::TooLarge {
            name: DisplayName(name.into()),
            rtype: DisplayType(rtype),
            bytes: records.len(),
            bytes_max,
        });
    }
    Ok(records.into())
}

fn data_of(records: &[u8]) -> impl Iterator<Item = (usize, &[u8])> + Clone {
    let mut at = 0;
    std::iter::from_fn(move || {
        let head = records.get(at..)?.first_chunk::<RECORD_HEAD_BYTES>()?;
        let start = at + RECORD_HEAD_BYTES;
        at = start + usize::from(u16::from_be_bytes([head[10], head[11]]));
        Some((start, records.get(start..at)?))
    })
}

fn set_ttl(mut records: &mut [u8], ttl_seconds: u32) {
    while let Some(head) = records.first_chunk_mut::<RECORD_HEAD_BYTES>() {
        head[6..10].copy_from_slice(&ttl_seconds.to_be_bytes());
        let data_bytes = usize::from(u16::from_be_bytes([head[10], head[11]]));
        records = &mut records[RECORD_HEAD_BYTES + data_bytes..];
    }
}
