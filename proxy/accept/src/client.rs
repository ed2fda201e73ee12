//! Who is the client? An address in a header is only as good as the peer that
//! wrote it, so the walk starts at the socket and goes outward one hop at a
//! time, as long as the hop it stands on is one the operator trusts.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::proxy_protocol::Header;

/// Forwarded hops that are looked at; farther ones are not believed.
pub const HOPS_MAX: usize = 32;

/// Peers whose PROXY and forwarded headers are believed. Empty by default:
/// nobody is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedSources {
    networks: Vec<IpNet>,
}

impl TrustedSources {
    /// Trusts the peers inside these networks.
    #[must_use]
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self { networks }
    }

    /// Whether headers written by `peer` are believed. An IPv4-mapped IPv6
    /// address counts as the IPv4 address it carries.
    #[must_use]
    pub fn contains(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.networks.iter().any(|network| network.contains(&peer))
    }

    /// Whether nobody is trusted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }
}

impl FromIterator<IpNet> for TrustedSources {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Self {
        Self::new(networks.into_iter().collect())
    }
}

/// The client's address: the farthest one that only trusted hops vouch for.
///
/// `hops` are the forwarded addresses from the nearest to the farthest
/// ([`x_forwarded_for`] or [`forwarded`]); `None` is a hop that did not say an
/// address (obfuscated or malformed), and the walk ends before it. A client
/// that writes the header itself changes nothing: its own address is the
/// first that is not trusted.
pub fn client_address(
    peer: IpAddr,
    proxy: Option<&Header>,
    hops: impl Iterator<Item = Option<IpAddr>>,
    trusted: &TrustedSources,
) -> IpAddr {
    let mut client = peer.to_canonical();
    if !trusted.contains(client) {
        return client;
    }
    if let Some(addresses) = proxy.and_then(|header| header.addresses) {
        client = addresses.source.ip().to_canonical();
    }
    for hop in hops.take(HOPS_MAX) {
        if !trusted.contains(client) {
            break;
        }
        match hop {
            Some(address) => client = address.to_canonical(),
            None => break,
        }
    }
    client
}

/// The hops of `X-Forwarded-For`, nearest first. `values` are the header's
/// values in the order they stand in the request; each may list several.
pub fn x_forwarded_for<'a>(
    values: impl DoubleEndedIterator<Item = &'a [u8]>,
) -> impl Iterator<Item = Option<IpAddr>> {
    values
        .rev()
        .flat_map(|value| value.rsplit(|byte| *byte == b','))
        .map(|hop| str::from_utf8(hop).ok().and_then(|hop| node(hop.trim())))
}

/// The `for=` hops of `Forwarded` (RFC 7239), nearest first. An element
/// without `for`, with an obfuscated name or with broken quoting is `None`.
pub fn forwarded<'a>(
    values: impl DoubleEndedIterator<Item = &'a [u8]>,
) -> impl Iterator<Item = Option<IpAddr>> {
    values.rev().flat_map(|value| {
        let mut hops = match str::from_utf8(value) {
            Ok(text) => elements(text),
            Err(_) => vec![None],
        };
        hops.reverse();
        hops
    })
}

/// RFC 7239 section 4: elements by commas, pairs by semicolons, values as
/// tokens or quoted strings (in which both separators may stand).
fn elements(text: &str) -> Vec<Option<IpAddr>> {
    split_unquoted(text, ',')
        .into_iter()
        .map(|element| {
            split_unquoted(element, ';').into_iter().find_map(|pair| {
                let (name, value) = pair.trim().split_once('=')?;
                name.eq_ignore_ascii_case("for")
                    .then(|| unquote(value).and_then(|value| node(&value)))
            })?
        })
        .collect()
}

fn split_unquoted(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if character == separator && !quoted => {
                parts.push(&text[start..at]);
                start = at + character.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn unquote(value: &str) -> Option<Cow<'_, str>> {
    let Some(inner) = value.strip_prefix('"') else {
        return Some(Cow::Borrowed(value));
    };
    let inner = inner.strip_suffix('"')?;
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    let mut plain = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => characters.next()?,
            other => other,
        });
    }
    Some(Cow::Owned(plain))
}

/// An address with or without a port: `192.0.2.1`, `192.0.2.1:47011`,
/// `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:47011`. RFC 7239 obliges
/// brackets, `X-Forwarded-For` writers mostly leave them out.
fn node(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address);
    }
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Some(socket.ip());
    }
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    inner.parse().ok().map(IpAddr::V6)
}

#[cfg(test)]
mod tests;
