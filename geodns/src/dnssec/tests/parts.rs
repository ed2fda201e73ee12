//! Canonical form, caches, budget and denials, each by itself.

use std::sync::Arc;

use hickory_proto::dnssec::TBS;
use hickory_proto::dnssec::rdata::sig::SigInput;
use hickory_proto::rr::rdata::{A, CNAME, MX, NAPTR, NS, SOA, SRV, TXT};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType, SerialNumber};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};
use proptest::prelude::*;

use super::super::budget::{Budget, Purse};
use super::super::cache::{Names, Signature, SignatureCache};
use super::super::canonical::{Head, Set, to_be_signed, wire_name};
use super::super::denial::{LowTypes, NSEC_BYTES_MAX, write_nsec};
use super::{NOW, records, wire};
use crate::wire::{NAME_BYTES_MAX, RType};

fn data_of(data: &RData) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = BinEncoder::new(&mut bytes);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    data.emit(&mut encoder).unwrap();
    bytes
}

/// What is signed is what hickory-proto's verifier will compute from the answer.
fn check_canonical(owner: &str, data: &[RData]) {
    let owner = Name::from_ascii(owner).unwrap();
    let rtype = data[0].record_type();
    let key_tag = 12_345;
    let wire_owner = wire_name(&owner);
    let data_wire: Vec<_> = data.iter().map(data_of).collect();
    let set = Set {
        owner: &wire_owner,
        rtype: RType(rtype.into()),
        original_ttl_seconds: 300,
        records: &records(RType(rtype.into()), 30, &data_wire),
    };
    let head = Head {
        covered: set.rtype,
        algorithm: 13,
        labels: set.labels(),
        original_ttl_seconds: 300,
        expiration: NOW + 1000,
        inception: NOW,
        key_tag,
    };
    let signer = Name::from_ascii("Example.TEST.").unwrap();
    let ours = to_be_signed(&set, head, &wire_name(&signer));
    let records: Vec<_> = data
        .iter()
        .map(|data| Record::from_rdata(owner.clone(), 30, data.clone()))
        .collect();
    let input = SigInput {
        type_covered: rtype,
        algorithm: hickory_proto::dnssec::Algorithm::ECDSAP256SHA256,
        num_labels: owner.num_labels(),
        original_ttl: 300,
        sig_expiration: SerialNumber::new(NOW + 1000),
        sig_inception: SerialNumber::new(NOW),
        key_tag,
        signer_name: signer.to_lowercase(),
    };
    let theirs = TBS::from_input(&owner, DNSClass::IN, &input, records.iter()).unwrap();
    assert_eq!(ours, theirs.as_ref(), "{owner} {rtype}");
}

#[test]
fn canonical_form_agrees_with_hickory() {
    let name = |name: &str| Name::from_ascii(name).unwrap();
    check_canonical(
        "WWW.example.test.",
        &[
            RData::A(A::new(192, 0, 2, 9)),
            RData::A(A::new(10, 0, 0, 1)),
            RData::A(A::new(192, 0, 2, 10)),
        ],
    );
    check_canonical(
        "example.test.",
        &[
            RData::NS(NS(name("NS2.Example.test."))),
            RData::NS(NS(name("a.Example.test."))),
        ],
    );
    check_canonical(
        "example.test.",
        &[
            RData::MX(MX::new(10, name("Mail.example.test."))),
            RData::MX(MX::new(5, name("b.example.test."))),
        ],
    );
    check_canonical(
        "*.wild.example.test.",
        &[RData::TXT(TXT::new(vec!["Case Stays".into()]))],
    );
    check_canonical(
        "a.example.test.",
        &[RData::CNAME(CNAME(name("B.Example.TEST.")))],
    );
    check_canonical(
        "_sip._tcp.example.test.",
        &[RData::SRV(SRV::new(1, 2, 3, name("Host.Example.test.")))],
    );
    check_canonical(
        "example.test.",
        &[RData::SOA(SOA::new(
            name("NS.example.test."),
            name("Host.example.test."),
            1,
            2,
            3,
            4,
            5,
        ))],
    );
    check_canonical(
        "naptr.example.test.",
        &[RData::NAPTR(NAPTR::new(
            1,
            2,
            b"U".to_vec().into(),
            b"E2U+SIP".to_vec().into(),
            b"!^.*$!sip:X!".to_vec().into(),
            name("Next.Example.test."),
        ))],
    );
}

fn signature(seed: u8, expiration: u32) -> Signature {
    Signature {
        inception: expiration - 100,
        expiration,
        bytes: [seed; 64],
    }
}

#[test]
fn a_cache_is_bounded_and_loses_what_expires_first() {
    let cache = SignatureCache::new(4, 4);
    for n in 0..4_u8 {
        cache.put(
            Names::Ours,
            u64::from(n) + 1,
            &signature(n, 1_000 + u32::from(n)),
        );
    }
    assert_eq!(cache.get(Names::Ours, 3), Some(signature(2, 1_002)));
    assert_eq!(cache.get(Names::Chosen, 3), None, "the tables are apart");
    cache.put(Names::Ours, 99, &signature(9, 2_000));
    assert_eq!(cache.get(Names::Ours, 1), None);
    assert_eq!(cache.get(Names::Ours, 99), Some(signature(9, 2_000)));
    assert_eq!(cache.get(Names::Ours, 4), Some(signature(3, 1_003)));
    // The same key again takes no second slot.
    cache.put(Names::Ours, 99, &signature(8, 3_000));
    assert_eq!(cache.get(Names::Ours, 99), Some(signature(8, 3_000)));
    assert_eq!(cache.get(Names::Ours, 4), Some(signature(3, 1_003)));
}

#[test]
fn readers_never_see_half_a_signature() {
    let cache = Arc::new(SignatureCache::new(4, 4));
    let writers: Vec<_> = (0..2_u8)
        .map(|thread| {
            let cache = Arc::clone(&cache);
            std::thread::spawn(move || {
                for n in 0..20_000_u32 {
                    let seed = (n as u8).wrapping_mul(2) | thread;
                    cache.put(Names::Ours, 7, &signature(seed, 1_000 + u32::from(seed)));
                }
            })
        })
        .collect();
    let mut seen = 0;
    while writers.iter().any(|writer| !writer.is_finished()) || seen == 0 {
        if let Some(found) = cache.get(Names::Ours, 7) {
            seen += 1;
            let seed = found.bytes[0];
            assert_eq!(found, signature(seed, 1_000 + u32::from(seed)));
        }
    }
    for writer in writers {
        writer.join().unwrap();
    }
}

#[test]
fn the_order_of_records_does_not_matter_and_everything_else_does() {
    let cache = SignatureCache::new(4, 4);
    let data = |n: u8| vec![192, 0, 2, n];
    let owner = wire("a.example.test.");
    let one = records(RType::A, 30, &[data(1), data(2)]);
    let set = Set {
        owner: &owner,
        rtype: RType::A,
        original_ttl_seconds: 30,
        records: &one,
    };
    let key = cache.key(&set, 1);
    let turned = records(RType::A, 5, &[data(2), data(1)]);
    assert_eq!(
        key,
        cache.key(
            &Set {
                records: &turned,
                ..set
            },
            1
        )
    );
    let other_owner = wire("b.example.test.");
    let other_data = records(RType::A, 30, &[data(1), data(3)]);
    let twice = records(RType::A, 30, &[data(1), data(2), data(1)]);
    for other in [
        cache.key(&set, 2),
        cache.key(
            &Set {
                owner: &other_owner,
                ..set
            },
            1,
        ),
        cache.key(
            &Set {
                rtype: RType::AAAA,
                ..set
            },
            1,
        ),
        cache.key(
            &Set {
                original_ttl_seconds: 31,
                ..set
            },
            1,
        ),
        cache.key(
            &Set {
                records: &other_data,
                ..set
            },
            1,
        ),
        cache.key(
            &Set {
                records: &twice,
                ..set
            },
            1,
        ),
    ] {
        assert_ne!(key, other);
    }
}

#[test]
fn each_purse_has_its_own_budget_for_each_second() {
    let budget = Budget::new(2);
    let mut took = Vec::new();
    for (purse, now) in [
        (Purse::Spoofable, 10),
        (Purse::Spoofable, 10),
        (Purse::Spoofable, 10),
        (Purse::Verified, 10),
        // A batch whose clock was read earlier.
        (Purse::Spoofable, 9),
        (Purse::Spoofable, 11),
    ] {
        took.push(budget.take(purse, now));
    }
    assert_eq!(took, [true, true, false, true, false, true]);
    assert!(!Budget::new(0).take(Purse::Verified, 10));
}

#[test]
fn nsec_data_is_read_by_hickory() {
    use hickory_proto::dnssec::rdata::DNSSECRData;
    use hickory_proto::serialize::binary::{BinDecoder, Restrict};

    let mut low = LowTypes::default();
    for rtype in [
        RType::A,
        RType::RRSIG,
        RType::NSEC,
        RType::NXNAME,
        RType::MX,
    ] {
        low.insert(rtype);
    }
    low.remove(RType::MX);
    let high = [RType(257), RType(258), RType(32_769), RType(65_280)];
    let mut data = [0; NSEC_BYTES_MAX];
    let bytes = write_nsec(&mut data, &wire("no.example.test."), low, high.into_iter());
    let mut decoder = BinDecoder::new(&data[..bytes]);
    let length = Restrict::new(bytes as u16);
    let RData::DNSSEC(DNSSECRData::NSEC(nsec)) =
        RData::read(&mut decoder, RecordType::NSEC, length).unwrap()
    else {
        panic!("not an NSEC record");
    };
    assert_eq!(nsec.next_domain_name().to_ascii(), "\\000.no.example.test.");
    let types: Vec<u16> = nsec.type_bit_maps().map(u16::from).collect();
    assert_eq!(types, [1, 46, 47, 128, 257, 258, 32_769, 65_280]);
}

proptest! {
    /// The successor is a name, sorts after the name, and nothing that fits sorts in between that
    /// stands below the name.
    #[test]
    fn the_next_name_follows(labels in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..=63), 1..8)) {
        let mut name: Vec<u8> = Vec::new();
        for label in labels {
            if name.len() + label.len() + 2 > NAME_BYTES_MAX {
                break;
            }
            name.push(label.len() as u8);
            name.extend(label.iter().map(u8::to_ascii_lowercase));
        }
        name.push(0);
        let mut data = [0; NSEC_BYTES_MAX];
        let mut low = LowTypes::default();
        low.insert(RType::NSEC);
        let bytes = write_nsec(&mut data, &name, low, std::iter::empty());
        let next = &data[..bytes - 8];
        prop_assert!(next.len() <= NAME_BYTES_MAX);
        let parse = |wire: &[u8]| {
            let mut labels = Vec::new();
            let mut at = 0;
            while wire[at] != 0 {
                let end = at + 1 + usize::from(wire[at]);
                labels.push(wire[at + 1..end].to_vec());
                at = end;
            }
            assert_eq!(at + 1, wire.len());
            labels.reverse();
            labels
        };
        let (ours, follows) = (parse(&name), parse(next));
        let all_high = name.len() + 2 > NAME_BYTES_MAX && ours.last().is_some_and(|label| label.iter().all(|byte| *byte == 0xff));
        prop_assert!(follows > ours || all_high, "{follows:?} {ours:?}");
    }
}
