#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot build its input has failed"
)]

mod denial;
mod scopes;
mod signed;
mod steering;
mod table;

use std::net::SocketAddr;
use std::sync::Arc;

use hickory_proto::op::{Edns, Message, Query};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsCode, EdnsOption};
use hickory_proto::rr::{DNSClass, Name, RecordType};
use meridian_engine::{EndpointState, World};
use meridian_live::Published;
use meridian_telemetry::Metrics;
use proptest::prelude::*;

use super::{AnswerRules, Asked, EcsTrust, Outcome, Reply, Transport, answer};
use crate::alias::AliasBook;
use crate::fixture::{decode, summary, world};
use crate::guard::Guard;
use crate::identity::Identity;
use crate::metrics::DnsMetrics;
use crate::wire::Rcode;
use crate::zone::ShelfSnapshot;
use crate::zones::Zones;

/// The resolver that asks: in no client class.
const RESOLVER: &str = "127.0.0.1:4242";

pub(crate) fn zones_of(world: World) -> Zones {
    let metrics = DnsMetrics::register(&Metrics::new()).unwrap();
    let zones = Zones::build(
        Arc::new(Published::compile(Arc::new(world), 1)),
        &ShelfSnapshot::new(),
        None,
        &metrics,
        1_700_000_000,
    );
    assert!(zones.problems().is_empty(), "{:?}", zones.problems());
    zones
}

pub(crate) fn rules() -> AnswerRules {
    AnswerRules {
        udp_bytes_max: 1232,
        ecs: EcsTrust::Everybody,
        failover_ttl_seconds: 5,
        guard: Guard::default(),
        identity: Identity::default(),
        aliases: AliasBook::default(),
    }
}

/// A query by hickory-proto.
#[derive(Clone)]
pub(crate) struct Ask(Message);

impl Ask {
    pub(crate) fn new(name: &str, rtype: RecordType) -> Self {
        let mut message = Message::query();
        message.metadata.id = 0x4d52;
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), rtype));
        Self(message)
    }

    pub(crate) fn edns(mut self, change: impl FnOnce(&mut Edns)) -> Self {
        change(self.0.edns.get_or_insert_with(Edns::new));
        self
    }

    pub(super) fn subnet(self, network: &str) -> Self {
        let (address, prefix) = network.split_once('/').unwrap();
        let subnet = ClientSubnet::new(address.parse().unwrap(), prefix.parse().unwrap(), 0);
        self.edns(|edns| edns.options_mut().insert(EdnsOption::Subnet(subnet)))
    }

    pub(super) fn class(mut self, class: DNSClass) -> Self {
        self.0.queries[0].set_query_class(class);
        self
    }

    pub(super) fn message(mut self, change: impl FnOnce(&mut Message)) -> Self {
        change(&mut self.0);
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.to_vec().unwrap()
    }
}

/// A message on the day that the zones were built.
pub(crate) fn asked<'a>(
    packet: &'a [u8],
    source: &'a SocketAddr,
    transport: Transport,
) -> Asked<'a> {
    Asked {
        packet,
        source,
        transport,
        now_unix_seconds: 1_700_000_000,
    }
}

pub(super) fn reply_to(
    zones: &Zones,
    packet: &[u8],
    transport: Transport,
    source: &str,
) -> Option<(Reply, Vec<u8>)> {
    let mut out = vec![0xaa; 65_535];
    let source = source.parse().unwrap();
    match answer(
        zones,
        &rules(),
        &asked(packet, &source, transport),
        &mut out,
    ) {
        Outcome::Drop | Outcome::Slow => None,
        Outcome::Reply(reply) => {
            assert!(
                out[reply.bytes..].iter().all(|byte| *byte == 0xaa),
                "wrote behind the message"
            );
            out.truncate(reply.bytes);
            Some((reply, out))
        }
    }
}

/// The reply to a datagram that comes at a time.
pub(super) fn reply_at(
    zones: &Zones,
    packet: &[u8],
    now_unix_seconds: u32,
) -> Option<(Reply, Vec<u8>)> {
    let mut out = vec![0; 1232];
    let source = RESOLVER.parse().unwrap();
    let asked = Asked {
        now_unix_seconds,
        ..asked(packet, &source, Transport::Udp)
    };
    match answer(zones, &rules(), &asked, &mut out) {
        Outcome::Drop | Outcome::Slow => None,
        Outcome::Reply(reply) => {
            out.truncate(reply.bytes);
            Some((reply, out))
        }
    }
}

/// Whether the packet path hands a packet on.
pub(super) fn is_slow(zones: &Zones, packet: &[u8]) -> bool {
    let source = RESOLVER.parse().unwrap();
    let asked = asked(packet, &source, Transport::Udp);
    matches!(
        answer(zones, &rules(), &asked, &mut [0; 512]),
        Outcome::Slow
    )
}

/// The answer to one question of a client, as a line.
fn ask(zones: &Zones, ask: &Ask) -> String {
    let (_, packet) = reply_to(zones, &ask.bytes(), Transport::Udp, RESOLVER).unwrap();
    summary(&packet)
}

fn down(world: &mut World, endpoints: &[&str]) {
    for endpoint in endpoints {
        world
            .health
            .set(endpoint.parse().unwrap(), EndpointState::Down);
    }
}

#[test]
fn a_stand_in_answers_with_a_short_ttl() {
    let mut world = world();
    down(&mut world, &["eu-1"]);
    let line = ask(
        &zones_of(world),
        &Ask::new("shop.example.test.", RecordType::A).subnet("10.2.0.0/24"),
    );
    assert_eq!(
        line,
        "NOERROR aa | an: shop.example.test. 5 A 192.0.2.1 | edns 1232 ecs 10.2.0.0/24/16"
    );
}

#[test]
fn health_bits_change_answers_without_a_new_plan() {
    let zones = zones_of(world());
    let question = Ask::new("shop.example.test.", RecordType::A).subnet("10.2.0.0/24");
    assert!(ask(&zones, &question).contains(" 30 A 198.51.100.1"));
    let published = zones.published();
    let eu = published
        .world
        .topology
        .endpoint(&"eu-1".parse().unwrap())
        .unwrap();
    published
        .bits
        .set_endpoint(&published.plan, eu, EndpointState::Down);
    assert!(ask(&zones, &question).contains(" 5 A 192.0.2.1"));
    published
        .bits
        .set_endpoint(&published.plan, eu, EndpointState::Up);
    assert!(ask(&zones, &question).contains(" 30 A 198.51.100.1"));
}

#[test]
fn a_closed_policy_fails_closed_and_says_why() {
    let mut world = world();
    down(&mut world, &["eu-1"]);
    let zones = zones_of(world);
    let question = Ask::new("gdpr.example.test.", RecordType::A).subnet("10.2.0.0/24");
    assert_eq!(
        ask(&zones, &question),
        "SERVFAIL | edns 1232 ecs 10.2.0.0/24/0 ede no endpoint may serve this client now"
    );
    let plain = Ask::new("gdpr.example.test.", RecordType::A);
    assert_eq!(ask(&zones, &plain), "SERVFAIL");
}

#[test]
fn a_static_fallback_is_answered_by_family() {
    let mut world = world();
    down(&mut world, &["eu-1"]);
    let zones = zones_of(world);
    let line = ask(&zones, &Ask::new("static.example.test.", RecordType::A));
    assert_eq!(
        line,
        "NOERROR aa | an: static.example.test. 5 A 192.0.2.200, static.example.test. 5 A 192.0.2.201"
    );
}

/// The fixture's world with one part of its topology replaced.
fn world_with(from: &str, to: &str) -> World {
    let text = include_str!("../../tests/fixture/topology.yaml");
    assert_eq!(text.matches(from).count(), 1, "{from}");
    crate::fixture::world_of(&text.replace(from, to), crate::fixture::clients())
}

#[test]
fn a_static_fallback_never_answers_an_endpoint() {
    let check = |to: &str, expected: &str| {
        // us-1 is outside of the policy's compliance wall.
        let mut world = world_with("us-1, address: 192.0.2.1,", to);
        down(&mut world, &["eu-1"]);
        let question = Ask::new("static.example.test.", RecordType::A);
        assert_eq!(ask(&zones_of(world), &question), expected);
    };
    check(
        "us-1, address: 192.0.2.200,",
        "NOERROR aa | an: static.example.test. 5 A 192.0.2.201",
    );
    let mut endpoints = String::new();
    for (at, address) in ["192.0.2.200", "192.0.2.201", "\"2001:db8::200\""]
        .iter()
        .enumerate()
    {
        endpoints.push_str(&format!(
            "x-{at}, address: {address}, port: 80, services: [shop] }}\n      - {{ id: "
        ));
    }
    check(&format!("{endpoints}us-1, address: 192.0.2.1,"), "SERVFAIL");
}

#[test]
fn a_chain_of_aliases_has_its_narrowest_scope_and_its_first_service() {
    // Two endpoints that the client's /24 chooses between, then one that serves the whole class.
    let text = include_str!("../../tests/fixture/topology.yaml")
        .replace(
            "198.51.100.2, port: 80, services: [pair]",
            "198.51.100.2, port: 80, services: [pair, alias]",
        )
        .replace("name: shop.other.test }", "name: shop.example.test }");
    let zones = zones_of(crate::fixture::world_of(&text, crate::fixture::clients()));
    let question = Ask::new("alias.example.test.", RecordType::A).subnet("10.2.0.0/24");
    let (reply, packet) = reply_to(&zones, &question.bytes(), Transport::Udp, RESOLVER).unwrap();
    assert_eq!(
        summary(&packet),
        "NOERROR aa | an: alias.example.test. 30 CNAME shop.example.test., shop.example.test. 30 A 198.51.100.1 | edns 1232 ecs 10.2.0.0/24/24"
    );
    let topology = &zones.published().world.topology;
    let alias = topology.service(&"alias".parse().unwrap());
    assert_eq!(reply.steered.map(|fact| fact.service), alias);
}

#[test]
fn subnets_of_the_untrusted_are_not_answered() {
    let zones = zones_of(world());
    let packet = Ask::new("shop.example.test.", RecordType::A)
        .subnet("10.3.0.0/24")
        .bytes();
    let check = |ecs: EcsTrust, expected: &str| {
        let rules = AnswerRules { ecs, ..rules() };
        let mut out = [0; 1232];
        let source = "10.1.2.3:999".parse().unwrap();
        let asked = asked(&packet, &source, Transport::Udp);
        let Outcome::Reply(reply) = answer(&zones, &rules, &asked, &mut out) else {
            panic!("no reply");
        };
        assert_eq!(
            summary(&out[..reply.bytes]),
            format!("NOERROR aa | an: shop.example.test. 30 A {expected}")
        );
    };
    check(
        EcsTrust::Everybody,
        "203.0.113.1 | edns 1232 ecs 10.3.0.0/24/16",
    );
    check(
        EcsTrust::From(vec!["10.1.0.0/16".parse().unwrap()]),
        "203.0.113.1 | edns 1232 ecs 10.3.0.0/24/16",
    );
    // The resolver's own address is American.
    check(EcsTrust::Nobody, "192.0.2.1 | edns 1232");
    check(
        EcsTrust::From(vec!["10.9.0.0/16".parse().unwrap()]),
        "192.0.2.1 | edns 1232",
    );
}

/// The answer to a client subnet, in no order, and the network its scope covers.
fn scoped(zones: &Zones, name: &str, subnet: ipnet::IpNet) -> (Vec<String>, ipnet::IpNet) {
    let question = Ask::new(name, RecordType::A).subnet(&subnet.to_string());
    let (_, packet) = reply_to(zones, &question.bytes(), Transport::Udp, RESOLVER).unwrap();
    let message = decode(&packet);
    let edns = message.edns.as_ref().unwrap();
    let Some(EdnsOption::Subnet(answered)) = edns.option(EdnsCode::Subnet) else {
        panic!("no subnet: {}", summary(&packet));
    };
    let mut answers: Vec<_> = message.answers.iter().map(ToString::to_string).collect();
    answers.sort();
    let scope = ipnet::IpNet::new(answered.addr(), answered.scope_prefix()).unwrap();
    (answers, scope.trunc())
}

#[test]
fn a_scope_is_what_the_answer_is_the_same_for() {
    let zones = zones_of(world());
    // Every client in the scope who discloses as much gets the same answer.
    let check = |name: &str, subnet: &str| {
        let subnet: ipnet::IpNet = subnet.parse().unwrap();
        let (answers, scope) = scoped(&zones, name, subnet);
        let disclosed = subnet.prefix_len().max(scope.prefix_len());
        for other in scope.subnets(disclosed).unwrap().take(256) {
            let (others, _) = scoped(&zones, name, other);
            assert_eq!(
                others, answers,
                "{name}: {subnet} has scope {scope}, {other} differs"
            );
        }
    };
    for service in ["shop", "gdpr", "pair", "alias", "dual"] {
        for subnet in [
            "10.1.7.0/24",
            "10.1.7.9/32",
            "10.2.2.0/24",
            "10.2.2.128/25",
            "10.2.3.0/24",
            "10.2.3.255/32",
            "10.3.0.0/20",
            "9.0.0.0/24",
        ] {
            check(&format!("{service}.example.test."), subnet);
        }
    }
}

#[test]
fn large_sets_are_truncated_whole_and_complete_over_tcp() {
    let text = include_str!("../../tests/fixture/topology.yaml");
    let mut records = String::from("    records:\n");
    for n in 0..120 {
        records.push_str(&format!(
            "      - {{ name: big, type: A, data: 192.0.2.{n} }}\n"
        ));
    }
    let world = crate::fixture::world_of(
        &text.replacen("    records:\n", &records, 1),
        crate::fixture::clients(),
    );
    let zones = zones_of(world);
    let question = Ask::new("big.example.test.", RecordType::A).edns(|edns| {
        edns.set_max_payload(4096);
    });
    let (reply, packet) = reply_to(&zones, &question.bytes(), Transport::Udp, RESOLVER).unwrap();
    assert!(reply.truncated);
    assert_eq!(summary(&packet), "NOERROR aa tc | edns 1232");
    let (reply, packet) = reply_to(&zones, &question.bytes(), Transport::Tcp, RESOLVER).unwrap();
    assert!(!reply.truncated);
    assert_eq!(Message::from_vec(&packet).unwrap().answers.len(), 120);
}

#[test]
fn a_truncated_referral_or_denial_keeps_its_meaning() {
    let zones = zones_of(world());
    // 512 bytes without EDNS; the longest names leave no room for SOA, NS and glue.
    let label = "a".repeat(63);
    let long = format!("{label}.{label}.{label}.{}", "a".repeat(30));
    for (name, rcode, authoritative) in [
        (format!("{long}.example.test."), Rcode::NxDomain, true),
        (format!("{long}.cut.example.test."), Rcode::NoError, false),
    ] {
        let packet = Ask::new(&name, RecordType::A).bytes();
        let mut out = [0; 300];
        let source = RESOLVER.parse().unwrap();
        let asked = asked(&packet, &source, Transport::Udp);
        let outcome = answer(&zones, &rules(), &asked, &mut out);
        let Outcome::Reply(reply) = outcome else {
            panic!("{outcome:?}");
        };
        let message = decode(&out[..reply.bytes]);
        assert!(message.metadata.truncation, "{name}");
        assert_eq!(
            (reply.rcode, message.metadata.authoritative),
            (rcode, authoritative)
        );
    }
}

#[test]
fn the_clients_spelling_is_kept() {
    let zones = zones_of(world());
    let (_, packet) = reply_to(
        &zones,
        &Ask::new("WwW.eXaMpLe.TeSt.", RecordType::A).bytes(),
        Transport::Udp,
        RESOLVER,
    )
    .unwrap();
    let message = Message::from_vec(&packet).unwrap();
    assert_eq!(message.queries[0].name().to_ascii(), "WwW.eXaMpLe.TeSt.");
    assert_eq!(message.answers[0].name.to_ascii(), "WwW.eXaMpLe.TeSt.");
}

/// Every question of the table, as seeds for mutations.
fn seeds() -> Vec<Vec<u8>> {
    table::cases().into_iter().map(|case| case.packet).collect()
}

/// What must hold for whatever bytes come: an answer that decodes, and errors that amplify little.
fn check_any(zones: &Zones, packet: &[u8]) {
    for transport in Transport::ALL {
        let Some((reply, answer)) = reply_to(zones, packet, transport, RESOLVER) else {
            continue;
        };
        assert!(answer[2] & 0x80 != 0, "not a response");
        let message = decode(&answer);
        assert_eq!(
            message.metadata.id,
            u16::from_be_bytes([packet[0], packet[1]])
        );
        if !matches!(reply.rcode, Rcode::NoError | Rcode::NxDomain) {
            assert!(
                answer.len() <= 3 * packet.len(),
                "{} bytes for {}",
                answer.len(),
                packet.len()
            );
        }
        if transport == Transport::Udp {
            assert!(answer.len() <= 1232);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes_get_a_decodable_answer_or_none(packet in proptest::collection::vec(any::<u8>(), 0..300)) {
        thread_local!(static ZONES: Zones = zones_of(world()));
        ZONES.with(|zones| check_any(zones, &packet));
    }

    #[test]
    fn mutated_questions_get_a_decodable_answer_or_none(
        seed in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        thread_local!(static ZONES: (Zones, Vec<Vec<u8>>) = (zones_of(world()), seeds()));
        ZONES.with(|(zones, seeds)| {
            let mut packet = seed.get(seeds).clone();
            for (at, to) in &changes {
                if !packet.is_empty() {
                    let at = at.index(packet.len());
                    packet[at] = *to;
                }
            }
            if let Some(cut) = &cut {
                packet.truncate(cut.index(packet.len() + 1));
            }
            check_any(zones, &packet);
        });
    }
}
