//! Updates against a small zone: a table of messages and what they do.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::transfer::config::parse_name;
use crate::wire::Opcode;
use crate::zone::StaticZoneBuilder;

fn name(text: &str) -> WireName {
    parse_name(text).unwrap()
}

fn base() -> Arc<StaticZone> {
    let mut builder = StaticZoneBuilder::new(&name("z.test"));
    let soa = [&*name("ns.z.test"), &*name("a.z.test"), &[0; 20]].concat();
    builder.record(&name("z.test"), RType::SOA, 60, &soa);
    builder.record(&name("z.test"), RType::NS, 60, &name("ns.z.test"));
    builder.record(&name("own.z.test"), RType::A, 60, &[192, 0, 2, 1]);
    builder.record(&name("alias.z.test"), RType::CNAME, 60, &name("own.z.test"));
    Arc::new(builder.build().unwrap())
}

struct Table;

impl Policy for Table {
    fn may_change(&self, name: &[u8], rtype: RType) -> bool {
        matches!(rtype, RType::A | RType::TXT | RType::CNAME) && !name.starts_with(b"\x06locked")
    }

    fn is_steered(&self, name: &[u8]) -> bool {
        name.starts_with(b"\x04shop")
    }
}

/// `CLASS NAME TYPE TTL DATA`, data as text for A and TXT, a name for CNAME.
fn raw(text: &str) -> RawRecord {
    let words: Vec<&str> = text.split(' ').collect();
    let rtype = match words[2] {
        "A" => RType::A,
        "TXT" => RType::TXT,
        "CNAME" => RType::CNAME,
        "MX" => RType::MX,
        "SOA" => RType::SOA,
        "AXFR" => RType::AXFR,
        "ANY" => RType::ANY,
        other => panic!("{other}"),
    };
    let data: Box<[u8]> = match (words.get(4), rtype) {
        (None, _) => Box::default(),
        (Some(data), RType::A) => data.parse::<std::net::Ipv4Addr>().map_or_else(
            |_| data.as_bytes().into(),
            |address| address.octets().into(),
        ),
        (Some(data), RType::CNAME) => name(data),
        (Some(data), _) => [&[data.len() as u8], data.as_bytes()].concat().into(),
    };
    RawRecord {
        record: Record {
            owner: name(words[1]),
            rtype,
            ttl: words[3].parse().unwrap(),
            data,
        },
        class: match words[0] {
            "IN" => Class::IN,
            "ANY" => ANY,
            "NONE" => NONE,
            _ => Class(3),
        },
    }
}

fn message(prerequisites: &[&str], updates: &[&str]) -> Message {
    Message {
        id: 1,
        opcode: Opcode::UPDATE,
        is_response: false,
        authoritative: false,
        recursion_desired: false,
        rcode: 0,
        question: None,
        answers: prerequisites.iter().map(|text| raw(text)).collect(),
        authorities: updates.iter().map(|text| raw(text)).collect(),
        edns: None,
        tsig: None,
    }
}

fn run(layer: &Layer, prerequisites: &[&str], updates: &[&str]) -> Result<Done, Rcode> {
    Change::run(&base(), layer, &Table, &message(prerequisites, updates)).map_err(|no| no.rcode)
}

/// A layer after updates that all succeed.
fn layer(updates: &[&str]) -> Layer {
    run(&Layer::default(), &[], updates).unwrap().0
}

fn shown(layer: &Layer) -> String {
    let set = |((owner, rtype), set): (&SetKey, &LayerSet)| {
        let data: Vec<_> = set
            .data
            .iter()
            .map(|data| data.escape_ascii().to_string())
            .collect();
        let owner = crate::transfer::config::shown(owner);
        format!("{owner} {} {} {}", rtype.0, set.ttl, data.join(","))
    };
    layer.sets.iter().map(set).collect::<Vec<_>>().join(" | ")
}

#[test]
fn adding_and_deleting() {
    let before = layer(&[
        "IN a.z.test TXT 60 one",
        "IN a.z.test TXT 60 two",
        "IN b.z.test A 60 192.0.2.9",
    ]);
    let check = |updates: &[&str], wanted: &str| {
        let (after, changed) = run(&before, &[], updates).unwrap();
        assert_eq!(shown(&after), wanted, "{updates:?}");
        assert_eq!(changed.is_empty(), after == before, "{updates:?}");
    };
    let all = r"a.z.test 16 60 \x03one,\x03two | b.z.test 1 60 \xc0\x00\x02\t";
    check(&[], all);
    check(
        &["IN a.z.test TXT 60 one"],
        r"a.z.test 16 60 \x03two,\x03one | b.z.test 1 60 \xc0\x00\x02\t",
    );
    check(
        &["IN a.z.test TXT 30 six"],
        r"a.z.test 16 30 \x03one,\x03two,\x03six | b.z.test 1 60 \xc0\x00\x02\t",
    );
    check(
        &["NONE a.z.test TXT 0 one"],
        r"a.z.test 16 60 \x03two | b.z.test 1 60 \xc0\x00\x02\t",
    );
    check(&["NONE a.z.test TXT 0 not"], all);
    check(&["ANY a.z.test TXT 0"], r"b.z.test 1 60 \xc0\x00\x02\t");
    check(&["ANY b.z.test ANY 0"], r"a.z.test 16 60 \x03one,\x03two");
    check(
        &["ANY a.z.test TXT 0", "IN a.z.test TXT 60 new"],
        r"a.z.test 16 60 \x03new | b.z.test 1 60 \xc0\x00\x02\t",
    );
    check(&["IN c.z.test A 60 192.0.2.9", "ANY c.z.test A 0"], all);
    // CNAME and other data do not stand beside each other; the later is ignored.
    check(&["IN a.z.test CNAME 60 own.z.test"], all);
    check(&["IN alias.z.test TXT 60 x"], all);
    // Adding what the zone itself has changes nothing.
    check(&["IN own.z.test A 60 192.0.2.1"], all);
    let alias = layer(&["IN n.z.test CNAME 60 own.z.test"]);
    let (after, _) = run(&alias, &[], &["IN n.z.test CNAME 60 b.z.test"]).unwrap();
    assert_eq!(shown(&after), r"n.z.test 5 60 \x01b\x01z\x04test\x00");
}

#[test]
fn what_is_refused() {
    let check = |updates: &[&str], wanted: Rcode| {
        let before = layer(&["IN a.z.test TXT 60 one"]);
        assert_eq!(
            run(&before, &[], updates).map(|_| ()),
            Err(wanted),
            "{updates:?}"
        );
    };
    check(&["IN a.other.test TXT 60 x"], Rcode::NotZone);
    check(&["IN own.z.test A 60 192.0.2.2"], Rcode::Refused);
    check(&["ANY own.z.test A 0"], Rcode::Refused);
    check(&["ANY own.z.test ANY 0"], Rcode::Refused);
    check(&["NONE own.z.test A 0 192.0.2.1"], Rcode::Refused);
    check(&["IN a.z.test MX 60 xx"], Rcode::Refused);
    check(&["IN locked.z.test TXT 60 x"], Rcode::Refused);
    check(&["IN shop.z.test A 60 192.0.2.2"], Rcode::Refused);
    check(&["ANY shop.z.test ANY 0"], Rcode::Refused);
    check(&["ANY z.test ANY 0"], Rcode::Refused);
    // One bad change leaves all of them undone.
    check(
        &["IN a.z.test TXT 60 two", "IN locked.z.test TXT 60 x"],
        Rcode::Refused,
    );
    for malformed in [
        "IN a.z.test ANY 60",
        "IN a.z.test AXFR 60",
        "IN a.z.test A 60 five!",
        "IN a.z.test TXT 60",
        "ANY a.z.test TXT 5",
        "ANY a.z.test TXT 0 data",
        "ANY a.z.test AXFR 0",
        "NONE a.z.test TXT 5 data",
        "NONE a.z.test ANY 0",
        "CH a.z.test TXT 0",
    ] {
        check(&[malformed], Rcode::FormErr);
    }
}

#[test]
fn prerequisites() {
    let before = layer(&["IN a.z.test TXT 60 one", "IN a.z.test TXT 60 two"]);
    let check = |prerequisites: &[&str], wanted: Result<(), Rcode>| {
        assert_eq!(
            run(&before, prerequisites, &[]).map(|_| ()),
            wanted,
            "{prerequisites:?}"
        );
    };
    check(&["ANY a.z.test ANY 0"], Ok(()));
    check(&["ANY own.z.test ANY 0"], Ok(()));
    check(&["ANY no.z.test ANY 0"], Err(Rcode::NxDomain));
    check(&["ANY a.z.test TXT 0"], Ok(()));
    check(&["ANY a.z.test A 0"], Err(Rcode::NxRrset));
    check(&["NONE no.z.test ANY 0"], Ok(()));
    check(&["NONE a.z.test ANY 0"], Err(Rcode::YxDomain));
    check(&["NONE a.z.test A 0"], Ok(()));
    check(&["NONE own.z.test A 0"], Err(Rcode::YxRrset));
    check(&["IN a.z.test TXT 0 two", "IN a.z.test TXT 0 one"], Ok(()));
    check(&["IN a.z.test TXT 0 one"], Err(Rcode::NxRrset));
    check(&["IN own.z.test A 0 192.0.2.1"], Ok(()));
    check(&["IN own.z.test A 0 192.0.2.2"], Err(Rcode::NxRrset));
    check(&["IN alias.z.test CNAME 0 OWN.z.test"], Ok(()));
    check(&["IN a.z.test TXT 9 one"], Err(Rcode::FormErr));
    check(&["ANY a.z.test TXT 0 data"], Err(Rcode::FormErr));
    check(&["CH a.z.test TXT 0"], Err(Rcode::FormErr));
    check(&["ANY a.other.test ANY 0"], Err(Rcode::NotZone));
}

proptest! {
    /// Whatever is asked: the zone's own sets are never in the layer, and nothing outside the policy.
    #[test]
    fn own_data_is_never_touched(updates in proptest::collection::vec((0_usize..4, 0_usize..6, 0_usize..4, 0_usize..3), 0..8)) {
        let texts: Vec<String> = updates.iter().map(|(class, name, rtype, data)| {
            let class = ["IN", "ANY", "NONE", "IN"][*class];
            let name = ["a.z.test", "own.z.test", "alias.z.test", "shop.z.test", "locked.z.test", "z.test"][*name];
            let rtype = ["A", "TXT", "CNAME", "ANY"][*rtype];
            let data = match (class, rtype) {
                ("ANY", _) | (_, "ANY") => String::new(),
                (_, "A") => format!(" 192.0.2.{data}"),
                (_, "CNAME") => " own.z.test".to_owned(),
                _ => format!(" t{data}"),
            };
            let ttl = if class == "IN" { 60 } else { 0 };
            format!("{class} {name} {rtype} {ttl}{data}")
        }).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        if let Ok((after, _)) = run(&Layer::default(), &[], &texts) {
            for (name, rtype) in after.sets.keys() {
                prop_assert!(Table.may_change(name, *rtype) && !Table.is_steered(name));
                let base = base();
                prop_assert!(base.get(name).and_then(|node| node.rrset(*rtype)).is_none());
                let both = after.sets_at(name).filter(|((_, rtype), _)| *rtype == RType::CNAME).count();
                prop_assert!(both == 0 || after.sets_at(name).count() == 1);
            }
        }
    }
}
