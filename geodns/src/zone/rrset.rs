//! A record set in the form in which it is copied into responses.

use hickory_proto::rr::RData;
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};

use super::{DisplayName, DisplayType, ZoneError};
use crate::wire::{Owner, RECORD_HEAD_BYTES, RType};

/// All records of one type at one name.
///
/// The structure is the wire format itself: record after record, each with a pointer to the
/// question as its owner, names in the data uncompressed so that they can be pointed at. One copy
/// puts the set into a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RrSet {
    rtype: RType,
    count: u16,
    records: Box<[u8]>,
}

impl RrSet {
    /// Encodes the records of one set; `name` is only for the error.
    ///
    /// # Errors
    /// [`ZoneError::Encode`], or [`ZoneError::TooLarge`] above `bytes_max`.
    pub(super) fn encode(
        name: &[u8],
        rtype: RType,
        ttl_seconds: u32,
        data: &[RData],
        bytes_max: usize,
    ) -> Result<Self, ZoneError> {
        let mut records = Vec::new();
        for data in data {
            let data = encode_rdata(data).map_err(|reason| ZoneError::Encode {
                name: DisplayName(name.into()),
                rtype: DisplayType(rtype),
                reason,
            })?;
            records.extend_from_slice(&Owner::QUESTION.pointer());
            records.extend_from_slice(&rtype.0.to_be_bytes());
            records.extend_from_slice(&[0, 1]);
            records.extend_from_slice(&ttl_seconds.to_be_bytes());
            // A longer one is refused below: the set is then longer than `bytes_max`, too.
            records.extend_from_slice(&u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes());
            records.extend_from_slice(&data);
        }
        if records.len() > bytes_max {
            return Err(ZoneError::TooLarge {
                name: DisplayName(name.into()),
                rtype: DisplayType(rtype),
                bytes: records.len(),
                bytes_max,
            });
        }
        // Each record has at least 12 of at most 65,535 bytes.
        Ok(Self {
            rtype,
            count: data.len() as u16,
            records: records.into(),
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

    /// The precompiled records.
    #[must_use]
    pub fn records(&self) -> &[u8] {
        &self.records
    }

    /// The records' data, each with its offset into [`RrSet::records`].
    pub fn data(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let head = self.records.get(at..)?.first_chunk::<RECORD_HEAD_BYTES>()?;
            let start = at + RECORD_HEAD_BYTES;
            at = start + usize::from(u16::from_be_bytes([head[10], head[11]]));
            Some((start, self.records.get(start..at)?))
        })
    }
}

fn encode_rdata(data: &RData) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut encoder = BinEncoder::new(&mut bytes);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    data.emit(&mut encoder).map_err(|error| error.to_string())?;
    Ok(bytes)
}
