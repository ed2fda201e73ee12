//! Probes and passive reports move clients at once, without a compile.

use meridian_live::{Event, PassiveKind, PassiveReport};
use std::net::TcpListener;

use crate::rig::Rig;

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_endpoint_is_avoided_without_a_compile_and_taken_back() {
    let mut rig = Rig::start().await;
    rig.until_picked("near-1").await;
    let mut events = rig.live.events();
    let before = rig.live.plan().load().sequence;
    let address = rig.endpoints.addresses().0;

    drop(rig.endpoints.near.take());
    rig.until_picked("far-1").await;
    assert_eq!(
        rig.live.plan().load().sequence,
        before,
        "health bits need no compile"
    );
    let flipped = events.recv().await.unwrap();
    assert!(
        matches!(&flipped, Event::EndpointFlipped { endpoint, serves: false, cause, .. }
            if endpoint == "near-1" && cause.contains("refused")),
        "{flipped:?}"
    );
    assert!(
        rig.live
            .world()
            .health
            .down
            .iter()
            .any(|id| id.as_str() == "near-1"),
        "explain sees it too"
    );

    rig.endpoints.near = Some(TcpListener::bind(address).unwrap());
    rig.until_picked("near-1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passive_report_ejects() {
    let rig = Rig::start().await;
    rig.until_picked("near-1").await;
    rig.live.report(PassiveReport {
        endpoint: "near-1".parse().unwrap(),
        kind: PassiveKind::Status5xx,
    });
    rig.until_picked("far-1").await;
    let status = rig.live.status();
    let endpoint = status
        .endpoints
        .iter()
        .find(|endpoint| endpoint.id == "near-1")
        .unwrap();
    assert_eq!(
        (endpoint.state, endpoint.cause.as_str()),
        ("ejected", "answers are 5xx")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_automatic_failover_nothing_moves() {
    let extra = "multi_region_config:
  regions: { primary: near, secondary: [far] }
  failover: { automatic_failover: false }
";
    let mut rig = Rig::start_with(extra).await;
    rig.until_picked("near-1").await;
    drop(rig.endpoints.near.take());
    rig.live.report(PassiveReport {
        endpoint: "near-1".parse().unwrap(),
        kind: PassiveKind::ConnectFailed,
    });
    let dead = || {
        rig.live
            .probes()
            .iter()
            .any(|probe| probe.endpoint.as_str() == "near-1" && probe.consecutive > 5)
    };
    rig.until("the probes saw it fail often", dead).await;
    assert_eq!(rig.pick().unwrap().as_str(), "near-1");
}
