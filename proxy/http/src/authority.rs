//! The host and port a request names, taken apart without copying.
//!
//! RFC 3986, section 3.2, without user information: `name`, `name:port`,
//! `192.0.2.1:80`, `[2001:db8::1]:80`. Limit: [`HOST_BYTES_MAX`].

use std::net::Ipv6Addr;

/// Longest host: a DNS name has at most 253 letters, plus a final dot.
pub(crate) const HOST_BYTES_MAX: usize = 254;

/// A host and perhaps a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Authority<'a> {
    /// As written, without port and without a final dot; IPv6 in brackets.
    pub(crate) host: &'a str,
    /// The port, where one is written.
    pub(crate) port: Option<u16>,
}

impl Authority<'_> {
    /// Whether both name one host and port; letters count the same in either
    /// case.
    pub(crate) fn same_host(&self, other: &Self) -> bool {
        self.port == other.port && self.host.eq_ignore_ascii_case(other.host)
    }
}

/// Takes an authority apart; `None` where it is not one.
pub(crate) fn parse(bytes: &[u8]) -> Option<Authority<'_>> {
    let text = str::from_utf8(bytes).ok()?;
    let (host, rest) = match text.strip_prefix('[') {
        Some(inner) => {
            let end = inner.find(']')?;
            inner[..end].parse::<Ipv6Addr>().ok()?;
            text.split_at(end + 2)
        }
        None => {
            let end = text.find(':').unwrap_or(text.len());
            let (name, rest) = text.split_at(end);
            let name = name.strip_suffix('.').unwrap_or(name);
            valid_name(name).then_some((name, rest))?
        }
    };
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => None,
        None => return None,
        // RFC 3986, section 3.2.3: a port may be empty, and is the usual one then.
        Some("") => None,
        Some(digits) => Some(port(digits)?),
    };
    Some(Authority { host, port })
}

/// Letters, digits, hyphens and underscores in labels; underscores are not in
/// RFC 1123 but are in use.
fn valid_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() < HOST_BYTES_MAX
        && name.split('.').all(|label| !label.is_empty())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn port(digits: &str) -> Option<u16> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

#[cfg(test)]
mod tests;
