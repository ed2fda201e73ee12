//! How names are hashed for NSEC3 (RFC 5155 §5), and what that may cost.

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};

use super::super::static_zone::StaticZone;
use crate::wire::RType;

/// Longest hash in an NSEC3 owner: SHA-1, the only algorithm there is (RFC 5155 §11).
pub const NSEC3_HASH_BYTES: usize = 20;

/// Most blocks of SHA-1 that one hash may take behind the first round: 100 iterations with a salt of
/// at most 35 bytes, or fewer with a longer one. That is 16 µs where one round takes 0.16 µs. A
/// question for a name that does not exist takes three hashes, and where opting out left empty
/// non-terminals without a record up to eleven, so this bounds what a stranger can make us compute
/// (RFC 9276 §3.1 wants 0 iterations, and validators stop believing at about as many).
pub const NSEC3_BLOCKS_MAX: usize = 100;

/// A block of SHA-1, and what padding takes at least (RFC 3174 §4).
const BLOCK_BYTES: usize = 64;
const PADDING_BYTES: usize = 9;

/// How names are hashed for NSEC3 (RFC 5155 §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nsec3Params {
    /// Iterations beside the first.
    pub iterations: u16,
    /// The salt.
    pub salt: Box<[u8]>,
}

impl Nsec3Params {
    /// The parameters at a zone's apex: the first with an algorithm we know and no flags (RFC 5155
    /// §4.1.2).
    pub(super) fn of_zone(zone: &StaticZone) -> Option<Self> {
        let set = zone.apex().rrset(RType::NSEC3PARAM)?;
        set.data().find_map(|(_, data)| match data {
            [1, 0, ..] => Self::read(data),
            _ => None,
        })
    }

    /// Reads algorithm, flags, iterations and salt at the start of NSEC3 or NSEC3PARAM data (RFC 5155
    /// §3.2, §4.2).
    pub(super) fn read(data: &[u8]) -> Option<Self> {
        let &[1, _, high, low, length, ref rest @ ..] = data else {
            return None;
        };
        Some(Self {
            iterations: u16::from_be_bytes([high, low]),
            salt: rest.get(..usize::from(length))?.into(),
        })
    }

    /// Whether a hash costs no more than a question may.
    #[must_use]
    pub fn are_affordable(&self) -> bool {
        let blocks = (NSEC3_HASH_BYTES + self.salt.len() + PADDING_BYTES).div_ceil(BLOCK_BYTES);
        usize::from(self.iterations) * blocks <= NSEC3_BLOCKS_MAX
    }

    /// The hash of a lowercased wire name (RFC 5155 §5). Allocates nothing.
    #[must_use]
    pub fn hash(&self, name: &[u8]) -> [u8; NSEC3_HASH_BYTES] {
        let mut hash = [0; NSEC3_HASH_BYTES];
        self.round(name, &mut hash);
        for _ in 0..self.iterations {
            let last = hash;
            self.round(&last, &mut hash);
        }
        hash
    }

    fn round(&self, data: &[u8], hash: &mut [u8; NSEC3_HASH_BYTES]) {
        let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
        context.update(data);
        context.update(&self.salt);
        // SHA-1 makes exactly as many bytes.
        for (to, from) in hash.iter_mut().zip(context.finish().as_ref()) {
            *to = *from;
        }
    }
}
