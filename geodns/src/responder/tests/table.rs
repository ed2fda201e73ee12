//! Packets and what they are answered with: the golden is `goldens/answers.txt`.

use expect_test::expect_file;
use hickory_proto::op::{MessageType, OpCode};
use hickory_proto::rr::{DNSClass, RecordType};

use super::{Ask, RESOLVER, Transport, is_slow, reply_to, summary, world, zones_of};

pub(super) struct Case {
    label: String,
    pub(super) packet: Vec<u8>,
}

fn case(label: impl Into<String>, packet: Vec<u8>) -> Case {
    Case {
        label: label.into(),
        packet,
    }
}

/// Questions that name and type say all about.
const PLAIN: &[(&str, RecordType)] = &[
    ("www.example.test.", RecordType::A),
    ("www.example.test.", RecordType::AAAA),
    ("www.example.test.", RecordType::TXT),
    ("www.example.test.", RecordType::ANY),
    ("www.example.test.", RecordType::Unknown(65_000)),
    ("example.test.", RecordType::SOA),
    ("example.test.", RecordType::NS),
    ("example.test.", RecordType::MX),
    ("example.test.", RecordType::TXT),
    ("example.test.", RecordType::A),
    ("nowhere.example.test.", RecordType::A),
    ("a.b.c.d.nowhere.example.test.", RecordType::A),
    ("below.www.example.test.", RecordType::A),
    ("ent.example.test.", RecordType::A),
    ("deep.ent.example.test.", RecordType::TXT),
    ("web.example.test.", RecordType::A),
    ("web.example.test.", RecordType::CNAME),
    ("web.example.test.", RecordType::MX),
    ("web.example.test.", RecordType::ANY),
    ("away.example.test.", RecordType::A),
    ("dangling.example.test.", RecordType::A),
    ("to-cut.example.test.", RecordType::A),
    ("loop-a.example.test.", RecordType::A),
    ("any.wild.example.test.", RecordType::TXT),
    ("any.deep.wild.example.test.", RecordType::TXT),
    ("any.wild.example.test.", RecordType::A),
    ("*.wild.example.test.", RecordType::TXT),
    ("known.wild.example.test.", RecordType::TXT),
    ("below.known.wild.example.test.", RecordType::TXT),
    ("any.wildname.example.test.", RecordType::A),
    ("cut.example.test.", RecordType::A),
    ("cut.example.test.", RecordType::NS),
    ("cut.example.test.", RecordType::DS),
    ("host.cut.example.test.", RecordType::A),
    ("ns.cut.example.test.", RecordType::A),
    ("shop.example.test.", RecordType::A),
    ("shop.example.test.", RecordType::AAAA),
    ("shop.example.test.", RecordType::TXT),
    ("shop.example.test.", RecordType::MX),
    ("shop.example.test.", RecordType::ANY),
    ("to-shop.example.test.", RecordType::A),
    ("berlin.shops.example.test.", RecordType::A),
    ("six.example.test.", RecordType::AAAA),
    ("six.example.test.", RecordType::A),
    ("six.example.test.", RecordType::ANY),
    ("dual.example.test.", RecordType::A),
    ("dual.example.test.", RecordType::AAAA),
    ("other.test.", RecordType::SOA),
    ("example.invalid.", RecordType::A),
    (".", RecordType::NS),
    ("www.example.test.", RecordType::AXFR),
    ("www.example.test.", RecordType::IXFR),
    ("www.example.test.", RecordType::Unknown(253)),
    ("www.example.test.", RecordType::OPT),
];

/// Steered questions by client subnet.
const STEERED: &[(&str, RecordType, &str)] = &[
    ("shop.example.test.", RecordType::A, "10.1.0.0/24"),
    ("shop.example.test.", RecordType::A, "10.2.0.0/24"),
    ("shop.example.test.", RecordType::A, "10.2.3.0/24"),
    ("shop.example.test.", RecordType::A, "10.3.9.8/32"),
    ("shop.example.test.", RecordType::A, "10.2.0.0/15"),
    ("shop.example.test.", RecordType::A, "172.16.0.0/12"),
    ("shop.example.test.", RecordType::A, "0.0.0.0/0"),
    ("shop.example.test.", RecordType::A, "2001:db8:d::/48"),
    ("shop.example.test.", RecordType::A, "2001:db8:d:1::/64"),
    ("shop.example.test.", RecordType::A, "::ffff:10.3.0.0/120"),
    ("shop.example.test.", RecordType::AAAA, "10.2.0.0/24"),
    ("shop.example.test.", RecordType::TXT, "10.2.0.0/24"),
    ("pair.example.test.", RecordType::A, "10.2.0.0/24"),
    ("dual.example.test.", RecordType::A, "10.2.0.0/24"),
    ("dual.example.test.", RecordType::AAAA, "10.2.0.0/24"),
    ("alias.example.test.", RecordType::A, "10.1.0.0/24"),
    ("alias.example.test.", RecordType::A, "10.2.0.0/24"),
    ("alias.example.test.", RecordType::A, "10.3.0.0/24"),
    ("alias.example.test.", RecordType::TXT, "10.1.0.0/24"),
    ("alias.example.test.", RecordType::CNAME, "10.1.0.0/24"),
    ("to-shop.example.test.", RecordType::A, "10.2.0.0/24"),
    ("www.example.test.", RecordType::A, "10.2.0.0/24"),
    ("nowhere.example.test.", RecordType::A, "10.2.0.0/24"),
    ("cut.example.test.", RecordType::A, "10.2.0.0/24"),
    ("example.invalid.", RecordType::A, "10.2.0.0/24"),
];

fn www() -> Ask {
    Ask::new("www.example.test.", RecordType::A)
}

/// Headers, classes and operations.
fn heads() -> Vec<Case> {
    let patched = |at: usize, to: u8| {
        let mut packet = www().bytes();
        packet[at] = to;
        packet
    };
    let mut cases = vec![
        case(
            "recursion desired",
            www()
                .message(|message| message.metadata.recursion_desired = true)
                .bytes(),
        ),
        case("AD and CD", patched(3, 0x30)),
        case("Z bit", patched(3, 0x40)),
        case("TC in a query", patched(2, 0x02)),
        case(
            "a response",
            www()
                .message(|message| message.metadata.message_type = MessageType::Response)
                .bytes(),
        ),
        case("class CH", www().class(DNSClass::CH).bytes()),
        case("class ANY", www().class(DNSClass::ANY).bytes()),
        case("class 4660", www().class(DNSClass::Unknown(4660)).bytes()),
        case(
            "opcode notify",
            www()
                .message(|message| message.metadata.op_code = OpCode::Notify)
                .bytes(),
        ),
        case(
            "opcode update",
            www()
                .message(|message| message.metadata.op_code = OpCode::Update)
                .bytes(),
        ),
        case("opcode 15", patched(2, 0x78)),
        case("no question", patched(5, 0)),
        case("two questions", patched(5, 2)),
        case("an answer in a query", patched(7, 1)),
        case("an authority in a query", patched(9, 1)),
        case("65,280 additionals", patched(10, 0xff)),
        case("a missing additional", patched(11, 1)),
    ];
    let packet = www().bytes();
    cases.push(case("trailing bytes", [&packet[..], b"x"].concat()));
    for len in [0, 11, 12, 13, packet.len() - 1] {
        cases.push(case(format!("cut to {len} bytes"), packet[..len].to_vec()));
    }
    let raw = |name: &[u8]| [&packet[..12], name, &[0, 1, 0, 1]].concat();
    cases.push(case("a pointer in the question", raw(b"\xc0\x0c")));
    cases.push(case("an extended label type", raw(b"\x41a\0")));
    cases.push(case(
        "a name of 256 bytes",
        raw(&[[1, b'a'].repeat(128), vec![0]].concat()),
    ));
    cases.push(case(
        "a name of 255 bytes",
        raw(&[[1, b'a'].repeat(127), vec![0]].concat()),
    ));
    cases
}

/// An OPT record by hand: version, flags, options.
fn opt(version: u8, options: &[u8]) -> Vec<u8> {
    let len = u16::try_from(options.len()).unwrap().to_be_bytes();
    [&[0, 0, 41, 0x10, 0, 0, version, 0, 0][..], &len, options].concat()
}

fn with_additionals(name: &str, additionals: &[Vec<u8>]) -> Vec<u8> {
    let mut packet = Ask::new(name, RecordType::A).bytes();
    packet[11] = u8::try_from(additionals.len()).unwrap();
    [packet, additionals.concat()].concat()
}

/// EDNS and the client subnet option.
fn edns() -> Vec<Case> {
    let hand = |label: &str, additionals: &[Vec<u8>]| {
        case(label, with_additionals("www.example.test.", additionals))
    };
    let mut named_opt = opt(0, &[]);
    named_opt.splice(0..1, *b"\x01a\0");
    vec![
        case("edns", www().edns(|_| ()).bytes()),
        case(
            "edns with DO",
            www().edns(|edns| _ = edns.set_dnssec_ok(true)).bytes(),
        ),
        case(
            "edns of 100 bytes",
            www().edns(|edns| _ = edns.set_max_payload(100)).bytes(),
        ),
        hand("edns version 1", &[opt(1, &[])]),
        hand(
            "edns version 1 with a broken option",
            &[opt(1, &[0, 8, 0, 9])],
        ),
        hand("an unknown option", &[opt(0, &[0xff, 0xee, 0, 2, 1, 2])]),
        hand(
            "a TSIG",
            &[opt(0, &[]), b"\x01k\0\0\xfa\0\xff\0\0\0\0\0\0".to_vec()],
        ),
        hand("two OPT", &[opt(0, &[]), opt(0, &[])]),
        hand("OPT with a name", &[named_opt]),
        hand("an option cut short", &[opt(0, &[0, 10, 0, 9, 1])]),
        hand("an option head cut short", &[opt(0, &[0, 10, 0])]),
        hand(
            "another record before OPT",
            &[b"\x01a\0\0\x01\0\x01\0\0\0\0\0\0".to_vec(), opt(0, &[])],
        ),
        hand(
            "subnet of family 3",
            &[opt(0, &[0, 8, 0, 5, 0, 3, 8, 0, 10])],
        ),
        hand("subnet of family 0", &[opt(0, &[0, 8, 0, 4, 0, 0, 0, 0])]),
        hand(
            "subnet with a scope",
            &[opt(0, &[0, 8, 0, 5, 0, 1, 8, 8, 10])],
        ),
        hand(
            "subnet with bits behind the prefix",
            &[opt(0, &[0, 8, 0, 5, 0, 1, 7, 0, 11])],
        ),
        hand(
            "subnet of 33 bits",
            &[opt(0, &[0, 8, 0, 9, 0, 1, 33, 0, 10, 0, 0, 0, 0])],
        ),
        hand(
            "subnet with too few bytes",
            &[opt(0, &[0, 8, 0, 5, 0, 1, 16, 0, 10])],
        ),
        hand(
            "subnet with too many bytes",
            &[opt(0, &[0, 8, 0, 6, 0, 1, 8, 0, 10, 0])],
        ),
        hand("subnet cut short", &[opt(0, &[0, 8, 0, 3, 0, 1, 8])]),
        hand(
            "two subnets",
            &[opt(
                0,
                &[0, 8, 0, 5, 0, 1, 8, 0, 10, 0, 8, 0, 5, 0, 1, 8, 0, 11],
            )],
        ),
    ]
}

pub(super) fn cases() -> Vec<Case> {
    let plain = PLAIN
        .iter()
        .map(|(name, rtype)| case(format!("{name} {rtype}"), Ask::new(name, *rtype).bytes()));
    let steered = STEERED.iter().map(|(name, rtype, subnet)| {
        case(
            format!("{name} {rtype} of {subnet}"),
            Ask::new(name, *rtype).subnet(subnet).bytes(),
        )
    });
    plain.chain(steered).chain(heads()).chain(edns()).collect()
}

#[test]
fn every_packet_gets_its_answer() {
    let zones = zones_of(world());
    let mut lines = String::new();
    let cases = cases();
    assert!(cases.len() >= 110, "{}", cases.len());
    for case in cases {
        let udp = reply_to(&zones, &case.packet, Transport::Udp, RESOLVER)
            .map(|(_, answer)| summary(&answer));
        let tcp = reply_to(&zones, &case.packet, Transport::Tcp, RESOLVER)
            .map(|(_, answer)| summary(&answer));
        assert_eq!(
            udp, tcp,
            "{}: small answers are the same over UDP and TCP",
            case.label
        );
        let without_answer = if is_slow(&zones, &case.packet) {
            "handed on"
        } else {
            "silence"
        };
        lines.push_str(&format!(
            "{}\n    {}\n",
            case.label,
            udp.as_deref().unwrap_or(without_answer)
        ));
    }
    expect_file!["goldens/answers.txt"].assert_eq(&lines);
}
