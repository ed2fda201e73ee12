//! The parameters of SVCB and HTTPS records (RFC 9460).
//!
//! On the wire: key, length, value, by strictly growing keys. In text: `key=value`, a value that is a
//! list with commas between, where `\,` is a comma inside an item.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::lex::unescape;
use super::text::unescape_all;
use super::{Token, base};

const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;
const PORT: u16 = 3;
const IPV4_HINT: u16 = 4;
const ECH: u16 = 5;
const IPV6_HINT: u16 = 6;
const OHTTP: u16 = 8;

/// Keys by number (RFC 9460 section 14.3.2, RFC 9461, RFC 9540).
const KEYS: [&str; 9] = [
    "mandatory",
    "alpn",
    "no-default-alpn",
    "port",
    "ipv4hint",
    "ech",
    "ipv6hint",
    "dohpath",
    "ohttp",
];

/// Reads parameters; the error is a token's number and what is wrong.
pub(super) fn read(tokens: &[Token<'_>]) -> Result<Vec<u8>, (usize, String)> {
    let mut params: Vec<(u16, Vec<u8>)> = Vec::with_capacity(tokens.len());
    for (at, token) in tokens.iter().enumerate() {
        let (key, value) = param(token.text).map_err(|reason| (at, reason))?;
        if params.iter().any(|(other, _)| *other == key) {
            return Err((at, format!("`{}` is given twice", key_name(key))));
        }
        params.push((key, value));
    }
    params.sort();
    let mut data = Vec::new();
    for (key, value) in params {
        data.extend(key.to_be_bytes());
        let length = u16::try_from(value.len())
            .map_err(|_| (0, format!("`{}` is too long", key_name(key))))?;
        data.extend(length.to_be_bytes());
        data.extend(value);
    }
    if is_well_formed(&data) {
        Ok(data)
    } else {
        Err((
            0,
            "`mandatory` lists keys that are there, each once, and not itself".to_owned(),
        ))
    }
}

fn param(text: &[u8]) -> Result<(u16, Vec<u8>), String> {
    let (key, value) = match text.iter().position(|byte| *byte == b'=') {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let shown = String::from_utf8_lossy(key).into_owned();
    let key = key_number(&shown).ok_or_else(|| {
        format!("`{shown}` is not a service parameter; unknown ones are written `key65280=…`")
    })?;
    // The quotes of `alpn="h2,h3"` keep blanks together and mean nothing else.
    let value = value.map(|value| match value {
        [b'"', inner @ .., b'"'] => inner,
        plain => plain,
    });
    let value = value.unwrap_or_default();
    if value.is_empty() && !matches!(key, NO_DEFAULT_ALPN | OHTTP) && key < 9 {
        return Err(format!("`{shown}` needs a value: `{shown}=…`"));
    }
    read_value(key, value)
        .map(|value| (key, value))
        .map_err(|reason| format!("`{shown}`: {reason}"))
}

fn read_value(key: u16, value: &[u8]) -> Result<Vec<u8>, String> {
    let text = || String::from_utf8_lossy(value).into_owned();
    match key {
        MANDATORY => {
            let mut keys = text()
                .split(',')
                .map(|name| key_number(name).ok_or(format!("`{name}` is no key")))
                .collect::<Result<Vec<u16>, String>>()?;
            keys.sort_unstable();
            Ok(keys.iter().flat_map(|key| key.to_be_bytes()).collect())
        }
        ALPN => read_list(value),
        NO_DEFAULT_ALPN | OHTTP if value.is_empty() => Ok(Vec::new()),
        NO_DEFAULT_ALPN | OHTTP => Err("it takes no value".into()),
        PORT => {
            let port: u16 = text().parse().map_err(|_| "a port is 0 to 65535")?;
            Ok(port.to_be_bytes().into())
        }
        IPV4_HINT => hints(&text(), |hint: Ipv4Addr| hint.octets().to_vec()),
        ECH => base::read_base64(value),
        IPV6_HINT => hints(&text(), |hint: Ipv6Addr| hint.octets().to_vec()),
        _ => unescape_all(value),
    }
}

fn hints<A: std::str::FromStr>(text: &str, bytes: fn(A) -> Vec<u8>) -> Result<Vec<u8>, String> {
    let mut all = Vec::new();
    for hint in text.split(',') {
        let address = hint
            .parse()
            .map_err(|_| format!("`{hint}` is no address of its family"))?;
        all.extend(bytes(address));
    }
    Ok(all)
}

/// A list of strings with their lengths (RFC 9460 appendix A.1): escapes are resolved once for the
/// character string and again for the list.
fn read_list(value: &[u8]) -> Result<Vec<u8>, String> {
    let value = unescape_all(value)?;
    let mut items: Vec<Vec<u8>> = vec![Vec::new()];
    let mut rest = &value[..];
    while let Some(&byte) = rest.first() {
        let used = match byte {
            b',' => {
                items.push(Vec::new());
                1
            }
            b'\\' => {
                let (byte, used) = unescape(rest).ok_or("a `\\` stands alone")?;
                items.last_mut().ok_or("empty")?.push(byte);
                used
            }
            plain => {
                items.last_mut().ok_or("empty")?.push(plain);
                1
            }
        };
        rest = &rest[used..];
    }
    let mut data = Vec::new();
    for item in items {
        match u8::try_from(item.len()) {
            Ok(length @ 1..) => data.push(length),
            _ => return Err("an item has 1 to 255 bytes".into()),
        }
        data.extend(item);
    }
    Ok(data)
}

fn key_number(name: &str) -> Option<u16> {
    let known = KEYS.iter().position(|key| *key == name);
    match known {
        Some(at) => u16::try_from(at).ok(),
        None => {
            let digits = name.strip_prefix("key")?;
            let canonical = digits == "0" || !digits.starts_with('0');
            digits
                .parse()
                .ok()
                .filter(|key| canonical && *key != u16::MAX)
        }
    }
}

fn key_name(key: u16) -> String {
    match KEYS.get(usize::from(key)) {
        Some(name) => (*name).to_owned(),
        None => format!("key{key}"),
    }
}

/// The parameters of well-formed data, as text.
pub(super) fn write(data: &[u8]) -> String {
    let params = split(data).unwrap_or_default();
    let written: Vec<String> = params
        .into_iter()
        .map(|(key, value)| write_param(key, value))
        .collect();
    written.join(" ")
}

fn write_param(key: u16, value: &[u8]) -> String {
    let name = key_name(key);
    let list = |items: Vec<String>| format!("{name}={}", items.join(","));
    match key {
        MANDATORY => {
            let (keys, _) = value.as_chunks::<2>();
            list(
                keys.iter()
                    .map(|key| key_name(u16::from_be_bytes(*key)))
                    .collect(),
            )
        }
        PORT => format!(
            "{name}={}",
            value
                .iter()
                .fold(0_u16, |port, byte| port << 8 | u16::from(*byte))
        ),
        IPV4_HINT => {
            let (hints, _) = value.as_chunks::<4>();
            list(
                hints
                    .iter()
                    .map(|hint| Ipv4Addr::from(*hint).to_string())
                    .collect(),
            )
        }
        IPV6_HINT => {
            let (hints, _) = value.as_chunks::<16>();
            list(
                hints
                    .iter()
                    .map(|hint| Ipv6Addr::from(*hint).to_string())
                    .collect(),
            )
        }
        ECH => format!("{name}={}", base::write_base64(value)),
        NO_DEFAULT_ALPN | OHTTP => name,
        _ if value.is_empty() => name,
        _ => {
            let bytes = if key == ALPN {
                escaped_list(value)
            } else {
                value.to_vec()
            };
            let mut text = format!("{name}=");
            super::text::write_quoted(&bytes, &mut text);
            text
        }
    }
}

fn escaped_list(value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(value.len());
    for item in items(value).unwrap_or_default() {
        if !bytes.is_empty() {
            bytes.push(b',');
        }
        for byte in item {
            if matches!(byte, b',' | b'\\') {
                bytes.push(b'\\');
            }
            bytes.push(*byte);
        }
    }
    bytes
}

/// Strings with a length byte before each, none of them empty.
fn items(mut value: &[u8]) -> Option<Vec<&[u8]>> {
    let mut items = Vec::new();
    while let Some((&length, rest)) = value.split_first() {
        if length == 0 {
            return None;
        }
        let (item, rest) = rest.split_at_checked(usize::from(length))?;
        items.push(item);
        value = rest;
    }
    (!items.is_empty()).then_some(items)
}

fn split(mut data: &[u8]) -> Option<Vec<(u16, &[u8])>> {
    let mut params = Vec::new();
    while !data.is_empty() {
        let &[a, b, c, d, ref rest @ ..] = data else {
            return None;
        };
        let length = usize::from(u16::from_be_bytes([c, d]));
        let (value, rest) = rest.split_at_checked(length)?;
        params.push((u16::from_be_bytes([a, b]), value));
        data = rest;
    }
    Some(params)
}

/// Whether wire data is what RFC 9460 section 2.2 demands.
pub(super) fn is_well_formed(data: &[u8]) -> bool {
    let Some(params) = split(data) else {
        return false;
    };
    let sorted = params.windows(2).all(|pair| pair[0].0 < pair[1].0);
    let has = |key: u16| params.iter().any(|(other, _)| *other == key);
    let fits = |(key, value): &(u16, &[u8])| match *key {
        MANDATORY => {
            let (keys, rest) = value.as_chunks::<2>();
            let keys: Vec<u16> = keys.iter().map(|key| u16::from_be_bytes(*key)).collect();
            let growing = keys.windows(2).all(|pair| pair[0] < pair[1]);
            let there = keys.iter().all(|key| *key != MANDATORY && has(*key));
            rest.is_empty() && !keys.is_empty() && growing && there
        }
        ALPN => items(value).is_some(),
        NO_DEFAULT_ALPN | OHTTP => value.is_empty(),
        PORT => value.len() == 2,
        IPV4_HINT => !value.is_empty() && value.len() % 4 == 0,
        IPV6_HINT => !value.is_empty() && value.len() % 16 == 0,
        ECH => !value.is_empty(),
        u16::MAX => false,
        _ => true,
    };
    sorted && params.iter().all(fits)
}
