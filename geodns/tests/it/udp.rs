//! Datagrams.

use hickory_proto::rr::RecordType;

use crate::rig::{Rig, answers, ask_udp, query};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steers_by_client_subnet_and_counts() {
    let rig = Rig::start(|_| ());
    let socket = rig.udp();
    for (subnet, address) in [
        ("10.1.0.0/24", "192.0.2.1"),
        ("10.2.0.0/24", "198.51.100.1"),
        ("10.3.0.0/24", "203.0.113.1"),
    ] {
        let message = ask_udp(
            &socket,
            &query(7, "shop.example.test.", RecordType::A, Some(subnet)),
        );
        assert_eq!(
            (message.metadata.id, answers(&message)),
            (7, vec![address.to_owned()])
        );
    }
    // Silence has no answer to wait for: the answer to the next question shows it was passed over.
    socket.send(b"short").unwrap();
    let message = ask_udp(
        &socket,
        &query(8, "nowhere.example.test.", RecordType::A, None),
    );
    assert_eq!(message.metadata.id, 8);
    rig_counts(&rig);
    rig.stop().await;
}

fn rig_counts(rig: &Rig) {
    for (name, expected) in [
        ("meridian_dns_queries_total{transport=\"udp\"}", 5.0),
        ("meridian_dns_responses_total{rcode=\"NOERROR\"}", 3.0),
        ("meridian_dns_responses_total{rcode=\"NXDOMAIN\"}", 1.0),
        ("meridian_dns_dropped_total", 1.0),
        (
            "meridian_dns_answers_total{rcode=\"NXDOMAIN\",type=\"A\"}",
            1.0,
        ),
        ("meridian_dns_client_subnets_total", 3.0),
        (
            "meridian_dns_dynamic_answers_total{region=\"eu-west\",service=\"shop\"}",
            1.0,
        ),
        ("meridian_dns_zone_problems", 0.0),
    ] {
        assert_eq!(
            rig.metric(name),
            expected,
            "{name}\n{}",
            rig.metrics.render().unwrap()
        );
    }
    // One observation a batch, and no batch without an answer.
    let sizes = rig.metric("meridian_dns_response_bytes_count");
    assert!((1.0..=4.0).contains(&sizes), "{sizes}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_on_the_address_is_refused() {
    let rig = Rig::start(|_| ());
    let config = meridian_geodns::DnsConfig {
        listen: vec![rig.address],
        ..Default::default()
    };
    let settings = config.validate(std::num::NonZeroUsize::MIN).unwrap();
    let metrics = meridian_telemetry::Metrics::new();
    let second = meridian_geodns::DnsServer::bind(
        &settings,
        &rig.plan,
        &rig.shelf,
        &metrics,
        meridian_telemetry::DecisionLog::off(),
    );
    assert!(
        matches!(second, Err(meridian_geodns::DnsError::Bind(_))),
        "{second:?}"
    );
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wildcard_answers_from_the_address_that_was_asked() {
    let rig = Rig::start(|config| config.listen = vec!["0.0.0.0:0".parse().unwrap()]);
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(crate::rig::DEADLINE)).unwrap();
    // Connected, so that an answer from another address would not arrive.
    socket.connect(("127.0.0.99", rig.address.port())).unwrap();
    let message = ask_udp(
        &socket,
        &query(9, "shop.example.test.", RecordType::A, None),
    );
    assert_eq!(message.metadata.id, 9);
    rig.stop().await;
}
