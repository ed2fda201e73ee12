//! Kinds of questions that are told apart in metrics: the types that name servers are asked for, and
//! all others together, so that no client can make a series.

use crate::wire::RType;

/// The label of each kind, by [`kind_of`].
pub(super) const KINDS: [&str; 15] = [
    "A", "AAAA", "CNAME", "NS", "SOA", "MX", "TXT", "PTR", "SRV", "HTTPS", "SVCB", "CAA", "DS",
    "DNSKEY", "other",
];

/// Position of a type in [`KINDS`].
pub(super) const fn kind_of(rtype: RType) -> usize {
    match rtype.0 {
        1 => 0,
        28 => 1,
        5 => 2,
        2 => 3,
        6 => 4,
        15 => 5,
        16 => 6,
        12 => 7,
        33 => 8,
        65 => 9,
        64 => 10,
        257 => 11,
        43 => 12,
        48 => 13,
        _ => KINDS.len() - 1,
    }
}
