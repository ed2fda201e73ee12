//! Who a question is answered for, and how much of that answer a resolver may share.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::wire::{ClientSubnet, Edns};

/// Whose client subnet options are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EcsTrust {
    /// Nobody's: the option is not answered, clients are located by their resolver.
    Nobody,
    /// Everybody's. What a client can reach by lying is another public answer.
    Everybody,
    /// Those of resolvers in these networks.
    From(Vec<IpNet>),
    /// Those of all resolvers but in these networks.
    Except(Vec<IpNet>),
}

impl EcsTrust {
    fn believes(&self, resolver: IpAddr) -> bool {
        match self {
            Self::Nobody => false,
            Self::Everybody => true,
            Self::From(networks) => networks.iter().any(|network| network.contains(&resolver)),
            Self::Except(networks) => !networks.iter().any(|network| network.contains(&resolver)),
        }
    }
}

/// The client a question is answered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Client<'q> {
    /// The subnet's address when a subnet was disclosed, else the resolver's.
    pub(super) address: IpAddr,
    /// The option to answer; its source prefix may be 0 (RFC 7871 §7.1.2: locate me by nothing).
    pub(super) subnet: Option<&'q ClientSubnet>,
}

impl<'q> Client<'q> {
    pub(super) fn of(edns: Option<&'q Edns>, source: &SocketAddr, trust: &EcsTrust) -> Self {
        let resolver = source.ip().to_canonical();
        let subnet = edns
            .and_then(|edns| edns.subnet.as_ref())
            .filter(|_| trust.believes(resolver));
        let address = match subnet {
            Some(subnet) if subnet.source_prefix() > 0 => subnet.address(),
            _ => resolver,
        };
        Self { address, subnet }
    }

    /// Whether a scope is answered that is more than 0.
    pub(super) fn wants_scope(&self) -> bool {
        self.subnet.is_some_and(|subnet| subnet.source_prefix() > 0)
    }

    /// Leading bits of the address over which an answer stays the same: those over which everybody is
    /// answered alike, the prefix of the merged client classes, and, where chance chose among several
    /// endpoints by the first `key_bits` of the client, those bits too.
    ///
    /// The classes' prefix may be longer than what was disclosed: the scope then tells the resolver
    /// that more bits would give a better answer (RFC 7871 §7.2.1). Bits that chance would have used
    /// but that were not disclosed are no such promise, so they end at the source prefix.
    pub(super) fn scope(&self, prefix_len: u8, key_bits: u8) -> u8 {
        let Some(subnet) = self.subnet.filter(|subnet| subnet.source_prefix() > 0) else {
            return 0;
        };
        // An IPv4-mapped address was looked up as the IPv4 address in its last 32 bits.
        let mapped = self.address.is_ipv6() && self.address.to_canonical().is_ipv4();
        let shift = |bits: u8| if mapped && bits > 0 { bits + 96 } else { bits };
        shift(prefix_len).max(shift(key_bits).min(subnet.source_prefix()))
    }
}
