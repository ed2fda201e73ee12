#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot build its input has failed"
)]

use std::cmp::Ordering;
use std::sync::Arc;

use proptest::prelude::*;

use super::{
    Case, DisplayName, StaticZone, StaticZoneBuilder, SteeredIdx, ZoneError, ZoneSet,
    ZoneSetBuilder, ZoneShelf, ZoneSource, canonical_order,
};
use crate::wire::RType;

/// A name in wire form; a label may be one byte as `\ddd`.
fn wire(name: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let label = match label.strip_prefix('\\') {
            Some(digits) => vec![digits.parse().unwrap()],
            None => label.as_bytes().to_vec(),
        };
        wire.push(u8::try_from(label.len()).unwrap());
        wire.extend(label);
    }
    wire.push(0);
    wire
}

/// A zone from its origin and `owner type data` lines; SOA and NS are there already.
fn build(origin: &str, records: &[&str]) -> StaticZone {
    let mut builder = StaticZoneBuilder::new(&wire(origin));
    let mut soa = [wire("ns1.example."), wire("admin.example.")].concat();
    soa.extend([1_u32, 2, 3, 4, 60].iter().flat_map(|n| n.to_be_bytes()));
    builder.record(&wire(origin), RType::SOA, 300, &soa);
    builder.record(&wire(origin), RType::NS, 300, &wire("ns1.example."));
    for record in records {
        let [owner, rtype, data] = record.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{record}")
        };
        let ttl = u32::try_from(data.len()).unwrap();
        let data = match rtype {
            "A" => data
                .parse::<std::net::Ipv4Addr>()
                .unwrap()
                .octets()
                .to_vec(),
            "TXT" => [&[u8::try_from(data.len()).unwrap()], data.as_bytes()].concat(),
            "MX" => [vec![0, 10], wire(data)].concat(),
            _ => wire(data),
        };
        let rtype = RType(meridian_topology::rdata::rtype_from_text(rtype).unwrap());
        builder.record(&wire(owner), rtype, ttl, &data);
    }
    builder.build().unwrap()
}

fn set_of(zones: Vec<StaticZone>, steered: &[(&str, u32)]) -> (ZoneSet, Vec<String>) {
    let mut builder = ZoneSetBuilder::default();
    for zone in zones {
        builder.zone(Arc::new(zone));
    }
    for (name, idx) in steered {
        builder.steered(&wire(name), SteeredIdx(*idx));
    }
    let (set, problems) = builder.build();
    let mut problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
    problems.sort();
    (set, problems)
}

const EXAMPLE: &[&str] = &[
    "WWW.example. A 192.0.2.1",
    "deep.ent.example. A 192.0.2.1",
    "*.wild.example. A 192.0.2.1",
    "host.wild.example. A 192.0.2.1",
    "below.host2.wild.example. A 192.0.2.1",
    "cut.example. NS ns.cut.example.",
    "cut.example. NS ns.elsewhere.",
    "ns.cut.example. A 192.0.2.1",
    "under.cut.example. NS ns.cut.example.",
    "away.example. DNAME elsewhere.",
    "hidden.away.example. A 192.0.2.1",
    "child.example. NS ns.child.example.",
    "www.child.example. A 192.0.2.1",
];

fn sample() -> ZoneSet {
    let child = build("child.example.", &["x.child.example. A 192.0.2.1"]);
    let steered = [
        ("app.example.", 7),
        ("api.new.example.", 8),
        ("*.pop.example.", 9),
    ];
    let (set, problems) = set_of(vec![build("example.", EXAMPLE), child], &steered);
    assert!(problems.is_empty(), "{problems:?}");
    set
}

/// What a name is, in a few words.
fn kind(set: &ZoneSet, name: &str, rtype: RType) -> String {
    let wire = wire(name).to_ascii_lowercase();
    let Some(found) = set.find_own(&wire, rtype) else {
        return "outside".into();
    };
    let text = |name: &[u8]| DisplayName(name.into()).to_string();
    let node = match found.case {
        Case::Cut(cut) => return format!("cut {}", text(cut.name())),
        Case::Dname(node) => return format!("dname {}", text(node.name())),
        Case::Missing => return format!("missing in {}", text(found.zone.apex())),
        Case::Exact => found.encloser,
        Case::Wildcard(node) => node,
    };
    match node.steered() {
        Some(SteeredIdx(idx)) => format!("steered {idx}"),
        None if node.rrsets().next().is_none() => "empty".into(),
        None => format!("here {}", text(node.name())),
    }
}

#[test]
fn finds_what_rfc_1034_says() {
    let set = sample();
    let check = |name, expected: &str| assert_eq!(kind(&set, name, RType::A), expected, "{name}");
    check("example.", "here example.");
    check("www.example.", "here www.example.");
    check("wWw.eXample.", "here www.example.");
    check("nope.example.", "missing in example.");
    check("a.b.c.nope.example.", "missing in example.");
    check("below.www.example.", "missing in example.");
    check("ent.example.", "empty");
    check("deep.ent.example.", "here deep.ent.example.");
    check("other.ent.example.", "missing in example.");
    check("wild.example.", "empty");
    check("any.wild.example.", "here *.wild.example.");
    check("very.deep.any.wild.example.", "here *.wild.example.");
    check("*.wild.example.", "here *.wild.example.");
    // The closest encloser exists, so the wildcard above it does not apply (RFC 4592 §2.2.1).
    check("x.host.wild.example.", "missing in example.");
    check("host2.wild.example.", "empty");
    check("x.host2.wild.example.", "missing in example.");
    check("cut.example.", "cut cut.example.");
    check("ns.cut.example.", "cut cut.example.");
    check("a.b.cut.example.", "cut cut.example.");
    // A cut below a cut is the child's business.
    check("under.cut.example.", "cut cut.example.");
    check("away.example.", "here away.example.");
    check("x.away.example.", "dname away.example.");
    check("hidden.away.example.", "dname away.example.");
    check("child.example.", "here child.example.");
    check("x.child.example.", "here x.child.example.");
    check("y.child.example.", "missing in child.example.");
    // The parent's data about a child that we have, too, is not seen.
    check("www.child.example.", "missing in child.example.");
    check("example.org.", "outside");
    check("org.", "outside");
    check(".", "outside");
    check("notexample.", "outside");
    // The parent answers for DS.
    assert_eq!(
        kind(&set, "child.example.", RType::DS),
        "cut child.example."
    );
    assert_eq!(kind(&set, "example.", RType::DS), "here example.");
}

#[test]
fn steered_names_lie_over_the_zone_that_has_them() {
    let set = sample();
    let check = |name, expected: &str| assert_eq!(kind(&set, name, RType::A), expected, "{name}");
    check("app.example.", "steered 7");
    check("x.app.example.", "missing in example.");
    check("api.new.example.", "steered 8");
    // It exists because something lies below it.
    check("new.example.", "empty");
    check("x.new.example.", "missing in example.");
    check("x.pop.example.", "steered 9");
    check("pop.example.", "empty");
    check("www.example.", "here www.example.");
    let zone = set.zone(&wire("example.")).unwrap();
    let mut steered: Vec<_> = zone.steered().map(|(_, idx)| idx.0).collect();
    steered.sort_unstable();
    assert_eq!(steered, [7, 8, 9]);
}

#[test]
fn a_root_zone_answers_everything() {
    let (set, problems) = set_of(vec![build(".", &["host.test. A 192.0.2.1"])], &[]);
    assert!(problems.is_empty(), "{problems:?}");
    let check = |name, expected: &str| assert_eq!(kind(&set, name, RType::A), expected, "{name}");
    check("host.test.", "here host.test.");
    check("test.", "empty");
    check("a.b.c.d.e.f.g.", "missing in .");
    check(".", "here .");
}

#[test]
fn sets_know_whose_addresses_go_along() {
    let zone = build(
        "example.",
        &[
            "cut.example. NS ns.cut.example.",
            "cut.example. NS ns.elsewhere.",
            "cut.example. NS ns.other.example.",
            "ns.cut.example. A 192.0.2.1",
            "other.example. NS ns.other.example.",
            "ns.other.example. A 192.0.2.2",
            "mail.example. MX ns.cut.example.",
            "mail.example. MX any.wild.example.",
            "*.wild.example. A 192.0.2.3",
        ],
    );
    let targets = |name: &str, rtype| -> Vec<String> {
        let set = zone.get(&wire(name)).unwrap().rrset(rtype).unwrap();
        let of = |target: &super::Target| {
            let spelled = super::data::name_at(set.records(), target.offset as usize).unwrap();
            let node = zone.node(target.node).name();
            format!(
                "{}={}",
                DisplayName(spelled.into()),
                DisplayName(node.into())
            )
        };
        set.targets().iter().map(of).collect()
    };
    // A referral needs the addresses below cuts, its own and others (RFC 9471).
    assert_eq!(
        targets("cut.example.", RType::NS),
        [
            "ns.cut.example.=ns.cut.example.",
            "ns.other.example.=ns.other.example."
        ]
    );
    // Elsewhere only what the zone says with authority.
    assert_eq!(
        targets("mail.example.", RType::MX),
        ["any.wild.example.=*.wild.example."]
    );
}

#[test]
fn negative_answers_live_for_the_smaller_ttl() {
    assert_eq!(build("example.", &[]).negative_soa().ttl_seconds(), 60);
}

#[test]
fn a_set_takes_its_lowest_ttl_and_no_duplicates() {
    let zone = build(
        "example.",
        &[
            "t.example. TXT four",
            "T.example. TXT two",
            "t.example. TXT four",
        ],
    );
    let set = zone.get(&wire("t.example.")).unwrap();
    let set = set.rrset(RType::TXT).unwrap();
    assert_eq!((set.count(), set.ttl_seconds()), (2, 3));
    let data: Vec<_> = set.data().map(|(_, data)| data.to_vec()).collect();
    assert_eq!(data, [&b"\x04four"[..], b"\x03two"]);
}

#[test]
fn contradictions_are_left_out_and_named() {
    let many: Vec<String> = (0..700)
        .map(|n| format!("many.example. NS n{n}.test."))
        .collect();
    let mut records = vec![
        "outside.test. A 192.0.2.1",
        "both.example. A 192.0.2.1",
        "both.example. CNAME www.example.",
        "two.example. CNAME a.example.",
        "two.example. CNAME b.example.",
        "app.example. A 192.0.2.1",
        "addressed.example. ALIAS www.test.",
        "addressed.example. A 192.0.2.1",
        "self.example. ALIAS SELF.example.",
        "twice.example. ALIAS www.test.",
        "twice.example. ALIAS other.test.",
        "cut.example. NS ns.test.",
        "away.example. DNAME elsewhere.",
    ];
    records.extend(many.iter().map(String::as_str));
    let zones = vec![build("example.", &records), build("EXAMPLE.", &[])];
    let steered = [
        ("app.example.", 0),
        ("app.example.", 1),
        ("app.cut.example.", 2),
        ("app.away.example.", 3),
        ("app.test.", 4),
    ];
    let (set, problems) = set_of(zones, &steered);
    let expected = [
        "`app.away.example.` is steered but lies below the delegation at `away.example.`",
        "`app.cut.example.` is steered but lies below the delegation at `cut.example.`",
        "`app.example.` is steered and has static A records",
        "`app.example.` is steered by two services",
        "`app.test.` is in none of the zones",
        "`addressed.example.` has an ALIAS and addresses; the addresses are served: keep one of the two",
        "`both.example.` has a CNAME and other records",
        "`self.example.` has an ALIAS to itself, which has no addresses: name another target",
        "`twice.example.` has several ALIAS records; the first is served",
        "`outside.test.` is in none of the zones",
        "`two.example.` has several CNAME records; the first is served",
        "zone `example.` is given twice",
    ];
    assert_eq!(problems.len(), expected.len() + 1, "{problems:#?}");
    for expected in expected {
        assert!(
            problems.iter().any(|problem| problem == expected),
            "{expected}: {problems:#?}"
        );
    }
    assert!(
        problems
            .iter()
            .any(|problem| problem.starts_with("the NS records of `many.example.` are "))
    );
    assert_eq!(kind(&set, "both.example.", RType::A), "here both.example.");
    assert_eq!(kind(&set, "app.example.", RType::A), "steered 0");
    assert_eq!(kind(&set, "app.cut.example.", RType::A), "cut cut.example.");
}

#[test]
fn a_zone_without_a_start_of_authority_is_none() {
    let mut builder = StaticZoneBuilder::new(&wire("example."));
    builder.record(&wire("example."), RType::A, 5, &[192, 0, 2, 1]);
    builder.record(&wire("example."), RType::SOA, 5, b"\0\0short");
    assert!(matches!(builder.build(), Err(ZoneError::NoSoa { .. })));
}

#[test]
fn a_zone_gives_back_its_records() {
    let zone = build("example.", EXAMPLE);
    let mut again = StaticZoneBuilder::new(zone.origin());
    for record in zone.records() {
        again.record(record.owner, record.rtype, record.ttl_seconds, record.data);
    }
    let again = again.build().unwrap();
    let all = |zone: &StaticZone| -> Vec<String> {
        zone.records().map(|record| format!("{record:?}")).collect()
    };
    assert_eq!(all(&zone), all(&again));
    assert_eq!(all(&zone).len(), EXAMPLE.len() + 2);
    assert_eq!(zone.records().next().unwrap().rtype, RType::SOA);
}

#[test]
fn a_shelf_has_one_source_for_each_origin() {
    let shelf = ZoneShelf::new();
    let changes = shelf.subscribe();
    let zone = |records| Arc::new(build("example.", records));
    shelf.put(ZoneSource::File, zone(&[])).unwrap();
    let refused = shelf.put(ZoneSource::Secondary, zone(&[])).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the zone `example.` comes from another source already: file"
    );
    shelf.put(ZoneSource::File, zone(EXAMPLE)).unwrap();
    shelf.remove(ZoneSource::Secondary, &wire("example."));
    let held = shelf.get(&wire("example.")).unwrap();
    assert!(held.zone.get(&wire("www.example.")).is_some());
    shelf.remove(ZoneSource::File, &wire("example."));
    assert!(shelf.snapshot().is_empty());
    assert!(changes.has_changed().unwrap());
}

#[test]
fn names_are_ordered_as_in_rfc_4034() {
    let ordered = [
        "example.",
        "a.example.",
        "yljkjljk.a.example.",
        "Z.a.example.",
        "zABC.a.EXAMPLE.",
        "z.example.",
        "\\001.z.example.",
        "*.z.example.",
        "\\200.z.example.",
    ];
    for pair in ordered.windows(2) {
        let [one, other] = [pair[0], pair[1]].map(|name| wire(name).to_ascii_lowercase());
        assert_eq!(canonical_order(&one, &other), Ordering::Less, "{pair:?}");
        assert_eq!(canonical_order(&other, &one), Ordering::Greater, "{pair:?}");
    }
}

proptest! {
    #[test]
    fn every_name_of_a_zone_is_found(names in proptest::collection::btree_set("[ab]{1,2}(\\.[ab*]{1,2}){0,4}", 1..60)) {
        let records: Vec<String> = names.iter().map(|name| format!("{name}.example. A 192.0.2.1")).collect();
        let records: Vec<&str> = records.iter().map(String::as_str).collect();
        let zone = build("example.", &records);
        for name in &names {
            let name = wire(&format!("{name}.example."));
            prop_assert!(zone.get(&name).is_some_and(|node| node.rrset(RType::A).is_some()));
        }
        for pair in zone.nodes().windows(2) {
            prop_assert_eq!(canonical_order(pair[0].name(), pair[1].name()), Ordering::Less);
        }
        prop_assert!(zone.get(&wire("c.example.")).is_none());
    }
}

#[test]
fn a_steered_name_in_a_signed_zone_is_named() {
    let signed = build(
        "example.",
        &["example. NSEC example.", "www.example. A 192.0.2.1"],
    );
    let steered = [("app.example.", 7)];
    let (set, problems) = set_of(vec![signed], &steered);
    assert_eq!(
        problems,
        [
            "`app.example.` is steered and its zone `example.` came signed: steered answers go out without signatures, and validating resolvers refuse them; have the zone delivered unsigned and list it under `dns.dnssec.zones`, or delegate `app.example.` to a zone of its own"
        ]
    );
    // It is answered all the same: who does not validate is served.
    let found = set.find_own(&wire("app.example."), RType::A).unwrap();
    assert_eq!(found.encloser.steered(), Some(SteeredIdx(7)));
}
