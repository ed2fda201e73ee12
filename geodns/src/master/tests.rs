#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::Path;

use meridian_topology::rdata::{RTypeName, display_name, write};
use proptest::prelude::*;

use super::*;
use crate::wire::RType;
use crate::zone::{StaticZone, StaticZoneBuilder, ZoneShelf};

/// `example.` in wire form.
const ORIGIN: &[u8] = b"\x07example\0";
const SOA: &str = "@ 300 IN SOA ns1 admin 7 3600 600 86400 60\n@ 300 NS ns1\n";

/// Every record but SOA and NS as one line.
fn lines(zone: &StaticZone) -> Vec<String> {
    zone.records()
        .filter(|record| record.rtype != RType::SOA && record.rtype != RType::NS)
        .map(|record| {
            format!(
                "{} {} {} {}",
                display_name(record.owner),
                record.ttl_seconds,
                RTypeName(record.rtype.0),
                write(record.rtype.0, record.data)
            )
        })
        .collect()
}

fn check(text: &str, expected: &[&str]) {
    let zone = read_text("test.zone", format!("{SOA}{text}").as_bytes(), ORIGIN)
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(zone.problems(), []);
    assert_eq!(lines(&zone), expected, "{text}");
}

#[test]
fn owners_ttls_and_classes_come_in_every_order() {
    let same = ["www.example. 60 A 192.0.2.1"];
    check("www 60 IN A 192.0.2.1", &same);
    check("www IN 60 A 192.0.2.1", &same);
    check("www 1m A 192.0.2.1", &same);
    check("$TTL 60\nwww A 192.0.2.1", &same);
    check("www.example. 60 CLASS1 TYPE1 \\# 4 C0000201", &same);
    check("$ORIGIN www\n@ 60 A 192.0.2.1", &same);
    check(
        "$ORIGIN test.\nWWW.Example. 60 IN A (\n192.0.2.1 ; address\n)",
        &same,
    );
    // The TTL stated last, and the owner above.
    check(
        "a 60 A 192.0.2.1\n  A 192.0.2.2\nb A 192.0.2.3\n",
        &[
            "a.example. 60 A 192.0.2.1",
            "a.example. 60 A 192.0.2.2",
            "b.example. 60 A 192.0.2.3",
        ],
    );
    // A name that looks like a class or a type is an owner.
    check(
        "IN 5 IN A 192.0.2.1\nMX 5 A 192.0.2.1",
        &["in.example. 5 A 192.0.2.1", "mx.example. 5 A 192.0.2.1"],
    );
}

#[test]
fn the_minimum_stands_in_for_a_ttl() {
    let text = "@ SOA ns1 admin 7 3600 600 86400 60\n@ NS ns1\nwww A 192.0.2.1\n";
    let zone = read_text("test.zone", text.as_bytes(), ORIGIN).unwrap();
    assert_eq!(lines(&zone), ["www.example. 60 A 192.0.2.1"]);
    assert_eq!(zone.negative_soa().ttl_seconds(), 60);
}

#[test]
fn the_soa_may_come_late_and_says_the_origin() {
    let text =
        "$TTL 9\nwww.real.test. A 192.0.2.1\nreal.test. SOA a. b. 1 1 1 1 1\nreal.test. NS a.\n";
    let zone = read_text("test.zone", text.as_bytes(), ORIGIN).unwrap();
    assert_eq!(display_name(zone.origin()), "real.test.");
    assert_eq!(lines(&zone), ["www.real.test. 9 A 192.0.2.1"]);
}

#[test]
fn generate_makes_records() {
    check(
        "$GENERATE 1-3/2 host-$ 5 IN A 192.0.2.$",
        &[
            "host-1.example. 5 A 192.0.2.1",
            "host-3.example. 5 A 192.0.2.3",
        ],
    );
    check(
        "$GENERATE 9-10 ${1,3,d}.${0,2,X} 5 TXT \"a$$ \\$ ${-9}\"",
        &[
            "010.09.example. 5 TXT \"a$ $ 0\"",
            "011.0a.example. 5 TXT \"a$ $ 1\"",
        ],
    );
    check(
        "$GENERATE 18-18 ${0,3,n}.x 5 PTR y$",
        &["2.1.x.example. 5 PTR y18.example."],
    );
}

#[test]
fn mistakes_name_file_line_column_field_and_fix() {
    let check = |text: &str, expected: &str| {
        let error = read_text("t.zone", text.as_bytes(), ORIGIN).unwrap_err();
        assert_eq!(error.mistakes[0].to_string(), expected, "{text}");
    };
    check("", "t.zone: has no SOA record; a zone begins with one");
    check(
        "  A 192.0.2.1",
        "t.zone:1:3: owner: the first record needs an owner; write `@` for the origin",
    );
    check(
        "@ A 1.2.3",
        "t.zone:1:5: address: `1.2.3` is not an IPv4 address such as 192.0.2.1",
    );
    check("@ A", "t.zone:1:3: address: it is missing");
    check(
        "\n\nwww  60 60 A 192.0.2.1",
        "t.zone:3:9: type: `60` is not a record type; unknown ones are written `TYPE65280` (RFC 3597)",
    );
    check(
        "www CH TXT x",
        "t.zone:1:5: class: only class IN is served, not `CH`",
    );
    check(
        "www 3000000000 A 192.0.2.1",
        "t.zone:1:5: TTL: `3000000000` is more than 2147483647 seconds (RFC 2181)",
    );
    check("www 5", "t.zone:1:5: type: the record has no type");
    check(
        "a..b A 192.0.2.1",
        "t.zone:1:1: owner: `a..b` has a dot too many",
    );
    check("$TTL", "t.zone:1:1: $TTL: it is missing");
    check(
        "$TTL 1x",
        "t.zone:1:6: $TTL: `1x` is not a time such as `3600` or `1h30m`",
    );
    check(
        "$NOPE",
        "t.zone:1:1: directive: `$NOPE` is none of $ORIGIN, $TTL, $INCLUDE, $GENERATE",
    );
    check(
        "$ORIGIN a. b",
        "t.zone:1:12: directive: nothing may follow in a `$ORIGIN` line of t.zone; a comment begins with `;`",
    );
    check(
        "$INCLUDE x",
        "t.zone:1:10: $INCLUDE: files cannot be included here",
    );
    check(
        "$GENERATE 5-1 a A 192.0.2.$",
        "t.zone:1:11: $GENERATE: `5-1` is not a range such as `1-10` or `0-100/2`",
    );
    check(
        "$GENERATE 0-70000 a$ A 192.0.2.1",
        "t.zone:1:11: $GENERATE: `0-70000` makes more than 65536 records",
    );
    check(
        "$GENERATE 250-256 a$ A 192.0.2.$",
        "t.zone:1:24: address: `192.0.2.256` is not an IPv4 address such as 192.0.2.1",
    );
    check(
        "@ TXT \"open",
        "t.zone:1:7: this quote is never closed; write `\\\"` for the sign itself",
    );
    // All of them, up to a bound.
    let many = "@ A x\n".repeat(50);
    let error = read_text("t.zone", many.as_bytes(), ORIGIN).unwrap_err();
    assert_eq!(error.mistakes.len(), MISTAKES_MAX);
    assert_eq!(error.mistakes[19].place, Some((20, 5)));
}

#[test]
fn files_are_included_from_the_folder_alone() {
    let folder = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let write = |path: &Path, text: &str| std::fs::write(path, text).unwrap();
    std::fs::create_dir(folder.path().join("parts")).unwrap();
    let main = folder.path().join("example.zone");
    let part = folder.path().join("parts/hosts");
    write(
        &main,
        &format!("{SOA}$INCLUDE parts/hosts sub\n  5 A 192.0.2.2\nlast 5 A 192.0.2.3\n"),
    );
    write(&part, "$ORIGIN deep\nwww 5 A 192.0.2.1\n$INCLUDE more\n");
    write(&folder.path().join("parts/more"), "x 5 A 192.0.2.9\n");
    let (zone, files) = read_file(&main, folder.path(), ORIGIN);
    assert_eq!(
        lines(&zone.unwrap_or_else(|error| panic!("{error}"))),
        [
            "example. 5 A 192.0.2.2",
            "last.example. 5 A 192.0.2.3",
            "www.deep.sub.example. 5 A 192.0.2.1",
            "x.deep.sub.example. 5 A 192.0.2.9",
        ]
    );
    assert_eq!(files.len(), 3);
    let refused = |text: &str| {
        write(&main, &format!("{SOA}{text}"));
        let (zone, _) = read_file(&main, folder.path(), ORIGIN);
        zone.unwrap_err().mistakes[0].to_string()
    };
    write(&outside.path().join("hosts"), "a 5 A 192.0.2.1\n");
    let elsewhere = outside.path().join("hosts");
    assert!(
        refused(&format!("$INCLUDE {}", elsewhere.display()))
            .contains("lies outside of the zones' folder")
    );
    std::os::unix::fs::symlink(&elsewhere, folder.path().join("link")).unwrap();
    assert!(refused("$INCLUDE link").contains("lies outside of the zones' folder"));
    assert!(refused("$INCLUDE nothing").contains("cannot be opened"));
    write(&part, "$INCLUDE hosts\n");
    assert!(refused("$INCLUDE parts/hosts").contains("is it a loop?"));
}

#[test]
fn a_folder_is_followed_and_keeps_the_last_good_zone() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = ZoneShelf::new();
    let mut zones = ZoneFolder::new(folder.path().to_owned(), shelf.clone());
    let write = |name: &str, text: &str| {
        // By rename, as editors do: the inode changes even when the clock does not.
        let temporary = folder.path().join(".new");
        std::fs::write(&temporary, text).unwrap();
        std::fs::rename(temporary, folder.path().join(name)).unwrap();
    };
    let serial = || shelf.get(ORIGIN).map(|shelved| shelved.zone.serial());
    assert_eq!(zones.scan().unwrap(), FolderReport::default());
    write("example.zone", SOA);
    write("readme.txt", "no zone");
    assert_eq!(zones.scan().unwrap().read, 1);
    assert_eq!(serial(), Some(7));
    assert_eq!(zones.scan().unwrap().read, 0);
    write("example.zone", &SOA.replace(" 7 ", " 8 "));
    assert_eq!(zones.scan().unwrap().read, 1);
    assert_eq!(serial(), Some(8));
    write("example.zone", &SOA.replace(" 7 ", " x "));
    assert_eq!(zones.scan().unwrap().failed, 1);
    assert_eq!(serial(), Some(8));
    let status = zones.status();
    assert!(
        status[0].mistakes[0]
            .ends_with("example.zone:1:24: serial: `x` is not a number from 0 to 4294967295"),
        "{status:?}"
    );
    assert_eq!(status[0].serial, Some(8));
    write("copy.zone", &SOA.replace('@', "example."));
    assert_eq!(zones.scan().unwrap().failed, 1);
    assert!(
        zones.status()[0].mistakes[0].contains("is in"),
        "{:?}",
        zones.status()
    );
    std::fs::remove_file(folder.path().join("example.zone")).unwrap();
    std::fs::remove_file(folder.path().join("copy.zone")).unwrap();
    assert_eq!(zones.scan().unwrap().removed, 1);
    assert_eq!(serial(), None);
    std::fs::remove_dir_all(folder.path()).unwrap();
    assert!(zones.scan().is_err());
}

proptest! {
    #[test]
    fn zones_survive_being_written(records in proptest::collection::vec((proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..9), 0..3), prop_oneof![Just(1_u16), Just(16), Just(65_280), Just(257), Just(64)], 0_u32..100_000, proptest::collection::vec(any::<u8>(), 0..20)), 0..20)) {
        let mut builder = StaticZoneBuilder::new(ORIGIN);
        let soa = b"\0\0\0\0\0\x07\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\x04";
        builder.record(ORIGIN, RType::SOA, 5, soa);
        builder.record(ORIGIN, RType::NS, 5, b"\0");
        for (labels, rtype, ttl, data) in &records {
            let mut owner = Vec::new();
            for label in labels {
                owner.push(label.len() as u8);
                owner.extend(label);
            }
            owner.extend_from_slice(ORIGIN);
            // What is malformed stays out.
            builder.record(&owner, RType(*rtype), *ttl, data);
        }
        let zone = builder.build().unwrap();
        let mut text = Vec::new();
        write_zone(&zone, &mut text).unwrap();
        let again = read_text("again.zone", &text, &[0]).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let all = |zone: &StaticZone| zone.records().map(|record| format!("{record:?}")).collect::<Vec<_>>();
        prop_assert_eq!(all(&zone), all(&again));
    }

    #[test]
    fn reading_never_panics(text in "([ -~\n]|\\$(INCLUDE|GENERATE|TTL|ORIGIN) ){0,80}") {
        let _ = read_text("t.zone", text.as_bytes(), ORIGIN);
    }
}
