//! Fixed hashing: the same input gives the same number on every node, machine and release.
//!
//! Rings, rendezvous weights and client keys all come from here, so a change of one constant moves
//! every client of every deployment: the goldens in the tests exist to make that visible. The
//! finaliser is splitmix64's (Steele, Lea and Flood, "Fast splittable pseudorandom number
//! generators", OOPSLA 2014), bytes are folded by FNV-1a (draft-eastlake-fnv) before it. Neither is
//! keyed: somebody who may choose a key freely may aim at an endpoint, which is why data planes
//! derive keys from addresses or from cookies they issued.

use std::net::IpAddr;

/// FNV-1a's 64-bit offset basis.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
/// FNV-1a's 64-bit prime.
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;
/// Golden-ratio increment of splitmix64: separates the streams drawn from one key.
const STREAM: u64 = 0x9e37_79b9_7f4a_7c15;

/// Prefix of an IPv4 client that stays together (RFC 7871, section 11.1, recommends at most /24).
pub const STICKY_PREFIX_V4: u8 = 24;
/// Prefix of an IPv6 client that stays together: one site's usual assignment.
pub const STICKY_PREFIX_V6: u8 = 48;

/// Splitmix64's finaliser: every input bit changes every output bit with probability near one half.
#[inline]
#[must_use]
pub(crate) const fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// The `stream`-th independent number drawn from `seed`.
#[inline]
#[must_use]
pub(crate) const fn draw(seed: u64, stream: u64) -> u64 {
    mix(seed.wrapping_add(stream.wrapping_add(1).wrapping_mul(STREAM)))
}

/// Hash of a byte string: for names, computed when a plan is compiled, never per pick.
#[must_use]
pub(crate) fn bytes(input: &[u8]) -> u64 {
    let folded = input.iter().fold(FNV_OFFSET, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME)
    });
    mix(folded)
}

/// An order-dependent running hash of numbers: fingerprints of plans and class tables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    /// Starts a fingerprint; `domain` keeps different kinds of things apart.
    pub(crate) const fn new(domain: u64) -> Self {
        Self(mix(domain ^ FNV_OFFSET))
    }

    /// Adds one number.
    #[inline]
    pub(crate) const fn add(&mut self, value: u64) {
        self.0 = mix(self.0 ^ value).wrapping_add(STREAM);
    }

    /// The fingerprint so far.
    pub(crate) const fn finish(self) -> u64 {
        self.0
    }
}

/// What makes a client the same client again: the source of all chance in a pick.
///
/// Two requests with equal keys get the same endpoint as long as the world stays the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientKey(pub u64);

impl ClientKey {
    /// The key of all addresses that share the first `prefix_len` bits with `address`.
    ///
    /// A length beyond the family's width means the whole address. An IPv4-mapped IPv6 address has
    /// the key of the IPv4 address in it, so one client is the same over both kinds of socket.
    #[inline]
    #[must_use]
    pub fn from_ip(address: IpAddr, prefix_len: u8) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let kept = keep_bits(u128::from(v4.to_bits()) << 96, prefix_len.min(32));
                Self(draw((kept >> 96) as u64, 4))
            }
            IpAddr::V6(v6) => {
                let kept = keep_bits(v6.to_bits(), prefix_len.min(128));
                Self(draw(mix((kept >> 64) as u64) ^ kept as u64, 6))
            }
        }
    }

    /// The key of a client's usual sticky prefix: /24 for IPv4, /48 for IPv6.
    #[inline]
    #[must_use]
    pub fn from_client_prefix(address: IpAddr) -> Self {
        let prefix_len = match address.to_canonical() {
            IpAddr::V4(_) => STICKY_PREFIX_V4,
            IpAddr::V6(_) => STICKY_PREFIX_V6,
        };
        Self::from_ip(address, prefix_len)
    }

    /// The key of an opaque identity, such as a session cookie or a flow's five-tuple.
    #[must_use]
    pub fn from_bytes(identity: &[u8]) -> Self {
        Self(bytes(identity))
    }

    /// A different key for every `nonce`: for services that are not sticky, with a request's number.
    #[inline]
    #[must_use]
    pub const fn with_nonce(self, nonce: u64) -> Self {
        Self(draw(self.0, nonce))
    }
}

/// The first `len` bits of `value`, the rest zero.
#[inline]
const fn keep_bits(value: u128, len: u8) -> u128 {
    if len == 0 {
        0
    } else {
        value & (u128::MAX << (128 - len as u32))
    }
}

#[cfg(test)]
mod tests;
