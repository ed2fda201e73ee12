#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

use std::net::IpAddr;
use std::process::Command;

use meridian_engine::class::{ClassTableBuilder, ClientClass};
use meridian_topology::{Coordinates, Topology};
use proptest::prelude::*;

use super::*;
use crate::{GRID_DEGREES, Sources, build_table};

fn small() -> Table {
    let mut builder = ClassTableBuilder::new();
    let berlin = ClientClass {
        country: Some("DE".parse().unwrap()),
        location: Coordinates::new(52.5, 13.4).ok(),
        asn: Some(64_500),
        provider: Some("own".parse().unwrap()),
        region: Some("eu".parse().unwrap()),
        group: Some("office".parse().unwrap()),
    };
    builder
        .insert("192.0.2.0/24".parse().unwrap(), berlin.clone())
        .unwrap();
    let cloud = ClientClass {
        provider: Some("eu".parse().unwrap()),
        ..ClientClass::default()
    };
    builder
        .insert("192.0.2.128/25".parse().unwrap(), cloud)
        .unwrap();
    builder
        .insert("2001:db8::/32".parse().unwrap(), berlin)
        .unwrap();
    let about = About {
        built_by: "a test".to_owned(),
        built_unix_seconds: 1_700_000_000,
        grid_degrees: 0.5,
        asns: vec![64_500],
        sources: vec![SourceNote {
            kind: "registry".to_owned(),
            ..SourceNote::default()
        }],
    };
    Table::new(Arc::new(builder.build().unwrap()), about)
}

/// The bytes with a checksum that is right again.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() >= CHECKSUM.end {
        bytes[CHECKSUM].fill(0);
        let checksum = blake3::hash(&bytes);
        bytes[CHECKSUM].copy_from_slice(checksum.as_bytes());
    }
    bytes
}

#[test]
fn a_file_is_the_table_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clients.geo");
    let table = small();
    let saved = table.save(&path).unwrap();
    let read = Table::open(&path).unwrap();
    assert_eq!(*read.classes, *table.classes);
    assert_eq!(read.classes.fingerprint(), table.classes.fingerprint());
    assert_eq!(
        (&read.about, &read.id, read.bytes),
        (&table.about, &saved.id, saved.bytes)
    );
    assert_eq!(std::fs::metadata(&path).unwrap().len(), read.bytes);
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing is left beside it"
    );
    // The same table is the same file.
    assert_eq!(Table::from_bytes(&table.to_bytes()).unwrap().id, saved.id);
}

#[test]
fn what_is_no_table_is_refused_with_a_sentence() {
    let bytes = small().to_bytes();
    let error = |bytes: &[u8]| Table::from_bytes(bytes).unwrap_err().to_string();
    let changed = |at: usize, to: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = to;
        bytes
    };
    assert!(error(b"").contains("meridian geo build"));
    assert!(error(&[b'x'; 500]).contains("meridian geo build"));
    assert!(error(&changed(8, 2)).contains("its format is 2, this release reads 1"));
    assert!(error(&bytes[..bytes.len() - 1]).contains("cut off"));
    assert!(error(&changed(bytes.len() - 1, 9)).contains("checksum"));
    assert!(error(&sealed(changed(12, 9))).contains("sections"));
    assert!(error(&sealed(changed(64, 1))).contains("do not follow each other"));
    // The unknown client's record is the first.
    let classes = u64::from_le_bytes(bytes[80..88].try_into().unwrap()) as usize;
    assert!(error(&sealed(changed(classes + 34, 4))).contains("classes"));
}

/// Every single bit of a file counts.
#[test]
fn any_flipped_bit_is_noticed() {
    let bytes = small().to_bytes();
    for at in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        assert!(Table::from_bytes(&bytes).is_err(), "byte {at}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// Whatever is in a file whose checksum was made right: a table that answers, or a sentence.
    #[test]
    fn damage_never_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
        probe in any::<u32>(),
    ) {
        let mut bytes = small().to_bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        match Table::from_bytes(&sealed(bytes)) {
            Ok(table) => {
                for address in [IpAddr::from(probe.to_be_bytes()), IpAddr::from([0x20; 16])] {
                    let found = table.classes.lookup(address);
                    prop_assert!(found.class.index() < table.classes.classes().len());
                }
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}

/// A reader that knows only the module's comment: maps the file, checks its length, and finds addresses
/// by bisection in the arrays where they lie.
const READER: &str = r#"
import bisect, ipaddress, mmap, struct, sys
with open(sys.argv[1], "rb") as file:
    whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
assert bytes(whole[:8]) == b"MRDNGEO\n" and struct.unpack_from("<IIQ", whole, 8) == (1, 8, len(whole))
places = [struct.unpack_from("<QQ", whole, 64 + 16 * n) for n in range(8)]
def section(n, kind): return whole[places[n][0] : sum(places[n])].cast(kind)
starts, classes = section(4, "I"), section(5, "H")
for text in sys.argv[2:]:
    at = bisect.bisect_right(starts, int(ipaddress.ip_address(text))) - 1
    record = places[1][0] + 40 * classes[at]
    asn, _, _, _, country, flags = struct.unpack_from("<IIII2sH", whole, record + 16)
    print(text, classes[at], country.decode() if flags & 4 else "--", asn if flags & 2 else "-")
"#;

#[test]
fn another_program_maps_the_file_and_finds_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clients.geo");
    let topology = Topology::default();
    let table = build_table(&topology, &Sources::default(), GRID_DEGREES[0], 7).unwrap();
    table.save(&path).unwrap();
    let addresses = [
        "0.0.0.0",
        "8.8.8.8",
        "193.0.6.139",
        "202.12.29.175",
        "10.0.0.1",
        "255.255.255.255",
    ];
    let python = Command::new("python3")
        .arg("-c")
        .arg(READER)
        .arg(&path)
        .args(addresses)
        .output();
    let Ok(output) = python else {
        println!("skipped: no python3 to map the file with");
        return;
    };
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let want: Vec<String> = addresses
        .iter()
        .map(|address| {
            let id = table.classes.lookup(address.parse().unwrap()).class;
            let class = table.classes.class(id);
            let country = class
                .country
                .map_or_else(|| "--".to_owned(), |code| code.to_string());
            format!("{address} {} {country} -", id.0)
        })
        .collect();
    assert_eq!(said.lines().collect::<Vec<_>>(), want);
}
