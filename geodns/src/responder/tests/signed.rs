//! Any answer of a signed zone is validated by hickory-proto's verifier, or fails for a reason that
//! has a name.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use hickory_proto::dnssec::Verifier;
use hickory_proto::dnssec::rdata::{DNSKEY, DNSSECRData, NSEC, RRSIG};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::CNAME;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use meridian_telemetry::Metrics;
use meridian_topology::Millis;
use proptest::prelude::*;

use super::{Ask, RESOLVER, rules, zones_of};
use crate::dnssec::{Algorithm, DnssecConfig, KeyDesk, KeyRole, Signing, ZoneSigningConfig};
use crate::fixture::{decode, world};
use crate::responder::{Asked, Outcome, Transport, answer};
use crate::zones::Zones;

const NOW: u32 = 1_700_000_000;
const DAY: u32 = 86_400;

struct Signed {
    zones: Zones,
    signing: Arc<Signing>,
    keys: Vec<DNSKEY>,
}

fn signed(algorithm: Algorithm, per_second: u32) -> Signed {
    let folder = tempfile::tempdir().unwrap();
    let zone = ZoneSigningConfig {
        algorithm,
        ttl_max: Millis(0),
        propagation: Millis(0),
        ..ZoneSigningConfig::default()
    };
    let config = DnssecConfig {
        keys: folder.path().into(),
        zones: [("example.test".to_owned(), zone)].into(),
        signatures_per_second: per_second,
        ..DnssecConfig::default()
    };
    let settings = config.validate().unwrap();
    let desk = KeyDesk::of(&settings, "example.test").unwrap();
    desk.generate(&[KeyRole::Ksk, KeyRole::Zsk], u64::from(NOW) - 1)
        .unwrap();
    let signing = Signing::load(settings, &Metrics::new()).unwrap();
    let zones = zones_of(world()).signed(&signing, NOW);
    assert!(zones.problems().is_empty(), "{:?}", zones.problems());
    let mut signed = Signed {
        zones,
        signing,
        keys: Vec::new(),
    };
    let reply = signed.ask("example.test.", RecordType::DNSKEY, NOW, Transport::Tcp);
    for record in &reply.answers {
        if let RData::DNSSEC(DNSSECRData::DNSKEY(key)) = &record.data {
            signed.keys.push(key.clone());
        }
    }
    assert_eq!(signed.keys.len(), 2);
    signed
}

impl Signed {
    fn ask(&self, name: &str, rtype: RecordType, now: u32, transport: Transport) -> Message {
        self.ask_from(name, rtype, "10.2.0.0/24", now, transport)
    }

    fn ask_from(
        &self,
        name: &str,
        rtype: RecordType,
        client: &str,
        now: u32,
        transport: Transport,
    ) -> Message {
        let ask = Ask::new(name, rtype).subnet(client).edns(|edns| {
            edns.set_dnssec_ok(true).set_max_payload(1232);
        });
        let packet = ask.bytes();
        let source = RESOLVER.parse().unwrap();
        let asked = Asked {
            packet: &packet,
            source: &source,
            transport,
            now_unix_seconds: now,
        };
        let mut out = vec![0; 65_535];
        let Outcome::Reply(reply) = answer(&self.zones, &rules(), &asked, &mut out) else {
            panic!("no answer to {name} {rtype}")
        };
        assert!(transport != Transport::Udp || reply.bytes <= 1232);
        decode(&out[..reply.bytes])
    }

    /// Checks a message as a validating resolver does; the error names what is wrong.
    fn validate(&self, message: &Message, now: u32) -> Result<(), String> {
        let question = &message.queries[0];
        let (mut name, rtype) = (question.name().clone(), question.query_type());
        let answers = self.sets(&message.answers, now)?;
        let authority = self.sets(&message.authorities, now)?;
        // Along the chain, as far as our zone goes.
        for _ in 0..10 {
            if rtype == RecordType::CNAME || answers.contains_key(&(name.to_lowercase(), rtype)) {
                break;
            }
            let alias = answers.get(&(name.to_lowercase(), RecordType::CNAME));
            let Some(RData::CNAME(target)) = alias.and_then(|set| Some(&set.first()?.data)) else {
                break;
            };
            if *target == CNAME(question.name().clone()) {
                // A loop, all of which was verified.
                return Ok(());
            }
            name = target.0.clone();
        }
        if answers.contains_key(&(name.to_lowercase(), rtype)) || !self.is_signed(&name) {
            return Ok(());
        }
        let nsec_at = |name: &Name| match authority
            .get(&(name.to_lowercase(), RecordType::NSEC))
            .and_then(|set| Some(&set.first()?.data))
        {
            Some(RData::DNSSEC(DNSSECRData::NSEC(nsec))) => Ok(nsec.clone()),
            _ => Err(format!("no NSEC at {name}")),
        };
        let has = |nsec: &NSEC, rtype| nsec.type_bit_maps().any(|bit| bit == rtype);
        // A referral proves that the child is unsigned.
        let cut = message
            .authorities
            .iter()
            .find(|record| record.record_type() == RecordType::NS);
        if let Some(cut) = cut {
            let nsec = nsec_at(&cut.name)?;
            let says = has(&nsec, RecordType::NS) && !has(&nsec, RecordType::DS);
            return if says && !has(&nsec, RecordType::SOA) {
                Ok(())
            } else {
                Err(format!("{} is no insecure delegation", cut.name))
            };
        }
        let nsec = nsec_at(&name)?;
        if has(&nsec, rtype) || has(&nsec, RecordType::CNAME) {
            return Err(format!("NSEC at {name} has {rtype}"));
        }
        let expected = Name::from_labels([&[0_u8][..]])
            .unwrap()
            .append_domain(&name)
            .unwrap();
        if *nsec.next_domain_name() != expected.to_lowercase() {
            return Err(format!("the next name is {}", nsec.next_domain_name()));
        }
        Ok(())
    }

    fn is_signed(&self, name: &Name) -> bool {
        Name::from_ascii("example.test.").unwrap().zone_of(name)
    }

    /// The sets of a section by name and type, each verified where our zone speaks.
    fn sets(
        &self,
        records: &[Record],
        now: u32,
    ) -> Result<BTreeMap<(Name, RecordType), Vec<Record>>, String> {
        let mut sets: BTreeMap<_, Vec<Record>> = BTreeMap::new();
        let mut signatures: Vec<(&Record, &RRSIG)> = Vec::new();
        for record in records {
            if let RData::DNSSEC(DNSSECRData::RRSIG(rrsig)) = &record.data {
                signatures.push((record, rrsig));
            } else {
                let key = (record.name.to_lowercase(), record.record_type());
                sets.entry(key).or_default().push(record.clone());
            }
        }
        for ((name, rtype), set) in &sets {
            if !self.is_signed(name)
                || (*rtype == RecordType::NS
                    && !signatures.iter().any(|(record, rrsig)| {
                        record.name.to_lowercase() == *name && rrsig.input().type_covered == *rtype
                    }))
            {
                continue;
            }
            self.verify(name, *rtype, set, &signatures, now)?;
        }
        Ok(sets)
    }

    fn verify(
        &self,
        name: &Name,
        rtype: RecordType,
        set: &[Record],
        signatures: &[(&Record, &RRSIG)],
        now: u32,
    ) -> Result<(), String> {
        let covering = signatures.iter().find(|(record, rrsig)| {
            record.name.to_lowercase() == *name && rrsig.input().type_covered == rtype
        });
        let Some((record, rrsig)) = covering else {
            return Err(format!("{name} {rtype} has no signature"));
        };
        let input = rrsig.input();
        if record.ttl != set[0].ttl || record.ttl > input.original_ttl {
            return Err(format!("{name} {rtype}: TTL"));
        }
        if input.sig_inception.get() > now || input.sig_expiration.get() <= now {
            return Err(format!("{name} {rtype}: not valid now"));
        }
        if input.num_labels != name.num_labels() {
            return Err(format!("{name} {rtype}: labels"));
        }
        let by = |key: &&DNSKEY| key.calculate_key_tag().unwrap() == input.key_tag;
        let key = self.keys.iter().find(by).ok_or("an unknown key")?;
        key.verify_rrsig(name, DNSClass::IN, rrsig, set.iter())
            .map_err(|error| format!("{name} {rtype}: {error}"))
    }
}

#[test]
fn the_verifier_can_say_no() {
    let signed = signed(Algorithm::EcdsaP256, 100);
    let mut reply = signed.ask("www.example.test.", RecordType::A, NOW, Transport::Tcp);
    signed.validate(&reply, NOW).unwrap();
    assert!(signed.validate(&reply, NOW + 40 * DAY).is_err());
    let signature = reply.answers.pop().unwrap();
    assert!(
        signed
            .validate(&reply, NOW)
            .unwrap_err()
            .contains("no signature")
    );
    reply.answers.push(signature);
    reply.answers[0].data = RData::A(hickory_proto::rr::rdata::A::new(1, 2, 3, 4));
    assert!(signed.validate(&reply, NOW).is_err());
    let mut denied = signed.ask("nope.example.test.", RecordType::A, NOW, Transport::Tcp);
    signed.validate(&denied, NOW).unwrap();
    denied
        .authorities
        .retain(|record| record.record_type() == RecordType::SOA);
    assert!(signed.validate(&denied, NOW).is_err());
}

#[test]
fn codes_and_flags_of_denials() {
    let signed = signed(Algorithm::Ed25519, 100);
    let ask = |co: bool, dnssec_ok: bool, rtype| {
        let mut packet = Ask::new("nope.example.test.", rtype)
            .edns(|edns| _ = edns.set_dnssec_ok(dnssec_ok))
            .bytes();
        // OPT is last, without options: its flags are the third and fourth byte of the TTL.
        let flags = packet.len() - 4;
        packet[flags] |= if co { 0x40 } else { 0 };
        let source = RESOLVER.parse().unwrap();
        let asked = super::asked(&packet, &source, Transport::Udp);
        let mut out = [0; 1232];
        match answer(&signed.zones, &rules(), &asked, &mut out) {
            Outcome::Reply(reply) => decode(&out[..reply.bytes]),
            _ => panic!("no answer"),
        }
    };
    let codes = [
        ask(false, true, RecordType::A),
        ask(true, true, RecordType::A),
        ask(false, false, RecordType::A),
        ask(false, true, RecordType::from(128)),
    ]
    .map(|message| message.metadata.response_code);
    assert_eq!(
        codes,
        [
            ResponseCode::NoError,
            ResponseCode::NXDomain,
            ResponseCode::NXDomain,
            ResponseCode::FormErr
        ]
    );
    assert!(ask(false, false, RecordType::A).authorities.len() == 1);
}

/// RFC 9824 §5.1: the response to CO has CO, whether the name exists or not.
#[test]
fn co_is_answered_with_co_where_we_sign() {
    let signed = signed(Algorithm::Ed25519, 100);
    let flags_of = |name: &str, flags: u8| {
        let mut packet = Ask::new(name, RecordType::A).edns(|_| {}).bytes();
        let at = packet.len() - 4;
        packet[at] = flags;
        let source = RESOLVER.parse().unwrap();
        let asked = super::asked(&packet, &source, Transport::Udp);
        let mut out = [0; 1232];
        let Outcome::Reply(reply) = answer(&signed.zones, &rules(), &asked, &mut out) else {
            panic!("no answer")
        };
        // OPT is last, and without options here.
        let opt = &out[reply.bytes - 11..reply.bytes];
        assert_eq!(opt[..3], [0, 0, 41], "{name}");
        opt[7]
    };
    for (name, asked, answered) in [
        ("nope.example.test.", 0xc0, 0xc0),
        ("www.example.test.", 0xc0, 0xc0),
        ("nope.example.test.", 0x80, 0x80),
        // Without signatures there is nothing compact to agree on.
        ("nope.example.test.", 0x40, 0),
    ] {
        assert_eq!(flags_of(name, asked), answered, "{name} {asked:#x}");
    }
}

#[test]
fn the_budget_sends_udp_to_tcp_and_tcp_away() {
    let signed = signed(Algorithm::Ed25519, 1);
    let ask = |name: &str, transport| signed.ask(name, RecordType::A, NOW, transport);
    assert!(!ask("a.example.test.", Transport::Udp).metadata.truncation);
    let over = ask("b.example.test.", Transport::Udp);
    assert!(over.metadata.truncation && over.authorities.is_empty() && over.answers.is_empty());
    let verified = ask("b.example.test.", Transport::Tcp);
    assert_eq!(verified.metadata.response_code, ResponseCode::NoError);
    let over = ask("c.example.test.", Transport::Tcp);
    assert_eq!(over.metadata.response_code, ResponseCode::ServFail);
    // What is ours was signed ahead and needs no budget.
    for name in ["www.example.test.", "shop.example.test."] {
        let reply = ask(name, Transport::Udp);
        assert!(!reply.metadata.truncation && !reply.answers.is_empty());
        signed.validate(&reply, NOW).unwrap();
    }
}

#[test]
fn a_key_set_and_its_signatures_count_towards_the_size() {
    let signed = signed(Algorithm::EcdsaP256, 100);
    let packet = Ask::new("example.test.", RecordType::DNSKEY)
        .edns(|edns| _ = edns.set_dnssec_ok(true).set_max_payload(512))
        .bytes();
    let mut out = [0; 230];
    let source = RESOLVER.parse().unwrap();
    let asked = super::asked(&packet, &source, Transport::Udp);
    let Outcome::Reply(reply) = answer(&signed.zones, &rules(), &asked, &mut out) else {
        panic!("no answer")
    };
    let message = decode(&out[..reply.bytes]);
    assert!(reply.truncated && message.answers.is_empty(), "{message}");
}

#[test]
fn a_zone_that_nobody_serves_or_that_came_signed_is_a_problem() {
    let signed = signed(Algorithm::Ed25519, 100);
    let mut other = world();
    let mut topology = (*other.topology).clone();
    topology
        .dns_zones
        .retain(|zone| zone.origin.to_string() != "example.test");
    other.topology = Arc::new(topology);
    let zones = crate::zones::Zones::build(
        Arc::new(meridian_live::Published::compile(Arc::new(other), 1)),
        &crate::zone::ShelfSnapshot::new(),
        None,
        &crate::metrics::DnsMetrics::register(&Metrics::new()).unwrap(),
        u64::from(NOW),
    );
    let problems = zones.signed(&signed.signing, NOW).problems().to_vec();
    assert!(
        problems
            .iter()
            .any(|problem| problem.to_string().contains("is none of the zones")),
        "{problems:?}"
    );
}

static PROPERTY: LazyLock<[Signed; 2]> = LazyLock::new(|| {
    [
        signed(Algorithm::EcdsaP256, 1_000_000),
        signed(Algorithm::Ed25519, 1_000_000),
    ]
});

const NAMES: [&str; 28] = [
    "example.test.",
    "www.example.test.",
    "WwW.example.TEST.",
    "ns1.example.test.",
    "us.example.test.",
    "web.example.test.",
    "to-shop.example.test.",
    "away.example.test.",
    "dangling.example.test.",
    "to-cut.example.test.",
    "loop-a.example.test.",
    "ent.example.test.",
    "deep.ent.example.test.",
    "wild.example.test.",
    "a.wild.example.test.",
    "b.a.wild.example.test.",
    "*.wild.example.test.",
    "x.wildname.example.test.",
    "known.wild.example.test.",
    "cut.example.test.",
    "below.cut.example.test.",
    "shop.example.test.",
    "pair.example.test.",
    "dual.example.test.",
    "alias.example.test.",
    "static.example.test.",
    "x.shops.example.test.",
    "no.such.name.example.test.",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn any_answer_validates_at_any_time(
        name in prop::sample::select(&NAMES[..]),
        prefix in prop::option::of("[a-z]{1,5}"),
        rtype in prop::sample::select(vec![1_u16, 2, 5, 6, 15, 16, 28, 33, 43, 46, 47, 48, 59, 60, 65, 255, 257]),
        client in prop::sample::select(vec!["10.1.0.0/16", "10.2.0.0/24", "10.2.3.0/24", "10.3.0.0/16", "192.0.2.0/24"]),
        later in 0_u32..12 * DAY,
        algorithm in 0_usize..2,
        tcp in any::<bool>(),
    ) {
        let signed = &PROPERTY[algorithm];
        let name = prefix.map_or_else(|| name.to_owned(), |prefix| format!("{prefix}.{name}"));
        let transport = if tcp { Transport::Tcp } else { Transport::Udp };
        let rtype = RecordType::from(rtype);
        let now = NOW + later;
        let reply = signed.ask_from(&name, rtype, client, now, transport);
        let code = reply.metadata.response_code;
        // Reasons with a name: out of our zones, nobody may serve, come back over TCP.
        let named = matches!(code, ResponseCode::Refused | ResponseCode::ServFail) || reply.metadata.truncation;
        let any_type = matches!(rtype, RecordType::ANY | RecordType::RRSIG | RecordType::NSEC);
        if !named && !any_type {
            if let Err(why) = signed.validate(&reply, now) {
                prop_assert!(false, "{name} {rtype} for {client}: {why}\n{reply}");
            }
        } else if any_type {
            prop_assert!(signed.sets(&reply.answers, now).is_ok(), "{reply}");
        }
    }
}
