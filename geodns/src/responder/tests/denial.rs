//! Zones that arrive signed: their proofs in the message, whatever its size. The signatures are made
//! up; resolvers judge real ones in `tests/it/presigned`.

use std::fmt::Write as _;
use std::sync::Arc;

use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;
use meridian_live::Published;
use meridian_telemetry::Metrics;

use super::{Ask, RESOLVER, Transport, reply_to, rules, world};
use crate::fixture::decode;
use crate::master::read_text;
use crate::metrics::DnsMetrics;
use crate::responder::{Asked, Outcome, answer};
use crate::zone::{ZoneShelf, ZoneSource};
use crate::zones::Zones;

const ZONE: &str = "\
@ SOA ns1 admin 1 7200 3600 1209600 60
@ NS ns1
@ NSEC *.a SOA NS RRSIG NSEC
*.a CNAME any.b
*.a NSEC *.b CNAME RRSIG NSEC
*.b CNAME any.c
*.b NSEC *.c CNAME RRSIG NSEC
*.c MX 10 ns1
*.c NSEC cut MX RRSIG NSEC
cut NS ns1
cut NSEC ns1 NS RRSIG NSEC
ns1 A 192.0.2.1
ns1 NSEC @ A RRSIG NSEC
";

/// Records with a signature behind each.
fn signed(text: &str) -> String {
    let signature = format!(
        "13 2 60 20400101000000 20200101000000 7 arrived.test. {}AA==",
        "A".repeat(84)
    );
    let mut all = String::from("$TTL 60\n");
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let is_cut = words[0] == "cut" && words[1] == "NS";
        writeln!(all, "{line}").unwrap();
        if !is_cut {
            writeln!(all, "{} RRSIG {} {signature}", words[0], words[1]).unwrap();
        }
    }
    all
}

fn zones(text: &str) -> Zones {
    let zone = read_text("t.zone", signed(text).as_bytes(), b"\x07arrived\x04test\0").unwrap();
    assert!(zone.problems().is_empty(), "{:?}", zone.problems());
    let shelf = ZoneShelf::new();
    shelf.put(ZoneSource::File, Arc::new(zone)).unwrap();
    let metrics = DnsMetrics::register(&Metrics::new()).unwrap();
    let published = Arc::new(Published::compile(Arc::new(world()), 1));
    Zones::build(published, &shelf.snapshot(), None, &metrics, 1)
}

fn ask(name: &str, rtype: RecordType) -> Ask {
    Ask::new(name, rtype).edns(|edns| {
        edns.set_dnssec_ok(true).set_max_payload(4096);
    })
}

/// Owners and types, signatures aside.
fn shown(records: &[hickory_proto::rr::Record]) -> Vec<String> {
    records
        .iter()
        .filter(|record| record.record_type() != RecordType::RRSIG)
        .map(|record| format!("{} {}", record.name, record.record_type()))
        .collect()
}

fn over_tcp(zones: &Zones, packet: &[u8]) -> Message {
    let (reply, packet) = reply_to(zones, packet, Transport::Tcp, RESOLVER).unwrap();
    assert!(!reply.truncated);
    decode(&packet)
}

#[test]
fn each_proof_is_sent_once_and_before_additional_records() {
    let zones = zones(ZONE);
    // Three wildcards: at each, nothing is closer. The MX has its address along.
    let message = over_tcp(&zones, &ask("x.a.arrived.test.", RecordType::MX).bytes());
    let proofs = [
        "*.a.arrived.test. NSEC",
        "*.b.arrived.test. NSEC",
        "*.c.arrived.test. NSEC",
    ];
    assert_eq!(shown(&message.authorities), proofs);
    assert_eq!(shown(&message.additionals), ["ns1.arrived.test. A"]);
    assert_eq!(message.authorities.len(), 6);
    // The last wildcard lacks the type: its record says so, and that nothing is closer.
    let message = over_tcp(&zones, &ask("x.a.arrived.test.", RecordType::TXT).bytes());
    let soa = "arrived.test. SOA".to_owned();
    let mut shown_now = shown(&message.authorities);
    shown_now.sort();
    let mut expected: Vec<String> = proofs.iter().map(ToString::to_string).collect();
    expected.push(soa);
    assert_eq!(shown_now, expected);
    // One record denies a name and its wildcard.
    let message = over_tcp(&zones, &ask("0.ns1.arrived.test.", RecordType::A).bytes());
    assert_eq!(
        shown(&message.authorities),
        ["arrived.test. SOA", "ns1.arrived.test. NSEC"]
    );
    // A referral.
    let message = over_tcp(
        &zones,
        &ask("host.cut.arrived.test.", RecordType::A).bytes(),
    );
    assert_eq!(
        shown(&message.authorities),
        ["cut.arrived.test. NS", "cut.arrived.test. NSEC"]
    );
}

#[test]
fn who_does_not_ask_for_signatures_gets_no_proofs() {
    let zones = zones(ZONE);
    for name in [
        "x.a.arrived.test.",
        "no.arrived.test.",
        "x.cut.arrived.test.",
    ] {
        let message = over_tcp(&zones, &Ask::new(name, RecordType::MX).bytes());
        let authorities = shown(&message.authorities);
        assert!(
            !authorities.iter().any(|it| it.ends_with("NSEC")),
            "{authorities:?}"
        );
    }
}

#[test]
fn what_does_not_fit_is_marked_and_keeps_its_code() {
    let zones = zones(ZONE);
    for (name, rtype) in [
        ("x.a.arrived.test.", RecordType::MX),
        ("x.a.arrived.test.", RecordType::TXT),
        ("no.arrived.test.", RecordType::A),
        ("x.cut.arrived.test.", RecordType::A),
    ] {
        let packet = ask(name, rtype).bytes();
        let whole = over_tcp(&zones, &packet);
        let mut truncated = 0;
        for bytes_max in 60..1_000 {
            let mut out = vec![0; bytes_max];
            let source = RESOLVER.parse().unwrap();
            let asked = Asked {
                packet: &packet,
                source: &source,
                transport: Transport::Udp,
                now_unix_seconds: 1,
            };
            let Outcome::Reply(reply) = answer(&zones, &rules(), &asked, &mut out) else {
                continue;
            };
            let message = decode(&out[..reply.bytes]);
            // A referral needs its glue (RFC 9471).
            let has_all = message.answers == whole.answers
                && message.authorities == whole.authorities
                && (whole.metadata.authoritative || message.additionals == whole.additionals);
            assert_ne!(message.metadata.truncation, has_all, "{name} {bytes_max}");
            // Along a chain the code is known when its end is.
            if message.answers == whole.answers {
                assert_eq!(message.metadata.response_code, whole.metadata.response_code);
            }
            truncated += usize::from(message.metadata.truncation);
        }
        assert!(truncated > 100, "{name} {rtype}: {truncated}");
    }
}

#[test]
fn owners_are_spelled_out_where_a_pointer_does_not_reach() {
    let mut text = ZONE.replace("*.c MX 10 ns1\n", "");
    text = text.replace("*.c NSEC cut MX", "*.c NSEC cut TXT");
    let long = "t".repeat(200);
    let records: String = (100..200)
        .map(|at| format!("*.c TXT {at}{long}\n"))
        .collect();
    let zones = zones(&format!("{text}{records}"));
    let packet = ask("x.a.arrived.test.", RecordType::TXT).bytes();
    let (_, bytes) = reply_to(&zones, &packet, Transport::Tcp, RESOLVER).unwrap();
    assert!(bytes.len() > 0x4000);
    let message = decode(&bytes);
    let owners = [
        "*.a.arrived.test.",
        "*.b.arrived.test.",
        "*.c.arrived.test.",
    ];
    let expected: Vec<&str> = owners.iter().flat_map(|owner| [*owner, *owner]).collect();
    let found: Vec<String> = message
        .authorities
        .iter()
        .map(|it| it.name.to_string())
        .collect();
    assert_eq!(found, expected);
}
