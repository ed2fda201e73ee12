//! Nanoseconds per look-up of a class: run in release, one core.
//!
//! `cargo run --release -p meridian-engine --example lookup_ns`

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a benchmark reads the clock and prints"
)]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use meridian_engine::{ClassTable, ClassTableBuilder, ClientClass};

/// Addresses looked up in turn.
const ADDRESSES: usize = 1 << 18;
/// Rounds over all of them; the fastest counts.
const ROUNDS: usize = 11;
/// Knuth's multiplicative hash, for numbers that lie everywhere.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

fn draw(at: usize, stream: u64) -> u64 {
    let mixed = (at as u64 + 1).wrapping_mul(SPREAD) ^ stream;
    (mixed ^ (mixed >> 29)).wrapping_mul(SPREAD) >> 8
}

fn class(number: usize) -> ClientClass {
    ClientClass {
        asn: Some(number as u32),
        ..ClientClass::default()
    }
}

/// A table of the given nets in 5,000 classes.
fn table(nets: impl Iterator<Item = IpNet>) -> ClassTable {
    let mut builder = ClassTableBuilder::new();
    for (at, net) in nets.enumerate() {
        builder.insert(net, class(at % 5_000)).unwrap();
    }
    builder.build().unwrap()
}

fn v4(at: usize, len: u8) -> IpNet {
    let address = Ipv4Addr::from_bits(draw(at, 4) as u32);
    IpNet::V4(Ipv4Net::new(address, len).unwrap().trunc())
}

fn v6(at: usize) -> IpNet {
    let upper = 0x2a00_0000_0000_0000 | draw(at, 6) & 0x001f_ffff_ffff_0000;
    let address = Ipv6Addr::from_bits(u128::from(upper) << 64);
    let len = 32 + (draw(at, 7) % 17) as u8;
    IpNet::V6(Ipv6Net::new(address, len).unwrap().trunc())
}

fn measure(what: &str, table: &ClassTable, addresses: &[IpAddr]) {
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let began = Instant::now();
        for address in addresses {
            black_box(table.lookup(black_box(*address)));
        }
        best = best.min(began.elapsed().as_secs_f64() * 1e9 / addresses.len() as f64);
    }
    println!(
        "{what:44} {:8} ranges {best:6.1} ns",
        table.range_counts().0
    );
}

fn main() {
    let anywhere: Vec<IpAddr> = (0..ADDRESSES)
        .map(|at| IpAddr::V4(Ipv4Addr::from_bits(draw(at, 1) as u32)))
        .collect();
    // As registries and city databases have them: prefixes of /12 to /24, some longer.
    for (what, nets) in [
        ("40,000 prefixes", 40_000),
        ("1,000,000 prefixes", 1_000_000),
    ] {
        let table = table((0..nets).map(|at| v4(at, 12 + (draw(at, 5) % 14) as u8)));
        measure(&format!("{what}, addresses anywhere"), &table, &anywhere);
    }
    // The map of `bench dns`: 10,000 lone /24s, asked for evenly.
    let nets: Vec<IpNet> = (0..10_000).map(|at| v4(at, 24)).collect();
    let inside: Vec<IpAddr> = (0..ADDRESSES)
        .map(|at| nets[draw(at, 2) as usize % nets.len()].addr())
        .collect();
    let map = table(nets.iter().copied());
    measure("10,000 /24s, addresses inside", &map, &inside);
    let lone: Vec<IpAddr> = (0..ADDRESSES)
        .map(|at| v4(draw(at, 3) as usize % 200_000, 32).addr())
        .collect();
    let hosts = table((0..200_000).map(|at| v4(at, 32)));
    measure("200,000 lone addresses, those", &hosts, &lone);
    let sixes = table((0..100_000).map(v6));
    let six: Vec<IpAddr> = (0..ADDRESSES)
        .map(|at| v6(draw(at, 8) as usize % 200_000).addr())
        .collect();
    measure("100,000 prefixes of IPv6", &sixes, &six);
}
