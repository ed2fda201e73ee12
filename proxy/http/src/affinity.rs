//! What keeps a client at its endpoint beside its address: a field it sends, or a cookie we gave it.
//!
//! The key is the value's hash, on the ring that every other key falls on: no table, the same on every
//! node, and when an endpoint goes only its own clients move. A client that chooses its value chooses,
//! in effect, an endpoint; whoever cannot have that uses the policy's stickiness.

use meridian_engine::ClientKey;
use meridian_telemetry::DecisionId;
use meridian_topology::Affinity;

use crate::fields::Fields;

/// Cookies' values longer than this are not ours.
const COOKIE_BYTES_MAX: usize = 256;

/// A client's key by a route's affinity.
pub(crate) struct Identity {
    pub(crate) key: ClientKey,
    /// The cookie to give it, if it has none.
    pub(crate) cookie: Option<String>,
}

/// The key of a request; `None` where it has none and gets none: its address decides then.
pub(crate) fn identity<F: Fields + ?Sized>(
    affinity: &Affinity,
    fields: &F,
    is_secure: bool,
    decision: DecisionId,
) -> Option<Identity> {
    match affinity {
        Affinity::Header(name) => {
            let value = fields.values(name.as_str()).next()?;
            Some(Identity {
                key: ClientKey::from_bytes(value),
                cookie: None,
            })
        }
        Affinity::Cookie(name) => {
            if let Some(value) = cookie(fields, name.as_str()) {
                return Some(Identity {
                    key: ClientKey::from_bytes(value),
                    cookie: None,
                });
            }
            // Unique by the process's random part; it names nobody.
            let value = decision.to_string();
            let secure = if is_secure { "; Secure" } else { "" };
            Some(Identity {
                key: ClientKey::from_bytes(value.as_bytes()),
                cookie: Some(format!(
                    "{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}"
                )),
            })
        }
    }
}

/// The value of a cookie (RFC 6265, section 4.2.1), without quotes. Names are compared with any case:
/// the topology has them in lower case.
pub(crate) fn cookie<'f, F: Fields + ?Sized>(fields: &'f F, name: &str) -> Option<&'f [u8]> {
    let pairs = fields
        .values("cookie")
        .flat_map(|value| value.split(|byte| *byte == b';'));
    let value = pairs
        .filter_map(|pair| {
            let pair = pair.trim_ascii();
            let equals = pair.iter().position(|byte| *byte == b'=')?;
            Some((&pair[..equals], &pair[equals + 1..]))
        })
        .find_map(|(found, value)| found.eq_ignore_ascii_case(name.as_bytes()).then_some(value))?;
    let bare = value.strip_prefix(b"\"").unwrap_or(value);
    let bare = bare.strip_suffix(b"\"").unwrap_or(bare);
    (!bare.is_empty() && bare.len() <= COOKIE_BYTES_MAX).then_some(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(value: &str) -> Option<&[u8]> {
        let field = httparse::Header {
            name: "Cookie",
            value: value.as_bytes(),
        };
        let found = cookie(&[field][..], "sid").map(<[u8]>::to_vec);
        found.map(|found| &*found.leak())
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        assert_eq!(find("sid=abc"), Some(&b"abc"[..]));
        assert_eq!(find("a=b; sid=abc; c=d"), Some(&b"abc"[..]));
        assert_eq!(find("a=b;SID=\"abc\""), Some(&b"abc"[..]));
        assert_eq!(find("xsid=abc; sidx=abc; sid"), None);
        assert_eq!(find("sid="), None);
        assert_eq!(find(&format!("sid={}", "x".repeat(300))), None);
    }
}
