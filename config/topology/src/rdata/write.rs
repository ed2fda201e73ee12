//! Record data as text.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::layout::{Field, RTypeName, layout_of};
use super::text::{display_name, write_quoted};
use super::wire::{prefixes, split, strings, types};
use super::{base, loc, svcb, time};

/// Data in the text form of its type, names absolute; what has none, or is not well formed, as
/// RFC 3597 says.
#[must_use]
pub fn write(rtype: u16, data: &[u8]) -> String {
    let Some(fields) = layout_of(rtype).and_then(|layout| split(layout, data)) else {
        return write_generic(data);
    };
    let kind = data.get(1).copied().unwrap_or(0);
    let written = fields
        .into_iter()
        .map(|(field, bytes)| write_field(field, bytes, kind))
        .filter(|text| !text.is_empty());
    written.collect::<Vec<_>>().join(" ")
}

/// Data as `\# LENGTH HEX` (RFC 3597 section 5).
#[must_use]
pub fn write_generic(data: &[u8]) -> String {
    let hex = base::write_hex(data);
    format!("\\# {} {hex}", data.len()).trim_end().to_owned()
}

fn write_field(field: Field, bytes: &[u8], gateway_kind: u8) -> String {
    match field {
        Field::Name => display_name(bytes),
        Field::U8
        | Field::U16
        | Field::U32
        | Field::Period
        | Field::Algorithm
        | Field::CertType => number(bytes).to_string(),
        Field::Type => RTypeName(number(bytes) as u16).to_string(),
        Field::Time => time::write_time(number(bytes)),
        Field::Ipv4 | Field::Ipv6 => address(bytes),
        Field::Text | Field::OptionalText | Field::Texts => quoted_strings(bytes),
        Field::RawText => {
            let mut text = String::new();
            write_quoted(bytes, &mut text);
            text
        }
        Field::Base64 | Field::OptionalBase64 => base::write_base64(bytes),
        Field::Hex => base::write_hex(bytes),
        Field::CountedHex => match bytes.get(1..) {
            None | Some([]) => "-".into(),
            Some(salt) => base::write_hex(salt),
        },
        Field::CountedBase32 => base::write_base32hex(bytes.get(1..).unwrap_or_default()),
        Field::Types => {
            let names = types(bytes).unwrap_or_default();
            let names: Vec<_> = names
                .into_iter()
                .map(|rtype| RTypeName(rtype).to_string())
                .collect();
            names.join(" ")
        }
        Field::Pairs(_) => {
            let pairs: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            pairs.join("-")
        }
        Field::Quads => {
            let (groups, _) = bytes.as_chunks::<2>();
            let groups: Vec<_> = groups
                .iter()
                .map(|group| format!("{:04x}", u16::from_be_bytes(*group)))
                .collect();
            groups.join(":")
        }
        Field::Params => svcb::write(bytes),
        Field::Location => bytes.first_chunk().map_or_else(String::new, loc::write),
        Field::Prefixes => {
            let written: Vec<_> = prefixes(bytes)
                .unwrap_or_default()
                .into_iter()
                .map(write_prefix)
                .collect();
            written.join(" ")
        }
        Field::Gateway => match gateway_kind {
            0 => ".".into(),
            3 => display_name(bytes),
            _ => address(bytes),
        },
    }
}

/// At most four bytes, the highest first.
fn number(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn address(bytes: &[u8]) -> String {
    match (bytes.first_chunk::<16>(), bytes.first_chunk::<4>()) {
        (Some(octets), _) => Ipv6Addr::from(*octets).to_string(),
        (None, Some(octets)) => Ipv4Addr::from(*octets).to_string(),
        (None, None) => String::new(),
    }
}

fn quoted_strings(bytes: &[u8]) -> String {
    let mut text = String::new();
    for string in strings(bytes).unwrap_or_default() {
        if !text.is_empty() {
            text.push(' ');
        }
        write_quoted(string, &mut text);
    }
    text
}

fn write_prefix((family, bits, negated, bytes): super::wire::Prefix<'_>) -> String {
    let sign = if negated { "!" } else { "" };
    let mut octets = vec![0; if family == 1 { 4 } else { 16 }];
    octets[..bytes.len()].copy_from_slice(bytes);
    format!("{sign}{family}:{}/{bits}", address(&octets))
}
