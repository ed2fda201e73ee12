//! Record data in wire form: its fields, whether it is well formed, the names in it.

use super::layout::{Field, Layout, layout_of};
use super::{DATA_BYTES_MAX, NAME_BYTES_MAX, loc, svcb};

/// Pointers followed in one compressed name: each must point backwards, and a name has fewer labels.
const POINTERS_MAX: usize = 128;

/// The length of the well-formed, uncompressed name at the start of `data`, root byte included.
pub(super) fn name_length(data: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match *data.get(at)? {
            0 => break,
            length @ 1..=63 => at += 1 + usize::from(length),
            _ => return None,
        }
    }
    (at < NAME_BYTES_MAX).then_some(at + 1)
}

/// Bytes of a field at the start of `rest`; `data` is the whole. Names are uncompressed.
fn field_length(field: Field, data: &[u8], rest: &[u8]) -> Option<usize> {
    let counted = || Some(1 + usize::from(*rest.first()?));
    match field {
        Field::U8 | Field::Algorithm => Some(1),
        Field::U16 | Field::Type | Field::CertType => Some(2),
        Field::U32 | Field::Period | Field::Time | Field::Ipv4 => Some(4),
        Field::Quads => Some(8),
        Field::Ipv6 | Field::Location => Some(16),
        Field::Pairs(count) => Some(count),
        Field::Name => name_length(rest),
        Field::Text | Field::CountedHex | Field::CountedBase32 => counted(),
        Field::OptionalText if rest.is_empty() => Some(0),
        Field::OptionalText => counted(),
        Field::Gateway => match data.get(1)? {
            0 => Some(0),
            1 => Some(4),
            2 => Some(16),
            3 => name_length(rest),
            _ => None,
        },
        Field::Texts
        | Field::RawText
        | Field::Base64
        | Field::OptionalBase64
        | Field::Hex
        | Field::Types
        | Field::Params
        | Field::Prefixes => Some(rest.len()),
    }
}

/// Whether the bytes of a field of the right length are what they must be.
fn field_fits(field: Field, bytes: &[u8]) -> bool {
    match field {
        Field::Texts => !bytes.is_empty() && strings(bytes).is_some(),
        Field::Base64 | Field::Hex => !bytes.is_empty(),
        Field::CountedBase32 => bytes.len() > 1,
        Field::Types => types(bytes).is_some(),
        Field::Params => svcb::is_well_formed(bytes),
        Field::Location => loc::is_well_formed(bytes),
        Field::Prefixes => prefixes(bytes).is_some(),
        _ => true,
    }
}

/// The fields of well-formed data.
pub(super) fn split<'d>(layout: &Layout, data: &'d [u8]) -> Option<Vec<(Field, &'d [u8])>> {
    let mut fields = Vec::with_capacity(layout.len());
    let mut rest = data;
    for (_, field) in layout {
        let (bytes, after) = rest.split_at_checked(field_length(*field, data, rest)?)?;
        if !field_fits(*field, bytes) {
            return None;
        }
        fields.push((*field, bytes));
        rest = after;
    }
    rest.is_empty().then_some(fields)
}

/// Whether data is what its type's standard demands. Data of a type without a layout always is.
#[must_use]
pub fn is_well_formed(rtype: u16, data: &[u8]) -> bool {
    data.len() <= DATA_BYTES_MAX
        && layout_of(rtype).is_none_or(|layout| split(layout, data).is_some())
}

/// Where names stand in well-formed data.
#[must_use]
pub fn name_offsets(rtype: u16, data: &[u8]) -> Vec<usize> {
    let fields = layout_of(rtype).and_then(|layout| split(layout, data));
    let mut at = 0;
    let mut offsets = Vec::new();
    for (field, bytes) in fields.unwrap_or_default() {
        if field == Field::Name {
            offsets.push(at);
        }
        at += bytes.len();
    }
    offsets
}

/// The types whose names a signature covers in lower case (RFC 4034 section 6.2, RFC 6840 section
/// 5.1: NSEC is none of them).
const LOWERCASED: [u16; 18] = [
    2, 3, 4, 5, 6, 7, 8, 9, 12, 14, 15, 17, 18, 21, 24, 26, 33, 35,
];
const ALSO_LOWERCASED: [u16; 3] = [36, 39, 46];

/// Well-formed data in the canonical form of RFC 4034 section 6.2.
#[must_use]
pub fn lowercase_names(rtype: u16, data: &[u8]) -> Vec<u8> {
    let mut canonical = data.to_vec();
    if LOWERCASED.contains(&rtype) || ALSO_LOWERCASED.contains(&rtype) {
        for at in name_offsets(rtype, data) {
            let length = name_length(&data[at..]).unwrap_or(0);
            canonical[at..at + length].make_ascii_lowercase();
        }
    }
    canonical
}

/// Data at `at` of a message, `length` bytes long, with the names in it uncompressed. `None` when it
/// is not well formed.
#[must_use]
pub fn uncompress(rtype: u16, message: &[u8], at: usize, length: usize) -> Option<Vec<u8>> {
    let end = at.checked_add(length)?;
    let data = message.get(at..end)?;
    let Some(layout) = layout_of(rtype) else {
        return Some(data.to_vec());
    };
    let mut out = Vec::with_capacity(length);
    let mut from = at;
    for (_, field) in layout {
        let rest = message.get(from..end)?;
        if *field == Field::Name {
            from += uncompress_name(message, from, &mut out)?;
        } else {
            let bytes = rest.get(..field_length(*field, data, rest)?)?;
            if !field_fits(*field, bytes) {
                return None;
            }
            out.extend_from_slice(bytes);
            from += bytes.len();
        }
    }
    (from == end && out.len() <= DATA_BYTES_MAX).then_some(out)
}

/// Appends the name at `at` of a message; returns how many bytes it takes there.
fn uncompress_name(message: &[u8], at: usize, out: &mut Vec<u8>) -> Option<usize> {
    let (start, mut from, mut used) = (out.len(), at, None);
    let mut pointers = 0;
    loop {
        let length = *message.get(from)?;
        match length {
            0 => break,
            1..=63 => {
                let next = from + 1 + usize::from(length);
                out.extend_from_slice(message.get(from..next)?);
                from = next;
            }
            0xc0.. => {
                let to = usize::from(length & 0x3f) << 8 | usize::from(*message.get(from + 1)?);
                // Only the first pointer stands where the name was.
                used = used.or_else(|| Some(from + 2 - at));
                pointers += 1;
                if to >= from || pointers > POINTERS_MAX {
                    return None;
                }
                from = to;
            }
            _ => return None,
        }
        if out.len() - start >= NAME_BYTES_MAX {
            return None;
        }
    }
    out.push(0);
    Some(used.unwrap_or_else(|| from + 1 - at))
}

/// Strings with a length byte before each.
pub(super) fn strings(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut strings = Vec::new();
    while let Some((&length, rest)) = bytes.split_first() {
        let (string, rest) = rest.split_at_checked(usize::from(length))?;
        strings.push(string);
        bytes = rest;
    }
    Some(strings)
}

/// The types of a bitmap (RFC 4034 section 4.1.2): windows grow, none is empty or ends in zeros.
pub(super) fn types(mut bytes: &[u8]) -> Option<Vec<u16>> {
    let mut types = Vec::new();
    let mut window_before: Option<u8> = None;
    while !bytes.is_empty() {
        let &[window, length @ 1..=32, ref rest @ ..] = bytes else {
            return None;
        };
        let (bitmap, rest) = rest.split_at_checked(usize::from(length))?;
        if window_before.is_some_and(|before| before >= window) || bitmap.last() == Some(&0) {
            return None;
        }
        for (at, byte) in bitmap.iter().enumerate() {
            let bits = (0..8).filter(|bit| byte & 0x80 >> bit != 0);
            types.extend(bits.map(|bit| u16::from(window) << 8 | (at * 8 + bit) as u16));
        }
        window_before = Some(window);
        bytes = rest;
    }
    Some(types)
}

/// One prefix of an APL record (RFC 3123): family, prefix length, negation, address bytes.
pub(super) type Prefix<'d> = (u16, u8, bool, &'d [u8]);

pub(super) fn prefixes(mut bytes: &[u8]) -> Option<Vec<Prefix<'_>>> {
    let mut prefixes = Vec::new();
    while !bytes.is_empty() {
        let &[high, low, bits, length, ref rest @ ..] = bytes else {
            return None;
        };
        let (address, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
        let family = u16::from_be_bytes([high, low]);
        let (bits_max, bytes_max) = match family {
            1 => (32, 4),
            2 => (128, 16),
            _ => return None,
        };
        if bits > bits_max || address.len() > bytes_max || address.last() == Some(&0) {
            return None;
        }
        prefixes.push((family, bits, length & 0x80 != 0, address));
        bytes = rest;
    }
    Some(prefixes)
}
