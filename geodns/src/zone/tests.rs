#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot build its input has failed"
)]

use std::str::FromStr;

use hickory_proto::rr::rdata::{A, CNAME, NS, SOA, TXT};
use hickory_proto::rr::{Name, RData};

use super::build::wire_name;
use super::{DisplayName, Found, SteeredIdx, ZoneTree, ZoneTreeBuilder};
use crate::wire::RType;

fn name(text: &str) -> Name {
    Name::from_str(text).unwrap()
}

fn zone(builder: &mut ZoneTreeBuilder, origin: &str) {
    let soa = SOA::new(name("ns1.example."), name("admin.example."), 1, 2, 3, 4, 60);
    builder.zone(&name(origin), 300, soa);
    builder.record(&name(origin), 300, RData::NS(NS(name("ns1.example."))));
}

fn a(builder: &mut ZoneTreeBuilder, owner: &str) {
    builder.record(&name(owner), 300, RData::A(A::new(192, 0, 2, 1)));
}

fn ns(builder: &mut ZoneTreeBuilder, owner: &str, target: &str) {
    builder.record(&name(owner), 300, RData::NS(NS(name(target))));
}

fn sample() -> ZoneTree {
    let mut builder = ZoneTreeBuilder::new();
    zone(&mut builder, "example.");
    zone(&mut builder, "child.example.");
    a(&mut builder, "WWW.example.");
    a(&mut builder, "deep.ent.example.");
    a(&mut builder, "*.wild.example.");
    a(&mut builder, "host.wild.example.");
    a(&mut builder, "below.host2.wild.example.");
    a(&mut builder, "x.child.example.");
    ns(&mut builder, "cut.example.", "ns.cut.example.");
    ns(&mut builder, "cut.example.", "ns.elsewhere.");
    a(&mut builder, "ns.cut.example.");
    ns(&mut builder, "under.cut.example.", "ns.cut.example.");
    builder.steered(&name("app.example."), SteeredIdx(7));
    let (tree, problems) = builder.build();
    assert!(problems.is_empty(), "{problems:?}");
    tree
}

/// One word for what a name is: the node answering it, where that says something.
fn kind(tree: &ZoneTree, text: &str) -> String {
    let wire = wire_name(&name(text));
    match tree.find_own(&wire) {
        Found::Outside => "outside".into(),
        Found::Delegated(cut) => format!("cut {}", DisplayName(cut.node.name().into())),
        Found::Missing { zone } => format!("missing in {}", DisplayName(zone.apex().into())),
        Found::Here { node, .. } if node.steered().is_some() => "steered".into(),
        Found::Here { node, .. } if node.rrsets().is_empty() => "empty".into(),
        Found::Here { node, .. } => format!("here {}", DisplayName(node.name().into())),
    }
}

#[test]
fn finds_what_rfc_1034_says() {
    let tree = sample();
    let check = |name: &str, expected: &str| assert_eq!(kind(&tree, name), expected, "{name}");
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
    check("child.example.", "here child.example.");
    check("x.child.example.", "here x.child.example.");
    check("y.child.example.", "missing in child.example.");
    check("app.example.", "steered");
    check("example.org.", "outside");
    check("org.", "outside");
    check(".", "outside");
    check("notexample.", "outside");
}

#[test]
fn a_root_zone_answers_everything() {
    let mut builder = ZoneTreeBuilder::new();
    zone(&mut builder, ".");
    a(&mut builder, "host.test.");
    let (tree, problems) = builder.build();
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(kind(&tree, "host.test."), "here host.test.");
    assert_eq!(kind(&tree, "test."), "empty");
    assert_eq!(kind(&tree, "a.b.c.d.e.f.g."), "missing in .");
    assert_eq!(kind(&tree, "."), "here .");
}

#[test]
fn referrals_carry_the_glue_we_have() {
    let tree = sample();
    let cut = tree.get(&wire_name(&name("cut.example."))).unwrap();
    assert_eq!(cut.rrset(RType::NS).unwrap().count(), 2);
    let [glue] = cut.glue() else {
        panic!("{:?}", cut.glue())
    };
    let target = &cut.rrset(RType::NS).unwrap().records()[glue.target_offset..];
    assert!(
        target.starts_with(b"\x02ns\x03cut\x07example\0"),
        "{}",
        target.escape_ascii()
    );
    assert_eq!(glue.rrset.rtype(), RType::A);
}

#[test]
fn negative_answers_live_for_the_smaller_ttl() {
    let tree = sample();
    let records = tree.zones()[0].negative_soa().records();
    assert_eq!(records[6..10], 60_u32.to_be_bytes());
}

#[test]
fn a_set_takes_its_lowest_ttl_and_no_duplicates() {
    let mut builder = ZoneTreeBuilder::new();
    zone(&mut builder, "example.");
    builder.record(
        &name("t.example."),
        300,
        RData::TXT(TXT::new(vec!["one".into()])),
    );
    builder.record(
        &name("T.example."),
        30,
        RData::TXT(TXT::new(vec!["two".into()])),
    );
    builder.record(
        &name("t.example."),
        600,
        RData::TXT(TXT::new(vec!["one".into()])),
    );
    let (tree, _) = builder.build();
    let set = tree
        .get(&wire_name(&name("t.example.")))
        .unwrap()
        .rrset(RType::TXT)
        .unwrap();
    assert_eq!(set.count(), 2);
    assert_eq!(set.records()[6..10], 30_u32.to_be_bytes());
    let data: Vec<_> = set.data().map(|(_, data)| data.to_vec()).collect();
    assert_eq!(data, [b"\x03one", b"\x03two"]);
}

#[test]
fn contradictions_are_left_out_and_named() {
    let mut builder = ZoneTreeBuilder::new();
    zone(&mut builder, "example.");
    zone(&mut builder, "EXAMPLE.");
    a(&mut builder, "outside.test.");
    a(&mut builder, "both.example.");
    builder.record(
        &name("both.example."),
        5,
        RData::CNAME(CNAME(name("www.example."))),
    );
    builder.record(
        &name("two.example."),
        5,
        RData::CNAME(CNAME(name("a.example."))),
    );
    builder.record(
        &name("two.example."),
        5,
        RData::CNAME(CNAME(name("b.example."))),
    );
    a(&mut builder, "app.example.");
    builder.steered(&name("app.example."), SteeredIdx(0));
    builder.steered(&name("app.example."), SteeredIdx(1));
    ns(&mut builder, "cut.example.", "ns.test.");
    builder.steered(&name("app.cut.example."), SteeredIdx(2));
    for n in 0..700 {
        ns(&mut builder, "many.example.", &format!("n{n}.test."));
    }
    let (tree, problems) = builder.build();
    let mut problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
    problems.sort();
    let expected = [
        "`app.cut.example.` is steered but lies below the delegation at `cut.example.`",
        "`app.example.` is steered and has static A records",
        "`app.example.` is steered by two services",
        "`both.example.` has a CNAME and other records",
        "`outside.test.` is in none of the zones",
        "`two.example.` has a CNAME and other records",
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
    assert_eq!(kind(&tree, "both.example."), "here both.example.");
    assert_eq!(kind(&tree, "app.example."), "steered");
    assert_eq!(kind(&tree, "app.cut.example."), "cut cut.example.");
}
