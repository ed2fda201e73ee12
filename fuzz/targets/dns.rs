//! DNS packets against the demo's zones: no panic, no reply longer than its
//! bound, and every reply is a response to the question's id that hickory reads.
#![no_main]

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use hickory_proto::op::{Message, MessageType};
use libfuzzer_sys::fuzz_target;
use meridian_engine::{ClassTable, Policy, PolicySet, World};
use meridian_geodns::guard::{CookieJar, Guard};
use meridian_geodns::responder::{AnswerRules, Asked, EcsTrust, Outcome, Transport, answer};
use meridian_geodns::zone::ShelfSnapshot;
use meridian_geodns::{DnsMetrics, Zones};
use meridian_live::PlanHandle;
use meridian_telemetry::Metrics;
use meridian_topology::{SourceFile, Topology};

const TOPOLOGY: &str = include_str!("../../config/examples/demo/topology.yaml");
const UDP_BYTES_MAX: u16 = 1232;

static ZONES: LazyLock<Zones> = LazyLock::new(|| {
    let file = SourceFile {
        name: "topology.yaml".to_owned(),
        text: TOPOLOGY.to_owned(),
    };
    let topology = Topology::parse(&[file]).expect("the demo's topology is valid");
    let ids = topology
        .services
        .iter()
        .map(|service| service.policy.clone());
    let policies = PolicySet::new(ids.map(Policy::nearest));
    let world = World::new(
        Arc::new(topology),
        Arc::new(policies),
        Arc::new(ClassTable::unknown()),
    );
    let metrics = DnsMetrics::register(&Metrics::new()).expect("a fresh registry takes them");
    Zones::build(
        PlanHandle::fixed(world).full(),
        &ShelfSnapshot::new(),
        None,
        &metrics,
        0,
    )
});

fuzz_target!(|input: &[u8]| {
    let rules = AnswerRules {
        udp_bytes_max: UDP_BYTES_MAX,
        ecs: EcsTrust::Everybody,
        failover_ttl_seconds: 30,
        guard: Guard::of(Some(CookieJar::fixed([7; 16])), None),
        identity: meridian_geodns::Identity::default(),
        aliases: meridian_geodns::AliasBook::default(),
    };
    let source = SocketAddr::from(([192, 0, 2, 1], 5300));
    for transport in Transport::ALL {
        let mut out = [0; 65_535];
        let asked = Asked {
            packet: input,
            source,
            transport,
            now_unix_seconds: 1_700_000_000,
        };
        let Outcome::Reply(reply) = answer(&ZONES, &rules, &asked, &mut out) else {
            continue;
        };
        if transport == Transport::Udp {
            assert!(reply.bytes <= usize::from(UDP_BYTES_MAX));
        }
        let message = Message::from_vec(&out[..reply.bytes]).expect("our replies are well-formed");
        assert_eq!(message.message_type, MessageType::Response);
        assert_eq!(message.id.to_be_bytes(), input[..2]);
    }
});
