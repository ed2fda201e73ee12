//! A signed zone before resolvers we did not write: `delv` and `unbound` validate what is answered,
//! at every step of a roll, and refuse what was tampered with.

pub mod rig;

use std::net::SocketAddr;

use meridian_geodns::dnssec::{Algorithm, KeyRole, Patience};

use rig::{SignedRig, Tampering, delv, dig, unbound};

/// Questions about the zone: name, type, what delv must say beside the validation.
const QUESTIONS: [(&str, &str, &str); 22] = [
    ("example.test", "SOA", "fully validated"),
    ("example.test", "DNSKEY", "fully validated"),
    ("example.test", "CDS", "fully validated"),
    ("www.example.test", "A", "192.0.2.80"),
    ("www.example.test", "AAAA", "2001:db8::80"),
    ("shop.example.test", "A", "fully validated"),
    ("pair.example.test", "A", "fully validated"),
    ("alias.example.test", "CNAME", "fully validated"),
    ("web.example.test", "A", "192.0.2.80"),
    ("any.wild.example.test", "TXT", "synthesized"),
    ("some.shops.example.test", "A", "fully validated"),
    (
        "www.example.test",
        "MX",
        "negative response, fully validated",
    ),
    (
        "shop.example.test",
        "AAAA",
        "negative response, fully validated",
    ),
    ("_sip._udp.example.test", "SRV", "fully validated"),
    ("voice.example.test", "HTTPS", "fully validated"),
    // Below a DNAME.
    ("some.old.example.test", "A", "fully validated"),
    // ALIAS of a steered name and of a static one.
    ("aka.example.test", "A", "fully validated"),
    (
        "aka.example.test",
        "AAAA",
        "negative response, fully validated",
    ),
    (
        "aka.example.test",
        "TXT",
        "negative response, fully validated",
    ),
    ("also.example.test", "AAAA", "2001:db8::80"),
    // NXDOMAIN by RFC 9824 is a type that a name has not.
    (
        "no.such.example.test",
        "A",
        "negative response, fully validated",
    ),
    // An empty non-terminal.
    (
        "ent.example.test",
        "A",
        "negative response, fully validated",
    ),
];

fn all_validate(rig: &SignedRig, source: &str) {
    for (name, rtype, says) in QUESTIONS {
        let said = delv(rig, rig.address, source, name, rtype);
        assert!(
            said.contains(says) && said.contains("fully validated"),
            "{name} {rtype} from {source}: {said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn delv_validates_every_kind_of_answer_with_both_algorithms() {
    for algorithm in [Algorithm::EcdsaP256, Algorithm::Ed25519] {
        let rig = SignedRig::start(algorithm, &[KeyRole::Csk]);
        all_validate(&rig, "127.0.0.1");
        // Each region's answer: the address that asks is a client of its own class.
        for (source, address) in [
            ("127.0.1.1", "192.0.2.1"),
            ("127.0.2.1", "198.51.100.1"),
            ("127.0.3.1", "203.0.113.1"),
        ] {
            let said = delv(&rig, rig.address, source, "shop.example.test", "A");
            assert!(
                said.contains("fully validated") && said.contains(address),
                "{source}: {said}"
            );
        }
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_tampered_with_is_bogus() {
    let rig = SignedRig::start(Algorithm::EcdsaP256, &[KeyRole::Csk]);
    let honest = Tampering::start(rig.address, false);
    let said = delv(&rig, honest.address, "127.0.0.1", "www.example.test", "A");
    assert!(said.contains("fully validated"), "{said}");
    let liar = Tampering::start(rig.address, true);
    let said = delv(&rig, liar.address, "127.0.0.1", "www.example.test", "A");
    assert!(!said.contains("fully validated"), "{said}");
    assert!(said.contains("resolution failed"), "{said}");
    // A trust anchor of another key.
    let other = SignedRig::start(Algorithm::EcdsaP256, &[KeyRole::Csk]);
    let said = delv(&other, rig.address, "127.0.0.1", "www.example.test", "A");
    assert!(said.contains("resolution failed"), "{said}");
    other.stop().await;
    rig.stop().await;
}

fn secure(resolver: SocketAddr, name: &str, rtype: &str, status: &str) {
    let said = dig(resolver, name, rtype);
    let flags = said.lines().find(|line| line.starts_with(";; flags:"));
    let flags = flags
        .unwrap_or_default()
        .split(';')
        .nth(2)
        .unwrap_or_default()
        .to_owned();
    assert!(
        said.contains(&format!("status: {status}")) && flags.contains(" ad"),
        "{name} {rtype}: {said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn unbound_validates_and_knows_what_is_unsigned() {
    let rig = SignedRig::start(Algorithm::Ed25519, &[KeyRole::Ksk, KeyRole::Zsk]);
    let resolver = unbound(&rig);
    for (name, rtype, says) in QUESTIONS {
        let status = "NOERROR";
        secure(resolver.address, name, rtype, status);
        let said = dig(resolver.address, name, rtype);
        let is_negative = says.starts_with("negative");
        assert_eq!(said.contains("ANSWER: 0"), is_negative, "{said}");
    }
    // The delegation has no DS, and says so; its servers are not reachable.
    let said = dig(resolver.address, "cut.example.test", "DS");
    assert!(
        said.contains("status: NOERROR") && said.contains("ANSWER: 0"),
        "{said}"
    );
    secure(resolver.address, "cut.example.test", "DS", "NOERROR");
    drop(resolver);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_validates_at_every_step_of_a_roll_while_it_is_served() {
    let mut rig = SignedRig::start(Algorithm::EcdsaP256, &[KeyRole::Ksk, KeyRole::Zsk]);
    let questions = [
        ("shop.example.test", "A"),
        ("no.example.test", "A"),
        ("www.example.test", "A"),
    ];
    for role in [KeyRole::Zsk, KeyRole::Ksk] {
        let check = |rig: &SignedRig, step: &str| {
            for (name, rtype) in questions {
                let said = delv(rig, rig.address, "127.0.0.1", name, rtype);
                assert!(
                    said.contains("fully validated"),
                    "{role} {step} {name}: {said}"
                );
            }
        };
        let old = rig.active(role);
        rig.step(|desk, now| desk.roll(Some(role), now)).await;
        check(&rig, "published");
        let new = rig.newest(role);
        rig.step(|desk, now| desk.activate(new, Patience::Skip, now))
            .await;
        check(&rig, "activated");
        if role.is_entry() {
            // From here on validators may know the new key alone.
            rig.trust(&[new]);
            check(&rig, "trusted anew");
        }
        rig.step(|desk, now| desk.remove(old, Patience::Skip, now))
            .await;
        check(&rig, "removed");
        assert_ne!(rig.active(role), old);
    }
    rig.stop().await;
}
