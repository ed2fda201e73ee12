//! What the lookup must understand of record data in wire form; the rest stays opaque bytes.

use crate::wire::{NAME_BYTES_MAX, RType, parent_of};

/// The wire name that starts at `at`, if a well-formed one does.
pub(crate) fn name_at(data: &[u8], at: usize) -> Option<&[u8]> {
    let mut end = at;
    loop {
        match *data.get(end)? {
            0 => break,
            length @ 1..=63 => end += 1 + usize::from(length),
            _ => return None,
        }
    }
    let name = data.get(at..=end)?;
    (name.len() <= NAME_BYTES_MAX).then_some(name)
}

/// Where the name stands whose addresses go along with a record (RFC 1035 §3.3, RFC 2782,
/// RFC 9460 §4.1 for SVCB and HTTPS).
pub(super) fn target_offset(rtype: RType) -> Option<usize> {
    match rtype {
        RType::NS => Some(0),
        RType::MX | RType::SVCB | RType::HTTPS => Some(2),
        RType::SRV => Some(6),
        _ => None,
    }
}

/// The fields of an SOA that decide something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Soa {
    /// Grows with every change (RFC 1982).
    pub(crate) serial: u32,
    /// Bounds the TTL of negative answers (RFC 2308 §4).
    pub(crate) minimum: u32,
}

impl Soa {
    pub(crate) fn read(data: &[u8]) -> Option<Self> {
        let mname = name_at(data, 0)?;
        let rname = name_at(data, mname.len())?;
        let numbers: &[u8; 20] = data.get(mname.len() + rname.len()..)?.try_into().ok()?;
        let number = |at: usize| {
            u32::from_be_bytes([
                numbers[at],
                numbers[at + 1],
                numbers[at + 2],
                numbers[at + 3],
            ])
        };
        Some(Self {
            serial: number(0),
            minimum: number(16),
        })
    }
}

/// Whether `name` is `ancestor` or below it; both lowercased wire names.
pub(crate) fn is_within(name: &[u8], ancestor: &[u8]) -> bool {
    std::iter::successors(Some(name), |name| parent_of(name)).any(|at| at == ancestor)
}
