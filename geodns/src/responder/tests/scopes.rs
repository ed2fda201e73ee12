//! The scope of an answer is the truth, for random worlds, and as short as it may be.

use std::fmt::Write as _;
use std::net::IpAddr;

use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use ipnet::IpNet;
use meridian_engine::{ClassTable, ClassTableBuilder, ClientClass, World};
use proptest::prelude::*;

use super::steering::world_of;
use super::{Ask, RESOLVER, Transport, reply_to, scoped, zones_of};
use crate::fixture::{decode, world};
use crate::zones::Zones;

const COUNTRIES: [&str; 8] = ["US", "DE", "FR", "JP", "BR", "ZA", "AU", "NO"];
const REGIONS: usize = 10;

/// Numbers from a seed (splitmix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn one_of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }

    /// An address near others: few of the upper bits vary, all of the lower ones may.
    fn address(&mut self) -> IpAddr {
        let low = if self.below(2) == 0 {
            self.next()
        } else {
            [0, u64::MAX, 1 << 8, (1 << 8) - 1][self.below(4)]
        };
        if self.below(3) > 0 {
            let high = (10_u32 << 24) | (self.below(4) as u32) << 16;
            IpAddr::from((high | low as u32 & 0xffff).to_be_bytes())
        } else {
            let high = (0x2001_0db8_u128 << 96) | (self.below(4) as u128) << 78;
            IpAddr::from((high | u128::from(low)).to_be_bytes())
        }
    }
}

/// Networks of every length around [`Chance::address`], each a class.
fn classes(chance: &mut Chance) -> ClassTable {
    let mut builder = ClassTableBuilder::new();
    for _ in 0..2 + chance.below(40) {
        let address = chance.address();
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let lengths = [9, 14, 16, 17, 20, 24, 25, 31, 32, 48, 50, 64, 120, 127, 128];
        let length = (lengths[chance.below(lengths.len())] as u8).min(longest);
        let mut class =
            ClientClass::default().in_country(chance.one_of(&COUNTRIES).parse().unwrap());
        if chance.below(6) == 0 {
            class.group = Some("office".parse().unwrap());
        }
        let net = IpNet::new(address, length).unwrap().trunc();
        builder.insert(net, class).unwrap();
        if chance.below(8) == 0 {
            builder.next_layer().unwrap();
        }
    }
    builder.build().unwrap()
}

fn topology(chance: &mut Chance) -> String {
    let mut text =
        String::from("client_groups:\n  - { id: office, cidrs: [192.0.2.0/24] }\nregions:\n");
    for region in 0..REGIONS {
        let (latitude, longitude) = (
            chance.below(120) as f64 - 60.0,
            chance.below(360) as f64 - 180.0,
        );
        let country = chance.one_of(&COUNTRIES);
        let label = chance.one_of(&["[gdpr]", "[]"]);
        writeln!(
            text,
            "  - id: r{region}\n    location: {{ country: {country}, latitude: {latitude}, longitude: {longitude}, provider: aws }}\n    compliance: {label}\n    endpoints:"
        )
        .unwrap();
        for at in 0..1 + chance.below(4) {
            let address = if chance.below(4) == 0 {
                format!("\"2001:db8:ffff:{region}::{at:x}\"")
            } else {
                format!("203.0.{region}.{at}")
            };
            writeln!(
                text,
                "      - {{ id: r{region}-{at}, address: {address}, port: 80, weight: {}, services: [a, b, c, d, e] }}",
                50 + chance.below(100)
            )
            .unwrap();
        }
    }
    text.push_str("  - id: label\n    location: { country: US, latitude: 0, longitude: 0, provider: aws }\n    compliance: [gdpr]\nservices:\n");
    for (service, policy) in [("a", "a"), ("b", "b"), ("c", "c"), ("d", "d"), ("e", "d")] {
        let at_most = 1 + chance.below(4);
        let answer = if service == "e" {
            let names: Vec<String> = (0..REGIONS)
                .map(|region| format!("{{ region: r{region}, name: r{region}.elsewhere.invalid }}"))
                .collect();
            format!("cname: [{}]", names.join(", "))
        } else {
            format!(
                "addresses: {{ at_most: {at_most}, at_least: {} }}",
                1 + chance.below(at_most)
            )
        };
        let https = if service == "e" {
            ""
        } else {
            "https: { alpn: [h2] }, "
        };
        writeln!(
            text,
            "  - {{ id: {service}, policy: {policy}, dns: {{ names: [{service}.example.test], {https}answer: {{ {answer} }} }} }}"
        )
        .unwrap();
    }
    text.push_str("dns_zones:\n  - origin: example.test\n    soa: { mname: ns1.example.test, rname: h.example.test }\n    ns: [ns1.example.test]\n");
    text
}

fn policies(chance: &mut Chance) -> String {
    let sticky = chance.one_of(&["client_prefix", "client_address"]);
    let fail = chance.one_of(&["closed", "last_resort", "ignore_health"]);
    let min_live = 1 + chance.below(2);
    let regions = 1 + chance.below(3);
    let (one, two) = (chance.below(REGIONS), chance.below(REGIONS - 1));
    let two = if two >= one { two + 1 } else { two };
    format!(
        "policy: a\nspread: {{ sticky: {sticky} }}\nwhen_none: {{ fail: {fail} }}\n---\n\
         policy: b\neligible:\n  - regions: {{ first: [r{one}], never: [r{two}], when: {{ client_in: [group:office, FR] }} }}\n\
         spread: {{ best_within: 20ms, at_most: 3, split: score, sticky: {sticky} }}\n---\n\
         policy: c\neligible:\n  - compliance: {{ require: [gdpr], when: {{ client_in: [EU] }} }}\n\
         failover: {{ min_live: {min_live}, min_live_regions: {regions} }}\nwhen_none: {{ fail: closed }}\n---\n\
         policy: d\nspread: {{ weights: [{{ region: r{one}, share: 3 }}, {{ region: r{two}, share: 1 }}], sticky: {sticky} }}\n"
    )
}

fn random_world(chance: &mut Chance) -> World {
    let (topology, policies, classes) = (topology(chance), policies(chance), classes(chance));
    let mut world = world_of(&topology, &policies, classes);
    let dead = [0, 0, 2, 5][chance.below(4)];
    for endpoint in &world.topology.endpoints {
        if chance.below(10) < dead {
            world.health.down.insert(endpoint.id.clone());
        }
    }
    if chance.below(4) == 0 {
        let share = meridian_topology::Ratio::new(chance.below(100) as f64 / 100.0).unwrap();
        let region = &world.topology.regions[chance.below(REGIONS)].id;
        world.health.ramp.insert(region.clone(), share);
    }
    world
}

/// What a client is told: records in no order (a resolver rotates them), code, and scope.
fn told(zones: &Zones, name: &str, rtype: RecordType, client: IpAddr) -> (Vec<String>, u8) {
    let whole = if client.is_ipv4() { 32 } else { 128 };
    let question =
        Ask::new(&format!("{name}.example.test."), rtype).subnet(&format!("{client}/{whole}"));
    let (reply, packet) = reply_to(zones, &question.bytes(), Transport::Udp, RESOLVER).unwrap();
    let message = decode(&packet);
    let Some(EdnsOption::Subnet(subnet)) = message.edns.as_ref().unwrap().option(EdnsCode::Subnet)
    else {
        panic!("no subnet");
    };
    let mut records: Vec<String> = message.answers.iter().map(ToString::to_string).collect();
    if rtype == RecordType::HTTPS {
        // The hints in no order, too.
        let apart = |record: &String| {
            let mut words: Vec<&str> = record.split([' ', ',', '=']).collect();
            words.sort_unstable();
            words.join(" ")
        };
        records = records.iter().map(apart).collect();
    }
    records.sort();
    records.push(reply.rcode.as_str().to_owned());
    (records, subnet.scope_prefix())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Every client in the scope prefix is told the same, to the last address of it.
    #[test]
    fn everybody_in_the_scope_is_told_the_same(seed in any::<u64>()) {
        let mut chance = Chance(seed);
        let zones = zones_of(random_world(&mut chance));
        for _ in 0..24 {
            let client = chance.address();
            let service = chance.one_of(&["a", "b", "c", "d", "e"]);
            let rtype = [RecordType::A, RecordType::AAAA, RecordType::HTTPS][chance.below(3)];
            let (records, scope) = told(&zones, service, rtype, client);
            let prefix = IpNet::new(client, scope).unwrap();
            let random = random_in(prefix, &mut chance);
            let edges = [prefix.network(), prefix.broadcast()];
            for other in edges.into_iter().chain(random) {
                let (others, _) = told(&zones, service, rtype, other);
                prop_assert_eq!(&others, &records, "{} {} in the scope of {}/{}", rtype, other, client, scope);
            }
        }
    }
}

/// Some addresses of a prefix.
fn random_in(prefix: IpNet, chance: &mut Chance) -> Vec<IpAddr> {
    let mut some = |_| match prefix {
        IpNet::V4(net) => {
            let host = chance.next() as u32 & net.hostmask().to_bits();
            IpAddr::from((net.network().to_bits() | host).to_be_bytes())
        }
        IpNet::V6(net) => {
            let host = (u128::from(chance.next()) << 64 | u128::from(chance.next()))
                & net.hostmask().to_bits();
            IpAddr::from((net.network().to_bits() | host).to_be_bytes())
        }
    };
    (0..6).map(&mut some).collect()
}

/// Neighbouring classes that go to the same place are one scope; so a cache needs one entry.
#[test]
fn classes_with_one_answer_are_one_scope() {
    let zones = zones_of(world());
    let check = |name: &str, client: &str, expected: &str| {
        let (_, scope) = scoped(&zones, name, client.parse().unwrap());
        assert_eq!(scope.to_string(), expected, "{name} {client}");
    };
    // 10.2.0.0/16 is German but for a French /24 in it: both are nearest to eu-west.
    check("shop.example.test.", "10.2.0.0/24", "10.2.0.0/16");
    check("shop.example.test.", "10.2.3.0/24", "10.2.0.0/16");
    // The neighbours of 10.3.0.0/16 go elsewhere.
    check("shop.example.test.", "10.3.0.0/24", "10.3.0.0/16");
    check("shop.example.test.", "10.1.7.9/32", "10.1.0.0/16");
    // One region for everybody: one entry for the whole of the family.
    check("gdpr.example.test.", "10.2.3.9/32", "0.0.0.0/0");
    check("gdpr.example.test.", "2001:db8:d::1/128", "::/0");
    // Static and missing names.
    check("www.example.test.", "10.2.3.0/24", "0.0.0.0/0");
    check("nowhere.example.test.", "10.2.3.0/24", "0.0.0.0/0");
    check("host.cut.example.test.", "10.2.3.0/24", "0.0.0.0/0");
}

/// When the home region dies, the stand-ins of classes differ again, and so do scopes.
#[test]
fn a_failover_narrows_scopes_to_equal_routes() {
    let zones = zones_of(world());
    let published = zones.published();
    let home = published
        .world
        .topology
        .endpoint(&"eu-1".parse().unwrap())
        .unwrap();
    let subnet: IpNet = "10.2.3.0/24".parse().unwrap();
    let before = scoped(&zones, "shop.example.test.", subnet).1;
    published
        .bits
        .set_endpoint(&published.plan, home, meridian_engine::EndpointState::Down);
    let after = scoped(&zones, "shop.example.test.", subnet).1;
    assert!(
        after.prefix_len() >= before.prefix_len(),
        "{before} {after}"
    );
}
