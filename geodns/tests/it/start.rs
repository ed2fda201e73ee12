//! A member that is down when everything starts comes in by itself, and names answer meanwhile: the
//! real writer with its probes, a real server on sockets.

use std::net::{TcpListener, UdpSocket};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use meridian_geodns::zone::ZoneShelf;
use meridian_geodns::{DnsConfig, DnsServer};
use meridian_live::LiveConfig;
use meridian_store::Embedded;
use meridian_telemetry::{DecisionLog, Metrics};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::rig::{DEADLINE, answers, ask_udp, query};

/// Near is on 127.0.0.2, far on 127.0.0.3: an address tells who is answered.
fn topology(near_port: u16, far_port: u16) -> String {
    format!(
        "regions:
  - id: near
    location: {{ country: DE, latitude: 50.1, longitude: 8.7, provider: aws }}
    endpoints: [{{ id: near-1, address: 127.0.0.2, port: {near_port}, services: [shop] }}]
  - id: far
    location: {{ country: US, latitude: 38.9, longitude: -77.4, provider: aws }}
    endpoints: [{{ id: far-1, address: 127.0.0.3, port: {far_port}, services: [shop] }}]
services:
  - id: shop
    policy: nearest
    dns: {{ names: [shop.example.test] }}
    health_checks: [{{ tcp: {{}}, interval: \"50ms\", timeout: \"40ms\" }}]
client_groups: [{{ id: office, cidrs: [203.0.113.0/24], country: DE }}]
dns_zones:
  - origin: example.test
    soa: {{ mname: ns1.example.test, rname: hostmaster.example.test }}
    ns: [ns1.example.test]
"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_was_down_at_start_comes_in() {
    let near = TcpListener::bind("127.0.0.2:0").unwrap();
    let near_address = near.local_addr().unwrap();
    drop(near);
    let far = TcpListener::bind("127.0.0.3:0").unwrap();

    let folder = tempfile::tempdir().unwrap();
    let text = topology(near_address.port(), far.local_addr().unwrap().port());
    std::fs::write(folder.path().join("topology.yaml"), text).unwrap();
    std::fs::create_dir(folder.path().join("policies")).unwrap();
    std::fs::write(
        folder.path().join("policies/nearest.yaml"),
        "policy: nearest\n",
    )
    .unwrap();
    let (metrics, tasks, shutdown) = (Metrics::new(), TaskTracker::new(), CancellationToken::new());
    let config = LiveConfig {
        directory: Some(folder.path().to_path_buf()),
        ..LiveConfig::default()
    };
    let store = Arc::new(Embedded::in_memory().await.unwrap());
    let live = meridian_live::start(config, store, &metrics, &tasks, shutdown.clone())
        .await
        .unwrap();
    let config = DnsConfig {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        workers: NonZeroUsize::new(1),
        ..DnsConfig::default()
    };
    let settings = config.validate(NonZeroUsize::MIN).unwrap();
    let server = DnsServer::bind(
        &settings,
        live.plan(),
        &ZoneShelf::new(),
        &Metrics::new(),
        DecisionLog::off(),
    )
    .unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server.local_addrs()[0]).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let server = tokio::spawn(server.run(shutdown.clone()));

    // From the first question on there is an answer: unknown health is no reason to refuse.
    let question = query(
        1,
        "shop.example.test.",
        RecordType::A,
        Some("203.0.113.0/24"),
    );
    let until = async |wanted: &str| {
        let start = Instant::now();
        loop {
            let message = ask_udp(&socket, &question);
            assert_eq!(message.metadata.response_code, ResponseCode::NoError);
            if answers(&message) == [wanted] {
                return message.answers[0].ttl;
            }
            assert!(start.elapsed() < DEADLINE, "never answered {wanted}");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    assert_eq!(until("127.0.0.3").await, 5, "a stand-in has the short TTL");
    let _near = TcpListener::bind(near_address).unwrap();
    until("127.0.0.2").await;

    shutdown.cancel();
    tasks.close();
    tokio::time::timeout(DEADLINE, async {
        server.await.unwrap().unwrap();
        tasks.wait().await;
    })
    .await
    .unwrap();
}
