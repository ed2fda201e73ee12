//! The zones and the answers of RFC 4035 appendices A and B and of RFC 5155 appendices A and B,
//! signatures left out: they decide nothing here.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot build its input has failed"
)]

use meridian_topology::rdata::{display_name, read_name};

use super::{Absence, Denial, Nsec3Params};
use crate::master::read_text;
use crate::zone::StaticZone;

const RFC_4035: &str = "\
$ORIGIN example.
$TTL 3600
@ SOA ns1 bugs.x.w 1081539377 3600 300 3600000 3600
@ NS ns1
@ NS ns2
@ MX 1 xx
@ NSEC a NS SOA MX RRSIG NSEC DNSKEY
a NS ns1.a
a DS 57855 5 1 B6DCD485719ADCA18E5F3D48A2331627FDD3636B
a NSEC ai NS DS RRSIG NSEC
ns1.a A 192.0.2.5
ai A 192.0.2.9
ai NSEC b A HINFO AAAA RRSIG NSEC
b NS ns1.b
b NSEC ns1 NS RRSIG NSEC
ns1.b A 192.0.2.7
ns1 A 192.0.2.1
ns1 NSEC ns2 A RRSIG NSEC
ns2 A 192.0.2.2
ns2 NSEC *.w A RRSIG NSEC
*.w MX 1 ai
*.w NSEC x.w MX RRSIG NSEC
x.w MX 1 xx
x.w NSEC x.y.w MX RRSIG NSEC
x.y.w MX 1 xx
x.y.w NSEC xx MX RRSIG NSEC
xx A 192.0.2.10
xx NSEC @ A HINFO AAAA RRSIG NSEC
";

const RFC_5155: &str = "\
$ORIGIN example.
$TTL 3600
@ SOA ns1 bugs.x.w 1 3600 300 3600000 3600
@ NS ns1
@ NS ns2
@ MX 1 xx
@ NSEC3PARAM 1 0 12 aabbccdd
0p9mhaveqvm6t7vbl5lop2u3t2rp3tom NSEC3 1 1 12 aabbccdd 2t7b4g4vsa5smi47k61mv5bv1a22bojr MX DNSKEY NS SOA NSEC3PARAM RRSIG
2t7b4g4vsa5smi47k61mv5bv1a22bojr A 192.0.2.127
2t7b4g4vsa5smi47k61mv5bv1a22bojr NSEC3 1 1 12 aabbccdd 2vptu5timamqttgl4luu9kg21e0aor3s A RRSIG
2vptu5timamqttgl4luu9kg21e0aor3s NSEC3 1 1 12 aabbccdd 35mthgpgcu1qg68fab165klnsnk3dpvl MX RRSIG
35mthgpgcu1qg68fab165klnsnk3dpvl NSEC3 1 1 12 aabbccdd b4um86eghhds6nea196smvmlo4ors995 NS DS RRSIG
a NS ns1.a
a DS 58470 5 1 3079F1593EBAD6DC121E202A8B766A6A4837206C
ns1.a A 192.0.2.5
ai A 192.0.2.9
b4um86eghhds6nea196smvmlo4ors995 NSEC3 1 1 12 aabbccdd gjeqe526plbf1g8mklp59enfd789njgi MX RRSIG
c NS ns1.c
ns1.c A 192.0.2.7
gjeqe526plbf1g8mklp59enfd789njgi NSEC3 1 1 12 aabbccdd ji6neoaepv8b5o6k4ev33abha8ht9fgc HINFO A AAAA RRSIG
ji6neoaepv8b5o6k4ev33abha8ht9fgc NSEC3 1 1 12 aabbccdd k8udemvp1j2f7eg6jebps17vp3n8i58h
k8udemvp1j2f7eg6jebps17vp3n8i58h NSEC3 1 1 12 aabbccdd q04jkcevqvmu85r014c7dkba38o0ji5r
ns1 A 192.0.2.1
ns2 A 192.0.2.2
q04jkcevqvmu85r014c7dkba38o0ji5r NSEC3 1 1 12 aabbccdd r53bq7cc2uvmubfu5ocmm6pers9tk9en A RRSIG
r53bq7cc2uvmubfu5ocmm6pers9tk9en NSEC3 1 1 12 aabbccdd t644ebqk9bibcna874givr6joj62mlhv MX RRSIG
t644ebqk9bibcna874givr6joj62mlhv NSEC3 1 1 12 aabbccdd 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom HINFO A AAAA RRSIG
*.w MX 1 ai
x.w MX 1 xx
x.y.w MX 1 xx
xx A 192.0.2.10
";

fn zone(text: &str) -> StaticZone {
    read_text("t.zone", text.as_bytes(), b"\x07example\0").unwrap()
}

fn problems(text: &str) -> Vec<String> {
    let zone = zone(text);
    zone.problems().iter().map(ToString::to_string).collect()
}

fn wire(name: &str) -> Vec<u8> {
    read_name(name.as_bytes(), &[0]).unwrap()
}

/// The owners of what is sent, sorted, each shortened to its first label.
fn proved(zone: &StaticZone, absence: Absence<'_>) -> Vec<String> {
    let mut owners: Vec<String> = zone
        .prove(absence)
        .into_iter()
        .flatten()
        .map(|proof| display_name(proof.name))
        .map(|name| match name.split_once('.') {
            Some((label, _)) if label.len() == 32 => label[..4].to_owned(),
            _ => name,
        })
        .collect();
    owners.sort();
    owners.dedup();
    owners
}

fn check<'n>(
    zone: &StaticZone,
    absence: fn(&'n [u8]) -> Absence<'n>,
    name: &'n [u8],
    expected: &[&str],
) {
    let absence = absence(name);
    assert_eq!(proved(zone, absence), expected, "{absence:?}");
}

#[test]
fn nsec_proves_as_rfc_4035_appendix_b_shows() {
    let zone = zone(RFC_4035);
    assert!(zone.problems().is_empty(), "{:?}", zone.problems());
    // B.2, B.3, B.5 to B.8.
    check(
        &zone,
        Absence::Name,
        &wire("ml.example."),
        &["b.example.", "example."],
    );
    check(
        &zone,
        Absence::Type,
        &wire("ns1.example."),
        &["ns1.example."],
    );
    check(&zone, Absence::Type, &wire("b.example."), &["b.example."]);
    check(
        &zone,
        Absence::Closer,
        &wire("a.z.w.example."),
        &["x.y.w.example."],
    );
    let both = ["*.w.example.", "x.y.w.example."];
    check(
        &zone,
        Absence::TypeOfWildcard,
        &wire("a.z.w.example."),
        &both,
    );
    check(&zone, Absence::Type, &wire("example."), &["example."]);
    // An empty non-terminal is denied its types by the name before it, which points below it.
    check(
        &zone,
        Absence::Type,
        &wire("y.w.example."),
        &["x.w.example."],
    );
    // Behind the last name, and one record for both denials.
    check(
        &zone,
        Absence::Name,
        &wire("zz.example."),
        &["example.", "xx.example."],
    );
    check(
        &zone,
        Absence::Name,
        &wire("0.xx.example."),
        &["xx.example."],
    );
}

#[test]
fn nsec3_proves_as_rfc_5155_appendix_b_shows() {
    let zone = zone(RFC_5155);
    assert!(zone.problems().is_empty(), "{:?}", zone.problems());
    // B.1 to B.6.
    let three = ["0p9m", "35mt", "b4um"];
    check(&zone, Absence::Name, &wire("a.c.x.w.example."), &three);
    check(&zone, Absence::Type, &wire("ns1.example."), &["2t7b"]);
    check(&zone, Absence::Type, &wire("y.w.example."), &["ji6n"]);
    check(&zone, Absence::Type, &wire("c.example."), &["0p9m", "35mt"]);
    check(&zone, Absence::Closer, &wire("a.z.w.example."), &["q04j"]);
    let three = ["k8ud", "q04j", "r53b"];
    check(
        &zone,
        Absence::TypeOfWildcard,
        &wire("a.z.w.example."),
        &three,
    );
    check(&zone, Absence::Type, &wire("example."), &["0p9m"]);
}

/// Deep empty non-terminals above nothing but an unsigned delegation have no record: the closest
/// encloser that can be proved is found whatever their number.
#[test]
fn the_closest_provable_encloser_is_found_at_any_depth() {
    for depth in 1..60 {
        let below: String = (0..depth).map(|at| format!("e{at}.")).collect();
        let zone = zone(&format!("{RFC_5155}{below}x.w NS ns1\n"));
        let name = wire(&format!("no.{below}x.w.example."));
        let proofs = zone.prove(Absence::Name(&name));
        assert_eq!(display_name(proofs[0].unwrap().name)[..4], *"b4um");
        let cut = wire(&format!("{below}x.w.example."));
        let proofs = zone.prove(Absence::Type(&cut));
        assert_eq!(display_name(proofs[0].unwrap().name)[..4], *"b4um");
    }
}

#[test]
fn names_are_hashed_as_rfc_5155_appendix_a_shows() {
    let params = Nsec3Params {
        iterations: 12,
        salt: [0xaa, 0xbb, 0xcc, 0xdd].into(),
    };
    let base32hex = data_encoding::BASE32HEX_NOPAD;
    for (name, expected) in [
        ("example.", "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom"),
        ("a.example.", "35mthgpgcu1qg68fab165klnsnk3dpvl"),
        ("ai.example.", "gjeqe526plbf1g8mklp59enfd789njgi"),
        ("ns1.example.", "2t7b4g4vsa5smi47k61mv5bv1a22bojr"),
        ("ns2.example.", "q04jkcevqvmu85r014c7dkba38o0ji5r"),
        ("w.example.", "k8udemvp1j2f7eg6jebps17vp3n8i58h"),
        ("*.w.example.", "r53bq7cc2uvmubfu5ocmm6pers9tk9en"),
        ("x.w.example.", "b4um86eghhds6nea196smvmlo4ors995"),
        ("y.w.example.", "ji6neoaepv8b5o6k4ev33abha8ht9fgc"),
        ("x.y.w.example.", "2vptu5timamqttgl4luu9kg21e0aor3s"),
        ("xx.example.", "t644ebqk9bibcna874givr6joj62mlhv"),
    ] {
        let hash = base32hex.encode(&params.hash(&wire(name)));
        assert_eq!(hash.to_ascii_lowercase(), expected, "{name}");
    }
}

#[test]
fn hashes_that_cost_too_much_are_not_made_and_the_records_stay() {
    let affordable = |iterations, salt_bytes: usize| {
        let salt = vec![7; salt_bytes].into();
        Nsec3Params { iterations, salt }.are_affordable()
    };
    assert!(affordable(0, 255) && affordable(100, 0) && affordable(100, 35));
    assert!(!affordable(101, 0) && !affordable(100, 36) && !affordable(u16::MAX, 255));

    let text = RFC_5155.replace(" 12 aabbccdd", " 150 aabbccdd");
    let costly = zone(&text);
    let name = wire("no.example.");
    assert!(proved(&costly, Absence::Name(&name)).is_empty());
    assert!(!costly.has_proofs() && costly.is_signed());
    assert_eq!(costly.denial().nsec3_links().len(), 11);
    assert_eq!(
        problems(&text),
        [
            "zone `example.` came with NSEC3 of 150 iterations and a salt of 4 bytes: so many hashes for each question are not made (RFC 9276), so nothing in it is proved absent and validating resolvers refuse its negative answers; have it signed with 0 iterations and no salt"
        ]
    );
}

#[test]
fn records_of_another_chain_are_kept_and_not_answered_from() {
    let other =
        "gjeqe526plbf1g8mklp59enfd789njgh NSEC3 1 0 0 - gjeqe526plbf1g8mklp59enfd789njgh A\n";
    let zone = zone(&format!("{RFC_5155}{other}"));
    assert!(zone.problems().is_empty(), "{:?}", zone.problems());
    let Denial::Nsec3(chain) = zone.denial() else {
        unreachable!()
    };
    assert_eq!(chain.links().len(), 12);
    let transferred = zone.records().filter(|record| record.rtype.0 == 50);
    assert_eq!(transferred.count(), 12);
}

#[test]
fn a_chain_with_a_gap_is_named() {
    let gap = |text: &str, line: &str| {
        let line = text.lines().find(|at| at.starts_with(line)).unwrap();
        problems(&text.replace(line, ""))
    };
    assert_eq!(
        gap(RFC_4035, "ns2 NSEC"),
        [
            "the NSEC or NSEC3 record of `ns1.example.` does not lead to the next one: validating resolvers refuse what is denied by it; sign the zone again"
        ]
    );
    let of_nsec3 = gap(RFC_5155, "t644ebqk9bibcna874givr6joj62mlhv");
    assert!(
        of_nsec3[0].contains("`r53bq7cc2uvmubfu5ocmm6pers9tk9en.example.` does not lead"),
        "{of_nsec3:?}"
    );
    let without = gap(RFC_5155, "@ NSEC3PARAM");
    assert!(without[0].contains("no NSEC3PARAM"), "{without:?}");
}
