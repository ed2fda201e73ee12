//! The packet path allocates nothing, whatever is asked.

use std::net::SocketAddr;
use std::num::NonZeroUsize;

use hickory_proto::op::{Edns, Message};
use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::opt::EdnsOption;
use meridian_geodns::dnssec::{KeyDesk, KeyRole, ZoneSigningConfig};
use meridian_geodns::guard::{CookieRequire, CookiesConfig, RateLimitConfig};
use meridian_geodns::zone::ZoneShelf;
use meridian_geodns::{DnsConfig, DnsServer, Outcome, Transport};
use meridian_live::PlanHandle;
use meridian_telemetry::{DecisionLog, Metrics};

use crate::presigned;
use crate::rig::query;

const QUESTIONS: &[(&str, RecordType, Option<&str>)] = &[
    ("www.example.test.", RecordType::A, None),
    ("www.example.test.", RecordType::A, Some("10.2.0.0/24")),
    ("shop.example.test.", RecordType::A, None),
    ("shop.example.test.", RecordType::A, Some("10.2.0.0/24")),
    (
        "shop.example.test.",
        RecordType::AAAA,
        Some("2001:db8::/48"),
    ),
    ("pair.example.test.", RecordType::A, Some("10.2.0.0/24")),
    ("dual.example.test.", RecordType::AAAA, None),
    ("alias.example.test.", RecordType::A, Some("10.1.0.0/24")),
    (
        "voice.example.test.",
        RecordType::HTTPS,
        Some("10.2.0.0/24"),
    ),
    ("_sip._udp.example.test.", RecordType::SRV, None),
    ("us-1.nodes.example.test.", RecordType::A, None),
    ("web.example.test.", RecordType::A, None),
    ("any.wild.example.test.", RecordType::TXT, None),
    ("host.cut.example.test.", RecordType::A, None),
    ("nowhere.example.test.", RecordType::A, None),
    ("example.invalid.", RecordType::A, None),
    ("example.test.", RecordType::ANY, None),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_allocates_nothing() {
    check(DnsConfig::default(), true);
}

/// As many answers, slips and drops as come of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limiting_and_cookies_allocate_nothing() {
    let config = DnsConfig {
        rate_limit: Some(RateLimitConfig {
            responses_per_second: 3,
            nxdomains_per_second: 3,
            errors_per_second: 3,
            ..RateLimitConfig::default()
        }),
        cookies: CookiesConfig {
            require: CookieRequire::OverUdp,
            ..CookiesConfig::default()
        },
        ..DnsConfig::default()
    };
    check(config, false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signatures_that_are_kept_allocate_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = DnsConfig::default();
    config.dnssec.keys = folder.path().into();
    let zones = &mut config.dnssec.zones;
    zones.insert("example.test".into(), ZoneSigningConfig::default());
    let settings = config.dnssec.validate().unwrap();
    let desk = KeyDesk::of(&settings, "example.test").unwrap();
    desk.generate(&[KeyRole::Csk], 1).unwrap();
    check(config, true);
}

/// A zone that arrives signed proves all that it has not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proofs_of_absence_allocate_nothing() {
    if let Some(missing) = presigned::missing() {
        eprintln!("skipped: {missing} is not installed (`cargo xtask setup` brings it)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    presigned::folder_of_everything(folder.path());
    let config = DnsConfig {
        zone_files: Some(folder.path().into()),
        ..DnsConfig::default()
    };
    let questions: Vec<_> = presigned::Denies::ALL
        .into_iter()
        .flat_map(|denies| {
            let name = move |labels: &str| format!("{labels}{}", denies.origin());
            DENIED.map(|(labels, rtype)| (name(labels), rtype))
        })
        .collect();
    let questions: Vec<_> = questions
        .iter()
        .map(|(name, rtype)| (name.as_str(), *rtype, None))
        .collect();
    check_questions(config, true, &questions);
}

/// Each kind of absence, by the labels before the zone's origin.
const DENIED: [(&str, RecordType); 13] = [
    ("nowhere.", RecordType::A),
    ("a.b.c.nowhere.", RecordType::A),
    ("www.", RecordType::MX),
    ("ent.", RecordType::A),
    ("behind.", RecordType::A),
    ("any.wild.", RecordType::TXT),
    ("any.wild.", RecordType::A),
    ("any.mail.", RecordType::MX),
    ("any.lost.", RecordType::A),
    ("none.away.", RecordType::A),
    ("unsigned.", RecordType::DS),
    ("hidden.behind.", RecordType::A),
    ("www.", RecordType::NSEC),
];

/// The same question by a client that wants signatures.
fn with_dnssec_ok(packet: &[u8]) -> Vec<u8> {
    let mut message = Message::from_vec(packet).unwrap();
    let edns = message.edns.get_or_insert_with(Edns::new);
    edns.set_dnssec_ok(true);
    message.to_vec().unwrap()
}

fn check(config: DnsConfig, all_are_answered: bool) {
    check_questions(config, all_are_answered, QUESTIONS);
}

fn check_questions(
    config: DnsConfig,
    all_are_answered: bool,
    questions: &[(&str, RecordType, Option<&str>)],
) {
    let config = DnsConfig {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        ..config
    };
    let settings = config.validate(NonZeroUsize::MIN).unwrap();
    let plan = PlanHandle::fixed(crate::fixture::world());
    let server = DnsServer::bind(
        &settings,
        &plan,
        &ZoneShelf::new(),
        &Metrics::new(),
        DecisionLog::off(),
    )
    .unwrap();
    let responder = server.responder();
    let source: SocketAddr = "10.3.0.9:4242".parse().unwrap();
    let mut packets: Vec<_> = questions
        .iter()
        .map(|(name, rtype, subnet)| query(7, name, *rtype, *subnet))
        .collect();
    let signed: Vec<_> = packets
        .iter()
        .map(|packet| with_dnssec_ok(packet))
        .collect();
    packets.extend(signed);
    // Two once more with a cookie that is not ours.
    let with_cookies: Vec<_> = packets[..2].iter().map(|packet| cookied(packet)).collect();
    packets.extend(with_cookies);
    packets.push(b"rubbish".to_vec());
    packets.push(packets[0][..20].to_vec());
    let mut out = [0; 1232];
    let mut ask_all = || {
        let mut batch = responder.batch();
        let mut replies = 0;
        for packet in &packets {
            if let Outcome::Reply(_) = batch.answer(packet, &source, Transport::Udp, &mut out) {
                replies += 1;
            }
        }
        replies
    };
    // The first batch of a thread sets up its place in the arc-swap.
    let replies = ask_all();
    if all_are_answered {
        assert_eq!(replies, packets.len() - 1);
    }
    let counted = allocation_counter::measure(|| {
        for _ in 0..100 {
            let now = ask_all();
            assert!(now == replies || !all_are_answered);
        }
    });
    assert_eq!(counted.count_total, 0, "{counted:?}");
}

fn cookied(packet: &[u8]) -> Vec<u8> {
    let mut message = Message::from_vec(packet).unwrap();
    let edns = message.edns.get_or_insert_with(Edns::new);
    let cookie = EdnsOption::Unknown(10, vec![7; 24]);
    edns.options_mut().insert(cookie);
    message.to_vec().unwrap()
}
