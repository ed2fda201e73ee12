//! From a table to the bytes of its file.

use std::collections::HashMap;

use meridian_engine::class::{ClassTable, ClientClass};

use super::{
    About, CHECKSUM, CLASS_BYTES, FORMAT, HAS_ASN, HAS_COUNTRY, HAS_LOCATION, HEADER_BYTES, MAGIC,
    SECTIONS, aligned,
};

/// The names that classes use, each once; numbers count from 1, 0 is no name.
#[derive(Default)]
struct Names<'t> {
    numbers: HashMap<&'t str, u32>,
    offsets: Vec<u32>,
    text: String,
}

impl<'t> Names<'t> {
    fn number(&mut self, name: Option<&'t str>) -> u32 {
        let Some(name) = name else { return 0 };
        if let Some(known) = self.numbers.get(name) {
            return *known;
        }
        // At most three names of at most 63 bytes for each of 65,535 classes.
        self.offsets.push(self.text.len() as u32);
        self.text.push_str(name);
        let number = self.offsets.len() as u32;
        self.numbers.insert(name, number);
        number
    }

    fn finish(mut self) -> (Vec<u32>, String) {
        self.offsets.push(self.text.len() as u32);
        (self.offsets, self.text)
    }
}

/// The whole file.
pub(super) fn bytes(table: &ClassTable, about: &About) -> Vec<u8> {
    let mut names = Names::default();
    let mut classes = Vec::with_capacity(table.classes().len() * CLASS_BYTES);
    for class in table.classes() {
        put_class(class, &mut names, &mut classes);
    }
    let (offsets, text) = names.finish();
    let (v4, v6) = (table.v4(), table.v6());
    let notes = serde_json::to_vec(about)
        .unwrap_or_else(|error| unreachable!("texts and finite numbers are JSON: {error}"));
    let sections: [Vec<u8>; SECTIONS] = [
        notes,
        classes,
        flat(&offsets, u32::to_le_bytes),
        text.into_bytes(),
        flat(v4.starts, u32::to_le_bytes),
        flat(v4.classes, u16::to_le_bytes),
        flat(v6.starts, u128::to_le_bytes),
        flat(v6.classes, u16::to_le_bytes),
    ];
    assemble(&sections, about.built_unix_seconds)
}

/// Header and sections, with the checksum in its place.
pub(super) fn assemble(sections: &[Vec<u8>; SECTIONS], built_unix_seconds: u64) -> Vec<u8> {
    let mut places = Vec::with_capacity(SECTIONS);
    let mut end = HEADER_BYTES;
    for section in sections {
        let offset = aligned(end);
        places.push((offset as u64, section.len() as u64));
        end = offset + section.len();
    }
    let mut out = Vec::with_capacity(end);
    out.extend(MAGIC);
    out.extend(FORMAT.to_le_bytes());
    out.extend((SECTIONS as u32).to_le_bytes());
    out.extend((end as u64).to_le_bytes());
    out.extend(built_unix_seconds.to_le_bytes());
    out.extend([0; CHECKSUM.end - CHECKSUM.start]);
    for (offset, length) in places {
        out.extend(offset.to_le_bytes());
        out.extend(length.to_le_bytes());
    }
    for section in sections {
        out.resize(aligned(out.len()), 0);
        out.extend(section);
    }
    let checksum = blake3::hash(&out);
    out[CHECKSUM].copy_from_slice(checksum.as_bytes());
    out
}

fn flat<T: Copy, const N: usize>(values: &[T], bytes: fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|value| bytes(*value)).collect()
}

fn put_class<'t>(class: &'t ClientClass, names: &mut Names<'t>, out: &mut Vec<u8>) {
    let (latitude, longitude) = class
        .location
        .map_or((0.0, 0.0), |at| (at.latitude(), at.longitude()));
    out.extend(latitude.to_le_bytes());
    out.extend(longitude.to_le_bytes());
    out.extend(class.asn.unwrap_or(0).to_le_bytes());
    let named = [
        class.provider.as_ref().map(|id| id.as_str()),
        class.region.as_ref().map(|id| id.as_str()),
        class.group.as_ref().map(|id| id.as_str()),
    ];
    for name in named {
        out.extend(names.number(name).to_le_bytes());
    }
    let country = class.country.as_ref().map_or("\0\0", |code| code.as_str());
    out.extend(country.as_bytes());
    let flag = |has: bool, flag: u16| if has { flag } else { 0 };
    let flags = flag(class.location.is_some(), HAS_LOCATION)
        | flag(class.asn.is_some(), HAS_ASN)
        | flag(class.country.is_some(), HAS_COUNTRY);
    out.extend(flags.to_le_bytes());
    out.extend([0; 4]);
}
