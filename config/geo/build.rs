//! Turns iptocc's look-up (address in, country out) into sorted ranges, once, when the crate is built:
//! a process that starts then reads about 2 MB instead of asking thirty million times.
//!
//! IPv4 is enumerated by /24: of the few old delegations inside one /24, the first stands for all. IPv6 is enumerated by /32 inside the
//! blocks that IANA has given to the regional registries (the smallest usual delegation), and wherever
//! sixteen samples of a /32 disagree, its parts are split again, sixteen at a time, down to /48 (the
//! smallest delegation of provider-independent space). A lone /48 whose /36, /40 or /44 looks uniform
//! from its sixteen samples is missed; the test beside the crate counts how often addresses disagree.
//!
//! File format: number of countries (u16), their codes (2 bytes each), then for each family the
//! number of ranges (u32) and for each range its first address (IPv4: u32, IPv6: the upper 64 bits)
//! and its country's position, 255 for none. All numbers are little-endian.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

/// Where a range begins and its country.
type Start = (u64, Option<&'static str>);

/// The upper sixteen bits of what IANA gave to the registries (IPv6 Global Unicast Address Space).
const V6_BLOCKS: &[std::ops::RangeInclusive<u64>] = &[
    0x2001..=0x2001,
    0x2003..=0x2003,
    0x2400..=0x241f,
    0x2600..=0x263f,
    0x2800..=0x280f,
    0x2a00..=0x2a1f,
    0x2c00..=0x2c0f,
];
/// How many bits one step of splitting looks at.
const STEP_BITS: u32 = 4;
/// Prefixes are not split below this.
const SMALLEST_V6: u32 = 48;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let (v4, v6) = (v4_ranges(), v6_ranges());
    let mut countries: BTreeMap<&str, u8> = BTreeMap::new();
    for (_, country) in v4.iter().chain(&v6) {
        if let Some(code) = country {
            countries.insert(code, 0);
        }
    }
    for (at, position) in countries.values_mut().enumerate() {
        *position = u8::try_from(at).expect("there are fewer than 255 countries");
    }
    let mut file = Vec::new();
    file.extend(
        u16::try_from(countries.len())
            .expect("counted above")
            .to_le_bytes(),
    );
    for code in countries.keys() {
        file.extend(code.as_bytes());
    }
    let position = |country: &Option<&str>| country.map_or(u8::MAX, |code| countries[code]);
    file.extend(
        u32::try_from(v4.len())
            .expect("at most 2^24 ranges")
            .to_le_bytes(),
    );
    for (first, country) in &v4 {
        file.extend(
            u32::try_from(*first)
                .expect("an IPv4 address")
                .to_le_bytes(),
        );
        file.push(position(country));
    }
    file.extend(
        u32::try_from(v6.len())
            .expect("bounded by the enumeration")
            .to_le_bytes(),
    );
    for (first, country) in &v6 {
        file.extend(first.to_le_bytes());
        file.push(position(country));
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    std::fs::write(out.join("registry.bin"), file).expect("OUT_DIR can be written");
}

/// Adds a range unless it continues the one before.
fn push(ranges: &mut Vec<Start>, first: u64, country: Option<&'static str>) {
    if ranges.last().is_none_or(|(_, last)| *last != country) {
        ranges.push((first, country));
    }
}

fn v4_ranges() -> Vec<Start> {
    let mut ranges = vec![(0, None)];
    for net in 0..1_u32 << 24 {
        let country = iptocc::country_code(Ipv4Addr::from_bits(net << 8));
        push(&mut ranges, u64::from(net << 8), country);
    }
    ranges
}

/// Ranges of the upper 64 bits.
fn v6_ranges() -> Vec<Start> {
    let mut ranges = vec![(0, None)];
    for block in V6_BLOCKS.iter().cloned().flatten() {
        for net in 0..1_u64 << 16 {
            split(&mut ranges, block << 48 | net << 32, 32);
        }
        push(&mut ranges, (block + 1) << 48, None);
    }
    ranges
}

fn v6_country(upper: u64) -> Option<&'static str> {
    iptocc::country_code(Ipv6Addr::from_bits(u128::from(upper) << 64))
}

/// The ranges of one prefix: one when its samples agree, else those of its sixteen parts.
fn split(ranges: &mut Vec<Start>, first: u64, prefix_len: u32) {
    let country = v6_country(first);
    if prefix_len >= SMALLEST_V6 {
        push(ranges, first, country);
        return;
    }
    let part = 1_u64 << (64 - prefix_len - STEP_BITS);
    let parts = (0..1_u64 << STEP_BITS).map(|number| first + number * part);
    if parts.clone().all(|sample| v6_country(sample) == country) {
        push(ranges, first, country);
        return;
    }
    for sub in parts {
        split(ranges, sub, prefix_len + STEP_BITS);
    }
}
