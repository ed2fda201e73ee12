#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

//! Reads files written here: the format's search tree and data section, without pointers
//! (MaxMind DB File Format Specification 2.0).

use meridian_topology::Topology;

use crate::{Sources, build};

/// A value of the data section.
enum Value {
    Text(&'static str),
    Double(f64),
    Short(u16),
    Number(u32),
    Long(u64),
    Map(Vec<(&'static str, Value)>),
    /// An array without elements.
    Empty,
}
use Value::{Double, Empty, Long, Map, Number, Short, Text};

fn write(value: &Value, out: &mut Vec<u8>) {
    // A control byte: type in the upper three bits, size in the lower five (below 29 here).
    let control = |kind: u8, size: usize| kind << 5 | u8::try_from(size).unwrap();
    match value {
        Text(text) => {
            out.push(control(2, text.len()));
            out.extend(text.as_bytes());
        }
        Double(number) => {
            out.push(control(3, 8));
            out.extend(number.to_be_bytes());
        }
        Short(number) => {
            out.push(control(5, 2));
            out.extend(number.to_be_bytes());
        }
        // An extended type: 9 is 7 + 2.
        Long(number) => {
            out.extend([control(0, 8), 2]);
            out.extend(number.to_be_bytes());
        }
        Number(number) => {
            out.push(control(6, 4));
            out.extend(number.to_be_bytes());
        }
        // Extended type 11.
        Empty => out.extend([control(0, 0), 4]),
        Map(entries) => {
            out.push(control(7, entries.len()));
            for (key, value) in entries {
                write(&Text(key), out);
                write(value, out);
            }
        }
    }
}

/// A file with an IPv4 tree of the given `/8` networks.
fn file(networks: &[(u8, Value)]) -> Vec<u8> {
    let mut data = Vec::new();
    let mut offsets = Vec::new();
    for (_, value) in networks {
        offsets.push(data.len());
        write(value, &mut data);
    }
    // A complete tree of eight levels: 255 nodes, level by level, then the records of the /8s.
    let nodes = 255_u32;
    let record = |byte: usize| match networks
        .iter()
        .position(|(net, _)| usize::from(*net) == byte)
    {
        Some(at) => nodes + 16 + u32::try_from(offsets[at]).unwrap(),
        None => nodes,
    };
    let mut tree = Vec::new();
    for node in 0..255_usize {
        for side in 1..=2 {
            let child = 2 * node + side;
            let value = if child < 255 {
                u32::try_from(child).unwrap()
            } else {
                record(child - 255)
            };
            tree.extend(&value.to_be_bytes()[1..]);
        }
    }
    tree.extend([0; 16]);
    tree.extend(data);
    tree.extend(b"\xab\xcd\xefMaxMind.com");
    let metadata = Map(vec![
        ("node_count", Number(nodes)),
        ("record_size", Short(24)),
        ("ip_version", Short(4)),
        ("database_type", Text("Test")),
        ("binary_format_major_version", Short(2)),
        ("binary_format_minor_version", Short(0)),
        ("build_epoch", Long(1)),
        ("languages", Empty),
        ("description", Map(Vec::new())),
    ]);
    write(&metadata, &mut tree);
    tree
}

#[test]
fn places_and_networks_nested_and_flat() {
    let nested = Map(vec![
        ("country", Map(vec![("iso_code", Text("DE"))])),
        (
            "location",
            Map(vec![
                ("latitude", Double(52.51)),
                ("longitude", Double(13.38)),
            ]),
        ),
    ]);
    let flat = Map(vec![
        ("country_code", Text("jp")),
        ("city", Text("Tokyo")),
        ("latitude", Text("35.69")),
        ("longitude", Text("139.69")),
    ]);
    let nonsense = Map(vec![
        ("country", Text("??")),
        ("latitude", Double(123.0)),
        ("longitude", Double(0.0)),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let city = folder.path().join("city.mmdb");
    std::fs::write(&city, file(&[(10, nested), (8, flat), (127, nonsense)])).unwrap();
    let asn = folder.path().join("asn.mmdb");
    let networks = [
        (10, Map(vec![("autonomous_system_number", Number(64_500))])),
        (8, Map(vec![("asn", Text("AS64501"))])),
    ];
    std::fs::write(&asn, file(&networks)).unwrap();
    let sources = Sources {
        mmdb_city: Some(city),
        mmdb_asn: Some(asn),
        asns: [64_501].into(),
        ..Sources::default()
    };
    let table = build(&Topology::default(), &sources).unwrap();
    let class = |address: &str| {
        table
            .class(table.lookup(address.parse().unwrap()).class)
            .clone()
    };
    let berlin = class("10.1.2.3");
    assert_eq!(berlin.country.unwrap().as_str(), "DE");
    let place = berlin.location.unwrap();
    assert_eq!((place.latitude(), place.longitude()), (52.75, 13.25));
    assert_eq!(berlin.asn, None, "nobody asked for AS64500");
    let tokyo = class("8.8.8.8");
    assert_eq!(
        (tokyo.country.unwrap().as_str(), tokyo.asn),
        ("JP", Some(64_501))
    );
    assert_eq!(class("127.0.0.1"), Default::default());
    assert_eq!(table.lookup("10.1.2.3".parse().unwrap()).prefix_len, 8);
    // Asked alone, the files say what they hold: exact places, and systems that nobody named.
    let topology = Topology::default();
    let witnesses = crate::witness::Witnesses::open(&topology, &sources).unwrap();
    let said = witnesses.ask("10.1.2.3".parse().unwrap()).unwrap();
    let sources: Vec<_> = said.iter().map(|said| said.source).collect();
    assert_eq!(sources, ["mmdb_city", "mmdb_asn"]);
    assert_eq!(said[0].says.location.unwrap().latitude(), 52.51);
    assert_eq!(said[1].says.asn, Some(64_500));
}
