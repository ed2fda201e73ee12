//! Names as operators write them, and patterns of names.

use hickory_proto::rr::Name;

use super::checked::{Checked, wrong};
use crate::transfer::record::WireName;

/// Names that an update may change; labels in wire form, lowercased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamePattern(Vec<Box<[u8]>>);

impl NamePattern {
    /// Whether it fits a lowercased wire name.
    pub(crate) fn fits(&self, name: &[u8]) -> bool {
        let labels = labels(name);
        let (any, rest) = match self.0.split_first() {
            Some((first, rest)) if **first == *b"*" => (true, rest),
            _ => (false, &self.0[..]),
        };
        let Some(extra) = labels.len().checked_sub(rest.len()) else {
            return false;
        };
        (if any { extra > 0 } else { extra == 0 })
            && rest
                .iter()
                .zip(&labels[extra..])
                .all(|(pattern, label)| **pattern == *b"*" || **pattern == **label)
    }
}

fn labels(name: &[u8]) -> Vec<&[u8]> {
    let mut labels = Vec::new();
    let mut rest = name;
    while let Some((&length, after)) = rest.split_first()
        && length != 0
    {
        let (label, next) = after.split_at(usize::from(length).min(after.len()));
        labels.push(label);
        rest = next;
    }
    labels
}

/// A domain name as people write it, in wire form and lower case.
pub(super) fn origin(field: &str, text: &str) -> Checked<WireName> {
    let mut name = Name::from_ascii(text)
        .map_err(|error| wrong(field, format!("`{text}` is not a domain name: {error}")))?;
    name.set_fqdn(true);
    Ok(wire_name(&name))
}

fn wire_name(name: &Name) -> WireName {
    let mut wire = Vec::with_capacity(name.len() + 1);
    for label in name.iter() {
        // Labels have at most 63 bytes: hickory-proto checked it.
        wire.push(label.len() as u8);
        wire.extend(label.iter().map(u8::to_ascii_lowercase));
    }
    wire.push(0);
    wire.into()
}

/// Parses a name given by an operator; the error is a sentence.
pub(crate) fn parse_name(text: &str) -> Result<WireName, String> {
    origin("zone", text).map_err(|error| error.reason)
}

pub(super) fn pattern(field: &str, text: &str, zone: &[u8]) -> Checked<NamePattern> {
    let wire = origin(field, text)?;
    if !crate::zone::is_within(&wire, zone) {
        return Err(wrong(
            field,
            format!("`{text}` is not inside the zone `{}`", shown(zone)),
        ));
    }
    Ok(NamePattern(
        labels(&wire).into_iter().map(Box::from).collect(),
    ))
}

/// A wire name for people, without the last dot.
pub(crate) fn shown(name: &[u8]) -> String {
    let text = crate::zone::DisplayName(name.into()).to_string();
    match text.strip_suffix('.') {
        Some("") | None => text,
        Some(text) => text.to_owned(),
    }
}
