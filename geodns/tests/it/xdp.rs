//! AF_XDP between two network namespaces joined by a veth pair, asked by clients we did not write.
//! Skipped with a line where that takes rights or tools that are not there.

mod lab;
mod tagged;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::opt::EdnsOption;
use meridian_geodns::{DnsConfig, XdpConfig};

use meridian_topology::door;
use serde::Deserialize;

use crate::rig::{Rig, query};
use lab::{Lab, Link};

/// A name whose records take more than a datagram.
const BIG: &str = "big.example.test.";

/// The id of the first question in mixed case.
const MIXED_CASE_ID: [u8; 2] = [0, 6];

fn on_xdp(config: &mut DnsConfig) {
    config.xdp = XdpConfig {
        interfaces: vec!["s0".to_owned()],
        frames: 256,
        ..XdpConfig::default()
    };
}

/// Questions of every kind, and rubbish. Every one without an answer is followed by one with.
fn questions() -> Vec<Vec<u8>> {
    let subnets = [
        "10.1.0.0/24",
        "10.2.0.0/24",
        "10.2.3.0/24",
        "10.3.0.0/16",
        "2001:db8:d::/48",
    ];
    let names = [
        ("shop.example.test.", RecordType::A),
        ("ShOp.eXample.TEST.", RecordType::A),
        ("pair.example.test.", RecordType::A),
        ("dual.example.test.", RecordType::AAAA),
        ("alias.example.test.", RecordType::A),
        ("to-shop.example.test.", RecordType::A),
        ("static.example.test.", RecordType::A),
        ("gdpr.example.test.", RecordType::A),
        ("www.example.test.", RecordType::AAAA),
        ("nowhere.example.test.", RecordType::A),
        ("host.cut.example.test.", RecordType::A),
        ("x.wild.example.test.", RecordType::TXT),
        ("example.test.", RecordType::ANY),
        ("elsewhere.invalid.", RecordType::A),
        (BIG, RecordType::TXT),
    ];
    let mut out = Vec::new();
    for (name, rtype) in names {
        out.push(query(u16::try_from(out.len()).unwrap(), name, rtype, None));
        for subnet in subnets {
            let id = u16::try_from(out.len()).unwrap();
            out.push(query(id, name, rtype, Some(subnet)));
        }
    }
    let good = out[0].clone();
    let silent = [
        b"short".to_vec(),
        Vec::new(),
        // A response.
        [&good[..2], &[0x80][..], &good[3..]].concat(),
    ];
    for packet in silent {
        out.extend([packet, good.clone()]);
    }
    let wrong = [
        // Cut in its question; an operation we lack; two questions.
        good[..good.len() - 3].to_vec(),
        [&good[..2], &[0x10][..], &good[3..]].concat(),
        [&good[..5], &[2][..], &good[6..]].concat(),
    ];
    out.extend(wrong);
    out
}

/// The counters of answers; those of AF_XDP itself are only there with it, and how long building the
/// zones took is no count.
fn counters(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter(|line| line.starts_with("meridian_dns_") && !line.contains("_xdp_"))
        .filter_map(|line| line.rsplit_once(' '))
        .filter(|(name, _)| !name.ends_with("_seconds"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn both_paths_answer_and_count_alike() {
    let Some(lab) = Lab::new(Link::Plain) else {
        return;
    };
    let questions = questions();
    for to in ["10.53.0.1:53", "[fd53::1]:53"] {
        let ask = |configure: fn(&mut DnsConfig)| {
            let server = lab.serve(configure);
            let answers = lab.ask_all(to.parse().unwrap(), &questions);
            (answers, server.stop())
        };
        let (by_sockets, sockets) = ask(|_| ());
        let (by_xdp, xdp) = ask(on_xdp);
        let received: Vec<_> = by_xdp.iter().flatten().collect();
        assert!(
            received.len() > questions.len() / 2,
            "{} answers",
            received.len()
        );
        for (question, (one, other)) in questions.iter().zip(by_sockets.iter().zip(&by_xdp)) {
            assert_eq!(one, other, "{question:?}");
            // 0x20: a question's letters come back as they were.
            if let Some(answer) = other
                .as_ref()
                .filter(|_| question.starts_with(&MIXED_CASE_ID))
            {
                assert_eq!(answer[12..31], question[12..31]);
                assert!(answer.windows(4).any(|letters| letters == b"ShOp"));
            }
        }
        assert_eq!(counters(&sockets.text()), counters(&xdp.text()));
        // It was AF_XDP indeed: not one question went to a socket.
        assert_eq!(
            xdp.value("meridian_dns_xdp_received_total"),
            questions.len() as f64
        );
        assert_eq!(
            xdp.value("meridian_dns_xdp_sent_total"),
            received.len() as f64
        );
        assert_eq!(sockets.value("meridian_dns_xdp_received_total"), 0.0);
        for reason in ["malformed", "checksum", "source"] {
            let name = format!("meridian_dns_xdp_dropped_total{{reason=\"{reason}\"}}");
            assert_eq!(xdp.value(&name), 0.0, "{reason}");
        }
    }
}

#[test]
fn clients_see_nothing_of_it() {
    let Some(lab) = Lab::new(Link::Plain) else {
        return;
    };
    let server = lab.serve(on_xdp);
    steered_over(&lab, &["10.53.0.1", "fd53::1"]);
    assert_eq!(server.value("meridian_dns_xdp_sent_total"), 2.0);
    // Too big for a datagram: TC, and again over TCP, which the kernel handles.
    lab.kdig(
        "10.53.0.1",
        "+norec +ignore big.example.test TXT",
        &["qr aa tc"],
    );
    lab.kdig(
        "10.53.0.1",
        "+norec big.example.test TXT",
        &["ANSWER: 12", "(TCP)"],
    );
    lab.kdig(
        "fd53::1",
        "+norec +tcp shop.example.test A",
        &["NOERROR", "(TCP)"],
    );
    lab.ping("10.53.0.1");
    lab.ping("fd53::1");
    assert_eq!(server.value("meridian_dns_xdp_sent_total"), 4.0);
    assert_eq!(
        server.value("meridian_dns_queries_total{transport=\"udp\"}"),
        4.0
    );
    server.stop();
}

/// The same answer to a steered question over every address.
fn steered_over(lab: &Lab, addresses: &[&str]) {
    let question = "+norec +subnet=10.2.0.0/24 shop.example.test A";
    let answer = "shop.example.test. 30 IN A 198.51.100.1";
    for address in addresses {
        lab.kdig(
            address,
            question,
            &["status: NOERROR", "10.2.0.0/24/16", answer, "(UDP)"],
        );
    }
}

#[test]
fn vlan_interfaces_work_beside_it() {
    let Some(lab) = Lab::new(Link::Vlan) else {
        return;
    };
    let server = lab.serve(on_xdp);
    steered_over(&lab, &["10.53.0.1", "fd53::1", "10.53.7.1", "fd53:7::1"]);
    assert_eq!(
        server.value("meridian_dns_xdp_sent_total"),
        4.0,
        "over all of them"
    );
    lab.kdig(
        "10.53.7.1",
        "+norec +tcp shop.example.test A",
        &["NOERROR", "(TCP)"],
    );
    lab.ping("10.53.7.1");
    server.stop();
}

#[test]
fn fragments_are_answered_by_the_sockets() {
    let Some(lab) = Lab::new(Link::Plain) else {
        return;
    };
    let server = lab.serve(on_xdp);
    let mut message =
        Message::from_vec(&query(9, "shop.example.test.", RecordType::A, None)).unwrap();
    message
        .edns
        .get_or_insert_default()
        .options_mut()
        .insert(EdnsOption::Unknown(65_001, vec![0; 2_000]));
    let answers = lab.ask_all(
        "10.53.0.1:53".parse().unwrap(),
        &[message.to_vec().unwrap()],
    );
    let answer = Message::from_vec(answers[0].as_ref().unwrap()).unwrap();
    assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
    server.until("meridian_dns_xdp_passed_total", 1.0);
    assert_eq!(server.value("meridian_dns_xdp_received_total"), 0.0);
    assert_eq!(
        server.value("meridian_dns_queries_total{transport=\"udp\"}"),
        1.0
    );
    server.stop();
}

#[test]
fn a_small_mtu_truncates() {
    let Some(lab) = Lab::new(Link::Plain) else {
        return;
    };
    lab.set_mtu(576);
    let server = lab.serve(on_xdp);
    // 900 bytes fit 1,232, but not one packet here.
    lab.kdig(
        "10.53.0.1",
        "+norec +bufsize=1232 +ignore middle.example.test TXT",
        &["qr aa tc"],
    );
    lab.kdig(
        "10.53.0.1",
        "+norec +bufsize=1232 middle.example.test TXT",
        &["ANSWER: 4", "(TCP)"],
    );
    assert_eq!(server.value("meridian_dns_xdp_sent_total"), 2.0);
    server.stop();
}

#[test]
fn generic_mode_works_where_native_is_not_wanted() {
    let Some(lab) = Lab::new(Link::Plain) else {
        return;
    };
    let server = lab.serve(|config| {
        on_xdp(config);
        config.xdp.mode = meridian_geodns::config::XdpMode::Generic;
    });
    assert!(lab.link("s0").contains("xdpgeneric"), "{}", lab.link("s0"));
    lab.kdig("10.53.0.1", "+norec www.example.test A", &["192.0.2.80"]);
    assert_eq!(server.value("meridian_dns_xdp_sent_total"), 1.0);
    server.stop();
    assert!(!lab.link("s0").contains("xdp"), "{}", lab.link("s0"));
}

#[test]
fn busy_polling_answers_too() {
    let Some(lab) = Lab::new(Link::Plain) else {
        return;
    };
    let server = lab.serve(|config| {
        on_xdp(config);
        config.xdp.busy_poll = Some(meridian_geodns::config::BusyPollConfig::default());
    });
    let questions = questions();
    let answers = lab.ask_all("10.53.0.1:53".parse().unwrap(), &questions);
    let answered = answers.iter().flatten().count() as f64;
    assert_eq!(
        server.value("meridian_dns_xdp_received_total"),
        questions.len() as f64
    );
    assert_eq!(server.value("meridian_dns_xdp_sent_total"), answered);
    // Nothing comes any more, so it sleeps.
    let before = processor_time_of("xdp-0-");
    std::thread::park_timeout(Duration::from_secs(1));
    let used = processor_time_of("xdp-0-").saturating_sub(before);
    assert!(
        used < Duration::from_millis(500),
        "{used:?} in an idle second"
    );
    server.stop();
}

/// Time on a core of this process's threads of a name, from the scheduler's statistics.
fn processor_time_of(name: &str) -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let times = threads.filter_map(|thread| {
        let read = |file| std::fs::read_to_string(thread.path().join(file)).ok();
        read("comm")?.starts_with(name).then_some(())?;
        read("schedstat")?.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(times.sum())
}

#[test]
fn what_cannot_be_had_is_left_to_the_sockets() {
    type Case = (Link, fn(&mut DnsConfig));
    let cases: [Case; 4] = [
        (Link::Plain, |config| {
            on_xdp(config);
            config.xdp.interfaces = vec!["s9".to_owned()];
        }),
        (Link::Plain, |config| {
            on_xdp(config);
            config.xdp.queues = Some(vec![0, 200]);
        }),
        (Link::Plain, |config| {
            on_xdp(config);
            config.xdp.zero_copy = meridian_geodns::config::XdpZeroCopy::Required;
        }),
        // Last, as not every kernel has VLANs: tags are taken off before the program sees them.
        (Link::StrippedVlan, on_xdp),
    ];
    for (link, configure) in cases {
        let Some(lab) = Lab::new(link) else { return };
        let server = lab.serve(configure);
        assert_eq!(server.value("meridian_dns_xdp_queues"), 0.0);
        assert!(!lab.link("s0").contains("xdp"), "{}", lab.link("s0"));
        lab.kdig("10.53.0.1", "+norec www.example.test A", &["192.0.2.80"]);
        assert_eq!(
            server.value("meridian_dns_queries_total{transport=\"udp\"}"),
            1.0
        );
        server.stop();
    }
}

const PAGE: &str = include_str!("../../../docs/dns-xdp.md");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Node {
    dns: DnsConfig,
}

#[test]
fn the_page_shows_what_the_code_reads() {
    let blocks = PAGE.split("```yaml\n").skip(1);
    let sections: Vec<_> = blocks
        .map(|rest| {
            let text = rest.split("```").next().unwrap();
            let node = door::parse::<Node>("docs/dns-xdp.md", text)
                .unwrap_or_else(|problems| panic!("{problems}"));
            node.value.dns.validate(NonZeroUsize::MIN).unwrap();
            node.value.dns.xdp
        })
        .collect();
    let [short, long] = &sections[..] else {
        panic!("{} blocks", sections.len())
    };
    // The second block says what the defaults are.
    assert_eq!(short, long);
    let defaults = XdpConfig {
        interfaces: vec!["eth0".to_owned()],
        ..XdpConfig::default()
    };
    assert_eq!(*long, defaults);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_lists_every_metric() {
    let rig = Rig::start(|config| {
        config.xdp.interfaces = vec!["nowhere0".to_owned()];
        config.xdp.addresses = vec!["127.0.0.1".parse().unwrap()];
    });
    let names = rig.metrics.names();
    let ours: Vec<_> = names.iter().filter(|name| name.contains("_xdp_")).collect();
    assert_eq!(ours.len(), 7);
    for name in ours {
        assert!(
            PAGE.contains(&format!("`{name}`")),
            "docs/dns-xdp.md does not list {name}"
        );
    }
    rig.stop().await;
}
