//! Countries by address, as the regional registries delegated them: the first layer.
//!
//! The ranges are made by `build.rs`, which documents their format and how exact they are. An address
//! that no registry delegated has the unknown class.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use meridian_engine::class::{ClassError, ClassId, ClassTableBuilder, ClientClass};
use meridian_topology::country::CountryCode;

static REGISTRY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/registry.bin"));

/// The position that means "no country".
const NONE: u8 = u8::MAX;

/// Reads the embedded file from front to back.
struct Reader<'f>(&'f [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (bytes, rest) = self
            .0
            .split_first_chunk::<N>()
            .expect("build.rs wrote the whole file");
        self.0 = rest;
        *bytes
    }

    /// First addresses, widened to IPv6's upper half, and positions of countries.
    fn starts<const N: usize>(&mut self, read: fn([u8; N]) -> u64) -> Vec<(u64, u8)> {
        let count = u32::from_le_bytes(self.take());
        (0..count)
            .map(|_| (read(self.take()), self.take::<1>()[0]))
            .collect()
    }
}

/// Lays the countries of all delegated addresses.
pub(crate) fn lay(builder: &mut ClassTableBuilder) -> Result<(), ClassError> {
    let mut file = Reader(REGISTRY);
    let countries = u16::from_le_bytes(file.take());
    let mut classes = Vec::with_capacity(usize::from(countries));
    for _ in 0..countries {
        classes.push(country_class(builder, file.take())?);
    }
    let v4 = file.starts(|bytes| u64::from(u32::from_le_bytes(bytes)));
    let v6 = file.starts(u64::from_le_bytes);
    let v4 = ranges(&v4, &classes, u64::from(u32::MAX)).map(|(first, last, class)| {
        let address = |bits: u64| IpAddr::V4(Ipv4Addr::from_bits(bits as u32));
        (address(first), address(last), class)
    });
    let v6 = ranges(&v6, &classes, u64::MAX).map(|(first, last, class)| {
        let address = |bits: u128| IpAddr::V6(Ipv6Addr::from_bits(bits));
        let low = u128::from(u64::MAX);
        (
            address(u128::from(first) << 64),
            address(u128::from(last) << 64 | low),
            class,
        )
    });
    builder.layer_of_ranges(v4.chain(v6))
}

/// Registries also hand out `EU` and `AP`, which are no countries: those clients' country stays
/// unknown, and compliance selectors treat them as such.
fn country_class(builder: &mut ClassTableBuilder, code: [u8; 2]) -> Result<ClassId, ClassError> {
    let code = std::str::from_utf8(&code)
        .ok()
        .and_then(|text| text.parse::<CountryCode>().ok());
    match code.filter(|code| code.country().is_some()) {
        Some(code) => builder.intern(ClientClass::default().in_country(code)),
        None => Ok(ClassId::UNKNOWN),
    }
}

/// Closed ranges with a class, from their starts; ranges without one are left out.
fn ranges<'r>(
    starts: &'r [(u64, u8)],
    classes: &'r [ClassId],
    end: u64,
) -> impl Iterator<Item = (u64, u64, ClassId)> + 'r {
    starts
        .iter()
        .enumerate()
        .filter(|(_, (_, country))| *country != NONE)
        .map(move |(at, (first, country))| {
            let last = starts.get(at + 1).map_or(end, |(next, _)| next - 1);
            (*first, last, classes[usize::from(*country)])
        })
}
