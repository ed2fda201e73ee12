//! Steered answers reach the decision log.

use hickory_proto::rr::RecordType;
use meridian_geodns::zone::ZoneShelf;
use meridian_geodns::{DnsConfig, DnsServer};
use meridian_live::PlanHandle;
use meridian_telemetry::decision::decision_files;
use meridian_telemetry::{DecisionLog, DecisionLogConfig, Metrics, Surface, read_decisions};
use tokio_util::sync::CancellationToken;

use crate::rig::{ask_udp, query};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_steered_answer_is_a_decision_and_a_static_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let config = DecisionLogConfig {
        directory: Some(directory.path().to_owned()),
        sample_rate: 1.0,
        ..DecisionLogConfig::default()
    };
    let metrics = Metrics::new();
    let log = DecisionLog::start(&config, &metrics).unwrap();
    let plan = PlanHandle::fixed(crate::fixture::world());
    let config = DnsConfig {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        ..DnsConfig::default()
    };
    let settings = config.validate(std::num::NonZeroUsize::MIN).unwrap();
    let server =
        DnsServer::bind(&settings, &plan, &ZoneShelf::new(), &metrics, log.clone()).unwrap();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server.local_addrs()[0]).unwrap();
    socket.set_read_timeout(Some(crate::rig::DEADLINE)).unwrap();
    let shutdown = CancellationToken::new();
    let server = tokio::spawn(server.run(shutdown.clone()));

    ask_udp(
        &socket,
        &query(1, "shop.example.test.", RecordType::A, Some("10.2.0.0/24")),
    );
    ask_udp(
        &socket,
        &query(2, "www.example.test.", RecordType::A, Some("10.2.0.0/24")),
    );
    shutdown.cancel();
    tokio::time::timeout(crate::rig::DEADLINE, server)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    log.flush();

    let files = decision_files(directory.path()).unwrap();
    let decisions: Vec<_> = files
        .iter()
        .flat_map(|file| read_decisions(file).unwrap())
        .collect();
    let [decision] = &decisions[..] else {
        panic!("{decisions:?}")
    };
    assert_eq!(
        (decision.surface, decision.service.as_str()),
        (Surface::Dns, "shop")
    );
    assert_eq!(decision.endpoint.as_ref().unwrap().as_str(), "eu-1");
    assert_eq!(decision.region.as_ref().unwrap().as_str(), "eu-west");
    assert_eq!(decision.plan_generation, plan.load().plan.generation());
    assert!((decision.propensity - 1.0).abs() < 1e-6);
}
