#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::time::Duration;

use super::{gun, load, metrics};

#[test]
fn kxdpguns_report_is_read() {
    let text = "using interface g0, XDP threads 1, UDP, native mode\n\
        thread#00: sent 750496, received 488571\n\
        total queries:     750496 (375248 pps)\n\
        total replies:     488571 (244285 pps) (65%)\n\
        average DNS reply size: 51 B\n\
        average Ethernet reply rate: 181748412 bps (181.75 Mbps)\n\
        responded NOERROR:   488000\n\
        responded SERVFAIL:   571\n\
        duration: 2 s\n";
    let rate = gun::read(text, Duration::from_secs(2)).unwrap();
    assert_eq!((rate.questions, rate.answers), (750_496, 488_000));
    assert!((rate.answers_per_second() - 244_000.0).abs() < 0.5);
    assert!(gun::read("no such interface", Duration::from_secs(2)).is_none());
}

/// Bytes as another implementation (the kernel's, by tcpdump) shows them.
#[test]
fn a_questions_headers_are_what_a_card_would_send() {
    let from = "10.99.0.2:4053".parse().unwrap();
    let to = "10.99.0.1:53".parse().unwrap();
    let headers = load::headers(load::Path::for_tests(), from, to, 57);
    let mut expected = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    expected.extend([0x45, 0, 0, 85, 0, 0, 0x40, 0, 64, 17, 0x25, 0xd0]);
    expected.extend([10, 99, 0, 2, 10, 99, 0, 1, 0x0f, 0xd5, 0, 53, 0, 65, 0, 0]);
    assert_eq!(headers[..], expected);
}

#[test]
fn both_loads_are_held_to_the_goals() {
    for metric in metrics()
        .iter()
        .filter(|metric| metric.name.ends_with("qps"))
    {
        let goals: &[_] = match metric.name.as_str() {
            "default_veth_qps" => &[],
            _ => &[("gdnsd", 2.5), ("knot-xdp", 1.1)],
        };
        assert_eq!(metric.goals, goals, "{}", metric.name);
    }
}
