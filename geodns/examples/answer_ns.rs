//! Nanoseconds per answer of the packet path, without sockets: `cargo run --release -p
//! meridian-geodns --example answer_ns`.
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

#[path = "../tests/fixture/mod.rs"]
mod fixture;

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use meridian_engine::{ClassTable, ClassTableBuilder, ClientClass};
use meridian_geodns::guard::Guard;
use meridian_geodns::responder::answer;
use meridian_geodns::zone::ShelfSnapshot;
use meridian_geodns::{AnswerRules, Asked, EcsTrust, Outcome, Transport, zones_for_query};
use meridian_live::Published;

/// Questions asked in turn: more than the caches of a core hold.
const QUESTIONS: usize = 65_536;
/// Rounds over all questions; the fastest counts.
const ROUNDS: usize = 20;

fn main() {
    let topology = include_str!("../tests/fixture/topology.yaml");
    let world = fixture::world_of(topology, many_clients());
    let zones = zones_for_query(
        Arc::new(Published::compile(Arc::new(world), 1)),
        &ShelfSnapshot::new(),
    );
    let zones = zones.unwrap_or_else(|error| unreachable!("a fresh registry: {error}"));
    let rules = AnswerRules {
        udp_bytes_max: 1232,
        ecs: EcsTrust::Everybody,
        failover_ttl_seconds: 5,
        guard: Guard::default(),
    };
    for (label, name, with_subnet) in [
        ("static A", "www.example.test", false),
        ("static A, EDNS client subnet", "www.example.test", true),
        ("steered A by source address", "shop.example.test", false),
        ("steered A by EDNS client subnet", "shop.example.test", true),
        (
            "two steered A by EDNS client subnet",
            "pair.example.test",
            true,
        ),
        ("NXDOMAIN", "no.such.name.example.test", false),
    ] {
        let packets: Vec<_> = (0..QUESTIONS)
            .map(|n| query(name, n, with_subnet))
            .collect();
        let mut out = [0; 1232];
        let mut best = f64::MAX;
        for _ in 0..ROUNDS {
            let start = Instant::now();
            for (n, packet) in packets.iter().enumerate() {
                let source = SocketAddr::from((client(n), 4242));
                let asked = Asked {
                    packet: black_box(packet),
                    source,
                    transport: Transport::Udp,
                    now_unix_seconds: 1_700_000_000,
                };
                match answer(&zones, &rules, &asked, &mut out) {
                    Outcome::Reply(reply) => _ = black_box(&out[..reply.bytes]),
                    Outcome::Drop | Outcome::Slow => unreachable!("every question has an answer"),
                }
            }
            best = best.min(start.elapsed().as_nanos() as f64 / QUESTIONS as f64);
        }
        println!("{label:40} {best:7.1} ns");
    }
}

/// A client somewhere in the classes of [`many_clients`].
fn client(n: usize) -> Ipv4Addr {
    // Knuth's multiplicative hash: every question comes from elsewhere.
    let spread = (n as u32).wrapping_mul(2_654_435_761);
    Ipv4Addr::from(0x0a00_0000 | (spread & 0x00ff_ff00))
}

/// 65,536 networks of 10.0.0.0/8 in 180 classes.
fn many_clients() -> ClassTable {
    let mut builder = ClassTableBuilder::new();
    let countries = ["US", "DE", "SG", "FR", "BR", "JP", "ZA", "AU", "IN"];
    for n in 0..65_536_u32 {
        let network = Ipv4Addr::from(0x0a00_0000 | (n << 8));
        let country = countries[n as usize % countries.len()];
        let class = country
            .parse()
            .map(|country| ClientClass::default().in_country(country));
        let mut class = class.unwrap_or_default();
        class.asn = Some(n % 20);
        let network = format!("{network}/24").parse();
        if let Ok(network) = network {
            builder
                .insert(network, class)
                .unwrap_or_else(|error| unreachable!("180 classes: {error}"));
        }
    }
    builder
        .build()
        .unwrap_or_else(|error| unreachable!("180 classes: {error}"))
}

/// A question for A with EDNS, and with the client's /24 if asked for.
fn query(name: &str, n: usize, with_subnet: bool) -> Vec<u8> {
    let mut packet = vec![(n >> 8) as u8, n as u8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    for label in name.split('.') {
        packet.push(label.len() as u8);
        packet.extend_from_slice(label.as_bytes());
    }
    packet.extend_from_slice(&[0, 0, 1, 0, 1, 0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0]);
    if with_subnet {
        packet.extend_from_slice(&[0, 11, 0, 8, 0, 7, 0, 1, 24, 0]);
        packet.extend_from_slice(&client(n).octets()[..3]);
    } else {
        packet.extend_from_slice(&[0, 0]);
    }
    packet
}
