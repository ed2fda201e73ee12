#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot build its input has failed"
)]

use std::net::IpAddr;

use hickory_proto::op::{Edns as HickoryEdns, Message, Query as HickoryQuery};
use hickory_proto::rr::rdata::opt::{ClientSubnet as HickorySubnet, EdnsCode, EdnsOption};
use hickory_proto::rr::{Name, RecordType};
use proptest::prelude::*;

use super::ecs::{ClientSubnet, EcsError};
use super::name::{LowerName, NameError};
use super::opt::OptReply;
use super::query::{Query, QueryRoom, Rejection};
use super::write::{Authority, ExtendedError, Full, Owner, ResponseWriter, Section};
use super::{Header, Opcode, RType, Rcode, label_count, parent_of};

#[test]
fn names_are_lowercased_and_bounded() {
    let check = |wire: &[u8], expected: Result<(&[u8], usize), NameError>| {
        let mut name = LowerName::default();
        let end = name.read(wire, 0);
        let found = end.map(|end| (name.as_bytes().to_vec(), end));
        assert_eq!(
            found,
            expected.map(|(name, end)| (name.to_vec(), end)),
            "{}",
            wire.escape_ascii()
        );
    };
    check(b"\0", Ok((b"\0", 1)));
    check(b"\x03WwW\x02eU\0rest", Ok((b"\x03www\x02eu\0", 8)));
    // Bytes that are no letters stay as they are.
    check(b"\x04\xc0\xff@[\0", Ok((b"\x04\xc0\xff@[\0", 6)));
    check(b"", Err(NameError::Cut));
    check(b"\x03ww", Err(NameError::Cut));
    check(b"\x03www", Err(NameError::Cut));
    check(b"\xc0\x0c", Err(NameError::LabelType));
    check(b"\x41a\0", Err(NameError::LabelType));
    let longest = [[[63; 64].as_slice(); 3].concat(), vec![61; 62], vec![0]].concat();
    assert_eq!(longest.len(), 255);
    check(&longest, Ok((&longest.to_ascii_lowercase(), 255)));
    let too_long = [[[63; 64].as_slice(); 3].concat(), vec![62; 63], vec![0]].concat();
    check(&too_long, Err(NameError::TooLong));
    check(&[1; 600], Err(NameError::TooLong));
}

#[test]
fn ancestors_are_suffixes() {
    let name = b"\x01a\x02bc\0";
    assert_eq!(parent_of(name), Some(&b"\x02bc\0"[..]));
    assert_eq!(parent_of(b"\x02bc\0"), Some(&b"\0"[..]));
    assert_eq!(parent_of(b"\0"), None);
    assert_eq!((label_count(name), label_count(b"\0")), (2, 0));
}

#[test]
fn client_subnets_are_strict() {
    let check = |data: &[u8], expected: Result<(&str, u8), EcsError>| {
        let found =
            ClientSubnet::read(data).map(|subnet| (subnet.address(), subnet.source_prefix()));
        let expected =
            expected.map(|(address, prefix)| (address.parse::<IpAddr>().unwrap(), prefix));
        assert_eq!(found, expected, "{data:?}");
    };
    check(&[0, 1, 24, 0, 192, 0, 2], Ok(("192.0.2.0", 24)));
    check(&[0, 1, 32, 0, 192, 0, 2, 1], Ok(("192.0.2.1", 32)));
    check(&[0, 1, 20, 0, 192, 0, 0x10], Ok(("192.0.16.0", 20)));
    check(&[0, 1, 0, 0], Ok(("0.0.0.0", 0)));
    check(&[0, 0, 0, 0], Ok(("0.0.0.0", 0)));
    check(&[0, 2, 0, 0], Ok(("::", 0)));
    check(
        &[0, 2, 56, 0, 0x20, 1, 0xd, 0xb8, 0, 0, 1],
        Ok(("2001:db8:0:100::", 56)),
    );
    let full = [&[0, 2, 128, 0][..], &[0xff; 16]].concat();
    check(&full, Ok(("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 128)));
    check(&[], Err(EcsError::Cut));
    check(&[0, 1, 24], Err(EcsError::Cut));
    check(&[0, 3, 24, 0, 192, 0, 2], Err(EcsError::Family(3)));
    check(&[0, 0, 8, 0, 10], Err(EcsError::SourcePrefix(8)));
    check(
        &[0, 1, 33, 0, 192, 0, 2, 1, 0],
        Err(EcsError::SourcePrefix(33)),
    );
    check(&[0, 2, 129, 0], Err(EcsError::SourcePrefix(129)));
    check(&[0, 1, 24, 24, 192, 0, 2], Err(EcsError::Scope(24)));
    check(
        &[0, 1, 24, 0, 192, 0],
        Err(EcsError::AddressBytes {
            needed: 3,
            found: 2,
        }),
    );
    check(
        &[0, 1, 24, 0, 192, 0, 2, 0],
        Err(EcsError::AddressBytes {
            needed: 3,
            found: 4,
        }),
    );
    check(
        &[0, 1, 0, 0, 1],
        Err(EcsError::AddressBytes {
            needed: 0,
            found: 1,
        }),
    );
    check(&[0, 1, 20, 0, 192, 0, 0x11], Err(EcsError::TrailingBits));
    check(
        &[0, 2, 33, 0, 0x20, 1, 0xd, 0xb8, 0x40],
        Err(EcsError::TrailingBits),
    );
}

fn hickory_query(name: &str, edns: Option<HickoryEdns>) -> Vec<u8> {
    let mut message = Message::query();
    message.metadata.id = 0x1234;
    message.metadata.recursion_desired = true;
    message.add_query(HickoryQuery::query(
        Name::from_ascii(name).unwrap(),
        RecordType::AAAA,
    ));
    message.edns = edns;
    message.to_vec().unwrap()
}

#[test]
fn reads_what_hickory_wrote() {
    let mut edns = HickoryEdns::new();
    edns.set_max_payload(1400).set_dnssec_ok(true);
    let subnet = HickorySubnet::new("192.0.2.0".parse().unwrap(), 24, 0);
    edns.options_mut()
        .insert(EdnsOption::Unknown(65_001, vec![1, 2, 3]));
    edns.options_mut().insert(EdnsOption::Subnet(subnet));
    let packet = hickory_query("WWW.example.", Some(edns));
    let mut room = QueryRoom::default();
    let query = Query::read(&packet, &mut room).unwrap();
    let header = Header {
        id: 0x1234,
        opcode: Opcode::QUERY,
        recursion_desired: true,
    };
    assert_eq!(query.header, header);
    assert_eq!(query.question.name.as_bytes(), b"\x03www\x07example\0");
    assert_eq!(&query.question.wire[..5], b"\x03WWW\x07");
    assert_eq!(query.question.rtype, RType::AAAA);
    let edns = query.edns.unwrap();
    assert_eq!(
        (edns.version, edns.udp_bytes_max, edns.dnssec_ok),
        (0, 1400, true)
    );
    assert_eq!(
        edns.subnet.unwrap().address(),
        "192.0.2.0".parse::<IpAddr>().unwrap()
    );
}

#[test]
fn responses_decode_and_keep_their_bound() {
    let packet = hickory_query("MiXed.example.", Some(HickoryEdns::new()));
    let mut room = QueryRoom::default();
    let query = Query::read(&packet, &mut room).unwrap();
    let subnet = ClientSubnet::read(&[0, 1, 20, 0, 10, 1, 0x20]).unwrap();
    let opt = OptReply {
        udp_bytes_max: 1232,
        dnssec_ok: true,
        subnet: Some((&subnet, 0)),
        ..OptReply::default()
    };
    let mut out = [0xaa; 512];
    let mut writer = ResponseWriter::start(
        &mut out,
        200,
        query.header,
        Some(query.question.wire),
        Some(opt),
    )
    .unwrap();
    let addresses: Vec<IpAddr> = (1..=5u8).map(|n| IpAddr::from([10, 0, 0, n])).collect();
    writer
        .addresses(Owner::QUESTION, 30, addresses.iter().copied())
        .unwrap();
    assert_eq!(
        writer.addresses(Owner::QUESTION, 30, addresses.iter().copied()),
        Err(Full)
    );
    writer.narrow_scope(16);
    writer.narrow_scope(8);
    writer.set_error(ExtendedError {
        code: 0,
        text: "why",
    });
    let len = writer.finish(Rcode::BadVers, Authority::Ours);
    assert!(len <= 200, "{len}");
    assert_eq!(out[len], 0xaa, "wrote behind the message");
    let message = Message::from_vec(&out[..len]).unwrap();
    assert!(message.metadata.truncation && message.metadata.authoritative);
    assert_eq!(message.queries[0].name().to_ascii(), "MiXed.example.");
    assert_eq!(message.answers.len(), 5);
    assert_eq!(message.answers[4].name.to_ascii(), "MiXed.example.");
    let edns = message.edns.unwrap();
    assert_eq!(
        (
            edns.rcode_high(),
            edns.max_payload(),
            edns.flags().dnssec_ok
        ),
        (1, 1232, true)
    );
    let Some(EdnsOption::Subnet(answered)) = edns.option(EdnsCode::Subnet) else {
        panic!("no subnet")
    };
    assert_eq!(
        (answered.source_prefix(), answered.scope_prefix()),
        (20, 16)
    );
    let Some(EdnsOption::Unknown(15, error)) = edns.option(EdnsCode::Unknown(15)) else {
        panic!("no error")
    };
    assert_eq!(error, b"\0\0why");
}

#[test]
fn a_buffer_too_small_for_the_question_gets_nothing() {
    let packet = hickory_query("a.example.", None);
    let mut room = QueryRoom::default();
    let query = Query::read(&packet, &mut room).unwrap();
    let mut out = [0; 20];
    assert!(
        ResponseWriter::start(&mut out, 512, query.header, Some(query.question.wire), None)
            .is_none()
    );
}

#[test]
fn a_copied_set_takes_its_owner() {
    let packet = hickory_query("www.example.", None);
    let mut room = QueryRoom::default();
    let query = Query::read(&packet, &mut room).unwrap();
    let records = b"\xc0\x0c\0\x01\0\x01\0\0\0\x05\0\x04\x0a\0\0\x01\xc0\x0c\0\x01\0\x01\0\0\0\x05\0\x04\x0a\0\0\x02";
    let mut out = [0; 512];
    let mut writer =
        ResponseWriter::start(&mut out, 512, query.header, Some(query.question.wire), None)
            .unwrap();
    writer
        .rrset(Section::Authority, Owner::QUESTION.ancestor(4), records, 2)
        .unwrap();
    let len = writer.finish(Rcode::NoError, Authority::None);
    let message = Message::from_vec(&out[..len]).unwrap();
    let owners: Vec<_> = message
        .authorities
        .iter()
        .map(|record| record.name.to_ascii())
        .collect();
    assert_eq!(owners, ["example.", "example."]);
}

proptest! {
    #[test]
    fn reading_never_panics_and_never_accepts_a_response(packet in proptest::collection::vec(any::<u8>(), 0..600)) {
        let is_response = packet.get(2).is_some_and(|byte| byte & 0x80 != 0);
        let mut room = QueryRoom::default();
        match Query::read(&packet, &mut room) {
            Ok(query) => {
                prop_assert!(!is_response);
                // Independent: hickory must agree that there is one question with this name.
                if let Ok(message) = Message::from_vec(&packet) {
                    prop_assert_eq!(message.queries.len(), 1);
                    prop_assert_eq!(label_count(query.question.name.as_bytes()), usize::from(message.queries[0].name().num_labels()));
                }
            }
            Err(Rejection::Silence) => prop_assert!(is_response || packet.len() < 12),
            Err(Rejection::Slow) => prop_assert!(!is_response),
            // NOERROR is for those who ask for nothing but a cookie.
            Err(Rejection::Error { rcode, question, edns, .. }) => prop_assert!(
                rcode != Rcode::NoError
                    || question.is_none() && edns.is_some_and(|edns| edns.cookie.is_some())
            ),
        }
    }

    #[test]
    fn mutated_queries_never_panic(at in 0_usize..90, to in any::<u8>(), cut in 0_usize..90) {
        let mut edns = HickoryEdns::new();
        edns.options_mut().insert(EdnsOption::Subnet(HickorySubnet::new("2001:db8::".parse().unwrap(), 56, 0)));
        let mut packet = hickory_query("some.name.example.", Some(edns));
        let at = at % packet.len();
        packet[at] = to;
        let _ = Query::read(&packet, &mut QueryRoom::default());
        packet.truncate(cut);
        prop_assert!(Query::read(&packet, &mut QueryRoom::default()).is_err() || cut >= packet.len());
    }

    #[test]
    fn client_subnets_agree_with_hickory(data in proptest::collection::vec(any::<u8>(), 0..24), family in 0_u8..4, prefix in 0_u8..140) {
        let mut data = data;
        if let [high, low, source, ..] = &mut data[..] {
            (*high, *low, *source) = (0, family, prefix);
        }
        // What we accept, hickory accepts with the same meaning; it is laxer, so not the reverse.
        if let Ok(ours) = ClientSubnet::read(&data) && family != 0 {
            let theirs = HickorySubnet::try_from(&data[..]).unwrap();
            prop_assert_eq!((theirs.addr(), theirs.source_prefix()), (ours.address(), ours.source_prefix()));
        }
    }
}
