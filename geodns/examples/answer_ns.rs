//! Nanoseconds per answer of the packet path, without sockets: `cargo run --release -p
//! meridian-geodns --example answer_ns`.
#![allow(
    clippy::print_stdout,
    clippy::panic,
    reason = "printing is what it is for, and without its input it is for nothing"
)]

#[path = "../tests/fixture/mod.rs"]
mod fixture;

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use meridian_engine::{ClassTable, ClassTableBuilder, ClientClass};
use meridian_geodns::dnssec::{
    Algorithm, DnssecConfig, KeyDesk, KeyRole, Signing, ZoneSigningConfig,
};
use meridian_geodns::guard::Guard;
use meridian_geodns::responder::answer;
use meridian_geodns::zone::ShelfSnapshot;
use meridian_geodns::{
    AliasBook, AnswerRules, Asked, EcsTrust, Identity, Outcome, Transport, Zones, zones_for_query,
};
use meridian_live::Published;
use meridian_telemetry::Metrics;

/// Questions asked in turn: more than the caches of a core hold.
const QUESTIONS: usize = 65_536;
/// Questions that need a new signature each: they take a hundred times as long.
const QUESTIONS_MADE: usize = 2_048;
/// When everything is asked.
const NOW: u32 = 1_700_000_000;
/// Rounds over all questions; the fastest counts.
const ROUNDS: usize = 20;

fn main() {
    let topology = include_str!("../tests/fixture/topology.yaml");
    let mut zones = zones_again(topology);
    let rules = AnswerRules {
        udp_bytes_max: 1232,
        ecs: EcsTrust::Everybody,
        failover_ttl_seconds: 5,
        guard: Guard::default(),
        identity: Identity::default(),
        aliases: AliasBook::default(),
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
        let ask = |n| query(name, n, with_subnet, false);
        row(label, &zones, &rules, QUESTIONS, |_, n| ask(n));
    }
    for (name, algorithm) in [
        ("ECDSA P-256", Algorithm::EcdsaP256),
        ("Ed25519", Algorithm::Ed25519),
    ] {
        signed_rows(name, algorithm, zones, &rules);
        zones = zones_again(topology);
    }
}

/// Answers with signatures: kept ones, and ones that are made while the question waits.
fn signed_rows(algorithm_name: &str, algorithm: Algorithm, zones: Zones, rules: &AnswerRules) {
    let zones = signed(zones, algorithm);
    for (label, name, with_subnet) in [
        ("static A", "www.example.test", false),
        ("steered A by EDNS client subnet", "shop.example.test", true),
        ("denial", "no.such.name.example.test", false),
    ] {
        let label = format!("{label}, signed ({algorithm_name}), kept");
        let ask = |n| query(name, n, with_subnet, true);
        row(&label, &zones, rules, QUESTIONS, |_, n| ask(n));
    }
    let label = format!("denial, signed ({algorithm_name}), made");
    row(&label, &zones, rules, QUESTIONS_MADE, |round, n| {
        query(&format!("n{round}x{n}.example.test"), n, false, true)
    });
}

/// The fixture's zone signed by a new key.
fn signed(zones: Zones, algorithm: Algorithm) -> Zones {
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let zone = ZoneSigningConfig {
        algorithm,
        ..ZoneSigningConfig::default()
    };
    let config = DnssecConfig {
        keys: folder.path().into(),
        zones: [("example.test".to_owned(), zone)].into(),
        signatures_per_second: 1_000_000,
        ..DnssecConfig::default()
    };
    let settings = config.validate().unwrap_or_else(|error| panic!("{error}"));
    KeyDesk::of(&settings, "example.test")
        .and_then(|desk| desk.generate(&[KeyRole::Csk], 1))
        .unwrap_or_else(|error| panic!("{error}"));
    let signing =
        Signing::load(settings, &Metrics::new()).unwrap_or_else(|error| panic!("{error}"));
    zones.signed(&signing, NOW)
}

fn zones_again(topology: &str) -> Zones {
    let world = fixture::world_of(topology, many_clients());
    let zones = zones_for_query(
        Arc::new(Published::compile(Arc::new(world), 1)),
        &ShelfSnapshot::new(),
    );
    zones.unwrap_or_else(|error| unreachable!("a fresh registry: {error}"))
}

/// Measures one kind of question, given by round and number.
fn row(
    label: &str,
    zones: &Zones,
    rules: &AnswerRules,
    questions: usize,
    ask: impl Fn(usize, usize) -> Vec<u8>,
) {
    let mut out = [0; 1232];
    let mut best = f64::MAX;
    for round in 0..ROUNDS {
        let packets: Vec<_> = (0..questions).map(|n| ask(round, n)).collect();
        let start = Instant::now();
        for (n, packet) in packets.iter().enumerate() {
            let source = SocketAddr::from((client(n), 4242));
            let asked = Asked {
                packet: black_box(packet),
                source: &source,
                transport: Transport::Udp,
                now_unix_seconds: NOW,
            };
            match answer(zones, rules, &asked, &mut out) {
                Outcome::Reply(reply) => _ = black_box(&out[..reply.bytes]),
                Outcome::Drop | Outcome::Slow => unreachable!("every question has an answer"),
            }
        }
        best = best.min(start.elapsed().as_nanos() as f64 / questions as f64);
    }
    println!("{label:48} {best:9.1} ns");
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

/// A question for A with EDNS, with the client's /24 and DO if asked for.
fn query(name: &str, n: usize, with_subnet: bool, dnssec_ok: bool) -> Vec<u8> {
    let mut packet = vec![(n >> 8) as u8, n as u8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    for label in name.split('.') {
        packet.push(label.len() as u8);
        packet.extend_from_slice(label.as_bytes());
    }
    packet.extend_from_slice(&[0, 0, 1, 0, 1, 0, 0, 41, 0x04, 0xd0, 0, 0]);
    packet.extend_from_slice(&[u8::from(dnssec_ok) << 7, 0]);
    if with_subnet {
        packet.extend_from_slice(&[0, 11, 0, 8, 0, 7, 0, 1, 24, 0]);
        packet.extend_from_slice(&client(n).octets()[..3]);
    } else {
        packet.extend_from_slice(&[0, 0]);
    }
    packet
}
