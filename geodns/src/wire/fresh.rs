//! For how long a response of ours may be kept: what HTTP caches are told.

use super::query::Records;
use super::{HEADER_BYTES, LowerName, u16_at};

/// The smallest TTL of a response's answer records or, when it has none, of its authority records:
/// there a negative answer's SOA already carries the TTL of the negative (RFC 2308 §5). `None` when
/// it has neither.
#[must_use]
pub fn freshness_seconds(message: &[u8]) -> Option<u32> {
    let mut at = HEADER_BYTES;
    if u16_at(message, 4)? > 0 {
        at = LowerName::default().read(message, at).ok()? + 4;
    }
    let (answers, authorities) = (u16_at(message, 6)?, u16_at(message, 8)?);
    let mut records = Records::at(message, at);
    let counted = if answers > 0 { answers } else { authorities };
    let ttls = (0..counted)
        .map_while(|_| records.next())
        .map(|record| u32::from_be_bytes(record.ttl));
    ttls.min()
}
