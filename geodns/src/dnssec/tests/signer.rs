//! A zone's signer: what it makes validates, stays fresh, and stays within its budget.

use std::sync::Arc;

use hickory_proto::dnssec::rdata::{DNSKEY, DNSSECRData, RRSIG};
use hickory_proto::dnssec::{DigestType, Verifier};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecoder, BinEncodable, Restrict};
use meridian_telemetry::Metrics;

use super::super::budget::{Budget, Purse};
use super::super::cache::{Names, Signature, SignatureCache};
use super::super::canonical::Set;
use super::super::key::Algorithm;
use super::super::keyring::ZoneKeys;
use super::super::signer::{OverBudget, ZoneSigner};
use super::super::signing::{DnssecMetrics, Shared};
use super::{NOW, csk, records, wire};
use crate::wire::RType;

const DAY: u32 = 86_400;

fn shared(per_second: u32) -> Arc<Shared> {
    Arc::new(Shared {
        cache: SignatureCache::new(64, 64),
        budget: Budget::new(per_second),
        metrics: DnssecMetrics::register(&Metrics::new()).unwrap(),
    })
}

fn addresses(n: u8) -> Vec<u8> {
    records(RType::A, 30, &[vec![192, 0, 2, n]])
}

fn set<'a>(owner: &'a [u8], records: &'a [u8]) -> Set<'a> {
    Set {
        owner,
        rtype: RType::A,
        original_ttl_seconds: 300,
        records,
    }
}

fn signer(keys: &Arc<ZoneKeys>, shared: &Arc<Shared>, sets: &[Set<'_>], now: u32) -> ZoneSigner {
    ZoneSigner::build(keys, shared, None, None, sets.iter().copied(), now).unwrap()
}

/// hickory-proto's verifier on an address set.
fn validates(signer: &ZoneSigner, name: &str, set: &Set<'_>, signature: &Signature) -> bool {
    let mut rrsig = signer.rrsig_head(set, signature).to_vec();
    rrsig.extend_from_slice(signer.apex());
    rrsig.extend_from_slice(&signature.bytes);
    let rrsig = rrsig_of(&rrsig);
    let dnskey = dnskey(signer);
    let owner = Name::from_ascii(name).unwrap();
    let records: Vec<_> = set
        .data()
        .map(|data| {
            let address = A::new(data[0], data[1], data[2], data[3]);
            Record::from_rdata(owner.clone(), 5, RData::A(address))
        })
        .collect();
    dnskey
        .verify_rrsig(&owner, DNSClass::IN, &rrsig, records.iter())
        .is_ok()
}

fn dnskey(signer: &ZoneSigner) -> DNSKEY {
    let set = signer.apex_set(RType::DNSKEY).unwrap();
    let data = &set.records[12..];
    match read(RecordType::DNSKEY, data) {
        RData::DNSSEC(DNSSECRData::DNSKEY(key)) => key,
        other => panic!("{other}"),
    }
}

fn rrsig_of(data: &[u8]) -> RRSIG {
    match read(RecordType::RRSIG, data) {
        RData::DNSSEC(DNSSECRData::RRSIG(rrsig)) => rrsig,
        other => panic!("{other}"),
    }
}

fn read(rtype: RecordType, data: &[u8]) -> RData {
    let mut decoder = BinDecoder::new(data);
    RData::read(&mut decoder, rtype, Restrict::new(data.len() as u16)).unwrap()
}

#[test]
fn both_algorithms_validate_and_a_changed_answer_does_not() {
    for algorithm in [Algorithm::EcdsaP256, Algorithm::Ed25519] {
        let (keys, shared) = (Arc::new(csk("example.test.", algorithm)), shared(10));
        let (owner, data) = (wire("a.example.test."), addresses(1));
        let fixed = set(&owner, &data);
        let signer = signer(&keys, &shared, &[fixed], NOW);
        let made = signer
            .static_signature(&owner, RType::A, NOW)
            .unwrap()
            .signature;
        assert!(validates(&signer, "A.example.test.", &fixed, &made));
        let other = addresses(2);
        let changed = set(&owner, &other);
        assert!(!validates(&signer, "a.example.test.", &changed, &made));
        let steered = signer
            .signature(&changed, Names::Ours, Purse::Spoofable, NOW)
            .unwrap();
        assert!(validates(&signer, "a.example.test.", &changed, &steered));
        assert!(!validates(&signer, "b.example.test.", &changed, &steered));
        let again = signer.signature(&changed, Names::Ours, Purse::Spoofable, NOW + 5);
        assert_eq!(again, Ok(steered), "cached");
        assert_eq!(shared.metrics.inline.get(), 1);
    }
}

#[test]
fn the_keys_sign_themselves_and_the_digest_is_theirs() {
    let keys = Arc::new(csk("example.test.", Algorithm::EcdsaP256));
    let signer = signer(&keys, &shared(0), &[], NOW);
    let zone = Name::from_ascii("example.test.").unwrap();
    let dnskey = dnskey(&signer);
    let digest = dnskey.to_digest(&zone, DigestType::SHA256).unwrap();
    let cds = signer.apex_set(RType::CDS).unwrap();
    assert_eq!(&cds.records[16..], digest.as_ref());
    assert_eq!(
        signer.apex_set(RType::CDNSKEY).unwrap().records[12..],
        dnskey.to_bytes().unwrap()
    );
    let set = signer.apex_set(RType::DNSKEY).unwrap();
    assert_eq!(set.signature_count, 1);
    let rrsig = rrsig_of(&set.signatures[12..]);
    let record = Record::from_rdata(
        zone.clone(),
        3600,
        RData::DNSSEC(DNSSECRData::DNSKEY(dnskey.clone())),
    );
    dnskey
        .verify_rrsig(&zone, DNSClass::IN, &rrsig, [record].iter())
        .unwrap();
}

#[test]
fn time_alone_renews_signatures_long_before_they_expire() {
    let (keys, shared) = (
        Arc::new(csk("example.test.", Algorithm::Ed25519)),
        shared(10),
    );
    let (owner, data) = (wire("a.example.test."), addresses(1));
    let fixed = set(&owner, &data);
    let steered_data = addresses(9);
    let steered = set(&owner, &steered_data);
    let mut now = NOW;
    let mut current = signer(&keys, &shared, &[fixed], now);
    current.prepare(&steered, now);
    let mut renewed = 0;
    // A year in which nothing but the clock moves: whoever watches it rebuilds when it says so.
    while now < NOW + 365 * DAY {
        now += DAY / 2;
        if current.refresh_at() <= now {
            let before = current.static_signature(&owner, RType::A, now).unwrap();
            let mut next = ZoneSigner::build(
                &keys,
                &shared,
                Some(&current),
                None,
                [fixed].into_iter(),
                now,
            )
            .unwrap();
            next.prepare(&steered, now);
            assert!(next.refresh_at() > now);
            let after = next.static_signature(&owner, RType::A, now).unwrap();
            renewed += u32::from(after.signature != before.signature);
            current = next;
        }
        let fixed_signature = current
            .static_signature(&owner, RType::A, now)
            .unwrap()
            .signature;
        let inline = shared.metrics.inline.get();
        let cached = current
            .signature(&steered, Names::Ours, Purse::Spoofable, now)
            .unwrap();
        assert_eq!(shared.metrics.inline.get(), inline, "no question waited");
        for signature in [fixed_signature, cached] {
            assert!(signature.inception + 3_600 <= now);
            // Half the seven days before the end would already be a failure of the watch.
            assert!(
                signature.expiration > now + 6 * DAY,
                "{}",
                signature.expiration - now
            );
        }
        assert!(validates(
            &current,
            "a.example.test.",
            &fixed,
            &fixed_signature
        ));
    }
    assert!(renewed > 40, "{renewed}");
}

#[test]
fn an_unchanged_set_is_not_signed_again() {
    let (keys, shared) = (
        Arc::new(csk("example.test.", Algorithm::EcdsaP256)),
        shared(10),
    );
    let (a, b) = (wire("a.example.test."), wire("b.example.test."));
    let (one, two) = (addresses(1), addresses(2));
    let first = signer(&keys, &shared, &[set(&a, &one), set(&b, &one)], NOW);
    let before = shared.metrics.made.get();
    let next = ZoneSigner::build(
        &keys,
        &shared,
        Some(&first),
        None,
        [set(&a, &one), set(&b, &two)].into_iter(),
        NOW + 60,
    )
    .unwrap();
    // The changed set, and DNSKEY, CDS and CDNSKEY.
    assert_eq!(shared.metrics.made.get() - before, 4);
    assert_eq!(
        next.static_signature(&a, RType::A, NOW + 60)
            .map(|found| found.signature),
        first
            .static_signature(&a, RType::A, NOW + 60)
            .map(|found| found.signature)
    );
}

#[test]
fn beyond_the_budget_an_old_signature_is_better_than_none() {
    let (keys, shared) = (
        Arc::new(csk("example.test.", Algorithm::Ed25519)),
        shared(1),
    );
    let signer = signer(&keys, &shared, &[], NOW);
    let (owner, one, two) = (wire("a.example.test."), addresses(1), addresses(2));
    let ask =
        |data: &[u8], purse, now| signer.signature(&set(&owner, data), Names::Chosen, purse, now);
    let first = ask(&one, Purse::Spoofable, NOW).unwrap();
    assert_eq!(ask(&two, Purse::Spoofable, NOW), Err(OverBudget));
    assert!(ask(&two, Purse::Verified, NOW).is_ok(), "the other purse");
    assert_eq!(ask(&one, Purse::Spoofable, NOW), Ok(first));
    // Due for renewal, and somebody else used up the second.
    let late = NOW + 8 * DAY;
    assert!(ask(&addresses(3), Purse::Spoofable, late).is_ok());
    assert_eq!(ask(&one, Purse::Spoofable, late), Ok(first));
    let renewed = ask(&one, Purse::Spoofable, late + 1).unwrap();
    assert!(renewed.expiration > first.expiration);
    // An expired one is never sent.
    let dead = late + 30 * DAY;
    assert!(ask(&addresses(4), Purse::Spoofable, dead).is_ok());
    assert_eq!(ask(&one, Purse::Spoofable, dead), Err(OverBudget));
}
