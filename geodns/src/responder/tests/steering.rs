//! What services answer: families, SRV, HTTPS and SVCB, several addresses, TTLs.

use std::sync::Arc;

use hickory_proto::rr::RecordType;
use meridian_engine::{EndpointState, PolicySet, World};
use meridian_topology::{SourceFile, Topology};

use super::{Ask, ask, down, reply_at, zones_of};
use crate::fixture::{clients, summary};
use crate::zones::Zones;

const TOPOLOGY: &str = include_str!("steering.yaml");
const POLICIES: &str = "policy: nearest
---
policy: quorum
failover: { min_live: 2 }
---
policy: several
spread: { answers: 3, answers_at_least: 2 }
---
policy: ramped
failover: { failback: { hold: 10s, ramp: [50%, 100%] } }
";

pub(super) fn world_of(
    topology: &str,
    policies: &str,
    classes: meridian_engine::ClassTable,
) -> World {
    let topology = Topology::parse(&[SourceFile::new("topology.yaml", topology)])
        .unwrap_or_else(|problems| panic!("{problems}"));
    let files: Vec<SourceFile> = policies
        .split("---\n")
        .enumerate()
        .map(|(at, text)| SourceFile::new(format!("{at}.yaml"), text))
        .collect();
    let policies =
        PolicySet::parse(&files, &topology).unwrap_or_else(|problems| panic!("{problems}"));
    World::new(Arc::new(topology), Arc::new(policies), Arc::new(classes))
}

fn world() -> World {
    world_of(TOPOLOGY, POLICIES, clients())
}

/// The answer to a German client, without the line's end about EDNS.
fn german(zones: &Zones, name: &str, rtype: RecordType) -> String {
    let line = ask(
        zones,
        &Ask::new(&format!("{name}.example.test."), rtype).subnet("10.2.0.0/24"),
    );
    // hickory-proto writes commas behind parameters.
    let line = line.split(" | edns").next().unwrap();
    if rtype == RecordType::HTTPS || rtype == RecordType::SVCB {
        line.replace(", ", " ").trim_end_matches(',').to_owned()
    } else {
        line.to_owned()
    }
}

#[test]
fn a_family_is_answered_from_wherever_it_lives() {
    let check = |dead: &[&str], rtype, expected: &str| {
        let mut world = world();
        down(&mut world, dead);
        let line = german(&zones_of(world), "dual", rtype);
        assert_eq!(
            line,
            format!("NOERROR aa | an: dual.example.test. {expected}"),
            "{dead:?}"
        );
    };
    check(&[], RecordType::A, "30 A 198.51.100.1");
    check(&[], RecordType::AAAA, "30 AAAA 2001:db8:2::1");
    // Its region lives, but not for this family: the next region that has one.
    check(&["eu-v6"], RecordType::AAAA, "5 AAAA 2001:db8:1::1");
    check(&["eu-v6"], RecordType::A, "30 A 198.51.100.1");
    check(&["eu-v4"], RecordType::A, "5 A 192.0.2.1");
    // Nobody of the family is left: no such address, but no failure either.
    let mut dead = world();
    down(&mut dead, &["eu-v6", "us-v6"]);
    let line = german(&zones_of(dead), "dual", RecordType::AAAA);
    assert!(line.starts_with("NOERROR aa | au: example.test."), "{line}");
    // The one endpoint of a family among many of the other.
    let zones = zones_of(world());
    assert_eq!(
        german(&zones, "crowd", RecordType::AAAA),
        "NOERROR aa | an: crowd.example.test. 5 AAAA 2001:db8:1::1"
    );
}

#[test]
fn srv_records_come_from_picks() {
    let zones = zones_of(world());
    let line = german(&zones, "_sip._udp.voice", RecordType::SRV);
    let (answer, additional) = line.split_once(" | ad: ").unwrap();
    let mut records: Vec<&str> = answer
        .strip_prefix("NOERROR aa | an: ")
        .unwrap()
        .split(", ")
        .collect();
    records.sort_unstable();
    // The home region first; each region of stand-ins behind the one before it.
    assert_eq!(
        records,
        [
            "_sip._udp.voice.example.test. 30 SRV 10 100 5060 eu-v4.nodes.example.test.",
            "_sip._udp.voice.example.test. 30 SRV 10 300 5061 eu-big.nodes.example.test.",
            "_sip._udp.voice.example.test. 30 SRV 11 100 5060 us-v4.nodes.example.test.",
        ]
    );
    for address in [
        "eu-v4.nodes.example.test. 30 A 198.51.100.1",
        "eu-big.nodes.example.test. 30 A 198.51.100.3",
        "us-v4.nodes.example.test. 30 A 192.0.2.1",
    ] {
        assert!(additional.contains(address), "{additional}");
    }
    // Targets are answered, to whoever asks, and nothing else is there.
    assert_eq!(
        german(&zones, "us-v4.nodes", RecordType::A),
        "NOERROR aa | an: us-v4.nodes.example.test. 30 A 192.0.2.1"
    );
    assert!(german(&zones, "us-v4.nodes", RecordType::AAAA).starts_with("NOERROR aa | au:"));
    assert!(german(&zones, "ap-v4.nodes", RecordType::A).starts_with("NXDOMAIN"));
}

#[test]
fn srv_records_may_lead_to_regions() {
    let mut world = world();
    down(&mut world, &["eu-big"]);
    let zones = zones_of(world);
    assert_eq!(
        german(&zones, "_turn._udp.voice", RecordType::SRV),
        "NOERROR aa | an: _turn._udp.voice.example.test. 30 SRV 0 400 3478 eu-west.sites.example.test., \
         _turn._udp.voice.example.test. 30 SRV 1 100 3478 us-east.sites.example.test."
    );
    // A region's name holds what lives there, for clients of other regions, too.
    assert_eq!(
        german(&zones, "eu-west.sites", RecordType::A),
        "NOERROR aa | an: eu-west.sites.example.test. 30 A 198.51.100.1"
    );
    assert_eq!(
        german(&zones, "us-east.sites", RecordType::A),
        "NOERROR aa | an: us-east.sites.example.test. 30 A 192.0.2.1"
    );
}

#[test]
fn https_and_svcb_records_have_hints_of_the_picks() {
    let zones = zones_of(world());
    let https = german(&zones, "dual", RecordType::HTTPS);
    assert_eq!(
        https,
        "NOERROR aa | an: dual.example.test. 30 HTTPS 1 . alpn=h3,h2 port=8443 \
         ipv4hint=198.51.100.1 ech=\"AAMBAgM=\" ipv6hint=2001:db8:2::1"
    );
    assert_eq!(
        german(&zones, "_dns.dual", RecordType::SVCB),
        "NOERROR aa | an: _dns.dual.example.test. 30 SVCB 2 dual.example.test. alpn=dot \
         ipv4hint=198.51.100.1 ipv6hint=2001:db8:2::1"
    );
    // Without a family there is no hint of it; without `https` there is no record.
    assert!(german(&zones, "pair", RecordType::HTTPS).starts_with("NOERROR aa | au:"));
    let mut dead = world();
    down(&mut dead, &["eu-v6", "us-v6"]);
    let line = german(&zones_of(dead), "dual", RecordType::HTTPS);
    assert!(
        line.contains("ipv4hint=198.51.100.1") && !line.contains("ipv6hint"),
        "{line}"
    );
    let mut dead = world();
    down(&mut dead, &["eu-v6", "us-v6", "eu-v4", "us-v4"]);
    assert_eq!(
        german(&zones_of(dead), "dual", RecordType::HTTPS),
        "SERVFAIL"
    );
}

#[test]
fn an_answer_leaves_its_region_only_while_it_is_short() {
    let check = |dead: &[&str], expected: &[&str]| {
        let mut world = world();
        down(&mut world, dead);
        let line = german(&zones_of(world), "pair", RecordType::A);
        let mut found: Vec<&str> = line
            .split(' ')
            .filter(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'))
            .map(|word| word.trim_end_matches(','))
            .collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{line}");
    };
    // at most 3, at least 2: two live at home, so nobody else joins.
    check(&[], &["198.51.100.1", "198.51.100.3"]);
    check(&["eu-big"], &["192.0.2.1", "198.51.100.1"]);
    check(&["eu-big", "eu-v4"], &["192.0.2.1"]);
}

#[test]
fn a_region_with_too_few_living_members_is_given_up() {
    let mut world = world();
    let zones = zones_of(world.clone());
    assert!(german(&zones, "quorum", RecordType::A).contains(" 30 A 198.51.100."));
    down(&mut world, &["eu-big"]);
    assert_eq!(
        german(&zones_of(world.clone()), "quorum", RecordType::A),
        "NOERROR aa | an: quorum.example.test. 5 A 192.0.2.1"
    );
    // When nobody has enough, whoever lives serves.
    down(&mut world, &["us-v4", "us-v6"]);
    assert_eq!(
        german(&zones_of(world), "quorum", RecordType::A),
        "NOERROR aa | an: quorum.example.test. 5 A 198.51.100.1"
    );
}

/// The TTL of a German client's answer at a time.
fn ttl_at(zones: &Zones, name: &str, now_unix_seconds: u32) -> u32 {
    let question = Ask::new(&format!("{name}.example.test."), RecordType::A).subnet("10.2.0.0/24");
    let (_, packet) = reply_at(zones, &question.bytes(), now_unix_seconds).unwrap();
    let line = summary(&packet);
    let words: Vec<&str> = line.split(' ').collect();
    let at = words.iter().position(|word| *word == "A").unwrap();
    words[at - 1].parse().unwrap()
}

#[test]
fn a_ttl_shrinks_with_a_change_and_grows_back() {
    let zones = zones_of(world());
    let published = Arc::clone(zones.published());
    let home = published
        .world
        .topology
        .endpoint(&"eu-v4".parse().unwrap())
        .unwrap();
    let flip = |state, now| {
        published.bits.set_endpoint(&published.plan, home, state);
        published.bits.note_change(&published.plan, home, now);
    };
    assert_eq!(ttl_at(&zones, "single", 1_000), 30);
    flip(EndpointState::Down, 1_000);
    // A stand-in answers: short, however long it lasts.
    for now in [1_000, 1_020, 5_000] {
        assert_eq!(ttl_at(&zones, "single", now), 5);
    }
    flip(EndpointState::Up, 5_000);
    for (now, ttl) in [
        (5_000, 5),
        (5_004, 5),
        (5_012, 12),
        (5_029, 29),
        (5_030, 30),
        (9_000, 30),
    ] {
        assert_eq!(ttl_at(&zones, "single", now), ttl, "at {now}");
    }
    // A clock that went back is no reason to keep an answer long.
    assert_eq!(ttl_at(&zones, "single", 10), 5);
    // Whoever does not depend on that endpoint is not disturbed.
    assert_eq!(ttl_at(&zones, "other", 5_000), 30);
}

#[test]
fn a_ramp_keeps_ttls_short() {
    let zones = zones_of(world());
    let published = zones.published();
    let region = published
        .world
        .topology
        .region(&"eu-west".parse().unwrap())
        .unwrap();
    for share in [0.0, 0.5] {
        published
            .bits
            .set_region_ramp(region, meridian_topology::Ratio::new(share).unwrap());
        assert_eq!(ttl_at(&zones, "single", 1_000), 5, "{share}");
    }
    published
        .bits
        .set_region_ramp(region, meridian_topology::Ratio::ONE);
    assert_eq!(ttl_at(&zones, "single", 1_000), 30);
}

/// The world remembers when things changed, and a new plan with it.
#[test]
fn a_new_plan_remembers_changes() {
    let mut world = world();
    world.health.changed.insert("eu-v4".parse().unwrap(), 5_000);
    let zones = zones_of(world);
    assert_eq!(ttl_at(&zones, "single", 5_010), 10);
}
