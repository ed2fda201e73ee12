use meridian_live::PlanHandle;
use meridian_telemetry::{DecisionLog, Metrics};

use super::*;
use crate::transfer::{Prepared, Transfers};
use crate::zone::ZoneShelf;
use crate::{AnswerRules, DnsMetrics, Responder};

fn dropped(metrics: &Metrics) -> String {
    let text = metrics.render().unwrap();
    let mut lines = text.lines();
    let line = lines.find(|line| line.starts_with("meridian_dns_slow_dropped_total"));
    line.unwrap().rsplit(' ').next().unwrap().to_owned()
}

#[tokio::test]
async fn what_finds_no_place_is_dropped_and_counted() {
    let metrics = Metrics::new();
    let plan = PlanHandle::fixed(crate::fixture::world());
    let (shelf, end) = (ZoneShelf::new(), CancellationToken::new());
    let config = crate::DnsConfig::default();
    let settings = config.validate(std::num::NonZeroUsize::MIN).unwrap();
    let prepared = Prepared::load(&settings.transfers, &shelf, &metrics, &end).unwrap();
    let rules: AnswerRules = settings.rules().clone();
    let of_room = DnsMetrics::register(&metrics).unwrap();
    let responder = Responder::follow(
        &plan,
        &shelf,
        crate::dnssec::Signing::load(settings.dnssec.clone(), &metrics).unwrap(),
        rules,
        of_room,
        DecisionLog::off(),
        end.clone(),
    );
    let started = Transfers::start(prepared, &Arc::new(responder), end);
    // A queue that nobody serves yet.
    let (datagrams, waiting) = mpsc::channel(WAITING_MAX);
    let path = SlowPath {
        datagrams,
        desk: Arc::clone(&started.slow.desk),
    };
    let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    let source = client.local_addr().unwrap();
    // A notification about a zone that is not ours.
    let packet = [
        &[0, 7, 0x20, 0, 0, 1, 0, 0, 0, 0, 0, 0][..],
        b"\x01z\0\0\x06\0\x01",
    ]
    .concat();
    for _ in 0..WAITING_MAX + 10 {
        path.datagram(&packet, source, &socket);
    }
    assert_eq!(dropped(&metrics), "10");
    // Served, the queue has room again, and each gets its answer: NOTAUTH.
    let shutdown = CancellationToken::new();
    tokio::spawn(serve_datagrams(
        Arc::clone(&path.desk),
        waiting,
        shutdown.clone(),
    ));
    client.set_nonblocking(true).unwrap();
    let client = tokio::net::UdpSocket::from_std(client).unwrap();
    let mut answer = [0; 512];
    let bytes = client.recv(&mut answer).await.unwrap();
    assert_eq!(
        (bytes, answer[2] & 0xf8, answer[3] & 15),
        (packet.len(), 0xa0, 9)
    );
    shutdown.cancel();
}
