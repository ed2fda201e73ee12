//! EDNS client subnet (RFC 7871): reading it strictly and answering with an honest scope.
//!
//! The option is `family (2), source prefix length (1), scope prefix length (1), address`, with as
//! many address bytes as the source prefix needs and zero bits behind it. Anything else is FORMERR
//! (RFC 7871 §6 and §7.2.1), "as a signal to the software developer making the request".

use std::net::IpAddr;

use thiserror::Error;

use super::u16_at;

/// No family: only with source prefix 0, from clients that opt out of being located.
pub const FAMILY_NONE: u16 = 0;
/// IANA address family of IPv4.
pub const FAMILY_IPV4: u16 = 1;
/// IANA address family of IPv6.
pub const FAMILY_IPV6: u16 = 2;

/// What is wrong with a client subnet option; the answer is always FORMERR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EcsError {
    /// Shorter than its four fixed bytes.
    #[error("the client subnet option is cut short")]
    Cut,
    /// Neither IPv4 nor IPv6.
    #[error("address family {0} is not known")]
    Family(u16),
    /// Longer than the family's addresses.
    #[error("source prefix length {0} is longer than the address")]
    SourcePrefix(u8),
    /// The scope is the server's to set; in a query it must be 0.
    #[error("scope prefix length {0} in a query")]
    Scope(u8),
    /// Not exactly the bytes the source prefix needs.
    #[error("{found} address bytes where the source prefix needs {needed}")]
    AddressBytes {
        /// Bytes the source prefix needs.
        needed: usize,
        /// Bytes the option has.
        found: usize,
    },
    /// Bits are set behind the source prefix.
    #[error("address bits are set behind the source prefix")]
    TrailingBits,
}

/// A valid client subnet option of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientSubnet {
    family: u16,
    source_prefix: u8,
    address: IpAddr,
}

impl ClientSubnet {
    /// Reads the option's data.
    ///
    /// # Errors
    /// See [`EcsError`].
    #[inline]
    pub fn read(data: &[u8]) -> Result<Self, EcsError> {
        let family = u16_at(data, 0).ok_or(EcsError::Cut)?;
        let &[_, _, source_prefix, scope, ref address @ ..] = data else {
            return Err(EcsError::Cut);
        };
        let bits_max = match family {
            FAMILY_NONE => 0,
            FAMILY_IPV4 => 32,
            FAMILY_IPV6 => 128,
            other => return Err(EcsError::Family(other)),
        };
        if source_prefix > bits_max {
            return Err(EcsError::SourcePrefix(source_prefix));
        }
        if scope != 0 {
            return Err(EcsError::Scope(scope));
        }
        let needed = usize::from(source_prefix).div_ceil(8);
        if address.len() != needed {
            return Err(EcsError::AddressBytes {
                needed,
                found: address.len(),
            });
        }
        let spare_bits = (needed * 8) - usize::from(source_prefix);
        if let Some(last) = address.last()
            && last & ((1u16 << spare_bits) - 1) as u8 != 0
        {
            return Err(EcsError::TrailingBits);
        }
        // Shifted together and not copied into an array: the address is read whole right away.
        let bits = |bytes: usize| (0..bytes).map(|at| address.get(at).copied().unwrap_or(0));
        let address = if family == FAMILY_IPV6 {
            IpAddr::V6(
                bits(16)
                    .fold(0u128, |all, byte| all << 8 | u128::from(byte))
                    .into(),
            )
        } else {
            IpAddr::V4(
                bits(4)
                    .fold(0u32, |all, byte| all << 8 | u32::from(byte))
                    .into(),
            )
        };
        Ok(Self {
            family,
            source_prefix,
            address,
        })
    }

    /// The subnet's address, zero behind the source prefix.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Bits of the address the resolver disclosed; 0 asks not to be located by it.
    #[must_use]
    pub fn source_prefix(&self) -> u8 {
        self.source_prefix
    }

    /// Bytes of the option in a response, with code and length.
    #[must_use]
    pub fn reply_bytes(&self) -> usize {
        8 + usize::from(self.source_prefix).div_ceil(8)
    }

    /// Writes the option for a response: family, source and address mirrored (RFC 7871 §7.2.1),
    /// `scope` ours. `out` must hold [`ClientSubnet::reply_bytes`].
    pub(super) fn write_reply(&self, scope: u8, out: &mut [u8]) {
        let address_bytes = usize::from(self.source_prefix).div_ceil(8);
        out[0..2].copy_from_slice(&OPTION_CODE.to_be_bytes());
        // At most 4 + 16.
        out[2..4].copy_from_slice(&((4 + address_bytes) as u16).to_be_bytes());
        out[4..6].copy_from_slice(&self.family.to_be_bytes());
        out[6] = self.source_prefix;
        out[7] = scope;
        let mut octets = [0u8; 16];
        match self.address {
            IpAddr::V4(address) => octets[..4].copy_from_slice(&address.octets()),
            IpAddr::V6(address) => octets = address.octets(),
        }
        out[8..8 + address_bytes].copy_from_slice(&octets[..address_bytes]);
    }
}

/// EDNS option code of the client subnet.
pub(super) const OPTION_CODE: u16 = 8;
